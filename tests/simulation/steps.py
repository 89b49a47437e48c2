"""Processes that can die at any await, and a database whose every job is such a place: one thread, one order, by seed.

A process's points are where it hands on: before and after each database job and each call to the hub. At a point it
may be told to wait (so that others overtake it) or to die: then nothing of it runs any more, what its database has
committed is on the disk, all else is gone, as after kill -9.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from sqlalchemy import Connection

from exchange.errors import Unavailable
from exchange.storage.database import FOLD_MS, Database, _commit
from exchange.storage.write_queue import Job, call

T = TypeVar("T")

MOST_POINTS = 20_000  # of one process's life: the longest in a run of 50 steps has under a thousand
FULL_PAGES = 1  # SQLite takes what the file has for the least
ALL_PAGES = 4_294_967_294


class OneThread(asyncio.SelectorEventLoop):
    """An event loop that runs at once what is meant for threads or other processes: the order depends on nothing."""

    def run_in_executor(  # type: ignore[override]  # of whatever executor
        self, executor: object, func: Callable[..., T], *arguments: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*arguments))
        except Exception as error:  # noqa: BLE001 - carried to who waits, as a thread's would be
            future.set_exception(error)
        return future


def play(work: Coroutine[Any, Any, T]) -> T:
    """Run it on such a loop."""
    with asyncio.Runner(loop_factory=OneThread) as runner:
        return runner.run(work)


class Crash(BaseException):
    """The process is gone. Not an Exception: nothing of the product may catch it and go on."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.name)
        self.process = process


class Endless(BaseException):
    """It does the same again and again. Not an Exception, as Crash."""


class Turns:
    """Who goes on next, while several do something at once: drawn by seed among those that wait at a point."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.waiting: list[tuple[Process, asyncio.Future[None]]] = []
        self.parked: dict[Process, asyncio.Task[None]] = {}
        self.ended: list[tuple[Process, BaseException]] = []

    def begin(self, process: Process, work: Coroutine[Any, Any, None]) -> None:
        """Let `process` do `work` in turns with the others. It goes on with `go`."""
        process.turns = self
        self.parked[process] = asyncio.create_task(work)

    async def turn(self, process: Process) -> None:
        """Wait to be chosen."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((process, future))
        await future

    async def go(self, steps: int | None = None) -> None:
        """Give that many turns, or all that are wanted until nobody is on the way."""
        await _settle()
        self._collect()
        while self.parked and steps != 0:
            if not self.waiting:
                # A task is on its way without a point of its own: in a thread, or behind another's commit.
                await asyncio.wait(self.parked.values(), timeout=0.01)
            else:
                _, future = self.waiting.pop(self.chance.randrange(len(self.waiting)))
                future.set_result(None)
                steps = None if steps is None else steps - 1
            await _settle()
            self._collect()

    def _collect(self) -> None:
        for process, task in list(self.parked.items()):
            if task.done():
                del self.parked[process]
                process.turns = None
                if (fault := task.exception()) is not None:
                    self.ended.append((process, fault))


async def _settle() -> None:
    """Let everything run that can run now."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while loop._ready:  # type: ignore[attr-defined]  # noqa: ASYNC110 - until nothing can run, not until a time
        await asyncio.sleep(0)


class Process:
    """One that can die. `crash_at`: the point, counted from now, at which it does; 0: it doesn't."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.crash_at = 0
        self.points = 0
        self.turns: Turns | None = None

    async def point(self) -> None:
        """A place where it hands on. Raises Crash when it dies here, or is dead; Endless."""
        if self.dead:
            raise Crash(self)
        self.points += 1
        if self.points > MOST_POINTS:
            raise Endless(f"{self.name} doesn't come to an end")
        if self.crash_at:
            self.crash_at -= 1
            if not self.crash_at:
                self.die()
                raise Crash(self)
        if self.turns is not None:
            await self.turns.turn(self)
            if self.dead:
                raise Crash(self)

    def die(self) -> None:
        """From now on nothing of it has any effect."""
        self.dead = True


class SteppedDatabase(Database):
    """The product's database with its jobs run by the event loop instead of by threads, each between two points.

    Jobs that wait together are one group in one transaction, committed by the product's own code.
    """

    process: Process
    _waiting: list[Job]
    _connection: Connection | None
    _reader: Connection | None

    def attach(self, process: Process) -> None:
        """Whose database it is."""
        self.process = process
        self._waiting = []
        self._connection = None
        self._reader = None

    async def write(self, fn: Callable[[Connection], T], *, size: int = 0) -> T:
        await self.process.point()
        self._check_usable()
        loop = asyncio.get_running_loop()
        job = Job(fn, size, loop)
        if not self._waiting:
            loop.call_soon(self._run_group)
        self._waiting.append(job)
        result = cast("T", await job.future)
        await self.process.point()
        return result

    async def read(self, fn: Callable[[Connection], T]) -> T:
        await self.process.point()
        self._check_usable()
        with self._faults():
            if self._reader is None:
                self._reader = self._reading.connect()
            with self._reader.begin():
                return call(fn, self._reader)

    def _run_group(self) -> None:
        group, self._waiting = self._waiting, []
        try:
            if self.process.dead:
                raise Crash(self.process)
            with self._faults():
                _commit(self._open(), group)
        except BaseException as error:  # noqa: BLE001 - carried to every caller of the group, as the product does
            for job in group:
                job.fail(error)
        for job in group:
            job.settle()

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._writing.connect()
        return self._connection

    def fill(self, full: bool) -> None:
        """Let the disk be full, or no longer: SQLite itself then says so."""
        driver = cast("Any", self._open().connection.driver_connection)
        driver.execute(f"PRAGMA max_page_count = {FULL_PAGES if full else ALL_PAGES}")

    async def fold(self) -> bool:
        await self.process.point()
        return self._checkpoint(FOLD_MS)

    async def close(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Leave the file as it is."""
        self._closed = True
        for connection in (self._connection, self._reader):
            if connection is not None:
                connection.close()
        self._readers.shutdown(wait=False)
        self._reading.dispose()
        self._writing.dispose()


def unreachable() -> Unavailable:
    """What a call ends with that didn't get through, or whose answer didn't."""
    return Unavailable("hub.unreachable")
