"""This member's keys over time: rotation that survives a crash anywhere, revocation told to all, veto, leaving."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from exchange.directory.bodies_members import build_recover
from exchange.directory.members import Status
from exchange.directory.submission import LOGGED
from exchange.errors import Refused, Unavailable
from exchange.limits import DAY_MS, HOUR_MS
from exchange.node.home import LOCAL_KEY
from exchange.node.keys.own_keys import NEXT, REVEALED, SEED, a_revocation
from tests.simulator import Simulation, Site
from tests.worlds import OFFICERS, keys, seed, signed

AFTER = keys("next/next/pe-csirt").public


def names(site: Site) -> list[str]:
    """The secrets in the node's keystore that have to do with its keys in the network."""
    return [name for name in site.up.own_keys._keystore.names() if name != LOCAL_KEY]


async def test_rotation_changes_keys_and_mail_goes_on_in_both_directions(
    sim: Simulation, pe: Site, co: Site
) -> None:
    before = pe.send("co-csirt")
    await pe.up.outbox.dispatch(pe.hub, ("routine",))  # sealed under the old key, not yet at the hub
    old = pe.up.identity.skid
    submission = await pe.up.own_keys.rotate(pe.hub, seed("next/pe-csirt"), AFTER)
    assert (submission.outcome, pe.up.identity.skid == old) == (LOGGED, False)
    after, back = pe.send("co-csirt"), co.send("pe-csirt")
    await sim.rounds(4)
    assert co.received() == [before, after]
    assert [one.marks for one in co.inbox()] == [frozenset()] * 2
    assert (pe.received(), pe.state(after, "co-csirt"), co.state(back, "pe-csirt")) == (
        [back],
        "stored",
        "stored",
    )
    assert pe.up.replica.directory.members["pe-csirt"].rotations == 1
    assert pe.alarm_codes() == co.alarm_codes() == []
    assert names(pe) == [SEED, NEXT]
    await pe.restart()
    assert pe.up.identity.skid == keys("next/pe-csirt").public.signing.skid(sim.world.net)


@pytest.mark.parametrize("logged", [True, False])
async def test_rotation_survives_a_crash_on_either_side_of_the_hub(
    sim: Simulation, pe: Site, co: Site, logged: bool
) -> None:
    def die(name: str, _value: Any) -> None:
        if name == "post_statement":
            raise RuntimeError("killed")

    if logged:
        pe.hub.wire.after = die
    else:
        pe.hub.wire.before = die
    with pytest.raises(RuntimeError):
        await pe.up.own_keys.rotate(pe.hub, seed("next/pe-csirt"), AFTER)
    pe.hub.wire.after = pe.hub.wire.before = lambda _name, _value: None
    await pe.restart()
    assert REVEALED in names(pe)

    def only_the_keys_in_the_log(name: str, _value: Any) -> None:
        """What the hub does with tokens: the simulation has none."""
        known = sim.running_hub.registrar.directory.members["pe-csirt"].keys
        if pe.up.identity.keys.public != known:
            raise Refused("auth.bad-signature")

    pe.hub.wire.before = only_the_keys_in_the_log
    sent = co.send("pe-csirt")
    await sim.rounds()
    assert pe.received() == [sent]
    if not logged:
        assert REVEALED in names(pe)  # it may be tried again with the same paper
        sim.world.now += 3 * HOUR_MS
        await sim.rounds()
        assert REVEALED in names(pe)  # no clock decides: the hub may have logged it, and show it late
        await co.up.registration.publish_record(co.hub, {"public": b"{}"})
        await sim.rounds()
    assert names(pe) == ([SEED, NEXT] if logged else [SEED])
    assert pe.up.identity.keys.public == sim.running_hub.registrar.directory.members["pe-csirt"].keys
    assert "directory.own-name" not in pe.alarm_codes()


async def test_log_that_comes_before_the_hubs_answer_has_swapped_the_keys_already(pe: Site) -> None:
    post = pe.hub.post_statement

    async def slow(*args: Any, **named: Any) -> Any:
        """The answer is on its way while the server's own loop follows the log."""
        answer = await post(*args, **named)
        await pe.up.replica.refresh(pe.hub)
        await pe.up.own_keys.settle()
        return answer

    pe.hub.post_statement = slow  # type: ignore[method-assign]  # a line on which the answer comes late
    submission = await pe.up.own_keys.rotate(pe.hub, seed("next/pe-csirt"), AFTER)
    assert submission.outcome == LOGGED
    assert names(pe) == [SEED, NEXT]
    assert pe.up.identity.keys.public == keys("next/pe-csirt").public


async def test_seed_that_is_being_revealed_has_not_lapsed(pe: Site) -> None:
    rotating = asyncio.create_task(pe.up.own_keys.rotate(pe.hub, seed("next/pe-csirt"), AFTER))
    while not rotating.done():
        await pe.up.own_keys.settle()
        await asyncio.sleep(0)
    assert (await rotating).outcome == LOGGED
    assert pe.up.identity.keys.public == keys("next/pe-csirt").public


