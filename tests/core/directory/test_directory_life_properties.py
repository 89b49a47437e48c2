"""Whatever is said of a member, by whomever and in whatever order: what always holds of the log that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from hypothesis import given, settings, strategies as st
from lives import CO, NEXT, OFFICERS, PE, recover, revoke, rotate, skid, status, suspend, veto
from worlds import MEMBERS, World, keys, make_world

from exchange.directory.members import Move, Status
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.errors import Rejected
from exchange.limits import DAY_MS, HOUR_MS

BB = MEMBERS[2]
SPOKEN_BY = (("officer/alba",), ("officer/bruno",), OFFICERS, (PE,), (*OFFICERS, CO, BB))
Say = Callable[[World, Sequence[str]], Statement]


def move(word: Move) -> Say:
    def say(world: World, signers: Sequence[str]) -> Statement:
        member = world.directory.members[PE]
        names = b""
        if word in (Move.CONFIRM, Move.REINSTATE):
            names = (member.suspension.named if member.suspension else member.lifts) or bytes(32)
        until = world.now + 3 * DAY_MS if word in (Move.LEAVE, Move.OFFBOARD) else 0
        return status(world, word, *signers, names=names, until=until)

    return say


def vetoed(world: World, _signers: Sequence[str]) -> Statement:
    pending = world.directory.members[PE].recovery
    return veto(world, pending.named if pending else bytes(32), NEXT, reveal=NEXT)


SAYINGS: dict[str, Say] = {
    **{word.value: move(word) for word in Move if word is not Move.SUSPEND},
    "suspend": lambda world, signers: suspend(world, *signers, until=world.now + 2 * DAY_MS),
    "rotate": lambda world, _: rotate(world),
    "recover": lambda world, signers: recover(world, *[one for one in signers if one != PE]),
    "veto": vetoed,
    "revoke": lambda world, signers: revoke(world, "own", *signers, skid=skid(world)),
    "tick": lambda world, _: world.prekeys_statement(CO),
}


def facts(directory: Directory) -> Any:
    """All that can be asked of it."""
    return deepcopy(
        (
            dict(directory.members),
            [directory.prekeys(handle) for handle in MEMBERS],
            directory.key_standing(PE, keys(PE).public.signing.skid(directory.net)),
            directory.next_due(),
            directory.last_hash(PE, "status"),
            directory.last_hash(PE, "identity"),
            directory.root(),
        )
    )


steps = st.lists(
    st.tuples(st.sampled_from(sorted(SAYINGS)), st.sampled_from(SPOKEN_BY), st.sampled_from((0, 1, 23, 72))),
    min_size=1,
    max_size=8,
)


@given(steps=steps)
@settings(max_examples=30, deadline=None)
def test_log_says_the_same_however_it_is_read(steps: list[tuple[str, tuple[str, ...], int]]) -> None:
    world = make_world()
    for word, signers, hours in steps:
        world.advance(hours * HOUR_MS + 1)
        statement = SAYINGS[word](world, signers)
        before, member = facts(world.directory), world.directory.members[PE]
        try:
            world.directory.judge(statement, world.now)
            verdict = ""
        except Rejected as fault:
            verdict = fault.code
        assert facts(world.directory) == before  # judging changes nothing
        assert world.append(statement).code == verdict  # and says what will be
        after = world.directory.members[PE]
        if member.status is Status.REMOVED:
            assert after == member
        assert (after.status is Status.SUSPENDED) == (after.suspension is not None)
    codes = ["", *(outcome.code for outcome in world.outcomes)]
    resumed = Directory.resume(zip(world.leaves, codes, strict=True))
    assert facts(resumed) == facts(Directory.replay(world.leaves, now=None)) == facts(world.directory)
