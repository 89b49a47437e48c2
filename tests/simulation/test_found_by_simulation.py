"""Faults that the simulator found, each as the shortest story that shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.errors import Hold, Refused, Unavailable
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


async def test_receipt_of_a_lost_run_counts_no_more_after_the_restore(
    sim: Simulation, tmp_path: Path
) -> None:
    """`restored` overtakes in the feed the receipt that the run gave whose disk is lost."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    await bb.copy_home(tmp_path / "copy")
    message = pe.send("bb-csirt")
    await pe.once()
    await bb.once()
    await bb.restore(tmp_path / "copy")
    await bb.once()
    assert bb.received() == []
    await pe.once()
    assert pe.state(message, "bb-csirt") == "accepted"
    await sim.rounds(2)
    assert (bb.received(), pe.state(message, "bb-csirt")) == ([message], "stored")


async def test_receipt_of_a_lost_run_for_a_voided_sealing_counts_no_more_either(
    sim: Simulation, tmp_path: Path
) -> None:
    """The run that is lost had stored the sealing that its own change of keys had made void, and said so."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    await sim.rounds(1)
    message = pe.send("bb-csirt")
    await pe.once()
    voided = pe.copy(message, "bb-csirt").env
    await bb.up.own_keys.rotate(bb.hub, seed("next/bb-csirt"), keys("second/bb-csirt").public)
    await sim.restart_hub()  # it is offered everything again, which has lapsed by now
    await pe.once()
    assert pe.copy(message, "bb-csirt").env != voided
    await bb.copy_home(tmp_path / "copy")
    await bb.once()
    assert bb.received() == [message]
    await bb.restore(tmp_path / "copy")
    await bb.once()
    await sim.rounds(3)
    assert (bb.received(), pe.state(message, "bb-csirt")) == ([message], "stored")


async def test_restored_home_that_has_newer_mail_before_it_has_said_so_gets_what_it_lost(
    sim: Simulation, tmp_path: Path
) -> None:
    """`restored` named the newest it held, behind which what was lost was never sealed again."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    await bb.copy_home(tmp_path / "copy")
    lost = [pe.send("bb-csirt") for _ in range(2)]
    await sim.rounds(2)
    assert bb.received() == lost
    await bb.restore(tmp_path / "copy")
    newer = pe.send("bb-csirt")
    await pe.once()

    def cut_off(name: str, _value: object) -> None:
        if name == "post_statement":  # of its new prekeys, after which it would say that it was restored
            raise Unavailable("hub.read-only")

    bb.hub.wire.before, before = cut_off, bb.hub.wire.before
    await bb.once()
    assert bb.received() == [newer]
    bb.hub.wire.before = before
    await sim.rounds(3)
    assert sorted(bb.received()) == sorted([*lost, newer])


async def test_number_that_was_receipted_and_is_asked_for_is_sealed_again(
    sim: Simulation, tmp_path: Path
) -> None:
    """The copy lacked it already: its number was missing when the home was copied, and came before it was lost."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    first = pe.send("bb-csirt")
    await pe.once()
    bb.hub.wire.touch = lambda item: replace(item, payload=item.payload[:-1] + b"?")
    await bb.once()  # the first comes hurt
    bb.hub.wire.touch = lambda item: item
    second = pe.send("bb-csirt")
    await pe.once()
    await bb.once()
    assert bb.received() == [second]
    await bb.copy_home(tmp_path / "copy")
    await sim.wait(11 * MINUTE_MS)
    await sim.rounds(3)
    assert (sorted(bb.received()), pe.state(first, "bb-csirt")) == (sorted([first, second]), "stored")
    await bb.restore(tmp_path / "copy")
    await sim.wait(11 * MINUTE_MS)
    await sim.rounds(3)
    await sim.wait(DAY_MS + HOUR_MS)
    await sim.rounds(3)
    assert (sorted(bb.received()), pe.state(first, "bb-csirt")) == (sorted([first, second]), "stored")


async def test_hub_that_was_restored_and_is_given_back_its_log_is_not_frozen(
    sim: Simulation, tmp_path: Path
) -> None:
    """Nobody was in touch with it for a day: the first checkpoint it shows is a new one of the shorter log."""
    pe = sim.sites["pe-csirt"]
    await sim.copy_hub(tmp_path / "copy")
    assert await pe.up.prekeys.publish(pe.hub, afresh=True)
    await sim.restore_hub(tmp_path / "copy")
    await sim.wait(3 * DAY_MS)
    await pe.once()
    assert pe.alarm_codes() == []
    assert sim.running_hub.registrar.directory.size == pe.up.replica.directory.size


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


async def test_sender_whose_disk_lost_the_receipts_gets_them_again(sim: Simulation, tmp_path: Path) -> None:
    """It offers once more what the hub has had: a repeat is answered with the receipts there are."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    message = pe.send("bb-csirt")
    await pe.once()
    await pe.copy_home(tmp_path / "copy")
    await bb.once()
    bb.send("pe-csirt")
    await sim.rounds(2)
    await pe.restore(tmp_path / "copy")
    assert pe.state(message, "bb-csirt") == "accepted"
    await sim.rounds(2)
    assert pe.state(message, "bb-csirt") == "stored"


