"""Whom to turn to: the ladder of fall-backs, who answers when, and that no community is crossed silently."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exchange.directory.contacts import Test as Tried  # pytest would collect a class of that name
from exchange.directory.find import Hit, Need, find, resolve
from exchange.directory.onboarding import removed
from exchange.errors import Refused
from exchange.limits import DAY_MS
from tests.address_book import ALWAYS, LIMA, OFFICE, SPANISH, Shelf, peru, shelf, zones


def ms(text: str) -> int:
    """UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


WORKING = ms("2026-11-03T15:00")  # Tuesday, 10:00 in Lima
NIGHT = ms("2026-11-03T08:00")  # 03:00
HOLIDAY = ms("2026-07-28T15:00")


def hits(made: Shelf, now: int | None = None, **need: object) -> list[Hit]:
    return find(made.book(now), Need(**need), zones)


def rungs(found: list[Hit]) -> list[tuple[str, str]]:
    return [(hit.address.partition("/")[2], hit.rung) for hit in found]


def reason(hit: Hit, code: str) -> dict[str, object]:
    found = [each.facts for each in hit.reasons if each.code == code]
    assert len(found) == 1, (code, hit.reasons)
    return found[0]


def test_the_ladder() -> None:
    made = peru()
    made.contact("pe-csirt/press", "press", ["ransomware"])
    assert rungs(hits(made, country="PE", function="press", topic="firearms")) == [
        ("press", "function"),
        ("spoc", "topic"),
        ("duty", "round-the-clock"),
        ("tracing", "topic"),  # of the police, the next of the government: other communities
        ("npc", "npc"),
    ]


def test_exact_comes_first_and_gives_no_excuse() -> None:
    best = hits(peru(), country="PE", function="operational_tracing", topic="firearms", language="es")[0]
    assert (best.address, best.rung) == ("pe-csirt/tracing", "exact")
    assert reason(best, "exact") == {}
    assert reason(best, "language") == {"language": "es", "level": "works"}
    assert reason(best, "tested")["result"] == "ok"


def test_peru_tracing_spanish_now_on_a_holiday() -> None:
    need = {"country": "PE", "topic": "firearms", "function": "operational_tracing", "language": "es"}
    found = hits(peru(), HOLIDAY, **need, urgent=True)
    best, lab = found[0], next(hit for hit in found if hit.address == "pe-csirt/tracing")
    assert best.address == "pe-csirt/duty"
    assert best.entry.phones == (("phone_247", "+5115550199"),)
    assert reason(best, "always")["local"] == "10:00"
    assert reason(best, "other-community") == {"community": "csirt", "wanted": "police"}
    assert reason(lab, "holiday") == {
        "holiday": "Fiestas Patrias",
        "local": "10:00",
        "until": ms("2026-07-29T13:00"),
    }
    assert reason(lab, "tested")["kind"] == "call"
    assert lab.entry.phones == (("phone_office", "+5115550100"),)


def test_whoever_answers_comes_before_who_would_fit_better() -> None:
    need = {"country": "PE", "topic": "ransomware", "function": "spoc"}
    assert hits(peru(), WORKING, at=WORKING, **need)[0].address == "pe-csirt/spoc"
    assert hits(peru(), NIGHT, at=NIGHT, **need)[0].address == "pe-csirt/duty"
    assert hits(peru(), NIGHT, **need)[0].address == "pe-csirt/spoc"  # hours weren't asked for
    assert all(hit.answering is None for hit in hits(peru(), NIGHT, **need))


def test_in_suriname_at_night_nobody_is_up_so_others_are_named() -> None:
    made = shelf(("pe-csirt",))
    for handle, country in (("sr-csirt", "SR"), ("gy-csirt", "GY"), ("br-csirt", "BR"), ("sec", "")):
        made.member(handle, country=country)
    made.secretariat("sec")
    made.contact("sr-csirt/spoc", "spoc", hours={**OFFICE, "zone": "America/Paramaribo"})
    made.contact("sr-csirt/old", "technical_24x7", hours=ALWAYS, validated=NIGHT - 300 * DAY_MS)
    made.contact("br-csirt/duty", "technical_24x7", hours=ALWAYS)
    made.contact("gy-csirt/duty", "technical_24x7", hours=ALWAYS)
    made.contact("pe-csirt/duty", "technical_24x7", hours=ALWAYS)
    made.contact("sec/duty", "technical_24x7", hours=ALWAYS)
    made.contact("sec/office", "press", hours=ALWAYS)
    found = hits(made, NIGHT, country="SR", topic="ransomware", function="technical_24x7", urgent=True)
    assert [(hit.address, hit.rung) for hit in found] == [
        ("sr-csirt/spoc", "topic"),
        ("sec/duty", "secretariat"),
        ("gy-csirt/duty", "neighbour"),
        ("br-csirt/duty", "neighbour"),
        ("sr-csirt/old", "exact"),  # lapsed: the last resort
    ]
    assert reason(found[2], "neighbour") == {"country": "GY", "function": "technical_24x7"}
    by_day = hits(made, WORKING, country="SR", topic="ransomware", at=WORKING)
    assert {hit.rung for hit in by_day} == {"exact"}


def test_a_desk_that_answers_keeps_the_neighbours_out() -> None:
    made = peru()
    made.member("ec-csirt")
    made.contact("ec-csirt/duty", "technical_24x7", hours=ALWAYS)
    assert "neighbour" not in {hit.rung for hit in hits(made, NIGHT, country="PE", urgent=True)}


