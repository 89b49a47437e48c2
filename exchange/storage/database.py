"""Owns a store's transactions: one writer thread with group commit, two reader threads, and what ends them.

    await db.write(fn)    fn(connection) in its own savepoint; resolved when its group is on disk
    await db.read(fn)     fn(connection) on one moment of the data, cannot write
    db.write_sync(fn)     the same without an event loop, beside a process that has the file open

`fn` is a plain function that takes the connection and returns dataclasses, never rows; it neither commits nor
awaits. Does not know any table (the stores) nor the schema's version (migrate.py). Reasons: docs/decisions/0022.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from exchange.errors import ExchangeError, Unavailable
from exchange.storage.commits import Commits
from exchange.storage.connections import (
    BUSY_TIMEOUT_MS,
    READERS,
    breaks,
    is_about_the_file,
    reading_engine,
    translate,
    writing_engine,
)
from exchange.storage.migrate import ensure_current
from exchange.storage.write_queue import Job, WriteQueue, call, settle_all

T = TypeVar("T")

GROUP_JOBS = 64
GROUP_BYTES = 1024 * 1024
QUEUE_JOBS = 4096
QUEUE_BYTES = 64 * 1024 * 1024
FOLD_MS = 50  # a fold waits so long for readers, and every writer for it


class Database:
    """One SQLite file, open. Made by `open`; threads start with the first `write` or `read` that needs them."""

    def __init__(
        self,
        path: Path,
        *,
        owner: bool,
        queue_jobs: int,
        queue_bytes: int,
        on_broken: Callable[[ExchangeError], None] | None,
    ) -> None:
        """For `open`."""
        self.path = path
        self.commits = Commits()
        self._name = path.name
        self._owner = owner
        self._writing = writing_engine(path, owner=owner)
        self._reading = reading_engine(path)
        self._queue = WriteQueue(queue_jobs, queue_bytes)
        self._writer: threading.Thread | None = None
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"{path.name}-read")
        self._read_slots = threading.BoundedSemaphore(queue_jobs)
        self._closed = False
        self._broken: ExchangeError | None = None
        self._on_broken = on_broken
        self._starting = threading.Lock()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        migrations: Path,
        app: str,
        owner: bool = True,
        queue_jobs: int = QUEUE_JOBS,
        queue_bytes: int = QUEUE_BYTES,
        on_broken: Callable[[ExchangeError], None] | None = None,
    ) -> Self:
        """Open the file, created or upgraded to the newest step of the folder `migrations` if need be.

        `owner` says that the caller holds the home's lock: a command beside the owner never upgrades nor
        checkpoints. `app` marks the file ("node", "hub"). `on_broken` is called once, in the event loop of the
        caller that met the fault (for the sync calls: in its thread): the process must then stop (design §3.9).

        Raises:
            Refused: `storage.newer-schema`, `storage.older-schema`, `storage.wrong-file`, `storage.damaged`,
                `storage.upgrade-failed`, `home.missing`.
            Unavailable: `storage.full`, `storage.io`, `storage.busy`.
        """
        ensure_current(path, migrations, app=app, may_upgrade=owner)
        return cls(path, owner=owner, queue_jobs=queue_jobs, queue_bytes=queue_bytes, on_broken=on_broken)

    async def write(self, fn: Callable[[Connection], T], *, size: int = 0) -> T:
        """Run `fn` in the writer thread; returns its result once durable. `size`: about what it stores, in bytes.

        What `fn` raises undoes only `fn` and is raised here. Cancelling the wait does not withdraw the write.

        Raises:
            Unavailable: `storage.busy` (the queue is full, or another process writes for over 5 s),
                `storage.full`, `storage.io`, `storage.closed`.
            Refused: `storage.damaged`.
        """
        self._check_usable()
        job = Job(fn, size, asyncio.get_running_loop())
        self._queue.put(job)
        with self._starting:
            if self._writer is None:
                # A daemon: a close that was forgotten must not hang the process, and dying midway is safe.
                self._writer = threading.Thread(
                    target=self._run_writer, name=f"{self._name}-write", daemon=True
                )
                self._writer.start()
        return cast("T", await job.future)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` in a reader thread, in one transaction that cannot write.

        Raises:
            Unavailable: `storage.busy` (too many reads wait), `storage.io`, `storage.closed`.
            Refused: `storage.damaged`.
        """
        self._check_usable()
        if not self._read_slots.acquire(blocking=False):
            raise Unavailable("storage.busy")
        running = self._readers.submit(self._read, fn)
        running.add_done_callback(lambda _: self._read_slots.release())
        try:
            return await asyncio.wrap_future(running)
        finally:
            self._announce()

    def write_sync(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` in this thread, in a transaction of its own; durable on return.

        Raises:
            Unavailable: `storage.busy` (another writer holds the file for over 5 s), `storage.full`,
                `storage.io`, `storage.closed`.
            Refused: `storage.damaged`.
        """
        self._check_usable()
        try:
            with self._faults(), self._writing.connect() as connection, connection.begin():
                return fn(connection)
        finally:
            self._announce()

    def read_sync(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` in this thread, in one transaction that cannot write; raises as `read`."""
        self._check_usable()
        try:
            return self._read(fn)
        finally:
            self._announce()

    async def fold(self) -> bool:
        """Fold the log into the file and empty it, so that what was deleted is in neither; for the home's owner.

        False where somebody who reads or writes for long is in the way: it is to be called again. Raises as `write`,
        but `storage.busy`.
        """
        self._check_usable()
        try:
            with self._faults():
                return await asyncio.to_thread(self._checkpoint, FOLD_MS)
        finally:
            self._announce()

    async def close(self) -> None:
        """Refuse new work, finish what waits, fold the log into the file. A second call does nothing.

        Raises:
            Unavailable: `storage.io`, `storage.full`: what was acknowledged is safe in the log all the same.
        """
        await asyncio.to_thread(self.close_sync)

    def close_sync(self) -> None:
        """`close` for commands without an event loop; must not be called from one that still awaits a write."""
        if self._closed:
            return
        self._closed = True
        self._queue.close()
        if self._writer is not None:
            self._writer.join()
        self._readers.shutdown(wait=True)
        self._reading.dispose()
        if self._owner and self._broken is None:
            with self._faults():
                self._checkpoint(BUSY_TIMEOUT_MS)
        self._writing.dispose()

    def _run_writer(self) -> None:
        connection: Connection | None = None
        while group := self._queue.take(GROUP_JOBS, GROUP_BYTES):
            begun = time.monotonic()
            try:
                with self._faults():
                    self._check_broken()
                    connection = connection or self._writing.connect()
                    _commit(connection, group)
                self.commits.add(len(group), time.monotonic() - begun)
            except BaseException as error:  # noqa: BLE001 - not handled here: carried to every caller of the group
                self.commits.failed += 1
                for job in group:
                    job.fail(error)
            settle_all(group, self._announce)
        if connection is not None:
            connection.close()

    def _read(self, fn: Callable[[Connection], T]) -> T:
        with self._faults(), self._reading.connect() as connection, connection.begin():
            return call(fn, connection)

    def _checkpoint(self, patience_ms: int) -> bool:
        """Whether it has emptied the log, on a connection of its own."""
        raw = self._writing.raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute(f"PRAGMA busy_timeout={patience_ms}")
            # TRUNCATE: an emptied log holds no copies of pages that secure_delete has since cleared.
            row = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return bool(row is not None and row[0] == 0)  # its first column: busy
        finally:
            raw.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn the file's and the locks' failures into our errors, and remember the ones that end all work."""
        try:
            yield
        except (sqlite3.Error, DBAPIError) as error:
            if not is_about_the_file(error):
                raise  # a constraint, a wrong statement: the job's own, for the store to judge
            fault = translate(error)
            if breaks(fault) and self._broken is None:
                self._broken = fault
            raise fault from error

    def _announce(self) -> None:
        if self._broken is not None and self._on_broken is not None:
            notify, self._on_broken = self._on_broken, None
            notify(self._broken)

    def _check_usable(self) -> None:
        if self._closed:
            raise Unavailable("storage.closed")
        self._check_broken()

    def _check_broken(self) -> None:
        if self._broken is not None:
            raise type(self._broken)(self._broken.code, self._broken.detail, **self._broken.facts)


def _commit(connection: Connection, group: list[Job]) -> None:
    with connection.begin():
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        for job in group:
            job.run(connection, driver)
