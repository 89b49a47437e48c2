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
from tests.simulation import files
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
        self,
        who: int,
        to: Sequence[int],
        lane: str,
        life_ms: int,
        separate: bool = False,
        *,
        length: int = 0,
        file: int = 0,
    ) -> None:
        """Somebody writes to others, `length` bytes more than a few, and a file of so many goes with it.

        Nothing if its node is down or its disk full.
        """
        site = self.site(who)
        recipients = sorted({self.site(one).member for one in to} - {site.member})
        if site.node is None or not recipients:
            return
        text = f"{self.ledger.canary} {len(self.ledger.letters)}{words(self.sim.chance, length)}"
        created = site.sources().clock()
        data = self.ledger.canary.encode().ljust(file, b"-") if file else b""
        try:
            message_id = site.send(
                *recipients,
                urgency=Urgency(lane),
                life_ms=life_ms,
                separate=separate,
                text=text,
                attachments=[files.attached(site, data)] if data else (),
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
                sha256(data) if data else b"",
            )
        )
        long = f" and {length} bytes" if length else " and a file" if file else ""
        self._say(
            f"{site.member} writes {lane}{long} to {', '.join(recipients)} for {life_ms // MINUTE_MS} min"
        )

    def ask(self, who: int, which: int) -> None:
        """A person of this node asks for the file of a letter that came."""
        site = self.site(who)
        known = [one for one in self.ledger.letters if one.file and site.member in one.recipients]
        if site.node is not None and known:
            self._ask(site, known[which % len(known)])

    def ask_for_everything(self) -> bool:
        """Everybody asks for every file that came and isn't here; whether there was any."""
        asked = [
            self._ask(site, one)
            for site in self.sim.nodes
            for one in self.ledger.letters
            if one.file and site.member in one.recipients and site.member not in one.erased
        ]
        return any(asked)

    def _ask(self, site: FaultySite, letter: Letter) -> bool:
        try:
            files.desk_of(site).want(letter.id, None, letter.sender)
        except ExchangeError as error:  # it hasn't come, or was erased
            self.refusals[error.code] += 1
            return False
        self._say(f"{site.member} asks for the file of letter {letter.number}")
        return True

    def _fill_files(self, site: FaultySite, full: bool) -> None:
        if site.node is not None:
            files.fill(site.up.sync._services.attachments.files, full)

    def _count(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self._say(what)

    def _say(self, what: str) -> None:
        self.steps.append(what)


def words(chance: random.Random, length: int) -> str:
    """So many bytes of text that gets no shorter by compression than by a quarter."""
    text = b64(chance.randbytes(length * 3 // 4))
    return "".join(f" {text[at : at + 19]}" for at in range(0, len(text), 19))
