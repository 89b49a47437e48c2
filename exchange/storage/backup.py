"""Owns the file that a home is backed up into: one encrypted stream, opened by a secret that isn't the home's.

    magic 16 | u8 version | u8 kdf | salt 32 | u16 length of head | head | Cobblestone256( entries )
    head: signed-JSON spelling of {"at", "contents", "kind", "net", "of", "schema"}: what it is, and no secret
    entries: for each: u16 length of name | name | u64 length | bytes;   then u16 0 | u32 number of entries
    an entry's name: a file's of the home, or files/PATH for one in a folder of it or with an unusual name; in a unit's
    home units/HANDLE/ before it

The stream's key is derived from the secret and the salt (unlock.py), its context is the SHA-256 of all before it: a
changed head opens nothing. Written and read in pieces of 1 MiB. Every piece that comes out is authentic, but only
after `BackupReader.finish` is the file known to be whole: nothing may be put in place before (docs/decisions/0045).
Does not know what a home holds (node/backup.py, hub/backup.py).
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, Final, Self

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from exchange.canonical import Fields, Json, b64, dumps, loads, unb64
from exchange.errors import Refused, Rejected
from exchange.storage.backup_copy import copying
from exchange.storage.connections import copy_to
from exchange.storage.files import (
    check_room,
    create_private,
    disk_fault,
    place_fault,
    sync_directory,
)
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import SALT_BYTES, Kdf, Unlock

HOME: Final = "home"
ERASURES: Final = (
    "erasures"  # of a backup: nothing but what was erased and what is held; and that entry's name
)
SECRETS: Final = "secrets"
FILES: Final = "files/"
MAX_ENTRIES: Final = 4_096
MAX_SMALL: Final = 16 * 1024 * 1024  # bytes of an entry that is read into memory
PIECE: Final = 1024 * 1024

Progress = Callable[[int, int], None]  # done, in all: in bytes or pages

_MAGIC: Final = b"exchange-backup\n"
_VERSION: Final = 1
_PROLOGUE = struct.Struct(f">16sBB{SALT_BYTES}sH")
_SIZE = struct.Struct(">Q")
_NAME_SIZE = struct.Struct(">H")
_COUNT = struct.Struct(">I")
_MAX_HEAD: Final = 4_096  # bytes
_MAX_TEXT: Final = 256
_NAME = re.compile(
    r"(?P<unit>units/[a-z0-9-]{2,32}/)?(?:files/(?P<path>.+)|(?P<plain>[A-Za-z0-9][A-Za-z0-9._-]{0,63}))"
)
_PART = re.compile(r"(?!\.{1,2}\Z)[^/\x00-\x1f\x7f]{1,255}")  # of a path below files/
_OPENING: Final = 56  # bytes of nonce and key commitment that a Cobblestone256 stream begins with (C2SP)
_NAMES: Final = ("at", "contents", "kind", "net", "of", "schema")


@dataclass(frozen=True)
class Head:
    """What a backup is, readable without its secret. `at` in UTC ms; `net` 32 bytes or none, `of` an address or none.

    kind: `node` or `hub`; contents: HOME or ERASURES; schema: the database's step.
    """

    kind: str
    contents: str
    of: str
    net: bytes
    at: int
    schema: str

    def to_bytes(self) -> bytes:
        """As it stands in the file."""
        value: dict[str, Json] = {
            "at": self.at,
            "contents": self.contents,
            "kind": self.kind,
            "net": b64(self.net) if self.net else "",
            "of": self.of,
            "schema": self.schema,
        }
        return dumps(value)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises Refused backup.damaged."""
        try:
            fields = Fields(loads(data, most=_MAX_HEAD, field="head"), _NAMES, what="head")
            net = fields.text("net", most=_MAX_TEXT)
            return cls(
                fields.text("kind", most=_MAX_TEXT),
                fields.text("contents", most=_MAX_TEXT),
                fields.text("of", most=_MAX_TEXT),
                unb64(net, size=32, field="net") if net else b"",
                fields.integer("at"),
                fields.text("schema", most=_MAX_TEXT),
            )
        except Rejected as fault:
            raise Refused("backup.damaged", "its head can't be read") from fault


