"""Owns how the feed comes: by WebSocket, or for a while by long poll where something on the way kills those (§11.8).

What kills one may be gone soon, a hub that restarts too: so the while begins with a minute, and is an hour at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from exchange.limits import HOUR_MS, MINUTE_MS, SECOND_MS

SOCKET: Final = "websocket"
POLL: Final = "poll"
QUICK_DEATHS: Final = 2
QUICK_DEATH: Final = 30.0  # seconds
_LEAST: Final = MINUTE_MS / SECOND_MS
_MOST: Final = HOUR_MS / SECOND_MS


class Carrier:
    """Which transport is next. `carries`: which one brings the feed now, "" while none does."""

    def __init__(self, *, wanted: bool, seconds: Callable[[], float]) -> None:
        """`seconds()` is a monotonic clock; `wanted`: whether WebSockets are tried at all."""
        self.carries = ""
        self.seconds: Final = seconds
        self._wanted = wanted
        self._poll_until = 0.0
        self._poll_for = _LEAST
        self._quick_deaths = 0

    @property
    def next(self) -> str:
        """`websocket` or `poll`."""
        return SOCKET if self._wanted and self.seconds() >= self._poll_until else POLL

    def killed(self) -> None:
        """No WebSocket came to be, though the hub is in reach."""
        self._poll_until = self.seconds() + self._poll_for
        self._poll_for = min(2 * self._poll_for, _MOST)

    def ended(self, *, after: float, brought: bool, cut: bool) -> None:
        """A WebSocket lasted `after` seconds, brought anything or nothing, and was cut or given up.

        Some proxies let the upgrade through, and then nothing: twice in a row is such a proxy.
        """
        if cut and not brought and after < QUICK_DEATH:
            self._quick_deaths += 1
            if self._quick_deaths >= QUICK_DEATHS:
                self.killed()
        elif brought:
            self._quick_deaths, self._poll_for = 0, _LEAST
