"""The log as bytes: one leaf with its index and time, and the Merkle tree over leaves (docs/protocol.md §9.2).

Owns a leaf's form and the roots of every size. What a leaf means is `state`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exchange.canonical import Fields, b64, dumps, loads
from exchange.directory.statements import Statement, read_signatures, signatures_json
from exchange.errors import Damaged, Rejected
from exchange.limits import MAX_LEAF
from exchange.merkle import leaf_hash, root_of_hashes

_NAMES = ("at", "body", "index", "net", "signatures", "v")


@dataclass(frozen=True)
class Leaf:
    """A statement as logged: `index` from 0, `at` in UTC ms, both given by the hub."""

    index: int
    at: int
    statement: Statement

    def to_bytes(self, net: bytes) -> bytes:
        """Signed JSON of the leaf, as it stands in the tree."""
        return dumps(
            {
                "at": self.at,
                "body": b64(self.statement.body),
                "index": self.index,
                "net": b64(net),
                "signatures": signatures_json(self.statement.signatures),
                "v": 1,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, net: bytes) -> Leaf:
        """Inverse of `to_bytes`. Raises Damaged directory.bad-leaf, also for another network's leaf.

        Only what the hub itself is bound to is checked: a fault that a signer made must not stop the reader here.
        """
        named, leaf = read_leaf(data)
        if named != net:
            raise Damaged("directory.bad-leaf", "a leaf of another network")
        return leaf


def read_leaf(data: bytes) -> tuple[bytes, Leaf]:
    """The net that a leaf names, and the leaf: for the first one, which begins its network.

    Raises Damaged directory.bad-leaf.
    """
    try:
        fields = Fields(loads(data, most=MAX_LEAF, field="leaf"), _NAMES, what="leaf")
        fields.exactly("v", 1)
        statement = Statement(fields.binary("body"), read_signatures(fields))
        return fields.binary("net", 32), Leaf(fields.integer("index"), fields.integer("at"), statement)
    except Rejected as fault:
        raise Damaged("directory.bad-leaf", fault.detail) from None


class Tree:
    """The growing Merkle tree: a leaf costs O(log n) hashes, the root of any size there was is a look-up."""

    __slots__ = ("_peaks", "_roots")

    def __init__(self) -> None:
        self._peaks: list[
            tuple[int, bytes]
        ] = []  # (leaves below, hash) of the perfect subtrees, left to right
        self._roots = [root_of_hashes(())]

    @property
    def size(self) -> int:
        return len(self._roots) - 1

    def append(self, leaf: bytes) -> None:
        """Add a leaf's bytes."""
        _grow(self._peaks, leaf)
        self._roots.append(_bag(self._peaks))

    def root(self, size: int) -> bytes:
        """Root over the first `size` leaves. Raises IndexError outside 0..`self.size`."""
        if size < 0:
            raise IndexError(size)
        return self._roots[size]

    def root_with(self, leaves: Iterable[bytes]) -> bytes:
        """Root that appending `leaves` would lead to; nothing is appended."""
        peaks = list(self._peaks)
        for leaf in leaves:
            _grow(peaks, leaf)
        return _bag(peaks)


def _grow(peaks: list[tuple[int, bytes]], leaf: bytes) -> None:
    size, top = 1, leaf_hash(leaf)
    while peaks and peaks[-1][0] == size:
        top = root_of_hashes((peaks.pop()[1], top))
        size *= 2
    peaks.append((size, top))


def _bag(peaks: list[tuple[int, bytes]]) -> bytes:
    if not peaks:
        return root_of_hashes(())
    top = peaks[-1][1]
    for _, peak in reversed(peaks[:-1]):
        top = root_of_hashes((peak, top))
    return top
