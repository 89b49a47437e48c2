"""Owns reading another hub's log: pages, where it leaves this node's own, and whether it may be followed there (§9.11).

Everything is judged on a copy; whoever asked takes it over or doesn't (directory/replica.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint
from exchange.directory.log import Leaf
from exchange.directory.state import Directory, Outcome
from exchange.directory.statements import Statement
from exchange.directory.succession import check_succession, read_change
from exchange.errors import Damaged, Hold, Rejected
from exchange.node.uplink.api import HubApi

MAX_LEAVES_BYTES: Final = 256 * 1024 * 1024  # one reading holds them until their root is checked
_BREATH: Final = 16  # leaves applied between two turns of the event loop


@dataclass(frozen=True)
class OtherLog:
    """A log that goes on after the first `start` leaves of this node's own, with these, judged."""

    directory: Directory
    start: int
    came: list[tuple[bytes, Outcome]]


async def fetch_leaves(hub: HubApi, start: int, stop: int) -> list[bytes]:
    """The leaves [start, stop) as the hub gives them. Raises Damaged directory.bad-leaf when they end before."""
    fresh: list[bytes] = []
    size = 0
    while start + len(fresh) < stop:
        page = await hub.leaves(start + len(fresh))
        size += sum(map(len, page))
        if not page or size > MAX_LEAVES_BYTES:
            raise Damaged("directory.bad-leaf", "the hub's pages end before its checkpoint")
        fresh += page
    return fresh[: stop - start]


async def judge_leaves(
    directory: Directory, leaves: Sequence[bytes], clock: Callable[[], int]
) -> tuple[list[tuple[bytes, Outcome]], Hold | None]:
    """Apply leaves, letting others have their turn; those applied, and the Hold that stopped it if one did."""
    came: list[tuple[bytes, Outcome]] = []
    for leaf in leaves:
        try:
            came.append((leaf, directory.apply(leaf, now=clock())))
        except Hold as hold:
            return came, hold
        if len(came) % _BREATH == 0:
            await asyncio.sleep(0)
    return came, None


async def go_back(
    held: Directory,
    stored: Sequence[tuple[bytes, str]],
    statement: Statement,
    *,
    adopted: Statement | None,
) -> Directory:
    """The log as it is where a change of hub that was handed over takes it up: `held` itself, or a beginning of it.

    `stored` are the leaves of `held` with their codes; `adopted` is the change of hub this node goes by already.
    Raises as `check_succession`, and Rejected with the code of the rule that the change breaks at that place.
    """
    place, body = check_succession(held, statement), read_change(statement, held.net)
    if adopted is not None and not held.took_effect(adopted.hash(held.net)):
        other = check_succession(held, adopted)
        if read_change(adopted, held.net).term >= body.term and not place.outranks(other):
            raise Rejected("directory.stale", "this node goes by another change of hub")
    earlier = held
    if body.size < held.size:
        earlier = await asyncio.to_thread(Directory.resume, stored[: body.size])
    if body.size <= held.size:
        earlier.judge(statement, earlier.at)
    return earlier


async def read_other_log(
    hub: HubApi,
    held: Directory,
    stored: Sequence[tuple[bytes, str]],
    offered: SignedCheckpoint,
    *,
    adopted: Statement | None,
    clock: Callable[[], int],
) -> OtherLog:
    """The log of a hub whose term `held` doesn't have, up to the checkpoint it offers, verified by what is in it.

    `stored` are the leaves of `held` with their codes; `adopted` is the change of hub this node goes by already.
    Raises Rejected directory.split (it leaves the own log elsewhere than a change of hub says, or has another one than
    was adopted), checkpoint.*, and as `check_succession`; Damaged directory.bad-leaf; Hold directory.leaf-ahead.
    """
    claim = offered.claim(held.net)
    start, fresh = await _difference(hub, held, stored, claim)
    cut = start < held.size
    copy = await asyncio.to_thread(Directory.resume, stored[:start])
    if copy.root_with(fresh) != claim.root:
        raise Damaged("directory.bad-leaf", "the leaves don't lead to the checkpoint's root")
    if cut:
        check_succession(held, _change_at_start(fresh, held.net))
    came, hold = await judge_leaves(copy, fresh, clock)
    if hold is not None:
        raise hold
    try:
        offered.verify(held.net, copy)
    except Hold:
        raise Rejected("checkpoint.bad-signature", "its log has no such term") from None
    if cut and start not in {term.index for term in copy.terms}:
        raise Rejected("directory.split", "it leaves the own log where no change of hub took effect")
    if adopted is not None and not copy.took_effect(adopted.hash(held.net)):
        raise Rejected("directory.split", "it has another change of hub than the one this node goes by")
    return OtherLog(copy, start, came)


async def _difference(
    hub: HubApi, held: Directory, stored: Sequence[tuple[bytes, str]], claim: Checkpoint
) -> tuple[int, list[bytes]]:
    """Where the hub's log leaves the own one, and its leaves from there on."""
    if claim.size >= held.size:
        fresh = await fetch_leaves(hub, held.size, claim.size)
        if held.root_with(fresh) == claim.root:
            return held.size, fresh
    everything = await fetch_leaves(hub, 0, claim.size)
    start = 0
    for (own, _), theirs in zip(stored, everything, strict=False):
        if own != theirs:
            break
        start += 1
    if start == 0:
        raise Rejected("directory.split", "the hub's log begins another network")
    return start, everything[start:]


def _change_at_start(fresh: Sequence[bytes], net: bytes) -> Statement:
    """The change of hub that makes the hub's log leave the own one. Raises Rejected directory.split where none does."""
    if fresh:
        statement = Leaf.from_bytes(fresh[0], net).statement
        with contextlib.suppress(Rejected):
            read_change(statement, net)
            return statement
    raise Rejected("directory.split", "it leaves the own log where no change of hub is")
