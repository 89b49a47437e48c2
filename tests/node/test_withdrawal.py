"""Restricted parts on their way: what is no longer the reader's, or nobody's, doesn't go out and stays nowhere."""

from __future__ import annotations

from exchange.content import PartNote, Restored
from exchange.directory.contacts import Part
from exchange.limits import DAY_MS
from exchange.node.budget import spend
from exchange.node.store import outbox as store_outbox, parts as store_parts, sent as store_sent
from exchange.node.store.store import Transaction
from tests.contact_points import BOTH
from tests.node.approvals import a_contact
from tests.node.test_hub_change import change, snapshot_of
from tests.simulator import Simulation, Site

MOBILE = b"+51 999 000 111"
LEVELS = {"public": b"the lab", "holders": MOBILE}


async def outgoing(site: Site) -> list[tuple[bytes, str, str]]:
    """Every part this node has queued: the message's payload, a recipient, the state of its copy."""
    store = site.up.store

    def read(connection: Transaction) -> list[tuple[bytes, str, str]]:
        rows = store_sent.listed(connection, store.cipher, type_=PartNote.type, before=None, limit=10_000)
        return [
            (store_outbox.get(connection, store.cipher, n).payload, copy.recipient, copy.state)
            for n, _ in rows
            for copy in store_outbox.addressees(connection, store.cipher, n)
        ]

    return await store.db.read(read)


async def held(site: Site) -> list[Part]:
    store = site.up.store
    return await store.db.read(lambda c: store_parts.all_parts(c, store.cipher))


async def follow(site: Site) -> None:
    """The log as it is now; nothing is sealed or uploaded."""
    await site.up.replica.refresh(site.hub)
    await site.up.parts.send_due()


async def test_what_a_former_reader_was_sent_is_erased_with_the_person(
    sim: Simulation, pe: Site, co: Site
) -> None:
    desk = await a_contact(sim, co, "desk", {"public": b"a desk"})
    lab = await a_contact(sim, pe, "lab", LEVELS)
    await sim.rounds(4)
    await co.up.registration.end_contact(co.hub, desk)
    await sim.rounds()
    await pe.up.registration.end_contact(pe.hub, lab)
    await sim.rounds()
    assert [payload for payload, _, _ in await outgoing(pe)] == [b""]


async def test_part_still_queued_is_not_sealed_for_who_lost_the_right(
    sim: Simulation, pe: Site, co: Site
) -> None:
    desk = await a_contact(sim, co, "desk", {"public": b"a desk"})
    await a_contact(sim, pe, "lab", LEVELS)
    await follow(pe)
    assert [state for _, _, state in await outgoing(pe)] == ["queued"]
    await co.up.registration.end_contact(co.hub, desk)
    await follow(pe)
    await sim.rounds()
    assert [(to, state) for _, to, state in await outgoing(pe)] == [("co-csirt", "lost")]
    assert pe.alarm_codes() == co.alarm_codes() == []