class BackupWriter:
    """Puts entries into a backup; made by `writing`."""

    def __init__(self, file: BinaryIO, encryptor: Cobblestone256Encryptor) -> None:
        self._file = file
        self._encryptor = encryptor
        self._entries = 0

    def add(self, name: str, data: bytes) -> None:
        """A small entry. Raises Refused storage.too-large; OSError."""
        if len(data) > MAX_SMALL:
            raise Refused("storage.too-large", f"{name} has more than {MAX_SMALL} bytes", limit=MAX_SMALL)
        self._begin(name, len(data))
        self._put(data)

    def add_file(self, name: str, path: Path, progress: Progress) -> None:
        """An entry of a file's bytes; the file must not change meanwhile. Raises OSError; Unavailable storage.io."""
        with path.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            self._begin(name, size)
            done = 0
            while piece := source.read(PIECE):
                self._put(piece)
                done += len(piece)
                progress(done, size)
        if done != size:
            raise disk_fault(OSError(0, "the file changed while it was read"))

    def add_database(self, path: Path, progress: Progress, *, prefix: str = "") -> None:
        """An entry of a database, of one moment, copied beside it for a while; named as it is, after `prefix`.

        Raises Refused backup.under-way, storage.damaged; Unavailable storage.full (before the copy is begun),
        storage.io, storage.busy; OSError.
        """
        with copying(path.parent) as copy:
            check_room(path.parent, path)
            copy_to(path, copy, progress)
            self.add_file(prefix + path.name, copy, progress)

    def add_secrets(self, keystore: Keystore) -> None:
        """Everything that a keystore holds. Raises as `add`."""
        self.add(SECRETS, dumps({name: b64(keystore.get(name)) for name in keystore.names()}))

    def end(self) -> None:
        """No entry follows."""
        self._put(_NAME_SIZE.pack(0) + _COUNT.pack(self._entries))
        self._file.write(self._encryptor.finalize())

    def _begin(self, name: str, size: int) -> None:
        if not _is_name(name) or self._entries == MAX_ENTRIES:
            raise Refused("storage.too-large", f"{name}: not an entry's name, or one too many")
        self._entries += 1
        raw = name.encode()
        self._put(_NAME_SIZE.pack(len(raw)) + raw + _SIZE.pack(size))

    def _put(self, plain: bytes) -> None:
        self._file.write(self._encryptor.update(plain))


@contextmanager
def writing(path: Path, head: Head, secret: Unlock) -> Iterator[BackupWriter]:
    """A backup at `path`, mode 0600: there, whole and durable, on leaving, and not at all after an error.

    Raises Refused backup.exists, keystore.passphrase (too short); Unavailable storage.full, storage.io.
    """
    if secret.is_weak():
        raise Refused("keystore.passphrase")
    if path.exists():
        raise Refused(
            "backup.exists", f"{path} is there already; a backup never replaces another", path=str(path)
        )
    staged = path.with_name(f"{path.name}.new")
    salt, raw = os.urandom(SALT_BYTES), head.to_bytes()
    prologue = _PROLOGUE.pack(_MAGIC, _VERSION, secret.kdf, salt, len(raw)) + raw
    try:
        staged.unlink(missing_ok=True)
        create_private(staged)
    except OSError as error:
        raise place_fault(error, path, "backup.place") from error
    try:
        with staged.open("r+b") as file:
            file.write(prologue)
            writer = BackupWriter(file, Cobblestone256Encryptor(secret.derive(salt), _context(prologue)))
            yield writer
            writer.end()
            file.flush()
            os.fsync(file.fileno())
            if path.exists() or not os.path.samestat(os.fstat(file.fileno()), staged.stat()):
                raise Refused(
                    "backup.exists", f"another backup was written to {path} meanwhile", path=str(path)
                )
        staged.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise disk_fault(error) from error
    finally:
        staged.unlink(missing_ok=True)


