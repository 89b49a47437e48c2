"""Owns what the secretariat's node does by itself: reminders to confirm contact points, and introductions (§9.16).

Every node has it; it does something only where the log's policy names this member the secretariat. What is due follows
from the log and from what was written down as done, in the same transaction that queues it: repeats are harmless.
"""

from __future__ import annotations

import logging
from typing import Final

from exchange.directory import reminders
from exchange.directory.addressing import contact_target
from exchange.directory.book import Book
from exchange.directory.reminders import Reminder
from exchange.directory.state import Directory
from exchange.errors import Refused
from exchange.limits import DAY_MS
from exchange.message import Kind, Urgency
from exchange.node.directory import counterparts
from exchange.node.directory.membership import anchor_confirmed
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.mail.writing import Writer
from exchange.node.store import outbox as store_outbox, parts as store_parts, secretariat as rows
from exchange.node.store.secretariat import Ask, Request
from exchange.node.store.store import Store, Transaction, number, set_fact
from exchange.phrases import letters
from exchange.tlp import Tlp

LOG = logging.getLogger("exchange.node.directory.secretariat")
DAY: Final = "secretariat.day"  # the last day, UTC, on which reminders were looked at
MAX_ITEMS: Final = 60  # contact points in one message: more would not fit its text in four languages


class Secretariat:
    """The secretariat's work, done whenever the node keeps itself up."""

    def __init__(self, store: Store, identity: Identity, replica: Replica, sources: Sources) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._sources = sources

    def is_mine(self) -> bool:
        """Is this member the secretariat?"""
        return is_secretariat(self._replica.directory, self._identity)

    async def run_due(self) -> int:
        """Do what is due now; how many messages were queued."""
        if not self.is_mine():
            return 0
        while await self._store.db.write(lambda c: counterparts.take_in(c, self._store)):
            pass
        return await self._introduce() + await self._remind()

    # -- introductions -------------------------------------------------------------------------------------------

    async def _introduce(self) -> int:
        now = self._sources.clock()
        found = await self._store.db.read(lambda c: counterparts.standings(c, self._store, now=now))
        waiting = counterparts.accepted(found)
        if not waiting:
            return 0
        book = await self._book()
        return sum([await self._bring_together(book, request, third) for request, third in waiting])

    async def _bring_together(self, book: Book, request: Request, third: Ask) -> int:
        try:
            made = counterparts.introduction(
                self._writer(), book, request, third, anchor_confirmed=anchor_confirmed(self._store)
            )
        except Refused as fault:  # one side may not be written to now: it waits, and `requests` shows it
            LOG.warning("no introduction yet", extra={"code": fault.code})
            return 0
        now = self._sources.clock()
        done = await self._store.db.write(
            lambda c: counterparts.introduce(c, self._store, request.id, made, now=now)
        )
        return len(made) if done else 0

    # -- reminders -------------------------------------------------------------------------------------------------

    async def _remind(self) -> int:
        """Once a day."""
        now = self._sources.clock()
        if await self._store.db.read(lambda c: number(c, DAY)) == now // DAY_MS:
            return 0
        told, last = await self._store.db.read(lambda c: (rows.told(c), rows.last_written(c)))
        found = reminders.due(self._replica.directory, now, told=told, last=last)
        sent = 0
        if found:
            book = await self._book()
            sent = sum([await self._send(book, reminder, now) for reminder in found])
        await self._store.db.write(lambda c: set_fact(c, DAY, now // DAY_MS))
        return sent

    async def _send(self, book: Book, reminder: Reminder, now: int) -> bool:
        """Queue one reminder and write down who was reminded of what; False where nobody can be written to."""
        writer = self._writer()
        items = reminder.items[:MAX_ITEMS]
        addresses = [item.contact.address for item in items]
        wanted = [_desk(writer.directory, address) for address in addresses]
        if reminder.copied:
            wanted.append(_desk(writer.directory, reminder.group))
        recipients = writer.reachable(wanted, tlp=Tlp.GREEN, lane=Urgency.ROUTINE.value)
        languages = {address: letters.spoken(book.contacts[address].languages) for address in addresses}
        home = languages.get(reminder.group) or languages[addresses[0]]
        letter = letters.reminder(items, languages, home=home, copied=reminder.copied)
        message = writer.message(
            Kind.CONTACT_VERIFICATION,
            letter,
            contacts=tuple(addresses),
            validate_by=reminder.validate_by,
        )

        def write(connection: Transaction) -> None:
            if recipients:
                store_outbox.add(connection, self._store.cipher, message, recipients, now=now)
            told = [(item.contact.address, item.told) for item in items]
            rows.set_told(connection, reminder.group, told, at=now)

        await self._store.db.write(write)
        return bool(recipients)

    # -- what both need ----------------------------------------------------------------------------------------------

    def _writer(self) -> Writer:
        return Writer(self._replica.directory, self._identity, self._sources)

    async def _book(self) -> Book:
        parts = await self._store.db.read(lambda c: store_parts.all_parts(c, self._store.cipher))
        return Book.build(self._replica.directory, parts, self._sources.clock())


def is_secretariat(directory: Directory, identity: Identity) -> bool:
    """Does the network's policy name this node's member its secretariat?"""
    return bool(directory.policy.secretariat) and directory.policy.secretariat == identity.address


def _desk(directory: Directory, address: str) -> str:
    """Where mail for a contact point is opened; its member's node where its unit has lost its keys."""
    if address not in directory.contacts:
        return address
    try:
        return contact_target(directory, address, address).address
    except Refused:
        return directory.contacts[address].member
