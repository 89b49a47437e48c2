"""Faults that the simulator found where a disk was put back, each as the shortest story that shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.content import Missing
from exchange.errors import Refused, Unavailable
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.node.store import sealings
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


async def test_what_a_restored_home_could_not_read_yet_is_no_loss_when_it_asks_for_its_number(
    sim: Simulation, tmp_path: Path
) -> None:
    """Its question came before its `restored`, and was answered that this mail is given up, which it alarmed of."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    message = pe.send("bb-csirt")
    await pe.once()
    bb.up.prekeys._keystore.update({}, remove=bb.up.prekeys._keystore.names())
    await bb.up.prekeys.load()
    bb.up.sync._services.prekeys._is_due = lambda: False  # type: ignore[method-assign]  # not yet
    await sim.rounds(3)
    copy = pe.copy(message, "bb-csirt")
    assert (copy.state, copy.code) == ("rejected", "envelope.unknown-prekey")
    link = pe.up.store.db.read_sync(lambda c: sealings.link_of(c, copy.env, "bb-csirt"))
    question = Missing(link.lane, ((link.link.chain, link.link.seq, link.link.seq),))
    bb.up.store.db.write_sync(
        lambda c: bb.up.outbox.send(c, question.to_payload(), question.type, "priority", ["pe-csirt"])
    )
    await bb.once()
    await pe.once()
    del bb.up.sync._services.prekeys._is_due
    await sim.wait(11 * MINUTE_MS)
    await sim.rounds(4)
    assert (bb.received(), bb.alarm_codes()) == ([message], [])
    assert pe.state(message, "bb-csirt") == "stored"
