"""What came from outside: one thing through however many doors, apart until somebody decides, never back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.stix.cover import compose
from exchange.formats.stix.markings import TLP2_EXTENSION
from exchange.formats.stix.read import read_object
from exchange.message import Author, Draft, Urgency
from exchange.node.feeds import outside
from exchange.node.feeds.outside import judge
from exchange.node.store import (
    access as store_access,
)
from exchange.pap import Pap
from exchange.release import Reader, Who
from exchange.tlp import Tlp
from tests.feeds.places import Home
from tests.feeds.servers import TLP_AMBER, TLP_CLEAR, TLP_GREEN, TLP_RED, Server, indicator, page
from tests.worlds import NOW

CO = Reader(who=Who.MEMBER, name="co-csirt")
OWN = Reader(who=Who.OWN, name="pe-csirt")


async def brought(home: Home, server: Server, name: str, *objects: dict[str, Any], **settings: Any) -> None:
    server.answer = lambda _: page(list(objects))
    home.add(name, server.url, **settings)
    assert (await home.poll(name)).code == ""


async def test_what_carries_no_label_has_the_feeds_floor(home: Home, server: Server) -> None:
    plain, marked = indicator("plain"), indicator("marked", TLP_CLEAR)
    unknown = indicator("unknown", TLP_CLEAR, "marking-definition--10000000-0000-4000-8000-00000000aaaa")
    await brought(home, server, "a", plain, marked, unknown)
    assert home.thing(plain["id"]).tlp is Tlp.AMBER_STRICT
    assert home.thing(marked["id"]).tlp is Tlp.CLEAR
    assert home.thing(unknown["id"]).tlp is Tlp.AMBER_STRICT
    await brought(home, server, "b", other := indicator(), floor=Tlp.GREEN)
    assert home.thing(other["id"]).tlp is Tlp.GREEN


async def test_a_marking_that_came_before_is_known_and_one_of_another_feed_is_not(
    home: Home, server: Server
) -> None:
    mark = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": "marking-definition--10000000-0000-4000-8000-00000000bbbb",
        "created": "2026-09-01T00:00:00.000Z",
    }
    copyright_ = {**mark, "definition_type": "statement", "definition": {"statement": "Made by us"}}
    secret = {**mark, "id": mark["id"].replace("bbbb", "cccc"), "name": "TLP:RED"}
    secret |= {"extensions": {TLP2_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": "red"}}}
    marked, red = indicator("1", TLP_CLEAR, copyright_["id"]), indicator("2", TLP_CLEAR, secret["id"])
    await brought(home, server, "a", copyright_, secret)
    server.answer = lambda _: page([marked, red])
    await home.poll("a")
    assert home.thing(marked["id"]).tlp is Tlp.CLEAR
    assert (home.thing(red["id"]).tlp, home.thing(red["id"]).said) == (Tlp.RED, Tlp.RED)
    other = indicator("3", TLP_CLEAR, copyright_["id"])
    await brought(home, server, "b", other)
    assert home.thing(other["id"]).tlp is Tlp.AMBER_STRICT
    pap = indicator("4", TLP_CLEAR, "marking-definition--c43594d1-4b11-4c59-93ab-1c9b14d53ce9")
    await brought(home, server, "c", pap)
    assert (home.thing(pap["id"]).tlp, home.thing(pap["id"]).pap) == (Tlp.CLEAR, Pap.GREEN)


async def test_markings_whose_definitions_are_endless_are_unknown(
    home: Home, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": "marking-definition--10000000-0000-4000-8000-00000000bbbb",
        "created": "2026-09-01T00:00:00.000Z",
        "definition_type": "statement",
        "definition": {"statement": "Made by us"},
    }
    endless = {**mark, "id": mark["id"].replace("bbbb", "aaaa")}
    versions = [{**endless, "definition": {"statement": f"{n}" * 300}} for n in range(3)]
    short, long_ = indicator("1", TLP_CLEAR, mark["id"]), indicator("2", TLP_CLEAR, endless["id"])
    await brought(home, server, "a", mark, *versions)
    monkeypatch.setattr("exchange.node.feeds.feeds.MARKING_BYTES", 1_000)
    server.answer = lambda _: page([short, long_])
    assert (await home.poll("a")).code == ""
    assert home.thing(short["id"]).tlp is Tlp.CLEAR
    assert home.thing(long_["id"]).tlp is Tlp.AMBER_STRICT


async def test_one_uuid_through_two_doors_is_one_thing_with_the_strictest_label(
    home: Home, server: Server
) -> None:
    one = indicator("one", TLP_CLEAR)
    uuid = one["id"].partition("--")[2]
    await brought(home, server, "a", one)
    seen = indicator("as MISP has it", TLP_AMBER, id=f"indicator--{uuid.upper()}", labels=["PAP:RED"])
    await brought(home, server, "b", {**seen, "id": one["id"]})
    thing = home.thing(one["id"])
    assert (thing.tlp, thing.pap, len(thing.feeds)) == (Tlp.AMBER, Pap.RED, 2)
    assert home.thing(f"observed-data--{uuid}").key == thing.key
    # a version with a weaker label, by whichever door, makes it no weaker
    await brought(home, server, "c", {**one, "modified": "2026-09-02T00:00:00.000Z"})
    assert home.thing(one["id"]).tlp is Tlp.AMBER
    assert {listed.thing.tlp for name in ("a", "b", "c") for listed in home.listed(name)} == {Tlp.AMBER}


async def test_repeats_change_nothing(home: Home, server: Server) -> None:
    one = indicator()
    await brought(home, server, "a", one, one)
    before = home.listed("a")
    assert len(before) == 1
    assert (await home.poll("a")).new == 0
    assert home.listed("a") == before


async def test_search_by_type_and_text(home: Home, server: Server) -> None:
    await brought(home, server, "a", indicator("Bank of Nowhere"), indicator("else"))
    assert [one["name"] for one in home.objects("a", text="NOWHERE")] == ["Bank of Nowhere"]
    assert home.objects("a", type_="malware") == []
    assert len(home.objects("a", type_="indicator")) == 2


# -- decisions ------------------------------------------------------------------------------------------------------


def sent(home: Home, *objects: dict[str, Any], to: Reader = CO, tlp: Tlp = Tlp.AMBER) -> str:
    """The code of the refusal to send a message with these, or ""."""
    author = Author(id="identity--10000000-0000-4000-8000-0000000000aa", name="pe-csirt", created=NOW)
    draft = Draft(
        id="10000000-0000-4000-8000-0000000000bb",
        kind="alert",
        case_id="case-1",
        urgency=Urgency.ROUTINE,
        tlp=tlp,
        subject="Objects",
        created=NOW,
    )
    message = compose(draft, author, [read_object(orjson.dumps(one)) for one in objects])
    judged = home.store.db.read_sync(lambda c: judge(c, home.store.cipher, message.bundle, tlp, [to]))
    home.store.db.write_sync(lambda c: judged.note(c, message.id, who="analyst", now=home.now))
    try:
        judged.check()
    except Refused as refusal:
        return refusal.code
    return ""


async def test_nothing_goes_to_others_before_somebody_decides(home: Home, server: Server) -> None:
    one, own = indicator("outside", TLP_GREEN), indicator("our own", TLP_GREEN)
    await brought(home, server, "a", one)
    assert (sent(home, own), sent(home, one), sent(home, own, one)) == (
        "",
        "release.outside",
        "release.outside",
    )
    assert sent(home, one, to=OWN) == ""
    with pytest.raises(Refused, match=r"feed\.no-reason"):
        home.outside.decide(one["id"], " ")
    assert home.outside.decide(one["id"], "checked with the bank") == 1
    assert sent(home, one) == ""
    assert home.outside.take_back(one["id"]) == 1
    assert sent(home, one) == "release.outside"
    log = home.store.db.read_sync(lambda c: store_access.listed(c, limit=100))
    [decision] = [row for row in log if row.action == "outside-decide"]
    assert (decision.who, decision.at) == ("analyst", home.now)
    assert decision.what.endswith("checked with the bank")
    assert {row.action for row in log} >= {"forward", "forward refused", "outside-undecide"}


async def test_a_decision_is_on_what_was_there(home: Home, server: Server) -> None:
    one = indicator("first", TLP_GREEN)
    await brought(home, server, "a", one)
    home.outside.decide(one["id"], "seen")
    server.answer = lambda _: page([{**one, "name": "changed", "modified": "2026-09-02T00:00:00.000Z"}])
    await home.poll("a")
    assert sent(home, one) == "release.outside"
    home.outside.decide(one["id"], "seen again")
    assert sent(home, one) == ""
    await brought(home, server, "b", {**one, "object_marking_refs": [TLP_AMBER]})
    assert sent(home, one) == "release.outside"


def report(*refs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "report",
        "spec_version": "2.1",
        "id": "report--10000000-0000-4000-8000-00000000abcd",
        "created": "2026-09-01T00:00:00.000Z",
        "modified": "2026-09-01T00:00:00.000Z",
        "published": "2026-09-01T00:00:00.000Z",
        "name": "A report",
        "object_refs": [one["id"] for one in refs],
        "object_marking_refs": [TLP_GREEN],
        **more,
    }


async def test_a_decision_on_a_report_is_on_what_it_refers_to(
    home: Home, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "AT_ONCE", 3)  # decisions in one transaction
    parts = [indicator(str(n), TLP_GREEN) for n in range(3)]
    unknown = {"id": "malware--10000000-0000-4000-8000-00000000ffff"}
    made = report(*parts, unknown, *parts)
    await brought(home, server, "a", made, *parts)
    assert home.outside.decide(made["id"], "all of it") == 4
    assert sent(home, made, *parts) == ""
    file = home.outside.export([made["id"], parts[0]["id"]], OWN)
    assert (file.objects, file.tlp) == (4, Tlp.GREEN)
    assert [one["id"] for one in orjson.loads(file.bundle)["objects"]] == [
        made["id"],
        *(p["id"] for p in parts),
    ]
    log = home.store.db.read_sync(lambda c: store_access.listed(c, limit=100))
    assert [row.what.partition(", to ")[0] for row in log if row.action == "export"] == [
        f"outside {parts[0]['id']}, 1 objects",
        f"outside {made['id']}, 4 objects",
    ]
    monkeypatch.setattr(outside, "MOST_EXPORTED", 1_200)
    with pytest.raises(Refused, match=r"feed\.export-too-large"):
        home.outside.export([made["id"]], OWN)
    assert home.outside.export([parts[0]["id"]], OWN).objects == 1


async def test_a_decision_on_a_report_is_not_on_what_other_feeds_brought(home: Home, server: Server) -> None:
    """A report may name anything: whoever makes it must not have decided what it never showed."""
    other = indicator("of another feed", TLP_GREEN)
    made = report(other)
    await brought(home, server, "a", other)
    await brought(home, server, "b", made)
    assert home.outside.decide(made["id"], "the report alone") == 1
    assert (sent(home, made), sent(home, other)) == ("", "release.outside")


async def test_a_decision_on_a_forged_report_is_not_on_what_its_forger_never_brought(
    home: Home, server: Server
) -> None:
    seen, unseen = indicator("seen", TLP_GREEN), indicator("unseen", TLP_GREEN)
    await brought(home, server, "good", report(seen), seen, unseen)
    await brought(home, server, "bad", report(seen, unseen, modified="2026-09-03T00:00:00.000Z"), seen)
    assert home.outside.decide(report()["id"], "looks well") == 2
    assert (sent(home, seen), sent(home, unseen)) == ("", "release.outside")


async def test_what_is_taken_back_is_what_was_decided_then(home: Home, server: Server) -> None:
    """Not what a later version of the report refers to."""
    before, after = indicator("before", TLP_GREEN), indicator("after", TLP_GREEN)
    await brought(home, server, "a", report(before), before, after)
    assert home.outside.decide(report()["id"], "good") == 2
    home.outside.decide(after["id"], "by itself")
    server.answer = lambda _: page([report(after, modified="2026-09-03T00:00:00.000Z")])
    await home.poll("a")
    assert home.outside.take_back(report()["id"]) == 2
    assert (sent(home, before), sent(home, after)) == ("release.outside", "")


async def test_a_rule_holds_for_a_feed_up_to_a_label(home: Home, server: Server) -> None:
    green, amber = indicator("green", TLP_GREEN), indicator("amber", TLP_AMBER)
    await brought(home, server, "a", green, amber)
    home.outside.add_rule("a", Tlp.GREEN, "agreed with them")
    assert (sent(home, green), sent(home, amber)) == ("", "release.outside")
    # what also comes by a feed without a rule wants a decision
    await brought(home, server, "b", green)
    assert sent(home, green) == "release.outside"
    home.outside.add_rule("b", Tlp.CLEAR, "agreed less")
    assert sent(home, green) == "release.outside"
    home.outside.add_rule("b", Tlp.GREEN, "agreed more")
    assert sent(home, green) == ""
    assert home.outside.end_rules("a") == 1
    assert sent(home, green) == "release.outside"
    with pytest.raises(Refused, match=r"feed\.unknown"):
        home.outside.add_rule("nobody", Tlp.GREEN, "x")


async def test_a_decided_thing_still_obeys_its_label(home: Home, server: Server) -> None:
    amber = indicator("amber", TLP_AMBER)
    await brought(home, server, "a", amber)
    home.outside.decide(amber["id"], "so what")
    assert sent(home, amber) == "release.other-organisation"
    plain = indicator("with the floor's label")
    await brought(home, server, "b", plain)
    assert sent(home, plain, to=OWN) == "tlp.weaker-than-content"
    assert sent(home, plain, to=OWN, tlp=Tlp.AMBER_STRICT) == ""


async def test_nothing_goes_back_through_its_own_door(home: Home, server: Server) -> None:
    one = indicator("theirs", TLP_GREEN)
    await brought(home, server, "a", one, readers=("co-csirt",))
    home.outside.decide(one["id"], "good")
    assert sent(home, one) == "release.own-door"
    assert sent(home, one, to=Reader(who=Who.MEMBER, name="co-csirt/soc")) == "release.own-door"
    assert sent(home, one, to=Reader(who=Who.MEMBER, name="bb-csirt")) == ""
    with pytest.raises(Refused, match=r"release\.own-door"):
        home.outside.export([one["id"]], Reader(who=Who.OWN, name="a"))


async def test_what_is_for_named_persons_goes_to_none(home: Home, server: Server) -> None:
    """Its source named nobody here, so no reader is one that it names."""
    red, amber = indicator("red", TLP_RED), indicator("amber", TLP_AMBER)
    await brought(home, server, "a", red, amber)
    home.outside.add_rule("a", Tlp.RED, "agreed with them")
    own, theirs = (
        Reader(who=Who.PERSON, name="pe-csirt/ana", own=True),
        Reader(who=Who.PERSON, name="co-csirt/eva"),
    )
    assert sent(home, amber, to=theirs, tlp=Tlp.RED) == "release.other-organisation"
    for reader in (theirs, own, CO, OWN):
        assert sent(home, red, to=reader, tlp=Tlp.RED) == "tlp.red-needs-persons"


async def test_a_disk_full_at_the_first_batch_hides_nothing_of_the_next(home: Home, server: Server) -> None:
    """The key that things are found by stands with them: one of a transaction that was undone stands nowhere."""
    one = indicator("outside", TLP_GREEN, description="long " * 20_000)
    server.answer = lambda _: page([one])
    home.add("a", server.url)
    await home.store.db.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1").scalar_one())
    assert (await home.poll("a")).code == "storage.full"
    await home.store.db.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=100000").scalar_one())
    assert (await home.poll("a")).new == 1
    assert sent(home, one) == "release.outside"
    assert home.outside.decide(one["id"], "checked") == 1


async def test_unknown_things(home: Home, server: Server) -> None:
    with pytest.raises(Refused, match=r"feed\.no-object"):
        home.outside.decide("indicator--10000000-0000-4000-8000-000000000009", "x")
    await brought(home, server, "a", indicator())
    with pytest.raises(Refused, match=r"feed\.no-object"):
        home.outside.export(["indicator--10000000-0000-4000-8000-000000000009"], OWN)
