"""Reading a mailbox: the next items of one address after a cursor, within a number of bytes (docs/protocol.md §8.1).

Owns the queries and the order of parts; reads only. Bodies of envelopes many are about to fetch come from memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, func, select

from exchange.header import LANES
from exchange.hub.store_cursor import CHECKPOINT, ORDER, RECEIPTS, Cursor
from exchange.hub.store_tables import bodies, envelopes, mailbox, proof_feed, proofs
from exchange.protocol import ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_EXPIRED, ITEM_RECEIPTS, Item
from exchange.wire import SLOT_BYTES, Delivery

PAGE_ITEMS: Final = 256
CACHE_BYTES: Final = 32 * 1024 * 1024
_ITEM_OVERHEAD: Final = 128


@dataclass(frozen=True)
class Page:
    """Items in order, the cursor after the last one, and whether more wait."""

    items: tuple[Item, ...]
    cursor: Cursor
    more: bool


@dataclass(frozen=True)
class Announcement:
    """The newest signed checkpoint: its number within this epoch, and its JSON."""

    number: int
    payload: bytes


@dataclass(frozen=True)
class Shared:
    """What all recipients of an envelope get alike."""

    header: bytes
    signatures: bytes
    body: bytes

    @property
    def size(self) -> int:
        return len(self.header) + len(self.signatures) + len(self.body)


class RecentEnvelopes:
    """The envelopes accepted last, by number, up to `most` bytes: each is fetched by several recipients at once."""

    def __init__(self, most: int = CACHE_BYTES) -> None:
        self._most = most
        self._held: OrderedDict[int, Shared] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()  # filled by the event loop, read by the database's reader threads

    def put(self, n: int, shared: Shared) -> None:
        if shared.size > self._most // 4:
            return
        with self._lock:
            if n not in self._held:
                self._held[n] = shared
                self._size += shared.size
            while self._size > self._most:
                self._size -= self._held.popitem(last=False)[1].size

    def get(self, n: int) -> Shared | None:
        with self._lock:
            return self._held.get(n)


@dataclass(frozen=True)
class _Pick:
    """One item to fetch: its part of the feed, its number there, what it points to, about how long it is."""

    part: str
    number: int
    target: int
    expired: bool
    size: int


def read_page(
    connection: Connection,
    address: str,
    after: Cursor,
    *,
    most: int,
    announced: Announcement,
    recent: RecentEnvelopes,
) -> Page:
    """The next items for `address`: at least one if there is any, else as many as fit in `most` bytes."""
    # Sizes first, bytes second: a mailbox full of the largest bodies must not be read into memory to learn that.
    chosen: list[_Pick] = []
    room, more = most, False
    for pick in _waiting(connection, address, after, announced):
        room -= pick.size
        if chosen and (room < 0 or len(chosen) == PAGE_ITEMS):
            more = True
            break
        chosen.append(pick)
    items: list[Item] = []
    cursor = after
    slots = _slots(connection, [pick.number for pick in chosen if pick.part in LANES])
    for pick in chosen:
        cursor = cursor.moved(pick.part, pick.number)
        if pick.part == CHECKPOINT:
            items.append(Item(ITEM_CHECKPOINT, str(cursor), announced.payload))
        elif pick.part == RECEIPTS:
            proof = connection.execute(select(proofs.c.proof).where(proofs.c.n == pick.target)).scalar_one()
            items.append(Item(ITEM_RECEIPTS, str(cursor), proof))
        else:
            payload = _delivery(connection, pick, slots[pick.number], recent)
            items.append(Item(ITEM_EXPIRED if pick.expired else ITEM_DELIVERY, str(cursor), payload))
    return Page(tuple(items), cursor, more)


def _waiting(connection: Connection, address: str, after: Cursor, announced: Announcement) -> Iterator[_Pick]:
    for part in ORDER:
        if part == CHECKPOINT:
            if announced.number > after[CHECKPOINT]:
                yield _Pick(part, announced.number, 0, False, len(announced.payload) + _ITEM_OVERHEAD)
        elif part == RECEIPTS:
            yield from _proofs(connection, address, after[part])
        else:
            yield from _copies(connection, address, part, after[part])


def _proofs(connection: Connection, address: str, after: int) -> list[_Pick]:
    found = connection.execute(
        select(proof_feed.c.n, proof_feed.c.proof, func.length(proofs.c.proof).label("size"))
        .join(proofs, proofs.c.n == proof_feed.c.proof)
        .where(and_(proof_feed.c.sender == address, proof_feed.c.n > after))
        .order_by(proof_feed.c.n)
        .limit(PAGE_ITEMS + 1)
    )
    return [_Pick(RECEIPTS, row.n, row.proof, False, row.size + _ITEM_OVERHEAD) for row in found]


def _copies(connection: Connection, address: str, lane: str, after: int) -> list[_Pick]:
    found = connection.execute(
        select(
            mailbox.c.n,
            mailbox.c.envelope,
            mailbox.c.expired,
            func.length(envelopes.c.header).label("head"),
            func.length(envelopes.c.signatures).label("signed"),
            envelopes.c.size,
        )
        .join(envelopes, envelopes.c.n == mailbox.c.envelope)
        .where(and_(mailbox.c.recipient == address, mailbox.c.lane == LANES.index(lane), mailbox.c.n > after))
        .order_by(mailbox.c.n)
        .limit(PAGE_ITEMS + 1)
    )
    picks = []
    for row in found:
        # `size` counts every recipient's slot; close enough to the delivery, and never below it
        size = row.head + row.signed + SLOT_BYTES if row.expired else row.size
        picks.append(_Pick(lane, row.n, row.envelope, bool(row.expired), size + _ITEM_OVERHEAD))
    return picks


def _slots(connection: Connection, numbers: list[int]) -> dict[int, bytes]:
    if not numbers:
        return {}
    found = connection.execute(select(mailbox.c.n, mailbox.c.slot).where(mailbox.c.n.in_(numbers)))
    return {row.n: row.slot for row in found}


def _delivery(connection: Connection, pick: _Pick, slot: bytes, recent: RecentEnvelopes) -> bytes:
    shared = None if pick.expired else recent.get(pick.target)
    if shared is None:
        row = connection.execute(
            select(envelopes.c.header, envelopes.c.signatures, bodies.c.body)
            .outerjoin(bodies, bodies.c.envelope == envelopes.c.n)
            .where(envelopes.c.n == pick.target)
        ).one()
        shared = Shared(row.header, row.signatures, b"" if pick.expired else row.body)
    return Delivery(shared.header, shared.signatures, slot, shared.body, pick.expired).to_bytes()
