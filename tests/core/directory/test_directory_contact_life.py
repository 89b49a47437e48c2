"""Contact points after they were named: confirmed, tested, ended; and the form of their statements (§9.14)."""

from __future__ import annotations

import pytest

from exchange.canonical import dumps, loads
from exchange.directory.bodies_contacts import build_confirm, build_contact_end, build_test
from exchange.directory.bodies_network import build_policy
from exchange.directory.state import Directory
from exchange.limits import DAY_MS, MAX_STATEMENT
from tests.contact_points import BOTH, NPC, TRACING, Country
from tests.worlds import NOW

# -- confirm, contact-end, test ----------------------------------------------------------------------------------


def test_confirm_counts_as_an_edit(tracing: Country) -> None:
    tracing.world.advance(DAY_MS)
    body = build_confirm(**tracing.common(TRACING))
    tracing.refused(body, ("co-csirt",), "not-own")
    tracing.log(body, "pe-csirt")
    assert (tracing.contact().validated, tracing.contact().version) == (NOW + DAY_MS, 1)
    tracing.world.advance(DAY_MS)
    tracing.log(build_confirm(**tracing.common(TRACING)), NPC)
    assert tracing.contact().validated == NOW + 2 * DAY_MS


def test_ended_contact_leaves_a_tombstone_and_begins_anew(tracing: Country) -> None:
    tracing.world.advance(DAY_MS)
    tracing.refused(build_contact_end(**tracing.common(TRACING)), ("co-csirt",), "not-own")
    tracing.log(build_contact_end(**tracing.common(TRACING)), "pe-csirt")
    contact = tracing.contact()
    assert (contact.ended, contact.since, contact.parts) == (NOW + DAY_MS, NOW, {})
    for build in (build_confirm, build_contact_end):
        tracing.refused(build(**tracing.common(TRACING)), ("pe-csirt",), "unknown-contact")
    tracing.refused(tracing.contact_body(TRACING), ("pe-csirt",), "not-nominated")
    tracing.log(tracing.contact_body(TRACING), NPC, "pe-csirt")
    again = tracing.contact()
    assert (again.version, again.since, again.ended) == (2, NOW + DAY_MS, 0)


def test_stranger_to_the_directory_is_unknown(bare: Country) -> None:
    bare.refused(build_confirm(**bare.common(TRACING)), ("pe-csirt",), "unknown-contact")


def test_tests_are_logged_by_the_secretariat_or_one_officer(tracing: Country) -> None:
    def body(result: str = "ok") -> bytes:
        return build_test(kind="ping", minutes=7, result=result, **tracing.common(TRACING, "test"))

    tracing.refused(body(), ("pe-csirt",), "not-own")
    tracing.refused(body(), ("co-csirt",), "not-own")
    tracing.refused(body(), BOTH, "not-own")
    tracing.log(body(), "officer/alba")
    policy = build_policy(
        net=tracing.world.net,
        officers=2,
        sponsors=2,
        secretariat="co-csirt",
        agreement=b"",
        after=tracing.after("network", "policy"),
        not_after=NOW + DAY_MS,
    )
    tracing.log(policy, *BOTH, "pe-csirt", "co-csirt")
    tracing.log(body("none"), "co-csirt")
    assert not tracing.contact().suspect
    tracing.log(body("none"), "co-csirt")
    assert tracing.contact().suspect
    tracing.log(body("ok"), "co-csirt")
    assert not tracing.contact().suspect
    assert [one.result for one in tracing.contact().tests] == ["ok", "none", "none", "ok"]


def test_only_the_last_tests_are_kept(tracing: Country) -> None:
    for minutes in range(10):
        common = tracing.common(TRACING, "test")
        tracing.log(build_test(kind="call", minutes=minutes, result="ok", **common), "officer/alba")
    assert [one.minutes for one in tracing.contact().tests] == list(range(2, 10))


@pytest.mark.parametrize(
    ("function", "days", "standing"),
    [
        ("operational_tracing", 304, "validated"),
        ("operational_tracing", 305, "due"),
        ("operational_tracing", 365, "overdue"),
        ("operational_tracing", 395, "lapsed"),
        ("operational_tracing", 575, "archived"),
        ("technical_24x7", 119, "validated"),
        ("technical_24x7", 120, "due"),
        ("law_enforcement_24x7", 180, "overdue"),
    ],
)
def test_standing_follows_from_the_last_word(peru: Country, function: str, days: int, standing: str) -> None:
    peru.log(peru.contact_body(TRACING, function=function), NPC, "pe-csirt")
    assert peru.contact().standing(NOW + days * DAY_MS) == standing
    assert peru.contact().standing(NOW + days * DAY_MS - 1) in (
        standing,
        {"due": "validated", "overdue": "due", "lapsed": "overdue", "archived": "lapsed"}.get(standing),
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"topics": []},
        {"topics": ["b1", "a1"]},
        {"topics": ["aa", "aa"]},
        {"topics": [f"topic-{number:02}" for number in range(33)]},
        {"topics": ["Firearms"]},
        {"topics": [1]},
        {"instruments": ["x"]},
        {"function": "a function"},
        {"unit": "AA"},
        {"more": 1},
    ],
)
def test_contact_has_a_closed_form(peru: Country, changed: dict[str, object]) -> None:
    value = loads(peru.contact_body(TRACING), most=MAX_STATEMENT)
    value["contact"] = {**value["contact"], **changed}
    peru.refused(dumps(value), (NPC, "pe-csirt"), "bad-statement")


def test_words_of_later_versions_are_read(peru: Country) -> None:
    body = peru.contact_body(TRACING, function="quantum_desk", community="academia", instruments=["new_1"])
    peru.log(body, NPC, "pe-csirt")
    assert peru.contact().function == "quantum_desk"


def test_replay_says_the_same(tracing: Country) -> None:
    replayed = Directory.replay(tracing.world.leaves, now=None)
    assert dict(replayed.contacts) == dict(tracing.directory.contacts)
    assert dict(replayed.units) == dict(tracing.directory.units)
