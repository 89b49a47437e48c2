"""What was promised to people, and whether it holds: read from the files, not from those who wrote them.

Owns the invariants. An accepted message is in its recipient's inbox once, or its sender reports the loss; nothing is
receipted that isn't on the disk; order within a chain; no alarm without its cause; no plaintext at the hub; no queue
that doesn't drain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final

from exchange.directory.network import RETIRED_KEY_MS
from exchange.hub.store.tables import RETENTION_MS
from exchange.limits import MINUTE_MS
from tests.simulation.network import FaultySimulation, FaultySite, rows

QUIET: Final = {
    "copies under way": "SELECT count(*) FROM addressees WHERE state IN ('queued', 'sealed', 'accepted')",
    "numbers missing": "SELECT count(*) FROM gaps_in",
    "items held": "SELECT count(*) FROM held",
    "items hurt": "SELECT count(*) FROM damaged",
    "receipts owed": "SELECT count(*) FROM owed WHERE batch IS NULL",
    "receipts to upload": "SELECT count(*) FROM batches_out WHERE sent_at IS NULL",
    "restores to be told": "SELECT count(*) FROM facts WHERE name = 'restore.pending' AND CAST(value AS TEXT) <> '0'",
}
HUB_QUIET: Final = {
    "mailbox rows": "SELECT count(*) FROM mailbox",
    "quota used": "SELECT coalesce(sum(envelopes + bytes + rows), 0) FROM senders",
    "bodies": "SELECT count(*) FROM bodies",
}
UNORDERED: Final = frozenset({"late", "restarted"})
LEAST_DAMAGE: Final = 3  # hurt items from which an alarm has its cause


@dataclass
class Letter:
    """A message that somebody was told is queued. `forgotten`: its sender was put back to before that."""

    number: int
    sender: str
    id: str
    recipients: tuple[str, ...]
    lane: str
    created: int
    expires: int
    forgotten: bool = False


class Ledger:
    """The letters of a run."""

    def __init__(self, sim: FaultySimulation) -> None:
        self.sim = sim
        self.letters: list[Letter] = []
        self.canary = f"canary-{sim.seed}"
        self.deliveries = 0

    def forget(self, sender: str, known: int) -> None:
        """A sender was put back to when there were only `known` letters."""
        for letter in self.letters[known:]:
            letter.forgotten = letter.forgotten or letter.sender == sender

    # -- drained? -------------------------------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Whether nothing is under way any more."""
        return not self.open_business()

    def open_business(self) -> list[str]:
        """What is under way."""
        found = []
        for site in self.sim.nodes:
            for what, query in QUIET.items():
                (count,) = site.column(query)
                if count:
                    found.append(f"{site.member}: {count} {what}")
        for what, query in ({} if self.sim.is_hostile else HUB_QUIET).items():
            ((count,),) = self.sim.hub_rows(query)
            if count:
                found.append(f"hub: {count} {what}")
        return found

    # -- what must hold -------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Note with the simulation everything that doesn't hold."""
        for what in self.open_business():
            self.sim.fault("stuck", what)
        shown = {site.member: self._shown(site) for site in self.sim.nodes}
        states = {site.member: self._states(site) for site in self.sim.nodes}
        for letter in self.letters:
            for recipient in letter.recipients:
                count = shown[recipient][letter.sender, letter.id]
                self.deliveries += count > 0
                self._check_copy(letter, recipient, count, states[letter.sender])
        for site in self.sim.nodes:
            self._check_strangers(site, shown[site.member])
            self._check_order(site)
            self._check_alarms(site, states[site.member])
        self._check_hub_is_blind()

    def _shown(self, site: FaultySite) -> Counter[tuple[str, str]]:
        return Counter(rows(site.home / "node.db", "SELECT sender, message_id FROM inbox"))

    def _states(self, site: FaultySite) -> dict[tuple[str, str], tuple[str, str]]:
        query = (
            "SELECT m.id, a.recipient, a.state, a.code FROM addressees a JOIN messages m ON m.n = a.message_n"
            " WHERE m.type = 'stix'"
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in rows(site.home / "node.db", query)}

    def _check_copy(
        self, letter: Letter, recipient: str, count: int, states: dict[tuple[str, str], tuple[str, str]]
    ) -> None:
        name = f"letter {letter.number} of {letter.sender} to {recipient}"
        if count > 1:
            self.sim.fault("twice", f"{name} is shown {count} times")
        if letter.forgotten:
            return
        state, code = states.get((letter.id, recipient), ("unknown", ""))
        if count and state != "stored" and not self._is_past_telling(letter, recipient):
            self.sim.fault("false loss", f"{name} is there, and its sender believes {state} {code}")
        if not count and state != "lost" and not self._is_past_saving(letter, recipient):
            self.sim.fault("lost", f"{name} isn't there, and its sender believes {state} {code}")
        if state == "lost" and not self._had_expired(letter):
            self.sim.fault("given up", f"{name}: {code}")

    def _had_expired(self, letter: Letter) -> bool:
        """By the furthest that its sender's clock or the hub's ever stood: either may have said so, and is believed."""
        sender = self._site(letter.sender)
        return letter.expires <= max(sender.latest, self.sim.latest) + MINUTE_MS

    def _is_past_saving(self, letter: Letter, recipient: str) -> bool:
        """Delivered, lost with the recipient's disk, and expired before it could ask for it again."""
        return self._site(recipient).restored > 0 and self._had_expired(letter)

    def _is_past_telling(self, letter: Letter, recipient: str) -> bool:
        """The receipt went down with somebody's disk, and the letter expired before another came; or it was too old.

        The hub keeps receipts for 30 days after the envelope's end: a sender that stays away longer never has them.
        One under a key that was rotated out 14 days before its sender saw it proves nothing (protocol §9.9).
        """
        if letter.created + RETENTION_MS <= self.sim.latest:
            return self._had_expired(letter)
        rotated = self._site(recipient).rotated_at
        if rotated is not None and letter.created <= rotated:
            came = max(self._site(letter.sender).latest, self.sim.latest)
            if rotated + RETIRED_KEY_MS <= came:
                return self._had_expired(letter)
        disks = (self.sim.hub_restored, self._site(recipient).restored, self._site(letter.sender).restored)
        return sum(disks) > 0 and self._had_expired(letter)

    def _site(self, member: str) -> FaultySite:
        return next(site for site in self.sim.nodes if site.member == member)

    def _check_strangers(self, site: FaultySite, shown: Counter[tuple[str, str]]) -> None:
        written = {(one.sender, one.id) for one in self.letters if site.member in one.recipients}
        for sender, message_id in shown.keys() - written:
            self.sim.fault("forged", f"{site.member} shows {message_id} of {sender}, who never wrote it")

    def _check_order(self, site: FaultySite) -> None:
        """Within a chain what isn't marked comes in its order."""
        query = (
            "SELECT l.sender, l.lane, l.chain, l.seq, i.marks FROM inbox i JOIN links_in l ON l.env = i.env"
            " ORDER BY i.n"
        )
        last: dict[tuple[str, int, bytes], int] = defaultdict(int)
        for sender, lane, chain, seq, marks in rows(site.home / "node.db", query):
            if not UNORDERED & set(marks.split()):
                if seq <= last[sender, lane, chain]:
                    self.sim.fault("order", f"{site.member}: number {seq} of {sender} came late, unmarked")
                last[sender, lane, chain] = seq

    def _check_alarms(self, site: FaultySite, states: dict[tuple[str, str], tuple[str, str]]) -> None:
        for code, subject in rows(site.home / "node.db", "SELECT code, subject FROM alarms"):
            if not self._is_explained(site, code, subject):
                self.sim.fault("false alarm", f"{site.member}: {code} {subject}")
        for code, sender in rows(site.home / "node.db", "SELECT code, sender FROM quarantine"):
            if not (site.restored and code == "envelope.unknown-prekey"):
                self.sim.fault("false alarm", f"{site.member} has put {sender}'s mail aside: {code}")
        known = {
            subject
            for code, subject in rows(site.home / "node.db", "SELECT code, subject FROM alarms")
            if code == "outbox.lost"
        }
        for (message_id, recipient), (state, _) in states.items():
            if state == "lost" and f"{message_id} {recipient}" not in known:
                self.sim.fault("silent loss", f"{site.member}: {message_id} to {recipient}")

    def _is_explained(self, site: FaultySite, code: str, subject: str) -> bool:
        if code == "node.restored":
            return site.restored > 0
        if code == "outbox.lost":
            return True  # held against the letters one by one
        if code.startswith("envelope."):
            return site.damage >= LEAST_DAMAGE or self.sim.is_hostile
        return False

    def _check_hub_is_blind(self) -> None:
        word = self.canary.encode()
        for file in (self.sim.folder / "hub").rglob("*"):
            if file.is_file() and word in file.read_bytes():
                self.sim.fault("plaintext", f"{file.name} at the hub holds what was written")
