"""The feed's two transports: WebSocket push, and long poll where something on the way kills WebSockets (§8, §11.8)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import islice
from typing import Final
from urllib.parse import quote

import aiohttp
import orjson

from exchange.canonical import Json, b64, unb64
from exchange.errors import Rejected, Unavailable
from exchange.header import parse_header
from exchange.limits import (
    LARGE_BYTES,
    MAX_PAGE_BYTES,
    MAX_UPLOAD,
    PAGE_BYTES,
    SOCKET_BYTES,
    SOCKET_ITEMS,
    URGENT_BYTES,
    URGENT_ITEMS,
)
from exchange.node.identity import Identity
from exchange.node.mail.large import is_named_flash
from exchange.node.uplink.answers import tries_later
from exchange.node.uplink.api import Feed, Page
from exchange.node.uplink.carrier import POLL, SOCKET, Carrier
from exchange.pacing import Window
from exchange.protocol import ITEM_DELIVERY, ITEM_LARGE, ITEM_NOTHING, SOCKET as SOCKET_PATH, Item, items
from exchange.token import socket_message
from exchange.wire import Delivery

OPEN_SECONDS: Final = 15  # for the upgrade, then again for the first challenge
ALIVE_SECONDS: Final = 30.0  # a ping this often finds a dead connection
_MAX_FRAME: Final = MAX_UPLOAD + MAX_PAGE_BYTES
_MOST_BYTES: Final = SOCKET_BYTES + URGENT_BYTES
_MOST_ITEMS: Final = SOCKET_ITEMS + URGENT_ITEMS


class SocketUnusable(Exception):
    """The WebSocket could not be opened, though something answers: long poll instead."""


class PollFeed:
    """The feed by long poll. Pages as long as the link bears: one must come through before it is cut."""

    def __init__(
        self,
        mailbox: Callable[[str, int, int], Awaitable[Page]],
        after: str,
        *,
        seconds: Callable[[], float],
        carrier: Carrier | None = None,
    ) -> None:
        """`seconds()` is a monotonic clock; `carrier` says when a WebSocket is to be tried again, None: never."""
        self._mailbox = mailbox
        self._after = after
        self._seconds = seconds
        self._carrier = carrier
        self._window = Window(least=LARGE_BYTES, most=PAGE_BYTES)
        self._waits = False  # only what comes at once says how fast the link is

    async def next(self, wait: float) -> Page:
        """Raises Unavailable where its time is over and nothing waits."""
        began = self._seconds()
        if self._waits and self._carrier is not None and self._carrier.next == SOCKET:
            raise Unavailable("hub.unreachable", "long poll ends: a WebSocket is tried again")
        page = await self._mailbox(self._after, int(wait) if self._waits else 0, self._window.size)
        size = sum(len(item.payload) for item in page.items)
        if size and not self._waits:
            self._window.passed(size, self._seconds() - began)
        self._waits = not page.more
        return page

    async def overtaking(self) -> tuple[Item, ...]:
        await asyncio.Event().wait()  # nothing comes unasked
        return ()

    async def overtook(self, items: Sequence[Item]) -> None:
        pass

    def left(self) -> tuple[Item, ...]:
        return ()

    async def stored(self, cursor: str) -> None:
        self._after = cursor


class SocketFeed:
    """The feed by WebSocket: items as they come, challenges answered on the way."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, origin: str, identity: Identity) -> None:
        self._socket = socket
        self._origin = origin
        self._identity = identity
        self._come: deque[Item] = deque()
        self._handed: deque[Item] = deque()  # out, and not known to be stored yet
        self._news = asyncio.Event()
        self._arrived = asyncio.Event()
        self._ended = False
        self._more = True  # until the hub says that nothing waits
        self._looked_at = 0  # items from the left whose lane is known not to be flash
        self._waiting = 0  # bytes of items read and not asked for yet
        self._room = asyncio.Event()
        self.brought = False  # anything at all

    @property
    def is_closed(self) -> bool:
        """Whether the connection is over."""
        return self._socket.closed

    async def authenticate(self) -> None:
        """Answer the first challenge. Raises SocketUnusable when none comes."""
        try:
            message = await self._socket.receive(timeout=OPEN_SECONDS)
        except TimeoutError:
            raise SocketUnusable from None
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise SocketUnusable
        await self._hear(message.data)

    async def read(self) -> None:
        """Bring in what the hub sends, no further ahead than it may be (§11.8), until the connection ends."""
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self._hear(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    for item in items(message.data):
                        await self._come_in(item)
        finally:
            self._ended = True
            self._news.set()

    async def _come_in(self, item: Item) -> None:
        while self._come and (
            self._waiting + len(item.payload) > _MOST_BYTES or len(self._come) >= _MOST_ITEMS
        ):
            self._room.clear()
            await self._room.wait()
        self._waiting += len(item.payload)
        self._come.append(item)
        self._more = self.brought = True
        self._news.set()
        self._arrived.set()

    async def next(self, wait: float) -> Page:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._news.wait()
        come = tuple(self._page())
        if self._ended and not come:
            raise Unavailable("hub.unreachable", f"the socket closed ({self._socket.close_code})")
        self._handed.extend(come)
        if not (self._come or self._ended):
            self._news.clear()
        self._waiting -= sum(len(item.payload) for item in come)
        self._looked_at = 0
        self._room.set()
        return Page(come, more=self._more or bool(self._come))

    def _page(self) -> Iterator[Item]:
        """Up to and with the first that is only named: what comes behind it can still overtake it."""
        for _ in range(min(SOCKET_ITEMS, len(self._come))):
            item = self._come.popleft()
            yield item
            if item.type == ITEM_LARGE:
                return

    async def overtaking(self) -> tuple[Item, ...]:
        while True:
            self._arrived.clear()
            found = []
            for item in islice(self._come, self._looked_at, None):
                if is_named_flash(item):
                    break  # what comes behind it may be the next of its chain
                if lane_of(item) == "flash":
                    found.append(item)
                elif not found:
                    self._looked_at += 1
            if found:
                return tuple(found)
            await self._arrived.wait()

    async def overtook(self, items: Sequence[Item]) -> None:
        for place, item in enumerate(self._come):
            if item in items:
                self._waiting -= len(item.payload)
                # its cursor comes in its turn: it speaks for all that came before
                self._come[place] = Item(ITEM_NOTHING, item.cursor, b"")
        self._room.set()
        for item in items:
            await self._send({"type": "overtook", "cursor": item.cursor})

    def left(self) -> tuple[Item, ...]:
        return (*self._handed, *self._come)

    async def stored(self, cursor: str) -> None:
        while self._handed and self._handed.popleft().cursor != cursor:
            pass
        await self._send({"type": "stored", "cursor": cursor})

    async def _hear(self, text: str) -> None:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = None
        word = value.get("type") if isinstance(value, dict) else None
        if word == "drained":
            self._more = False
            self._news.set()
        elif word == "challenge":
            await self._answer(value)
        # else a word this version doesn't know

    async def _answer(self, value: dict[str, Json]) -> None:
        try:
            nonce = unb64(value.get("nonce"), size=32, field="nonce")
        except Rejected:
            return  # not answered: the hub closes
        message = socket_message(self._identity.net, self._origin, nonce)
        signature = self._identity.keys.sign_transport(message)
        await self._send({"type": "auth", "iss": self._identity.address, "signature": b64(signature)})

    async def _send(self, value: Json) -> None:
        try:
            await self._socket.send_str(orjson.dumps(value).decode("ascii"))
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Unavailable("hub.unreachable", "the socket closed") from error


def lane_of(item: Item) -> str:
    """The lane of a delivery, as its header says; "" for anything else."""
    if item.type != ITEM_DELIVERY:
        return ""
    try:
        return parse_header(Delivery.from_bytes(item.payload).header).lane
    except Rejected:
        return ""


@asynccontextmanager
async def open_socket(
    session: aiohttp.ClientSession,
    origin: str,
    identity: Identity,
    *,
    after: str,
    proxy: str | None,
    proxy_headers: dict[str, str] | None,
) -> AsyncIterator[SocketFeed]:
    """An authenticated WebSocket to the hub: the items after a cursor.

    Raises Unavailable; SocketUnusable before anything came, where something on the way may have killed it.
    """
    try:
        socket = await asyncio.wait_for(
            session.ws_connect(
                f"{origin}{SOCKET_PATH}?after={quote(after, safe='')}&large={LARGE_BYTES}",
                heartbeat=ALIVE_SECONDS,
                max_msg_size=_MAX_FRAME,
                proxy=proxy,
                proxy_headers=proxy_headers,
            ),
            OPEN_SECONDS,
        )
    except (
        aiohttp.ClientConnectorError,
        aiohttp.ClientProxyConnectionError,
        aiohttp.ClientHttpProxyError,
    ) as error:
        raise Unavailable("hub.unreachable", f"{type(error).__name__}") from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        if isinstance(error, aiohttp.WSServerHandshakeError) and tries_later(error.status):
            raise Unavailable("hub.unreachable", f"HTTP {error.status} for a WebSocket") from error
        raise SocketUnusable from None
    feed = SocketFeed(socket, origin, identity)
    try:
        await feed.authenticate()
        reader = asyncio.create_task(feed.read())
        try:
            yield feed
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
    finally:
        await socket.close()


@asynccontextmanager
async def carried(
    carrier: Carrier, socket: AbstractAsyncContextManager[SocketFeed], poll: PollFeed
) -> AsyncIterator[Feed]:
    """The feed by whichever the `carrier` wants, who hears how a WebSocket did. Raises Unavailable."""
    try:
        if carrier.next == SOCKET:
            try:
                async with socket as feed:
                    carrier.carries, began = SOCKET, carrier.seconds()
                    try:
                        yield feed
                    finally:
                        lasted = carrier.seconds() - began
                        carrier.ended(after=lasted, brought=feed.brought, cut=feed.is_closed)
                    return
            except SocketUnusable:
                carrier.killed()
        carrier.carries = POLL
        yield poll
    finally:
        carrier.carries = ""
