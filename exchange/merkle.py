"""The Merkle tree of RFC 9162 §2.1 over leaves given as bytes: root, inclusion path, check of a path.

Used by the directory log and by receipt batches. Does not parse leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """Merkle tree hash over leaf hashes; of none, SHA-256 of the empty string (RFC 9162 §2.1.1)."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    peaks: list[tuple[int, bytes]] = []
    for digest in hashes:
        size, top = 1, digest
        while peaks and peaks[-1][0] == size:
            top = _node(peaks.pop()[1], top)
            size *= 2
        peaks.append((size, top))
    top = peaks.pop()[1]
    while peaks:
        top = _node(peaks.pop()[1], top)
    return top


def root(leaves: Sequence[bytes]) -> bytes:
    """Merkle tree hash over the leaves' bytes."""
    return root_of_hashes([leaf_hash(leaf) for leaf in leaves])


def paths(hashes: Sequence[bytes], indexes: Iterable[int]) -> list[list[bytes]]:
    """Inclusion paths of these leaves, each from the leaf up (RFC 9162 §2.1.3.1); no subtree is hashed twice.

    Raises IndexError outside the tree.
    """
    roots: dict[tuple[int, int], bytes] = {}

    def subtree(low: int, high: int) -> bytes:
        if high - low == 1:
            return hashes[low]
        if (low, high) not in roots:
            split = _split(low, high)
            roots[low, high] = _node(subtree(low, split), subtree(split, high))
        return roots[low, high]

    def path(index: int) -> list[bytes]:
        if not 0 <= index < len(hashes):
            raise IndexError(index)
        steps: list[bytes] = []
        low, high = 0, len(hashes)
        while high - low > 1:
            split = _split(low, high)
            if index < split:
                steps.append(subtree(split, high))
                high = split
            else:
                steps.append(subtree(low, split))
                low = split
        steps.reverse()
        return steps

    return [path(index) for index in indexes]


def _split(low: int, high: int) -> int:
    """Where the left subtree ends: the largest power of two below the number of leaves."""
    return low + (1 << (high - low - 1).bit_length() - 1)


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
