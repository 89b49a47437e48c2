"""Owns the WebSocket: proof of the key at the start and every 10 minutes, items pushed within a window (§10, §11.8).

What is pushed is mailboxes.py's, how far a node may lag behind in_flight.py's; here is only when it is shown the door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson
from aiohttp import WSMessage, WSMsgType, web

from exchange.canonical import ADDRESS, Fields, b64
from exchange.errors import ExchangeError, Refused, Rejected
from exchange.hub.bells import Bell
from exchange.hub.feed import PUSH_BYTES, Feed, Outgoing
from exchange.hub.http.context import CONTEXT, Context
from exchange.hub.http.in_flight import InFlight
from exchange.hub.http.mail import large_of
from exchange.hub.pending import account
from exchange.limits import BODY_RATE
from exchange.receipt import HUB
from exchange.token import socket_message

DRAINED: Final = '{"type":"drained"}'
MAX_MESSAGE: Final = 4_096  # bytes from a node
NONCE_BYTES: Final = 32
HEARTBEAT_SECONDS: Final = 120
CLOSE_SECONDS: Final = 5
GOING_AWAY: Final = 1001
_CLOSE: Final = {"auth": 4401, "request.timeout": 4408, "rate": 4429}


async def socket(request: web.Request) -> web.WebSocketResponse:
    """GET /v1/socket?after=CURSOR"""
    context = request.app[CONTEXT]
    large = large_of(request.query)
    ws = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE, heartbeat=HEARTBEAT_SECONDS)
    await ws.prepare(request)
    session = Session(context, ws, request.query.get("after", ""), large)
    try:
        await _serve(session, context, ws, request.transport)
    finally:
        session.keep_room(0)
    return ws


async def _serve(
    session: Session, context: Context, ws: web.WebSocketResponse, transport: asyncio.Transport | None
) -> None:
    """Until it is closed."""
    try:
        await session.run()
    except ExchangeError as error:
        context.metrics.refused.labels(error.code).inc()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await ws.close(code=_close_code(error.code), message=error.code.encode("ascii"))
        except ConnectionError:
            pass
        except TimeoutError:  # it reads nothing: what was sent would stay in memory
            if transport is not None:
                transport.abort()


def _close_code(code: str) -> int:
    return _CLOSE.get(code) or _CLOSE.get(code.partition(".")[0], GOING_AWAY)


async def _either(*events: asyncio.Event | Bell) -> None:
    """Wait until one of them is set or rung."""
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

    __slots__ = (
        "_address",
        "_after",
        "_answered",
        "_asking",
        "_context",
        "_drained",
        "_group",
        "_in_flight",
        "_kept",
        "_large",
        "_limits",
        "_nonce",
        "_room",
        "_standing",
        "_ws",
    )

    def __init__(self, context: Context, ws: web.WebSocketResponse, after: str, large: int) -> None:
        self._context = context
        self._ws = ws
        self._limits = context.settings.limits
        self._after = after
        self._large = large
        self._address = ""
        self._standing: object = None
        self._nonce = b""
        self._answered: asyncio.Event | None = None  # while it is asked again
        self._asking: asyncio.TimerHandle | None = None
        self._group: asyncio.TaskGroup | None = None  # while it serves
        self._in_flight = InFlight(self._limits)
        self._kept = 0  # bytes of room of long items that are under way
        self._drained = False  # and told so
        self._room: asyncio.Event | None = None  # while there is none

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
        sockets = self._context.sockets.setdefault(self._address, [])
        if len(sockets) >= self._limits.sockets_per_member:
            sockets.pop(0)()  # as likely as not it was cut, and nobody has noticed
        sockets.append(self._give_way)
        try:
            await self._serve()
        finally:
            if self._give_way in sockets:
                sockets.remove(self._give_way)

    async def _serve(self) -> None:
        """A thousand idle nodes: one task more than the request's own for each, and no event that nobody waits for."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._ask_later()
                group.create_task(self._push())
                await self._listen()
        except* ExchangeError as errors:
            raise errors.exceptions[0] from None
        except* (_Closed, ConnectionError):
            pass  # the node went; it will be back
        finally:
            if self._asking is not None:
                self._asking.cancel()

    async def _challenge(self) -> None:
        self._nonce = self._context.random(NONCE_BYTES)
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

    def _ask_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._asking = loop.call_later(self._limits.challenge_seconds, self._do, self._ask_again)

    def _do(self, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        doing = what()
        try:
            if self._group is not None:
                self._group.create_task(doing)
        except RuntimeError:  # the connection is just ending
            doing.close()

    def _give_way(self) -> None:
        """End, for a newer one."""

        async def end() -> None:
            raise Refused("rate.too-many")

        self._do(end)

    async def _ask_again(self) -> None:
        """Whoever holds the key now, not only ten minutes ago."""
        self._answered = asyncio.Event()
        try:
            async with asyncio.timeout(self._limits.auth_seconds):
                await self._challenge()
                await self._answered.wait()
        except TimeoutError:
            raise Rejected("request.timeout") from None
        self._answered = None
        self._ask_later()

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
                if self._answered is not None:
                    self._answered.set()
            elif message.get("type") == "stored":
                cursor = Fields(message, ("type", "cursor"), what="stored").text("cursor")
                await self._stored(cursor)
            elif message.get("type") == "overtook":
                self._in_flight.overtook(Fields(message, ("type", "cursor"), what="overtook").text("cursor"))
                self.keep_room(self._in_flight.longer_than(PUSH_BYTES))
                if self._room is not None:
                    self._room.set()
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
        feed = self._context.mailboxes.feed(self._address, self._after)
        try:
            await self._push_from(feed)
        finally:
            feed.close()

    async def _push_from(self, feed: Feed) -> None:
        mailboxes = self._context.mailboxes
        while True:
            if self._context.stopping:
                raise Refused("hub.stopping")
            if mailboxes.standing(self._address) != self._standing:
                raise Rejected("auth.forbidden", "the address's keys or standing have changed: connect anew")
            bell = mailboxes.bell(self._address)
            items, most, urgent = self._in_flight.room()
            room = self._room = asyncio.Event() if urgent else None
            sent = await self._push_some(feed, items, most, urgent=urgent) if items else 0
            if room is not None and not sent:
                # the bell too: flash may come, or trust end, while the node is slow
                await _either(room, bell)
            elif not sent:
                await self._tell_drained()
                await bell.wait()

    async def _push_some(self, feed: Feed, items: int, room: int, *, urgent: bool) -> int:
        """Send what comes next, up to so many items and bytes; how many items were sent.

        Raises Unavailable storage.busy where the member with its units reads too little of what it is sent already.
        """
        found = await feed.next(items=items, most=room, large=self._large, urgent=urgent)
        if not found:
            return 0
        pushes, payer, size = self._context.pushes, account(self._address), sum(one.size for one in found)
        pushes.take(payer, size)
        # TLS takes in a frame of any length at once: nobody says when it has gone, but the node that it has stored it
        kept = size if size > PUSH_BYTES else 0
        self._kept += kept
        try:
            await self._send_all(found, urgent=urgent)
        finally:
            pushes.give_back(payer, size - kept)
        return len(found)

    def keep_room(self, size: int) -> None:
        """No more than so much is under way of long items; the rest is given back."""
        if self._kept > size:
            self._context.pushes.give_back(account(self._address), self._kept - size)
            self._kept = size

    async def _send_all(self, found: Sequence[Outgoing], *, urgent: bool) -> None:
        frame: list[bytes] = []
        size, most, now = 0, self._in_flight.frame, self._seconds()
        for cursor, parts, length in found:
            if frame and size + length > most:
                await self._send(frame)
                frame, size, most, now = [], 0, self._in_flight.frame, self._seconds()
            self._in_flight.add(cursor, length, now, urgent=urgent)
            frame += parts
            size += length
        if frame:
            await self._send(frame)

    async def _send(self, frame: Sequence[bytes]) -> None:
        """Returns once nearly all has gone; it has the time that an answer has. Raises Rejected request.timeout."""
        self._drained = False
        whole = b"".join(frame)
        try:
            async with asyncio.timeout(self._limits.body_seconds + len(whole) / BODY_RATE):
                await self._ws.send_bytes(whole)
        except TimeoutError:
            raise Rejected("request.timeout") from None

    async def _tell_drained(self) -> None:
        """Nothing more waits: the node needn't hold back its receipts for company any longer."""
        if self._large and not self._drained:
            self._drained = True
            await self._ws.send_str(DRAINED)

    async def _stored(self, text: str) -> None:
        """Everything up to that item is durable at the node."""
        if not self._in_flight.stored(text, self._seconds()):
            return
        self.keep_room(self._in_flight.longer_than(PUSH_BYTES))
        if self._room is not None:
            self._room.set()
        mailboxes = self._context.mailboxes
        await mailboxes.stored(self._address, mailboxes.cursor(self._address, text))

    @staticmethod
    def _seconds() -> float:
        return asyncio.get_running_loop().time()
