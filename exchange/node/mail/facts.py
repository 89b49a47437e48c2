"""Owns what policy and lists need to know of a message that came or went, worked out once and remembered.

Reading a message's labels takes its whole content: so the facts of the newest few thousand are kept in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exchange.access import Access
from exchange.errors import CODES, Rejected
from exchange.formats.stix.cover import read_message
from exchange.message import Message
from exchange.node.doors.doors import content_of, content_said
from exchange.node.feeds.outside import with_outside
from exchange.node.store import (
    api as store_api,
    inbox as store_inbox,
    outbox as store_outbox,
    outside as store_outside,
)
from exchange.node.store.api import SentHead
from exchange.node.store.inbox import DOUBTS, Received
from exchange.node.store.store import Transaction
from exchange.release import ADMINISTRATOR, Content, Decision, Door, Reader, Who, decide
from exchange.storage.local_cipher import LocalCipher

REMEMBERED: Final = 4_096  # messages


class Box(StrEnum):
    """Where a message is: received, or sent by this node."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a message says of itself. `content` is None for one that this version can't read; `fault` says why."""

    content: Content | None
    kind: str = ""
    case: str = ""
    subject: str = ""
    objects: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One message of a list, with what policy says of it. Times in ms; `at`: when it came, or was handed in.

    `state`: how far people here are with one that came. `to`: whom one that was sent is for; `separate`: none of them
    sees who else has it.
    """

    box: Box
    n: int
    id: str
    sender: str
    lane: str
    created: int
    at: int
    state: str
    marks: tuple[str, ...]
    to: tuple[str, ...]
    facts: Facts
    decision: Decision
    separate: bool = False


class FactBook:
    """The facts of this node's mail. `address` is its own. Readers of the database share it: each of its
    steps is one of the interpreter's, and whoever comes too late works the same out again."""

    def __init__(self, cipher: LocalCipher, address: str) -> None:
        self._cipher = cipher
        self.address = address
        self._known: OrderedDict[tuple[Box, int], Facts] = OrderedDict()
        self._outside = 0

    def received(self, connection: Transaction, one: Received, *, anew: bool = False) -> tuple[Facts, int]:
        """The facts of a message that came, and how many bytes had to be read for them. `anew`: as of this moment."""
        known = self._remembered(connection, Box.IN, one.n)
        if known is not None and not anew:
            return known, 0
        payload = one.payload or store_inbox.payload(connection, self._cipher, one.n)
        try:
            message = read_message(payload)
            content = content_of(connection, one, message)
            found = facts_of(message, with_outside(connection, self._cipher, content, message.bundle))
        except Rejected as fault:
            found = Facts(None, fault=fault.code)
        return self._remember(Box.IN, one.n, found), len(payload)

    def sent(self, connection: Transaction, n: int, *, anew: bool = False) -> tuple[Facts, int]:
        """The same of one that this node sent, by its row: its labels bind whoever fetches it here all the same."""
        known = self._remembered(connection, Box.OUT, n)
        if known is not None and not anew:
            return known, 0
        payload = store_outbox.get(connection, self._cipher, n).payload
        try:
            message = read_message(payload)
            content = content_said(message, frozenset(store_api.recipients(connection, n)), self.address)
            found = facts_of(message, with_outside(connection, self._cipher, content, message.bundle))
        except Rejected as fault:  # a later version of this node wrote it
            found = Facts(None, fault=fault.code)
        return self._remember(Box.OUT, n, found), len(payload)

    def item_received(
        self, connection: Transaction, one: Received, access: Access, *, anew: bool = False
    ) -> tuple[Item, int]:
        """A message that came as a list shows it to a right of entry, and how many bytes were read for it."""
        facts, cost = self.received(connection, one, anew=anew)
        marks = {*one.marks, *(("conflict",) if one.conflict else ())}
        item = Item(
            box=Box.IN,
            n=one.n,
            id=one.message_id,
            sender=one.sender,
            lane=one.lane,
            created=one.created,
            at=one.received_at,
            state=one.answered or ("opened" if one.opened_at else "new"),
            marks=tuple(sorted(marks)),
            to=(),
            facts=facts,
            decision=decided(facts, frozenset(marks), access),
        )
        return item, cost

    def item_sent(
        self, connection: Transaction, head: SentHead, access: Access, *, anew: bool = False
    ) -> tuple[Item, int]:
        """The same of a message that this node sent."""
        facts, cost = self.sent(connection, head.n, anew=anew)
        item = Item(
            box=Box.OUT,
            n=head.n,
            id=head.id,
            sender=self.address,
            lane=head.lane,
            created=head.created,
            at=head.submitted_at,
            state="",
            marks=(),
            to=store_api.recipients(connection, head.n),
            facts=facts,
            decision=decided(facts, frozenset(), access),
            separate=head.separate,
        )
        return item, cost

    def _remembered(self, connection: Transaction, box: Box, n: int) -> Facts | None:
        """Nothing any more where labels or origins of what came from outside have changed since."""
        outside = store_outside.changes(connection)
        if outside != self._outside:
            self._known.clear()
            self._outside = outside
        return self._known.get((box, n))

    def _remember(self, box: Box, n: int, facts: Facts) -> Facts:
        self._known[box, n] = facts
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return facts


def facts_of(message: Message, content: Content) -> Facts:
    """The facts of a message that was read."""
    return Facts(content, message.kind, message.case_id, message.subject, message.object_count)


def reader_of(access: Access) -> Reader:
    """A right of entry as policy sees it: a machine of this node's own member."""
    return Reader(who=Who.OWN, name=access.name, exercise=access.exercise, passive=access.passive)


def decided(facts: Facts, marks: frozenset[str], access: Access) -> Decision:
    """May a message with these facts leave by the API to that right? `marks`: how it came."""
    if facts.content is None:
        return Decision(allowed=False, code=facts.fault, reason=CODES[facts.fault], ask=ADMINISTRATOR)
    if marks & DOUBTS:
        code = "release.doubted"
        return Decision(allowed=False, code=code, reason=CODES[code], ask=facts.content.sender)
    return decide(Door.API, facts.content, reader_of(access))


def is_for(facts: Facts, access: Access) -> bool:
    """Whether the right may know of that message at all: exercises and what is real are kept apart."""
    real = facts.content is None or facts.content.exercise_id is None
    return real is not access.exercise
