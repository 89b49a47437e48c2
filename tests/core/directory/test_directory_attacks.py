"""What an attacker of the log tries with what it could have: a stolen key, one officer, a printed seed, a file."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace

import pytest
from worlds import MEMBERS, World, assert_no_effect, keys, make_world, signed

from exchange.canonical import ZERO32, sha256
from exchange.directory import due
from exchange.directory.bodies_contacts import build_test, build_unit
from exchange.directory.bodies_members import PRINTED
from exchange.directory.bodies_network import build_policy
from exchange.directory.members import Move, Status
from exchange.directory.overlay import Overlay, lost_by, read_notice
from exchange.directory.snapshot import Snapshot
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.errors import Rejected
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from tests.contact_points import TRACING, Country
from tests.core.directory.lives import (
    CO,
    NEXT,
    OFFICERS,
    PE,
    done,
    heartbeat,
    recover,
    revoke,
    rotate,
    status,
    suspend,
    veto,
)

ALBA, BRUNO = OFFICERS
BB = MEMBERS[2]
WEEK_MS = 7 * DAY_MS


@pytest.fixture
def world() -> World:
    return make_world()


def standing(world: World) -> Status:
    return world.directory.members[PE].status


# -- a thief of the signing key -------------------------------------------------------------------------------------


def test_thief_cannot_make_a_member_leave_before_somebody_can_object(world: World) -> None:
    at_once = status(world, Move.LEAVE, PE, until=world.now + WEEK_MS - 1)
    assert_no_effect(world, at_once, "directory.bad-time", alarm=True)
    named = done(world, status(world, Move.LEAVE, PE, until=world.now + WEEK_MS))
    assert standing(world) is Status.OFFBOARDING
    done(world, revoke(world, PRINTED).with_signature(PE, keys(f"revoke/{PE}")))
    done(world, status(world, Move.REINSTATE, *OFFICERS, names=named))
    world.advance(2 * WEEK_MS)
    heartbeat(world)
    assert standing(world) is Status.ACTIVE
    assert world.directory.next_due() is None


def test_end_of_membership_is_taken_back_in_the_order_it_came(world: World) -> None:
    done(world, status(world, Move.RESTRICT, *OFFICERS))
    stopped = done(world, suspend(world, *OFFICERS))
    leaving = done(world, status(world, Move.LEAVE, PE, until=world.now + 60 * DAY_MS))
    early = status(world, Move.REINSTATE, *OFFICERS, names=leaving)
    assert_no_effect(world, early, "directory.wrong-reference", alarm=True)
    done(world, status(world, Move.REINSTATE, *OFFICERS, names=stopped))
    assert standing(world) is Status.OFFBOARDING
    done(world, status(world, Move.REINSTATE, *OFFICERS, names=leaving))
    assert (standing(world), world.directory.members[PE].until) == (Status.ACTIVE, 0)


def spent_prekeys(world: World, address: str = PE) -> None:
    """As many statements as an address may make in a day."""
    while world.append(world.prekeys_statement(address)).effective:
        pass


def published_by(world: World, name: str) -> Statement:
    return Statement(world.prekeys_body(PE)).with_signature(PE, keys(name))


def test_thief_that_spent_the_days_prekeys_keeps_nobody_from_replacing_them(world: World) -> None:
    spent_prekeys(world)
    done(world, rotate(world))
    done(world, published_by(world, NEXT))


def test_nor_after_a_recovery_or_for_a_unit(world: World) -> None:
    done(world, recover(world, *OFFICERS, CO, BB))
    world.advance(due.RECOVERY_MS - HOUR_MS)
    done(world, veto(world, world.directory.members[PE].recovery.named))
    done(world, recover(world, *OFFICERS, CO, BB, to="newer", by="newer"))
    world.advance(due.RECOVERY_MS)
    heartbeat(world)
    for _ in range(4):
        done(world, published_by(world, "newer"))
    unit = f"{PE}/tracing"
    common = {"net": world.net, "address": unit, "kind": "unit", "not_after": world.now + DAY_MS}
    first = build_unit(keys=keys(unit).public, after=ZERO32, **common)
    done(world, signed(first, unit).with_signature(PE, keys("newer")))
    spent_prekeys(world, unit)
    again = build_unit(keys=keys("u2").public, after=world.directory.last_hash(unit, "unit"), **common)
    done(world, signed(again, *OFFICERS).with_signature(unit, keys("u2")))
    anew = Statement(world.prekeys_body(unit)).with_signature(unit, keys("u2"))
    done(world, anew)


def test_keys_that_a_veto_revealed_are_not_taken_by_somebody_else(world: World) -> None:
    """A unit's transport key needs no proof: any member could claim one it has read in the log."""
    done(world, veto(world, done(world, recover(world, *OFFICERS, CO, BB)), NEXT, reveal=NEXT))
    squatter = replace(keys("squatter").public, transport=keys(NEXT).public.transport)
    body = build_unit(
        net=world.net,
        address=f"{CO}/xx",
        kind="unit",
        keys=squatter,
        after=ZERO32,
        not_after=world.now + DAY_MS,
    )
    done(world, signed(body, CO).with_signature(f"{CO}/xx", keys("squatter")))
    done(world, rotate(world))


# -- a thief of the printed seed ------------------------------------------------------------------------------------


