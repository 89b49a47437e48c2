"""How much may be under way at once on a link of unknown speed, so that what is urgent never waits long behind it.

Pure: the caller measures. The same rule at both ends: the hub's for what it pushes, the node's for what it uploads and
fetches piece by piece (docs/protocol.md §11).
"""

from __future__ import annotations

from typing import Final

QUEUED_FEW: Final = 0.2  # seconds in a queue on the way, below which more may be under way
QUEUED_LONG: Final = 0.4  # above which it must be less
ROUND_TRIP: Final = 0.7  # seconds, by satellite: what takes longer has queued


class Window:
    """Bytes that may be under way: doubled while they pass without queueing, halved when they queue.

    What a transfer takes beyond the shortest one so far, or a round trip by satellite, is time in a queue, at the
    link's narrowest place: a long way alone shrinks nothing.
    """

    __slots__ = ("_least", "_most", "_shortest", "size")

    def __init__(self, *, least: int, most: int) -> None:
        """Between `least` and `most` bytes, of which it begins with `least`."""
        self._least = least
        self._most = most
        self._shortest = ROUND_TRIP
        self.size = least

    def passed(self, size: int, seconds: float) -> None:
        """`size` bytes went to the other end, were worked on there, and that came to be known, in `seconds`."""
        self._shortest = min(self._shortest, seconds)
        queued = seconds - self._shortest
        if queued > QUEUED_LONG:
            self.size = max(self._least, self.size // 2)
        elif queued < QUEUED_FEW and size * 2 >= self.size:
            self.size = min(self._most, self.size * 2)
