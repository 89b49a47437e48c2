"""The bytes of sealed attachments: one file a blob in the home's folder `blobs`, named by its row's number.

Owns how they are written and read, from any thread but the event loop's. A file may be longer than its row says: what
came after was not durable yet, and is cut off. Knows no hash and no owner (store/blobs.py).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

from exchange.errors import Unavailable
from exchange.storage.files import PRIVATE_DIRECTORY, create_private, disk_fault, sync_directory

FOLDER: Final = "blobs"
_READ: Final = 1024 * 1024


class Growing:
    """A file that grows at its end. Closed by `close`; every call raises Unavailable storage.full, storage.io."""

    def __init__(self, file: FileIO, have: int) -> None:
        self._file = file
        self._fault: Unavailable | None = None
        self.have = have  # bytes from the beginning on, durable or not

    def write(self, data: bytes) -> None:
        """Append; where the disk takes only some of it, `have` says how much."""
        left = memoryview(data)
        try:
            while left:
                taken = self._file.write(left)
                self.have += taken
                left = left[taken:]
        except OSError as error:
            raise disk_fault(error) from error

    def sync(self) -> int:
        """Make everything durable; how many bytes that are. Once it has failed, it fails for good: the kernel tells of
        a lost write once, and drops what it could not write, so that the next call would succeed without it."""
        if self._fault is not None:
            raise self._fault
        try:
            os.fdatasync(self._file.fileno())
        except OSError as error:
            self._fault = disk_fault(error)
            raise self._fault from error
        return self.have

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class BlobFiles:
    """The folder, made by `open`."""

    folder: Path

    @classmethod
    def open(cls, home: Path) -> BlobFiles:
        """The home's folder, created if need be. Raises Unavailable storage.*."""
        folder = home / FOLDER
        try:
            folder.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
            sync_directory(home)
        except OSError as error:
            raise disk_fault(error) from error
        return cls(folder)

    def _path(self, n: int) -> Path:
        return self.folder / str(n)

    def grow(self, n: int, have: int) -> Growing:
        """Go on after the first `have` bytes; what stands behind them goes. Raises Unavailable storage.*."""
        path = self._path(n)
        try:
            if not path.exists():
                create_private(path)
                sync_directory(self.folder)
            file = FileIO(path, "r+b")
            file.truncate(have)
            file.seek(have)
        except OSError as error:
            raise disk_fault(error) from error
        return Growing(file, have)

    def digest(self, n: int) -> bytes:
        """SHA-256 of the whole file. Raises Unavailable storage.*."""
        whole = sha256()
        try:
            with self._path(n).open("rb", buffering=0) as file:
                while part := file.read(_READ):
                    whole.update(part)
        except OSError as error:
            raise disk_fault(error) from error
        return whole.digest()

    def reader(self, n: int) -> BinaryIO:
        """To read from, also when the file goes meanwhile. Raises Unavailable storage.*."""
        try:
            return self._path(n).open("rb", buffering=0)
        except OSError as error:
            raise disk_fault(error) from error

    def drop(self, numbers: Collection[int]) -> None:
        """Delete these files; harmless when they aren't there."""
        for n in numbers:
            with suppress(FileNotFoundError):
                self._path(n).unlink()

    def sizes(self) -> dict[int, int]:
        """The files that are there, and their bytes. Raises Unavailable storage.*."""
        try:
            with os.scandir(self.folder) as entries:
                return {int(entry.name): entry.stat().st_size for entry in entries if entry.name.isdigit()}
        except OSError as error:
            raise disk_fault(error) from error
