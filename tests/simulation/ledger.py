"""What was promised to people, and whether it holds: read from the files, not from those who wrote them.

Owns the invariants. An accepted message is in its recipient's inbox once, as it was written, or both ends report the
loss; nothing is receipted that isn't on the disk; order within a chain; no alarm without its cause; no plaintext at
the hub; no queue that doesn't drain; what was erased stays so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.canonical import sha256
from exchange.content import CONTROL, REPLACED
from exchange.directory.network import RETIRED_KEY_MS
from exchange.hub.store.tables import RETENTION_MS
from exchange.limits import MINUTE_MS
from exchange.node.attachments.traffic import WRONG
from exchange.storage.local_cipher import LocalCipher
from tests.simulation import files
from tests.simulation.network import FaultySimulation, FaultySite, rows
from tests.simulator import LOCAL_KEY

QUIET: Final = {
    "copies under way": "SELECT count(*) FROM addressees WHERE state IN ('queued', 'sealed', 'accepted')",
    "numbers missing": "SELECT count(*) FROM gaps_in",
    "items held": "SELECT count(*) FROM held",
    "items hurt": "SELECT count(*) FROM damaged",
    "receipts owed": "SELECT count(*) FROM owed WHERE batch IS NULL",
    "receipts to upload": "SELECT count(*) FROM batches_out WHERE sent_at IS NULL",
    "files to bring": "SELECT count(*) FROM attachments_out o WHERE state = 'waiting' AND EXISTS (SELECT 1 FROM"
    " addressees a WHERE a.message_n = o.message_n AND a.state NOT IN ('rejected', 'lost'))",
    "files to fetch": "SELECT count(*) FROM attachments_in WHERE state = 'wanted'",
    "restores to be told": "SELECT count(*) FROM facts WHERE name = 'restore.pending' AND CAST(value AS TEXT) <> '0'",
}
HUB_QUIET: Final = {
    "mailbox rows": "SELECT count(*) FROM mailbox",
    "quota used": "SELECT coalesce(sum(envelopes + bytes + rows), 0) FROM senders",
    "bodies": "SELECT count(*) FROM bodies",
}
UNORDERED: Final = frozenset({"late", "restarted"})
CIPHER: Final = LocalCipher(LOCAL_KEY)
LEAST_DAMAGE: Final = 3  # hurt items from which an alarm has its cause


@dataclass
class Letter:
    """A message that somebody was told is queued. `forgotten`: its sender was put back to before that.

    `content`: the SHA-256 of what it says; `file`: of the file that goes with it, if any. `erased`: whose people had it
    erased.
    """

    number: int
    sender: str
    id: str
    recipients: tuple[str, ...]
    lane: str
    created: int
    expires: int
    content: bytes
    file: bytes = b""
    forgotten: bool = False
    erased: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Fate:
    """How far a sender believes a copy has come. `was_sealed`: it has a number, or had one, in its reader's chain."""

    state: str
    code: str
    was_sealed: bool


