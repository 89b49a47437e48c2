"""Owns what opens a keystore: a passphrase, a key file or a systemd credential, and how each becomes a key.

Does not ask anybody for a passphrase (cli/) nor read the environment: both come as arguments.
Does not know the keystore's file (keystore.py).
"""

from __future__ import annotations

import enum
import os
import stat
import unicodedata
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.errors import Refused
from exchange.storage.files import OTHERS, disk_fault, write_private

MASTER_KEY_BYTES = 32
SALT_BYTES = 32

# RFC 9106 §4, second recommended choice (64 MiB, 3 passes, 4 lanes): about 0.13 s on two cores.
ARGON2ID_MEMORY_KIB = 64 * 1024
ARGON2ID_PASSES = 3
ARGON2ID_LANES = 4

KEY_FILE_BYTES = 32
MAX_KEY_FILE_BYTES = 4096
MIN_PASSPHRASE_CHARACTERS = 12  # checked where a keystore is made, so that a longer rule never locks one out
MAX_PASSPHRASE_BYTES = 1024

_KEY_FILE_INFO = b"exchange/keystore/v1/key-file"


class Kdf(enum.IntEnum):
    """How the secret becomes the master key; the number stands in the file and names all its parameters."""

    ARGON2ID_64MIB_3_4 = 1
    HKDF_SHA256 = 2


class Unlock:
    """A secret that opens keystores. Made by its class methods; never shown by repr and never pickled."""

    __slots__ = ("_secret", "kdf")

    def __init__(self, kdf: Kdf, secret: bytes) -> None:
        self.kdf = kdf
        self._secret = secret

    @classmethod
    def passphrase(cls, text: str) -> Self:
        """Use what a person types, in NFC: the same phrase from another keyboard must open the same file.

        Raises:
            Refused: `keystore.passphrase` when empty or over 1,024 bytes.
        """
        # Lone surrogates (undecodable terminal input) must not become a UnicodeEncodeError with the text in it.
        secret = unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
        if not 0 < len(secret) <= MAX_PASSPHRASE_BYTES:
            raise Refused("keystore.passphrase")
        return cls(Kdf.ARGON2ID_64MIB_3_4, secret)

    @classmethod
    def key_file(cls, path: Path) -> Self:
        """Use the random bytes of a file (`create_key_file`) that only its owner may read.

        Raises:
            Refused: `keystore.key-file` (missing or of another size), `keystore.mode`.
            Unavailable: `storage.io`.
        """
        return cls(Kdf.HKDF_SHA256, _read_key(path, private=True))

    @classmethod
    def credential(cls, directory: Path, name: str) -> Self:
        """Use a systemd credential holding random bytes; `directory` is $CREDENTIALS_DIRECTORY.

        Its mode is not checked: systemd guards the directory, and shows an access list's mask as group bits.

        Raises:
            Refused: `keystore.key-file`.
            Unavailable: `storage.io`.
        """
        if not name or name != Path(name).name:
            raise Refused("keystore.key-file", "a credential's name is one path component")
        return cls(Kdf.HKDF_SHA256, _read_key(directory / name, private=False))

    def is_weak(self) -> bool:
        """Whether a new keystore should not be made with it: a passphrase under 12 characters."""
        if self.kdf is Kdf.HKDF_SHA256:
            return False
        return len(self._secret.decode("utf-8", "surrogatepass")) < MIN_PASSPHRASE_CHARACTERS

    def derive(self, salt: bytes) -> bytes:
        """The 32-byte master key under `salt` (RFC 9106 for passphrases, RFC 5869 for random bytes)."""
        if self.kdf is Kdf.HKDF_SHA256:
            # A key file has full entropy: stretching it would only cost every command a tenth of a second.
            hkdf = HKDF(hashes.SHA256(), MASTER_KEY_BYTES, salt=salt, info=_KEY_FILE_INFO)
            return hkdf.derive(self._secret)
        argon2id = Argon2id(
            salt=salt,
            length=MASTER_KEY_BYTES,
            iterations=ARGON2ID_PASSES,
            lanes=ARGON2ID_LANES,
            memory_cost=ARGON2ID_MEMORY_KIB,
        )
        return argon2id.derive(self._secret)

    def __repr__(self) -> str:
        return f"Unlock({self.kdf.name})"

    def __reduce__(self) -> str:
        raise TypeError("an Unlock holds a secret and is not pickled")


def create_key_file(path: Path) -> None:
    """Make a new key file of 32 random bytes, mode 0600.

    Raises:
        Refused: `keystore.exists`: whatever the file there opens would be lost with it.
        Unavailable: `storage.full`, `storage.io`.
    """
    if path.exists():
        raise Refused("keystore.exists", path=str(path))
    write_private(path, os.urandom(KEY_FILE_BYTES))


def require_private(file_mode: int, path: Path) -> None:
    """Refuse a secret's file that group or others may touch, naming the command that closes it.

    Raises:
        Refused: `keystore.mode`.
    """
    if file_mode & OTHERS:
        raise Refused("keystore.mode", f"others may read {path}; run: chmod 600 {path}", path=str(path))


def _read_key(path: Path, *, private: bool) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode  # of the file that is open, not of the name
            if not stat.S_ISREG(mode):
                raise Refused("keystore.key-file", path=str(path))
            if private:
                require_private(mode, path)
            secret = file.read(MAX_KEY_FILE_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Refused("keystore.key-file", f"there is no key file {path}", path=str(path)) from error
    except OSError as error:
        raise disk_fault(error) from error
    if not KEY_FILE_BYTES <= len(secret) <= MAX_KEY_FILE_BYTES:
        raise Refused("keystore.key-file", path=str(path), size=len(secret))
    return secret
