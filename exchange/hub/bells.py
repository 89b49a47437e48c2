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


class Bell:
    """Rung once. As asyncio.Event, without the queue that each of those has though nobody waits: 0.7 KiB a node."""

    __slots__ = ("_rung", "_waiting")

    def __init__(self) -> None:
        self._rung = False
        self._waiting: tuple[asyncio.Future[None], ...] = ()

    def ring(self) -> None:
        """Wake everybody who waits, now and later."""
        self._rung = True
        for one in self._waiting:
            if not one.done():  # cancelled, or just so
                one.set_result(None)

    async def wait(self) -> None:
        """Until it is rung."""
        if self._rung:
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting += (mine,)
        try:
            await mine
        finally:
            self._waiting = tuple(one for one in self._waiting if one is not mine)


class Bells:
    """One bell an address. Take the bell, look into the mailbox, then wait on it: nothing is missed in between."""

    def __init__(self) -> None:
        self._bells: dict[str, Bell] = {}
        self._places: dict[str, deque[Place]] = {}

    def of(self, address: str) -> Bell:
        """The bell that the next `ring` for this address rings."""
        return self._bells.get(address) or self._bells.setdefault(address, Bell())

    def ring(self, addresses: Iterable[str]) -> None:
        """Wake everybody who waits for one of these addresses."""
        for address in addresses:
            bell = self._bells.pop(address, None)
            if bell is not None:
                bell.ring()

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
