"""Owns the folder `attachments` of a node's home: sealed blobs by their hash, and what is on its way there.

    HASH.sealed          a blob, whole and verified: made here, or fetched
    quarantine/HASH.part  what has come of one that is being fetched; nothing in it is believed
    NAME.new             one that is being made here, or left by a process that was killed

All modes are 0600. Nothing here is in plain: keys stand in the messages' rows. Raises Unavailable storage.full,
storage.io.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from exchange.errors import Refused, Unavailable
from exchange.node.store.store import Store
from exchange.storage.files import (
    PRIVATE_DIRECTORY,
    RESERVE_BYTES,
    create_private,
    disk_fault,
    place_fault,
    sync_directory,
)

PIECE: Final = 262_144  # bytes read or written at a time
_SEALED: Final = ".sealed"
_PART: Final = ".part"
_NEW: Final = ".new"


def files_of(store: Store) -> AttachmentFiles:
    """The attachments of the home whose database this is."""
    return AttachmentFiles(store.db.path.parent)


class AttachmentFiles:
    """The folder of the home at `home`; it is made when something is put there."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "attachments"
        self._quarantine = self._folder / "quarantine"

    def sealed(self, blob: bytes) -> Path:
        """Where a whole blob lies."""
        return self._folder / (blob.hex() + _SEALED)

    def part(self, blob: bytes) -> Path:
        """Where lies what has come of a blob."""
        return self._quarantine / (blob.hex() + _PART)

    def holds(self, blob: bytes, size: int) -> bool:
        """Whether the blob lies here with its whole `size`."""
        return _size(self.sealed(blob)) == size

    def have(self, blob: bytes) -> int:
        """How many bytes of a blob have come."""
        return _size(self.part(blob))

    def check_room(self, size: int) -> None:
        """Is there room for `size` bytes more, and some left for the mail? Raises Unavailable storage.full."""
        try:
            self._make()
            missing = size + RESERVE_BYTES - shutil.disk_usage(self._folder).free
        except OSError as error:
            raise disk_fault(error) from error
        if missing > 0:
            raise Unavailable("storage.full", f"the attachment needs {missing} bytes more", missing=missing)

    def make(self, write: Callable[[Callable[[bytes], object]], None]) -> bytes:
        """Let `write(put)` put a sealed blob here, piece by piece; its hash, once it is durable under it."""
        digest = sha256()
        try:
            self._make()
            staged = self._folder / (secrets.token_hex(16) + _NEW)
            create_private(staged)
            try:
                with staged.open("r+b") as file:

                    def put(data: bytes) -> None:
                        digest.update(data)
                        file.write(data)

                    write(put)
                    _sync(file)
                staged.replace(self.sealed(digest.digest()))
                sync_directory(self._folder)
            finally:
                staged.unlink(missing_ok=True)
        except OSError as error:
            raise disk_fault(error) from error
        return digest.digest()

    def read(self, blob: bytes, start: int, most: int) -> bytes:
        """The bytes of a blob from `start` on, `most` at most."""
        try:
            with self.sealed(blob).open("rb") as file:
                file.seek(start)
                return file.read(most)
        except OSError as error:
            raise disk_fault(error) from error

    def append(self, blob: bytes, at: int, data: bytes) -> int:
        """Put the bytes of a blob from `at` on to those that have come; how many there are then.

        Harmless when they are there already, and nothing is done where those before them have gone meanwhile.
        """
        path = self.part(blob)
        try:
            if not path.exists():
                self._make()
                create_private(path)
            with path.open("r+b") as file:
                if file.seek(0, os.SEEK_END) >= at:
                    file.seek(at)
                    file.write(data)
                return file.seek(0, os.SEEK_END)
        except OSError as error:
            raise disk_fault(error) from error

    def keep(self, blob: bytes) -> None:
        """What has come was verified, and is the blob from now on: durable on return.

        What the disk could not keep begins anew: it tells of that once, and would call it durable the next time.
        """
        path = self.part(blob)
        try:
            try:
                with path.open("r+b") as file:
                    _sync(file)
            except OSError:
                path.unlink(missing_ok=True)
                raise
            path.replace(self.sealed(blob))
            sync_directory(self._folder)
            sync_directory(self._quarantine)
        except OSError as error:
            raise disk_fault(error) from error

    def drop_part(self, blob: bytes) -> None:
        """Begin it anew."""
        _unlink(self.part(blob))

    def drop(self, blob: bytes) -> None:
        """Forget a blob, whole or not."""
        _unlink(self.sealed(blob))
        _unlink(self.part(blob))

    def drop_all(self, blobs: Iterable[bytes]) -> None:
        """The same of several."""
        for blob in blobs:
            self.drop(blob)

    def pieces(self, path: Path) -> Iterator[bytes]:
        """What lies at `path`, in order."""
        try:
            with path.open("rb") as file:
                while data := file.read(PIECE):
                    yield data
        except OSError as error:
            raise disk_fault(error) from error

    def blobs(self, *, before: int) -> list[bytes]:
        """Every blob of which a file was last written before (UTC ms); what was never finished goes."""
        found = set[bytes]()
        for path in self._files():
            if _written(path) >= before:
                continue
            if path.suffix == _NEW:
                _unlink(path)
            elif path.suffix in (_SEALED, _PART) and _is_hash(path.stem):
                found.add(bytes.fromhex(path.stem))
        return sorted(found)

    def sizes(self) -> list[int]:
        """Bytes of each file here."""
        return [_size(path) for path in self._files()]

    def _files(self) -> list[Path]:
        try:
            return [
                entry
                for folder in (self._folder, self._quarantine)
                if folder.is_dir()
                for entry in folder.iterdir()
                if entry.is_file()
            ]
        except OSError as error:
            raise disk_fault(error) from error

    def _make(self) -> None:
        for folder in (self._folder, self._quarantine):
            if not folder.is_dir():
                folder.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
                sync_directory(folder.parent)  # a row that names a file in it will be durable


@contextmanager
def handing_out(target: Path) -> Iterator[BinaryIO]:
    """A file to write that takes its place at `target`, of mode 0600, when all went well, and is gone otherwise.

    Raises Refused cli.bad-file: something is there already, or nothing can be put there.
    """
    if os.path.lexists(target):
        raise Refused("cli.bad-file", f"{target} is there already")
    staged = target.with_name(f".{secrets.token_hex(8)}.new")  # the target's name may be as long as any
    try:
        create_private(staged)
        try:
            with staged.open("r+b") as file:
                yield file
                _sync(file)
            staged.replace(target)
            sync_directory(target.parent)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise place_fault(error, target, "cli.bad-file") from error


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise disk_fault(error) from error


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except OSError:
        return 0


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise disk_fault(error) from error


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)
