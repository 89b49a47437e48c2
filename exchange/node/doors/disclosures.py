"""Owns what a member learns of the messages it sent: who opened, exported or handed them on (docs/protocol.md §5).

A recipient's node answers by itself out of its access log, and only its sender, about that sender's own messages. What
it says is signed by the envelope that brings it, and bound by the hashes of the log: whoever changes a row later, or
takes one out, can't give the same answer again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchange.disclosure import ERASED, HERE, MAX_ROWS, UNKNOWN, DisclosureInquiry, DisclosureRecord
from exchange.envelope import Opened
from exchange.errors import Refused
from exchange.limits import DAY_MS
from exchange.node.budget import spend
from exchange.node.identity import Identity, Sources
from exchange.node.mail.outbox import Outbox
from exchange.node.store import (
    access as store_access,
    disclosures as store_disclosures,
    inbox as store_inbox,
    outbox as store_outbox,
)
from exchange.node.store.disclosures import Inquiry
from exchange.node.store.erasing import known_payloads
from exchange.node.store.outbox import Addressee, Outgoing
from exchange.node.store.store import Store, Transaction, raise_alarm

RECORDS_A_DAY: Final = 32  # to one peer; what it asks beyond them it may ask on another day
INQUIRY_LIFE_MS: Final = 14 * DAY_MS
ASK_AGAIN_MS: Final = DAY_MS  # a question without an answer


class Disclosures:
    """Answers peers, and takes their answers, inside the transaction that takes the envelope."""

    def __init__(self, store: Store, identity: Identity, outbox: Outbox, sources: Sources) -> None:
        self._store = store
        self._identity = identity
        self._outbox = outbox
        self._sources = sources

    def answer(self, connection: Transaction, peer: str, inquiry_id: str, inquiry: DisclosureInquiry) -> None:
        """Queue the record of what became of a message here that `peer` says it sent."""
        now = self._sources.clock()
        if not spend(connection, "disclosures", peer, now=now, most=RECORDS_A_DAY):
            return
        total, rows = store_access.about(connection, peer, inquiry.of, limit=MAX_ROWS)
        record = DisclosureRecord(
            inquiry=inquiry_id,
            of=inquiry.of,
            at=now,
            state=_state(connection, peer, inquiry.of),
            total=total,
            head=store_access.head(connection),
            rows=tuple(rows),
        )
        self._outbox.send(connection, record.to_payload(), record.type, "priority", [peer])

    def take(self, connection: Transaction, opened: Opened, record: DisclosureRecord) -> None:
        """Keep the answer to a question of this node; one that doesn't hold, or contradicts an earlier one, alarms."""
        now, cipher, peer = self._sources.clock(), self._store.cipher, opened.header.sender
        if not store_disclosures.take(connection, cipher, opened, record, now=now):
            return
        known = judged(store_disclosures.listed(connection, cipher, record.of), self._identity.address)
        answer = next(one for one in known if one.inquiry.id == record.inquiry)
        code = "disclosure.broken" if answer.fault else "disclosure.changed" if answer.gone else ""
        if code:
            about = f"{peer} {record.of}"
            raise_alarm(connection, key=f"{code}/{about}", at=now, code=code, subject=about)


@dataclass(frozen=True)
class Judged:
    """A question with what is wrong with its answer: `fault` in words, and how many rows of earlier ones are `gone`.

    `forgotten`: how many of these its log may have let go.
    """

    inquiry: Inquiry
    fault: str = ""
    gone: int = 0
    forgotten: int = 0


def judged(inquiries: list[Inquiry], sender: str) -> list[Judged]:
    """Each question with the verdict on its answer; `sender` is this node's address."""
    found: list[Judged] = []
    for one in inquiries:
        record = one.record
        if record is None:
            found.append(Judged(one))
            continue
        before = [each.inquiry for each in found if each.inquiry.recipient == one.recipient]
        earlier = [each.record for each in before if each.record]
        gone = {row.hash for each in earlier for row in record.lacks(each)}
        forgotten = {row.hash for each in earlier for row in record.forgotten(each)} - gone
        found.append(Judged(one, record.fault(sender), len(gone), len(forgotten)))
    return found


class Inquirer:
    """What user `who` asks about messages of the node at `address`, beside its server."""

    def __init__(self, store: Store, sources: Sources, *, address: str, who: str) -> None:
        self._store = store
        self._sources = sources
        self._address = address
        self._who = who

    def ask(self, message_id: str, *, again: bool = False) -> list[str]:
        """Queue a question to each addressee that has the message and wasn't asked yet; to whom.

        `again`: also to those that answered, or had a day to. Raises Refused message.unknown.
        """
        now = self._sources.clock()

        def write(connection: Transaction) -> list[str]:
            found = store_outbox.find(connection, self._store.cipher, message_id)
            if found is None or found[1].type != "stix":
                raise Refused("message.unknown")
            copies = store_outbox.addressees(connection, self._store.cipher, found[0])
            asked = store_disclosures.listed(connection, self._store.cipher, message_id)
            targets = [copy for copy in copies if self._is_due(copy, asked, again=again, now=now)]
            for copy in targets:
                self._put(connection, message_id, copy, now)
            return [copy.recipient for copy in targets]

        return self._store.db.write_sync(write)

    def answers(self, message_id: str) -> list[Judged]:
        """Every question about the message and its answer, oldest first."""
        found = self._store.db.read_sync(
            lambda c: store_disclosures.listed(c, self._store.cipher, message_id)
        )
        return judged(found, self._address)

    def _is_due(self, copy: Addressee, asked: list[Inquiry], *, again: bool, now: int) -> bool:
        if copy.stored_at is None or copy.recipient == self._address:
            return False
        mine = [one for one in asked if one.recipient == copy.recipient]
        if not mine:
            return True
        return again and (mine[-1].record is not None or mine[-1].asked_at + ASK_AGAIN_MS <= now)

    def _put(self, connection: Transaction, message_id: str, copy: Addressee, now: int) -> None:
        """In the lane of the message: who may only send urgent mail has sent it so."""
        inquiry, question = self._sources.new_id(), DisclosureInquiry(message_id)
        store_disclosures.add(
            connection, inquiry=inquiry, message_id=message_id, recipient=copy.recipient, now=now
        )
        outgoing = Outgoing(
            inquiry, question.type, copy.lane, now, now + INQUIRY_LIFE_MS, question.to_payload()
        )
        store_outbox.add(connection, self._store.cipher, outgoing, [copy.recipient], now=now)
        what = f"of {copy.recipient} about {message_id}"
        store_access.append(connection, at=now, who=self._who, action=question.type, what=what)


def _state(connection: Transaction, sender: str, message_id: str) -> str:
    """Whether the message is here, or was until it was erased."""
    if store_inbox.is_here(connection, sender, message_id):
        return HERE
    return ERASED if known_payloads(connection, [(sender, message_id)]) else UNKNOWN
