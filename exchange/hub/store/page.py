"""Reading a mailbox: the next items of one address after a cursor, within a number of bytes (docs/protocol.md §8.1).

Owns the queries and the order of parts; reads only. Bodies of envelopes many are about to fetch come from memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select

from exchange.header import LANES
from exchange.hub.store.cursor import CHECKPOINT, ORDER, RECEIPTS, Cursor, order_of
from exchange.hub.store.fresh import Copy
from exchange.hub.store.tables import bodies, envelopes, heads, mailbox, proof_feed, proofs, slots
from exchange.protocol import (
    ITEM_CHECKPOINT,
    ITEM_DELIVERY,
    ITEM_EXPIRED,
    ITEM_LARGE,
    ITEM_RECEIPTS,
    Item,
    Large,
    item_head,
)
from exchange.wire import DELIVERY_FRAME, SLOT_BYTES, Delivery

PAGE_ITEMS: Final = 256
CACHE_BYTES: Final = 32 * 1024 * 1024
ITEM_OVERHEAD: Final = 128
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
    """What all recipients of an envelope get alike, `head` (wire.delivery_head) and body; and each one's slot."""

    head: bytes
    slots: bytes
    body: bytes

    @property
    def size(self) -> int:
        return len(self.head) + len(self.slots) + len(self.body)

    def parts(self, place: int) -> tuple[bytes, bytes, bytes]:
        """What the recipient gets whose slot has this place, in pieces."""
        start = place * SLOT_BYTES
        return self.head, self.slots[start : start + SLOT_BYTES], self.body

    def delivery(self, place: int) -> bytes:
        """`parts` in one."""
        return b"".join(self.parts(place))


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
        return self._held.get(n)  # one step of the interpreter: no lock


@dataclass(frozen=True)
class _Pick:
    """One item to fetch: its part of the feed, its number there, what it points to, about how long it is."""

    part: str
    number: int
    target: int
    size: int
    place: int = 0
    expired: bool = False
    large: Large | None = None  # named, not brought


# Built once: putting a statement together costs more than running it.
_COPIES = (
    select(
        mailbox.c.n,
        mailbox.c.envelope,
        mailbox.c.expired,
        mailbox.c.place,
        envelopes.c.delivery,
        envelopes.c.env,
    )
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
_COPY = (
    select(mailbox.c.envelope, mailbox.c.place)
    .join(envelopes, envelopes.c.n == mailbox.c.envelope)
    .where(
        envelopes.c.env == bindparam("env_is"),
        mailbox.c.recipient == bindparam("address"),
        mailbox.c.expired == 0,
        envelopes.c.accepted_at >= bindparam("since"),
    )
)
_SHARED = (
    select(
        heads.c.header,
        heads.c.signatures,
        bodies.c.body,
        func.substr(slots.c.slots, 1 + bindparam("place") * SLOT_BYTES, SLOT_BYTES).label("slot"),
    )
    .join(slots, slots.c.envelope == heads.c.envelope)
    .outerjoin(bodies, bodies.c.envelope == heads.c.envelope)
    .where(heads.c.envelope == bindparam("which"))
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
    large: int = 0,
    urgent: bool = False,
) -> Page:
    """The next items for `address`: at least one if there is any, else as many as fit in `most` bytes.

    Of its mail only what was accepted at `since` (ms) or later. Deliveries of more than `large` bytes (0: none) are
    named, not brought. `urgent`: nothing but flash.
    """
    # Sizes first, bodies second: a mailbox full of the largest ones must not be read into memory to learn that.
    chosen: list[_Pick] = []
    room, more = most, False
    parts = ORDER[:1] if urgent else order_of(after, announced.urgent)
    count = min(PAGE_ITEMS, most // _LEAST_ITEM) + 1
    place = {"address": address, "most": count, "since": since}
    for pick in _waiting(connection, parts, after, place, announced=announced, large=large):
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
        elif pick.large is not None:
            items.append(Item(ITEM_LARGE, str(cursor), pick.large.to_bytes()))
        else:
            kind = ITEM_EXPIRED if pick.expired else ITEM_DELIVERY
            items.append(Item(kind, str(cursor), _delivery(connection, pick, recent)))
    return Page(tuple(items), cursor, more)


def _waiting(
    connection: Connection,
    parts: Sequence[str],
    after: Cursor,
    place: Mapping[str, object],
    *,
    announced: Announcement,
    large: int,
) -> Iterator[_Pick]:
    """What waits in these parts, in their order; each part is looked at only when there is room for it."""
    for part in parts:
        values = {**place, "after": after[part]}
        if part == CHECKPOINT:
            if announced.number > after[CHECKPOINT]:
                yield _Pick(part, announced.number, 0, len(announced.payload) + ITEM_OVERHEAD)
        elif part == RECEIPTS:
            for proof in connection.execute(_PROOFS, values).all():
                yield _Pick(part, proof.n, proof.proof, proof.size + ITEM_OVERHEAD)
        else:
            for copy in _copies(connection, {**values, "lane_is": LANES.index(part)}):
                if 0 < large < copy.delivery and not copy.expired:
                    name = Large(copy.env, copy.delivery + DELIVERY_FRAME, part)
                    yield _Pick(part, copy.n, copy.envelope, ITEM_OVERHEAD, large=name)
                    continue
                size = copy.delivery + ITEM_OVERHEAD
                yield _Pick(part, copy.n, copy.envelope, size, copy.place, bool(copy.expired))


def _copies(connection: Connection, values: Mapping[str, Any]) -> Iterator[Any]:
    """Every row of a lane, looked up a few at a time: many that are only named fit where few whole ones do."""
    rows = connection.execute(_COPIES, values).all()
    while rows:
        yield from rows
        if len(rows) < values["most"]:
            return
        rows = connection.execute(_COPIES, {**values, "after": rows[-1].n}).all()


def delivery_parts(copy: Copy, shared: Shared, cursor: str, *, large: int) -> tuple[tuple[bytes, ...], int]:
    """The item of a copy that stands in memory, in pieces, and its size; over `large` bytes (0: none) only named."""
    size = copy.delivery + DELIVERY_FRAME
    if 0 < large < copy.delivery:
        named = Item(ITEM_LARGE, cursor, Large(copy.env, size, LANES[copy.lane]).to_bytes()).to_bytes()
        return (named,), len(named)
    head = item_head(ITEM_DELIVERY, cursor, size)
    return (head, *shared.parts(copy.place)), len(head) + size


def read_piece(
    connection: Connection,
    address: str,
    env: bytes,
    *,
    start: int,
    most: int,
    recent: RecentEnvelopes,
    since: int = 0,
) -> bytes | None:
    """Up to `most` bytes, from `start` on, of the delivery that waits for `address`. None where none does."""
    copy = connection.execute(_COPY, {"address": address, "env_is": env, "since": since}).one_or_none()
    if copy is None:
        return None
    pick = _Pick("", 0, copy.envelope, 0, copy.place)
    return _delivery(connection, pick, recent)[start : start + most]


def _delivery(connection: Connection, pick: _Pick, recent: RecentEnvelopes) -> bytes:
    shared = None if pick.expired else recent.get(pick.target)
    if shared is not None:
        return shared.delivery(pick.place)
    row = connection.execute(_SHARED, {"which": pick.target, "place": pick.place}).one()
    return Delivery(
        row.header, row.signatures, row.slot, b"" if pick.expired else row.body, pick.expired
    ).to_bytes()
