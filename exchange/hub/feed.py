"""Owns one connection's way through one mailbox: from memory what was committed while it listens, else from the store.

The order of service is the same either way (docs/protocol.md §8.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from exchange import policy
from exchange.header import LANES
from exchange.hub.registrar import Registrar
from exchange.hub.store.cursor import CHECKPOINT, Cursor
from exchange.hub.store.page import ITEM_OVERHEAD, delivery_parts
from exchange.hub.store.store import HubStore

PUSH_BYTES: Final = 262_144  # looked up at once, so that flash overtakes bulk that isn't on the wire yet


class Outgoing(NamedTuple):
    """An item as it goes out: its cursor, its bytes in pieces that connections share, and how many they are."""

    cursor: str
    parts: Sequence[bytes]
    size: int


class Feed:
    """Items for `address` after `cursor`. Closed when its connection ends."""

    def __init__(self, store: HubStore, registrar: Registrar, address: str, cursor: Cursor) -> None:
        self._store = store
        self._registrar = registrar
        self._address = address
        self._cursor = cursor
        self._found_empty: object = None  # the mailbox's state when nothing waited in the store
        store.fresh.listen(address)

    def close(self) -> None:
        """Nobody reads on."""
        self._store.fresh.leave(self._address)

    async def next(self, *, items: int, most: int, large: int, urgent: bool) -> Sequence[Outgoing]:
        """Up to so many items and bytes, at least one if any waits; none: nothing waits.

        Deliveries over `large` bytes (0: none) are named only; `urgent`: nothing but flash. Raises as Database.read.
        """
        most = min(PUSH_BYTES, most)
        announced = self._registrar.announcement
        since = policy.mail_since(self._registrar.directory, self._address)
        state = self._store.fresh.state(self._address)
        if state == self._found_empty and not since and announced.number <= self._cursor[CHECKPOINT]:
            found = self._from_memory(items, most, large=large, urgent=urgent)
            if found is not None:
                return found
        page = await self._store.page(
            self._address,
            self._cursor,
            most=most,
            announced=announced,
            since=since,
            large=large,
            urgent=urgent,
        )
        if not page.items and not urgent:
            self._found_empty = state  # as it was before the store was asked
        whole = [(item.cursor, item.to_bytes()) for item in page.items[:items]]
        chosen = [Outgoing(cursor, (data,), len(data)) for cursor, data in whole]
        self._cursor = self._after(chosen)
        return chosen

    def _from_memory(self, items: int, most: int, *, large: int, urgent: bool) -> Sequence[Outgoing] | None:
        """None where only the store can tell."""
        chosen: list[Outgoing] = []
        cursor, last, before, after = self._cursor, -1, "", ""
        waiting = self._store.fresh.after(self._address, [cursor[name] for name in LANES])
        if waiting is None:
            return None
        for copy in waiting:
            number, lane, envelope, _, delivery, _ = copy
            most -= delivery + ITEM_OVERHEAD
            if (urgent and lane) or (chosen and (most < 0 or len(chosen) == items)):
                break
            shared = self._store.recent.get(envelope)
            if shared is None:
                if not chosen:
                    return None
                break
            if lane != last:
                cursor, last = self._after(chosen), lane
                before, after = cursor.around(LANES[lane])
            text = f"{before}{number}{after}"
            parts, size = delivery_parts(copy, shared, text, large=large)
            chosen.append(Outgoing(text, parts, size))
        self._cursor = self._after(chosen)
        return chosen

    def _after(self, chosen: Sequence[Outgoing]) -> Cursor:
        return Cursor.read(chosen[-1].cursor, self._cursor.epoch) if chosen else self._cursor
