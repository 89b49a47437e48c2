"""Messages from node to node through the hub's services: the good day, and the ordinary bad ones."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from exchange.errors import Refused, Unavailable
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.message import Urgency
from exchange.node.store import receipts as store_receipts, sealings as store_sealings
from exchange.node.store.outbox import Outgoing
from exchange.protocol import ITEM_DELIVERY, Item
from tests.simulator import Simulation, Site


async def test_message_arrives_is_opened_and_acknowledged(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    sent = pe.send("co-csirt", "bb-csirt", urgency=Urgency.FLASH)
    await sim.rounds()
    assert pe.state(sent, "co-csirt") == pe.state(sent, "bb-csirt") == "stored"
    (got,) = co.inbox()
    assert (got.message_id, got.sender, got.lane, got.marks) == (sent, "pe-csirt", "flash", frozenset())
    co.desk.open(sent)
    co.desk.answer(sent, "acknowledged", person="Ana Lopez")
    await sim.rounds()
    copy = pe.copy(sent, "co-csirt")
    assert copy.opened_at == copy.acknowledged_at == sim.world.now
    assert copy.person == "Ana Lopez"
    assert pe.copy(sent, "bb-csirt").opened_at is None
    assert pe.alarm_codes() == co.alarm_codes() == bb.alarm_codes() == []


async def test_note_stands_beside_nobody_elses_name(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt", urgency=Urgency.FLASH)
    await sim.rounds()
    answers = [
        ("acknowledged", "Ana Lopez", "Blocked at the border"),
        ("working", "Ana Lopez", ""),
        ("declined", "Luis Rey", ""),
    ]
    told = []
    for level, person, note in answers:
        co.desk.answer(sent, level, person=person, note=note)
        await sim.rounds()
        copy = pe.copy(sent, "co-csirt")
        told.append((copy.person, copy.note))
    assert told == [
        ("Ana Lopez", "Blocked at the border"),
        ("Ana Lopez", "Blocked at the border"),
        ("Luis Rey", ""),
    ]


async def test_recipient_that_was_down_catches_up_in_order(sim: Simulation, pe: Site, bb: Site) -> None:
    await bb.stop()
    sent = [pe.send("bb-csirt", "co-csirt", subject=f"number {n}") for n in range(5)]
    await sim.rounds()
    assert [pe.state(one, "bb-csirt") for one in sent] == ["accepted"] * 5
    assert [pe.state(one, "co-csirt") for one in sent] == ["stored"] * 5
    await bb.start()
    await sim.rounds()
    assert bb.received() == sent
    assert [pe.state(one, "bb-csirt") for one in sent] == ["stored"] * 5
    assert all(one.marks == frozenset() for one in bb.inbox())


async def test_separate_message_is_one_envelope_a_recipient(sim: Simulation, pe: Site) -> None:
    sent = pe.send("co-csirt", "bb-csirt", separate=True)
    await sim.rounds()
    one, other = pe.copy(sent, "co-csirt"), pe.copy(sent, "bb-csirt")
    assert (one.state, other.state) == ("stored", "stored")
    assert one.env != other.env


async def test_same_id_is_queued_once(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")
    pe.send("co-csirt", message_id=sent)
    await sim.rounds()
    assert co.received() == [sent]


async def test_hub_killed_between_accept_and_its_answer(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")

    def cut(name: str, _answer: Any) -> None:
        if name == "put_envelope":
            raise Unavailable("hub.unreachable")

    pe.hub.wire.after = cut
    await sim.rounds(1)
    assert pe.state(sent, "co-csirt") == "sealed"
    pe.hub.wire.after = lambda _name, _value: None
    await sim.restart_hub()
    await sim.rounds()
    assert pe.state(sent, "co-csirt") == "stored"
    assert co.received() == [sent]


async def test_hub_restarts_between_accept_and_receipt(sim: Simulation, pe: Site, co: Site) -> None:
    await co.stop()
    sent = pe.send("co-csirt")
    await sim.rounds(1)
    assert pe.state(sent, "co-csirt") == "accepted"
    for _ in range(3):
        await sim.restart_hub()
        await sim.rounds(1)
    await co.start()
    await sim.rounds()
    assert (co.received(), pe.state(sent, "co-csirt")) == ([sent], "stored")


STEPS = ("prekey_records", "put_envelope", "post_envelopes", "mailbox", "state", "checkpoint")


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_sender_killed_around_any_call(
    sim: Simulation, pe: Site, co: Site, step: str, side: str
) -> None:
    """Around each call the sender dies; started again it neither loses nor doubles anything."""
    sent = [pe.send("co-csirt", subject=f"number {n}") for n in range(3)]

    def die(name: str, _value: Any) -> None:
        if name == step:
            raise asyncio.CancelledError

    setattr(pe.hub.wire, side, die)
    with contextlib.suppress(asyncio.CancelledError):
        await pe.once()
    pe.hub.wire.before = pe.hub.wire.after = lambda _name, _value: None
    await pe.restart()
    await sim.rounds()
    assert co.received() == sent
    assert [pe.state(one, "co-csirt") for one in sent] == ["stored"] * 3
    assert pe.alarm_codes() == co.alarm_codes() == []


async def test_sender_killed_between_sealing_and_sending(sim: Simulation, pe: Site, co: Site) -> None:
    first, second = pe.send("co-csirt"), pe.send("co-csirt")
    pe.hub.wire.before = _refuse_uploads
    await sim.rounds(1)
    assert pe.state(first, "co-csirt") == "sealed"
    sealed = pe.copy(first, "co-csirt").env
    await pe.restart()
    pe.hub.wire.before = lambda _name, _value: None
    third = pe.send("co-csirt")
    await sim.rounds()
    assert pe.copy(first, "co-csirt").env == sealed  # the stored bytes were uploaded, not others
    assert co.received() == [first, second, third]
    assert {mark for one in co.inbox() for mark in one.marks} == set()


async def test_receiver_killed_before_its_receipt_is_up(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")

    def cut(name: str, _value: Any) -> None:
        if name == "post_receipts":
            raise Unavailable("hub.unreachable")

    co.hub.wire.before = cut
    await sim.rounds()
    assert (co.received(), pe.state(sent, "co-csirt")) == ([sent], "accepted")
    await co.restart()
    co.hub.wire.before = lambda _name, _value: None
    await sim.rounds()
    assert (co.received(), pe.state(sent, "co-csirt")) == ([sent], "stored")


async def test_receipt_that_was_lost_is_given_again_the_same(sim: Simulation, pe: Site, co: Site) -> None:
    batches: list[Any] = []

    def lose(name: str, value: Any) -> None:
        if name == "post_receipts":
            batches.append(value)
            if len(batches) == 1:
                raise Unavailable("hub.unreachable")

    co.hub.wire.before = lose
    sent = pe.send("co-csirt")
    await sim.rounds()
    assert pe.state(sent, "co-csirt") == "stored"
    assert batches[0] == batches[1]
    count = len(batches)
    await co.up.store.db.write(lambda c: store_receipts.owe_again(c, pe.copy(sent, "co-csirt").env or b""))
    await sim.rounds()
    assert batches[count] == batches[0]  # a repeat, byte for byte
    assert pe.state(sent, "co-csirt") == "stored"


async def test_flash_overtakes_bulk_that_is_on_the_wire(sim: Simulation, pe: Site, co: Site) -> None:
    """The live loop: while a bulk upload hangs, a flash message goes out on a way of its own."""
    bulk = [pe.send("co-csirt", subject=f"bulk {n}") for n in range(20)]
    gate = asyncio.Event()
    pe.hub.wire.gates["post_envelopes"] = gate
    running = asyncio.create_task(pe.up.sync.run())
    while "post_envelopes" not in pe.hub.wire.calls:
        await pe.up.sync.changed.wait(1)
    flash = pe.send("co-csirt", urgency=Urgency.FLASH)
    pe.up.sync.poke()
    while pe.state(flash, "co-csirt") != "accepted":
        await pe.up.sync.changed.wait(1)
    assert [pe.state(one, "co-csirt") for one in bulk] == ["sealed"] * 16 + ["queued"] * 4
    await co.once()
    assert co.received() == [flash]
    gate.set()
    while any(pe.state(one, "co-csirt") != "accepted" for one in bulk):
        await pe.up.sync.changed.wait(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await co.once()
    assert co.received() == [flash, *bulk]
    assert co.alarm_codes() == []


@pytest.mark.parametrize("offset", [2 * HOUR_MS, -2 * HOUR_MS])
@pytest.mark.parametrize("who", ["pe-csirt", "co-csirt"])
async def test_clock_two_hours_off_destroys_no_mail(sim: Simulation, who: str, offset: int) -> None:
    pe, co = sim.sites["pe-csirt"], sim.sites["co-csirt"]
    sim.sites[who].offset = offset
    there, back = pe.send("co-csirt"), co.send("pe-csirt")
    await sim.rounds()
    assert (pe.state(there, "co-csirt"), co.state(back, "pe-csirt")) == ("stored", "stored")
    assert (co.received(), pe.received()) == ([there], [back])
    ahead = (who == "pe-csirt") == (offset > 0)  # pe's clock is ahead of co's
    assert co.inbox()[0].marks == (frozenset({"clock"}) if ahead else frozenset())
    assert pe.alarm_codes() == co.alarm_codes() == []


async def test_replica_behind_holds_then_opens(sim: Simulation, pe: Site, co: Site) -> None:
    """co's clock is 2 h behind, so it can't take the newest leaf yet; mail that names it waits and isn't lost."""
    sim.world.now += 3 * HOUR_MS
    co.offset = -2 * HOUR_MS
    assert await pe.up.prekeys.publish(pe.hub, afresh=True)  # a leaf co can't take yet
    sent = pe.send("co-csirt", urgency=Urgency.FLASH)
    await sim.rounds()
    assert (pe.state(sent, "co-csirt"), co.received()) == ("accepted", [])
    assert co.up.sync.condition.directory_problem == "directory.leaf-ahead"
    co.offset = 0
    await co.up.replica.refresh(co.hub)
    assert (await co.up.inbox.retry_held()).urgent  # its receipt waits for no company
    await sim.rounds()
    assert (pe.state(sent, "co-csirt"), co.received()) == ("stored", [sent])
    assert co.inbox()[0].marks == frozenset()


