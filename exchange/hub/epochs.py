"""Which epoch an address is in: the run of the hub, until something begins a new one for it (docs/protocol.md §8.2).

Owns how far each address has said that it stored its receipts in this run: a home that knows of less was put back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from exchange.directory.network import member_of
from exchange.hub.store.cursor import RECEIPTS, Cursor


class Epochs:
    """The epochs of one run. Nothing is kept beyond it: the next run is a new epoch for all."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._lifted: Counter[str] = Counter()  # how often a member's suspension ended
        self._put_back: Counter[str] = Counter()  # how often an address came with less than it had said
        self._fed_up_to: dict[str, int] = {}

    def lift(self, members: Iterable[str]) -> None:
        """Suspensions ended: what waited behind them was passed by, and comes again."""
        self._lifted.update(members)

    def cursor(self, address: str, text: str) -> Cursor:
        """The cursor that `address` gave back; the beginning for one of another epoch."""
        lifted = self._lifted[member_of(address)]
        return Cursor.read(text, f"{self._run}-{lifted}" if lifted else self._run)

    def fed_up_to(self, address: str) -> int:
        """The feed number up to which it has its receipts."""
        return self._fed_up_to.get(address, 0)

    def set_fed(self, address: str, number: int) -> None:
        """It has stored its receipts up to there, and they are dropped."""
        self._fed_up_to[address] = number

    def told(self, address: str, holds: str | None) -> str:
        """The epoch as `address` is told, which `holds` that cursor; None where it doesn't say."""
        if holds is not None and self.cursor(address, holds)[RECEIPTS] < self.fed_up_to(address):
            self._put_back[address] += 1
            del self._fed_up_to[address]
        times = self._put_back[address]
        return f"{self._run}-{times}" if times else self._run
