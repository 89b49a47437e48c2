"""What people do at their nodes: they write, briefly or at length. What became of it the ledger asks at the end."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exchange.canonical import b64, sha256
from exchange.errors import ExchangeError
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.message import Urgency
from tests.simulation.ledger import Ledger, Letter
from tests.simulation.network import FaultySimulation, FaultySite

LANES: Final = ("flash", "immediate", "priority", "routine")
LIVES: Final = (
    2 * HOUR_MS,
    DAY_MS,
    5 * DAY_MS,
    60 * DAY_MS,
)  # of messages, ms: some end while nodes are away
LENGTHS: Final = (6_000, 12_000, 18_000)  # of long letters, bytes: three to six pieces


class People:
    """The network of one run, and those who write there. `steps` is what happened."""

    def __init__(self, folder: Path, name: str, members: int) -> None:
        self.sim = FaultySimulation(folder / "now", name, members)
        self.ledger = Ledger(self.sim)
        self.steps: list[str] = []
        self.refusals: Counter[str] = Counter()  # codes that passes, and what people asked for, ended with

    @property
    def counts(self) -> Counter[str]:
        """How often each kind of fault happened."""
        return self.sim.counts

    def site(self, number: int) -> FaultySite:
        """By number, any."""
        return self.sim.nodes[number % len(self.sim.nodes)]

    def send(
        self, who: int, to: Sequence[int], lane: str, life_ms: int, separate: bool = False, *, length: int = 0
    ) -> None:
        """Somebody writes to others, `length` bytes more than a few; nothing if its node is down or its disk full."""
        site = self.site(who)
        recipients = sorted({self.site(one).member for one in to} - {site.member})
        if site.node is None or not recipients:
            return
        text = f"{self.ledger.canary} {len(self.ledger.letters)}{words(self.sim.chance, length)}"
        created = site.sources().clock()
        try:
            message_id = site.send(
                *recipients, urgency=Urgency(lane), life_ms=life_ms, separate=separate, text=text
            )
        except ExchangeError as error:
            self.refusals[error.code] += 1
            return
        self.ledger.letters.append(
            Letter(
                len(self.ledger.letters),
                site.member,
                message_id,
                tuple(recipients),
                lane,
                created,
                created + life_ms,
                sha256(site.desk.sent(message_id).message.payload),
            )
        )
        long = f" and {length} bytes" if length else ""
        self._say(
            f"{site.member} writes {lane}{long} to {', '.join(recipients)} for {life_ms // MINUTE_MS} min"
        )

    def _count(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self._say(what)

    def _say(self, what: str) -> None:
        self.steps.append(what)


def words(chance: random.Random, length: int) -> str:
    """So many bytes of text that gets no shorter by compression than by a quarter."""
    text = b64(chance.randbytes(length * 3 // 4))
    return "".join(f" {text[at : at + 19]}" for at in range(0, len(text), 19))
