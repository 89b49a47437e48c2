"""A disk that can lose its power: what was written to it, and what of that survives a cut at any moment.

Owns the model. A write, a truncation, a file's creation or deletion is sure only once a sync covers it. Until then
each sector shows, after the cut, some moment since the last sync, independently of all others: so writes are kept,
lost, torn and reordered. A file's length and its entry in the directory are as uncertain. That the first sync of a new
journal or log makes its entry sure is SQLite's unix VFS: it syncs the directory too (os_unix.c, unixSync).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.power.sqlite_vfs import SQLITE_OK

SQLITE_FULL = 13
SQLITE_CORRUPT = 11
SQLITE_IOERR_READ = 10 | (1 << 8)
SQLITE_IOERR_WRITE = 10 | (3 << 8)
SQLITE_IOERR_FSYNC = 10 | (4 << 8)
SQLITE_IOERR_TRUNCATE = 10 | (6 << 8)
SQLITE_IOERR_DELETE = 10 | (10 << 8)

_NO_POWER = {
    "write": SQLITE_IOERR_WRITE,
    "truncate": SQLITE_IOERR_TRUNCATE,
    "sync": SQLITE_IOERR_FSYNC,
    "delete": SQLITE_IOERR_DELETE,
}


@dataclass(frozen=True)
class Op:
    """One call: open (creates), write, truncate, sync, drop (a sync that failed), delete.

    `at`: offset or length; `synced`: its folder is synced with it.
    """

    kind: str
    path: str
    at: int = 0
    data: bytes = b""
    synced: bool = False


Fault = Callable[[Op], int]


class Disk:
    """Records every call on a folder's database files, and fails what it is told to.

    `cut_at`: the number of the first call that the power doesn't last for. `fault(op)`: an SQLite result code for a
    call that is to fail. `lies(path)`: whether a sync of this file is answered and not done.
    """

    def __init__(self, *, cut_at: int | None = None) -> None:
        self.ops: list[Op] = []
        self.cut_at = cut_at
        self.fault: Fault = lambda _op: SQLITE_OK
        self.read_fault: Callable[[str, int], int] = lambda _path, _offset: SQLITE_OK
        self.lies: Callable[[str], bool] = lambda _path: False

    @property
    def now(self) -> int:
        """How many calls have been made: a moment."""
        return len(self.ops)

    @property
    def is_cut(self) -> bool:
        """Whether the power is gone."""
        return self.cut_at is not None and len(self.ops) >= self.cut_at

    def _take(self, op: Op) -> int:
        if self.is_cut:
            return _NO_POWER[op.kind]
        code = self.fault(op)
        if code == SQLITE_OK:
            self.ops.append(op)
        elif op.kind == "sync":
            self.ops.append(Op("drop", op.path))
        return code

    def opened(self, path: str, *, exists: bool) -> None:
        if not exists and not self.is_cut:
            self.ops.append(Op("open", path))

    def write(self, path: str, data: bytes, offset: int) -> int:
        return self._take(Op("write", path, offset, data))

    def truncate(self, path: str, size: int) -> int:
        return self._take(Op("truncate", path, size))

    def sync(self, path: str) -> int:
        return SQLITE_OK if self.lies(path) else self._take(Op("sync", path))

    def read(self, path: str, size: int, offset: int) -> int:
        return self.read_fault(path, offset)

    def delete(self, path: str, *, synced: bool) -> int:
        return self._take(Op("delete", path, synced=synced))


@dataclass
class _Inode:
    """A file's bytes: those that are sure, and the calls since."""

    sure: bytearray
    calls: list[Op] = field(default_factory=list)

    def sync(self) -> None:
        for op in self.calls:
            _apply(self.sure, op)
        self.calls.clear()

    def after_cut(self, chance: random.Random, sector: int) -> bytes:
        """What one of the possible cuts leaves."""
        lengths = [len(self.sure)]
        for op in self.calls:
            grown = max(lengths[-1], op.at + len(op.data))
            lengths.append(op.at if op.kind == "truncate" else grown)
        moment = _moments(chance, len(self.calls))
        until_length = moment()
        seen: dict[int, int] = {}  # how many of the calls each sector shows
        image = bytearray(self.sure)
        for number, op in enumerate(self.calls):
            if op.kind == "truncate":
                if number < until_length:
                    _apply(image, op)
                continue
            for start in range(op.at - op.at % sector, op.at + len(op.data), sector):
                if start not in seen:
                    seen[start] = moment()
                if number < seen[start]:
                    first = max(start, op.at)
                    part = op.data[first - op.at : start + sector - op.at]
                    _apply(image, Op("write", op.path, first, part))
        length = lengths[until_length]
        return bytes(image[:length].ljust(length, b"\0"))


