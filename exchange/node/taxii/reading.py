"""Takes a received message apart for the TAXII collections: each object with its facts, in chunks.

Owns which label an object has by itself: its own markings where they cover the whole of it, else the message's. Adding
is `collections`' business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from exchange import pap
from exchange.errors import Rejected
from exchange.formats.stix import markings, permissions
from exchange.formats.stix.cover import LIMITS, read_message
from exchange.formats.stix.spans import parse, scan
from exchange.formats.taxii import Head, head_of, objects_of
from exchange.message import Message
from exchange.node.store import inbox as store_inbox, taxii as rows
from exchange.node.store.inbox import DOUBTS
from exchange.node.store.store import Transaction
from exchange.node.store.taxii import Facts
from exchange.pap import Pap
from exchange.storage.local_cipher import LocalCipher
from exchange.tlp import Tlp, strictest

READ_BYTES: Final = 1_048_576  # of messages read ahead; the last one may be longer
Found = tuple[Head, Facts, bytes]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some objects of one message, from number `done` on; `last`: there are no more. `ends` in ms.

    `replaces`: the id of the sender's earlier message whose place it takes. `again`: another had taken its own.
    """

    n: int
    sender: str
    message_id: str
    replaces: str
    ends: int | None
    done: int
    items: tuple[Found, ...]
    last: bool
    again: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(len(data) for _, _, data in self.items)


@dataclass(frozen=True, slots=True)
class Incoming:
    """What is left to add of one message. `read`: the bytes that it took to know, objects or none."""

    n: int
    sender: str
    message_id: str
    replaces: str
    ends: int | None
    done: int
    items: tuple[Found, ...]
    again: bool
    read: int = 0

    def chunk(self, most: int) -> Chunk:
        """The next up to `most` objects."""
        return Chunk(
            self.n,
            self.sender,
            self.message_id,
            self.replaces,
            self.ends,
            self.done,
            self.items[:most],
            last=len(self.items) <= most,
            again=self.again,
        )

    def after(self, chunk: Chunk) -> Incoming:
        """What is left then."""
        return replace(self, done=self.done + len(chunk.items), items=self.items[len(chunk.items) :])


def read_waiting(cipher: LocalCipher, most: int, connection: Transaction) -> list[Incoming]:
    """The messages that are to be added next, in order, until they have `most` objects or `READ_BYTES`; none: [].

    Those that nothing replaces any more come first, each by itself.
    """
    again = rows.next_again(connection)
    if again is not None:
        one = _read_from(cipher, connection, *again, again=True)
        return [] if one is None else [one]
    waiting, (n, done) = list[Incoming](), rows.cursor(connection)
    size = 0
    while most > 0 and size < READ_BYTES:
        one = _read_from(cipher, connection, n, done, again=False)
        if one is None:
            break
        waiting.append(one)
        n, done = one.n + 1, 0
        most -= max(len(one.items), 1)
        size += one.read
    return waiting


def _read_from(
    cipher: LocalCipher, connection: Transaction, n: int, done: int, *, again: bool
) -> Incoming | None:
    """The first message from row `n` of inbox on, without the first `done` objects if it is that one.

    One that this version can't read, or that came in doubt (inbox.DOUBTS), has no objects here.
    """
    row = rows.next_received(connection, n)
    if row is None:
        return None
    done = done if row.n == n else 0
    bare = Incoming(row.n, row.sender, row.message_id, "", None, done, (), again=again)
    if DOUBTS & set(row.marks.split()):
        return bare
    received = store_inbox.payload(connection, cipher, row.n)
    bare = replace(bare, read=len(received))
    try:
        message = read_message(received, LIMITS)
    except Rejected:
        return bare
    items = _objects(message, row.sender)
    return replace(bare, replaces=message.supersedes or "", ends=message.expires, items=items[done:])


def _objects(message: Message, sender: str) -> tuple[Found, ...]:
    document = scan(message.bundle, LIMITS)
    pairs = list(objects_of(document))
    tlps: dict[str, Tlp] = {}
    paps: dict[str, Pap] = {}
    for _, value in pairs:
        markings.collect_definition(value, tlps)
        permissions.collect_definition(value, paps)
    span = document.members.get("object_marking_refs")
    bundle = {} if span is None else {"object_marking_refs": parse(document.bytes_of(span))}
    on_all = markings.resolve(markings.marking_refs(bundle), tlps)
    found = []
    for data, value in pairs:
        head = head_of(value)
        if head is None:
            continue
        facts = Facts(
            kind=message.kind,
            sender=sender,
            tlp=_tlp(value, tlps, on_all, message.tlp),
            pap=pap.strictest(
                one for one in (message.pap, permissions.pap_of(value, paps)) if one is not None
            ),
            exercise_id=message.exercise_id,
        )
        found.append((head, facts, data))
    return tuple(found)


def _tlp(
    value: Mapping[str, Any], definitions: Mapping[str, Tlp], on_all: Sequence[Tlp], of_message: Tlp
) -> Tlp:
    """A definition of a label is no secret: whoever has an object marked with it needs it."""
    if value.get("type") == "marking-definition" and markings.tlp_of_definition(value) is not None:
        return Tlp.CLEAR
    whole = markings.resolve(markings.marking_refs(value), definitions)
    if not whole:
        return of_message
    on_parts = markings.resolve(markings.granular_refs(value), definitions)
    return strictest([*whole, *on_all, *on_parts, *markings.tags(value)])
