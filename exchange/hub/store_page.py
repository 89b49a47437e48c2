"""Reading a mailbox: the next items of one address after a cursor, within a number of bytes (docs/protocol.md §8.1).

Owns the queries and the order of parts; reads only. Bodies of envelopes many are about to fetch come from memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from exchange.header import LANES
from exchange.hub.store_cursor import CHECKPOINT, RECEIPTS, Cursor, order_of
from exchange.hub.store_tables import bodies, envelopes, mailbox, proof_feed, proofs
from exchange.protocol import ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_EXPIRED, ITEM_RECEIPTS, Item
from exchange.wire import Delivery

PAGE_ITEMS: Final = 256
CACHE_BYTES: Final = 32 * 1024 * 1024
_ITEM_OVERHEAD: Final = 128
_LEAST_ITEM: Final = 4_096  # bytes: any item has a signature of 3,373 in it


@dataclass(frozen=True)
class Page:
    """Items in order, the cursor after the last one, and whether more wait."""

    items: tuple[Item, ...]
    cursor: Cursor
    more: bool


@dataclass(frozen=True)
class Announcement:
    """The newest signed checkpoint: its number within this epoch, its JSON.

    `urgent` is the number of the newest one that took trust from somebody: who hasn't seen it gets it first.
    """

    number: int
    payload: bytes
    urgent: int = 0


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
    size: int
    slot: bytes = b""
    expired: bool = False


# Built once: putting a statement together costs more than running it.
_COPIES = (
    select(mailbox.c.n, mailbox.c.envelope, mailbox.c.expired, mailbox.c.slot, envelopes.c.delivery)
    .join(envelopes, envelopes.c.n == mailbox.c.envelope)
    .where(
        mailbox.c.recipient == bindparam("address"),
        mailbox.c.lane == bindparam("lane_is"),
        mailbox.c.n > bindparam("after"),
        envelopes.c.accepted_at >= bindparam("since"),
    )
    .order_by(mailbox.c.n)
    .limit(bindparam("most"))
)
_PROOFS = (
    select(proof_feed.c.n, proof_feed.c.proof, func.length(proofs.c.proof).label("size"))
    .join(proofs, proofs.c.n == proof_feed.c.proof)
    .where(proof_feed.c.sender == bindparam("address"), proof_feed.c.n > bindparam("after"))
    .order_by(proof_feed.c.n)
    .limit(bindparam("most"))
)
_PROOF = select(proofs.c.proof).where(proofs.c.n == bindparam("which"))
_SHARED = (
    select(envelopes.c.header, envelopes.c.signatures, bodies.c.body)
    .outerjoin(bodies, bodies.c.envelope == envelopes.c.n)
    .where(envelopes.c.n == bindparam("which"))
)


def read_page(
    connection: Connection,
    address: str,
    after: Cursor,
    *,
    most: int,
    announced: Announcement,
    recent: RecentEnvelopes,
    since: int = 0,
) -> Page:
    """The next items for `address`: at least one if there is any, else as many as fit in `most` bytes.

    Of its mail only what was accepted at `since` (ms) or later.
    """
    # Sizes first, bodies second: a mailbox full of the largest ones must not be read into memory to learn that.
    chosen: list[_Pick] = []
    room, more = most, False
    for pick in _waiting(connection, address, after, announced=announced, most=most, since=since):
        room -= pick.size
        if chosen and (room < 0 or len(chosen) == PAGE_ITEMS):
            more = True
            break
        chosen.append(pick)
    items: list[Item] = []
    cursor = after
    for pick in chosen:
        cursor = cursor.moved(pick.part, pick.number)
        if pick.part == CHECKPOINT:
            items.append(Item(ITEM_CHECKPOINT, str(cursor), announced.payload))
        elif pick.part == RECEIPTS:
            proof = connection.execute(_PROOF, {"which": pick.target}).scalar_one()
            items.append(Item(ITEM_RECEIPTS, str(cursor), proof))
        else:
            kind = ITEM_EXPIRED if pick.expired else ITEM_DELIVERY
            items.append(Item(kind, str(cursor), _delivery(connection, pick, recent)))
    return Page(tuple(items), cursor, more)


def _waiting(
    connection: Connection, address: str, after: Cursor, *, announced: Announcement, most: int, since: int
) -> Iterator[_Pick]:
    """What waits in the order of service; each part is looked at only when there is room for it."""
    count = min(PAGE_ITEMS, most // _LEAST_ITEM) + 1
    for part in order_of(after, announced.urgent):
        place = {"address": address, "after": after[part], "most": count}
        if part == CHECKPOINT:
            if announced.number > after[CHECKPOINT]:
                yield _Pick(part, announced.number, 0, len(announced.payload) + _ITEM_OVERHEAD)
        elif part == RECEIPTS:
            for proof in connection.execute(_PROOFS, place).all():
                yield _Pick(part, proof.n, proof.proof, proof.size + _ITEM_OVERHEAD)
        else:
            for copy in connection.execute(
                _COPIES, {**place, "lane_is": LANES.index(part), "since": since}
            ).all():
                size = copy.delivery + _ITEM_OVERHEAD
                yield _Pick(part, copy.n, copy.envelope, size, copy.slot, bool(copy.expired))


def _delivery(connection: Connection, pick: _Pick, recent: RecentEnvelopes) -> bytes:
    shared = None if pick.expired else recent.get(pick.target)
    if shared is None:
        row = connection.execute(_SHARED, {"which": pick.target}).one()
        shared = Shared(row.header, row.signatures, b"" if pick.expired else row.body)
    return Delivery(shared.header, shared.signatures, pick.slot, shared.body, pick.expired).to_bytes()