class BackupReader:
    """A backup, open for reading: `head` at once, `entries` one after the other, then `finish`. Made by `reading`."""

    def __init__(self, file: BinaryIO, path: Path, secret: Unlock) -> None:
        """Raises Refused backup.damaged, backup.newer-version, backup.wrong-key."""
        self._file = file
        self._path = path
        self.head, prologue, kdf, salt = _read_head(file, path)
        if kdf != secret.kdf:
            needed = "a passphrase" if kdf == Kdf.ARGON2ID_64MIB_3_4 else "a key file"
            raise Refused("backup.wrong-key", f"{path} opens with {needed}", path=str(path))
        self._plain = bytearray()
        self._pieces = self._decrypted(Cobblestone256Decryptor(secret.derive(salt), _context(prologue)))
        self._left = 0  # bytes of the entry that is being read
        self._entries = 0
        self._fill(1)  # the wrong secret shows before anything else is done

    def entries(self) -> Iterator[str]:
        """The entries' names, each once its bytes are next; what isn't read of them is passed over.

        Raises Refused backup.damaged, backup.wrong-key.
        """
        while True:
            while self._left:
                self._piece()
            (size,) = _NAME_SIZE.unpack(self._take(_NAME_SIZE.size))
            if size == 0:
                return
            name = self._take(size).decode("utf-8", "replace")
            if not _is_name(name) or self._entries == MAX_ENTRIES:
                raise self._damaged()
            self._entries += 1
            (self._left,) = _SIZE.unpack(self._take(_SIZE.size))
            yield name

    def small(self) -> bytes:
        """The bytes of the entry that is next. Raises Refused backup.damaged, also for more than MAX_SMALL."""
        if self._left > MAX_SMALL:
            raise self._damaged()
        return b"".join(iter(self._piece, b""))

    def secrets(self) -> dict[str, bytes]:
        """What a keystore held, of the entry that is next. Raises Refused backup.damaged."""
        try:
            value = loads(self.small(), most=MAX_SMALL, field="secrets")
            if not isinstance(value, dict) or not value:
                raise self._damaged()
            return {name: unb64(secret, field=name) for name, secret in value.items()}
        except Rejected as fault:
            raise self._damaged() from fault

    def save(self, path: Path, progress: Progress) -> None:
        """Put the entry that is next into a new file of mode 0600, durable. Raises Refused backup.damaged; OSError."""
        size = self._left
        create_private(path)
        with path.open("r+b") as file:
            while piece := self._piece():
                file.write(piece)
                progress(size - self._left, size)
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> None:
        """After the last entry: is this all, and is it whole? Raises Refused backup.damaged."""
        (count,) = _COUNT.unpack(self._take(_COUNT.size))
        if self._plain or any(self._pieces) or count != self._entries:
            raise self._damaged()

    def _piece(self) -> bytes:
        """The next bytes of the entry, at most PIECE; none at its end."""
        piece = self._take(min(self._left, PIECE))
        self._left -= len(piece)
        return piece

    def _take(self, size: int) -> bytes:
        self._fill(size)
        taken = bytes(self._plain[:size])
        del self._plain[:size]
        return taken

    def _fill(self, size: int) -> None:
        while len(self._plain) < size:
            piece = next(self._pieces, None)
            if piece is None:
                raise self._damaged()
            self._plain += piece

    def _decrypted(self, decryptor: Cobblestone256Decryptor) -> Iterator[bytes]:
        """The plain stream, each piece authentic; the last one comes only where the file ends as it was written."""
        opening = self._file.read(_OPENING)
        try:
            decryptor.update(opening)
        except InvalidTag as error:
            raise Refused("backup.wrong-key", path=str(self._path)) from error
        try:
            while data := self._file.read(PIECE):
                yield decryptor.update(data)
            yield decryptor.finalize()
        except InvalidTag as error:
            raise self._damaged() from error

    def _damaged(self) -> Refused:
        return Refused("backup.damaged", path=str(self._path))


@contextmanager
def reading(path: Path, secret: Unlock) -> Iterator[BackupReader]:
    """A backup that `secret` opens.

    Raises Refused backup.missing, backup.damaged, backup.newer-version, backup.wrong-key;
    Unavailable storage.io.
    """
    with _opened(path) as file:
        yield BackupReader(file, path, secret)


def read_erasures(path: Path, secret: Unlock) -> tuple[Head, bytes]:
    """The list of erasures of a backup of either contents, verified to its end. Raises as `reading`."""
    with reading(path, secret) as backup:
        found = b""
        for name in backup.entries():
            if name == ERASURES:
                found = backup.small()
        backup.finish()
        return backup.head, found


def read_head(path: Path) -> Head:
    """What a backup is, as its head says; not authenticated. Raises as `reading`, but for the secret."""
    with _opened(path) as file:
        return _read_head(file, path)[0]


def entry_of(path: PurePath) -> str:
    """The name of the entry that a file of a home is in, by its path in the home."""
    name = path.as_posix()
    plain = "/" not in name and name not in (SECRETS, ERASURES) and _is_name(name)
    return name if plain else FILES + name


def path_of(name: str) -> PurePath:
    """The path in the home of the file that an entry is of."""
    found = _NAME.fullmatch(name)
    return PurePath(name) if found is None else PurePath(found["unit"] or "", found["path"] or found["plain"])


def _is_name(name: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and all(_PART.fullmatch(one) for one in (found["path"] or "x").split("/"))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise place_fault(error, path, "backup.missing") from error
    with file:
        try:
            yield file
        except OSError as error:
            raise disk_fault(error) from error


def _read_head(file: BinaryIO, path: Path) -> tuple[Head, bytes, int, bytes]:
    """The head, with all bytes up to its end, the derivation's number and the salt."""
    prologue = file.read(_PROLOGUE.size)
    if len(prologue) < _PROLOGUE.size or not prologue.startswith(_MAGIC):
        raise Refused("backup.damaged", f"{path} isn't a backup, or its beginning is lost", path=str(path))
    _, version, kdf, salt, size = _PROLOGUE.unpack(prologue)
    if version != _VERSION:
        raise Refused("backup.newer-version", path=str(path), version=version)
    raw = file.read(min(size, _MAX_HEAD))
    if len(raw) != size:
        raise Refused("backup.damaged", path=str(path))
    return Head.from_bytes(raw), prologue + raw, kdf, salt


def _context(prologue: bytes) -> bytes:
    return hashlib.sha256(prologue).digest()
