"""Chains: where an envelope stands among those of its sender, lane and recipient (docs/protocol.md §6).

Owns the commitment `lc` and the rules that tell a gap, a restart and a fork apart. A verdict never refuses mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from exchange.canonical import ZERO32, h, u64

NONCE_BYTES = 16
CHAIN_BYTES = 16


@dataclass(frozen=True)
class Link:
    """What a wrap carries: chain (16 bytes, random per run of the sender), number from 1, env of the one before."""

    chain: bytes
    seq: int
    prev: bytes = ZERO32


@dataclass(frozen=True)
class StoredLink:
    """A link the recipient holds, with the envelope id it belongs to."""

    chain: bytes
    seq: int
    env: bytes
    prev: bytes


@dataclass(frozen=True)
class Gap:
    """Numbers first..last that are missing, and the chain in which that was seen."""

    first: int
    last: int
    chain: bytes


@dataclass(frozen=True)
class LaneView:
    """What a recipient holds of one (sender, lane) around number s: the head, links of numbers s-1..s+1, the gaps."""

    head: StoredLink | None
    near: Sequence[StoredLink]
    gaps: Sequence[Gap]
    chain_known: bool


@dataclass(frozen=True)
class Placement:
    """The verdict; mark is "", "late", "restarted" or "fork"."""

    mark: str
    becomes_head: bool
    opened: Gap | None = None
    filled: bool = False
    fork_with: bytes | None = None


def commitment(net: bytes, nonce: bytes, link: Link) -> bytes:
    """`lc` = H("link", nonce, chain, u64 seq, prev), 32 bytes."""
    return h(net, "link", nonce, link.chain, u64(link.seq), link.prev)


def place(view: LaneView, link: Link, env: bytes) -> Placement:
    """Rules 1-7 of docs/protocol.md §6.2 for a new envelope `env` with `link`."""
    placement = _in_order(view, link, env)
    rival = _rival(view.near, link, env)
    if rival is None:
        return placement
    return replace(placement, mark="fork", fork_with=rival)  # 1


def _in_order(view: LaneView, link: Link, env: bytes) -> Placement:
    """Rules 2-7."""
    head_seq, head_env = (view.head.seq, view.head.env) if view.head else (0, ZERO32)  # 2
    if link.seq == head_seq + 1 and link.prev == head_env:  # 3
        return Placement("", becomes_head=True)
    if _fills(view, link, env):  # 4
        return Placement("late", becomes_head=False, filled=True)
    if link.seq == head_seq + 1:  # 5
        return Placement("restarted", becomes_head=True)
    if link.seq > head_seq:
        return Placement("", becomes_head=True, opened=Gap(head_seq + 1, link.seq - 1, link.chain))
    if view.chain_known:  # 6
        return Placement("late", becomes_head=False)
    return Placement("restarted", becomes_head=True)  # 7


def _rival(near: Sequence[StoredLink], link: Link, env: bytes) -> bytes | None:
    """The stored envelope that contradicts this one within the same chain."""
    for stored in near:
        if stored.chain != link.chain:
            continue
        same = stored.seq == link.seq and stored.env != env
        before = stored.seq == link.seq - 1 and stored.env != link.prev
        after = stored.seq == link.seq + 1 and stored.prev != env
        if same or before or after:
            return stored.env
    return None


def _fills(view: LaneView, link: Link, env: bytes) -> bool:
    gap = next((gap for gap in view.gaps if gap.first <= link.seq <= gap.last), None)
    if gap is None:
        return False
    return (
        view.chain_known
        or link.chain == gap.chain
        or (link.seq == 1 and link.prev == ZERO32)
        or any(near.seq == link.seq - 1 and near.env == link.prev for near in view.near)
        or any(near.seq == link.seq + 1 and near.prev == env for near in view.near)
    )


def close(gaps: Sequence[Gap], seq: int) -> list[Gap]:
    """The gaps that remain once number `seq` is closed."""
    left: list[Gap] = []
    for gap in gaps:
        if not gap.first <= seq <= gap.last:
            left.append(gap)
            continue
        if gap.first < seq:
            left.append(Gap(gap.first, seq - 1, gap.chain))
        if seq < gap.last:
            left.append(Gap(seq + 1, gap.last, gap.chain))
    return left
