"""Owns how content columns are encrypted at rest under a home's local key (docs/decisions/0021).

Does not keep the key (keystore.py) nor the rows (the stores). One key serves one database.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.errors import Refused

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
MAX_PLAIN_BYTES = 64 * 1024 * 1024
MAX_LABEL_BYTES = 1024  # of a kind or a row id

_VERSION = b"\x01"
OVERHEAD_BYTES = len(_VERSION) + NONCE_BYTES + TAG_BYTES


class LocalCipher:
    """AES-256-GCM with a random nonce a row, bound to what the row is: a value moved to another row won't open.

    Random 96-bit nonces hold for 2^32 values a key (NIST SP 800-38D §8.3), far above what one home stores.
    It does not notice a whole row put back as it was before: whoever can write the database file can do that.
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        """Take the home's local key, 32 random bytes. Raises Refused `storage.bad-local-key` for other sizes."""
        if len(key) != KEY_BYTES:
            raise Refused("storage.bad-local-key", size=len(key))
        self._aead = AESGCM(key)

    def seal(self, kind: str, row_id: str, data: bytes) -> bytes:
        """Encrypt `data` for the row `row_id` of the column `kind`; the result is 29 bytes longer.

        Raises:
            Refused: `storage.too-large`.
        """
        if len(data) > MAX_PLAIN_BYTES:
            raise Refused("storage.too-large", limit=MAX_PLAIN_BYTES)
        # Not an argument: choosing a nonce is the one mistake that breaks GCM.
        nonce = os.urandom(NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, data, _context(kind, row_id))

    def open(self, kind: str, row_id: str, sealed: bytes) -> bytes:
        """Decrypt what `seal` made for this very kind and row.

        Raises:
            Refused: `storage.row-damaged` for another key, row or kind, or changed bytes.
        """
        if not OVERHEAD_BYTES <= len(sealed) <= OVERHEAD_BYTES + MAX_PLAIN_BYTES or sealed[:1] != _VERSION:
            raise Refused("storage.row-damaged", kind=kind)
        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, body, _context(kind, row_id))
        except InvalidTag as error:
            raise Refused("storage.row-damaged", kind=kind) from error


def _context(kind: str, row_id: str) -> bytes:
    parts = (b"exchange/local/v1", kind.encode(), row_id.encode())
    if max(map(len, parts)) > MAX_LABEL_BYTES:
        raise Refused("storage.too-large", limit=MAX_LABEL_BYTES)
    # Lengths first, so that ("a", "bc") and ("ab", "c") never give the same bytes.
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)
