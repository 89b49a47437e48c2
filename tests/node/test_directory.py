"""The replica, prekeys ahead and destroyed on time, joining and sponsoring, alarms over the log."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from exchange.canonical import Json, sha256
from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint
from exchange.directory.prekeys import EPOCH_MS, GRACE_MS
from exchange.directory.submission import LOGGED, PENDING
from exchange.errors import ExchangeError, Refused, Rejected, Unavailable
from exchange.hub.applications import create_invitation
from exchange.keys import digits, member_digits
from exchange.limits import DAY_MS, HOUR_MS
from exchange.node.control.verbs import followed
from exchange.node.directory.membership import Papers, anchor_confirmed, confirm_anchor
from tests.simulator import Simulation, Site
from tests.worlds import keys, signed


async def test_log_is_replayed_after_a_restart(sim: Simulation, pe: Site) -> None:
    size, root = pe.up.replica.directory.size, pe.up.replica.directory.root()
    await pe.restart()
    assert (pe.up.replica.directory.size, pe.up.replica.directory.root()) == (size, root)
    assert pe.up.replica.checkpoint.size == size


async def test_prekeys_are_published_eight_weeks_ahead_about_three_weekly(sim: Simulation, pe: Site) -> None:
    def last() -> int:
        return pe.up.replica.directory.prekeys("pe-csirt")[-1].until

    first = last()
    assert first >= sim.world.now + 8 * EPOCH_MS - DAY_MS
    sizes = []
    for _ in range(42):
        sim.world.now += DAY_MS
        await sim.running_hub.registrar.renew()
        await pe.once()
        sizes.append(pe.up.replica.directory.size)
    assert len(set(sizes)) == 3  # two statements in six weeks
    assert last() >= sim.world.now + 6 * EPOCH_MS


async def test_prekeys_are_durable_before_they_are_published(sim: Simulation, pe: Site, co: Site) -> None:
    def die(name: str, _value: Any) -> None:
        if name == "post_statement":
            raise RuntimeError("killed")

    pe.hub.wire.after = die
    with pytest.raises(RuntimeError):
        await pe.up.prekeys.publish(pe.hub, afresh=True)
    pe.hub.wire.after = lambda _name, _value: None
    await pe.restart()
    sent = co.send("pe-csirt")
    await sim.rounds()
    assert pe.received() == [sent]
    assert pe.alarm_codes() == []  # the statement was noted as its own before it was sent


async def test_prekey_is_destroyed_when_both_clocks_agree(sim: Simulation, pe: Site) -> None:
    first = pe.up.replica.directory.prekeys("pe-csirt")[0]
    pe.paused = first.destroy + HOUR_MS - sim.world.now  # it was switched off meanwhile
    sim.world.now = first.destroy + HOUR_MS
    assert await pe.up.prekeys.destroy_due() == 0  # only the own clock says so
    assert pe.up.prekeys.find(first.kid) is not None
    await sim.running_hub.registrar.renew()
    await pe.up.replica.refresh(pe.hub)
    assert await pe.up.prekeys.destroy_due() >= 1
    assert pe.up.prekeys.find(first.kid) is None
    await pe.restart()
    assert pe.up.prekeys.find(first.kid) is None


async def test_prekey_outlives_one_clock_that_jumps_by_fourteen_days_of_running(
    sim: Simulation, pe: Site
) -> None:
    first = pe.up.replica.directory.prekeys("pe-csirt")[0]
    pe.offset = EPOCH_MS + GRACE_MS + DAY_MS  # only this node's clock has jumped
    await pe.up.prekeys.destroy_due()
    for _ in range(13):
        sim.world.now += DAY_MS
        await pe.up.prekeys.destroy_due()
    assert pe.up.prekeys.find(first.kid) is not None
    sim.world.now += DAY_MS
    await pe.up.prekeys.destroy_due()
    assert pe.up.prekeys.find(first.kid) is None


async def test_mail_to_a_destroyed_prekey_is_sealed_again(sim: Simulation, pe: Site, co: Site) -> None:
    """co lost its prekeys (they are in no backup): what it can't read comes again under new ones."""
    sent = pe.send("co-csirt")
    await pe.once()
    co.up.prekeys._keystore.update({}, remove=co.up.prekeys._keystore.names())
    await co.restart()
    await sim.rounds(5)
    assert (co.received(), pe.state(sent, "co-csirt")) == ([sent], "stored")
    assert [one.code for one in co.desk.quarantined()] == ["envelope.unknown-prekey"]


