"""Owns what comes into the node's TAXII collections and what leaves them: message by message, a chunk at a time.

    await adding.settle(keys)      what came is in, what ended is out

Which objects a message has, with which facts, is reading.py's; who sees them is collections.py's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import orjson

from exchange.limits import DAY_MS
from exchange.node.identity import Sources
from exchange.node.store import bound, feeds as store_feeds, outside as store_outside, taxii as rows
from exchange.node.store.inbox import DOUBTS
from exchange.node.store.store import Store, Transaction, raise_alarm
from exchange.node.store.taxii import Facts, Keys
from exchange.node.taxii.reading import Chunk, Incoming, read_waiting

CHUNK: Final = 256  # objects added in one transaction: mail must get its turn
MAX_STEPS: Final = 10_000  # in one settling
OTHER_CONTENT: Final = "taxii.other-content"


class Adding:
    """Adds what came. One per process that owns the home."""

    def __init__(self, store: Store, sources: Sources) -> None:
        self._store = store
        self._sources = sources

    async def settle(self, keys: Keys) -> bool:
        """Add what has come since, and let go what has ended; whether that is all.

        What leaves the inbox has left with it. One at a time: Filling sees to it.
        """
        for _ in range(MAX_STEPS):
            if not await self._store.db.read(partial(rows.is_due, now=self._sources.clock())):
                return True
            await self._store.db.write(partial(self._tidy, keys))
            waiting = await self._store.db.read(partial(read_waiting, self._store.cipher, CHUNK))
            await self._take(keys, waiting)
        return False

    def _tidy(self, keys: Keys, connection: Transaction) -> None:
        """Let go what has ended, and ask what feeds say of some of what an older version added."""
        cipher = self._store.cipher
        rows.end_due(connection, now=self._sources.clock())
        unseen = rows.unseen(connection, cipher, limit=CHUNK)
        said = self._said(connection, keys, (one.id for one in unseen))
        for one in unseen:
            facts = bound.bound(
                rows.facts_of(connection, cipher, one.class_n), said.get(one.id, bound.Said())
            )
            class_n = rows.class_of(connection, cipher, keys, facts)
            rows.set_thing(connection, one.added, _thing_of(keys, one.id), class_n)

    async def _take(self, keys: Keys, waiting: Sequence[Incoming]) -> None:
        """Add these messages in order, a transaction for each `CHUNK` objects; the cursor stands in it."""
        left = deque(waiting)
        while left:
            chunks, room = list[Chunk](), CHUNK
            while left and room > 0:
                incoming = left.popleft()
                chunk = incoming.chunk(room)
                chunks.append(chunk)
                room -= max(len(chunk.items), 1)
                if not chunk.last:
                    left.appendleft(incoming.after(chunk))
            size = sum(chunk.size for chunk in chunks)
            await self._store.db.write(partial(self._add_all, keys, chunks), size=size)

    def _add_all(self, keys: Keys, chunks: Sequence[Chunk], connection: Transaction) -> None:
        for chunk in chunks:
            self.add(keys, chunk, connection)

    def add(self, keys: Keys, chunk: Chunk, connection: Transaction) -> None:
        """Add a chunk as it was read, unless its message is another matter by now; and go on behind it."""
        found = rows.next_received(connection, chunk.n)
        # erased since it was read, or come into doubt
        stands = found is not None and found.n == chunk.n and not DOUBTS & set(found.marks.split())
        if stands and not chunk.done:
            if chunk.replaces and not chunk.again:
                rows.replace(connection, keys, chunk.sender, chunk.replaces, by=chunk.n)
            if rows.is_replaced(connection, keys, chunk.sender, chunk.message_id):
                rows.set_aside(connection, keys, chunk.sender, chunk.message_id, chunk.n)
            elif chunk.items:
                rows.add_source(connection, chunk.n, ends=chunk.ends)
        if stands and rows.has_source(connection, chunk.n):
            items = self._items(connection, keys, chunk)
            self._compare(connection, keys, chunk.sender, items)
            rows.add(connection, self._store.cipher, keys, chunk.n, items, now=self._sources.clock())
        done = None if chunk.last else chunk.done + len(chunk.items)
        if chunk.again:
            rows.set_again(connection, chunk.n, done)
        elif done is None:
            rows.set_cursor(connection, chunk.n + 1, 0)
        else:
            rows.set_cursor(connection, chunk.n, done)

    def _items(self, connection: Transaction, keys: Keys, chunk: Chunk) -> list[rows.Item]:
        """Its objects with their classes: what feeds say of them too counts (docs/feeds.md)."""
        said = self._said(connection, keys, (head.id for head, _, _ in chunk.items))
        numbers = dict[Facts, int]()

        def number(facts: Facts) -> int:
            if facts not in numbers:
                numbers[facts] = rows.class_of(connection, self._store.cipher, keys, facts)
            return numbers[facts]

        return [
            rows.Item(
                head,
                number(bound.bound(own, said[head.id]) if head.id in said else own),
                data,
                thing=_thing_of(keys, head.id),
                own_class=number(own),
            )
            for head, own, data in chunk.items
        ]

    def _compare(self, connection: Transaction, keys: Keys, sender: str, items: Iterable[rows.Item]) -> None:
        """Alarm where another member sent something else under an id and version: once a day for these two."""
        now, told = self._sources.clock(), set[str]()
        for item, other in rows.others(connection, keys, (item for item in items if item.thing)):
            who = rows.facts_of(connection, self._store.cipher, other.class_n).sender
            if who == sender or who in told:
                continue
            there = rows.data_of(connection, self._store.cipher, other.added)
            if _content(there) == _content(item.data):
                continue  # spelt in another way
            told.add(who)
            about = " ".join(sorted((sender, who)))
            key = f"{OTHER_CONTENT}/{about}/{now // DAY_MS}"
            raise_alarm(connection, key=key, at=now, code=OTHER_CONTENT, subject=about)

    def _said(self, connection: Transaction, keys: Keys, ids: Iterable[str]) -> dict[str, bound.Said]:
        """What feeds say of these objects; those that they say nothing of are left out."""
        if store_outside.is_empty(connection):
            return {}
        readers = store_feeds.readers(connection)
        things = store_outside.things(connection, keys, (one for one in ids if _thing_of(keys, one)))
        return {
            id_: bound.Said.of(thing.said, thing.pap, thing.feeds, readers) for id_, thing in things.items()
        }


def _content(data: bytes) -> dict[str, Any]:
    """What an object says, but for `created`: nodes of older versions make another one of the same entry of MISP."""
    return {name: each for name, each in orjson.loads(data).items() if name != "created"}


def _thing_of(keys: Keys, id_: str) -> int:
    """As which thing feeds may speak of an object that a member sent; 0 for what is everybody's."""
    return 0 if id_.partition("--")[0] in bound.FREE else store_outside.key_of(keys, id_)
