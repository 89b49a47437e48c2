"""The Merkle tree of RFC 9162 §2.1 over leaves given as bytes: root, inclusion path, check of a path.

Used by the directory log and by receipt batches. Does not parse leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """Merkle tree hash over leaf hashes; of none, SHA-256 of the empty string (RFC 9162 §2.1.1)."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    level = hashes
    while len(level) > 1:
        level = _above(level)
    return level[0]


def root(leaves: Sequence[bytes]) -> bytes:
    """Merkle tree hash over the leaves' bytes."""
    return root_of_hashes([leaf_hash(leaf) for leaf in leaves])


def levels(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """The tree from the leaf hashes up to the root; of none, one empty level."""
    whole = [list(hashes)]
    while len(whole[-1]) > 1:
        whole.append(_above(whole[-1]))
    return whole


def _above(level: Sequence[bytes]) -> list[bytes]:
    """The nodes over these; a last one without a neighbour goes up as it is: RFC 9162's split at a power of two."""
    above = [_node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    above += level[len(above) * 2 :]
    return above


def every_path(tree: Sequence[Sequence[T]]) -> list[list[T]]:
    """Each leaf's inclusion path, from the leaf up (RFC 9162 §2.1.3.1), of `levels` or what was made of its nodes."""
    above: list[list[T]] = [[]]  # the root's
    for level in reversed(tree[:-1]):
        # a neighbour where there is one, then the way of the node above both
        above = [[*level[i ^ 1 : (i ^ 1) + 1], *above[i >> 1]] for i in range(len(level))]
    return above


def paths(hashes: Sequence[bytes], indexes: Iterable[int]) -> list[list[bytes]]:
    """The inclusion paths of these leaves. Raises IndexError outside the tree."""
    wanted = list(indexes)
    if any(not 0 <= index < len(hashes) for index in wanted):
        raise IndexError(wanted)
    every = every_path(levels(hashes))
    return [every[index] for index in wanted]


def root_from_path(leaf: bytes, index: int, size: int, steps: Sequence[bytes]) -> bytes | None:
    """The root that `steps` lead to, None if they have the wrong number (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return None
    position, last, digest = index, size - 1, leaf_hash(leaf)
    for step in steps:
        if last == 0:
            return None
        if position & 1 or position == last:
            digest = _node(step, digest)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            digest = _node(digest, step)
        position >>= 1
        last >>= 1
    return digest if last == 0 else None