def test_thief_of_the_printed_seed_cannot_void_a_recovery_that_is_being_signed(world: World) -> None:
    """Only new revoke-only keys end what it can do, and only a recovery brings these."""
    collecting = recover(world, *OFFICERS, CO, BB)
    for hours in (1, 2, 3):
        earlier = revoke(world, PRINTED, since=world.now - hours * HOUR_MS)
        done(world, earlier.with_signature(PE, keys(f"revoke/{PE}")))
    done(world, collecting)


# -- one officer ----------------------------------------------------------------------------------------------------


def test_one_officer_cannot_keep_a_member_suspended_day_after_day(world: World) -> None:
    done(world, suspend(world, ALBA))
    world.advance(DAY_MS)
    heartbeat(world)
    again = suspend(world, ALBA)
    assert_no_effect(world, again, "directory.too-often", alarm=True)
    assert standing(world) is Status.ACTIVE
    done(world, suspend(world, ALBA, handle=BB))
    done(world, suspend(world, BRUNO))
    world.advance(29 * DAY_MS)
    heartbeat(world)
    done(world, suspend(world, ALBA))


def test_one_officer_suspends_one_member_also_by_notices(world: World) -> None:
    """None of them in the log, each of them as good as the first."""
    first, second = suspend(world, ALBA), suspend(world, ALBA, handle=BB)
    body = read_notice(world.directory, first, world.now, Overlay())
    lost = lost_by(world.directory, first, body, world.now)
    assert lost
    held = Overlay(frozenset({lost}))
    with pytest.raises(Rejected, match=r"directory\.too-often"):
        read_notice(world.directory, second, world.now, held)
    assert read_notice(world.directory, first, world.now, held) == body
    other = suspend(world, BRUNO, handle=BB)
    assert read_notice(world.directory, other, world.now, held)
    assert read_notice(world.directory, suspend(world, *OFFICERS, handle=BB), world.now, held)
    later = world.now + DAY_MS
    assert read_notice(world.directory, second, later, held)


def brief(world: World) -> Statement:
    """A veto by the key that a recovery suspends, for some minutes."""
    named = done(world, recover(world, *OFFICERS, CO, BB))
    statement = veto(world, named)
    world.advance(DAY_MS - MINUTE_MS)
    return statement


@pytest.mark.parametrize("make", [lambda w: suspend(w, ALBA, not_after=w.now + HOUR_MS - 1), brief])
def test_notice_that_the_log_can_no_longer_take_is_not_believed(
    world: World, make: Callable[[World], Statement]
) -> None:
    """Else it would act here and never be seen, counted or undone there."""
    statement = make(world)
    with pytest.raises(Rejected, match=r"directory\.lapsed"):
        read_notice(world.directory, statement, world.now, Overlay())
    assert world.append(statement).effective


# -- who lost its office --------------------------------------------------------------------------------------------


def test_secretariat_that_is_suspended_or_removed_tests_nobody(tracing: Country) -> None:
    world = tracing.world
    policy = build_policy(
        net=world.net,
        officers=2,
        sponsors=2,
        secretariat=CO,
        agreement=b"",
        after=ZERO32,
        not_after=world.now + DAY_MS,
    )
    done(world, signed(policy, *OFFICERS, PE, CO))

    def failed() -> Statement:
        after = world.directory.last_hash(TRACING, "test")
        body = build_test(
            net=world.net,
            address=TRACING,
            kind="call",
            minutes=30,
            result="none",
            after=after,
            not_after=world.now + DAY_MS,
        )
        return signed(body, CO)

    done(world, failed())
    done(world, suspend(world, *OFFICERS, handle=CO))
    with pytest.raises(Rejected, match=r"directory\.not-own"):
        world.directory.judge(failed(), world.now)
    done(world, status(world, Move.REMOVE, *OFFICERS, handle=CO))
    with pytest.raises(Rejected, match=r"directory\.not-own"):
        world.directory.judge(failed(), world.now)


# -- a file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [b"[],", b"{},", b'"",', b"1,"])
def test_snapshot_that_unpacks_to_a_crowd_is_refused_before_it_is_read(piece: bytes) -> None:
    """Some hundred kilobytes that would take gigabytes of memory once they were parsed."""
    crowd = b'{"leaves":[' + piece * 2_000_000 + b'""]}'
    with pytest.raises(Rejected, match=r"snapshot\.bad-format: more values"):
        Snapshot.from_bytes(gzip.compress(crowd, 1))


# -- the own store --------------------------------------------------------------------------------------------------


def test_resume_after_attacks_equals_replay(world: World) -> None:
    spent_prekeys(world)
    done(world, suspend(world, ALBA, handle=CO))
    done(world, rotate(world))
    done(world, published_by(world, NEXT))
    leaving = build_leave(world)
    named = done(world, leaving)
    done(world, status(world, Move.REINSTATE, *OFFICERS, names=named))
    world.advance(DAY_MS)
    codes = ["", *(outcome.code for outcome in world.outcomes)]
    both = [
        Directory.resume(zip(world.leaves, codes, strict=True)),
        Directory.replay(world.leaves, now=None),
    ]
    for statement in (suspend(world, ALBA, handle=CO), published_by(world, NEXT), suspend(world, ALBA)):
        leaf = world.leaf(statement)
        first, second = (one.apply(leaf, now=None) for one in both)
        assert first == second
        world.append_leaf(leaf)
    assert dict(both[0].members) == dict(both[1].members) == dict(world.directory.members)


def build_leave(world: World) -> Statement:
    return Statement(
        status(world, Move.LEAVE, until=world.now + WEEK_MS, document=sha256(b"")).body
    ).with_signature(PE, keys(NEXT))
