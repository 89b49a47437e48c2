"""Accidents: wrong clocks, a byte flipped, kills at the worst moment, a full disk. Mail may be late, never lost."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from exchange.hub.mailboxes import RETRY_SECONDS
from exchange.limits import HOUR_MS
from exchange.node import app as node_app
from exchange.node.identity import Sources
from tests.trip.faulty_proxy import FaultyProxy
from tests.trip.holdings import is_in_chain_order, is_once_each
from tests.trip.network import Network
from tests.trip.processes import until
from tests.trip.small_disk import enlarge, small_disk
from tests.trip.soak import ROUNDS

HOURS = 2


def off_by(hours: int) -> Sources:
    """The machine's sources with a clock that is off."""
    real = node_app.real_sources()
    return replace(real, clock=lambda: real.clock() + hours * HOUR_MS)


@pytest.mark.parametrize("hours", [-HOURS, HOURS])
async def test_clock_two_hours_off_neither_loses_nor_refuses_mail(network: Network, hours: int) -> None:
    pe, co = network["pe-csirt"], network["co-csirt"]
    await network.up("pe-csirt")
    to_co = [pe.send(["co-csirt"], "To a wrong clock", urgency=urgency) for urgency in ("flash", "routine")]
    await until(lambda: network.hub.holds.waiting("co-csirt") == len(to_co), "it waits at the hub")
    from_co = co.send(["pe-csirt"], "From a wrong clock")
    async with node_app.running(co.home, off_by(hours)) as node:
        await node.sync.once()
        assert abs(node.hub.clock_offset + hours * HOUR_MS) < 60_000, (
            "tokens are corrected by the hub's clock"
        )
    await network.delivered("pe-csirt", to_co, ["co-csirt"])
    marks = {mark for mail in co.holds.inbox() for mark in mail.marks}
    assert marks == ({"clock"} if hours < 0 else set())
    await until(lambda: from_co in pe.holds.ids(), "what it sent arrived, too")
    (mail,) = pe.holds.inbox()
    assert mail.marks == ({"clock"} if hours > 0 else frozenset())
    await co.serve.up()  # with the right clock again
    await network.delivered("co-csirt", [from_co], ["pe-csirt"])
    assert network.accusations() == {}
    assert co.holds.quarantine() == pe.holds.quarantine() == []


async def test_clock_two_hours_behind_a_log_that_has_grown_holds_mail_until_it_is_right(
    network: Network,
) -> None:
    """Leaves from the future wait (§9.2), and with them mail that names them: kept, and opened later."""
    pe, co = network["pe-csirt"], network["co-csirt"]
    network.hub.reconfigure(settle_seconds=0)
    await network.hub.serve.up()
    async with node_app.running(pe.home, node_app.real_sources()) as node:
        await node.sync.once()
        await node.prekeys.publish(node.hub, afresh=True)
        await node.sync.once()
    await pe.serve.up()
    id_ = pe.send(["co-csirt"], "Names a leaf that co can't take yet")
    await until(lambda: network.hub.holds.waiting("co-csirt") == 1, "it waits at the hub")
    async with node_app.running(co.home, off_by(-HOURS)) as node:
        await node.sync.once()
    assert co.holds.held() == ["hold.directory-behind"]
    assert co.holds.ids() == []
    await co.serve.up()
    await network.delivered("pe-csirt", [id_], ["co-csirt"])
    assert co.holds.held() == []
    assert network.accusations() == {}


async def test_replica_that_is_behind_opens_mail_as_soon_as_it_has_caught_up(network: Network) -> None:
    """Flash comes before the news that the log has grown: it names leaves the receiver hasn't yet."""
    pe, co = network["pe-csirt"], network["co-csirt"]
    network.hub.reconfigure(settle_seconds=0)
    await network.up("co-csirt")
    ids = []
    async with node_app.running(pe.home, node_app.real_sources()) as node:
        await node.sync.once()
        for number in range(3):
            await node.prekeys.publish(node.hub, afresh=True)
            ids.append(pe.send(["co-csirt"], f"After statement {number}", urgency="flash"))
            await node.sync.once()
        await until(lambda: set(ids) <= set(co.holds.ids()), "all were opened")
        await node.sync.once()
    await pe.serve.up()
    await network.delivered("pe-csirt", ids, ["co-csirt"])
    assert co.holds.held() == []
    assert network.accusations() == {}


async def test_byte_flipped_on_the_wire_costs_a_connection_and_no_mail(network: Network) -> None:
    pe, co = network["pe-csirt"], network["co-csirt"]
    async with FaultyProxy(network.move_hub(), port=network.homes.port) as link:
        await network.up("pe-csirt", "co-csirt")
        sent = []
        for way in (link.up, link.down):
            for offset in (0, 700, 2_500, 9_000):
                way.flip_at, way.flipped = offset, 0
                link.cut()
                sent.append(pe.send(["co-csirt"], "Through a bad line", size=20_000))
                await until(partial(getattr, way, "flipped"), "a byte was flipped")
                way.flip_at = None
                link.cut()
                for node in (pe, co):
                    node.poke()
        await network.delivered("pe-csirt", sent, ["co-csirt"])
        is_in_chain_order(co.holds.inbox())
    assert network.accusations() == {}
    assert co.holds.damaged() == []
    await network.down()


FLIPS = {
    "envelope.body-mismatch": ("bodies", "body", "envelope = ?"),
    "envelope.wrap-mismatch": ("slots", "slots", "envelope = ?"),
    "envelope.bad-signature": ("heads", "signatures", "envelope = ?"),
}