async def test_statement_in_own_name_by_somebody_else_alarms(sim: Simulation, pe: Site) -> None:
    """A thief of the key publishes prekeys."""
    world, registrar = sim.world, sim.running_hub.registrar
    world.directory = registrar.directory
    statement = signed(world.prekeys_body("pe-csirt"), "pe-csirt")
    records = [world.records[kid] for kid in world.prekeys["pe-csirt"]]
    await registrar.submit(statement, records)
    await pe.up.replica.refresh(pe.hub)
    (alarm,) = pe.desk.alarms()
    assert (alarm.code, alarm.subject) == ("directory.own-name", "prekeys")


async def test_shorter_log_without_a_restore_is_a_rollback(sim: Simulation, pe: Site) -> None:
    old = Checkpoint(sim.world.net, 0, 3, pe.up.replica.directory.root(3), sim.world.now)
    offered = SignedCheckpoint.sign(old, sim.world.hub_keys)

    async def checkpoint() -> Json:
        return offered.to_json()

    pe.hub.checkpoint = checkpoint  # type: ignore[method-assign]  # and goes on showing it
    with pytest.raises(Rejected, match=r"directory\.rollback"):
        await pe.up.replica.follow(pe.hub, offered)
    assert pe.alarm_codes() == ["directory.rollback"]


async def test_checkpoint_from_before_another_member_helped_is_no_rollback(
    sim: Simulation, pe: Site, co: Site
) -> None:
    """A restored hub has shown its old checkpoint, and got the leaves back from pe before co could offer them."""
    old = sim.running_hub.registrar.checkpoint
    assert await co.up.prekeys.publish(co.hub, afresh=True)
    assert not await co.up.replica.follow(co.hub, old)
    assert co.alarm_codes() == []
    assert co.up.replica.newest == sim.running_hub.registrar.checkpoint


async def test_second_log_of_the_hub_is_a_split(sim: Simulation, pe: Site) -> None:
    size = pe.up.replica.directory.size
    offered = SignedCheckpoint.sign(
        Checkpoint(sim.world.net, 0, size, sha256(b"x"), sim.world.now), sim.world.hub_keys
    )
    with pytest.raises(Rejected, match=r"directory\.split"):
        await pe.up.replica.follow(pe.hub, offered)
    assert pe.alarm_codes() == ["directory.split"]
    assert pe.up.replica.newest != offered


async def test_checkpoint_by_another_key_is_refused(sim: Simulation, pe: Site) -> None:
    size, root = pe.up.replica.directory.size, pe.up.replica.directory.root()
    offered = SignedCheckpoint.sign(
        Checkpoint(sim.world.net, 0, size, root, sim.world.now + 1), keys("pe-csirt")
    )
    with pytest.raises(Rejected, match=r"checkpoint\.bad-signature"):
        await pe.up.replica.follow(pe.hub, offered)


async def test_leaves_that_do_not_lead_to_the_root_change_nothing(sim: Simulation, pe: Site) -> None:
    size = pe.up.replica.directory.size
    offered = SignedCheckpoint.sign(
        Checkpoint(sim.world.net, 0, size + 1, sha256(b"x"), sim.world.now), sim.world.hub_keys
    )
    with pytest.raises(ExchangeError, match=r"directory\.bad-leaf"):
        await pe.up.replica.follow(pe.hub, offered)
    assert pe.up.replica.directory.size == size


