"""Owns how a home that is restored comes into its place: made whole in a folder beside it, then renamed at once.

    HOME.restoring/    what is being restored, of mode 0700; left by a crash, the next restore clears it

Does not know what a home holds (node/backup.py, hub/backup.py).
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exchange.errors import Refused
from exchange.storage.files import PRIVATE_DIRECTORY, HomeLock, disk_fault, place_fault, sync_directory

LOCK: Final = "lock"  # as every home has it
_SUFFIX: Final = ".restoring"
_NO_PLACE: Final = frozenset(
    {errno.EBUSY, errno.EACCES, errno.EPERM, errno.EXDEV, errno.ENOTEMPTY, errno.EEXIST}
)


@contextmanager
def staged(home: Path) -> Iterator[Path]:
    """An empty folder to put a home together in; on leaving it *is* `home`, and after an error nothing has changed.

    Raises Refused backup.home-in-use (there is something at `home`), backup.place (it can't be put there),
    home.locked (another restore is at it); Unavailable storage.*.
    """
    check_free(home)
    folder = home.with_name(home.name + _SUFFIX)
    try:
        for missing in [one for one in reversed(folder.parents) if not one.exists()]:
            missing.mkdir(mode=PRIVATE_DIRECTORY)
        folder.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    except OSError as error:
        raise place_fault(error, folder, "backup.place") from error
    try:
        with HomeLock(folder / LOCK):
            _clear(folder)
            try:
                yield folder
                _sync(folder)
                check_free(home)
                _into_place(folder, home)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)  # what failed its checks must not lie about
                raise
    except OSError as error:
        raise disk_fault(error) from error


def check_free(home: Path) -> None:
    """Is `home` missing, or an empty folder? Raises Refused backup.home-in-use; Unavailable storage.io."""
    try:
        taken = home.exists() and (not home.is_dir() or any(home.iterdir()))
    except OSError as error:
        raise disk_fault(error) from error
    if taken:
        raise Refused(
            "backup.home-in-use",
            f"there is something at {home}: name another folder with --home, or move this one away",
            path=str(home),
        )


def _into_place(folder: Path, home: Path) -> None:
    try:
        folder.rename(home)  # over an empty folder too: rename(2)
    except OSError as error:
        if error.errno in _NO_PLACE:
            raise Refused(
                "backup.place",
                f"{folder} can't be renamed to {home}: restore into a new folder that isn't a mount point",
                path=str(home),
            ) from error
        raise
    sync_directory(home.parent)


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()


def _sync(folder: Path) -> None:
    """Every folder's names durable; the files are already."""
    for path, _, _ in os.walk(folder):
        sync_directory(Path(path))
