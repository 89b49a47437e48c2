"""A member's keys: rotation, recovery, veto, revocation, each flaw alone (docs/protocol.md §9.9); notices (§9.17)."""

from __future__ import annotations

from typing import Any

import pytest
from lives import (
    CO,
    NEXT,
    OFFICERS,
    PE,
    done,
    heartbeat,
    recover,
    revoke,
    rotate,
    skid,
    status,
    suspend,
    veto,
)
from worlds import MEMBERS, World, assert_no_effect, keys, make_world, signed

from exchange.canonical import ZERO32
from exchange.directory.bodies_contacts import build_unit
from exchange.directory.bodies_members import (
    BY_NETWORK,
    OWN,
    PRINTED,
)
from exchange.directory.members import Move
from exchange.directory.network import CURRENT, RETIRED, REVOKED
from exchange.directory.overlay import Lost, Overlay, lost_by, read_notice
from exchange.directory.statements import Statement
from exchange.errors import Hold, Refused, Rejected
from exchange.limits import DAY_MS, HOUR_MS

BB = MEMBERS[2]
THIRD_DAY = 72 * HOUR_MS


@pytest.fixture
def world() -> World:
    return make_world()


def state(world: World, name: str = PE) -> str:
    return world.directory.key_standing(PE, skid(world, name)).state


# -- rotate -------------------------------------------------------------------------------------------------------


def test_rotation_reveals_the_keys_committed_to(world: World) -> None:
    done(world, rotate(world))
    assert world.directory.identity(PE) == keys(NEXT).public
    assert world.directory.members[PE].rotations == 1
    assert (state(world), state(world, NEXT)) == (RETIRED, CURRENT)
    assert world.directory.prekeys(PE)  # what is sealed to them still opens
    done(world, rotate(world, to="later", then="last"))
    assert world.directory.identity(PE) == keys("later").public


def test_old_key_verifies_mail_that_was_under_way_for_fourteen_days(world: World) -> None:
    done(world, rotate(world))
    world.advance(14 * DAY_MS)
    heartbeat(world)
    assert world.directory.signing_key(PE, skid(world)) == keys(PE).public.signing
    world.advance(1)
    heartbeat(world)
    with pytest.raises(Hold, match=r"hold\.unknown-key"):
        world.directory.signing_key(PE, skid(world))


def test_stolen_key_can_not_rotate_its_owner_out(world: World) -> None:
    assert_no_effect(world, rotate(world, to="thief"), "directory.not-next", alarm=True)
    assert_no_effect(world, rotate(world, by=keys(PE)), "directory.bad-signature", alarm=True)
    both = rotate(world).with_signature("officer/alba", keys("officer/alba"))
    assert_no_effect(world, both, "directory.not-own", alarm=True)


def test_old_key_signs_no_statement_any_more(world: World) -> None:
    done(world, rotate(world))
    assert_no_effect(world, world.prekeys_statement(PE), "directory.bad-signature", alarm=True)


# -- recover, veto ------------------------------------------------------------------------------------------------


def test_recovered_keys_count_after_three_days_and_the_old_one_nothing_at_once(world: World) -> None:
    done(world, recover(world, *OFFICERS, CO, BB))
    assert (state(world), world.directory.prekeys(PE)) == (REVOKED, ())
    assert_no_effect(world, world.prekeys_statement(PE), "directory.bad-signature", alarm=True)
    assert_no_effect(world, rotate(world), "directory.wrong-status", alarm=True)
    with pytest.raises(Rejected, match=r"auth\.unknown-issuer"):
        world.directory.identity(PE)
    with pytest.raises(Refused, match=r"directory\.no-prekey"):
        world.directory.prekey_for(PE, world.now)
    world.advance(THIRD_DAY - 1)
    heartbeat(world)
    assert world.directory.members[PE].recovery
    world.advance(1)
    heartbeat(world)
    assert world.directory.identity(PE) == keys("new").public
    assert (state(world), state(world, "new")) == (REVOKED, CURRENT)
    assert world.directory.published_kids().isdisjoint(world.prekeys[PE])
    assert world.directory.members[PE].revoke == keys("revoke/new").public.signing


