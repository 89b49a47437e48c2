"""An authenticating HTTP proxy, as many a ministry has one: CONNECT with a password, and short patience with tunnels.

Owns the proxy's half of CONNECT (RFC 9110 §9.3.6) and Basic authentication (RFC 7617), and when tunnels are cut.
`goes_to` lets a test put something else behind the tunnel, e.g. a `TlsTap` that kills WebSockets.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
from typing import Final

from tests.trip.faulty_proxy import Way, abort, both_ways, pump

MAX_HEAD: Final = 16_384
_PATIENCE: Final = 10.0


class ConnectProxy:
    """A proxy on the loopback. `life`: seconds after which every tunnel is cut; None: as long as it likes."""

    def __init__(
        self, user: str, password: str, *, life: float | None = None, goes_to: int | None = None
    ) -> None:
        self._expected = b"Basic " + base64.b64encode(f"{user}:{password}".encode())
        self._life = life
        self._goes_to = goes_to
        self.port = 0
        self.asked: list[str] = []  # each host:port that was let through
        self.refused = 0  # requests answered 407
        self.cuts = 0  # tunnels ended by us
        self._server: asyncio.Server | None = None
        self._tunnels: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ConnectProxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=MAX_HEAD)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._tunnels:
            await asyncio.wait(self._tunnels, timeout=_PATIENCE)
        await self._server.wait_closed()

    @property
    def live(self) -> int:
        """How many tunnels there are now."""
        return len(self._tunnels)

    def cut(self) -> None:
        """End every tunnel now."""
        for task in self._tunnels:
            task.cancel()
            self.cuts += 1

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tunnels.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            self._tunnels.discard(task)
            abort(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        method, target, _ = lines[0].split(b" ")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])
        }
        if not hmac.compare_digest(headers.get(b"proxy-authorization", b""), self._expected):
            self.refused += 1
            await self._answer(
                writer,
                b'407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="trip"\r\nContent-Length: 0',
            )
            return
        if method != b"CONNECT":
            await self._answer(writer, b"405 Method Not Allowed\r\nContent-Length: 0")
            return
        self.asked.append(target.decode("ascii"))
        host, _, port = self.asked[-1].rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, self._goes_to or int(port))
        try:
            await self._answer(writer, b"200 Connection established")
            async with asyncio.timeout(self._life):
                await both_ways(pump(reader, far_writer, Way()), pump(far_reader, writer, Way()))
        except TimeoutError:
            self.cuts += 1
        finally:
            abort(far_writer)

    async def _answer(self, writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(b"HTTP/1.1 " + head + b"\r\n\r\n")
        await writer.drain()
