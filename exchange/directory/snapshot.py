"""Snapshots: the log with its newest checkpoint and the parts beside it, in one file that verifies anywhere (§9.18).

Owns their form and what verifying one takes. Nothing in a snapshot is believed because of where it came from, so it can
be mirrored by anybody; how old it is the reader must look at.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import orjson

from exchange.canonical import ADDRESS, Fields, Json, b64, unb64
from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint
from exchange.directory.contacts import MAX_PART, REPLICATED, SALT_BYTES, Part
from exchange.directory.state import Directory
from exchange.errors import Rejected
from exchange.limits import MAX_LEAF

PUBLIC: Final = "public"
MEMBERS: Final = "members"
SNAPSHOT_LEVELS: Final = (PUBLIC, MEMBERS)
MAX_SNAPSHOT: Final = 268_435_456  # bytes, packed or not
MAX_LEAVES: Final = 1_000_000
MAX_PARTS: Final = 100_000
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31  # zlib's number for "gzip, largest window"
_MOST_VALUES: Final = MAX_LEAVES + 4 * MAX_PARTS + 16  # with the members beside both lists
_NAMES: Final = ("checkpoint", "leaves", "level", "parts", "v")


@dataclass(frozen=True)
class Snapshot:
    """The log up to `checkpoint`, and the parts that readers of `level` may see. Not verified yet: `verify`."""

    checkpoint: SignedCheckpoint
    leaves: tuple[bytes, ...]
    level: str
    parts: tuple[Part, ...]

    @classmethod
    def of(
        cls, checkpoint: SignedCheckpoint, leaves: Iterable[bytes], parts: Iterable[Part], *, level: str
    ) -> Self:
        """A snapshot for readers of `level`: of `parts` only those that they may see are taken."""
        seen = {PUBLIC} if level == PUBLIC else REPLICATED
        kept = sorted(
            (part for part in parts if part.level in seen), key=lambda part: (part.address, part.level)
        )
        return cls(checkpoint, tuple(leaves), level, tuple(kept))

    def to_bytes(self) -> bytes:
        """The file: gzip of JSON, the same bytes for the same snapshot."""
        value = {
            "checkpoint": self.checkpoint.to_json(),
            "leaves": [b64(leaf) for leaf in self.leaves],
            "level": self.level,
            "parts": [[part.address, part.level, b64(part.salt), b64(part.body)] for part in self.parts],
            "v": 1,
        }
        packer = zlib.compressobj(wbits=_GZIP_WINDOW)
        return packer.compress(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)) + packer.flush()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Inverse of `to_bytes`, also of the JSON without gzip. Raises Rejected snapshot.bad-format."""
        try:
            plain = _unpacked(data)
            if (
                plain.count(b",") > _MOST_VALUES
            ):  # no text in it has one; parsed, each value takes a hundred bytes
                raise Rejected("snapshot.bad-format", "more values than a snapshot can have")
            fields = Fields(orjson.loads(plain), _NAMES, what="snapshot")
            fields.exactly("v", 1)
            level = fields.one_of("level", SNAPSHOT_LEVELS)
            leaves = fields.items("leaves", least=1, most=MAX_LEAVES)
            rows = fields.rows("parts", 4, most=MAX_PARTS)
            return cls(
                SignedCheckpoint.from_json(fields.raw("checkpoint")),
                tuple(unb64(leaf, field="snapshot.leaves") for leaf in leaves),
                level,
                tuple(_part(row) for row in rows),
            )
        except orjson.JSONDecodeError:
            raise Rejected("snapshot.bad-format", "not JSON") from None
        except Rejected as fault:
            raise Rejected("snapshot.bad-format", fault.detail) from None

    def verify(self, net: bytes | None) -> tuple[Directory, Checkpoint]:
        """The directory as of the checkpoint, and what that says; `net` is the reader's network, None to learn it.

        Raises Rejected snapshot.bad-format (another network's, more or fewer leaves than the checkpoint covers, or
        another root), snapshot.bad-part, checkpoint.bad-signature, directory.bad-genesis; Damaged directory.bad-leaf,
        directory.bad-order.
        """
        if any(len(leaf) > MAX_LEAF for leaf in self.leaves):
            raise Rejected("snapshot.bad-format", "a leaf is over the limit")
        directory = Directory.replay(self.leaves, now=None)
        if net is not None and directory.net != net:
            raise Rejected("snapshot.bad-format", "a snapshot of another network")
        checkpoint = self._checked(directory)
        self._check_parts(directory)
        return directory, checkpoint

    def _checked(self, directory: Directory) -> Checkpoint:
        try:
            claim = self.checkpoint.claim(directory.net)
        except Rejected as fault:
            raise Rejected("snapshot.bad-format", fault.detail) from None
        if (claim.size, claim.root, claim.term) != (directory.size, directory.root(), directory.term):
            raise Rejected("snapshot.bad-format", "the leaves aren't those of the checkpoint")
        return self.checkpoint.verify(directory.net, directory)

    def _check_parts(self, directory: Directory) -> None:
        named, seen = directory.named_parts(), set[bytes]()
        for part in self.parts:
            digest = part.hash(directory.net)
            may = part.level == PUBLIC or self.level == MEMBERS
            if digest not in named or digest in seen or not may:
                raise Rejected("snapshot.bad-part", f"{part.address}, {part.level}")
            seen.add(digest)


def _unpacked(data: bytes) -> bytes:
    """The JSON; never more than the limit is unpacked. Raises Rejected snapshot.bad-format."""
    if len(data) > MAX_SNAPSHOT:
        raise Rejected("snapshot.bad-format", f"more than {MAX_SNAPSHOT} bytes")
    if not data.startswith(_GZIP):
        return data
    inflater = zlib.decompressobj(wbits=_GZIP_WINDOW)
    try:
        plain = inflater.decompress(data, MAX_SNAPSHOT)
    except zlib.error:
        raise Rejected("snapshot.bad-format", "the gzip is damaged") from None
    if not inflater.eof or inflater.unused_data:
        raise Rejected("snapshot.bad-format", "the gzip is cut, longer than its end, or over the limit")
    return plain


def _part(row: Sequence[Json]) -> Part:
    address, level, salt, body = row
    if not (isinstance(address, str) and ADDRESS.match(address)):
        raise Rejected("json.bad-schema", "snapshot.parts: not an address")
    if not isinstance(level, str) or level not in REPLICATED:
        raise Rejected("json.bad-schema", "snapshot.parts: not a level that is replicated")
    part = Part(
        address,
        level,
        unb64(salt, size=SALT_BYTES, field="snapshot.parts"),
        unb64(body, field="snapshot.parts"),
    )
    if len(part.body) > MAX_PART:
        raise Rejected("json.bad-schema", f"snapshot.parts: one is over {MAX_PART} bytes")
    return part