@pytest.mark.parametrize(
    ("signers", "code"),
    [
        (("officer/alba", CO, BB), "directory.too-few-officers"),
        ((*OFFICERS, CO), "directory.too-few-sponsors"),
    ],
)
def test_recovery_takes_as_many_as_admission(world: World, signers: tuple[str, ...], code: str) -> None:
    assert_no_effect(world, recover(world, *signers), code, alarm=True)


def test_recovery_takes_keys_that_are_new_and_held(world: World) -> None:
    signers = (*OFFICERS, CO, BB)
    assert_no_effect(world, recover(world, *signers, to=CO, by=CO), "directory.key-reused", alarm=True)
    assert_no_effect(world, recover(world, *signers, by="thief"), "directory.bad-signature", alarm=True)
    bare = recover(world, *signers)
    bare = Statement(bare.body, tuple(pair for pair in bare.signatures if pair[0] != PE))
    assert_no_effect(world, bare, "directory.no-possession", alarm=True)


def test_only_one_recovery_at_a_time(world: World) -> None:
    done(world, recover(world, *OFFICERS, CO, BB))
    second = recover(world, *OFFICERS, CO, BB, to="other", by="other")
    assert_no_effect(world, second, "directory.wrong-status", alarm=True)


@pytest.mark.parametrize(("by", "reveal"), [(PE, ""), (NEXT, NEXT)])
def test_recovery_is_vetoed_by_the_old_key_or_the_next(world: World, by: str, reveal: str) -> None:
    named = done(world, recover(world, *OFFICERS, CO, BB))
    done(world, veto(world, named, by, reveal=reveal))
    assert state(world) == CURRENT
    assert world.directory.prekeys(PE)
    world.advance(THIRD_DAY)
    heartbeat(world)
    assert world.directory.identity(PE) == keys(PE).public
    done(world, rotate(world))  # the next keys are still good


def test_veto_of_something_else_or_by_somebody_else(world: World) -> None:
    assert_no_effect(world, veto(world, ZERO32), "directory.wrong-reference", alarm=True)
    named = done(world, recover(world, *OFFICERS, CO, BB))
    assert_no_effect(world, veto(world, named, "thief", reveal="thief"), "directory.not-next", alarm=True)
    assert_no_effect(world, veto(world, named, "new"), "directory.bad-signature", alarm=True)
    world.advance(DAY_MS)
    by_officer = signed(veto(world, named).body, "officer/alba")
    assert_no_effect(world, by_officer, "directory.not-own", alarm=True)


def test_second_recovery_takes_one_sponsor_more_and_only_the_next_key_vetoes_it() -> None:
    world = make_world((*MEMBERS, "ec-csirt", "cl-csirt"))
    named = done(world, recover(world, *OFFICERS, CO, BB))
    done(world, veto(world, named))
    few = recover(world, *OFFICERS, CO, BB, to="newer", by="newer")
    assert_no_effect(world, few, "directory.too-few-sponsors", alarm=True)
    named = done(world, recover(world, *OFFICERS, CO, BB, "ec-csirt", to="newer", by="newer"))
    assert_no_effect(world, veto(world, named), "directory.no-veto", alarm=True)
    done(world, veto(world, named, NEXT, reveal=NEXT))
    third = done(world, recover(world, *OFFICERS, CO, BB, "ec-csirt", to="newest", by="newest"))
    assert_no_effect(world, veto(world, third), "directory.no-veto", alarm=True)
    world.advance(THIRD_DAY)
    heartbeat(world)
    assert world.directory.identity(PE) == keys("newest").public
    assert world.directory.members[PE].vetoes == 0


def test_veto_that_comes_too_late(world: World) -> None:
    named = done(world, recover(world, *OFFICERS, CO, BB))
    world.advance(THIRD_DAY)
    heartbeat(world)
    assert_no_effect(world, veto(world, named), "directory.bad-signature", alarm=True)
    late = veto(world, named, NEXT, reveal=NEXT)
    assert_no_effect(world, late, "directory.wrong-reference", alarm=True)


