"""Owns what a person at this node does: send, list, open, acknowledge. Works beside the serving process.

Every call is one transaction of its own (`BEGIN IMMEDIATE`), needs neither the network nor the directory, and is
durable on return. Each open goes to the access log in that transaction; what leaves goes by doors.py. Who may be sent
what is asked of policy.check_send by the caller, who has the directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from unicodedata import normalize

from exchange.attachment import Attachment
from exchange.content import MAX_NOTE, MAX_PERSON, Status
from exchange.errors import Refused
from exchange.formats.stix.cover import read_message
from exchange.limits import DAY_MS, HOUR_MS, MAX_ATTACHMENTS, MAX_STIX, MINUTE_MS
from exchange.node.identity import Sources
from exchange.node.mail.whose import came_under
from exchange.node.store import (
    access as store_access,
    attachments as store_attachments,
    inbox as store_inbox,
    outbox as store_outbox,
    sent as store_sent,
)
from exchange.node.store.access import Access
from exchange.node.store.inbox import DamagedItem, Quarantined, Received
from exchange.node.store.outbox import Addressee, Outgoing
from exchange.node.store.store import Alarm, Store, Transaction, alarms
from exchange.storage.local_cipher import LocalCipher

STATUS_LIFE_MS: Final = 30 * DAY_MS
PAGE: Final = 200
# How long `stored` may take before somebody should pick up the phone, by lane.
PATIENCE_MS: Final = {
    "flash": 15 * MINUTE_MS,
    "immediate": HOUR_MS,
    "priority": 4 * HOUR_MS,
    "routine": DAY_MS,
}
ANSWERS: Final = ("acknowledged", "working", "declined")


@dataclass(frozen=True)
class Sent:
    """A message this node sent, and every addressee's copy."""

    message: Outgoing
    addressees: tuple[Addressee, ...]


@dataclass(frozen=True)
class Missing:
    """The next rung an addressee's copy has not reached, since when (ms), and whether that is too long."""

    rung: str
    since: int
    overdue: bool