async def test_part_already_sealed_is_not_uploaded_for_who_lost_the_right(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    """It was sealed for two; the other one gets its own."""
    desk = await a_contact(sim, co, "desk", {"public": b"a desk"})
    await a_contact(sim, bb, "desk", {"public": b"a desk"})
    lab = await a_contact(sim, pe, "lab", LEVELS)
    await follow(pe)
    await pe.up.outbox.dispatch(pe.hub, ("routine",))
    assert {state for _, _, state in await outgoing(pe)} == {"sealed"}
    await co.up.registration.end_contact(co.hub, desk)
    await follow(pe)
    await sim.rounds(4)
    assert {to: state for _, to, state in await outgoing(pe)} == {"bb-csirt": "stored", "co-csirt": "lost"}
    assert [part.body for part in await held(bb) if part.address == lab and part.level == "holders"] == [
        MOBILE
    ]
    assert pe.alarm_codes() == co.alarm_codes() == bb.alarm_codes() == []


async def test_part_under_way_is_not_offered_again_when_its_person_is_erased(
    sim: Simulation, pe: Site, co: Site
) -> None:
    """The hub has it, its reader is off; then the hub is restarted and asks for everything once more."""
    await a_contact(sim, co, "desk", {"public": b"a desk"})
    lab = await a_contact(sim, pe, "lab", LEVELS)
    await co.stop()
    await sim.rounds()
    assert [state for _, _, state in await outgoing(pe)] == ["accepted"]
    await pe.up.registration.end_contact(pe.hub, lab)
    await sim.rounds()
    assert await outgoing(pe) == [(b"", "co-csirt", "lost")]
    await sim.restart_hub()
    await sim.rounds()

    def bodies(connection: Transaction) -> list[bytes | None]:
        rows = connection.exec_driver_sql(
            "SELECT s.body FROM sealings s JOIN messages m ON m.n = s.message_n WHERE m.type = 'part'"
        )
        return [row.body for row in rows]

    assert await pe.up.store.db.read(bodies) == [None]
    await co.start()
    sim.world.now += 2 * DAY_MS
    await sim.running_hub.registrar.renew()
    await sim.rounds(4)
    assert [part for part in await held(co) if part.level == "holders"] == []
    assert [payload for payload, _, _ in await outgoing(pe)] == [b""]
    assert pe.alarm_codes() == co.alarm_codes() == []


async def test_reader_that_rejects_a_part_is_sent_it_once_a_day(sim: Simulation, pe: Site, co: Site) -> None:
    """Else two nodes would do nothing but send and reject."""
    await a_contact(sim, co, "desk", {"public": b"a desk"})
    await a_contact(sim, pe, "lab", LEVELS)
    await sim.rounds(4)

    def reject(connection: Transaction) -> None:
        connection.exec_driver_sql(
            "UPDATE addressees SET state = 'rejected' WHERE recipient = 'co-csirt' AND message_n IN"
            " (SELECT n FROM messages WHERE type = 'part')"
        )

    await pe.up.store.db.write(reject)
    await sim.rounds()
    assert len(await outgoing(pe)) == 1
    await sim.wait(DAY_MS + 1)
    await sim.rounds()
    assert len(await outgoing(pe)) == 2


async def test_who_says_restored_without_end_is_sent_its_parts_four_times_a_day(
    sim: Simulation, pe: Site, co: Site
) -> None:
    await a_contact(sim, co, "desk", {"public": b"a desk"})
    await a_contact(sim, pe, "lab", LEVELS)
    await sim.rounds(4)
    for _ in range(8):
        outbox = co.up.outbox
        await co.up.store.db.write(
            lambda c, outbox=outbox: outbox.send(
                c, Restored(()).to_payload(), Restored.type, "immediate", ["pe-csirt"]
            )
        )
        await sim.rounds(2)
    assert len(await outgoing(pe)) == 1 + 4


async def test_more_parts_than_one_member_may_have_arrive_in_a_day(
    sim: Simulation, pe: Site, co: Site
) -> None:
    """A thousand contact points with two restricted parts each, and its record's two, are not too many."""
    await a_contact(sim, co, "desk", {"public": b"a desk"})
    await a_contact(sim, pe, "lab", LEVELS)
    await follow(co)
    (part,) = [one for one in await held(pe) if one.level == "holders"]
    note = PartNote(part.address, part.level, part.salt, part.body)
    await co.up.store.db.write(lambda c: budget_of(co, c, 2 * 1_000 + 1))
    step = co.up.parts.prepare("pe-csirt", note)
    await co.up.store.db.write(step)
    assert part in await held(co)


def budget_of(site: Site, connection: Transaction, spent: int) -> None:
    """So many parts of pe have come today."""
    for _ in range(spent):
        spend(connection, "parts", "pe-csirt", now=site.up.sources.clock(), most=spent)


async def test_what_a_change_of_hub_takes_back_is_sent_again_when_it_is_logged_again(
    sim: Simulation, pe: Site, co: Site
) -> None:
    """Its readers may have waited in vain for the log to name it, and have dropped it."""
    await a_contact(sim, co, "desk", {"public": b"a desk"})
    await sim.rounds()
    snapshot = await snapshot_of(pe)
    await a_contact(sim, pe, "lab", LEVELS)
    await sim.rounds(4)
    assert len(await current(pe)) == 1
    await pe.up.notices.accept(change(snapshot, BOTH, sim.world.now))
    await pe.up.succession.adopt()
    assert await current(pe) == {}


async def current(site: Site) -> dict[tuple[bytes, str], str]:
    """Which part went to whom, and need not go again."""
    return await site.up.store.db.read(lambda c: store_parts.sent(c, again_before=0))
