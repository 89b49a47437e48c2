"""Owns the jobs that wait for the writer thread: their bounded queue, how one runs, how its caller learns the end.

Does not begin or commit anything (database.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from exchange.errors import ExchangeError, Unavailable
from exchange.storage.connections import is_about_the_file

T = TypeVar("T")

_SAVEPOINT = "exchange_job"


class Job:
    """One `fn` of one caller. `problem` is what `fn` or its group's end raised; None means `result` counts."""

    __slots__ = ("_fn", "future", "loop", "problem", "result", "size")

    def __init__(self, fn: Callable[[Connection], Any], size: int, loop: asyncio.AbstractEventLoop) -> None:
        """`size` is about how many bytes it will store."""
        self._fn = fn
        self.size = size
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.problem: BaseException | None = None

    def run(self, connection: Connection, driver: sqlite3.Connection) -> None:
        """Run in a savepoint of the open transaction; raises only what ends the whole transaction."""
        # On the driver: through SQLAlchemy the three statements cost as much as a small job.
        driver.execute(f"SAVEPOINT {_SAVEPOINT}")
        try:
            self.result = call(self._fn, connection)
        except BaseException as error:
            if isinstance(error, sqlite3.Error | DBAPIError) and is_about_the_file(error):
                raise  # SQLite may have rolled back the transaction already, other jobs' rows included
            self.problem = error
            driver.execute(f"ROLLBACK TO {_SAVEPOINT}")
        driver.execute(f"RELEASE {_SAVEPOINT}")

    def fail(self, error: BaseException) -> None:
        """Its group came to nothing. Each caller gets an error of its own: a raised one carries its traceback."""
        if isinstance(error, ExchangeError):
            self.problem = type(error)(error.code, error.detail, **error.facts)
        else:
            self.problem = error

    def settle(self) -> None:
        """Tell the caller, in its event loop; one that has stopped waiting is passed over."""
        if self.future.done():
            return
        if self.problem is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.problem)


def call(fn: Callable[[Connection], T], connection: Connection) -> T:
    """Run `fn`; a StopIteration that leaves it becomes a RuntimeError, since no future can carry one (PEP 479)."""
    try:
        return fn(connection)
    except StopIteration as error:
        raise RuntimeError("a database job raised StopIteration") from error


def settle_all(group: list[Job], afterwards: Callable[[], None]) -> None:
    """Settle the jobs from the writer thread, waking each event loop once, then run `afterwards` there."""

    def settle(jobs: list[Job]) -> None:
        for job in jobs:
            job.settle()
        afterwards()

    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in group:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        # RuntimeError: the loop is closed, so nobody waits there any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, jobs)


class WriteQueue:
    """First in, first out, between event loops and the writer thread; bounded by jobs and by bytes."""

    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        """One job is always taken, however big."""
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._jobs: deque[Job] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, job: Job) -> None:
        """Add a job. Raises Unavailable `storage.busy` when full, `storage.closed`."""
        with self._changed:
            if self._closed:
                raise Unavailable("storage.closed")
            over = len(self._jobs) >= self._max_jobs or self._bytes + job.size > self._max_bytes
            if self._jobs and over:
                raise Unavailable("storage.busy", waiting=len(self._jobs))
            self._jobs.append(job)
            self._bytes += job.size
            self._changed.notify()

    def take(self, max_jobs: int, max_bytes: int) -> list[Job]:
        """Wait for a job, then take all that wait up to the limits; empty once closed and drained."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            group: list[Job] = []
            size = 0
            while (
                self._jobs and len(group) < max_jobs and (not group or size + self._jobs[0].size <= max_bytes)
            ):
                job = self._jobs.popleft()
                group.append(job)
                size += job.size
            self._bytes -= size
            return group

    def close(self) -> None:
        """Take no more; what waits is still written."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
