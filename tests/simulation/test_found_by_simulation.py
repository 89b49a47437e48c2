"""Faults that the simulator found with no disk put back, each as the shortest story that shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.errors import Hold, Unavailable
from exchange.header import parse_header
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.node.mail.uploads import Uploads
from exchange.node.store.inbox import held
from exchange.node.store.sealings import Sealing
from exchange.node.uplink.api import Posted, Result
from exchange.protocol import ITEM_DELIVERY, Item
from tests.simulator import Simulation, simulation
from tests.worlds import keys, seed


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulation]:
    async with simulation(tmp_path) as running:
        yield running


async def test_name_hurt_on_the_way_is_asked_for_again(sim: Simulation) -> None:
    """With one bit of it wrong, a sender's key looks like one that the directory has yet to bring."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    message = pe.send("bb-csirt")
    await pe.once()
    bb.hub.wire.touch = another_key
    await bb.once()
    assert bb.received() == []
    bb.hub.wire.touch = lambda item: item
    for _ in range(3):
        await sim.wait(11 * MINUTE_MS)
        await bb.once()
    assert bb.received() == [message]
    await sim.wait(2 * DAY_MS)
    await sim.rounds()
    assert bb.alarm_codes() == []
    assert await bb.up.store.db.read(lambda c: held(c, after=0, limit=1)) == []


def another_key(item: Item) -> Item:
    """With a bit of the header's `skid` wrong."""
    if item.type != ITEM_DELIVERY:
        return item
    at = item.payload.index(b'"skid":"') + len(b'"skid":"')
    return replace(item, payload=item.payload[:at] + bytes([item.payload[at] ^ 1]) + item.payload[at + 1 :])


async def test_prekeys_outlive_what_came_hurt_under_them(sim: Simulation) -> None:
    """A node that was away for weeks destroys old prekeys once all that waited has come whole."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    message = pe.send("bb-csirt", life_ms=2 * DAY_MS)
    await pe.once()
    await sim.wait(30 * DAY_MS)
    bb.paused += 30 * DAY_MS
    bb.hub.wire.touch = lambda item: replace(item, payload=item.payload[:-1] + b"?")
    await bb.once()
    bb.hub.wire.touch = lambda item: item
    await sim.wait(11 * MINUTE_MS)
    await bb.once()
    assert bb.received() == [message]
    assert bb.desk.quarantined() == []


async def test_receipts_under_a_key_that_counts_no_more_are_signed_with_the_one_in_use(
    sim: Simulation,
) -> None:
    """They were on their way when the link was cut; then the keys were changed, and nobody was online for weeks."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    message = pe.send("bb-csirt", life_ms=60 * DAY_MS)
    await pe.once()

    def cut_off(name: str, _value: object) -> None:
        if name == "post_receipts":
            raise Unavailable("hub.unreachable")

    bb.hub.wire.before, before = cut_off, bb.hub.wire.before
    with pytest.raises(Unavailable):
        await bb.once()
    assert bb.received() == [message]
    bb.hub.wire.before = before
    await bb.up.own_keys.rotate(bb.hub, seed("next/bb-csirt"), keys("second/bb-csirt").public)
    await sim.wait(20 * DAY_MS)
    for site in (pe, bb):
        site.paused += 20 * DAY_MS
    assert await pe.up.prekeys.publish(pe.hub, afresh=True)  # by this leaf the log is so much later
    await sim.rounds(3)
    assert (pe.state(message, "bb-csirt"), bb.alarm_codes()) == ("stored", [])


async def test_mail_for_a_peer_whose_new_prekeys_a_slow_clock_keeps_out_waits(sim: Simulation) -> None:
    """It was sealed to the old one again and again, given up, and each `void` for it had its own without end."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    await sim.rounds(1)
    pe.offset = -HOUR_MS  # it believes no checkpoint that is ahead of it
    await bb.up.own_keys.rotate(bb.hub, seed("next/bb-csirt"), keys("second/bb-csirt").public)
    await bb.once()  # new keys have new prekeys
    messages = [pe.send("bb-csirt"), pe.send("bb-csirt", "co-csirt")]
    for _ in range(4):
        await pe.once()
    assert [pe.state(one, "bb-csirt") for one in messages] == ["queued", "queued"]
    assert pe.copy(messages[0], "bb-csirt").code == "envelope.unknown-prekey"
    assert pe.alarm_codes() == []
    pe.offset = 0
    await sim.rounds(3)
    assert sorted(bb.received()) == sorted(messages)
    assert [pe.state(one, "bb-csirt") for one in messages] == ["stored", "stored"]
    assert pe.state(messages[1], "co-csirt") == "stored"


async def test_hub_that_refuses_everything_for_good_ends_a_pass(sim: Simulation) -> None:
    """What is lost is told, once; not in words that are refused and told of themselves."""
    pe = sim.sites["pe-csirt"]
    await sim.rounds(1)
    message = pe.send("bb-csirt")

    async def refuse(env: bytes, _upload: bytes) -> Posted:
        return Posted((Result(env, "envelope.bad-format", ""),), ())

    pe.hub.put_envelope = refuse  # type: ignore[method-assign]  # it lies
    await pe.once()
    assert pe.state(message, "bb-csirt") == "lost"
    assert pe.alarm_codes() == ["outbox.lost"]


async def test_new_key_that_the_own_log_lacks_is_for_the_hub_to_judge(sim: Simulation) -> None:
    """The hub has logged it, a slow clock keeps that out here: what was sealed with it was voided without end."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    await sim.rounds(1)
    pe.offset = -HOUR_MS
    with pytest.raises(Hold, match=r"directory\.leaf-ahead"):
        await pe.up.own_keys.rotate(pe.hub, seed("next/pe-csirt"), keys("second/pe-csirt").public)
    message = pe.send("bb-csirt")
    await pe.once()
    assert pe.state(message, "bb-csirt") == "accepted"
    pe.offset = 0
    await sim.rounds(3)
    assert (bb.received(), pe.state(message, "bb-csirt")) == ([message], "stored")


async def test_what_lapses_as_soon_as_it_is_sealed_waits_for_the_next_connection(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pe = sim.sites["pe-csirt"]
    await sim.rounds(1)
    lapsing, other = pe.send("bb-csirt"), pe.send("co-csirt")
    real = Uploads._lapse

    def lapse(self: Uploads, sealing: Sealing) -> str:
        to_bb = parse_header(sealing.header).recipients == ("bb-csirt",)
        return "policy.recipient-status" if to_bb else real(self, sealing)

    with monkeypatch.context() as patch:
        patch.setattr(Uploads, "_lapse", lapse)
        with pytest.raises(Unavailable, match=r"policy\.recipient-status"):
            await pe.once()
        assert (pe.state(lapsing, "bb-csirt"), pe.state(other, "co-csirt")) == ("queued", "accepted")
    await sim.rounds(2)
    assert pe.state(lapsing, "bb-csirt") == "stored"


async def test_loss_is_told_to_a_reader_that_was_away_for_longer_than_the_hub_remembers_it(
    sim: Simulation,
) -> None:
    """There was nobody to seal the news to before it had expired itself."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    message = pe.send("bb-csirt", life_ms=5 * DAY_MS)
    await pe.once()
    for _ in range(3):
        await sim.wait(20 * DAY_MS)
        bb.paused += 20 * DAY_MS
        await sim.running_hub.mailboxes.expire_due()
        await pe.once()
    assert pe.state(message, "bb-csirt") == "lost"
    await sim.rounds(3)
    assert (bb.received(), bb.alarm_codes()) == ([], ["inbox.lost"])