async def test_restored_waits_for_a_sender_that_is_away_for_weeks(sim: Simulation, tmp_path: Path) -> None:
    """It is said once: were it to expire, what went down with the disk would count as stored for good."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    await bb.copy_home(tmp_path / "copy")
    message = pe.send("bb-csirt")
    await pe.once()
    await bb.once()
    await pe.once()
    assert pe.state(message, "bb-csirt") == "stored"
    await bb.restore(tmp_path / "copy")
    await bb.once()
    for _ in range(3):  # as long as the envelopes that say it live, and longer
        await sim.wait(12 * DAY_MS)
        pe.paused += 12 * DAY_MS
        await sim.running_hub.mailboxes.expire_due()
        await bb.once()
    assert bb.received() == []
    await sim.rounds(3)
    assert (bb.received(), pe.state(message, "bb-csirt")) == ([message], "stored")


async def test_restored_that_went_down_with_the_senders_disk_comes_again(
    sim: Simulation, tmp_path: Path
) -> None:
    """Its reader receipted it and was restored itself before it had sealed anything again."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    await bb.copy_home(tmp_path / "copy")
    message = pe.send("bb-csirt")
    await pe.once()
    await bb.once()
    await pe.once()
    await pe.copy_home(tmp_path / "sender's copy")
    await bb.restore(tmp_path / "copy")
    await bb.once()
    await pe.up.sync._connect()
    await pe.up.sync._drain()
    await pe.restore(tmp_path / "sender's copy")
    await sim.rounds(3)
    assert (bb.received(), pe.state(message, "bb-csirt")) == ([message], "stored")


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


async def test_sender_whose_disk_lost_nothing_but_receipts_gets_them_again(
    sim: Simulation, tmp_path: Path
) -> None:
    """It gave none itself since, so that only its cursor tells the hub that this is an older home."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    message = pe.send("bb-csirt")
    await pe.once()
    await pe.copy_home(tmp_path / "copy")
    await bb.once()
    await pe.once()
    await pe.once()  # with the cursor that says it has them
    assert pe.state(message, "bb-csirt") == "stored"
    await pe.restore(tmp_path / "copy")
    assert pe.state(message, "bb-csirt") == "accepted"
    await pe.once()
    assert pe.state(message, "bb-csirt") == "stored"
    before = pe.up.sync._epoch
    await pe.once()
    assert (pe.up.sync._epoch, pe.alarm_codes()) == (before, [])


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


async def test_restored_home_whose_first_act_is_a_key_change_raises_no_alarm_in_its_own_name(
    sim: Simulation, tmp_path: Path
) -> None:
    """The command follows the log before any session has asked the hub whether this home is behind."""
    pe = sim.sites["pe-csirt"]
    await pe.copy_home(tmp_path / "copy")
    assert await pe.up.prekeys.publish(pe.hub, afresh=True)
    await pe.restore(tmp_path / "copy")
    await pe.up.own_keys.rotate(pe.hub, seed("next/pe-csirt"), keys("second/pe-csirt").public)
    assert pe.alarm_codes() == ["node.restored"]
    await sim.rounds(2)
    assert pe.alarm_codes() == ["node.restored"]


@pytest.mark.parametrize("refuses", [False, True])
async def test_key_change_that_a_restored_hub_forgot_is_told_to_it_again(
    sim: Simulation, tmp_path: Path, refuses: bool
) -> None:
    """Nobody else had seen it. With `refuses` the hub, as over HTTP, knows the caller by the keys in its log alone."""
    pe, co = sim.sites["pe-csirt"], sim.sites["co-csirt"]
    await sim.copy_hub(tmp_path / "copy")

    def cut_off(name: str, _value: object) -> None:
        if name == "checkpoint":  # the hub's answer has come, its log hasn't
            raise Unavailable("hub.unreachable")

    pe.hub.wire.before, new = cut_off, keys("next/pe-csirt").public
    with pytest.raises(Unavailable):
        await pe.up.own_keys.rotate(pe.hub, seed("next/pe-csirt"), keys("second/pe-csirt").public)
    assert pe.up.identity.keys.public == new
    await sim.restore_hub(tmp_path / "copy")

    def as_over_http(name: str, _value: object) -> None:
        known = sim.running_hub.registrar.directory.members["pe-csirt"].keys
        if refuses and name != "post_notice" and known != new:
            raise Refused("auth.bad-signature")

    pe.hub.wire.before = as_over_http
    sent, came = pe.send("co-csirt"), co.send("pe-csirt")
    await sim.rounds(3)
    assert sim.running_hub.registrar.directory.members["pe-csirt"].keys == new
    assert (co.received(), pe.received()) == ([sent], [came])
    assert (pe.state(sent, "co-csirt"), co.state(came, "pe-csirt")) == ("stored", "stored")
    assert pe.alarm_codes() == []


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
