"""The feed's two transports: WebSocket push, and long poll where something on the way kills WebSockets (§8, §11.8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import orjson

from exchange.canonical import Json, b64, unb64
from exchange.errors import Rejected, Unavailable
from exchange.limits import MAX_PAGE_BYTES, MAX_UPLOAD, PAGE_BYTES, SOCKET_BYTES, SOCKET_ITEMS
from exchange.node.hub_api import Page
from exchange.node.identity import Identity
from exchange.protocol import SOCKET, Item, items
from exchange.token import socket_message

OPEN_SECONDS: Final = 15  # for the upgrade, then again for the first challenge
ALIVE_SECONDS: Final = 30.0  # a ping this often finds a dead connection
_MAX_FRAME: Final = MAX_UPLOAD + MAX_PAGE_BYTES


class SocketUnusable(Exception):
    """The WebSocket could not be opened: long poll instead."""


class PollFeed:
    """The feed by long poll."""

    def __init__(self, mailbox: Callable[[str, int, int], Awaitable[Page]], after: str) -> None:
        self._mailbox = mailbox
        self._after = after

    async def next(self, wait: float) -> Page:
        return await self._mailbox(self._after, int(wait), PAGE_BYTES)

    async def stored(self, cursor: str) -> None:
        self._after = cursor


class SocketFeed:
    """The feed by WebSocket: items as they come, challenges answered on the way."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, origin: str, identity: Identity) -> None:
        self._socket = socket
        self._origin = origin
        self._identity = identity
        self._come: asyncio.Queue[Item | None] = asyncio.Queue(SOCKET_ITEMS)
        self._waiting = 0  # bytes of items read and not asked for yet
        self._room = asyncio.Event()

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
        await self._answer(message.data)

    async def read(self) -> None:
        """Bring in what the hub sends, no further ahead than it may be (§11.8), until the connection ends."""
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self._answer(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    for item in items(message.data):
                        while self._waiting and self._waiting + len(item.payload) > SOCKET_BYTES:
                            self._room.clear()
                            await self._room.wait()
                        self._waiting += len(item.payload)
                        await self._come.put(item)
        finally:
            while self._come.full():
                self._come.get_nowait()  # un-receipted: it comes again
            self._come.put_nowait(None)

    async def next(self, wait: float) -> Page:
        try:
            async with asyncio.timeout(wait):
                first = await self._come.get()
        except TimeoutError:
            return Page((), more=False)
        come = [first]
        while not self._come.empty() and len(come) < SOCKET_ITEMS:
            come.append(self._come.get_nowait())
        self._waiting -= sum(len(item.payload) for item in come if item is not None)
        self._room.set()
        if None in come:
            raise Unavailable("hub.unreachable", f"the socket closed ({self._socket.close_code})")
        return Page(tuple(item for item in come if item is not None), more=not self._come.empty())

    async def stored(self, cursor: str) -> None:
        await self._send({"type": "stored", "cursor": cursor})

    async def _answer(self, text: str) -> None:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict) or value.get("type") != "challenge":
            return  # a word this version doesn't know
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


@asynccontextmanager
async def open_socket(
    session: aiohttp.ClientSession,
    origin: str,
    identity: Identity,
    *,
    proxy: str | None,
    proxy_headers: dict[str, str] | None,
) -> AsyncIterator[SocketFeed]:
    """An authenticated WebSocket to the hub. Raises SocketUnusable before anything came; then Unavailable."""
    try:
        socket = await asyncio.wait_for(
            session.ws_connect(
                origin + SOCKET,
                heartbeat=ALIVE_SECONDS,
                max_msg_size=_MAX_FRAME,
                proxy=proxy,
                proxy_headers=proxy_headers,
            ),
            OPEN_SECONDS,
        )
    except (aiohttp.ClientError, TimeoutError, OSError):
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
