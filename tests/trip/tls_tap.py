"""A TLS-terminating proxy before the hub: what an inspecting proxy, or whoever holds the hub's own keys, gets to see.

Owns the recording of both directions in the clear of TLS, and the killing of WebSocket upgrades. The caller gives the
server's context (a certificate the nodes accept) and the client's (which accepts the hub).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final

from tests.trip.faulty_proxy import CHUNK, abort, both_ways

_PATIENCE: Final = 10.0


class TlsTap:
    """Listens on `port` of the loopback (0: any), records, passes on to `target`. A context manager."""

    def __init__(
        self,
        target: int,
        *,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        port: int = 0,
        kills_sockets: bool = False,
    ) -> None:
        self.port = port
        self._target = target
        self._contexts = server, client
        self._kills_sockets = kills_sockets
        self.to_hub = bytearray()  # everything nodes said, of all connections, as it came
        self.to_nodes = bytearray()
        self.killed = 0  # WebSocket upgrades that got nowhere
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> TlsTap:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, ssl=self._contexts[0]
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open, timeout=_PATIENCE)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError, ssl.SSLError):
                await self._pass_on(reader, writer)
        finally:
            self._open.discard(task)
            abort(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(
            "127.0.0.1", self._target, ssl=self._contexts[1], server_hostname="127.0.0.1"
        )
        try:
            await both_ways(self._up(reader, far_writer), self._copy(far_reader, writer, self.to_nodes))
        finally:
            abort(far_writer)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As `_copy`, but a request to upgrade ends the connection, as a proxy that knows no WebSockets would."""
        if not self._kills_sockets:
            await self._copy(reader, writer, self.to_hub)
            return
        while data := await reader.read(CHUNK):
            if b"upgrade: websocket" in data.lower():
                self.killed += 1
                return
            self.to_hub += data
            writer.write(data)
            await writer.drain()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray
    ) -> None:
        while data := await reader.read(CHUNK):
            record += data
            writer.write(data)
            await writer.drain()