async def test_old_checkpoint_takes_no_new_keys_but_reads_on(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    known = pe.send("co-csirt")
    await sim.rounds()
    assert not pe.up.replica.is_stale()
    sim.world.now += 2 * DAY_MS
    assert pe.up.replica.is_stale()
    ready, waiting = await pe.up.outbox.peers.ready(pe.hub, ["co-csirt", "bb-csirt"])
    assert list(ready) == ["co-csirt"]  # a key it holds already
    assert waiting == {"bb-csirt": "directory.stale-checkpoint"}
    assert co.received() == [known]


async def test_newcomer_joins_by_invitation_and_exchanges_mail(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    hub = sim.running_hub
    invitation = create_invitation(
        hub.store,
        member="mx-csirt",
        member_class="national_csirt",
        country="MX",
        origin="https://hub.example",
        valid_days=7,
        now=sim.world.now,
        random=lambda size: sha256(b"token")[:size],
    )
    sim.tokens["mx-csirt"] = invitation.token
    mx = sim.site("mx-csirt")
    await mx.start()
    revoke, next_ = keys("revoke/mx-csirt").public, keys("next/mx-csirt").public
    membership = mx.up.membership
    papers = Papers(document=b"{}", agreement=sha256(b"agreement"), founding=True)
    answer = await membership.apply(
        mx.hub, invitation, papers, revoke=revoke.signing, next_=next_.next_commitment(sim.world.net)
    )
    assert answer.outcome == PENDING
    again = await membership.apply(
        mx.hub, invitation, papers, revoke=revoke.signing, next_=next_.next_commitment(sim.world.net)
    )
    assert again.statement == answer.statement
    (application,) = await pe.up.membership.applications(pe.hub)
    assert application.digits == membership.digits()
    assert application.digits == member_digits(sim.world.net, "mx-csirt", keys("mx-csirt").public)
    assert application.document == b"{}"
    for site in (pe, co):
        await site.up.membership.sponsor(site.hub, application)
    statement = application.statement
    for name in ("alba", "bruno"):
        with_officer = signed(statement.body, f"officer/{name}")
        done = await hub.applications.sign("mx-csirt", answer.statement, with_officer.signatures)
    assert (
        done.verify(sim.world.net, sim.world.hub_keys.public.signing, statement=answer.statement).outcome
        == LOGGED
    )
    await sim.rounds()
    assert mx.up.replica.is_member()
    sent, back = pe.send("mx-csirt"), mx.send("bb-csirt")
    await sim.rounds()
    assert (mx.received(), bb.received()) == ([sent], [back])
    assert pe.alarm_codes() == co.alarm_codes() == mx.alarm_codes() == []


async def test_nobody_sponsors_who_has_not_applied(sim: Simulation, pe: Site) -> None:
    with pytest.raises(Refused, match=r"application\.unknown"):
        await pe.up.membership.application(pe.hub, "mx-csirt")


async def test_first_contact_with_another_network_is_refused(sim: Simulation, pe: Site) -> None:
    mx = sim.site("mx-csirt")
    await mx.start()
    await mx.up.store.db.write(lambda c: c.exec_driver_sql("DELETE FROM leaves"))
    await mx.up.replica.load()
    size = sim.running_hub.registrar.directory.size
    with pytest.raises(Rejected, match=r"directory\.split"):
        await mx.up.replica.start(mx.hub, least=(size, sha256(b"x")))
    await mx.up.store.db.write(lambda c: c.exec_driver_sql("DELETE FROM leaves"))
    await mx.up.replica.load()
    with pytest.raises(Rejected, match=r"directory\.rollback"):
        await mx.up.replica.start(mx.hub, least=(size + 1, sha256(b"x")))


async def test_anchor_is_confirmed_by_the_right_digits_only(sim: Simulation, pe: Site) -> None:
    assert not anchor_confirmed(pe.up.store)
    with pytest.raises(Refused, match=r"node\.wrong-digits"):
        confirm_anchor(pe.up.store, sim.world.net, digits(bytes(32)), now=sim.world.now)
    assert not anchor_confirmed(pe.up.store)
    spoken = digits(sim.world.net).replace(" ", "  ")
    confirm_anchor(pe.up.store, sim.world.net, spoken, now=sim.world.now)
    assert anchor_confirmed(pe.up.store)


async def test_prekeys_the_log_would_not_take_are_offered_again_and_not_made_anew(
    sim: Simulation, co: Site
) -> None:
    def refuse(name: str, _value: Any) -> None:
        if name == "post_statement":
            raise Unavailable("directory.read-only")

    held = set(co.up.prekeys._keystore.names())
    co.hub.wire.before = refuse
    made = []
    for _ in range(3):
        with pytest.raises(Unavailable, match=r"directory\.read-only"):
            await co.up.prekeys.publish(co.hub, afresh=True)
        made.append(set(co.up.prekeys._keystore.names()) - held)
    co.hub.wire.before = lambda _name, _value: None
    assert await co.up.prekeys.publish(co.hub, afresh=True)
    made.append(set(co.up.prekeys._keystore.names()) - held)
    assert made[0]
    assert made == [made[0]] * 4
    assert {ref.kid.hex() for ref in co.up.replica.directory.prekeys("co-csirt")} == made[0]


async def test_command_waits_until_the_log_is_so_long_here(pe: Site, co: Site) -> None:
    size = pe.up.replica.directory.size
    assert await followed(pe.up, size, 0)
    assert not await followed(pe.up, size + 1, 0)
    waiting = asyncio.create_task(followed(pe.up, size + 1, 60))
    await co.up.registration.publish_record(co.hub, {"public": b"{}"})
    await pe.once()
    assert await waiting
