"""Every door of a node, for every label and reader: what may pass does, what may not stays, and both are logged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any, NoReturn

import orjson
import pytest

from exchange.directory.bodies_contacts import PERSON, UNIT
from exchange.errors import Refused
from exchange.formats.extract import extract
from exchange.formats.mentions import Assets
from exchange.formats.stix.cover import compose, read_message
from exchange.formats.stix.handing_on import objects_of, original_of
from exchange.formats.stix.read import read_object
from exchange.limits import DAY_MS
from exchange.message import Author, Draft, Kind, Urgency, member_identity_id
from exchange.node.doors.doors import Passed, own_reader, reader_at, readers_of_assets
from exchange.node.store.outbox import Outgoing
from exchange.pap import Pap
from exchange.release import Door, Reader, Who
from exchange.tlp import Tlp
from tests.address_book import shelf
from tests.node.unit_homes import UnitSite, published
from tests.simulator import Simulation, Site
from tests.worlds import NOW

CANARY = "Kanarienvogel-7731"
OURS, THEIRS = "203.0.113.9", "198.51.100.4"
WATER = frozenset({"203.0.113.0/24"})
EXERCISE = "simulacro-2026"


def told(
    site: Site,
    *to: str,
    tlp: Tlp,
    pap: Pap | None = None,
    exercise_id: str | None = None,
    message_id: str = "",
    case: str = "case-1",
) -> str:
    """Queue an alert about two utilities; its id."""
    author = Author(
        id=member_identity_id(site.simulation.network, site.member), name=site.member, created=NOW
    )
    draft = Draft(
        id=message_id or site.up.sources.new_id(),
        kind=Kind.ALERT,
        case_id=case,
        urgency=Urgency.ROUTINE,
        tlp=tlp,
        subject=CANARY,
        created=site.up.sources.clock(),
        exercise_id=exercise_id,
    )
    objects = [
        read_object(orjson.dumps(_seen(number, value, pap))) for number, value in enumerate((OURS, THEIRS))
    ]
    message = compose(draft, author, objects)
    outgoing = Outgoing(
        draft.id, "stix", "routine", draft.created, draft.created + 30 * DAY_MS, message.bundle
    )
    site.desk.submit(outgoing, to)
    return draft.id


def _seen(number: int, value: str, pap: Pap | None) -> dict[str, Any]:
    at = "2026-09-20T06:40:00.000Z"
    object_ = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--0000000{number}-0000-4000-8000-000000000000",
        "created": at,
        "modified": at,
        "pattern": f"[ipv4-addr:value = '{value}']",
        "pattern_type": "stix",
        "valid_from": at,
    }
    return object_ | ({"labels": [pap.label]} if pap else {})


def readers(site: Site) -> Iterator[tuple[str, Reader]]:
    """Who there is, as the node of `site` knows them."""
    directory = site.up.replica.directory
    yield "own member", own_reader(site.member)
    yield "a unit of its own", reader_at(directory, site.member, f"{site.member}/tracing")
    yield "another member", replace(reader_at(directory, site.member, "bb-csirt"), assets=WATER)
    yield "a constituent", Reader(who=Who.CONSTITUENT, name="water", assets=WATER)


# Which of these readers each label and door lets have it: by hand, once more beside docs/policy.md.
EVERYBODY = {"own member", "a unit of its own", "another member", "a constituent"}
WITHIN = {"own member", "a unit of its own"}
MAY: dict[Tlp, dict[Door, set[str]]] = {
    tlp: {door: set(EVERYBODY) for door in Door} for tlp in (Tlp.CLEAR, Tlp.GREEN)
} | {
    Tlp.AMBER: {door: set(WITHIN) for door in Door} | {Door.EXTRACT: {"a constituent"}},
    Tlp.AMBER_STRICT: {door: set(WITHIN) for door in Door},
    Tlp.RED: {door: set() for door in Door},
}
for _by_door in MAY.values():
    _by_door[Door.EXTRACT] -= WITHIN
    _by_door[Door.FORWARD] -= {"a constituent"}


def made(passed: Passed, door: Door) -> bytes:
    if door is not Door.EXTRACT:
        return passed.message.bundle
    found = extract(passed.message, Assets.read(WATER))
    return b"".join(each.data for each in found.objects)


@pytest.mark.parametrize("tlp", Tlp)
async def test_each_label_at_each_door_for_each_reader(
    sim: Simulation, pe: Site, host: Site, co: Site, tlp: Tlp
) -> None:
    await published(sim, host, "tracing", UNIT)
    message_id = told(co, host.member, tlp=tlp)
    await sim.rounds()
    expected = []
    for door, (name, reader) in product(Door, readers(host)):
        doors = host.up.doors("ana")
        if name in MAY[tlp][door]:
            data = doors.let_out(door, message_id, [reader], lambda passed, door=door: made(passed, door))
            assert OURS.encode() in data
            assert (THEIRS.encode() in data) == (CANARY.encode() in data) == (door is not Door.EXTRACT)
            expected.append((door.value, ""))
        else:
            with pytest.raises(Refused) as refusal:
                doors.let_out(door, message_id, [reader], unasked)
            assert CANARY not in refusal.value.detail
            assert refusal.value.facts["ask"] in refusal.value.detail
            expected.append((f"{door.value} refused", refusal.value.code))
    logged = [(row.action, row.what) for row in reversed(host.desk.access_log())]
    assert len(logged) == len(expected)
    for (action, what), (wanted, code) in zip(logged, expected, strict=True):
        assert action == wanted
        assert what.startswith(f"co-csirt {message_id} to ")
        assert code in what
        assert CANARY not in what
    passed = any(not code for _, code in expected)
    assert host.desk.unopened() == (0 if passed else 1)


def unasked(_passed: Passed) -> NoReturn:
    pytest.fail("content was handed out")


async def test_red_leaves_only_to_the_persons_it_names(
    sim: Simulation, pe: Site, host: Site, co: Site
) -> None:
    ana = await published(sim, host, "p-aaaaaaaaaa", PERSON)
    luz = await published(sim, host, "p-bbbbbbbbbb", PERSON)
    message_id = told(co, ana.member, luz.member, tlp=Tlp.RED)
    await sim.rounds()
    assert passes(ana, message_id, own_reader(ana.member)) == {Door.FORWARD, Door.PRINT}
    directory = host.up.replica.directory
    assert passes(ana, message_id, reader_at(directory, ana.member, luz.member)) == {Door.FORWARD, Door.PRINT}
    for other in (host.member, "bb-csirt", "co-csirt"):
        assert passes(ana, message_id, reader_at(directory, ana.member, other)) == set()
    eve = await published(sim, host, "p-eeeeeeeeee", PERSON)
    assert passes(ana, message_id, reader_at(host.up.replica.directory, ana.member, eve.member)) == set()


def passes(site: UnitSite, message_id: str, reader: Reader) -> set[Door]:
    """The doors it passes to that reader; the others say that it is RED, or not for such a reader at all."""
    found, codes = set(), set()
    for door in Door:
        try:
            site.up.doors("ana").let_out(door, message_id, [reader], lambda passed: passed)
        except Refused as refusal:
            codes.add(refusal.code)
        else:
            found.add(door)
    assert codes <= {"tlp.red-needs-persons", "release.wrong-door", "release.no-assets"}
    return found


@pytest.mark.parametrize("pap", Pap)
async def test_pap_closes_what_acts_by_itself(sim: Simulation, pe: Site, co: Site, pap: Pap) -> None:
    message_id = told(pe, co.member, tlp=Tlp.GREEN, pap=pap)
    await sim.rounds()
    closed = pap in (Pap.AMBER, Pap.RED)
    water = Reader(who=Who.CONSTITUENT, name="water", assets=WATER)
    watching = replace(own_reader(co.member), passive=True)
    for door, reader, shut in (
        (Door.TAXII, own_reader(co.member), closed),
        (Door.API, watching, pap is Pap.RED),
        (Door.EXTRACT, water, closed),
        (Door.EXPORT, own_reader(co.member), False),
    ):
        if not shut:
            co.up.doors("ana").let_out(door, message_id, [reader], lambda passed: passed)
            continue
        with pytest.raises(Refused, match=r"release\.pap.*ask pe-csirt"):
            co.up.doors("ana").let_out(door, message_id, [reader], unasked)


async def test_exercises_pass_only_what_is_marked_for_them(sim: Simulation, pe: Site, co: Site) -> None:
    played = told(pe, co.member, tlp=Tlp.GREEN, exercise_id=EXERCISE)
    real = told(pe, co.member, tlp=Tlp.GREEN)
    await sim.rounds()
    for door in (Door.FORWARD, Door.EXPORT, Door.TAXII, Door.API, Door.EMAIL, Door.PRINT):
        doors = co.up.doors("ana")
        marked, plain = own_reader(co.member, exercise=True), own_reader(co.member)
        assert doors.let_out(door, played, [marked], lambda passed: passed.message.exercise_id) == EXERCISE
        doors.let_out(door, real, [plain], lambda passed: passed)
        for message_id, reader in ((played, plain), (real, marked)):
            with pytest.raises(Refused, match=r"release\.(exercise|not-an-exercise)"):
                doors.let_out(door, message_id, [reader], unasked)


async def test_of_several_readers_one_refusal_keeps_it_from_all(sim: Simulation, pe: Site, co: Site) -> None:
    message_id = told(pe, co.member, tlp=Tlp.AMBER)
    await sim.rounds()
    both = [own_reader(co.member), Reader(who=Who.MEMBER, name="bb-csirt")]
    with pytest.raises(Refused, match=r"release\.other-organisation"):
        co.up.doors("ana").let_out(Door.FORWARD, message_id, both, unasked)
    assert [row.action for row in co.desk.access_log()] == ["forward refused"]
    assert co.desk.unopened() == 1


async def test_what_is_handed_on_keeps_every_byte_of_the_original(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    message_id = told(pe, co.member, tlp=Tlp.GREEN)
    await sim.rounds()
    first = co.inbox()[0].payload

    def onward(passed: Passed) -> Outgoing:
        author = Author(id=member_identity_id(sim.network, co.member), name=co.member, created=NOW)
        draft = Draft(
            id=co.up.sources.new_id(),
            kind=Kind.FORWARD,
            case_id=passed.message.case_id,
            urgency=Urgency.ROUTINE,
            tlp=passed.message.tlp,
            subject="Fwd",
            created=sim.world.now,
        )
        bundle = compose(draft, author, objects_of(passed.message)).bundle
        return Outgoing(draft.id, "stix", "routine", sim.world.now, sim.world.now + DAY_MS, bundle)

    reader = reader_at(co.up.replica.directory, co.member, bb.member)
    sent = co.up.doors("ana").let_out(Door.FORWARD, message_id, [reader], onward)
    co.desk.submit(sent, [bb.member])
    await sim.rounds()
    (got,) = bb.inbox()
    assert first[first.index(b"[") + 1 : -2] in got.payload
    shown = original_of(
        bb.up.doors("joe").let_out(Door.EXPORT, got.message_id, [own_reader("bb-csirt")], _message)
    )
    assert shown is not None
    assert (shown.id, shown.name, got.sender) == (message_id, "pe-csirt", "co-csirt")


async def test_what_this_node_sent_passes_by_its_own_label(sim: Simulation, pe: Site, co: Site) -> None:
    message_id = told(pe, co.member, tlp=Tlp.AMBER)
    doors, own = pe.up.doors("ana"), own_reader("pe-csirt")
    passed = doors.let_out(Door.EXPORT, message_id, [own], lambda passed: passed)
    assert (passed.message.id, passed.sender, passed.received) == (message_id, "pe-csirt", None)
    other = Reader(who=Who.MEMBER, name="bb-csirt")
    with pytest.raises(Refused, match=r"release\.other-organisation.*ask pe-csirt"):
        doors.let_out(Door.FORWARD, message_id, [other], unasked)
    assert [(row.action, row.what.partition(":")[0]) for row in pe.desk.access_log()] == [
        ("forward refused", f"pe-csirt {message_id} to member bb-csirt"),
        ("export", f"pe-csirt {message_id} to own pe-csirt"),
    ]
    status = pe.desk.sent(message_id).message
    with pytest.raises(Refused, match=r"message\.unknown"):
        doors.let_out(Door.EXPORT, "0" + status.id[1:-1] + "0", [own], unasked)


async def test_under_an_id_that_two_members_used_nothing_leaves_until_somebody_says_whose(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    """Whoever was sent a message knows its id, and may send another one under it."""
    message_id = told(pe, co.member, bb.member, tlp=Tlp.GREEN)
    await sim.rounds()
    told(bb, co.member, pe.member, tlp=Tlp.CLEAR, message_id=message_id, case="case-2")
    await sim.rounds()
    doors, own = co.up.doors("ana"), own_reader(co.member)
    with pytest.raises(Refused, match=r"message\.ambiguous.*bb-csirt, pe-csirt"):
        doors.let_out(Door.EXPORT, message_id, [own], unasked)
    for sender in (pe.member, bb.member):
        assert doors.let_out(Door.EXPORT, message_id, [own], lambda one: one.sender, sender=sender) == sender
    with pytest.raises(Refused, match=r"message\.unknown"):
        doors.let_out(Door.EXPORT, message_id, [own], unasked, sender=co.member)
    for site in (co, pe):
        with pytest.raises(Refused, match=r"message\.ambiguous"):
            site.desk.thread(message_id, own=site.member)
        for sender, case in ((pe.member, "case-1"), (bb.member, "case-2")):  # its own, too
            assert site.desk.thread(message_id, sender, own=site.member) == (case, "routine")
    with pytest.raises(Refused, match=r"message\.unknown"):
        pe.desk.thread(message_id, co.member, own=pe.member)
    with pytest.raises(Refused, match=r"message\.ambiguous"):
        co.desk.answer(message_id, "acknowledged", person="Ana", note="for PE alone")
    assert co.desk.answer(message_id, "acknowledged", person="Ana", note="for PE", sender=pe.member) == 1
    await sim.rounds(2)
    assert (pe.copy(message_id, co.member).note, bb.copy(message_id, co.member).note) == ("for PE", "")
    # nor is it taken for what this node sent
    with pytest.raises(Refused, match=r"message\.ambiguous.*this node itself"):
        pe.up.doors("ana").let_out(Door.EXPORT, message_id, [own_reader(pe.member)], unasked)
    mine = pe.up.doors("ana").let_out(
        Door.EXPORT, message_id, [own_reader(pe.member)], lambda passed: passed, sender=pe.member
    )
    assert (mine.sender, mine.received) == (pe.member, None)


async def test_a_second_content_under_one_id_is_told_to_whoever_hands_it_on(
    sim: Simulation, pe: Site, co: Site
) -> None:
    message_id = told(pe, co.member, tlp=Tlp.GREEN)
    await sim.rounds()
    await co.up.store.db.write(lambda c: c.exec_driver_sql("UPDATE inbox SET conflict = 1"))
    doubts = co.up.doors("ana").let_out(
        Door.EXPORT, message_id, [own_reader(co.member)], lambda one: one.doubts
    )
    assert doubts == ["conflict"]


async def test_nothing_leaves_for_nobody(sim: Simulation, pe: Site, co: Site) -> None:
    message_id = told(pe, co.member, tlp=Tlp.CLEAR)
    with pytest.raises(Refused, match=r"policy\.no-recipient"):
        pe.up.doors("ana").let_out(Door.EXPORT, message_id, [], unasked)


async def test_an_exercise_handed_on_under_a_cover_that_hides_it_stays_one(
    sim: Simulation, pe: Site, co: Site
) -> None:
    played = read_message(
        pe.desk.sent(told(pe, co.member, tlp=Tlp.GREEN, exercise_id=EXERCISE)).message.payload
    )
    author = Author(id=member_identity_id(sim.network, pe.member), name=pe.member, created=NOW)
    draft = Draft(
        id=pe.up.sources.new_id(),
        kind=Kind.FORWARD,
        case_id="hidden",
        urgency=Urgency.ROUTINE,
        tlp=Tlp.GREEN,
        subject="Fwd",
        created=sim.world.now,
    )
    bundle = compose(draft, author, objects_of(played)).bundle
    pe.desk.submit(Outgoing(draft.id, "stix", "routine", NOW, NOW + DAY_MS, bundle), [co.member])
    await sim.rounds()
    with pytest.raises(Refused, match=r"release\.exercise"):
        co.up.doors("ana").let_out(Door.TAXII, draft.id, [own_reader(co.member)], unasked)


@pytest.mark.parametrize(
    ("name", "assets", "expected"),
    [
        ("water", {"203.0.113.0/24"}, [(Who.CONSTITUENT, "water")]),  # nobody's by the directory
        ("water", {"192.0.2.0/25", "gob.pe"}, [(Who.CONSTITUENT, "water")]),  # within pe's own constituency
        ("pe-csirt", {"192.0.2.0/24"}, [(Who.CONSTITUENT, "pe-csirt")]),
        ("power", {"192.0.2.0/25", "198.51.100.0/25"}, [(Who.MEMBER, "co-csirt")]),  # a part is co's
        ("co-csirt", {"203.0.113.0/24"}, [(Who.MEMBER, "co-csirt")]),
        ("wide", {"198.0.0.0/8"}, [(Who.MEMBER, "co-csirt")]),  # co's is in it
        ("wide", {"192.0.0.0/8"}, [(Who.CONSTITUENT, "wide")]),  # pe's own is
        ("bank", {"bank.co"}, [(Who.CONSTITUENT, "bank")]),  # only by its ending
        ("shared", {"AS64500"}, [(Who.CONSTITUENT, "shared")]),  # both claim it, so it is pe's as well
    ],
)
def test_whose_assets_an_extract_is_about(
    name: str, assets: set[str], expected: list[tuple[Who, str]]
) -> None:
    known = shelf(("pe-csirt", "co-csirt"))
    known.claim("pe-csirt", prefix=["192.0.2.0/24"], domain=["gob.pe"], asn=[64500])
    known.claim("co-csirt", prefix=["198.51.100.0/24"], asn=[64500])
    for me in ("pe-csirt", "pe-csirt/tracing"):
        found = readers_of_assets(known.book(), me, name, frozenset(assets))
        assert [(one.who, one.name) for one in found] == expected
        assert all(one.assets == assets for one in found)


def _message(passed: Passed) -> Any:
    return passed.message
