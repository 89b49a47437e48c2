"""What a hub's alarm hook calls its operator for: flash that a recipient's node has not stored for too long.

Owns the beginning and the end of such an outage: each is told once for each address.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from exchange.alarm import NOT_STORED, NOT_STORED_OVER, AlarmSettings
from exchange.alarm_hook import Caller
from exchange.hub.store import alarm as rows
from exchange.hub.store.store import HubStore
from exchange.limits import MINUTE_MS, SECOND_MS
from exchange.notify import ways
from exchange.storage import calls

WHO: Final = "hub"  # who tells


class AlarmHook:
    """Finds what is owed; `Caller` tells it."""

    def __init__(
        self, store: HubStore, settings: AlarmSettings, caller: Caller, *, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._settings = settings
        self._caller = caller
        self._clock = clock

    async def look(self) -> None:
        """Write down what is owed. Raises as `Database.write`."""
        now = self._clock()
        late, known = await self._store.db.read(lambda c: (self._late(c, now), rows.stalls(c)))
        if late.keys() != known.keys():
            await self._store.db.write(lambda c: self._note(c, now))

    def _late(self, connection: rows.Transaction, now: int) -> dict[str, rows.Oldest]:
        until = now - self._settings.flash_seconds * SECOND_MS
        return {one.address: one for one in rows.oldest_flash(connection) if one.since <= until}

    def _note(self, connection: rows.Transaction, now: int) -> None:
        late, known, ways = self._late(connection, now), rows.stalls(connection), self._caller.ways
        for address in known.keys() - late.keys():
            rows.end_stall(connection, address)
            told = calls.was_told(connection, NOT_STORED, address)
            calls.owe(connection, told, NOT_STORED_OVER, now=now, since=known[address], subject=address)
            calls.withdraw(connection, NOT_STORED, address)
        least = (
            now - self._settings.repeat_minutes * MINUTE_MS
        )  # one that comes and goes is not told each time
        for address in late.keys() - known.keys():
            if not least < calls.last_at(connection, NOT_STORED, address) <= now:
                rows.add_stall(connection, late[address])
                calls.withdraw(connection, NOT_STORED_OVER, address)
                calls.owe(connection, ways, NOT_STORED, now=now, since=late[address].since, subject=address)


async def watch(store: HubStore, settings: AlarmSettings, home: Path, *, clock: Callable[[], int]) -> None:
    """Call people for as long as the process serves; returns at once where no way is configured."""
    if settings.ways:
        caller = Caller(store.db, ways(settings, home), who=WHO, clock=clock)
        await caller.keep(AlarmHook(store, settings, caller, clock=clock).look)