def flip(hub: Path, envelope: int, table: str, column: str, where: str) -> None:
    """Turn over a bit in the middle of a column of the hub's database; a second time turns it back."""
    with closing(sqlite3.connect(hub / "hub.db")) as db, db:
        ((value,),) = db.execute(f"SELECT {column} FROM {table} WHERE {where}", (envelope,))  # noqa: S608 - fixed words
        half = len(value) // 2
        spoilt = value[:half] + bytes([value[half] ^ 1]) + value[half + 1 :]
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (spoilt, envelope))  # noqa: S608 - as above


async def test_byte_flipped_at_the_hub_is_noticed_and_the_mail_arrives_once_it_is_mended(
    network: Network,
) -> None:
    pe, co = network["pe-csirt"], network["co-csirt"]
    await network.up("pe-csirt")
    ids = [pe.send(["co-csirt"], f"Number {number}", size=5_000) for number, _ in enumerate(FLIPS)]
    await until(lambda: network.hub.holds.waiting("co-csirt") == len(FLIPS), "they wait at the hub")
    await network.hub.serve.stop()
    for envelope, place in enumerate(FLIPS.values(), 1):
        flip(network.hub.path, envelope, *place)
    await network.up("co-csirt")
    whole = pe.send(["co-csirt"], "Not spoilt")
    await network.delivered("pe-csirt", [whole], ["co-csirt"])
    await until(lambda: {code for code, _ in co.holds.damaged()} == set(FLIPS), "each is noticed by its code")
    assert network.hub.holds.waiting("co-csirt") == len(FLIPS), "nothing spoilt is receipted"
    assert co.holds.ids() == [whole]

    await network.hub.serve.stop()
    for envelope, place in enumerate(FLIPS.values(), 1):
        flip(network.hub.path, envelope, *place)
    await network.hub.serve.up()
    for node in (pe, co):
        node.poke()
    await network.delivered("pe-csirt", ids, ["co-csirt"])
    assert co.holds.damaged() == []
    is_once_each([*ids, whole], co.holds.ids())


async def test_hub_killed_between_accepting_and_saying_so_has_the_message_once(network: Network) -> None:
    pe = network["pe-csirt"]
    async with FaultyProxy(network.move_hub(), port=network.homes.port) as link:
        await network.up("pe-csirt", "co-csirt")
        warm = pe.send(["co-csirt", "bb-csirt"], "Warm: connections are open, prekeys are here")
        await network.delivered("pe-csirt", [warm], ["co-csirt"])
        link.down.flowing.clear()
        id_ = pe.send(["bb-csirt"], "Accepted, and nobody hears of it")
        await until(lambda: network.hub.holds.waiting("bb-csirt") == 2, "the hub has it")
        assert network.copy("pe-csirt", id_, "bb-csirt").accepted_at is None
        network.hub.serve.kill()
        link.cut()
        link.down.flowing.set()
        await network.up("bb-csirt")
        pe.poke()
        await network.delivered("pe-csirt", [warm, id_], ["bb-csirt"])
        assert network.hub.holds.accepted("pe-csirt") == 2
    assert network.accusations() == {}
    await network.down()


async def test_sender_killed_at_any_moment_of_sealing_and_sending_sends_once(network: Network) -> None:
    """Twenty kills, each at another moment after `send` returned; what it returned for arrives, and once."""
    chance = random.Random(20)
    pe, co = network["pe-csirt"], network["co-csirt"]
    await network.up("co-csirt")
    sent = []
    for number in range(ROUNDS):
        await pe.serve.up()
        sent += [
            pe.send(["co-csirt", "bb-csirt"], f"Before kill {number}", urgency=urgency)
            for urgency in ("routine", "flash")
        ]
        await asyncio.sleep(chance.uniform(0, 0.15))  # the moment of the kill is the point: anywhere
        pe.serve.kill()
    await network.up("pe-csirt", "bb-csirt")
    await network.delivered("pe-csirt", sent, ["co-csirt", "bb-csirt"])
    for receiver in (co, network["bb-csirt"]):
        mails = receiver.holds.inbox()
        is_once_each(sent, [mail.id for mail in mails])
        is_in_chain_order(mails)
    assert network.accusations() == {}
    await until(lambda: network.hub.holds.waiting() == 0, "nothing waits at the hub")
    await network.down()


@pytest.mark.parametrize("reserve", [0, 8], ids=["to the last byte", "with a reserve"])
async def test_full_disk_at_the_hub_puts_mail_off_and_loses_none(network: Network, reserve: int) -> None:
    pe, hub = network["pe-csirt"], network.hub
    hub.reconfigure(free_bytes=reserve * 1024 * 1024)
    with small_disk(hub.path, 24):
        try:
            await network.up("pe-csirt")
            ids = [pe.send(["co-csirt", "bb-csirt"], f"Number {n}", size=2_000_000) for n in range(12)]
            await until(lambda: b"storage.full" in hub.serve.output(), "the hub says that it is full")
            assert hub.serve.runs
            accepted = [copy for copy in pe.holds.copies() if copy.accepted_at]
            assert len(accepted) < 2 * len(ids)
            async with network.calling("bb-csirt") as caller:
                assert (await caller.call("GET", "/healthz", authorization="")).status == 200
                assert (await caller.call("GET", "/v1/state")).status == 200
            enlarge(hub.path, 200)
            pe.poke()
            await network.up("co-csirt", "bb-csirt")
            # The hub said to come back in a minute.
            await network.delivered("pe-csirt", ids, ["co-csirt", "bb-csirt"], seconds=RETRY_SECONDS + 60)
            is_in_chain_order(network["co-csirt"].holds.inbox())
        finally:
            for child in network.children:
                child.kill()
    assert network.accusations() == {}
