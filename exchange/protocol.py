"""What node and hub agree on over HTTP: paths, media types, mailbox items, socket frames (docs/protocol.md §8, §11)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exchange.errors import Rejected
from exchange.header import LANES
from exchange.limits import MAX_PAGE_BYTES, MAX_UPLOAD

GENESIS: Final = "/v1/genesis"
CHECKPOINT: Final = "/v1/directory/checkpoint"
CHECKPOINTS: Final = "/v1/directory/checkpoints"
LEAVES: Final = "/v1/directory/leaves"
STATEMENTS: Final = "/v1/directory/statements"
PENDING: Final = "/v1/directory/pending"
PREKEYS: Final = "/v1/prekeys/query"
PARTS: Final = "/v1/parts"
STATE: Final = "/v1/state"
SOCKET: Final = "/v1/socket"
ENVELOPES: Final = "/v1/envelopes"
MAILBOX: Final = "/v1/mailbox"
RECEIPTS: Final = "/v1/receipts"
APPLICATIONS: Final = "/v1/applications"
BLOBS: Final = "/v1/blobs"

BINARY: Final = "application/octet-stream"
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
PROBLEM_TYPE: Final = "urn:exchange:"
MORE: Final = "Exchange-More"
MEMBER_SCHEME: Final = "Exchange"
INVITATION_SCHEME: Final = "Invitation"

ITEM_NOTHING: Final = 0  # never sent: what holds the place of an item that was worked on out of turn
ITEM_DELIVERY: Final = 1
ITEM_RECEIPTS: Final = 2
ITEM_CHECKPOINT: Final = 3
ITEM_EXPIRED: Final = 4
ITEM_LARGE: Final = 5
_ITEM: Final = struct.Struct(">IBB")
_LARGE: Final = struct.Struct(">32sIB")
_MAX_ITEM: Final = max(MAX_UPLOAD, MAX_PAGE_BYTES)


@dataclass(frozen=True)
class Item:
    """One thing the hub has for a node; `cursor` goes back to the hub once it is stored."""

    type: int
    cursor: str
    payload: bytes

    def to_bytes(self) -> bytes:
        """u32 length || u8 type || u8 length || cursor || payload (docs/protocol.md §8.1)."""
        return item_head(self.type, self.cursor, len(self.payload)) + self.payload


def item_head(kind: int, cursor: str, size: int) -> bytes:
    """What stands in an item before its payload of `size` bytes."""
    return _ITEM.pack(2 + len(cursor) + size, kind, len(cursor)) + cursor.encode("ascii")


def items(data: bytes) -> Iterator[Item]:
    """The items of a page or socket frame. Raises Rejected request.bad on a frame that doesn't fit."""
    position = 0
    while position < len(data):
        if position + 6 > len(data):
            raise Rejected("request.bad", "an item is cut short")
        size, kind, cursor_length = _ITEM.unpack_from(data, position)
        start, end = position + 6 + cursor_length, position + 4 + size
        if size > _MAX_ITEM or not start <= end <= len(data):
            raise Rejected("request.bad", "an item's length doesn't fit")
        try:
            cursor = data[position + 6 : start].decode("ascii")
        except UnicodeDecodeError:
            raise Rejected("request.bad", "a cursor isn't ASCII") from None
        yield Item(kind, cursor, data[start:end])
        position = end


@dataclass(frozen=True)
class Large:
    """A delivery that the feed names instead of bringing it: envelope id, its size in bytes, its lane.

    The lane, because flash may overtake it only where it is no flash itself: that would turn a chain round.
    """

    env: bytes
    size: int
    lane: str

    def to_bytes(self) -> bytes:
        """Payload of an item of type 5: env || u32 size || u8 lane (docs/protocol.md §8.1)."""
        return _LARGE.pack(self.env, self.size, LANES.index(self.lane))

    @classmethod
    def from_bytes(cls, payload: bytes) -> Large:
        """Inverse of `to_bytes`. Raises Rejected request.bad, also for a size or lane that no delivery has."""
        if len(payload) != _LARGE.size:
            raise Rejected("request.bad", "a large item's name isn't 37 bytes")
        env, size, lane = _LARGE.unpack(payload)
        if not 0 < size <= MAX_UPLOAD or lane >= len(LANES):
            raise Rejected("request.bad", f"a large item of {size} bytes in lane {lane}")
        return cls(env, size, LANES[lane])
