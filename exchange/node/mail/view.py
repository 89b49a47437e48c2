"""Owns what a right of entry is given of this node's mail: lists, messages, how far copies came; and its answers.

Policy is asked for each message. What leaves, and what is refused, is in the access log before it does: for lists once
for each message and right. A program that reads is no person who opens: no sender is told `opened` by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from exchange.access import Access
from exchange.attachment import Attachment
from exchange.errors import Refused
from exchange.formats.stix.cover import read_message
from exchange.message import Message
from exchange.node.doors.doors import noted
from exchange.node.identity import Sources
from exchange.node.mail.desk import Desk, Missing
from exchange.node.mail.facts import Box, FactBook, Item, is_for, reader_of
from exchange.node.mail.whose import came_under
from exchange.node.store import (
    access as store_access,
    api as store_api,
    attachments as store_attachments,
    inbox as store_inbox,
    outbox as store_outbox,
    replacing as store_replacing,
)
from exchange.node.store.attachments import Come, Leaving
from exchange.node.store.outbox import Addressee, Outgoing
from exchange.node.store.store import Store, Transaction
from exchange.release import Door

Made = TypeVar("Made")
CHUNK: Final = 50  # rows read at a time
MOST_LOOKED: Final = 2_000  # rows looked at for one page
MOST_READ: Final = 4 * 1024 * 1024  # bytes of content read for one page
OPENED: Final = "opened"  # the level at which a person has seen it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which messages a list is to have; None or False: any."""

    box: Box = Box.IN
    kind: str | None = None
    tlp: str | None = None  # a label
    sender: str | None = None
    unopened: bool = False

    def fits(self, item: Item) -> bool:
        """Whether the list has it. What is withheld shows its label and sender, and must not show its kind."""
        tlp = item.facts.content.tlp.label if item.facts.content else ""
        return (
            (self.kind is None or (item.decision.allowed and item.facts.kind == self.kind))
            and (self.tlp is None or tlp == self.tlp)
            and (self.sender is None or item.sender == self.sender)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages, newest first; `before`: what to ask for to go on, None at the end."""

    items: tuple[Item, ...]
    before: int | None


@dataclass(frozen=True, slots=True)
class Rungs:
    """How far the copies of a message came, each with what it lacks (None: nothing)."""

    id: str
    copies: tuple[tuple[Addressee, Missing | None], ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """An attachment of a message: its number, what it is, where it stands (exchange node attachment)."""

    n: int
    attachment: Attachment
    state: str


class MailView:
    """This node's mail at the API. One per process that owns the home."""

    def __init__(self, store: Store, sources: Sources, facts: FactBook) -> None:
        self._store = store
        self._sources = sources
        self._facts = facts
        self._one = asyncio.Lock()

    async def read(self, fn: Callable[[Transaction], Made]) -> Made:
        """`Database.read` for what may take long: one at a time, so that mail gets the other readers."""
        async with self._one:
            return await self._store.db.read(fn)

    async def page(self, access: Access, wanted: Wanted, *, before: int | None, limit: int) -> Page:
        """A page of a list; it may be short where much had to be read for it."""
        page = await self.read(lambda c: self._page(c, access, wanted, before=before, limit=limit))
        await self.note_listed(access, page.items)
        return page

    def _page(
        self, connection: Transaction, access: Access, wanted: Wanted, *, before: int | None, limit: int
    ) -> Page:
        items: list[Item] = []
        at, looked, read = before, 0, 0
        while True:
            chunk = self.some(connection, access, wanted, before=at)
            rows = 0
            for item, cost in chunk:
                rows, looked, read, at = rows + 1, looked + 1, read + cost, item.n
                if wanted.fits(item):
                    items.append(item)
                if len(items) >= limit or looked >= MOST_LOOKED or read >= MOST_READ:
                    return Page(tuple(items), at)
            if rows < CHUNK:
                return Page(tuple(items), None)

    def some(
        self, connection: Transaction, access: Access, wanted: Wanted, *, before: int | None
    ) -> Iterable[tuple[Item, int]]:
        """The next CHUNK messages of the box, each with the bytes that were read for it, as they are asked for."""
        if wanted.box is Box.OUT:
            heads = store_api.sent_heads(connection, before=before, limit=CHUNK)
            return (self._facts.item_sent(connection, head, access) for head in heads)
        found = store_inbox.listed(
            connection, self._store.cipher, before=before, limit=CHUNK, unopened=wanted.unopened
        )
        return (self._facts.item_received(connection, one, access) for one in found)

    async def note_listed(self, access: Access, items: Iterable[Item]) -> None:
        """That a list gave these out, or held them back: a row for each, unless there is one."""
        who = who_of(access)
        rows = []
        for item in items:
            action = f"{Door.API.value} list" if item.decision.allowed else f"{Door.API.value} refused"
            rows.append((action, noted(item.sender, item.id, reader_of(access), item.decision)))

        def new(connection: Transaction) -> list[tuple[str, str]]:
            return [
                (action, what)
                for action, what in rows
                if not store_access.is_noted(connection, who=who, action=action, what=what)
            ]

        def write(connection: Transaction) -> None:
            now = self._sources.clock()
            for action, what in new(connection):
                store_access.append(connection, at=now, who=who, action=action, what=what)

        if rows and await self._store.db.read(new):
            await self._store.db.write(write)

    async def whole(
        self, access: Access, message_id: str, sender: str = ""
    ) -> tuple[Item, Message, tuple[Beside, ...]]:
        """A message, and what is attached to it, if it may leave.

        Of several under that id the newest that came, else the one that was sent. `sender`: whose, where several have
        used that id.

        Raises Refused message.* (unknown, ambiguous, or not to be read by this version), tlp.red-needs-persons,
        release.*
        """
        item, message, beside = await self.read(lambda c: self._whole(c, access, message_id, sender))
        what, who = noted(item.sender, item.id, reader_of(access), item.decision), who_of(access)
        action = Door.API.value if message else f"{Door.API.value} refused"
        now = self._sources.clock()
        await self._store.db.write(
            lambda c: store_access.append(c, at=now, who=who, action=action, what=what)
        )
        item.decision.check()
        if message is None:
            raise Refused("message.unknown")
        return item, message, beside

    async def replaced_by(self, item: Item) -> str | None:
        """The id of the newest message of its sender that says that it takes the place of this one, or None."""
        look = store_replacing.of_received if item.box is Box.IN else store_replacing.of_sent
        by = await self.read(lambda c: look(c, self._store.cipher, item.sender, item.id, item.created))
        return by.id if by else None

    def _whole(
        self, connection: Transaction, access: Access, message_id: str, sender: str
    ) -> tuple[Item, Message | None, tuple[Beside, ...]]:
        item, payload, beside = self._found(connection, access, message_id, sender)
        if not item.decision.allowed:
            return item, None, ()
        return item, read_message(payload), tuple(Beside(o.place, o.attachment, o.state) for o in beside)

    def _found(
        self, connection: Transaction, access: Access, message_id: str, sender: str = ""
    ) -> tuple[Item, bytes, Sequence[Come | Leaving]]:
        """A message as of now, what it says, and what is attached to it.

        Raises Refused message.unknown, message.ambiguous.
        """
        cipher = self._store.cipher
        received = came_under(connection, cipher, message_id, sender, or_sent=True)
        if received:
            item, _ = self._facts.item_received(connection, received[-1], access, anew=True)
            come = store_attachments.come_with(connection, cipher, received[-1].env)
            return item, received[-1].payload, come
        n, outgoing = self._found_sent(connection, message_id)
        if sender not in ("", self._facts.address):
            raise Refused("message.unknown")
        item = self._item_sent(connection, access, n)
        return item, outgoing.payload, store_attachments.going_with(connection, cipher, n)

    def _item_sent(self, connection: Transaction, access: Access, n: int) -> Item:
        [head] = store_api.sent_heads(connection, before=n + 1, limit=1)
        return self._facts.item_sent(connection, head, access, anew=True)[0]

    async def answerable(self, access: Access, message_id: str, sender: str = "") -> Item:
        """What a program wants to answer by a message of its own. `sender`: whose, where several have used that id.

        Raises Refused message.unknown, message.ambiguous.
        """
        item, _, _ = await self.read(lambda c: self._found(c, access, message_id, sender))
        if not is_for(item.facts, access):
            raise Refused("message.unknown")
        return item

    async def replaceable(self, access: Access, message_id: str) -> Item:
        """What a program wants to replace: as this node sent it, also where a copy came to itself.

        Raises Refused message.unknown.
        """
        item = await self.read(lambda c: self._item_sent(c, access, self._found_sent(c, message_id)[0]))
        if not is_for(item.facts, access):
            raise Refused("message.unknown")
        return item

    def _found_sent(self, connection: Transaction, message_id: str) -> tuple[int, Outgoing]:
        found = store_outbox.find(connection, self._store.cipher, message_id)
        if found is None or found[1].erased or found[1].type != "stix":
            raise Refused("message.unknown")
        return found

    async def rungs(self, access: Access, message_id: str) -> Rungs:
        """How far each copy of a message that this node sent has come. Raises Refused message.unknown."""
        return await self.read(lambda c: self._rungs(c, access, message_id))

    def _rungs(self, connection: Transaction, access: Access, message_id: str) -> Rungs:
        n, _ = self._found_sent(connection, message_id)
        if not is_for(self._facts.sent(connection, n)[0], access):
            raise Refused("message.unknown")
        copies = store_outbox.addressees(connection, self._store.cipher, n)
        desk = Desk(self._store, self._sources, who=who_of(access))
        return Rungs(message_id, tuple((copy, desk.lacking(copy)) for copy in copies))

    async def note_read(self, access: Access, what: Iterable[str]) -> None:
        """That the right is about to be given each of these."""
        rows, now, who = list(what), self._sources.clock(), who_of(access)

        def write(connection: Transaction) -> None:
            for each in rows:
                store_access.append(connection, at=now, who=who, action=f"{Door.API.value} read", what=each)

        if rows:
            await self._store.db.write(write)

    async def answer(
        self, access: Access, message_id: str, level: str, *, person: str, note: str, sender: str = ""
    ) -> int:
        """Say in a person's name that it was opened, acknowledged, taken on or declined; how many messages that ends.

        `sender`: whose, where several have used that id. Raises Refused message.unknown, message.ambiguous,
        message.bad-status.
        """
        desk = Desk(self._store, self._sources, who=who_of(access))

        def check(connection: Transaction) -> None:
            for one in came_under(connection, self._store.cipher, message_id, sender, or_sent=False):
                if not is_for(self._facts.received(connection, one)[0], access):
                    raise Refused("message.unknown")

        def write(connection: Transaction) -> int:
            if level == OPENED:
                return len(desk.open_within(connection, message_id, sender))
            return desk.answer_within(connection, message_id, level, person=person, note=note, sender=sender)

        await self.read(check)
        return await self._store.db.write(write)


def who_of(access: Access) -> str:
    """A right of entry in the access log."""
    return f"{access.kind.value}:{access.name}"
