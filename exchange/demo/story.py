"""The story of the demo: a ransomware incident goes from Peru to Colombia and to Barbados, which is down.

Owns the messages, their order and what is waited for. How the network came up is `demo_network`'s, what the receiving
sides hold in the end `demo_report`'s business.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import orjson

from exchange.cli.call import now_ms
from exchange.cli.compose import Flags, read_files
from exchange.cli.node.send import compose_for, submit
from exchange.demo.network import BB, CO, PE, DemoNetwork, DemoNode
from exchange.demo.processes import until
from exchange.demo.proof import Seen, look
from exchange.demo.sabotage import Sabotage
from exchange.demo.text import Teller
from exchange.message import Message
from exchange.node.mail.desk import Desk
from exchange.node.store.outbox import ENDED

INCIDENT: Final = "ransomware.json"
PERSONS: Final = {CO: "Lucia Rojas", BB: "Andre Clarke"}
LONG_WORD: Final = 12  # characters a text of the incident needs to be worth looking for


@dataclass(frozen=True)
class Sending:
    """One message as its sender queued it, and who was down then."""

    message: Message
    sender: str
    to: tuple[str, ...]
    down: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """The story at its end: what was sent, what was searched for at the hub and found."""

    sendings: tuple[Sending, ...]
    words: tuple[str, ...]
    seen: tuple[Seen, ...]
    sabotaged: str  # id of the message that was damaged at the hub; empty for none


class Story:
    """Tells it once."""

    def __init__(self, network: DemoNetwork, teller: Teller, *, sabotage: int | None) -> None:
        self._network = network
        self._teller = teller
        self._sabotage = sabotage
        self._canary = f"quebrada-{secrets.token_hex(6)}"  # so that no file could hold it by chance
        self._sendings: list[Sending] = []
        self._seen: list[Seen] = []

    def tell(self) -> Told:
        """From the report to the last receipt. Raises Unavailable cli.timeout when something doesn't come."""
        pe, co, bb = (self._network.nodes[member] for member in (PE, CO, BB))
        self._network.stop(bb)
        self._teller.say(f"{BB} is down.")
        incident = self._report(pe)
        self._acknowledge(co, incident, PERSONS[CO])
        self._answer(co, incident)
        alert = self._warn(pe, incident)
        words = self._words()
        self._look(words)  # now, while the hub still holds the bodies that wait for bb
        self._bring_back(bb, incident, alert)
        self._acknowledge(bb, incident, PERSONS[BB])
        if self._sabotage is None:
            self._acknowledge(bb, alert, PERSONS[BB])
        self._wait_for_receipts()
        self._look(words)
        sabotaged = "" if self._sabotage is None else alert.message.id
        return Told(tuple(self._sendings), tuple(words), tuple(dict.fromkeys(self._seen)), sabotaged)

    def _report(self, pe: DemoNode) -> Sending:
        flags = Flags(
            kind="incident-report",
            tlp="amber",
            urgency="flash",
            case=f"pe-2026-{self._canary}",
            subject=f"Ransomware at a cooperative bank ({self._canary})",
        )
        with as_file(files("exchange") / "demo" / "data" / INCIDENT) as path:
            sending = self._send(pe, flags, [path], (CO, BB))
        self._wait(f"{CO} has the report", CO, sending)
        return sending

    def _answer(self, co: DemoNode, incident: Sending) -> None:
        flags = Flags(
            kind="response",
            tlp="amber",
            urgency="immediate",
            reply_to=incident.message.id,
            outcome="partial",
            subject=f"Seen here too ({self._canary})",
            text="Two hosts of a credit union called the same server in the night. Logs follow in this case.",
        )
        sending = self._send(co, flags, [], (PE,))
        self._wait(f"{PE} has the answer", PE, sending)

    def _warn(self, pe: DemoNode, incident: Sending) -> Sending:
        """A message with one recipient, who is down: the one that --sabotage damages."""
        flags = Flags(
            kind="alert",
            tlp="amber",
            urgency="priority",
            case=incident.message.case_id,
            subject=f"Look for the note in your fiscal agents' mail ({self._canary})",
            text="The same group wrote to an agent of yours last week. Please look before the weekend.",
        )
        sending = self._send(pe, flags, [], (BB,))
        with pe.opened() as home:
            until(
                "the hub has the alert",
                lambda: home.desk.sent(sending.message.id).addressees[0].state == "accepted",
            )
        return sending

    def _bring_back(self, bb: DemoNode, incident: Sending, alert: Sending) -> None:
        if self._sabotage is not None:
            where = Sabotage(self._network, self._network.nodes[PE], alert.message.id).flip(self._sabotage)
            self._teller.say(f"One byte of the alert was changed at the hub ({where}).")
        self._network.start(bb)
        self._network.wait_up(bb)
        self._teller.say(f"{BB} is back and catches up.")
        self._wait(f"{BB} has the report", BB, incident)
        if self._sabotage is None:
            self._wait(f"{BB} has the alert", BB, alert)
            return
        with bb.opened() as home:
            until(f"{BB} has noticed the damage", lambda: bool(home.set_aside()))

    def _acknowledge(self, node: DemoNode, sending: Sending, person: str) -> None:
        with node.opened() as home:
            home.desk.open(sending.message.id)
            home.desk.answer(sending.message.id, "acknowledged", person=person)
        node.poke()
        self._teller.say(f"{node.member} opens and acknowledges {sending.message.kind} as {person}.")

    def _send(self, node: DemoNode, flags: Flags, paths: Sequence[Path], to: tuple[str, ...]) -> Sending:
        down = tuple(member for member in to if self._network.nodes[member].server is None)
        with node.opened() as home:
            flags = replace(flags, lang="en")
            now = now_ms()
            composed = compose_for(home, flags, read_files(paths, at=now), to, now=now)
            submit(home, composed, to, separate=False)
        node.poke()
        sending = Sending(composed.message, node.member, to, down)
        self._sendings.append(sending)
        self._teller.sent(sending.message, node.member, to)
        return sending

    def _wait(self, what: str, member: str, sending: Sending) -> None:
        with self._network.nodes[member].opened() as home:
            until(
                what, lambda: any(one.message_id == sending.message.id for one in home.desk.inbox(limit=50))
            )
            came = home.desk.find(sending.message.id)[-1]
        self._teller.say(f"{what}, {came.received_at - sending.message.created} ms after it was written.")

    def _wait_for_receipts(self) -> None:
        """Every receipt that can come has come to the senders; a damaged copy gives none."""
        for sending in self._sendings:
            if self._sabotage is not None and sending.to == (BB,):
                continue
            people = [member for member in sending.to if member in PERSONS]
            with self._network.nodes[sending.sender].opened() as home:
                until("every receipt has come back", _receipted(home.desk, sending.message.id, people))

    def _words(self) -> list[str]:
        """What must not be seen: the canary of subject and case, the file's name, every longer text of the incident."""
        data = orjson.loads((files("exchange") / "demo" / "data" / INCIDENT).read_bytes())
        texts = [value for each in data["objects"] for value in each.values() if isinstance(value, str)]
        prose = [
            text for text in texts if " " in text and len(text) >= LONG_WORD and not text.startswith("TLP")
        ]
        return [self._canary, Path(INCIDENT).stem + ".json", *dict.fromkeys(text[:40] for text in prose)]

    def _look(self, words: Sequence[str]) -> None:
        found = look(self._network.hub_path, words)
        log = self._network.hub.log if self._network.hub else None
        if log is not None:
            text = log.read_text(errors="replace")
            found += [Seen(word, log.name) for word in words if word in text]
        self._seen += found


def _receipted(desk: Desk, message_id: str, people: Sequence[str]) -> Callable[[], bool]:
    def is_so() -> bool:
        copies = desk.sent(message_id).addressees
        return all(
            copy.state in ENDED and (copy.acknowledged_at is not None or copy.recipient not in people)
            for copy in copies
        )

    return is_so
