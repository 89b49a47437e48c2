"""Owns the WebSocket: proof of the key at the start and every 10 minutes, items pushed within a window (§10, §11.8).

What is pushed is mailboxes.py's; here is only how far a node may lag behind, and when it is shown the door. How much
bulk is under way follows the link's speed (pacing.py), and flash is beyond it: it never waits for room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import WSMessage, WSMsgType, web

from exchange.canonical import ADDRESS, Fields, b64
from exchange.errors import ExchangeError, Refused, Rejected
from exchange.hub.bells import Bell
from exchange.hub.feed import Feed
from exchange.hub.http.context import CONTEXT, Context
from exchange.hub.http.mail import large_of
from exchange.limits import URGENT_BYTES, URGENT_ITEMS, WINDOW_BYTES
from exchange.pacing import Window
from exchange.receipt import HUB
from exchange.settings import HubLimits
from exchange.token import socket_message

DRAINED: Final = '{"type":"drained"}'
MAX_MESSAGE: Final = 4_096  # bytes from a node
NONCE_BYTES: Final = 32
HEARTBEAT_SECONDS: Final = 120
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
        await session.run()
    except ExchangeError as error:
        context.metrics.refused.labels(error.code).inc()
        with suppress(ConnectionError):
            await ws.close(code=_close_code(error.code), message=error.code.encode("ascii"))
    return ws


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
        "_in_flight",
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
        self._in_flight = InFlight(self._limits)
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
        sockets = self._context.sockets
        if sockets.get(self._address, 0) >= self._limits.sockets_per_member:
            raise Refused("rate.too-many")
        sockets[self._address] = sockets.get(self._address, 0) + 1
        try:
            await self._serve()
        finally:
            sockets[self._address] -= 1

    async def _serve(self) -> None:
        """A thousand idle nodes: one task more than the request's own for each, and no event that nobody waits for."""
        try:
            async with asyncio.TaskGroup() as group:
                self._ask_later(group)
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

    def _ask_later(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        self._asking = loop.call_later(self._limits.challenge_seconds, self._ask, group)

    def _ask(self, group: asyncio.TaskGroup) -> None:
        asking = self._ask_again(group)
        try:
            group.create_task(asking)
        except RuntimeError:  # the connection is just ending
            asking.close()

    async def _ask_again(self, group: asyncio.TaskGroup) -> None:
        """Whoever holds the key now, not only ten minutes ago."""
        self._answered = asyncio.Event()
        try:
            async with asyncio.timeout(self._limits.auth_seconds):
                await self._challenge()
                await self._answered.wait()
        except TimeoutError:
            raise Rejected("request.timeout") from None
        self._answered = None
        self._ask_later(group)

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
        """Send what comes next, up to so many items and bytes; how many items were sent."""
        found = await feed.next(items=items, most=room, large=self._large, urgent=urgent)
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
        return len(found)

    async def _send(self, frame: Sequence[bytes]) -> None:
        self._drained = False
        await self._ws.send_bytes(b"".join(frame))

    async def _tell_drained(self) -> None:
        """Nothing more waits: the node needn't hold back its receipts for company any longer."""
        if self._large and not self._drained:
            self._drained = True
            await self._ws.send_str(DRAINED)

    async def _stored(self, text: str) -> None:
        """Everything up to that item is durable at the node."""
        if not self._in_flight.stored(text, self._seconds()):
            return
        if self._room is not None:
            self._room.set()
        mailboxes = self._context.mailboxes
        await mailboxes.stored(self._address, mailboxes.cursor(self._address, text))

    @staticmethod
    def _seconds() -> float:
        return asyncio.get_running_loop().time()


class _Sent(NamedTuple):
    """An item on its way, not stored yet; since when, in seconds."""

    cursor: str
    size: int
    at: float
    urgent: bool


class InFlight:
    """What a node hasn't stored yet, and how much more may be under way (docs/protocol.md §11.8)."""

    __slots__ = ("_alone", "_bytes", "_items", "_limits", "_sent", "_urgent", "_urgent_items", "_window")

    def __init__(self, limits: HubLimits) -> None:
        self._limits = limits
        self._sent: dict[str, _Sent] = {}  # by cursor, the oldest first
        self._bytes = self._items = 0  # of bulk
        self._urgent = self._urgent_items = 0  # of what went beyond the window
        self._alone = 0  # items stored out of turn, of size 0 here
        self._window = Window(least=min(WINDOW_BYTES, limits.socket_bytes), most=limits.socket_bytes)

    @property
    def frame(self) -> int:
        """Bytes up to which items share a frame: little on a thin link, where a frame that is cut off was in vain."""
        return self._window.size // 8

    def room(self) -> tuple[int, int, bool]:
        """How many items and bytes may follow, and whether of flash only."""
        items, left = self._limits.socket_items - self._items, self._window.size - self._bytes
        # Not for every item stored: whoever is sent one at a time stores one at a time.
        if not self._items or (
            items >= max(1, self._limits.socket_items // 4) and left >= max(1, self._window.size // 4)
        ):
            return max(1, items), max(1, left), False
        beyond = URGENT_ITEMS - self._urgent_items
        return (max(0, beyond) if self._urgent < URGENT_BYTES else 0), URGENT_BYTES - self._urgent, True

    def add(self, cursor: str, size: int, now: float, *, urgent: bool) -> None:
        """It goes out now (seconds)."""
        self._sent[cursor] = _Sent(cursor, size, now, urgent)
        if urgent:
            self._urgent += size
            self._urgent_items += 1
        else:
            self._bytes += size
            self._items += 1

    def overtook(self, cursor: str) -> None:
        """The node has stored that item alone: it takes no room, though its cursor is still to come.

        Of so many at most as may be under way: a node that never says `stored` would have them kept without end.
        """
        if self._alone < self._limits.socket_items and (one := self._sent.get(cursor)) and one.size:
            self._alone += 1
            self._take_off(one)
            self._sent[cursor] = _Sent(cursor, 0, one.at, urgent=True)

    def _take_off(self, one: _Sent) -> None:
        if not one.size:
            self._alone -= 1
        elif one.urgent:
            self._urgent -= one.size
            self._urgent_items -= 1
        else:
            self._bytes -= one.size
            self._items -= 1

    def stored(self, cursor: str, now: float) -> bool:
        """The node has stored everything up to it; False if nothing of that is under way."""
        if cursor not in self._sent:
            return False
        under_way = self._bytes
        for one in list(self._sent.values()):
            del self._sent[one.cursor]
            self._take_off(one)
            if one.cursor == cursor:
                self._window.passed(under_way, now - one.at)
                break
        return True
