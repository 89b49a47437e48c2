"""Owns the file that holds private keys at rest: one format for node, hub and officer (docs/decisions/0020).

    magic 16 | u8 kdf | salt 32 | nonce 12 | AES-256-GCM( entries ) + tag 16 | SHA-256 of all before it, 32
    entries: for each in order of its name: u8 name length | name | u32 value length | value

Magic (with the version), kdf and salt are the additional authenticated data. The checksum tells damage from a
wrong key without a guess, and before any costly derivation; it proves nothing against an attacker, the tag does.
Does not know what the secrets mean (keys.py), nor who may open them. A home's prekeys live in a keystore file of
their own, so that destroying one is a rewrite of a small file.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.errors import Refused
from exchange.storage.files import disk_fault, write_private
from exchange.storage.unlock import SALT_BYTES, Kdf, Unlock, require_private

MAX_ENTRIES = 4096
MAX_VALUE_BYTES = 64 * 1024
MAX_FILE_BYTES = 16 * 1024 * 1024

_MAGIC = b"exchange-keys/1\n"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEADER_BYTES = len(_MAGIC) + 1 + SALT_BYTES
_MIN_FILE_BYTES = _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES + hashlib.sha256().digest_size
_NAME = re.compile(r"[a-z0-9][a-z0-9._/-]{0,126}", re.ASCII)


class Keystore:
    """The opened secrets of one file. Every change is on disk, whole, before the method returns.

    The master key is derived once, when opening. Secrets stay in memory while the object lives: Python can't wipe
    bytes. One process owns the file (HomeLock); two writers would lose each other's changes.
    """

    __slots__ = ("_header", "_key", "_path", "_secrets")

    def __init__(self, path: Path, header: bytes, key: AESGCM, secrets: Mapping[str, bytes]) -> None:
        """For `create` and `open`."""
        self._path = path
        self._header = header
        self._key = key
        self._secrets = dict(secrets)

    @classmethod
    def create(cls, path: Path, unlock: Unlock, secrets: Mapping[str, bytes]) -> Self:
        """Make a new keystore file holding `secrets`.

        Raises:
            Refused: `keystore.exists`, `keystore.passphrase` (too short), `keystore.limit`.
            Unavailable: `storage.full`, `storage.io`.
        """
        if path.exists():
            raise Refused("keystore.exists", path=str(path))
        if unlock.is_weak():
            raise Refused("keystore.passphrase")
        salt = os.urandom(SALT_BYTES)
        header = _MAGIC + bytes([unlock.kdf]) + salt
        keystore = cls(path, header, AESGCM(unlock.derive(salt)), {})
        keystore._replace(dict(secrets))
        return keystore

    @classmethod
    def open(cls, path: Path, unlock: Unlock) -> Self:
        """Read and decrypt a keystore file.

        Raises:
            Refused: `keystore.missing`, `keystore.mode`, `keystore.damaged`, `keystore.wrong-key`.
            Unavailable: `storage.io`.
        """
        data = _read(path)
        # 1. Damage, before any key is derived.
        if len(data) < _MIN_FILE_BYTES or len(data) > MAX_FILE_BYTES or not data.startswith(_MAGIC):
            raise Refused("keystore.damaged", path=str(path))
        data, checksum = data[:-32], data[-32:]
        if not hmac.compare_digest(hashlib.sha256(data).digest(), checksum):
            raise Refused("keystore.damaged", path=str(path))
        # 2. The right kind of key.
        header, nonce, body = (
            data[:_HEADER_BYTES],
            data[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES],
            data[_HEADER_BYTES + _NONCE_BYTES :],
        )
        if header[len(_MAGIC)] != unlock.kdf:
            raise Refused("keystore.wrong-key", _other_kind(header[len(_MAGIC)]), path=str(path))
        # 3. The right key.
        key = AESGCM(unlock.derive(header[len(_MAGIC) + 1 :]))
        try:
            entries = key.decrypt(nonce, body, header)
        except InvalidTag as error:
            raise Refused("keystore.wrong-key", path=str(path)) from error
        return cls(path, header, key, _parse(entries))

    def get(self, name: str) -> bytes:
        """The secret called `name`. Raises Refused `keystore.no-entry`."""
        if name not in self._secrets:
            raise Refused("keystore.no-entry", name=name)
        return self._secrets[name]

    def names(self) -> list[str]:
        """The names held, sorted."""
        return sorted(self._secrets)

    def put(self, name: str, value: bytes) -> None:
        """Add or replace one secret, durably.

        Raises:
            Refused: `keystore.limit` for a bad name, a long value or too many.
            Unavailable: `storage.full`, `storage.io`; then nothing has changed.
        """
        self.update({name: value})

    def remove(self, name: str) -> None:
        """Forget one secret; the file on return no longer holds it.

        The old file's blocks may stay on the medium until reused (docs/decisions/0020).

        Raises:
            Refused: `keystore.no-entry`.
            Unavailable: `storage.full`, `storage.io`; then nothing has changed.
        """
        self.get(name)
        self.update({}, remove=[name])

    def update(self, changes: Mapping[str, bytes], *, remove: list[str] | None = None) -> None:
        """Put several secrets and drop others (missing ones are skipped) in one rewrite.

        Raises:
            Refused: `keystore.limit`.
            Unavailable: `storage.full`, `storage.io`; then nothing has changed.
        """
        dropped = frozenset(remove or ())
        kept = {name: value for name, value in self._secrets.items() if name not in dropped}
        self._replace(kept | dict(changes))

    def _replace(self, secrets: dict[str, bytes]) -> None:
        entries = _serialise(secrets)
        # Not an argument: choosing a nonce is the one mistake that breaks GCM.
        nonce = os.urandom(_NONCE_BYTES)
        data = self._header + nonce + self._key.encrypt(nonce, entries, self._header)
        write_private(self._path, data + hashlib.sha256(data).digest())
        self._secrets = secrets  # only now: a failed write must leave memory and disk alike

    def __repr__(self) -> str:
        return f"Keystore({len(self._secrets)} entries)"

    def __reduce__(self) -> str:
        raise TypeError("a Keystore holds secrets and is not pickled")


def _other_kind(kdf: int) -> str:
    needed = "a passphrase" if kdf == Kdf.ARGON2ID_64MIB_3_4 else "a key file or credential"
    return f"this keystore opens with {needed}"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            require_private(os.fstat(file.fileno()).st_mode, path)
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise Refused("keystore.missing", path=str(path)) from error
    except OSError as error:
        raise disk_fault(error) from error


def _serialise(secrets: Mapping[str, bytes]) -> bytes:
    if len(secrets) > MAX_ENTRIES:
        raise Refused("keystore.limit", limit=MAX_ENTRIES)
    parts = []
    for name, value in sorted(secrets.items()):
        if not _NAME.fullmatch(name) or len(value) > MAX_VALUE_BYTES:
            raise Refused("keystore.limit", limit=MAX_VALUE_BYTES)
        parts.append(struct.pack(">B", len(name)) + name.encode() + struct.pack(">I", len(value)) + value)
    entries = b"".join(parts)
    if len(entries) + _MIN_FILE_BYTES > MAX_FILE_BYTES:
        raise Refused("keystore.limit", limit=MAX_FILE_BYTES)
    return entries


def _parse(entries: bytes) -> dict[str, bytes]:
    """Read what the tag has proved to be ours; still bounded, and one spelling only."""
    secrets: dict[str, bytes] = {}
    at = 0
    try:
        while at < len(entries):
            name, at = _take(entries, at + 1, entries[at])
            (size,) = struct.unpack_from(">I", entries, at)
            value, at = _take(entries, at + 4, size)
            secrets[name.decode("ascii")] = value
    except (struct.error, UnicodeDecodeError) as error:
        raise Refused("keystore.damaged") from error
    if _serialise(secrets) != entries:
        raise Refused("keystore.damaged")
    return secrets


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if at + size > len(data):
        raise Refused("keystore.damaged")
    return data[at : at + size], at + size
