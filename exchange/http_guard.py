"""Owns the limits on connections before there is a request: how many, and how long a request's head may take.

aiohttp waits for the end of a head as long as a connection may idle: a caller that sends a byte a minute would hold it
(slow loris). This protocol stands between the transport and aiohttp's, counts and times, and passes all bytes on.
Handshakes have the event loop's own deadline, bodies their readers'. Also what is answered to what is no HTTP.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol, cast

from aiohttp import web

from exchange.limits import MAX_HEAD

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4, as a host that has IPv6 only sees it
LINGER_SECONDS: Final = 5  # for what a refused caller still sends, so that it reads why
_END: Final = b"\r\n\r\n"


def place_of(address: str | None) -> str:
    """Where a peer is, for limits: an IPv4 address, or the /64 of an IPv6 one, for whoever has one has all of it."""
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    if ip in _NAT64:
        return str(ipaddress.IPv4Address(ip.packed[12:]))
    return str(ipaddress.IPv6Network((ip.packed[:8] + bytes(8), 64)))


class HeadLimits(Protocol):
    """How many connections, in all and of one place; how long and how late a request's head may be."""

    @property
    def connections(self) -> int:
        """In all."""

    @property
    def connections_per_address(self) -> int:
        """Of one place (`place_of`)."""

    @property
    def head_bytes(self) -> int:
        """Request line and headers."""

    @property
    def head_seconds(self) -> int:
        """From the first byte of a head to its end."""


class Connections:
    """The open connections, in all and by place; makes the protocol of each."""

    def __init__(
        self, limits: HeadLimits, inner: Callable[[], asyncio.Protocol], *, too_long: bytes = b""
    ) -> None:
        """`inner` makes aiohttp's protocol. `too_long`: what is sent to a head over the limit before it is cut off."""
        self.limits: Final = limits
        self.inner: Final = inner
        self.too_long: Final = too_long
        self.refused = 0
        self.timed_out = 0
        self._by_peer: Counter[str] = Counter()
        self._guards: dict[asyncio.BaseTransport, Guard] = {}

    def __call__(self) -> Guard:
        return Guard(self)

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._guards)

    def enter(self, transport: asyncio.BaseTransport, guard: Guard, peer: str) -> bool:
        """Count a new connection; False if it is one too many.

        No place may hold more than are left for all others together: the last places go to those who have few.
        """
        left = self.limits.connections - self.count
        if self._by_peer[peer] >= min(left, self.limits.connections_per_address):
            self.refused += 1
            return False
        self._guards[transport] = guard
        self._by_peer[peer] += 1
        return True

    def leave(self, transport: asyncio.BaseTransport, peer: str) -> None:
        """It is closed."""
        if self._guards.pop(transport, None) is not None:
            self._by_peer[peer] -= 1
            if not self._by_peer[peer]:
                del self._by_peer[peer]

    def answered(self, transport: asyncio.BaseTransport | None) -> None:
        """A request on this connection is done: the next bytes begin another head."""
        guard = self._guards.get(transport) if transport is not None else None
        if guard is not None:
            guard.expect_head()


class Guard(asyncio.Protocol):
    """One connection. Between requests it may idle (aiohttp's keep-alive); once a head begins, the clock runs."""

    __slots__ = ("_connections", "_inner", "_peer", "_received", "_tail", "_timer", "_transport", "_waiting")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._inner = connections.inner()
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = True  # for a head, or within one
        self._received = 0
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peername = transport.get_extra_info("peername")
        self._peer = place_of(str(peername[0])) if peername else ""
        if not self._connections.enter(transport, self, self._peer):
            self._transport.abort()
            return
        self._start_timer()  # the first head must come: a connection without one says nothing of itself
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._waiting and not self._head_fits(data):
            if self._transport is not None and self._connections.too_long:
                self._transport.write(self._connections.too_long)
                self._transport.close()
            else:
                self._give_up()
            return
        self._inner.data_received(data)

    def _head_fits(self, data: bytes) -> bool:
        """Follow the head; False when it is over the limit."""
        if self._timer is None:
            self._start_timer()
        window = self._tail + data
        end = window.find(_END)
        if end < 0:
            self._received += len(data)
            self._tail = window[-len(_END) + 1 :]
            return self._received <= self._connections.limits.head_bytes
        self._received += end + len(_END) - len(self._tail)
        fits = self._received <= self._connections.limits.head_bytes
        self._waiting = False
        self._stop_timer()
        return fits

    def expect_head(self) -> None:
        """The request is answered."""
        self._waiting, self._received, self._tail = True, 0, b""
        self._stop_timer()

    def _start_timer(self) -> None:
        seconds = self._connections.limits.head_seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._connections.timed_out += 1
        if self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._transport is not None:
            self._connections.leave(self._transport, self._peer)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class Handler(web.RequestHandler):
    """aiohttp's protocol with our limits, and our answer to what is no HTTP: its own would log and quote the bytes."""

    __slots__ = ("_unreadable",)

    def __init__(
        self,
        server: web.Server,
        *,
        unreadable: Callable[[int], web.Response],
        logger: logging.Logger,
        idle_seconds: float,
    ) -> None:
        """`unreadable` makes the answer of an HTTP status; `idle_seconds`: between two requests."""
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            logger=logger,
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes it; a path is the caller's text
            keepalive_timeout=idle_seconds,
            lingering_time=LINGER_SECONDS,
            max_line_size=MAX_HEAD,
            max_field_size=MAX_HEAD,
            auto_decompress=False,  # a body is signed for as it is sent
        )
        self._unreadable = unreadable

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp's signature
        message: str | None = None,  # noqa: ARG002 - same
    ) -> web.StreamResponse:
        """Also for a fault outside all handlers."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")  # as aiohttp's own does: the connection is closed
        response = self._unreadable(status)
        response.force_close()
        return response
