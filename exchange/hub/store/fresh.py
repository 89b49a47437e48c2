"""What was committed while somebody listens, by address: handed out without asking the database again.

Owns when memory may answer for the database: a listener that has found its mailbox empty there, and for whom everything
since stands here, needn't look again. Whatever isn't noted here row by row makes its listeners look (`missed`).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from exchange.hub.store.accept import Kept, NewEnvelope

MOST_COPIES: Final = 512  # of one address and lane; a listener further behind reads from the database


class Copy(NamedTuple):
    """One recipient's copy: its number in the mailbox, its lane, envelope and place there; `delivery` in bytes."""

    n: int
    lane: int
    envelope: int
    place: int
    delivery: int
    env: bytes


class _Lane:
    """An address's newest copies in one lane, and the number of the last one there was no room for."""

    def __init__(self) -> None:
        self.copies: deque[Copy] = deque(maxlen=MOST_COPIES)
        self.forgotten = 0

    def add(self, copy: Copy) -> None:
        if len(self.copies) == MOST_COPIES:
            self.forgotten = self.copies[0].n
        self.copies.append(copy)

    def after(self, number: int) -> list[Copy]:
        newest_first = []
        for copy in reversed(self.copies):
            if copy.n <= number:
                break
            newest_first.append(copy)
        return newest_first[::-1]


class Fresh:
    """Copies by listening address. Used in the event loop only, in the order of the commits."""

    def __init__(self) -> None:
        self._listeners: Counter[str] = Counter()
        self._lanes: dict[str, dict[int, _Lane]] = {}  # a lane once something has come in it
        self._missed: Counter[str] = Counter()
        self._missed_by_all = 0
        self._last = 0

    def listen(self, address: str) -> None:
        """Note from now on what comes for this address, until `leave`."""
        self._listeners[address] += 1
        self._lanes.setdefault(address, {})

    def leave(self, address: str) -> None:
        """One listener less."""
        self._listeners[address] -= 1
        if not self._listeners[address]:
            del self._listeners[address], self._lanes[address]

    def state(self, address: str) -> tuple[int, int]:
        """Changes whenever something happened to this mailbox that doesn't stand here."""
        return self._missed_by_all, self._missed[address]

    def missed(self, addresses: Iterable[str]) -> None:
        """Something happened to these mailboxes: look into the database."""
        self._missed.update(addresses)

    def add(self, group: Sequence[tuple[NewEnvelope, Kept]]) -> None:
        """These are committed, in this order."""
        for new, kept in group:
            if kept.copies != self._last + 1:
                # Numbers were given to rows that were not noted here: no listener may pass them by.
                self._missed_by_all += 1
            self._last = kept.copies + len(new.recipients) - 1
            delivery = new.delivery
            for place, recipient in enumerate(new.recipients):
                lanes = self._lanes.get(recipient)
                if lanes is None:
                    continue
                if new.lane not in lanes:
                    lanes[new.lane] = _Lane()
                lanes[new.lane].add(Copy(kept.copies + place, new.lane, kept.n, place, delivery, new.env))

    def after(self, address: str, seen: Sequence[int]) -> list[Copy] | None:
        """What has come for a listener that has seen its lanes up to these numbers, in the order of service.

        None for one so far behind that only the database knows.
        """
        lanes = [(lane, seen[number]) for number, lane in sorted(self._lanes[address].items())]
        if any(lane.forgotten > number for lane, number in lanes):
            return None
        return [copy for lane, number in lanes for copy in lane.after(number)]
