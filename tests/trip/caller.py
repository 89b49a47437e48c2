"""Speaks HTTP to a hub with whatever token, body or half a request a test wants.

Owns the making of requests, right ones and wrong ones. What must come of them is the test's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from exchange.canonical import sha256
from exchange.keys import PrivateKeys
from exchange.protocol import MEMBER_SCHEME
from exchange.token import make_token
from tests.trip.processes import until


def now() -> int:
    """UTC ms."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Answer:
    """What the hub said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)

    @property
    def code(self) -> str:
        """Our code in a problem document; "" where it is none."""
        problem = self.headers.get("Content-Type", "").startswith("application/problem+json")
        return str(self.json["code"]) if problem else ""


@dataclass
class Caller:
    """A client with an address and keys, real or not, of a network `net` at `origin`."""

    session: aiohttp.ClientSession
    origin: str
    net: bytes
    issuer: str
    keys: PrivateKeys

    def token(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        net: bytes | None = None,
        origin: str | None = None,
        at: int | None = None,
    ) -> str:
        """A token of ours for that request; the arguments make it another's."""
        return make_token(
            keys=self.keys,
            net=net or self.net,
            issuer=self.issuer,
            origin=origin or self.origin,
            method=method,
            target=target,
            body_hash=sha256(body),
            now=now() if at is None else at,
            jti=os.urandom(16),
        )

    async def call(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        authorization: str | None = None,
        url: str | None = None,
    ) -> Answer:
        """A request; `authorization` in the place of a right token ("" for none), `url` in that of our origin."""
        if authorization is None:
            authorization = f"{MEMBER_SCHEME} {self.token(method, target, body)}"
        headers = {"Authorization": authorization} if authorization else {}
        async with self.session.request(
            method, (url or self.origin) + target, data=io.BytesIO(body) if body else None, headers=headers
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@asynccontextmanager
async def calling(
    origin: str, tls: ssl.SSLContext, *, net: bytes, issuer: str, keys: PrivateKeys
) -> AsyncIterator[Caller]:
    """A caller with connections of its own, all of them closed at the end."""
    sockets: list[socket.socket] = []

    def make_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(*info[:3])
        made.setblocking(False)
        sockets.append(made)
        return made

    connector = aiohttp.TCPConnector(ssl=tls, socket_factory=make_socket)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Caller(session, origin, net, issuer, keys)
    # one that the hub wants closed says goodbye in TLS first, and aiohttp doesn't wait for that
    await until(lambda: all(one.fileno() < 0 for one in sockets), "the caller's connections are closed")


@dataclass
class RawConnection:
    """One TLS connection, spoken to in bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        """Send, also half a request."""
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self, seconds: float) -> bytes:
        """Everything until the other end closes; raises TimeoutError when it doesn't in time."""
        heard = bytearray()
        async with asyncio.timeout(seconds):
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while data := await self.reader.read(65_536):
                    heard += data
        return bytes(heard)

    async def head(self, seconds: float) -> bytes:
        """Status line and headers of an answer; raises TimeoutError, or IncompleteReadError when there is none."""
        async with asyncio.timeout(seconds):
            return await self.reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def raw(origin: str, tls: ssl.SSLContext | None) -> AsyncIterator[RawConnection]:
    """A raw connection to the origin; without `tls`, plain TCP to the same port."""
    host, _, port = origin.removeprefix("https://").partition(":")
    reader, writer = await asyncio.open_connection(
        host, int(port or 443), ssl=tls, server_hostname=host if tls else None
    )
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
