"""Owns how a message passes a door: release.decide is asked, the access log told, then the content handed out.

A refusal is logged too, with its reason and never with content. What the doors then do with what they got is theirs.
What this node sent passes as what it received does: its labels bind whoever takes it out here all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from exchange.directory.addressing import is_person
from exchange.directory.bodies_contacts import PERSON_HANDLE
from exchange.directory.book import Book
from exchange.directory.network import member_of
from exchange.directory.owners import Match, Owners
from exchange.directory.state import Directory
from exchange.directory.vocabulary import CSIRT
from exchange.errors import Refused
from exchange.formats.stix.cover import read_message
from exchange.formats.stix.permissions import pap_of_message
from exchange.header import parse_header
from exchange.message import Message
from exchange.node.feeds.outside import with_outside
from exchange.node.identity import Sources
from exchange.node.mail.desk import Desk
from exchange.node.mail.whose import came_under
from exchange.node.store import (
    access as store_access,
    attachments as store_attachments,
    outbox as store_outbox,
    replacing as store_replacing,
)
from exchange.node.store.inbox import DOUBTS, Received
from exchange.node.store.links import header_of
from exchange.node.store.replacing import Claim
from exchange.node.store.store import Store, Transaction
from exchange.release import Content, Decision, Door, Reader, Who, decide

COUNTRY: Final = "country"  # by which an owner was guessed (directory/owners)
Made = TypeVar("Made")


@dataclass(frozen=True)
class Passed:
    """A message that may leave: what it says, under labels no weaker than any feed's for what is in it; whose it is,
    when it came or went (ms).

    `received`: as it came, None for one that this node sent. `relabelled`: its own label is weaker, and still stands in
    its signed bytes. `attachments`: how many files came or went beside it; they leave by a door of their own.
    `replaced`: by which later message of its sender, if it is.
    """

    message: Message
    sender: str
    at: int
    received: Received | None
    relabelled: bool = False
    attachments: int = 0
    replaced: Claim | None = None

    @property
    def id(self) -> str:
        """The id that its envelope gave it."""
        return self.message.id if self.received is None else self.received.message_id

    @property
    def doubts(self) -> list[str]:
        """The marks on how it came that whoever hands it on must know."""
        if self.received is None:
            return []
        return sorted(DOUBTS & self.received.marks) + (["conflict"] if self.received.conflict else [])


class Doors:
    """The doors of the node at `address` as user `who` (of the operating system) opens them."""

    def __init__(self, store: Store, sources: Sources, *, address: str, who: str) -> None:
        self._store = store
        self._sources = sources
        self._address = address
        self._who = who
        self._desk = Desk(store, sources, who=who)

    def let_out(
        self,
        door: Door,
        message_id: str,
        readers: Sequence[Reader],
        make: Callable[[Passed], Made],
        *,
        sender: str = "",
    ) -> Made:
        """What `make` makes of the message, if that may leave to each of `readers`; its sender learns of the opening.

        One row of the access log for each decision. If any is refused, only the refusals are logged, and nothing
        leaves. What `make` itself refuses isn't logged. Of several messages of one sender under that id, the newest
        that came counts; `sender`: whose, where several have used it.

        Raises Refused message.unknown, message.ambiguous, policy.no-recipient, as release.Decision.check does, and
        whatever `make` raises; Rejected message.*.
        """
        if not readers:
            raise Refused("policy.no-recipient")
        one, content = self._store.db.read_sync(lambda c: self._with_outside(c, message_id, sender))
        decisions = [(reader, decide(door, content, reader)) for reader in readers]
        refused = [each for each in decisions if not each[1].allowed]
        if refused:
            self._note(door, one, refused, leaves=False)
            refused[0][1].check()
        made = make(one)
        self._note(door, one, decisions, leaves=True)
        return made

    def _with_outside(self, connection: Transaction, message_id: str, sender: str) -> tuple[Passed, Content]:
        """As `_find`, with what of it came by feeds too: what leaves has the labels by which it was decided."""
        one, said = self._find(connection, message_id, sender)
        content = with_outside(connection, self._store.cipher, said, one.message.bundle)
        if content != said:
            weaker = (said.tlp, said.pap) != (content.tlp, content.pap)
            message = replace(one.message, tlp=content.tlp, pap=content.pap)
            one = replace(one, message=message, relabelled=weaker)
        return one, content

    def _find(self, connection: Transaction, message_id: str, sender: str) -> tuple[Passed, Content]:
        """What came under that id, else what this node sent under it. Raises as `let_out` does."""
        received = came_under(connection, self._store.cipher, message_id, sender, or_sent=True)
        if received:
            came = received[-1]
            message = read_message(came.payload)
            beside = store_attachments.counts(connection, [came.env]).get(came.env, 0)
            by = store_replacing.of_received(
                connection, self._store.cipher, came.sender, came.message_id, came.created
            )
            passed = Passed(message, came.sender, came.received_at, came, attachments=beside, replaced=by)
            return passed, content_of(connection, came, message)
        sent = store_outbox.find(connection, self._store.cipher, message_id)
        if sender not in ("", self._address) or sent is None or sent[1].erased or sent[1].type != "stix":
            raise Refused("message.unknown")
        message = read_message(sent[1].payload)
        to = store_outbox.addressees(connection, self._store.cipher, sent[0])
        named = frozenset(copy.recipient for copy in to)
        beside = len(store_attachments.going_with(connection, self._store.cipher, sent[0]))
        by = store_replacing.of_sent(
            connection, self._store.cipher, self._address, message.id, sent[1].created
        )
        passed = Passed(message, self._address, message.created, None, attachments=beside, replaced=by)
        return passed, content_said(message, named, self._address)

    def _note(
        self, door: Door, one: Passed, decisions: Sequence[tuple[Reader, Decision]], *, leaves: bool
    ) -> None:
        """A row for each decision, in one transaction."""
        now = self._sources.clock()

        def write(connection: Transaction) -> None:
            for reader, decision in decisions:
                action = door.value if leaves else f"{door.value} refused"
                what = noted(one.sender, one.id, reader, decision)
                store_access.append(connection, at=now, who=self._who, action=action, what=what)
            if leaves and one.received is not None:
                self._desk.note_opened(connection, one.received, now=now)

        self._store.db.write_sync(write)


def noted(sender: str, message_id: str, reader: Reader, decision: Decision) -> str:
    """What the access log says of a decision about that message of `sender`."""
    reason = decision.reason if decision.allowed else f"{decision.code}, {decision.reason}"
    return f"{sender} {message_id} to {reader.label}: {reason}"


def content_of(connection: Transaction, received: Received, message: Message) -> Content:
    """What policy asks of a received message; the persons it names are the addressees of its envelope."""
    evidence = header_of(connection, received.env)
    addressees = (
        frozenset(address for address, _ in parse_header(evidence[0]).to) if evidence else frozenset()
    )
    return content_said(message, addressees, received.sender)


def content_said(message: Message, named: frozenset[str], sender: str) -> Content:
    """What policy asks of a message of `sender` that is addressed to `named`."""
    return Content(
        tlp=message.tlp,
        pap=pap_of_message(message),
        exercise_id=message.exercise_id,
        named=named,
        sender=sender,
    )


def own_reader(address: str, *, exercise: bool = False) -> Reader:
    """Whoever works in the home of `address`: its member's people, or the person whose home it is."""
    person = PERSON_HANDLE.match(address.rpartition("/")[2]) and "/" in address
    return Reader(who=Who.PERSON if person else Who.OWN, name=address, own=True, exercise=exercise)


