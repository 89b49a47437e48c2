"""The cursor of a mailbox: where a node stands in each lane of its feed (docs/protocol.md §8.2). Opaque to the node.

Pure: owns the text form and the order of service. A cursor of another epoch, or any other text, means "from the
beginning": the rows that were not receipted come again, and the node knows them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from exchange.header import LANES

RECEIPTS: Final = "receipts"
CHECKPOINT: Final = "checkpoint"
# flash and immediate overtake what the hub has to say itself, which overtakes the bulk (docs/protocol.md §8.1)
ORDER: Final = (*LANES[:2], RECEIPTS, CHECKPOINT, *LANES[2:])
_CHECKPOINT_FIRST: Final = (CHECKPOINT, *(part for part in ORDER if part != CHECKPOINT))

_FORM = re.compile(r"([A-Za-z0-9_-]{1,32})((?:\.[0-9]{1,16}){6})\Z", re.ASCII)
_MOST: Final = 2**53 - 1


@dataclass(frozen=True)
class Cursor:
    """The last number seen of each part of the feed, in the order of `ORDER`."""

    epoch: str
    at: tuple[int, ...] = (0,) * len(ORDER)

    @classmethod
    def read(cls, text: str, epoch: str) -> Cursor:
        """The cursor that a node gave back; the beginning of `epoch` for anything that isn't one of it."""
        match = _FORM.match(text)
        if match is None or match[1] != epoch:
            return cls(epoch)
        numbers = tuple(int(part) for part in match[2][1:].split("."))
        return cls(epoch, numbers) if max(numbers) <= _MOST else cls(epoch)

    def __getitem__(self, part: str) -> int:
        return self.at[ORDER.index(part)]

    def moved(self, part: str, number: int) -> Cursor:
        """This cursor with `part` at `number`."""
        where = ORDER.index(part)
        return Cursor(self.epoch, (*self.at[:where], number, *self.at[where + 1 :]))

    def around(self, part: str) -> tuple[str, str]:
        """Its text before and after the number of `part`: for many numbers of one part."""
        where = ORDER.index(part)
        before, after = self.at[:where], self.at[where + 1 :]
        return ".".join((self.epoch, *map(str, before), "")), "".join([f".{number}" for number in after])

    def __str__(self) -> str:
        return ".".join((self.epoch, *map(str, self.at)))


def order_of(after: Cursor, urgent: int) -> tuple[str, ...]:
    """The order of service for who stands at `after`: a checkpoint it hasn't seen that took trust away goes first."""
    return _CHECKPOINT_FIRST if after[CHECKPOINT] < urgent else ORDER
