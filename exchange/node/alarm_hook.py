"""What a node's alarm hook calls people for: flash that nobody has acknowledged, and, where wanted, other alarms.

Owns the steps: first after `flash_seconds`, again every `repeat_minutes` until each is acknowledged. A notice is of all
that wait, so that a burst of messages is one call.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from exchange.alarm import ALARM, FLASH, AlarmSettings
from exchange.alarm_hook import Caller
from exchange.limits import MINUTE_MS, SECOND_MS
from exchange.node.store import alarm as rows
from exchange.node.store.store import Store, Transaction
from exchange.notify import ways
from exchange.storage import calls

GAP_MS: Final = MINUTE_MS  # between two notices of flash, however fast messages come


class AlarmHook:
    """Finds what is owed; `Caller` tells it."""

    def __init__(
        self, store: Store, settings: AlarmSettings, caller: Caller, *, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._settings = settings
        self._caller = caller
        self._clock = clock

    async def look(self) -> None:
        """Write down what is owed. Raises as `Database.write`."""
        now, settings = self._clock(), self._settings
        until = now - settings.flash_seconds * SECOND_MS
        repeat = now - settings.repeat_minutes * MINUTE_MS

        def read(connection: Transaction) -> tuple[rows.Waiting, tuple[int, int, int]]:
            return (
                rows.waiting(connection, now=now, until=until, called_before=repeat),
                rows.new_alarms(connection, settings.is_told),
            )

        def write(connection: Transaction) -> None:
            flash, (count, oldest, newest) = read(connection)
            if flash.due and not now - GAP_MS < flash.called_at <= now:
                rows.mark_called(connection, until=until, now=now)
                calls.owe(
                    connection, self._caller.ways, FLASH, now=now, since=flash.oldest, count=flash.count
                )
            if not flash.count:  # all acknowledged: what is owed of them is owed no more
                calls.withdraw(connection, FLASH)
            if newest:
                rows.see_alarms(connection, newest)
            if count:
                calls.owe(connection, self._caller.ways, ALARM, now=now, since=oldest, count=count, add=True)

        flash, (_, _, newest) = await self._store.db.read(read)
        over = not flash.count and await self._store.db.read(lambda c: calls.is_open(c, FLASH))
        if flash.due or newest or over:
            await self._store.db.write(write)


async def watch(
    store: Store, settings: AlarmSettings, home: Path, *, who: str, clock: Callable[[], int]
) -> None:
    """Call people for as long as the process serves; returns at once where no way is configured."""
    if settings.ways:
        caller = Caller(store.db, ways(settings, home), who=who, clock=clock)
        await caller.keep(AlarmHook(store, settings, caller, clock=clock).look)
