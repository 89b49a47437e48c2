"""Owns how a delivery that the feed has only named comes in: piece by piece, on from where the link was cut off (§8.1).

What has come is in memory only: a node that ends begins the delivery anew. Nothing of it is judged before it is whole,
and then by opening.py as any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

from exchange.errors import Refused, Rejected, Unavailable
from exchange.node.store import receipts as store_receipts
from exchange.node.store.store import Store
from exchange.node.uplink.api import Feed, HubApi, Page
from exchange.pacing import Window
from exchange.protocol import ITEM_DELIVERY, ITEM_LARGE, ITEM_NOTHING, Item, Large


class LargeDeliveries:
    """One at a time, as they come in the feed: a chain's order holds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._name: Large | None = None
        self._come = bytearray()

    async def fetch(self, hub: HubApi, item: Item) -> Item:
        """The delivery that `item` names, in its place.

        One that is stored here, or isn't there any more (expired, receipted), leaves nothing.
        Raises Rejected request.bad for a name that is none; Unavailable as `HubApi.piece`: what has come is kept.
        """
        name = Large.from_bytes(item.payload)
        if await self._store.db.read(partial(store_receipts.is_owed, env=name.env)):
            await self._store.db.write(partial(store_receipts.owe_again, env=name.env))
            return Item(ITEM_NOTHING, item.cursor, b"")
        if name != self._name:
            self._name, self._come = name, bytearray()
        while len(self._come) < name.size:
            try:
                piece = await hub.piece(name.env, len(self._come))
            except Refused as refusal:
                if refusal.code != "request.not-found":
                    raise
                self._name, self._come = None, bytearray()
                return Item(ITEM_NOTHING, item.cursor, b"")
            if not 0 < len(piece) <= name.size - len(self._come):
                self._name, self._come = None, bytearray()
                raise Unavailable("hub.unreachable", "a piece isn't as long as it should be")
            self._come += piece
        whole = bytes(self._come)
        self._name, self._come = None, bytearray()
        return Item(ITEM_DELIVERY, item.cursor, whole)


def is_named_flash(item: Item) -> bool:
    """Whether it only names a flash delivery: nothing overtakes that. A name that is none is `fetch`'s to refuse."""
    try:
        return item.type == ITEM_LARGE and Large.from_bytes(item.payload).lane == "flash"
    except Rejected:
        return False


def runs(items: Sequence[Item], most: int) -> Iterator[Sequence[Item]]:
    """Items in order, up to `most` together; one that is only named by itself."""
    run: list[Item] = []
    for item in items:
        if run and (item.type == ITEM_LARGE or len(run) == most):
            yield run
            run = []
        if item.type == ITEM_LARGE:
            yield [item]
        else:
            run.append(item)
    if run:
        yield run


async def overtaken(
    work: Coroutine[Any, Any, Item], feed: Feed | None, take: Callable[[Sequence[Item]], Awaitable[None]]
) -> Item:
    """The outcome of `work`; flash that comes meanwhile is taken at once."""
    working = asyncio.create_task(work)
    try:
        while feed is not None and not working.done():
            urgent = asyncio.create_task(feed.overtaking())
            try:
                await asyncio.wait((working, urgent), return_when=asyncio.FIRST_COMPLETED)
            finally:
                urgent.cancel()
            if urgent.done() and not urgent.cancelled():
                await take(urgent.result())
                await feed.overtook(urgent.result())
        return await working
    finally:
        working.cancel()


async def timed_page(hub: HubApi, seconds: Callable[[], float], cursor: str, window: Window) -> Page:
    """What waits now: as much as the link brings before it may be cut. `seconds()` is a monotonic clock."""
    began = seconds()
    page = await hub.mailbox(cursor, 0, window.size)
    window.passed(sum(len(item.payload) for item in page.items), seconds() - began)
    return page
