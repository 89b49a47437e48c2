"""Looks at a database's file from outside, for `doctor`: its size, its schema's step, whether it is whole. Reads only.

Does not need the home's lock or keys, and works beside whoever has the file open.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchange.storage.connections import translate
from exchange.storage.migrate import known_steps, stored_step

_STEPS: Final = 100_000  # of SQLite's machine between two looks at the clock


@dataclass(frozen=True)
class Inspection:
    """A database file: bytes of it and of its log, its schema's step and the program's newest, whether it is whole.

    `whole` is None where the time was too short to look at all of it.
    """

    size: int
    log_size: int
    step: str
    newest: str
    whole: bool | None


def inspect(path: Path, migrations: Path, *, app: str, seconds: float) -> Inspection:
    """Look for at most about `seconds`.

    Raises:
        Refused: `storage.wrong-file`, `storage.damaged`.
        Unavailable: `storage.io`, `storage.busy`.
    """
    log = path.with_name(path.name + "-wal")
    size, log_size = path.stat().st_size, log.stat().st_size if log.exists() else 0
    step, newest = stored_step(path, app=app) or "", known_steps(migrations)[-1]
    return Inspection(size, log_size, step, newest, _is_whole(path, time.monotonic() + seconds))


def _is_whole(path: Path, end: float) -> bool | None:
    try:
        with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            return bool(answer == "ok")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        raise translate(error) from error
    except sqlite3.DatabaseError as error:
        raise translate(error) from error