def test_archived_is_no_hit_and_overdue_says_so() -> None:
    made = shelf()
    now = made.world.now
    made.contact("pe-csirt/gone", "spoc", validated=now - 600 * DAY_MS)
    made.contact("pe-csirt/late", "spoc", ["phishing"], validated=now - 370 * DAY_MS)
    made.contact("pe-csirt/fine", "press", ["phishing"])
    found = hits(made, country="PE", function="spoc")
    assert [hit.address for hit in found] == ["pe-csirt/late"]
    assert found[0].has("overdue")


def test_language_suspicion_validation_and_tests_decide_between_equals() -> None:
    made = shelf()
    now = made.world.now
    none = (Tried(now - 2, "ping", 0, "none"), Tried(now - 1, "ping", 0, "none"))
    spoken = {"languages": SPANISH}
    made.contact("pe-csirt/suspect", "spoc", tests=none, **spoken)
    made.contact("pe-csirt/due", "spoc", validated=now - 310 * DAY_MS, **spoken)
    made.contact("pe-csirt/untested", "spoc", **spoken)
    made.contact("pe-csirt/tested", "spoc", tests=(Tried(now - 5, "ping", 3, "ok"),), **spoken)
    made.contact("pe-csirt/reads", "spoc", languages=[{"lang": "es", "level": "reads"}])
    made.contact("pe-csirt/english", "spoc", languages=[{"lang": "en"}])
    found = hits(made, country="PE", function="spoc", language="es-PE")
    assert [hit.address.partition("/")[2] for hit in found] == [
        "tested",
        "untested",
        "due",
        "suspect",
        "reads",
        "english",
    ]
    assert reason(found[-1], "no-language") == {"language": "es-PE", "has": ["en"]}
    assert found[3].has("suspect")


def test_the_press_office_is_no_ones_first_thought() -> None:
    made = shelf()
    made.contact("pe-csirt/a", "press")
    made.contact("pe-csirt/b", "technical_office")
    assert [hit.address for hit in hits(made, country="PE", topic="ransomware")] == [
        "pe-csirt/b",
        "pe-csirt/a",
    ]
    assert hits(made, country="PE", function="press")[0].address == "pe-csirt/a"


def test_without_a_country_only_what_fits_is_a_hit() -> None:
    assert [hit.address for hit in hits(peru(), function="operational_tracing")] == ["pe-csirt/tracing"]
    assert len(hits(peru())) == 4


def test_a_removed_members_contacts_are_no_hits() -> None:
    made = peru()
    member = made.network.members["pe-csirt"]
    made.network.members["pe-csirt"] = removed(member, at=made.world.now)
    assert hits(made, country="PE") == []


def test_urgent_prefers_a_night_phone_that_is_known_here() -> None:
    made = shelf()
    made.contact("pe-csirt/a", "technical_24x7", hours=ALWAYS)
    made.contact("pe-csirt/b", "technical_24x7", hours=ALWAYS, holders={"phone_247": "+5115550000"})
    assert hits(made, country="PE", urgent=True)[0].address == "pe-csirt/b"


def test_hours_nobody_knows_are_neither_open_nor_closed() -> None:
    made = shelf()
    made.contact("pe-csirt/closed", "spoc", hours=OFFICE)
    made.contact("pe-csirt/unknown", "spoc", ["phishing"])
    found = hits(made, NIGHT, country="PE", function="spoc", at=NIGHT)
    assert [hit.address for hit in found] == ["pe-csirt/unknown", "pe-csirt/closed"]
    assert found[0].has("hours-unknown")


# -- CC:function ------------------------------------------------------------------------------------------------


def test_resolving_the_exact_contact() -> None:
    resolved = resolve(peru().book(), "pe:operational_tracing", zones)
    assert (resolved.address, resolved.crossing) == ("pe-csirt/tracing", "")
    assert resolved.reasons[0].code == "exact"


def test_a_vacant_function_falls_back_and_crossing_is_said() -> None:
    made = peru()
    made.contact("pe-csirt/tracing", "operational_tracing", community="police", ended=made.world.now)
    resolved = resolve(made.book(), "pe:operational_tracing", zones)
    assert (resolved.address, resolved.crossing) == ("pe-csirt/duty", "csirt")
    assert [each.code for each in resolved.reasons[:2]] == ["round-the-clock", "other-community"]


def test_a_fall_back_in_the_same_community_goes_first() -> None:
    made = peru()
    made.contact("pe-csirt/tracing", "operational_tracing", community="police", ended=made.world.now)
    made.contact("pe-csirt/police", "spoc", ["firearms"], community="police")
    resolved = resolve(made.book(), "pe:operational_tracing", zones)
    assert (resolved.address, resolved.crossing) == ("pe-csirt/police", "")


def test_two_equal_ones_must_be_named() -> None:
    made = peru()
    made.contact("pe-csirt/spoc2", "spoc", ["phishing"])
    with pytest.raises(Refused) as refused:
        resolve(made.book(), "pe:spoc", zones)
    assert refused.value.code == "contact.ambiguous"
    assert "pe-csirt/spoc, pe-csirt/spoc2" in refused.value.detail


def test_resolving_never_leaves_the_country() -> None:
    made = peru()
    made.member("ec-csirt")
    with pytest.raises(Refused) as refused:
        resolve(made.book(), "ec:spoc", zones)
    assert refused.value.code == "contact.unknown"


def test_the_zone_used_is_the_contacts() -> None:
    assert OFFICE["zone"] == LIMA
    made = shelf()
    made.contact("pe-csirt/x", "spoc", hours={**OFFICE, "zone": "Asia/Tokyo"})
    assert not hits(made, WORKING, country="PE", at=WORKING)[0].answering.now
