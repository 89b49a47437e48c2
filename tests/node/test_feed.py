"""The node's end of the feed: what is named only, what overtakes it, and what a link that breaks has brought."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
import orjson
import pytest

from exchange.errors import Unavailable
from exchange.header import DirRef
from exchange.node.identity import Identity
from exchange.node.mail.large import runs
from exchange.node.uplink.feed import SocketFeed
from exchange.protocol import ITEM_DELIVERY, ITEM_LARGE, ITEM_NOTHING, Item, Large
from tests.hub_services import sealed
from tests.worlds import World, keys, make_world

WORLD = make_world()


class Sent:
    """The other end of a WebSocket that brings these frames and then breaks; what it is told is noted."""

    close_code = 1006
    closed = True

    def __init__(self, frames: Sequence[bytes | str]) -> None:
        self.frames = iter(frames)
        self.told: list[dict[str, Any]] = []

    def __aiter__(self) -> Sent:
        return self

    async def __anext__(self) -> aiohttp.WSMessage:
        try:
            frame = next(self.frames)
        except StopIteration:
            raise StopAsyncIteration from None
        kind = aiohttp.WSMsgType.TEXT if isinstance(frame, str) else aiohttp.WSMsgType.BINARY
        return aiohttp.WSMessage(kind, frame, None)

    async def send_str(self, text: str) -> None:
        self.told.append(orjson.loads(text))


def delivery(world: World, lane: str, cursor: str) -> Item:
    made = sealed(world, DirRef(1, bytes(32), bytes(32)), lane=lane)
    return Item(ITEM_DELIVERY, cursor, made.upload.delivery(0).to_bytes())


def numbers() -> Iterator[str]:
    n = 0
    while True:
        n += 1
        yield str(n)


def feed_of(*frames: bytes | str) -> tuple[SocketFeed, Sent]:
    socket: Any = Sent(frames)
    return SocketFeed(socket, "https://hub", Identity(WORLD.net, "co-csirt", keys("co-csirt"))), socket


async def test_a_page_ends_with_what_is_only_named_so_that_flash_can_overtake_it() -> None:
    cursor = numbers()
    small = delivery(WORLD, "routine", next(cursor))
    large = Item(ITEM_LARGE, next(cursor), Large(bytes(32), 70_000, "routine").to_bytes())
    rest = delivery(WORLD, "routine", next(cursor))
    flash = delivery(WORLD, "flash", next(cursor))
    feed, socket = feed_of(*(item.to_bytes() for item in (small, large, rest, flash)), '{"type":"drained"}')
    await feed.read()
    first = await feed.next(5)
    assert first.items == (small, large)
    assert first.more
    overtaking = await feed.overtaking()
    assert overtaking == (flash,)
    assert await feed.overtaking() == (flash,), "not stored yet"
    await feed.overtook(overtaking)
    await feed.stored(large.cursor)
    assert feed.left() == (rest, Item(ITEM_NOTHING, flash.cursor, b""))
    last = await feed.next(5)
    assert [item.type for item in last.items] == [ITEM_DELIVERY, ITEM_NOTHING]
    assert not last.more, "the hub has said that nothing waits"
    await feed.stored(last.items[-1].cursor)
    told = [("overtook", flash.cursor), ("stored", large.cursor), ("stored", flash.cursor)]
    assert [(one["type"], one["cursor"]) for one in socket.told] == told
    with pytest.raises(Unavailable, match=r"hub\.unreachable"):
        await feed.next(5)


async def test_no_flash_overtakes_a_flash_that_is_only_named() -> None:
    """It may be the next of the same chain. What comes before the name goes on."""
    cursor = numbers()
    large = Item(ITEM_LARGE, next(cursor), Large(bytes(32), 70_000, "routine").to_bytes())
    first = delivery(WORLD, "flash", next(cursor))
    named = Item(ITEM_LARGE, next(cursor), Large(bytes(32), 70_000, "flash").to_bytes())
    behind = delivery(WORLD, "flash", next(cursor))
    feed, _ = feed_of(*(item.to_bytes() for item in (large, first, named, behind)))
    await feed.read()
    assert (await feed.next(5)).items == (large,)
    overtaking = await feed.overtaking()
    assert overtaking == (first,)
    await feed.overtook(overtaking)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(feed.overtaking(), 0.01)
    assert feed.left()[-2:] == (named, behind)


async def test_what_came_before_the_link_broke_is_there_until_it_is_stored() -> None:
    cursor = numbers()
    came = [delivery(WORLD, "routine", next(cursor)) for _ in range(3)]
    feed, _ = feed_of(came[0].to_bytes() + came[1].to_bytes(), came[2].to_bytes())
    await feed.read()
    assert (await feed.next(5)).items == tuple(came)
    assert feed.left() == tuple(came)
    await feed.stored(came[1].cursor)
    assert feed.left() == (came[2],)


async def test_nothing_overtakes_before_flash_comes() -> None:
    feed, _ = feed_of(delivery(WORLD, "immediate", "1").to_bytes())
    await feed.read()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(feed.overtaking(), 0.01)


def test_runs_keep_the_order_and_name_each_large_one_alone() -> None:
    items = [Item(ITEM_LARGE if n in (0, 4, 5) else ITEM_DELIVERY, str(n), b"") for n in range(9)]
    assert [[int(item.cursor) for item in run] for run in runs(items, 2)] == [
        [0],
        [1, 2],
        [3],
        [4],
        [5],
        [6, 7],
        [8],
    ]
