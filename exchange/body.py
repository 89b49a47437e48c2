"""The envelope's plaintext body: salt, compression, lengths, padding (docs/protocol.md §4.2 step 2).

Owns bounded inflating and the buckets that hide a size. Does not encrypt.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from exchange.errors import Refused, Rejected
from exchange.limits import MAX_CONTENT

SALT_BYTES: Final = 32
_HEAD = struct.Struct(">32sBQQ")
_STORED, _ZLIB = 0, 1


def bucket(length: int) -> int:
    """The padded size for `length` bytes: powers of two up to 64 KiB, then Padmé."""
    if length <= 65_536:
        return max(1_024, 1 << (length - 1).bit_length())
    exponent = length.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return -(-length // step) * step


def pack(content: bytes, salt: bytes, *, compress: bool) -> bytes:
    """The padded plaintext. Raises Refused content.too-large."""
    if len(content) > MAX_CONTENT:
        raise Refused("content.too-large", f"{len(content)} bytes, at most {MAX_CONTENT}")
    how, packed = _STORED, content
    if compress:
        smaller = zlib.compress(content, 6)
        if len(smaller) < len(content):
            how, packed = _ZLIB, smaller
    plain = _HEAD.pack(salt, how, len(content), len(packed)) + packed
    return plain + bytes(bucket(len(plain)) - len(plain))


def unpack(plain: bytes) -> tuple[bytes, bytes]:
    """(salt, content). Raises Rejected envelope.bad-compression, .inflate-overflow, .bad-padding."""
    if len(plain) < _HEAD.size:
        raise Rejected("envelope.bad-padding", "shorter than its own head")
    salt, how, raw_length, packed_length = _HEAD.unpack_from(plain)
    end = _HEAD.size + packed_length
    if raw_length > MAX_CONTENT:
        raise Rejected("envelope.inflate-overflow", f"announces more than {MAX_CONTENT} bytes")
    if end > len(plain) or bucket(end) != len(plain) or plain.count(0, end) != len(plain) - end:
        raise Rejected("envelope.bad-padding")
    packed = plain[_HEAD.size : end]
    if how == _STORED:
        if raw_length != packed_length:
            raise Rejected("envelope.bad-compression", "stored, but the two lengths differ")
        return salt, packed
    if how != _ZLIB or packed_length >= raw_length:
        raise Rejected("envelope.bad-compression", "unknown, or not shorter than the content")
    return salt, _inflate(packed, raw_length)


def _inflate(packed: bytes, raw_length: int) -> bytes:
    engine = zlib.decompressobj()
    try:
        content = engine.decompress(packed, raw_length + 1)
    except zlib.error:
        raise Rejected("envelope.bad-compression", "not zlib") from None
    if len(content) > raw_length:
        raise Rejected("envelope.inflate-overflow", "inflates to more than it announces")
    if len(content) != raw_length or not engine.eof or engine.unused_data:
        raise Rejected("envelope.bad-compression", "doesn't inflate to what it announces")
    return content
