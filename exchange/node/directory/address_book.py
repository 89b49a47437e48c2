"""Owns the address book as the serving process looks it up: made from the log and the parts, kept for a few seconds."""

from __future__ import annotations

import asyncio
from typing import Final

from exchange.directory.book import Book
from exchange.directory.owners import Owners
from exchange.node.directory.replica import Replica
from exchange.node.identity import Sources
from exchange.node.store.parts import all_parts
from exchange.node.store.store import Store

KEEP_MS: Final = 5_000  # so old may it be; making it takes long in a large network


class AddressBook:
    """The book of one node. One per process that owns the home."""

    def __init__(self, store: Store, replica: Replica, sources: Sources) -> None:
        self._store = store
        self._replica = replica
        self._sources = sources
        self._making = asyncio.Lock()
        self._made_at = 0
        self._book: Book | None = None
        self._owners: Owners | None = None

    async def book(self) -> Book:
        """As it was at most KEEP_MS ago, and never of an older log. Raises Refused node.not-joined."""
        directory = self._replica.directory
        async with self._making:
            old = self._sources.monotonic() - self._made_at > KEEP_MS
            if self._book is None or old or self._book.size != directory.size:
                parts = await self._store.db.read(lambda c: all_parts(c, self._store.cipher))
                self._book = Book.build(directory, parts, self._sources.clock())
                self._owners, self._made_at = None, self._sources.monotonic()
            return self._book

    async def owners(self) -> Owners:
        """Whose network, AS or name something is, by that book. Raises as `book`."""
        book = await self.book()
        if self._owners is None:
            self._owners = Owners.build(book)
        return self._owners