# -- revoke -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "signers", "printed"),
    [(OWN, (PE,), False), (PRINTED, (), True), (BY_NETWORK, (*OFFICERS, CO, BB), False)],
)
def test_revoked_key_verifies_nothing_any_more(
    world: World, by: str, signers: tuple[str, ...], *, printed: bool
) -> None:
    statement = revoke(world, by, *signers, since=world.now - HOUR_MS)
    if printed:
        statement = statement.with_signature(PE, keys(f"revoke/{PE}"))
    done(world, statement)
    standing = world.directory.key_standing(PE, skid(world))
    assert (standing.state, standing.at, standing.since) == (REVOKED, world.now, world.now - HOUR_MS)
    assert world.directory.prekeys(PE) == ()
    with pytest.raises(Hold, match=r"hold\.unknown-key"):
        world.directory.signing_key(PE, skid(world))
    with pytest.raises(Rejected, match=r"auth\.unknown-issuer"):
        world.directory.identity(PE)
    assert_no_effect(world, world.prekeys_statement(PE), "directory.bad-signature", alarm=True)
    done(world, rotate(world))  # so its owner comes back
    assert (state(world), state(world, NEXT)) == (REVOKED, CURRENT)


def test_revoked_member_comes_back_by_recovery_too(world: World) -> None:
    done(world, revoke(world, OWN, PE, since=world.now - DAY_MS))
    named = done(world, recover(world, *OFFICERS, CO, BB))
    assert_no_effect(world, veto(world, named), "directory.bad-signature", alarm=True)
    world.advance(THIRD_DAY)
    heartbeat(world)
    assert state(world, "new") == CURRENT
    assert world.directory.key_standing(PE, skid(world)).since == world.now - THIRD_DAY - DAY_MS


def test_key_rotated_out_is_revoked_without_harm_to_the_new_one(world: World) -> None:
    done(world, rotate(world))
    done(world, revoke(world, OWN).with_signature(PE, keys(NEXT)))
    assert (state(world), state(world, NEXT)) == (REVOKED, CURRENT)
    assert world.directory.prekeys(PE)


@pytest.mark.parametrize(
    ("by", "signers", "change", "code"),
    [
        (OWN, (CO,), {}, "directory.not-own"),
        (OWN, (PE, CO), {}, "directory.not-own"),
        (OWN, OFFICERS, {}, "directory.not-own"),
        (PRINTED, (PE,), {}, "directory.bad-signature"),
        (BY_NETWORK, (*OFFICERS, CO), {}, "directory.too-few-sponsors"),
        (BY_NETWORK, (CO, BB), {}, "directory.too-few-officers"),
        (OWN, (PE,), {"skid": ZERO32}, "directory.unknown-key"),
        (OWN, (PE,), {"address": f"{PE}/duty"}, "directory.unknown-key"),
        (OWN, ("nobody",), {"address": "nobody"}, "directory.bad-signature"),
    ],
)
def test_revocation_by_those_who_can_not(
    world: World, by: str, signers: tuple[str, ...], change: dict[str, Any], code: str
) -> None:
    assert_no_effect(world, revoke(world, by, *signers, **change), code, alarm=True)


def test_compromise_lies_in_the_past_and_only_moves_earlier(world: World) -> None:
    future = revoke(world, OWN, PE, since=world.now + 1)
    assert_no_effect(world, future, "directory.bad-time", alarm=True)
    done(world, revoke(world, OWN, PE, since=world.now - HOUR_MS))
    printed = keys(f"revoke/{PE}")
    later = revoke(world, PRINTED, since=world.now - HOUR_MS + 1).with_signature(PE, printed)
    assert_no_effect(world, later, "directory.bad-time", alarm=True)
    logged = world.now
    world.advance(HOUR_MS)
    done(world, revoke(world, PRINTED, since=logged - DAY_MS).with_signature(PE, printed))
    standing = world.directory.key_standing(PE, skid(world))
    assert (standing.at, standing.since) == (logged, logged - DAY_MS)


def test_more_than_thirty_days_back_takes_the_officers_besides(world: World) -> None:
    since = world.now - 30 * DAY_MS - 1
    alone = revoke(world, OWN, PE, "officer/alba", since=since)
    assert_no_effect(world, alone, "directory.too-few-officers", alarm=True)
    done(world, revoke(world, OWN, PE, *OFFICERS, since=since))


