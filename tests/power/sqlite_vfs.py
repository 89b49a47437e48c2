"""A seam between SQLite and the operating system, in the very library that Python's `sqlite3` uses.

Owns a VFS (sqlite.org/vfs.html) that is SQLite's own `unix` with four calls watched: write, truncate, sync, delete,
and open where it creates a file. It becomes the default while it is watched, so that whatever opens a database in this
process goes through it: no seam in the product. What a call means is the watcher's business (disk.py). Needs a
`sqlite3` that links libsqlite3 as a shared library; elsewhere `why_not` says so.
"""

from __future__ import annotations

import _sqlite3
import ctypes as c
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

SQLITE_OK = 0
SQLITE_IOERR = 10
SQLITE_OPEN_CREATE = 0x4


class Watcher(Protocol):
    """Told of each call before it is carried out; anything but SQLITE_OK is what SQLite gets instead."""

    def opened(self, path: str, *, exists: bool) -> None: ...
    def write(self, path: str, data: bytes, offset: int) -> int: ...
    def truncate(self, path: str, size: int) -> int: ...
    def sync(self, path: str) -> int: ...
    def read(self, path: str, size: int, offset: int) -> int: ...
    def delete(self, path: str, *, synced: bool) -> int: ...


_FILE = c.c_void_p  # sqlite3_file *, whose first member points to its methods
_CLOSE = c.CFUNCTYPE(c.c_int, _FILE)
_DATA = c.CFUNCTYPE(c.c_int, _FILE, c.c_void_p, c.c_int, c.c_int64)
_TRUNCATE = c.CFUNCTYPE(c.c_int, _FILE, c.c_int64)
_SYNC = c.CFUNCTYPE(c.c_int, _FILE, c.c_int)


class _Methods(c.Structure):
    """sqlite3_io_methods; what isn't watched stays a plain pointer."""

    _fields_ = (
        ("version", c.c_int),
        ("close", _CLOSE),
        ("read", _DATA),
        ("write", _DATA),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        *((f"other{n}", c.c_void_p) for n in range(13)),
    )


class _Vfs(c.Structure):
    """sqlite3_vfs."""


_OPEN = c.CFUNCTYPE(c.c_int, c.POINTER(_Vfs), c.c_void_p, _FILE, c.c_int, c.POINTER(c.c_int))
_DELETE = c.CFUNCTYPE(c.c_int, c.POINTER(_Vfs), c.c_char_p, c.c_int)
_Vfs._fields_ = (
    ("version", c.c_int),
    ("file_size", c.c_int),
    ("longest_path", c.c_int),
    ("next", c.c_void_p),
    ("name", c.c_char_p),
    ("data", c.c_void_p),
    ("open", _OPEN),
    ("delete", _DELETE),
    *((f"other{n}", c.c_void_p) for n in range(14)),
)


@cache
def why_not() -> str:
    """Why SQLite can't be watched here; "" when it can."""
    if sys.platform != "linux":
        return "only tried on Linux"
    # of _sqlite3 itself: a library of the same name elsewhere would be another SQLite
    if not hasattr(c.CDLL(_sqlite3.__file__ if hasattr(_sqlite3, "__file__") else None), "sqlite3_vfs_find"):
        return "this Python's sqlite3 has SQLite built in, out of reach"
    return ""


@contextmanager
def watching(folder: Path, watcher: Watcher) -> Iterator[None]:
    """Show `watcher` what SQLite does to files under `folder`, as long as this lasts."""
    vfs = _vfs()
    vfs.watchers[f"{folder}/"] = watcher
    try:
        yield
    finally:
        del vfs.watchers[f"{folder}/"]


@cache
def _vfs() -> _WatchedVfs:
    return _WatchedVfs()


class _WatchedVfs:
    """Lives as long as the process: SQLite keeps pointers into it."""

    def __init__(self) -> None:
        self.watchers: dict[str, Watcher] = {}
        self._files: dict[int, tuple[str, Watcher]] = {}  # by the address of the sqlite3_file
        self._patched: dict[int, _Methods] = {}  # by the address of unix's own methods
        self._originals: dict[int, Any] = {}  # by the address of the sqlite3_file
        library = c.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = c.POINTER(_Vfs)
        self._unix = library.sqlite3_vfs_find(b"unix").contents
        # A copy: unix's functions find their own data in it, whichever vfs they are called with.
        self._own = _Vfs.from_buffer_copy(self._unix)
        self._own.name = b"watched"
        self._own.open = _OPEN(self._open)
        self._own.delete = _DELETE(self._delete)
        if library.sqlite3_vfs_register(c.byref(self._own), 1) != SQLITE_OK:
            raise RuntimeError("SQLite refused the VFS")

    def _watcher(self, path: str) -> Watcher | None:
        return next((one for folder, one in self.watchers.items() if path.startswith(folder)), None)

    def _open(self, vfs: Any, name: int | None, file: int, flags: int, out: Any) -> int:
        path = c.string_at(name).decode() if name else ""
        watcher = self._watcher(path)
        exists = watcher is not None and Path(path).exists()
        code = self._unix.open(vfs, name, file, flags, out)
        if code != SQLITE_OK or watcher is None:
            return int(code)
        watcher.opened(path, exists=exists)
        slot = c.c_void_p.from_address(file)
        address = slot.value or 0
        self._files[file] = (path, watcher)
        self._originals[file] = _Methods.from_address(address)
        slot.value = c.addressof(self._methods(address))
        return SQLITE_OK

    def _methods(self, address: int) -> _Methods:
        if address not in self._patched:
            methods = _Methods.from_buffer_copy(_Methods.from_address(address))
            methods.close = _CLOSE(self._close)
            methods.read = _DATA(self._read)
            methods.write = _DATA(self._write)
            methods.truncate = _TRUNCATE(self._truncate)
            methods.sync = _SYNC(self._sync)
            self._patched[address] = methods
        return self._patched[address]

    def _close(self, file: int) -> int:
        del self._files[file]
        return int(self._originals.pop(file).close(file))

    def _read(self, file: int, buffer: int, size: int, offset: int) -> int:
        path, watcher = self._files[file]
        return watcher.read(path, size, offset) or int(self._originals[file].read(file, buffer, size, offset))

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        path, watcher = self._files[file]
        return watcher.write(path, c.string_at(data, size), offset) or int(
            self._originals[file].write(file, data, size, offset)
        )

    def _truncate(self, file: int, size: int) -> int:
        path, watcher = self._files[file]
        return watcher.truncate(path, size) or int(self._originals[file].truncate(file, size))

    def _sync(self, file: int, _flags: int) -> int:
        path, watcher = self._files[file]
        return watcher.sync(path)  # the machine under the test keeps its power

    def _delete(self, vfs: Any, name: bytes, synced: int) -> int:
        path = name.decode()
        watcher = self._watcher(path)
        if watcher is not None and Path(path).exists():
            code = watcher.delete(path, synced=bool(synced))
            if code != SQLITE_OK:
                return code
        return int(self._unix.delete(vfs, name, synced))
