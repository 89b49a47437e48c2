"""The two forms an envelope travels in: upload to the hub, delivery to one recipient (docs/protocol.md §4.3).

Checks frames and sizes only.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from exchange.canonical import framed, u32
from exchange.errors import Rejected
from exchange.keys import SIGNATURE_BYTES
from exchange.limits import MAX_BODY, MAX_HEADER, MAX_RECIPIENTS, MAX_UPLOAD

WRAP_BYTES: Final = 1_240
LC_BYTES: Final = 32
SLOT_BYTES: Final = WRAP_BYTES + LC_BYTES
DELIVERY_FRAME: Final = 16  # bytes of a delivery beside header, signatures, slot and body
_UPLOAD = b"EXE1"
_DELIVERY = b"EXD1"
_EXPIRED = b"EXX1"


@dataclass(frozen=True)
class Upload:
    """An envelope whole: header and signatures as signed, one slot (wrap || lc) a recipient, body."""

    header: bytes
    signatures: bytes
    slots: tuple[bytes, ...]
    body: bytes

    def to_bytes(self) -> bytes:
        head = (_UPLOAD, u32(len(self.header)), self.header, u32(len(self.signatures)), self.signatures)
        return b"".join((*head, framed(self.slots), self.body))

    @classmethod
    def from_bytes(cls, data: bytes, recipients: int) -> Upload:
        """Inverse of `to_bytes` for that many recipients. Raises Rejected envelope.bad-frame, .too-large."""
        if len(data) > MAX_UPLOAD:
            raise Rejected("envelope.too-large", f"{len(data)} bytes, at most {MAX_UPLOAD}")
        reader = _Reader(data, (_UPLOAD,))
        header = reader.frame(1, MAX_HEADER)
        signatures = reader.frame(SIGNATURE_BYTES, SIGNATURE_BYTES)
        slots = tuple(reader.frame(SLOT_BYTES, SLOT_BYTES) for _ in range(min(recipients, MAX_RECIPIENTS)))
        return cls(header, signatures, slots, reader.rest())

    def delivery(self, index: int) -> Delivery:
        """What the recipient at `index` gets."""
        return Delivery(self.header, self.signatures, self.slots[index], self.body)


@dataclass(frozen=True)
class Delivery:
    """An envelope as one recipient gets it: only its own slot. An expired one has no body."""

    header: bytes
    signatures: bytes
    slot: bytes
    body: bytes
    expired: bool = False

    def to_bytes(self) -> bytes:
        head = delivery_head(self.header, self.signatures, expired=self.expired)
        return b"".join((head, self.slot, self.body))

    @classmethod
    def from_bytes(cls, data: bytes) -> Delivery:
        """Inverse of `to_bytes`. Raises Rejected envelope.bad-frame."""
        reader = _Reader(data, (_DELIVERY, _EXPIRED))
        header = reader.frame(1, MAX_HEADER)
        signatures = reader.frame(SIGNATURE_BYTES, SIGNATURE_BYTES)
        slot = reader.frame(SLOT_BYTES, SLOT_BYTES)
        body = reader.rest()
        expired = reader.magic == _EXPIRED
        if expired and body:
            raise Rejected("envelope.bad-frame", "an expired delivery has no body")
        return cls(header, signatures, slot, body, expired)

    @property
    def wrap(self) -> bytes:
        return self.slot[:WRAP_BYTES]

    @property
    def lc(self) -> bytes:
        return self.slot[WRAP_BYTES:]


def delivery_head(header: bytes, signatures: bytes, *, expired: bool = False) -> bytes:
    """A delivery up to the slot: the same for all recipients."""
    magic = _EXPIRED if expired else _DELIVERY
    return b"".join((magic, u32(len(header)), header, u32(len(signatures)), signatures, u32(SLOT_BYTES)))


def header_of(data: bytes) -> bytes:
    """The header's bytes of an upload, before the number of its slots is known. Raises as `Upload.from_bytes`."""
    return _Reader(data, (_UPLOAD,)).frame(1, MAX_HEADER)


class _Reader:
    def __init__(self, data: bytes, magics: tuple[bytes, ...]) -> None:
        self._data = data
        self._position = 4
        self.magic = data[:4]
        if self.magic not in magics:
            raise Rejected("envelope.bad-frame", "wrong magic")

    def frame(self, least: int, most: int) -> bytes:
        start = self._position + 4
        if start > len(self._data):
            raise Rejected("envelope.bad-frame", "cut short")
        (size,) = struct.unpack_from(">I", self._data, self._position)
        if not least <= size <= most or start + size > len(self._data):
            raise Rejected("envelope.bad-frame", "a frame's length doesn't fit")
        self._position = start + size
        return self._data[start : self._position]

    def rest(self) -> bytes:
        body = self._data[self._position :]
        if len(body) > MAX_BODY:
            raise Rejected("envelope.bad-frame", f"body over {MAX_BODY} bytes")
        return body