def test_unit_key_is_revoked_by_the_unit_or_its_member_s_printed_key(world: World) -> None:
    unit = f"{PE}/tracing"
    body = build_unit(
        net=world.net,
        address=unit,
        keys=keys(unit).public,
        kind="unit",
        after=ZERO32,
        not_after=world.now + DAY_MS,
    )
    done(world, signed(body, PE, unit))
    done(world, world.prekeys_statement(unit))
    by_host = revoke(world, OWN, PE, address=unit, skid=skid(world, unit))
    assert_no_effect(world, by_host, "directory.not-own", alarm=True)
    done(world, revoke(world, OWN, unit, address=unit, skid=skid(world, unit)))
    assert world.directory.prekeys(unit) == ()
    assert world.directory.key_standing(unit, skid(world, unit)).state == REVOKED
    assert state(world) == CURRENT
    since = world.now - HOUR_MS
    printed = revoke(world, PRINTED, address=unit, skid=skid(world, unit), since=since)
    done(world, printed.with_signature(PE, keys(f"revoke/{PE}")))
    assert world.directory.key_standing(unit, skid(world, unit)).since == since


# -- notices ------------------------------------------------------------------------------------------------------


def taken(world: World, statement: Statement) -> Lost | None:
    body = read_notice(world.directory, statement, world.now, Overlay())
    return lost_by(world.directory, statement, body, world.now)


def test_notice_of_a_revocation_takes_trust_until_the_log_has_it(world: World) -> None:
    statement = revoke(world, OWN, PE, since=world.now - HOUR_MS)
    lost = taken(world, statement)
    assert lost
    assert Lost.from_json(lost.to_json()) == lost
    overlay = Overlay().merge([lost]).merge([lost])
    assert overlay.distrusted(PE, skid(world)) == world.now - HOUR_MS
    assert overlay.distrusted(PE, skid(world, NEXT)) is None
    assert not overlay.suspended(PE)
    assert overlay.without_logged(world.directory, world.now) == overlay
    assert state(world) == CURRENT  # the log is as it was
    done(world, statement)
    assert overlay.without_logged(world.directory, world.now) == Overlay()
    with pytest.raises(Rejected, match=r"directory\.repeated"):
        read_notice(world.directory, statement, world.now, Overlay())


@pytest.mark.parametrize(("signers", "days"), [(("officer/alba",), 1), (OFFICERS, 30)])
def test_notice_of_a_suspension_ends_as_the_suspension_would(
    world: World, signers: tuple[str, ...], days: int
) -> None:
    lost = taken(world, suspend(world, *signers))
    assert lost
    overlay = Overlay().merge([lost])
    assert overlay.suspended(PE)
    assert not overlay.suspended(CO)
    assert overlay.without_logged(world.directory, world.now + days * DAY_MS - 1).suspended(PE)
    assert not overlay.without_logged(world.directory, world.now + days * DAY_MS).suspended(PE)


def test_notice_of_a_veto_that_the_hub_keeps_back_denies_the_new_key_trust(world: World) -> None:
    named = done(world, recover(world, *OFFICERS, CO, BB))
    statement = veto(world, named)
    lost = taken(world, statement)
    assert lost
    overlay = Overlay().merge([lost])
    world.advance(THIRD_DAY)
    heartbeat(world)
    held = overlay.without_logged(world.directory, world.now)
    assert held.distrusted(PE, skid(world, "new")) == world.now - THIRD_DAY


def test_notice_that_would_have_no_effect_in_the_log_has_none(world: World) -> None:
    with pytest.raises(Rejected, match=r"directory\.wrong-reference"):
        read_notice(world.directory, veto(world, ZERO32), world.now, Overlay())
    with pytest.raises(Rejected, match=r"directory\.not-own"):
        read_notice(world.directory, revoke(world, OWN, CO), world.now, Overlay())
    leave = status(world, Move.LEAVE, PE, until=world.now)
    with pytest.raises(Rejected, match=r"directory\.not-own"):
        read_notice(world.directory, leave, world.now, Overlay())
