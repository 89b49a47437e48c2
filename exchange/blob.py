"""Sealed blobs: an attachment's bytes under a key of its own, piece by piece (docs/protocol.md §5.1).

Owns the sealed form. Reads no file and sends nothing: bytes go in, bytes come out, in bounded memory.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from exchange.body import bucket
from exchange.canonical import h, u64
from exchange.errors import Refused, Rejected
from exchange.limits import MAX_ATTACHMENT

BLOB_KEY_BYTES: Final = 32
# Cobblestone-256: what stands before the first chunk, and the tag of each; the last one is never full
_HEAD, _CHUNK, _TAG = 56, 16_384, 16
_ZEROS: Final = bytes(65_536)


def sealed_size(size: int) -> int:
    """Bytes of the blob that `size` bytes become: padded to their bucket, and sealed."""
    padded = bucket(size)
    return _HEAD + padded + _TAG * (padded // _CHUNK + 1)


def _context(net: bytes, size: int) -> bytes:
    return h(net, "blob", u64(size))


class BlobSealer:
    """Seals `size` bytes under `key` (32 random bytes, used for nothing else). What comes out is the blob, in order.

    Raises Refused blob.too-large at once, blob.wrong-size when other than `size` bytes go in.
    """

    def __init__(self, key: bytes, net: bytes, size: int) -> None:
        if not 0 <= size <= MAX_ATTACHMENT:
            raise Refused("blob.too-large", f"{size} bytes, at most {MAX_ATTACHMENT}")
        self._left, self._padding = size, bucket(size) - size
        self._encryptor = Cobblestone256Encryptor(key, _context(net, size))

    def update(self, data: bytes) -> bytes:
        """The next bytes of the attachment; gives what of the blob is ready."""
        self._left -= len(data)
        if self._left < 0:
            raise Refused("blob.wrong-size")
        return self._encryptor.update(data)

    def finish(self) -> bytes:
        """The end of the blob: at most an eighth of its size, or 64 KiB."""
        if self._left:
            raise Refused("blob.wrong-size")
        sealed = bytearray()
        for start in range(0, self._padding, len(_ZEROS)):
            sealed += self._encryptor.update(_ZEROS[: self._padding - start])
        return bytes(sealed + self._encryptor.finalize())


class BlobOpener:
    """Opens the blob of an attachment of `size` bytes whose SHA-256 is `digest`.

    Each byte that leaves `update` was authenticated as that byte of this attachment; that it is whole, only `finish`
    knows. All three raise Rejected blob.bad-seal, .bad-padding, .bad-digest; after that no more may be asked.
    """

    def __init__(self, key: bytes, net: bytes, size: int, digest: bytes) -> None:
        self._left, self._padding, self._digest = size, bucket(size) - size, digest
        self._hash = sha256()
        self._decryptor = Cobblestone256Decryptor(key, _context(net, size))

    def update(self, data: bytes) -> bytes:
        """The next bytes of the blob; gives the bytes of the attachment that are ready, without padding."""
        try:
            return self._plain(self._decryptor.update(data))
        except InvalidTag:
            raise Rejected("blob.bad-seal") from None

    def finish(self) -> bytes:
        """The last bytes of the attachment: everything held, to the end."""
        try:
            rest = self._plain(self._decryptor.finalize())
        except InvalidTag:
            raise Rejected("blob.bad-seal") from None
        if self._left or self._padding:
            raise Rejected("blob.bad-padding", "shorter than the attachment's size asks for")
        if self._hash.digest() != self._digest:
            raise Rejected("blob.bad-digest")
        return rest

    def _plain(self, opened: bytes) -> bytes:
        plain, padding = opened[: self._left], opened[self._left :]
        self._left -= len(plain)
        self._padding -= len(padding)
        if self._padding < 0 or padding.count(0) != len(padding):
            raise Rejected("blob.bad-padding")
        self._hash.update(plain)
        return plain