async def test_flipped_byte_is_fetched_again(sim: Simulation, pe: Site, co: Site) -> None:
    touched = []

    def flip(item: Item) -> Item:
        if item.type != ITEM_DELIVERY or len(touched) == 1:
            return item
        touched.append(item)
        return Item(item.type, item.cursor, item.payload[:-1] + bytes([item.payload[-1] ^ 1]))

    co.hub.wire.touch = flip
    sent = pe.send("co-csirt")
    await sim.rounds()
    assert (co.received(), pe.state(sent, "co-csirt")) == ([], "accepted")
    (hurt,) = co.desk.damaged()
    assert (hurt.code, hurt.tries) == ("envelope.body-mismatch", 1)
    sim.world.now += MINUTE_MS
    await sim.rounds()
    assert (co.received(), pe.state(sent, "co-csirt"), co.desk.damaged()) == ([sent], "stored", [])
    assert co.alarm_codes() == []


async def test_lasting_damage_alarms_and_is_never_receipted(sim: Simulation, pe: Site, co: Site) -> None:
    co.hub.wire.touch = lambda item: (
        Item(item.type, item.cursor, item.payload[:-1] + bytes([item.payload[-1] ^ 1]))
        if item.type == ITEM_DELIVERY
        else item
    )
    sent = pe.send("co-csirt")
    for _ in range(5):
        await sim.rounds(1)
        sim.world.now += HOUR_MS // 2
    assert co.alarm_codes() == ["envelope.body-mismatch"]
    assert (co.received(), pe.state(sent, "co-csirt")) == ([], "accepted")


