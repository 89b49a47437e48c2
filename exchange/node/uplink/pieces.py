"""Long envelopes go in pieces, both ways: as long as the link bears, none while flash is going (docs/protocol.md §11).

A piece is what may be cut off and has to go again, and what flash waits behind at most. Owns how long pieces are and
whose turn it is; what is in them is uplink/client.py's business.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from exchange.errors import Rejected
from exchange.header import parse_header
from exchange.limits import PIECE_BYTES, WINDOW_BYTES
from exchange.pacing import Window
from exchange.wire import header_of

ASK: Final = -1  # instead of where a piece begins: the hub is asked for it
COURTESY_SECONDS: Final = (
    5.0  # that a piece waits for flash at most: a flash that gets nowhere stops nothing else
)


class Pieces:
    """How long the pieces are in each direction, and who waits. `seconds()` is a monotonic clock."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.up: Final = Window(least=WINDOW_BYTES, most=PIECE_BYTES)
        self.down: Final = Window(least=WINDOW_BYTES, most=PIECE_BYTES)
        self.begun: Final = set[str]()  # uploads of which the hub may have pieces
        self._seconds = seconds
        self._flash = 0  # how many are going
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def going_before(self, flash: bool) -> Iterator[None]:
        """While a flash goes, no piece of anything else begins."""
        if not flash:
            yield
            return
        self._flash += 1
        self._none.clear()
        try:
            yield
        finally:
            self._flash -= 1
            if not self._flash:
                self._none.set()

    async def turn(self) -> float:
        """Wait until no flash is going; when that was, in seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COURTESY_SECONDS):
                await self._none.wait()
        return self._seconds()


def is_flash(upload: bytes) -> bool:
    """Whether its header says so."""
    try:
        return parse_header(header_of(upload)).lane == "flash"
    except Rejected:
        return False