def _moments(chance: random.Random, calls: int) -> Callable[[], int]:
    """How many of the unsynced calls something shows: nothing, all, up to one moment, or each its own."""
    manner = chance.choice(("none", "all", "until", "each", "each", "few lost", "few kept"))
    until = chance.randint(0, calls)

    def moment() -> int:
        if manner in ("none", "all"):
            return 0 if manner == "none" else calls
        if manner == "until":
            return until
        if manner == "each":
            return chance.choice((0, calls, chance.randint(0, calls)))
        rare = chance.random() < 0.1
        return 0 if rare == (manner == "few lost") else calls

    return moment


def _apply(image: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del image[op.at :]
        image.extend(bytes(op.at - len(image)))
        return
    image.extend(bytes(max(0, op.at - len(image))))
    image[op.at : op.at + len(op.data)] = op.data


class Survivor:
    """Replays a disk's calls up to any moment, and gives a folder as a cut at that moment may leave it."""

    def __init__(self, folder: Path, before: dict[str, bytes]) -> None:
        """`before`: the files of `folder` that were sure before the first call, by name."""
        self._folder = folder
        self._sure: dict[str, _Inode] = {name: _Inode(bytearray(data)) for name, data in before.items()}
        self._now: dict[str, _Inode] = dict(self._sure)
        self._done = 0

    def replay(self, ops: list[Op], until: int) -> None:
        """Go on to the moment `until`, which isn't before the one reached."""
        for op in ops[self._done : until]:
            self._replay(op)
        self._done = max(self._done, until)

    def _replay(self, op: Op) -> None:
        name = op.path.removeprefix(f"{self._folder}/")
        if op.kind != "delete" and name not in self._now:
            self._now[name] = _Inode(bytearray())
            if not name.endswith(("-wal", "-journal")):
                self._sure[name] = self._now[
                    name
                ]  # a database's maker syncs the directory first (create_file)
        if op.kind == "open":
            return
        if op.kind == "drop":
            # After a failed sync the kernel forgets what it couldn't write, and the next sync succeeds.
            self._now[name].calls.clear()
        elif op.kind == "delete":
            del self._now[name]
            if op.synced:
                self._sync_entries()
        elif op.kind == "sync":
            self._now[name].sync()
            if self._sure.get(name) is not self._now[name]:
                self._sync_entries()
        else:
            self._now[name].calls.append(op)

    def _sync_entries(self) -> None:
        self._sure = dict(self._now)

    def is_sure(self, name: str) -> bool:
        """Whether the file as it is would be there after a cut."""
        return name in self._sure and self._sure[name] is self._now.get(name) and not self._now[name].calls

    def after_cut(self, seed: str) -> dict[str, bytes]:
        """The files by name; another seed, another of the possible outcomes."""
        chance = random.Random(seed)
        sector = chance.choice((512, 4096))
        files = {}
        for name in sorted({*self._sure, *self._now}):
            inode = chance.choice((self._sure, self._now)).get(name)
            if inode is not None:
                files[name] = inode.after_cut(chance, sector)
        return files


def put(folder: Path, files: dict[str, bytes]) -> None:
    """Make `folder` hold these database files and no others; what else lies in it stays."""
    for name in folder.glob("*.db*"):
        name.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)


def database_files(folder: Path) -> dict[str, bytes]:
    """The folder's database files by name, but for the shared memory, which no cut survives."""
    return {file.name: file.read_bytes() for file in folder.glob("*.db*") if not file.name.endswith("-shm")}