async def test_full_disk_receipts_nothing_and_goes_on(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt", subject="A subject", text="long " * 3_000)
    await pe.once()
    await co.up.store.db.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1").scalar_one())
    with pytest.raises(Unavailable, match=r"storage\.full"):
        await co.once()
    assert (co.received(), pe.state(sent, "co-csirt")) == ([], "accepted")
    await co.up.store.db.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=100000").scalar_one())
    await sim.rounds()
    assert (co.received(), pe.state(sent, "co-csirt")) == ([sent], "stored")


async def test_unknown_recipient_waits_with_its_reason(sim: Simulation, pe: Site) -> None:
    sent = pe.send("co-csirt", "mx-csirt")
    await sim.rounds()
    assert pe.state(sent, "co-csirt") == "stored"
    assert (pe.copy(sent, "mx-csirt").state, pe.copy(sent, "mx-csirt").code) == (
        "queued",
        "directory.unknown-member",
    )


async def test_partitioned_node_gets_on_afterwards(sim: Simulation, pe: Site, co: Site) -> None:
    co.hub.wire.up = False
    there, back = pe.send("co-csirt"), co.send("pe-csirt")
    await sim.rounds()
    assert (pe.state(there, "co-csirt"), co.state(back, "pe-csirt")) == ("accepted", "queued")
    co.hub.wire.up = True
    await sim.rounds()
    assert (pe.state(there, "co-csirt"), co.state(back, "pe-csirt")) == ("stored", "stored")


async def test_overdue_copy_is_listed(sim: Simulation, pe: Site, co: Site) -> None:
    await co.stop()
    sent = pe.send("co-csirt", "bb-csirt", urgency=Urgency.FLASH)
    await sim.rounds()
    assert pe.desk.outbox(overdue=True) == []
    sim.world.now += HOUR_MS
    (late,) = pe.desk.outbox(overdue=True)
    assert late.message.id == sent
    lacks = {copy.recipient: pe.desk.lacking(copy) for copy in late.addressees}
    lack = lacks["co-csirt"]
    assert lack is not None
    assert (lack.rung, lack.overdue) == ("stored", True)
    other = lacks["bb-csirt"]
    assert other is not None
    assert (other.rung, other.overdue) == ("opened", False)


async def test_body_is_kept_until_every_recipient_has_it(sim: Simulation, pe: Site, co: Site) -> None:
    await co.stop()
    sent = pe.send("co-csirt", "bb-csirt")
    await sim.rounds()
    env = pe.copy(sent, "co-csirt").env or b""
    assert await pe.up.store.db.read(lambda c: store_sealings.upload_bytes(c, env)) is not None
    await co.start()
    await sim.rounds()
    assert await pe.up.store.db.read(lambda c: store_sealings.upload_bytes(c, env)) is None


async def test_message_over_before_it_could_be_sealed_is_reported_lost(sim: Simulation, pe: Site) -> None:
    pe.hub.wire.up = False
    sent = pe.send("co-csirt", life_ms=HOUR_MS)
    sim.world.now += DAY_MS
    pe.hub.wire.up = True
    await sim.rounds()
    copy = pe.copy(sent, "co-csirt")
    assert (copy.state, copy.code) == ("lost", "envelope.expired")
    assert pe.alarm_codes() == ["outbox.lost"]


async def test_nobody_is_no_recipient(sim: Simulation, pe: Site) -> None:
    message = Outgoing(pe.up.sources.new_id(), "stix", "flash", 0, 1, b"")
    with pytest.raises(Refused, match=r"policy\.no-recipient"):
        pe.desk.submit(message, [])


async def test_what_cannot_be_sealed_is_lost_and_the_next_goes_on(sim: Simulation, pe: Site) -> None:
    now = sim.world.now
    message = Outgoing(pe.up.sources.new_id(), "status", "routine", now, now + DAY_MS, bytes(300_000))
    pe.desk.submit(message, ["co-csirt"])
    after = pe.send("co-csirt")
    await sim.rounds()
    assert (pe.copy(message.id, "co-csirt").state, pe.copy(message.id, "co-csirt").code) == (
        "lost",
        "content.too-large",
    )
    assert pe.state(after, "co-csirt") == "stored"


def _refuse_uploads(name: str, _value: Any) -> None:
    if name in ("put_envelope", "post_envelopes"):
        raise Unavailable("hub.unreachable")