def reader_at(directory: Directory, me: str, address: str, *, exercise: bool = False) -> Reader:
    """The reader at another address. A unit of `me`'s member is its own but where it is of another community."""
    same = member_of(address) == member_of(me)
    if is_person(directory, address):
        return Reader(who=Who.PERSON, name=address, own=same, exercise=exercise)
    inside = same and _community(directory, address) == _community(directory, me)
    return Reader(who=Who.OWN if inside else Who.MEMBER, name=address, exercise=exercise)


def readers_of_assets(
    book: Book, me: str, name: str, assets: frozenset[str], *, exercise: bool = False
) -> list[Reader]:
    """Whoever an extract about `assets` is for: the constituent `name`; but whatever members those assets belong to
    by the directory, in whole or in part, or that `name` is, where these aren't `me`'s own: then it is theirs to hand
    on.
    """
    owners, own = Owners.build(book), member_of(me)
    others = {name} if name in book.members else set()
    others |= {match.member for _, match in _parts_of_others(owners, own, assets)}
    for text in assets:
        owned = owners.owner(text)
        # a name that nobody claims has the country of its ending, which says too little
        nearest = set() if any(match.by == COUNTRY for match in owned.matches) else {*owned.nearest}
        others |= set() if own in nearest else nearest
    others -= {own}
    if others:
        return [Reader(who=Who.MEMBER, name=one, assets=assets, exercise=exercise) for one in sorted(others)]
    return [Reader(who=Who.CONSTITUENT, name=name, assets=assets, exercise=exercise)]


def parts_of_others(book: Book, me: str, assets: Iterable[str]) -> list[tuple[str, Match]]:
    """The assets that hold what other members claim, each with such a claim."""
    return _parts_of_others(Owners.build(book), member_of(me), assets)


def _parts_of_others(owners: Owners, own: str, assets: Iterable[str]) -> list[tuple[str, Match]]:
    found = []
    for text in sorted(assets):
        inside = owners.within(text)
        mine = {
            match.claim for match in inside if match.member == own
        }  # claimed by both, it is this member's too
        found += [(text, match) for match in inside if match.claim not in mine]
    return found


def _community(directory: Directory, address: str) -> str:
    contact = directory.contacts.get(address)
    return contact.community if contact is not None else CSIRT
