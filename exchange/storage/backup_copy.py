"""Owns where a database is copied to while a backup encrypts it: in its home, by one backup at a time.

What a backup leaves there that was killed would keep what is erased since: the home's server clears it (`clear`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exchange.errors import Refused
from exchange.storage.files import HomeLock, disk_fault

_COPY: Final = ".backup.db"
_LOCK: Final = ".backup.lock"


def clear(home: Path) -> None:
    """Remove the copy that a backup left which was killed: it would keep what is erased. For who owns the home.

    Raises Unavailable storage.io, storage.full.
    """
    try:
        with copying(home):
            pass
    except Refused:
        pass  # one is being made just now, and clears up by itself
    except OSError as error:
        raise disk_fault(error) from error


@contextmanager
def copying(home: Path) -> Iterator[Path]:
    """Where a home's database is copied to, for one backup at a time; afterwards nothing is there.

    Raises Refused backup.under-way; Unavailable storage.io, storage.full; OSError.
    """
    lock = HomeLock(home / _LOCK)
    try:
        lock.acquire()
    except Refused as refusal:
        if refusal.code != "home.locked":
            raise
        raise Refused("backup.under-way", path=str(home)) from refusal
    try:
        yield home / _COPY
    finally:
        for left in home.glob(f"*{_COPY}*"):
            left.unlink(missing_ok=True)
        lock.release()