class Desk:
    """The desk of user `who` (of the operating system)."""

    def __init__(self, store: Store, sources: Sources, *, who: str) -> None:
        self._store = store
        self._sources = sources
        self._who = who

    # -- sending ------------------------------------------------------------------------------------------------

    def submit(
        self, message: Outgoing, recipients: Sequence[str], attachments: Sequence[Attachment] = ()
    ) -> bool:
        """Queue a message, durably; False when that id was queued before. `attachments` lie sealed in the home.

        Raises Refused policy.no-recipient, content.too-large, attachment.too-many.
        """
        if not recipients:
            raise Refused("policy.no-recipient")
        if len(message.payload) > MAX_STIX:
            raise Refused("content.too-large")
        if len(attachments) > MAX_ATTACHMENTS:
            raise Refused("attachment.too-many")
        now = self._sources.clock()

        def write(connection: Transaction) -> bool:
            new = store_outbox.add(connection, self._store.cipher, message, recipients, now=now)
            if new:
                store_attachments.add_out(connection, self._store.cipher, message.id, attachments)
            return new

        return self._store.db.write_sync(write)

    def sent(self, message_id: str) -> Sent:
        """A message and how far each copy has come. Raises Refused message.unknown, message.not-sent."""

        def read(connection: Transaction) -> Sent:
            found = store_outbox.find(connection, self._store.cipher, message_id)
            if found is None:
                came = store_inbox.has(connection, message_id)
                raise Refused("message.not-sent" if came else "message.unknown")
            n, message = found
            return Sent(message, tuple(store_outbox.addressees(connection, self._store.cipher, n)))

        return self._store.db.read_sync(read)

    def outbox(self, *, overdue: bool = False, before: int | None = None, limit: int = PAGE) -> list[Sent]:
        """STIX messages sent, newest first; with `overdue` only those some copy of which takes too long.

        Without their payload, which `sent` gives.
        """
        queued_before = self._queued_before()

        def read(connection: Transaction) -> list[Sent]:
            cipher = self._store.cipher
            if overdue:
                listed = store_sent.listed_undelivered(
                    connection, cipher, type_="stix", before=before, queued_before=queued_before, limit=limit
                )
            else:
                listed = store_sent.listed(connection, cipher, type_="stix", before=before, limit=limit)
            return [
                Sent(message, tuple(store_outbox.addressees(connection, cipher, n))) for n, message in listed
            ]

        return self._store.db.read_sync(read)

    def count_overdue(self) -> tuple[int, int]:
        """How many messages `outbox` lists as overdue, and when the oldest was written (ms, 0 for none)."""
        queued_before = self._queued_before()
        return self._store.db.read_sync(
            lambda c: store_sent.count_undelivered(c, type_="stix", queued_before=queued_before)
        )

    def count_under_way(self) -> int:
        """How many copies of STIX messages have not ended."""
        return self._store.db.read_sync(lambda c: store_sent.count_under_way(c, type_="stix"))

    def _queued_before(self) -> dict[str, int]:
        now = self._sources.clock()
        return {lane: now - patience for lane, patience in PATIENCE_MS.items()}

    def lacking(self, copy: Addressee) -> Missing | None:
        """What an addressee's copy lacks next, None when people have acknowledged it. An end counts as overdue."""
        now = self._sources.clock()
        if copy.acknowledged_at or copy.working_at or copy.declined_at:
            return None
        if copy.state in (store_outbox.REJECTED, store_outbox.LOST):
            return Missing("stored", copy.ended_at or copy.queued_at, overdue=True)
        rungs: tuple[tuple[str, int | None, int | None], ...] = (
            ("accepted", copy.accepted_at, copy.queued_at),
            ("stored", copy.stored_at, copy.accepted_at),
            ("opened", copy.opened_at, copy.stored_at),
            ("acknowledged", None, copy.opened_at),
        )
        if copy.stored_at is not None:
            rungs = rungs[2:]
        name, since = next((name, before or copy.queued_at) for name, at, before in rungs if at is None)
        late = now - copy.queued_at > PATIENCE_MS[copy.lane]
        return Missing(name, since, overdue=late and copy.stored_at is None)

    # -- receiving ----------------------------------------------------------------------------------------------

    def inbox(
        self, *, before: int | None = None, limit: int = PAGE, unopened: bool = False
    ) -> list[Received]:
        """Messages received, newest first. Lists show summaries; that is not yet opening."""
        return self._store.db.read_sync(
            lambda c: store_inbox.listed(c, self._store.cipher, before=before, limit=limit, unopened=unopened)
        )

    def unopened(self) -> int:
        """How many messages nobody has opened."""
        return self._store.db.read_sync(store_inbox.count_unopened)

    def find(self, message_id: str, sender: str = "") -> list[Received]:
        """What came under an id, without opening it: for threads and checks. `sender`: whose, where several used it.

        Raises Refused message.unknown, message.ambiguous.
        """
        found = self._store.db.read_sync(
            lambda c: came_under(c, self._store.cipher, message_id, sender, or_sent=False)
        )
        if not found:
            raise Refused("message.unknown")
        return found

    def thread(self, message_id: str, sender: str = "", *, own: str) -> tuple[str, str]:
        """Case and urgency of a message that came or went: no opening. `sender`: whose, where several used that id;
        this node's is `own`. Raises Refused message.unknown, message.ambiguous.
        """
        return self._store.db.read_sync(
            lambda c: thread_of(c, self._store.cipher, message_id, sender, own=own)
        )

    def open(self, message_id: str) -> list[Received]:
        """Show a person what came under an id: logged, and the sender learns `opened`. Raises Refused message.unknown.

        More than one row: a conflict, or two senders who used the same id.
        """
        return self._store.db.write_sync(lambda c: self.open_within(c, message_id))

    def open_within(self, connection: Transaction, message_id: str, sender: str = "") -> list[Received]:
        """`open` in a transaction of its caller's; of `sender` alone, if given."""
        now = self._sources.clock()
        found = store_inbox.find(connection, self._store.cipher, message_id)
        found = [one for one in found if sender in ("", one.sender)]
        if not found:
            raise Refused("message.unknown")
        for one in found:
            what = f"{one.sender} {one.message_id}"
            store_access.append(connection, at=now, who=self._who, action="open", what=what)
            self.note_opened(connection, one, now=now)
        return found

    def note_opened(self, connection: Transaction, one: Received, *, now: int) -> None:
        """A person has seen it, in the transaction that logs it: the first time its sender learns so."""
        if store_inbox.set_opened(connection, one.n, at=now) and one.type == "stix":
            self._tell(connection, one, "opened", person="", note="", now=now)

    def answer(self, message_id: str, level: str, *, person: str, note: str = "", sender: str = "") -> int:
        """Acknowledge, take on or decline a message, in a person's name; how many came under that id.

        `sender`: whose, where several have used that id: what is said is for one of them alone. Raises Refused
        message.unknown, message.ambiguous, message.bad-status, message.text-too-long.
        """
        return self._store.db.write_sync(
            lambda c: self.answer_within(c, message_id, level, person=person, note=note, sender=sender)
        )

    def answer_within(
        self,
        connection: Transaction,
        message_id: str,
        level: str,
        *,
        person: str,
        note: str,
        sender: str = "",
    ) -> int:
        """`answer` in a transaction of its caller's."""
        if level not in ANSWERS:
            raise Refused("message.bad-status")
        # what is longer its sender would put aside as malformed, under this node's signature
        for name, text, most in (("person", person, MAX_PERSON), ("note", note, MAX_NOTE)):
            if len(normalize("NFC", text).encode("utf-8", "replace")) > most:
                raise Refused("message.text-too-long", f"{name}: at most {most} bytes of UTF-8", field=name)
        now = self._sources.clock()
        came = came_under(connection, self._store.cipher, message_id, sender, or_sent=False)
        found = [one for one in came if one.type == "stix"]
        if not found:
            raise Refused("message.unknown")
        for one in found:
            store_inbox.set_answered(connection, one.n, level, at=now)
            self._tell(connection, one, level, person=person, note=note, now=now)
        return len(found)

    def _tell(
        self, connection: Transaction, to: Received, level: str, *, person: str, note: str, now: int
    ) -> None:
        """A sealed status, in the lane of what it answers (§5)."""
        payload = Status(to.message_id, level, person, note, "", now).to_payload()
        message = Outgoing(self._sources.new_id(), Status.type, to.lane, now, now + STATUS_LIFE_MS, payload)
        store_outbox.add(connection, self._store.cipher, message, [to.sender], now=now)

    # -- what is wrong ------------------------------------------------------------------------------------------

    def alarms(self) -> list[Alarm]:
        """Newest first."""
        return self._store.db.read_sync(alarms)

    def quarantined(self) -> list[Quarantined]:
        """What came with a fault under its sender's signature, newest first."""
        return self._store.db.read_sync(store_inbox.quarantined)

    def damaged(self) -> list[DamagedItem]:
        """What came hurt and not yet whole."""
        return self._store.db.read_sync(store_inbox.damaged)

    def access_log(self, *, limit: int = PAGE) -> list[Access]:
        """The newest rows of the access log, newest first."""
        return self._store.db.read_sync(lambda c: store_access.listed(c, limit=limit))

    def note_access(self, action: str, what: Sequence[str]) -> None:
        """Note that this user did `action` to each of these: what a person reads of the directory, and takes out."""
        now = self._sources.clock()

        def write(connection: Transaction) -> None:
            for each in what:
                store_access.append(connection, at=now, who=self._who, action=action, what=each)

        self._store.db.write_sync(write)

    def verify_access_log(self) -> int:
        """Check the whole chain; how many rows. Raises Refused storage.row-damaged."""
        return self._store.db.read_sync(store_access.verify)


def thread_of(
    connection: Transaction, cipher: LocalCipher, message_id: str, sender: str = "", *, own: str
) -> tuple[str, str]:
    """As Desk.thread, in a transaction of its caller's."""
    received = came_under(connection, cipher, message_id, sender, or_sent=True)
    if received:
        return str(received[-1].summary.get("case", "")), received[-1].lane
    found = store_outbox.find(connection, cipher, message_id)
    if found is None or found[1].erased or sender not in ("", own):
        raise Refused("message.unknown")
    sent = read_message(found[1].payload)
    return sent.case_id, sent.urgency
