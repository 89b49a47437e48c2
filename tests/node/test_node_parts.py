"""Parts of records at nodes: replicated by the hub, sent sealed to those entitled, forgotten when the log says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.content import PartNote
from exchange.directory.contacts import Part
from exchange.directory.submission import LOGGED
from exchange.errors import Refused
from exchange.node.store import parts as store_parts
from tests.node.approvals import PRESS, TRACING, a_contact
from tests.simulator import Simulation, Site

NAME, MOBILE = b"Canary Quispe Mamani", b"+51 999 000 111"
LEVELS = {"public": b"the lab", "members": NAME, "holders": MOBILE, "owner": b"note 17/2026"}


async def parts(site: Site) -> list[tuple[str, str]]:
    """What the node holds and the log names: address and level."""
    return [(part.address, part.level) for part in await site.up.parts.all()]


def files_with(folder: Path, needle: bytes) -> list[str]:
    """The files below a folder that hold these very bytes."""
    return [path.name for path in sorted(folder.rglob("*")) if path.is_file() and needle in path.read_bytes()]


async def test_record_reaches_every_node_and_repeats_change_nothing(
    sim: Simulation, pe: Site, co: Site
) -> None:
    submission = await pe.up.registration.publish_record(pe.hub, {"public": b"{}", "members": b"{1}"})
    assert submission.outcome == LOGGED
    await sim.rounds()
    assert await parts(co) == await parts(pe) == [("pe-csirt", "members"), ("pe-csirt", "public")]
    first = pe.up.replica.directory.records["pe-csirt"].parts
    await pe.up.registration.publish_record(pe.hub, {"public": b"{}", "members": b"{2}"})
    await sim.rounds()
    second = co.up.replica.directory.records["pe-csirt"].parts
    assert (first["public"] == second["public"], first["members"] == second["members"]) == (True, False)
    assert [part.body for part in await co.up.parts.all()] == [b"{2}", b"{}"]
    assert "directory.own-name" not in pe.alarm_codes()


async def test_each_level_is_held_by_those_it_is_for(sim: Simulation, pe: Site, co: Site, bb: Site) -> None:
    """co holds the topic, bb doesn't, nobody is the secretariat."""
    await a_contact(sim, co, "desk", {"public": b"a desk"})
    lab = await a_contact(sim, pe, "lab", LEVELS)
    await sim.rounds(4)
    assert [level for address, level in await parts(pe) if address == lab] == sorted(LEVELS)
    assert [level for address, level in await parts(co) if address == lab] == ["holders", "members", "public"]
    assert [level for address, level in await parts(bb) if address == lab] == ["members", "public"]
    held = {part.level: part.body for part in await co.up.parts.all() if part.address == lab}
    assert held["holders"] == MOBILE
    assert pe.alarm_codes() == co.alarm_codes() == bb.alarm_codes() == []


async def test_entitlement_that_comes_later_is_served_and_one_that_goes_is_forgotten(
    sim: Simulation, pe: Site, co: Site
) -> None:
    lab = await a_contact(sim, pe, "lab", LEVELS)
    await sim.rounds()
    assert (lab, "holders") not in await parts(co)
    desk = await a_contact(sim, co, "desk", {"public": b"a desk"})
    await sim.rounds(4)
    assert (lab, "holders") in await parts(co)
    await co.up.registration.end_contact(co.hub, desk)
    await sim.rounds()
    assert (lab, "holders") not in await parts(co)
    assert MOBILE not in [part.body for part in await _stored(co)]
    await a_contact(sim, co, "desk", {"public": b"again"})
    await sim.rounds(4)
    assert (lab, "holders") in await parts(co)


async def _stored(site: Site) -> list[Part]:
    store = site.up.store
    return await store.db.read(lambda c: store_parts.all_parts(c, store.cipher))


