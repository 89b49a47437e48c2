"""Owns how the node stands with the hub, as people see it, and the bell for whoever waits for a change."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass


@dataclass
class Condition:
    """How the node stands with the hub, for people: times in ms, codes of what went wrong last ("" for nothing)."""

    connected: bool = False
    heard_at: int = 0
    problem: str = ""
    directory_problem: str = ""
    drained: bool = False
    clock_offset: int = 0

    def heard(self, *, now: int) -> bool:
        """The hub has answered at `now` (ms); whether it was out of reach before."""
        was_connected, self.connected = self.connected, True
        self.heard_at, self.problem = now, ""
        return not was_connected


class Bell:
    """Wakes everybody who waits for something to have changed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Something has changed."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    def next_ring(self) -> asyncio.Event:
        """Set at the next ring. Taken before looking at what may change, it misses nothing."""
        return self._event

    async def wait(self, seconds: float) -> None:
        """Return at the next ring, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
