"""Long envelopes go in pieces, both ways: as long as the link bears, none while flash is going (docs/protocol.md §11).

A piece is what may be cut off and has to go again, and what flash waits behind at most. Owns how long pieces are, whose
turn it is and where the next one begins; how one is carried is uplink/client.py's business.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from exchange.errors import Rejected, Unavailable
from exchange.header import parse_header
from exchange.limits import PIECE_BYTES, WINDOW_BYTES
from exchange.pacing import Window
from exchange.wire import header_of

T = TypeVar("T")

_ASK: Final = -1  # instead of where a piece begins: the hub is asked for it
COURTESY_SECONDS: Final = (
    5.0  # that a piece waits for flash at most: a flash that gets nowhere stops nothing else
)


class Pieces:
    """How long the pieces are in each direction, at most `most` bytes; who waits. `seconds()` is monotonic."""

    def __init__(self, seconds: Callable[[], float], *, most: int = PIECE_BYTES) -> None:
        least = min(WINDOW_BYTES, most)
        self.up: Final = Window(least=least, most=most)
        self.down: Final = Window(least=least, most=most)
        self._begun: Final = set[bytes]()  # uploads of which the hub may have pieces
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

    async def bring(self, env: bytes, upload: bytes, put: Callable[[int, bytes], Awaitable[int | T]]) -> T:
        """A long upload, from where it was cut off the last time (§11.9); what became of it.

        `put(start, piece)` carries one: how many bytes the hub has then, or, once that is all, what became of them.
        Raises Unavailable hub.unreachable for a hub that takes none.
        """
        urgent, have = is_flash(upload), _ASK if env in self._begun else 0
        self._begun.add(env)
        while True:
            piece = upload[have : have + self.up.size] if have != _ASK else b""
            began = self._seconds() if urgent else await self.turn()
            has = await put(max(have, 0), piece)
            self.up.passed(len(piece), self._seconds() - began)
            if not isinstance(has, int):
                self._begun.discard(env)
                return has
            if not 0 <= has < len(upload) or has == have:
                raise Unavailable("hub.unreachable", "the hub doesn't take the pieces")
            have = has


def is_flash(upload: bytes) -> bool:
    """Whether its header says so."""
    try:
        return parse_header(header_of(upload)).lane == "flash"
    except Rejected:
        return False