async def test_part_of_another_owner_or_for_others_is_dropped(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    """co passes pe's part on to bb, who isn't entitled; and makes one up in pe's name."""
    await a_contact(sim, co, "desk", {"public": b"a desk"})
    lab = await a_contact(sim, pe, "lab", LEVELS)
    await sim.rounds(4)
    (true,) = [part for part in await co.up.parts.all() if part.level == "holders"]
    forged = Part(lab, "holders", bytes(16), b"+57 666")
    for part in (true, forged):
        note = PartNote(part.address, part.level, part.salt, part.body)
        for site in (co, pe):  # of its owner, and of somebody else
            outbox = site.up.outbox
            await site.up.store.db.write(
                lambda c, outbox=outbox, note=note: outbox.send(
                    c, note.to_payload(), note.type, "routine", ["bb-csirt"]
                )
            )
    await sim.rounds(4)
    assert (lab, "holders") not in await parts(bb)
    assert [part.level for part in await _stored(bb) if part.level == "holders"] == []


async def test_restored_reader_is_sent_its_parts_again(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    await a_contact(sim, co, "desk", {"public": b"a desk"})
    await sim.rounds()
    await co.copy_home(tmp_path / "copy")
    lab = await a_contact(sim, pe, "lab", LEVELS)
    await sim.rounds(4)
    sent = co.send("pe-csirt")
    await co.up.prekeys.publish(co.hub, afresh=True)  # what shows the node that its home is an older one
    await sim.rounds()
    assert pe.received() == [sent]
    await co.restore(tmp_path / "copy")
    assert (lab, "holders") not in await parts(co)
    await sim.rounds(8)
    assert (lab, "holders") in await parts(co)


async def test_hub_that_lost_the_parts_gets_them_from_their_owner(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    await sim.copy_hub(tmp_path / "copy")
    await pe.up.registration.publish_record(pe.hub, {"public": b"who we are"})
    await sim.rounds(1)
    await sim.restore_hub(tmp_path / "copy")
    assert await sim.running_hub.registrar.parts(0) == []
    await sim.rounds(3)
    assert [one.part.body for one in await sim.running_hub.registrar.parts(0)] == [b"who we are"]
    assert await parts(co) == [("pe-csirt", "public")]


async def test_person_is_erased_from_every_file_and_the_log_still_verifies(
    sim: Simulation, pe: Site, co: Site, bb: Site, tmp_path: Path
) -> None:
    await a_contact(sim, co, "desk", {"public": b"a desk"})
    lab = await a_contact(sim, pe, "lab", LEVELS)
    await sim.rounds(4)
    assert files_with(tmp_path / "hub", NAME) != []  # it was there, to be handed out
    assert files_with(tmp_path, MOBILE) == []  # never at the hub, and sealed at every node
    assert NAME in [part.body for part in await _stored(bb)]
    await pe.up.registration.end_contact(pe.hub, lab)
    await sim.rounds(4)
    for site in (pe, co, bb):
        assert [part for part in await _stored(site) if part.address == lab] == []
        carried = await site.up.store.db.read(
            lambda c: [
                bytes(row.payload)
                for row in c.exec_driver_sql("SELECT payload FROM messages WHERE type = 'part'")
            ]
        )
        assert all(len(one) < 64 for one in carried)  # what carried it is blank
    root = pe.up.replica.directory.root()
    await sim.close()
    assert files_with(tmp_path, NAME) == files_with(tmp_path, MOBILE) == []
    await sim.start_hub()
    await bb.start()
    assert bb.up.replica.directory.root() == root
    assert bb.up.replica.directory.contacts[lab].ended != 0  # the tombstone: old messages resolve


async def test_part_over_its_limits_is_refused_before_anything_is_said(pe: Site) -> None:
    for bodies in ({"public": bytes(131_073)}, {"secret": b"x"}):
        with pytest.raises(Refused) as refused:
            await pe.up.parts.put("pe-csirt", bodies)
        assert refused.value.code == "directory.bad-part"
    assert await _stored(pe) == []


async def test_functions_without_a_common_topic_share_nothing(sim: Simulation, pe: Site, co: Site) -> None:
    await a_contact(sim, co, "press", {"public": b"press"}, function=PRESS)
    lab = await a_contact(sim, pe, "lab", LEVELS, function=TRACING)
    await sim.rounds(4)
    assert (lab, "holders") not in await parts(co)