async def test_wrong_paper_is_refused_before_anything_is_revealed(pe: Site) -> None:
    with pytest.raises(Refused) as refused:
        await pe.up.own_keys.rotate(pe.hub, seed("revoke/pe-csirt"), AFTER)
    assert refused.value.code == "directory.not-next"
    assert names(pe) == [SEED]


def own_revocation(site: Site, sim: Simulation, *, printed: bytes | None = None) -> Any:
    return a_revocation(
        site.up.identity,
        site.up.replica,
        address="pe-csirt",
        ground="stolen",
        since=sim.world.now,
        printed=printed,
        not_after=sim.world.now + DAY_MS,
    )


async def test_own_revocation_reaches_every_member_by_flash_and_by_the_log(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    sent = co.send("pe-csirt")
    await sim.rounds()
    sim.world.now += 1
    held = co.up.replica.newest.to_json()

    async def checkpoint() -> object:
        return held

    co.hub.checkpoint = checkpoint  # type: ignore[method-assign]  # a hub that hides it from co
    submission = await pe.up.own_keys.revoke(pe.hub, own_revocation(pe, sim))
    assert submission is not None
    assert submission.outcome == LOGGED
    await co.once()
    await bb.once()
    for site in (co, bb):
        assert "node.key-revoked" in site.alarm_codes()
        stopped = site.send("pe-csirt")
        await site.once()
        assert site.state(stopped, "pe-csirt") == "queued"
    assert co.state(sent, "pe-csirt") == "stored"
    assert pe.received() == [sent]  # what it has stays readable
    assert "directory.own-name" not in pe.alarm_codes()


async def test_revocation_without_a_hub_is_offered_until_it_is_there(sim: Simulation, pe: Site) -> None:
    revocation = own_revocation(pe, sim, printed=seed("revoke/pe-csirt"))
    pe.hub.wire.up = False
    assert await pe.up.own_keys.revoke(pe.hub, revocation) is None
    await pe.restart()
    pe.hub.wire.up = True
    with pytest.raises(Refused) as refused:
        await pe.once()
    assert refused.value.code == "auth.unknown-issuer"  # the key it has just revoked opens nothing more
    assert sim.running_hub.registrar.directory.took_effect(revocation.hash(sim.world.net))


async def test_revocation_needs_the_right_paper(sim: Simulation, pe: Site) -> None:
    with pytest.raises(Refused) as refused:
        own_revocation(pe, sim, printed=seed("next/pe-csirt"))
    assert refused.value.code == "directory.not-own"


async def test_recovery_that_nobody_asked_for_is_vetoed(sim: Simulation, pe: Site, co: Site) -> None:
    world = sim.world
    body = build_recover(
        net=world.net,
        handle="pe-csirt",
        keys=keys("thief").public,
        next_keys=keys("thief/next").public.next_commitment(world.net),
        revoke=keys("thief/revoke").public.signing,
        after=world.directory.last_hash("pe-csirt", "identity"),
        not_after=world.now + DAY_MS,
    )
    officers = [f"officer/{name}" for name in OFFICERS]
    recover = signed(body, *officers, "co-csirt", "bb-csirt").with_signature("pe-csirt", keys("thief"))
    await sim.running_hub.registrar.submit(recover, ())
    await pe.up.replica.refresh(pe.hub)
    assert "directory.own-name" in pe.alarm_codes()
    submission = await pe.up.own_keys.veto(pe.hub, None)
    assert submission is not None
    assert submission.outcome == LOGGED
    sim.world.now += 4 * DAY_MS
    await sim.running_hub.registrar.tick()
    await sim.running_hub.registrar.renew()
    sent = pe.send("co-csirt")
    await sim.rounds()
    assert co.received() == [sent]
    assert "node.recovery-vetoed" in co.alarm_codes()
    with pytest.raises(Refused) as refused:
        await pe.up.own_keys.veto(pe.hub, None)
    assert refused.value.code == "directory.wrong-reference"


async def test_member_leaves_at_the_end_of_its_notice(sim: Simulation, pe: Site) -> None:
    submission = await pe.up.own_keys.leave(pe.hub, until=sim.world.now + 30 * DAY_MS)
    assert submission.outcome == LOGGED
    assert pe.up.replica.directory.members["pe-csirt"].status is Status.OFFBOARDING
    assert pe.alarm_codes() == []


async def test_leaving_without_a_hub_changes_nothing(sim: Simulation, pe: Site) -> None:
    pe.hub.wire.up = False
    with pytest.raises(Unavailable):
        await pe.up.own_keys.leave(pe.hub, until=sim.world.now + 30 * DAY_MS)
    assert pe.up.replica.directory.members["pe-csirt"].status is Status.ACTIVE
