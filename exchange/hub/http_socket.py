"""Owns the WebSocket: proof of the key at the start and every 10 minutes, items pushed within a window (§10, §11.8).

What is pushed is mailboxes.py's; here is only how far a node may lag behind, and when it is shown the door.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, Final

import orjson
from aiohttp import WSMessage, WSMsgType, web

from exchange.canonical import ADDRESS, Fields, b64
from exchange.errors import ExchangeError, Refused, Rejected
from exchange.hub.http_context import CONTEXT, Context
from exchange.hub.store_cursor import Cursor
from exchange.receipt import HUB
from exchange.token import socket_message

PUSH_BYTES: Final = 262_144  # looked up at once, so that flash overtakes bulk that isn't on the wire yet
MAX_MESSAGE: Final = 4_096  # bytes from a node
NONCE_BYTES: Final = 32
HEARTBEAT_SECONDS: Final = 120
GOING_AWAY: Final = 1001
_CLOSE: Final = {"auth": 4401, "request.timeout": 4408, "rate": 4429}


async def socket(request: web.Request) -> web.WebSocketResponse:
    """GET /v1/socket?after=CURSOR"""
    context = request.app[CONTEXT]
    ws = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE, heartbeat=HEARTBEAT_SECONDS)
    await ws.prepare(request)
    session = Session(context, ws, request.query.get("after", ""))
    try:
        await session.run()
    except ExchangeError as error:
        context.metrics.refused.labels(error.code).inc()
        with suppress(ConnectionError):
            await ws.close(code=_close_code(error.code), message=error.code.encode("ascii"))
    return ws


def _close_code(code: str) -> int:
    return _CLOSE.get(code) or _CLOSE.get(code.partition(".")[0], GOING_AWAY)


async def _either(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


class _Closed(Exception):
    """The other end is gone."""


class Session:
    """One node on one WebSocket."""

    def __init__(self, context: Context, ws: web.WebSocketResponse, after: str) -> None:
        self._context = context
        self._ws = ws
        self._limits = context.settings.limits
        self._after = after
        self._cursor = Cursor("")
        self._address = ""
        self._standing: object = None
        self._nonce = b""
        self._answered = asyncio.Event()
        self._in_flight: deque[tuple[str, int]] = deque()
        self._bytes = 0
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Until the node goes, doesn't prove its key in time, or may no longer receive. Raises ExchangeError."""
        try:
            async with asyncio.timeout(self._limits.auth_seconds):
                await self._challenge()
                self._authenticate(await self._receive())
        except TimeoutError:
            raise Rejected("request.timeout") from None
        except _Closed:
            return
        self._cursor = self._context.mailboxes.cursor(self._address, self._after)
        sockets = self._context.sockets
        if sockets.get(self._address, 0) >= self._limits.sockets_per_member:
            raise Refused("rate.too-many")
        sockets[self._address] = sockets.get(self._address, 0) + 1
        try:
            await self._serve()
        finally:
            sockets[self._address] -= 1

    async def _serve(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for task in (self._listen, self._push, self._ask_again):
                    group.create_task(task())
        except* ExchangeError as errors:
            raise errors.exceptions[0] from None
        except* (_Closed, ConnectionError):
            pass  # the node went; it will be back

    async def _challenge(self) -> None:
        self._nonce = self._context.random(NONCE_BYTES)
        self._answered.clear()
        await self._ws.send_str(
            orjson.dumps(
                {
                    "type": "challenge",
                    "nonce": b64(self._nonce),
                    "epoch": self._context.mailboxes.epoch,
                    "now": self._context.clock(),
                }
            ).decode()
        )

    async def _ask_again(self) -> None:
        """Whoever holds the key now, not only ten minutes ago."""
        while True:
            await asyncio.sleep(self._limits.challenge_seconds)
            try:
                async with asyncio.timeout(self._limits.auth_seconds):
                    await self._challenge()
                    await self._answered.wait()
            except TimeoutError:
                raise Rejected("request.timeout") from None

    async def _receive(self) -> dict[str, Any]:
        message: WSMessage = await self._ws.receive()
        if message.type is not WSMsgType.TEXT:
            raise _Closed
        try:
            value = orjson.loads(message.data)
        except orjson.JSONDecodeError:
            value = None
        if type(value) is not dict:
            raise Rejected("request.bad", "not a JSON object")
        return value

    async def _listen(self) -> None:
        while True:
            message = await self._receive()
            if message.get("type") == "auth":
                self._authenticate(message)
                self._answered.set()
            elif message.get("type") == "stored":
                cursor = Fields(message, ("type", "cursor"), what="stored").text("cursor")
                await self._stored(cursor)
            else:
                raise Rejected("request.bad", "unknown type")

    def _authenticate(self, message: dict[str, Any]) -> None:
        fields = Fields(message, ("type", "iss", "signature"), what="auth")
        fields.exactly("type", "auth")
        issuer, signature = fields.matching("iss", ADDRESS), fields.binary("signature", 64)
        if issuer == HUB or (self._address and issuer != self._address):
            raise Rejected("auth.unknown-issuer")
        registrar = self._context.registrar
        keys = registrar.directory.identity(issuer)
        for origin in self._context.settings.origins:  # each has its own message; one of them must hold
            with suppress(Rejected):
                text = socket_message(registrar.net, origin, self._nonce)
                keys.verify_transport(text, signature, code="auth.bad-signature")
                break
        else:
            raise Rejected("auth.bad-signature")
        standing = self._context.mailboxes.standing(issuer)
        if self._address and standing != self._standing:
            raise Rejected("auth.forbidden", "the address's keys or standing have changed: connect anew")
        self._address, self._standing = issuer, standing

    async def _push(self) -> None:
        mailboxes, limits = self._context.mailboxes, self._limits
        while True:
            if self._context.stopping:
                raise Refused("hub.stopping")
            if mailboxes.standing(self._address) != self._standing:
                raise Rejected("auth.forbidden", "the address's keys or standing have changed: connect anew")
            bell = mailboxes.bell(self._address)
            left = limits.socket_bytes - self._bytes
            if self._in_flight and (left <= 0 or len(self._in_flight) >= limits.socket_items):
                self._room.clear()
                await _either(self._room, bell)  # the bell too: trust may end while the node is slow
                continue
            page = await mailboxes.look(self._address, self._cursor, most=min(PUSH_BYTES, left))
            for item in page.items[: limits.socket_items - len(self._in_flight)]:
                data = item.to_bytes()
                self._in_flight.append((item.cursor, len(data)))
                self._bytes += len(data)
                self._cursor = mailboxes.cursor(self._address, item.cursor)
                await self._ws.send_bytes(data)
            if not page.items:
                await bell.wait()

    async def _stored(self, text: str) -> None:
        """Everything up to that item is durable at the node."""
        if all(cursor != text for cursor, _ in self._in_flight):
            return
        while self._in_flight:
            cursor, size = self._in_flight.popleft()
            self._bytes -= size
            if cursor == text:
                break
        self._room.set()
        mailboxes = self._context.mailboxes
        await mailboxes.stored(self._address, mailboxes.cursor(self._address, text))