@dataclass(frozen=True)
class Books:
    """What a node's file holds: messages shown by sender and id, its own copies by id and recipient, alarms."""

    shown: Counter[tuple[str, str]]
    fates: dict[tuple[str, str], Fate]
    alarms: frozenset[tuple[str, str]]


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

    def erased_at(self, member: str) -> frozenset[int]:
        """The numbers of the letters that the member has erased."""
        return frozenset(one.number for one in self.letters if member in one.erased)

    def bring_back(self, member: str, erased: frozenset[int]) -> None:
        """The member was put back to when it had erased no more than these."""
        for letter in self.letters:
            if letter.number not in erased:
                letter.erased.discard(member)

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
        books = {site.member: self._read(site) for site in self.sim.nodes}
        for letter in self.letters:
            for recipient in letter.recipients:
                self.deliveries += books[recipient].shown[letter.sender, letter.id] > 0
                self._check_copy(letter, recipient, books[letter.sender], books[recipient])
                if letter.file and books[recipient].shown[letter.sender, letter.id]:
                    self._check_file(letter, recipient)
        for site in self.sim.nodes:
            self._check_strangers(site, books[site.member].shown)
            self._check_order(site)
            self._check_alarms(site, books)
            files.check_node(site)
        files.check_hub(self.sim)
        self._check_hub_is_blind()

    def _read(self, site: FaultySite) -> Books:
        alarms = rows(site.home / "node.db", "SELECT code, subject FROM alarms")
        return Books(self._shown(site), self._fates(site), frozenset(alarms))

    def _shown(self, site: FaultySite) -> Counter[tuple[str, str]]:
        """How often each message is in the inbox; what it says there must be what was written."""
        written = {(one.sender, one.id): one for one in self.letters}
        shown = Counter[tuple[str, str]]()
        for sender, message_id, env, sealed in rows(
            site.home / "node.db", "SELECT sender, message_id, env, payload FROM inbox"
        ):
            shown[sender, message_id] += 1
            letter = written.get((sender, message_id))
            content = sha256(CIPHER.open("inbox.payload", env.hex(), sealed))
            if letter and content != letter.content:
                self.sim.fault(
                    "changed", f"letter {letter.number} of {sender} says something else at {site.member}"
                )
        return shown

    def _fates(self, site: FaultySite) -> dict[tuple[str, str], Fate]:
        query = (
            "SELECT m.id, a.recipient, a.state, a.code, EXISTS (SELECT 1 FROM sealings s JOIN links_out l USING (env)"
            " WHERE s.message_n = m.n AND l.recipient = a.recipient)"
            " FROM addressees a JOIN messages m ON m.n = a.message_n WHERE m.type = 'stix'"
        )
        return {
            (row[0], row[1]): Fate(row[2], row[3], bool(row[4])) for row in rows(site.home / "node.db", query)
        }

    def _check_copy(self, letter: Letter, recipient: str, sender: Books, reader: Books) -> None:
        name = f"letter {letter.number} of {letter.sender} to {recipient}"
        count = reader.shown[letter.sender, letter.id]
        if count > 1:
            self.sim.fault("twice", f"{name} is shown {count} times")
        if count and recipient in letter.erased:
            self.sim.fault("not erased", f"{name} is there, and was erased")
        is_there = count > 0 or recipient in letter.erased
        if letter.forgotten:
            return
        fate = sender.fates.get((letter.id, recipient), Fate("unknown", "", False))
        believed = f"its sender believes {fate.state} {fate.code}"
        if is_there and fate.state != "stored" and not self._is_past_telling(letter, recipient):
            self.sim.fault("false loss", f"{name} is there, and {believed}")
        if not is_there and fate.state != "lost" and not self._is_past_saving(letter, recipient):
            self.sim.fault("lost", f"{name} isn't there, and {believed}")
        if fate.state == "lost" and not self._had_ended(letter) and not self._lacked_its_file(letter, fate):
            self.sim.fault("given up", f"{name}: {fate.code}")
        # what its people had erased had come to its end; a copy made again of an older backup doesn't know to which
        was_erased = letter.sender in letter.erased and fate.code == "sender.restored"
        if (
            fate.state == "lost"
            and not was_erased
            and ("outbox.lost", f"{letter.id} {recipient}") not in sender.alarms
        ):
            self.sim.fault("silent loss", f"{name}: nobody is told at its sender")
        is_lost = fate.state == "lost" and fate.was_sealed and not is_there
        told = self._site(recipient).told | {
            subject for code, subject in reader.alarms if code == "inbox.lost"
        }
        if is_lost and letter.sender not in told:
            self.sim.fault("silent loss", f"{name}: nobody is told at its reader")

    def _check_file(self, letter: Letter, recipient: str) -> None:
        sender, reader = self._site(letter.sender), self._site(recipient)
        env, *_ = one_of(
            reader, "SELECT env FROM inbox WHERE sender = ? AND message_id = ?", letter.sender, letter.id
        )
        # a prekey's life may end the envelope's, and with it the file's at the hub, long before the letter's
        until = one_of(sender, "SELECT exp FROM sealings WHERE hex(env) = ?", env.hex().upper())
        had_expired = not until or until[0] <= max(sender.latest, self.sim.latest) + MINUTE_MS
        # a hub of an old disk, or of a backup, has forgotten for whom files are
        may_be_gone = self.sim.hub_restored > 0 or had_expired
        name = f"letter {letter.number} of {letter.sender} to {recipient}"
        files.check_fetched(reader, name, letter.sender, letter.id, letter.file, may_be_gone=may_be_gone)

    def _lacked_its_file(self, letter: Letter, fate: Fate) -> bool:
        sender = self._site(letter.sender)
        restored = self.sim.hub_restored + sum(site.restored for site in self.sim.nodes) > 0
        return letter.file != b"" and files.may_be_given_up(sender, fate.code, restored=restored)

    def _had_ended(self, letter: Letter) -> bool:
        """Whether its sender could not seal it again: expired, or erased there."""
        return letter.sender in letter.erased or self._had_expired(letter)

    def _had_expired(self, letter: Letter) -> bool:
        """By the furthest that its sender's clock or the hub's ever stood: either may have said so, and is believed."""
        sender = self._site(letter.sender)
        return letter.expires <= max(sender.latest, self.sim.latest) + MINUTE_MS

    def _is_past_saving(self, letter: Letter, recipient: str) -> bool:
        """Delivered, lost with the recipient's disk, and expired or erased before it could ask for it again."""
        return self._site(recipient).restored > 0 and self._had_ended(letter)

    def _is_past_telling(self, letter: Letter, recipient: str) -> bool:
        """The receipt went down with a disk, and the letter expired or was erased before another; or it was too old.

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
        return sum(disks) > 0 and self._had_ended(letter)

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

    def _check_alarms(self, site: FaultySite, books: dict[str, Books]) -> None:
        for code, subject in sorted(books[site.member].alarms):
            if not self._is_explained(site, books, code, subject):
                self.sim.fault("false alarm", f"{site.member}: {code} {subject}")
        for code, sender in rows(site.home / "node.db", "SELECT code, sender FROM quarantine"):
            if not (site.restored and code == "envelope.unknown-prekey"):
                self.sim.fault("false alarm", f"{site.member} has put {sender}'s mail aside: {code}")

    def _is_explained(self, site: FaultySite, books: dict[str, Books], code: str, subject: str) -> bool:
        if code in ("node.restored", "node.restored-here"):
            return site.restored > 0
        if code == "outbox.lost":
            return True  # held against the letters one by one
        if code == "inbox.lost":
            letters = [one for one in self.letters if one.sender == subject and site.member in one.recipients]
            if any(self._is_lost(one, site.member, books) for one in letters):
                return True
            return subject in self._gave_up_what_came(site)
        is_of_damage = code.startswith("envelope.") or code == WRONG
        return is_of_damage and (site.damage >= LEAST_DAMAGE or self.sim.is_hostile)

    def _gave_up_what_came(self, site: FaultySite) -> set[str]:
        """Members who said of mail that they gave it up, their clocks hours ahead; the hub had it and delivered it."""
        query = "SELECT DISTINCT v.sender FROM voids_in v JOIN links_in USING (env) WHERE v.why NOT IN (?, ?)"
        return {name for (name,) in rows(site.home / "node.db", query, REPLACED, CONTROL)}

    def _is_lost(self, letter: Letter, recipient: str, books: dict[str, Books]) -> bool:
        """It is, or its sender believes so: it says so to a reader who can't know of which message.

        Or once did, its clock hours ahead, and sealed it again for a reader whose disk was put back.
        """
        if self._had_expired(letter):
            alarm = "outbox.lost", f"{letter.id} {recipient}"
            if alarm in books[letter.sender].alarms:
                return True
        fate = books[letter.sender].fates.get((letter.id, recipient))
        is_there = books[recipient].shown[letter.sender, letter.id] or recipient in letter.erased
        return not is_there or (fate is not None and fate.state == "lost")

    def _check_hub_is_blind(self) -> None:
        word = self.canary.encode()
        for file in (self.sim.folder / "hub").rglob("*"):
            if file.is_file() and word in file.read_bytes():
                self.sim.fault("plaintext", f"{file.name} at the hub holds what was written")


def one_of(site: FaultySite, query: str, *values: str) -> list[Any]:
    """The first column of what a query finds in this node's file."""
    return [row[0] for row in rows(site.home / "node.db", query, *values)]
