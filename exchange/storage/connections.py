"""Owns how a SQLite file is opened, for writing, reading or upgrading, and what its errors mean to us.

Does not run transactions (database.py) nor know a schema (migrate.py, the stores).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, NullPool, Pool, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from exchange.errors import ExchangeError, Refused, Unavailable
from exchange.storage.files import create_private, disk_fault, sync_directory

PAGE_BYTES = 16 * 1024  # bodies lie in the table: with 4 KiB pages a 20 KiB body is a chain of six
BUSY_TIMEOUT_MS = 5_000  # how long a writer waits for another process's transaction
READERS = 2
COPY_PAGES = 1024  # of one step of a copy

# What a statement or commit may end with after which the file on disk, not our memory, says what is true.
_BROKEN = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# Plain SQLITE_READONLY is what a reader that tries to write gets: the job's own mistake. These are the file's.
_READONLY_FILE = frozenset(
    {
        sqlite3.SQLITE_READONLY_CANTINIT,
        sqlite3.SQLITE_READONLY_DBMOVED,
        sqlite3.SQLITE_READONLY_DIRECTORY,
        sqlite3.SQLITE_READONLY_RECOVERY,
        sqlite3.SQLITE_READONLY_ROLLBACK,
    }
)
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
# SQLITE_IOERR_SHMSIZE: the log's index couldn't grow, as on a full disk at the start. Nothing was written by then.
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})


def create_file(path: Path) -> None:
    """Create an empty database file, mode 0600; SQLite gives -wal and -shm the same mode. Existing: no change.

    Raises:
        Refused: `home.missing`.
        Unavailable: `storage.full`, `storage.io`.
    """
    try:
        create_private(path)
        sync_directory(path.parent)
    except FileExistsError:
        return
    except FileNotFoundError as error:
        raise Refused("home.missing", path=str(path.parent)) from error
    except OSError as error:
        raise disk_fault(error) from error


def writing_engine(path: Path, *, owner: bool) -> Engine:
    """An engine whose every transaction is BEGIN IMMEDIATE, synced when committed.

    Only the home's owner checkpoints the log: commands beside it leave that to it.
    """
    pragmas = ["foreign_keys=ON", "secure_delete=ON", "synchronous=FULL"]
    pragmas += [] if owner else ["wal_autocheckpoint=0"]
    return _engine(path, pragmas, begin="BEGIN IMMEDIATE", pool=NullPool)


def reading_engine(path: Path) -> Engine:
    """An engine for up to `READERS` threads that cannot write; a transaction sees one moment of the data."""
    return _engine(path, ["query_only=ON"], begin="BEGIN", pool=QueuePool)


def upgrading_engine(path: Path) -> Engine:
    """The writing engine without foreign keys: SQLite's way to rebuild a table others point to.

    (sqlite.org/lang_altertable.html §7; migrate.py checks the keys before it commits.)
    """
    return _engine(path, ["foreign_keys=OFF", "secure_delete=ON"], begin="BEGIN IMMEDIATE", pool=NullPool)


def _engine(path: Path, pragmas: list[str], *, begin: str, pool: type[Pool]) -> Engine:
    url = URL.create("sqlite+pysqlite", database=str(path))
    sizes = {"pool_size": READERS, "max_overflow": 0} if pool is QueuePool else {}
    # hide_parameters: an error's text reaches logs, the rows' content must not.
    engine = create_engine(url, poolclass=pool, hide_parameters=True, **sizes)

    def connected(driver: sqlite3.Connection, _record: object) -> None:
        driver.isolation_level = None  # Python's implicit BEGIN is deferred; `begun` does it instead
        # page_size counts only before the first write, journal_mode is kept in the file: both are free later.
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            f"page_size={PAGE_BYTES}",
            "journal_mode=WAL",
            *pragmas,
        ):
            driver.execute(f"PRAGMA {pragma}")

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine


def copy_to(path: Path, target: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Copy a database, with what its log still holds, to a new file of mode 0600 that is durable on return.

    It is the database of one moment, and whoever writes to it meanwhile isn't held up. `progress` is told the pages
    copied, and how many there are.

    Raises:
        Refused: `storage.damaged`.
        Unavailable: `storage.full`, `storage.io`, `storage.busy`.
    """
    staged = target.with_name(f".{target.name}.new")
    try:
        staged.unlink(missing_ok=True)
        create_private(staged)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(staged)) as copy:
            # One reading transaction over all the steps: a write between two of them would begin the copy anew.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(copy, pages=COPY_PAGES, progress=_copied(progress))
            # The copy would come out in WAL mode, where its last pages lie in a second file.
            copy.execute("PRAGMA journal_mode=DELETE")
        staged.replace(target)
        sync_directory(target.parent)
    except sqlite3.Error as error:
        raise translate(error) from error
    except OSError as error:
        raise disk_fault(error) from error


def _copied(progress: Callable[[int, int], None] | None) -> Callable[[int, int, int], object] | None:
    """`progress` as sqlite3 calls it: status, pages left, pages in all."""
    return None if progress is None else lambda _, left, pages: progress(pages - left, pages)


def translate(error: sqlite3.Error | DBAPIError) -> ExchangeError:
    """Our error for a failure of the file or of its locks; anything else is our own mistake: `internal.error`.

    Codes: `storage.full` (goes on when there is space), `storage.busy`, `storage.damaged`, `storage.io`.
    """
    primary = _code(error) & 0xFF
    if _code(error) in _FULL:
        return Unavailable("storage.full")
    if primary in _BUSY:
        return Unavailable("storage.busy")
    if primary in _DAMAGED:
        return Refused("storage.damaged")
    if primary in _BROKEN or _code(error) in _READONLY_FILE:
        return Unavailable("storage.io", sqlite=_name(error))
    return Unavailable("internal.error", sqlite=_name(error))


def is_about_the_file(error: sqlite3.Error | DBAPIError) -> bool:
    """Whether it comes from the disk or the locks, so that no job of the same transaction can stand."""
    return translate(error).code != "internal.error"


def breaks(error: ExchangeError) -> bool:
    """Whether nothing may be written any more until the process has started again from the disk (design §3.9).

    After a failed sync the kernel may drop the pages and report success the next time: a retry would lie.
    """
    return error.code in {"storage.io", "storage.damaged"}


def _code(error: sqlite3.Error | DBAPIError) -> int:
    original = error.orig if isinstance(error, DBAPIError) else error
    # Absent on errors that the driver itself raises (a closed connection, a wrong parameter count): SQLITE_ERROR.
    return int(getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR))


def _name(error: sqlite3.Error | DBAPIError) -> str:
    original = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(original, "sqlite_errorname", type(original).__name__))
