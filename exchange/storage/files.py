"""Owns how a home's files are written, locked and checked: private modes, durable replacement, one owner.

Does not know what a file holds (keystore.py, settings) nor where a home lies. Nothing here is encrypted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from exchange.errors import ExchangeError, Refused, Unavailable

PRIVATE_FILE = 0o600
LOCK_LOOK = 0.05  # seconds between two looks at a lock that another process holds
MOST_LOOKING = 5.0  # seconds for those who only look at a lock to let go of it: each takes microseconds
PROC = Path("/proc")
PRIVATE_DIRECTORY = 0o700
OTHERS = stat.S_IRWXG | stat.S_IRWXO

MAX_PRIVATE_BYTES = 64 * 1024 * 1024  # write_private builds the whole file in memory
RESERVE_BYTES = 256 * 1024 * 1024  # left free beside the copy of a home: with less a hub takes no mail
MAX_HOME_ENTRIES = 1_000_000  # a home is a handful of files and a blob folder; more is not a home

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_PLACE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG}
)


def disk_fault(error: OSError) -> Unavailable:
    """Our error for a failed file operation: `storage.full` when space is all that lacks, else `storage.io`."""
    if error.errno in _NO_SPACE:
        return Unavailable("storage.full")
    return Unavailable("storage.io", errno=errno.errorcode.get(error.errno or 0, "unknown"))


def place_fault(error: OSError, path: Path, code: str) -> ExchangeError:
    """As `disk_fault`, but Refused with `code` where it is the place, which a person named, and not the disk."""
    if error.errno in _NO_PLACE:
        return Refused(code, f"{path}: {os.strerror(error.errno)}", path=str(path))
    return disk_fault(error)


def check_room(folder: Path, file: Path) -> None:
    """Is there room in `folder` for a copy of `file` (a database's log beside it too), and some left for its server?

    Raises:
        Unavailable: `storage.full`, with the `missing` bytes; `storage.io`.
    """
    try:
        log = file.with_name(f"{file.name}-wal")
        wanted = file.stat().st_size + (log.stat().st_size if log.exists() else 0) + RESERVE_BYTES
        missing = wanted - shutil.disk_usage(folder).free
    except OSError as error:
        raise disk_fault(error) from error
    if missing > 0:
        detail = f"the copy that is encrypted lies in {folder} for a while: free {missing} bytes there"
        raise Unavailable("storage.full", detail, missing=missing)


def write_private(path: Path, data: bytes, *, most: int = MAX_PRIVATE_BYTES) -> None:
    """Put `data`, at most `most` bytes, at `path`, for the owner only; after a crash the old or the new file is there.

    Durable on return: file and directory are synced. Writers of one path must exclude each other (HomeLock).

    Raises:
        Refused: `storage.too-large`.
        Unavailable: `storage.full`, `storage.io`; then the old file still stands.
    """
    if len(data) > most:
        raise Refused("storage.too-large", limit=most)
    # A fixed name, so that a crash leaves at most one stray file and the next write clears it.
    staged = path.with_name(f".{path.name}.new")
    try:
        staged.unlink(missing_ok=True)
        _write_new(staged, data)
        staged.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise disk_fault(error) from error


def _write_new(path: Path, data: bytes) -> None:
    create_private(path)
    with path.open("r+b") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def create_private(path: Path) -> None:
    """Create an empty file of mode 0600 that did not exist, whatever the umask. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.fchmod(descriptor, PRIVATE_FILE)  # a umask such as 0277 would have taken the owner's bits away
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make renames and creations in the directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_home_modes(home: Path) -> list[Path]:
    """The entries of `home` that group or others may touch, itself included; empty when all is private.

    A symbolic link is judged by what it points to. Files that go while this looks (a database's log) are passed over.

    Raises:
        Refused: `home.missing`, `home.too-many-files`.
        Unavailable: `storage.io`.
    """
    try:
        if not home.is_dir():
            raise Refused("home.missing", path=str(home))
        found = []
        for count, entry in enumerate(_walk(home)):
            if count > MAX_HOME_ENTRIES:
                raise Refused("home.too-many-files", limit=MAX_HOME_ENTRIES)
            if _is_open_to_others(entry):
                found.append(entry)
    except OSError as error:
        raise disk_fault(error) from error
    return sorted(found)


def _is_open_to_others(entry: Path) -> bool:
    try:
        return bool(entry.stat().st_mode & OTHERS)
    except FileNotFoundError:
        return False


def _walk(folder: Path) -> Iterator[Path]:
    yield folder
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
            else:
                yield Path(entry.path)


class HomeLock:
    """The right to own a home: held by one process at a time, and given back by the kernel when it dies.

    A context manager. The file stays when released: removing it would let two processes each lock their own.
    `patience`: for so many seconds it waits for another process to give the home back.
    """

    def __init__(self, path: Path, *, patience: float = 0) -> None:
        self._path = path
        self._patience = patience
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or fail when patience is over.

        Raises:
            Refused: `home.locked`, with the owner's `pid` where that is certain; `home.missing`.
            Unavailable: `storage.io`, `storage.full`.
        """
        if self._descriptor is not None:
            raise Refused("home.locked", f"this process already owns {self._path}", pid=os.getpid())
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        except FileNotFoundError as error:
            raise Refused("home.missing", path=str(self._path.parent)) from error
        except OSError as error:
            raise disk_fault(error) from error
        try:
            self._take(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except BlockingIOError as error:
            pid = _holder(descriptor)
            os.close(descriptor)
            who = f"process {pid}" if pid is not None else "another process"
            raise Refused("home.locked", f"{who} owns {self._path.parent}", pid=pid) from error
        except OSError as error:
            os.close(descriptor)
            raise disk_fault(error) from error
        self._descriptor = descriptor

    def _take(self, descriptor: int) -> None:
        """Raises BlockingIOError. The kernel has no wait with an end, so it is asked again and again."""
        begun = time.monotonic()
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = time.monotonic() - begun
                # who only looks at it (`owner_of`) must not keep a server from starting
                if waited >= self._patience and (waited >= MOST_LOOKING or _is_owned(descriptor)):
                    raise
                time.sleep(LOCK_LOOK)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.ftruncate(descriptor, 0)  # a pid left behind would blame a process that is gone
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True)
class Owner:
    """Who holds a home's lock. `pid` is None where it isn't certain: in another container, on another machine."""

    pid: int | None


def owner_of(path: Path) -> Owner | None:
    """Who owns the home whose lock this is; None where nobody does, whatever pid one that was killed left in it.

    Raises:
        Unavailable: `storage.io`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_fault(error) from error
    try:
        return Owner(_holder(descriptor)) if _is_owned(descriptor) else None
    except OSError as error:
        raise disk_fault(error) from error
    finally:
        os.close(descriptor)


def _is_owned(descriptor: int) -> bool:
    """Whether another holds the lock to own the home. Raises OSError.

    Asked by a shared lock that is given back at once: those who look don't see each other, and an owner waits for them.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _holder(descriptor: int) -> int | None:
    """The process that the file names, None where it isn't seen to hold the lock.

    A number alone is no proof: it may be of a container's own count, or of one that was killed before the owner wrote.
    """
    written = os.pread(descriptor, 20, 0)
    if not written.isdigit():
        return None
    pid, lock = int(written), os.fstat(descriptor)
    folder = PROC / str(pid)
    try:
        # the lowest first: a server opens its lock before anything it may have thousands of
        for each in sorted((folder / "fd").iterdir(), key=lambda one: int(one.name)):
            if _holds(folder, each.name, lock):
                return pid
    except OSError:  # it is gone, it is another user's, or this system has no /proc
        return None
    return None


def _holds(process: Path, number: str, lock: os.stat_result) -> bool:
    """Whether an open file of a process is this one, and locked by it. Raises OSError."""
    try:
        if not os.path.samestat((process / "fd" / number).stat(), lock):
            return False
        told = (process / "fdinfo" / number).read_text(encoding="ascii")
    except FileNotFoundError:  # closed meanwhile
        return False
    locks = [line.split() for line in told.splitlines() if line.startswith("lock:")]
    return any("FLOCK" in words and "WRITE" in words for words in locks)
