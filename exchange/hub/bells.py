"""Owns the waiting for mail: who brings something rings the address, who waits hears it; the store is never polled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class Bells:
    """One bell an address. Take the bell, look into the mailbox, then wait on it: nothing is missed in between."""

    def __init__(self) -> None:
        self._bells: dict[str, asyncio.Event] = {}

    def of(self, address: str) -> asyncio.Event:
        """The bell that the next `ring` for this address sets."""
        return self._bells.setdefault(address, asyncio.Event())

    def ring(self, addresses: Iterable[str]) -> None:
        """Wake everybody who waits for one of these addresses."""
        for address in addresses:
            bell = self._bells.pop(address, None)
            if bell is not None:
                bell.set()

    def ring_all(self) -> None:
        """Wake everybody."""
        self.ring(list(self._bells))
