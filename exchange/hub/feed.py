"""Owns one connection's way through one mailbox: from memory what was committed while it listens, else from the store.

The order of service is the same either way (docs/protocol.md §8.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange import policy
from exchange.header import LANES
from exchange.hub.registrar import Registrar
from exchange.hub.store import HubStore
from exchange.hub.store_cursor import CHECKPOINT, Cursor
from exchange.hub.store_page import ITEM_OVERHEAD, delivery_item
from exchange.protocol import Item

PUSH_BYTES: Final = 262_144  # looked up at once, so that flash overtakes bulk that isn't on the wire yet


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

    async def next(self, *, items: int, most: int, large: int, urgent: bool) -> Sequence[Item]:
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
        chosen = page.items[:items]
        if chosen:
            self._cursor = Cursor.read(chosen[-1].cursor, self._cursor.epoch)
        return chosen

    def _from_memory(self, items: int, most: int, *, large: int, urgent: bool) -> Sequence[Item] | None:
        """None where only the store can tell."""
        chosen: list[Item] = []
        seen = [self._cursor[lane] for lane in LANES]
        waiting = self._store.fresh.after(self._address, seen)
        if waiting is None:
            return None
        for copy in waiting:
            most -= copy.delivery + ITEM_OVERHEAD
            if (urgent and copy.lane) or (chosen and (most < 0 or len(chosen) == items)):
                break
            shared = self._store.recent.get(copy.envelope)
            if shared is None:
                return chosen or None
            self._cursor = self._cursor.moved(LANES[copy.lane], copy.n)
            chosen.append(delivery_item(copy, shared, self._cursor, large=large))
        return chosen
