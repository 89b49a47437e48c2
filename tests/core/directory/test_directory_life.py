"""A member's standing: every move of the table of docs/protocol.md §9.8, each flaw alone, and what falls due (§9.7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from lives import CO, OFFICERS, PAPER, PE, done, heartbeat, status, suspend
from worlds import MEMBERS, World, a_member, assert_no_effect, keys, make_world, signed

from exchange.canonical import ZERO32
from exchange.directory.bodies_members import build_rotate
from exchange.directory.members import Member, Move, Status
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.errors import Rejected
from exchange.limits import DAY_MS, HOUR_MS

BB = MEMBERS[2]
EC = "ec-csirt"


@pytest.fixture
def world() -> World:
    return make_world()


def member(world: World, handle: str = PE) -> Member:
    return world.directory.members[handle]


def provisional(world: World, sponsors: Iterable[str] = MEMBERS) -> None:
    """ec-csirt applied, and was taken in to prove itself."""
    newcomer = replace(a_member(EC, net=world.net), status=Status.PROVISIONAL)
    done(world, world.add_statement(EC, sponsors=sponsors, member=newcomer))


def drilled(world: World) -> None:
    """ec-csirt rotated its keys, as the checklist wants."""
    body = build_rotate(
        net=world.net,
        handle=EC,
        keys=keys(f"next/{EC}").public,
        next_keys=ZERO32,
        after=world.directory.last_hash(EC, "identity"),
        not_after=world.now + DAY_MS,
    )
    done(world, Statement(body).with_signature(EC, keys(f"next/{EC}")))


# -- founding, provisional, active --------------------------------------------------------------------------------


def test_founders_are_active_for_ninety_days_only(world: World) -> None:
    world.advance(90 * DAY_MS)
    statement = signed(world.add_body(EC), EC, *OFFICERS, PE, CO)
    assert world.directory.judge(statement, world.now)
    world.advance(1)
    assert_no_effect(world, statement, "directory.not-founding", alarm=True)
    provisional(world)  # as ever


def test_newcomer_is_provisional_until_officers_and_a_sponsor_say_it_proved_itself(world: World) -> None:
    provisional(world, sponsors=(CO, BB))
    assert (member(world, EC).status, member(world, EC).sponsors) == (Status.PROVISIONAL, (BB, CO))
    drilled(world)
    done(world, status(world, Move.ACTIVATE, *OFFICERS, CO, handle=EC))
    assert (member(world, EC).status, member(world, EC).since) == (Status.ACTIVE, world.now)


@pytest.mark.parametrize(
    ("signers", "code"),
    [
        ((*OFFICERS,), "directory.too-few-sponsors"),
        (("officer/alba", CO), "directory.too-few-officers"),
        ((*OFFICERS, PE), "directory.not-own"),  # no sponsor of this member
        ((*OFFICERS, EC), "directory.not-own"),
    ],
)
def test_activating_takes_both(world: World, signers: tuple[str, ...], code: str) -> None:
    provisional(world, sponsors=(CO, BB))
    drilled(world)
    signed_by = [signer for signer in signers if signer != EC]
    statement = status(world, Move.ACTIVATE, *signed_by, handle=EC)
    if EC in signers:
        statement = statement.with_signature(EC, keys(f"next/{EC}"))
    assert_no_effect(world, statement, code, alarm=True)


def test_activating_takes_a_drill(world: World) -> None:
    provisional(world)
    statement = status(world, Move.ACTIVATE, *OFFICERS, CO, handle=EC)
    assert_no_effect(world, statement, "directory.no-drill", alarm=True)


# -- restrict, suspend, reinstate ---------------------------------------------------------------------------------


def test_restricted_member_is_reinstated_to_what_it_was(world: World) -> None:
    provisional(world)
    named = done(world, status(world, Move.RESTRICT, *OFFICERS, handle=EC))
    assert member(world, EC).status is Status.RESTRICTED
    done(world, status(world, Move.REINSTATE, *OFFICERS, handle=EC, names=named, document=ZERO32))
    assert member(world, EC).status is Status.PROVISIONAL


def test_suspension_on_a_restriction_leads_back_to_it(world: World) -> None:
    restricted = done(world, status(world, Move.RESTRICT, *OFFICERS))
    named = done(world, suspend(world, *OFFICERS))
    assert member(world).status is Status.SUSPENDED
    assert_no_effect(
        world,
        status(world, Move.REINSTATE, *OFFICERS, names=restricted),
        "directory.wrong-reference",
        alarm=True,
    )
    done(world, status(world, Move.REINSTATE, *OFFICERS, names=named))
    assert member(world).status is Status.RESTRICTED
    done(world, status(world, Move.REINSTATE, *OFFICERS, names=restricted))
    assert member(world).status is Status.ACTIVE


def test_suspension_ends_by_itself(world: World) -> None:
    until = world.now + HOUR_MS
    done(world, suspend(world, *OFFICERS, until=until))
    assert (world.directory.next_due(), world.directory.due(until - 1)) == (until, False)
    world.advance(HOUR_MS)
    assert world.directory.due(world.now)
    assert member(world).status is Status.SUSPENDED  # until the log says what time it is
    heartbeat(world)
    assert (member(world).status, member(world).suspension) == (Status.ACTIVE, None)
    assert world.directory.next_due() is None


def test_judging_sees_what_is_due_and_changes_nothing(world: World) -> None:
    done(world, suspend(world, *OFFICERS, until=world.now + HOUR_MS))
    again = suspend(world, *OFFICERS, until=world.now + DAY_MS)
    assert_no_effect(world, again, "directory.wrong-status", alarm=True)
    before = member(world)
    world.advance(HOUR_MS)
    world.directory.judge(again, world.now)
    assert member(world) == before
    done(world, suspend(world, *OFFICERS, until=world.now + DAY_MS))
    assert world.directory.next_due() == world.now + DAY_MS


@pytest.mark.parametrize(
    ("signers", "change", "code"),
    [
        (OFFICERS, {"document": ZERO32}, "directory.no-document"),
        (OFFICERS, {"until": 1}, "directory.bad-time"),
        ((), {}, "directory.too-few-officers"),
        ((PE,), {}, "directory.not-own"),
        ((*OFFICERS, CO), {}, "directory.not-own"),
        (OFFICERS, {"handle": "nobody"}, "directory.unknown-member"),
    ],
)
def test_suspension_that_breaks_a_rule(
    world: World, signers: tuple[str, ...], change: dict[str, Any], code: str
) -> None:
    assert_no_effect(world, suspend(world, *signers, **change), code, alarm=True)


def test_suspension_lasts_a_year_at_most(world: World) -> None:
    statement = suspend(world, *OFFICERS, until=world.now + 366 * DAY_MS + 1)
    assert_no_effect(world, statement, "directory.bad-time", alarm=True)
    done(world, suspend(world, *OFFICERS, until=world.now + 366 * DAY_MS))


@pytest.mark.parametrize("move", [Move.RESTRICT, Move.OFFBOARD, Move.REMOVE])
def test_a_move_against_a_member_takes_a_document_and_the_threshold(world: World, move: Move) -> None:
    until = world.now + DAY_MS if move is Move.OFFBOARD else 0
    bare = status(world, move, *OFFICERS, document=ZERO32, until=until)
    assert_no_effect(world, bare, "directory.no-document", alarm=True)
    single = status(world, move, "officer/alba", until=until)
    assert_no_effect(world, single, "directory.too-few-officers", alarm=True)
    own = status(world, move, *OFFICERS, PE, until=until)
    assert_no_effect(world, own, "directory.not-own", alarm=True)


@pytest.mark.parametrize("move", [Move.ACTIVATE, Move.CONFIRM, Move.REINSTATE])
def test_move_from_the_wrong_status(world: World, move: Move) -> None:
    names = PAPER if move in (Move.CONFIRM, Move.REINSTATE) else b""
    statement = status(world, move, *OFFICERS, names=names)
    assert_no_effect(world, statement, "directory.wrong-status", alarm=True)


# -- emergencies --------------------------------------------------------------------------------------------------


def test_emergency_is_void_after_a_day_unless_confirmed(world: World) -> None:
    done(world, suspend(world, "officer/alba"))
    assert member(world).status is Status.SUSPENDED
    world.advance(DAY_MS - 1)
    heartbeat(world)
    assert member(world).status is Status.SUSPENDED
    world.advance(1)
    heartbeat(world)
    assert member(world).status is Status.ACTIVE


def test_emergency_is_confirmed_by_another_officer(world: World) -> None:
    named = done(world, suspend(world, "officer/alba"))
    same = status(world, Move.CONFIRM, "officer/alba", names=named)
    assert_no_effect(world, same, "directory.too-few-officers", alarm=True)
    other = status(world, Move.CONFIRM, "officer/bruno", names=PAPER)
    assert_no_effect(world, other, "directory.wrong-reference", alarm=True)
    done(world, status(world, Move.CONFIRM, "officer/bruno", names=named, document=ZERO32))
    world.advance(2 * DAY_MS)
    heartbeat(world)
    assert member(world).status is Status.SUSPENDED
    again = status(world, Move.CONFIRM, "officer/bruno", names=named)
    assert_no_effect(world, again, "directory.wrong-status", alarm=True)


def test_confirming_too_late_confirms_nothing(world: World) -> None:
    named = done(world, suspend(world, "officer/alba"))
    world.advance(DAY_MS)
    heartbeat(world)
    late = status(world, Move.CONFIRM, "officer/bruno", names=named)
    assert_no_effect(world, late, "directory.wrong-status", alarm=True)


def test_an_officer_makes_one_emergency_a_day(world: World) -> None:
    done(world, suspend(world, "officer/alba"))
    second = suspend(world, "officer/alba", handle=BB)
    outcome = assert_no_effect(world, second, "directory.too-often", alarm=True)
    assert outcome.subject == (BB, "status")
    done(world, suspend(world, "officer/bruno", handle=BB))
    world.advance(DAY_MS)
    done(world, suspend(world, "officer/alba", handle=BB))


# -- leaving ------------------------------------------------------------------------------------------------------


def test_member_leaves_by_its_own_word_and_is_removed_at_the_end(world: World) -> None:
    until = world.now + 30 * DAY_MS
    done(world, status(world, Move.LEAVE, PE, until=until, document=ZERO32))
    assert (member(world).status, world.directory.next_due()) == (Status.OFFBOARDING, until)
    world.advance(30 * DAY_MS)
    heartbeat(world)
    assert member(world).status is Status.REMOVED
    assert world.directory.prekeys(PE) == ()
    assert world.directory.identity(PE) == keys(PE).public  # so that old messages resolve


@pytest.mark.parametrize("signers", [(CO,), OFFICERS, (PE, "officer/alba"), ()])
def test_nobody_else_leaves_for_it(world: World, signers: tuple[str, ...]) -> None:
    statement = status(world, Move.LEAVE, *signers, until=world.now + 7 * DAY_MS)
    assert_no_effect(world, statement, "directory.not-own", alarm=True)


@pytest.mark.parametrize("late", [7 * DAY_MS - 1, 366 * DAY_MS + 1])
def test_notice_is_a_week_to_a_year(world: World, late: int) -> None:
    statement = status(world, Move.LEAVE, PE, until=world.now + late)
    assert_no_effect(world, statement, "directory.bad-time", alarm=True)


def test_leaving_does_not_give_back_what_a_suspension_took(world: World) -> None:
    named = done(world, suspend(world, *OFFICERS))
    done(world, status(world, Move.LEAVE, PE, until=world.now + 60 * DAY_MS))
    assert member(world).status is Status.SUSPENDED
    again = status(world, Move.OFFBOARD, *OFFICERS, until=world.now + DAY_MS)
    assert_no_effect(world, again, "directory.wrong-status", alarm=True)
    done(world, status(world, Move.REINSTATE, *OFFICERS, names=named))
    assert member(world).status is Status.OFFBOARDING
    world.advance(60 * DAY_MS)
    heartbeat(world)
    assert member(world).status is Status.REMOVED


def test_removed_handle_never_comes_back(world: World) -> None:
    done(world, status(world, Move.REMOVE, *OFFICERS))
    assert member(world).status is Status.REMOVED
    assert world.directory.prekeys(PE) == ()
    moves = [status(world, move, *OFFICERS) for move in (Move.ACTIVATE, Move.RESTRICT, Move.REMOVE)]
    for statement in (*moves, suspend(world, *OFFICERS), world.prekeys_statement(PE)):
        with pytest.raises(Rejected, match=r"directory\.wrong-status"):
            world.directory.judge(statement, world.now)
    thief = replace(a_member("cl-csirt", net=world.net), handle=PE)
    statement = signed(world.add_body(PE, member=thief), *OFFICERS, CO, BB)
    assert_no_effect(world, statement.with_signature(PE, keys("cl-csirt")), "directory.stale", alarm=False)


def test_statement_is_not_replayed(world: World) -> None:
    first = suspend(world, *OFFICERS)
    named = done(world, first)
    done(world, status(world, Move.REINSTATE, *OFFICERS, names=named))
    assert_no_effect(world, first, "directory.repeated", alarm=False)
    assert member(world).status is Status.ACTIVE


# -- the log as a whole -------------------------------------------------------------------------------------------


def test_taking_back_what_was_judged_equals_replaying_it(world: World) -> None:
    provisional(world)
    drilled(world)
    done(world, status(world, Move.ACTIVATE, *OFFICERS, CO, handle=EC))
    done(world, suspend(world, "officer/alba"))
    assert_no_effect(world, suspend(world, "officer/alba", handle=BB), "directory.too-often", alarm=True)
    world.advance(DAY_MS)
    heartbeat(world)
    done(world, status(world, Move.LEAVE, PE, until=world.now + 7 * DAY_MS))
    codes = ["", *(outcome.code for outcome in world.outcomes)]
    resumed = Directory.resume(zip(world.leaves, codes, strict=True))
    replayed = Directory.replay(world.leaves, now=None)
    for one in (resumed, world.directory):
        assert dict(one.members) == dict(replayed.members)
        assert (one.root(), one.at, one.next_due()) == (replayed.root(), replayed.at, replayed.next_due())
        assert one.last_hash(PE, "status") == replayed.last_hash(PE, "status")
    world.advance(7 * DAY_MS)
    leaf = world.leaf(world.prekeys_statement(CO))
    assert resumed.apply(leaf, now=None) == replayed.apply(leaf, now=None)
    assert dict(resumed.members) == dict(replayed.members)
    assert resumed.members[PE].status is Status.REMOVED
