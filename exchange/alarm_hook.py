"""The alarm hook of a home: calls people over each configured way, once for what is owed, again after a failure.

Owns when a way is tried, and that what ran is never run again. What is owed is the node's or the hub's alarm_hook to
find; the rows are storage/calls.py's, the ways notify.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, NoReturn

from exchange import logs
from exchange.alarm import TEST, Notice
from exchange.errors import ExchangeError
from exchange.limits import MINUTE_MS
from exchange.notify import Way
from exchange.storage import calls
from exchange.storage.database import Database

EVERY: Final = 15.0  # seconds
_FIRST_WAIT_MS: Final = MINUTE_MS
_LONGEST_WAIT_MS: Final = 15 * MINUTE_MS

_log = logs.logger("alarm")


class Caller:
    """Tells people what is owed to them. `who`: whose home it is; `clock()` in ms."""

    def __init__(self, db: Database, ways: Mapping[str, Way], *, who: str, clock: Callable[[], int]) -> None:
        self._db = db
        self._ways = ways
        self._who = who
        self._clock = clock
        self._loaded = False

    @property
    def ways(self) -> tuple[str, ...]:
        """Over which ways people are told."""
        return tuple(self._ways)

    async def load(self) -> None:
        """Before anything else, and after a fault: what was left running counts as told. Raises as `Database.write`."""
        await self._db.write(partial(calls.settle, ways=self.ways))

    async def deliver(self) -> None:
        """Try all that is due, each way by itself: one that hangs delays no other. Raises as `Database.write`."""
        async with asyncio.TaskGroup() as group:
            for way in self._ways:
                group.create_task(self._over(way))

    async def _over(self, way: str) -> None:
        while due := await self._db.write(partial(calls.begin, way=way, now=self._clock())):
            now = self._clock()
            notice = Notice(
                due.kind, self._who, due.count, now - due.since, tuple(one for one in due.subjects if one)
            )
            code = ""
            try:
                await self._ways[way](notice)
            except ExchangeError as error:
                code = error.code
            except Exception as error:  # noqa: BLE001 - whatever a way brings about, people are told by the others
                _log.error("fault in a way", way=way, error=type(error).__name__)
                code = "internal.error"
            now = self._clock()
            if not code:
                await self._db.write(partial(calls.told, due=due, now=now))
                continue
            _log.warning("notice failed", way=way, kind=due.kind, code=code, tries=due.tries + 1)
            wait = min(_FIRST_WAIT_MS << min(due.tries, 8), _LONGEST_WAIT_MS)
            await self._db.write(partial(calls.failed, due=due, code=code, next_at=now + wait, now=now))

    async def keep(self, look: Callable[[], Awaitable[None]]) -> NoReturn:
        """`turn` again and again, for as long as the process serves."""
        while True:
            await self.turn(look)
            await asyncio.sleep(EVERY)

    async def turn(self, look: Callable[[], Awaitable[None]]) -> None:
        """`look` for what is owed and deliver it. A fault of the disk is told by what needs it more."""
        try:
            if not self._loaded:
                await self.load()
                self._loaded = True
            await look()
            await self.deliver()
        except* ExchangeError as errors:
            self._loaded = False  # of what ran, nothing runs any more: whether it went out isn't known
            _log.warning("alarm hook put off", code=_first(errors).code)


async def try_ways(ways: Mapping[str, Way], *, who: str) -> dict[str, ExchangeError | None]:
    """Send a test over each way; what went wrong, None where nothing did."""

    async def attempt(way: Way) -> ExchangeError | None:
        try:
            await way(Notice(TEST, who))
        except ExchangeError as error:
            return error
        return None

    results = await asyncio.gather(*(attempt(way) for way in ways.values()))
    return dict(zip(ways, results, strict=True))


def _first(errors: BaseExceptionGroup[ExchangeError]) -> ExchangeError:
    one = errors.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one
