"""Owns the waiting for mail: who brings something rings the address, who waits hears it; the store is never polled."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from exchange.limits import POLLS


@dataclass(eq=False)
class Place:
    """A waiting call's. `lost`: newer calls have taken it, answer with what there is."""

    lost: bool = False


class Bells:
    """One bell an address. Take the bell, look into the mailbox, then wait on it: nothing is missed in between."""

    def __init__(self) -> None:
        self._bells: dict[str, asyncio.Event] = {}
        self._places: dict[str, deque[Place]] = {}

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

    @contextmanager
    def place(self, address: str) -> Iterator[Place]:
        """A place for a call that waits for this address; the newest `POLLS` have one.

        A call whose caller has hung up can't be told from one whose caller listens, so a node that comes back must not
        be turned away for what it left behind: the oldest goes.
        """
        places, mine = self._places.setdefault(address, deque()), Place()
        places.append(mine)
        if len(places) > POLLS:
            places.popleft().lost = True
            self.ring([address])
        try:
            yield mine
        finally:
            if not mine.lost:
                places.remove(mine)
            if not places:
                self._places.pop(address, None)
