"""A thin link between a node and a hub, for benchmarks: a TCP proxy that shapes rate and delay and counts bytes.

    async with ThinLink(port, target=hub_port, shape=Shape(rate=8_000, delay=0.325)) as link:
        link.cut()                # every connection, wherever its bytes are
        link.up.crossed           # bytes of TCP payload so far that went onto the link towards the hub

Each direction is one queue, first in first out, that all connections share, of `QUEUE_BYTES`; while it is full nothing
more is read from anybody (what TCP comes to when it loses nothing). What is cut while it waits in the queue never
crosses. A new connection costs a round trip through both queues before its first byte, as TCP's handshake does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

QUEUE_BYTES: Final = 65_536
PACKET: Final = 1_448  # bytes of payload passed at a time
HANDSHAKE: Final = 40  # bytes of a packet without payload; not counted
BUFFER: Final = 16_384  # bytes the proxy's own sockets hold: not to be a second queue


@dataclass(frozen=True)
class Shape:
    """Bytes a second (0: as fast as it goes) and seconds one way, in each direction."""

    rate: float = 0.0
    delay: float = 0.0

    def faster(self, times: float) -> Shape:
        """The same link in a world that runs so many times faster."""
        return Shape(self.rate * times, self.delay / times)


@dataclass
class _Packet:
    size: int
    arrive: Callable[[], None]
    flow: _Flow | None
    payload: bool = True


@dataclass(eq=False)
class _Flow:
    """One connection through the link."""

    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    alive: bool = True

    def end(self) -> None:
        self.alive = False
        for writer in self.writers:
            with contextlib.suppress(OSError):
                writer.transport.abort()
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()


class Way:
    """One direction."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.crossed = 0
        self._queue: deque[_Packet] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, packet: _Packet) -> None:
        """Into the queue, as soon as there is room."""
        while self._size > QUEUE_BYTES:
            self._room.clear()
            await self._room.wait()
        self._queue.append(packet)
        self._size += packet.size
        self._filled.set()

    async def serve(self) -> None:
        """Take packets out of the queue at the link's pace, for ever."""
        loop = asyncio.get_running_loop()
        free_at = 0.0
        while True:
            if not self._queue:
                self._filled.clear()
                await self._filled.wait()
                free_at = loop.time()
            packet = self._queue.popleft()
            self._size -= packet.size
            self._room.set()
            if packet.flow is not None and not packet.flow.alive:
                continue
            if self.shape.rate:
                free_at += packet.size / self.shape.rate
                if (wait := free_at - loop.time()) > 0:
                    await asyncio.sleep(wait)
            if packet.payload:
                self.crossed += packet.size
            loop.call_later(self.shape.delay, packet.arrive)


class ThinLink:
    """Listens on `port` of the loopback and passes on to `target`. A context manager."""

    def __init__(self, port: int, *, target: int, shape: Shape) -> None:
        self.up, self.down = Way(shape), Way(shape)
        self.connections = 0
        self._port = port
        self._target = target
        self._flows: set[_Flow] = set()
        self._serving: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> ThinLink:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        listening.bind(("127.0.0.1", self._port))
        self._server = await asyncio.start_server(self._connected, sock=listening, limit=BUFFER)
        self._serving = [asyncio.create_task(way.serve()) for way in (self.up, self.down)]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def crossed(self) -> int:
        """Bytes of TCP payload that crossed so far, both ways."""
        return self.up.crossed + self.down.crossed

    def set_shape(self, shape: Shape) -> None:
        """From now on."""
        self.up.shape = self.down.shape = shape

    def cut(self) -> None:
        """Reset every connection."""
        for flow in list(self._flows):
            flow.end()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flow = _Flow(writers=[writer])
        self._flows.add(flow)
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        flow.tasks.append(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._handshake(flow)
                near = socket.socket()
                near.setblocking(False)
                near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
                await asyncio.get_running_loop().sock_connect(near, ("127.0.0.1", self._target))
                far_reader, far_writer = await asyncio.open_connection(sock=near, limit=BUFFER)
                flow.writers.append(far_writer)
                pumps = [
                    asyncio.create_task(_pump(reader, far_writer, self.up, flow)),
                    asyncio.create_task(_pump(far_reader, writer, self.down, flow)),
                ]
                flow.tasks += pumps
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            flow.end()
            self._flows.discard(flow)

    async def _handshake(self, flow: _Flow) -> None:
        for way in (self.up, self.down):
            through = asyncio.Event()
            await way.put(_Packet(HANDSHAKE, through.set, flow, payload=False))
            await through.wait()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way, flow: _Flow) -> None:
    """Pass on until the reader ends; then let what is under way arrive."""
    while data := await reader.read(PACKET):

        def arrive(data: bytes = data) -> None:
            if flow.alive:
                writer.write(data)

        await way.put(_Packet(len(data), arrive, flow))
    ended = asyncio.Event()
    await way.put(_Packet(0, ended.set, flow, payload=False))
    await ended.wait()
