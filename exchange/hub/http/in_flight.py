"""Owns how far a node may lag behind on its WebSocket: items sent that it hasn't stored yet (docs/protocol.md §11.8).

How much bulk is under way follows the link's speed (pacing.py), and flash is beyond it: it never waits for room.
"""

from __future__ import annotations

from typing import NamedTuple

from exchange.limits import URGENT_BYTES, URGENT_ITEMS, WINDOW_BYTES
from exchange.pacing import Window
from exchange.settings import HubLimits


class _Sent(NamedTuple):
    """An item on its way, not stored yet; since when, in seconds."""

    cursor: str
    size: int
    at: float
    urgent: bool


class InFlight:
    """What a node hasn't stored yet, and how much more may be under way (docs/protocol.md §11.8)."""

    __slots__ = ("_alone", "_bytes", "_items", "_limits", "_sent", "_urgent", "_urgent_items", "_window")

    def __init__(self, limits: HubLimits) -> None:
        self._limits = limits
        self._sent: dict[str, _Sent] = {}  # by cursor, the oldest first
        self._bytes = self._items = 0  # of bulk
        self._urgent = self._urgent_items = 0  # of what went beyond the window
        self._alone = 0  # items stored out of turn, of size 0 here
        self._window = Window(least=min(WINDOW_BYTES, limits.socket_bytes), most=limits.socket_bytes)

    @property
    def frame(self) -> int:
        """Bytes up to which items share a frame: little on a thin link, where a frame that is cut off was in vain."""
        return self._window.size // 8

    def room(self) -> tuple[int, int, bool]:
        """How many items and bytes may follow, and whether of flash only."""
        items, left = self._limits.socket_items - self._items, self._window.size - self._bytes
        # Not for every item stored: whoever is sent one at a time stores one at a time.
        if not self._items or (
            items >= max(1, self._limits.socket_items // 4) and left >= max(1, self._window.size // 4)
        ):
            return max(1, items), max(1, left), False
        beyond = URGENT_ITEMS - self._urgent_items
        return (max(0, beyond) if self._urgent < URGENT_BYTES else 0), URGENT_BYTES - self._urgent, True

    def longer_than(self, size: int) -> int:
        """Bytes of the items under way that have more than `size`."""
        return sum(one.size for one in self._sent.values() if one.size > size)

    def add(self, cursor: str, size: int, now: float, *, urgent: bool) -> None:
        """It goes out now (seconds)."""
        self._sent[cursor] = _Sent(cursor, size, now, urgent)
        if urgent:
            self._urgent += size
            self._urgent_items += 1
        else:
            self._bytes += size
            self._items += 1

    def overtook(self, cursor: str) -> None:
        """The node has stored that item alone: it takes no room, though its cursor is still to come.

        Of so many at most as may be under way: a node that never says `stored` would have them kept without end.
        """
        if self._alone < self._limits.socket_items and (one := self._sent.get(cursor)) and one.size:
            self._alone += 1
            self._take_off(one)
            self._sent[cursor] = _Sent(cursor, 0, one.at, urgent=True)

    def _take_off(self, one: _Sent) -> None:
        if not one.size:
            self._alone -= 1
        elif one.urgent:
            self._urgent -= one.size
            self._urgent_items -= 1
        else:
            self._bytes -= one.size
            self._items -= 1

    def stored(self, cursor: str, now: float) -> bool:
        """The node has stored everything up to it; False if nothing of that is under way."""
        if cursor not in self._sent:
            return False
        under_way = self._bytes
        for one in list(self._sent.values()):
            del self._sent[one.cursor]
            self._take_off(one)
            if one.cursor == cursor:
                self._window.passed(under_way, now - one.at)
                break
        return True
