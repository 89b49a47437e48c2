"""A TCP proxy that treats bytes badly on purpose: late, slow, held back, cut off, or with one bit turned over.

    async with FaultyProxy(port_of_the_hub) as proxy:
        proxy.up.rate = 200_000          # bytes a second towards the hub, for all connections together
        proxy.down.flip_at = 5_000       # the 5,000th byte of each new connection towards the node
        proxy.cut()                      # every connection, now

Owns the link between a node and a hub. It knows nothing of TLS or HTTP: what passes is bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.trip.processes import until

CHUNK: Final = 4_096  # bytes passed at a time: small, so that connections share a slow link fairly
_PATIENCE: Final = 10.0


@dataclass
class Way:
    """What happens to the bytes of one direction; a change counts from the next chunk on."""

    delay: float = 0.0  # seconds that each chunk is late
    rate: float = 0.0  # bytes a second, of all connections together; 0: as fast as it goes
    cut_after: int | None = None  # bytes of one connection, then both of its ends are closed
    flip_at: int | None = None  # which byte of each connection has its lowest bit turned over
    passed: int = 0  # bytes so far
    flipped: int = 0  # bytes changed so far
    flowing: asyncio.Event = field(default_factory=asyncio.Event)  # cleared: held back
    _free_at: float = 0.0

    def __post_init__(self) -> None:
        self.flowing.set()

    async def admit(self, data: bytes, before: int) -> tuple[bytes, bool]:
        """What comes out at the other end of `data` after `before` bytes of its connection, and whether it goes on."""
        await self.flowing.wait()
        wait = self.delay
        if self.rate:
            now = asyncio.get_running_loop().time()
            self._free_at = max(now, self._free_at) + len(data) / self.rate
            wait += self._free_at - now
        if wait:
            await asyncio.sleep(wait)
        if self.flip_at is not None and before <= self.flip_at < before + len(data):
            place = self.flip_at - before
            data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            self.flipped += 1
        goes_on = True
        if self.cut_after is not None and before + len(data) >= self.cut_after:
            data, goes_on = data[: max(0, self.cut_after - before)], False
        self.passed += len(data)
        return data, goes_on


class FaultyProxy:
    """Listens on `port` of the loopback (0: any) and passes on to `target`. A context manager."""

    def __init__(self, target: int, *, port: int = 0) -> None:
        self.up, self.down = Way(), Way()
        self.port = port
        self.target = target
        self.connections = 0  # so far
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FaultyProxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._open:
            await asyncio.wait(self._open, timeout=_PATIENCE)
        await self._server.wait_closed()

    @property
    def live(self) -> int:
        """How many connections there are now."""
        return len(self._open)

    def cut(self) -> None:
        """End every connection now, wherever its bytes are."""
        for task in self._open:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._pass_on(reader, writer)
        finally:
            self._open.discard(task)
            abort(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            await both_ways(pump(reader, far_writer, self.up), pump(far_reader, writer, self.down))
        finally:
            abort(far_writer)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    """Pass on until the reader ends, or the way ends it."""
    seen = 0
    while data := await reader.read(CHUNK):
        out, goes_on = await way.admit(data, seen)
        seen += len(data)
        writer.write(out)
        await writer.drain()
        if not goes_on:
            return


async def both_ways(*pumps: object) -> None:
    """Run the pumps of a connection until the first of them ends; the others are given up."""
    tasks = [asyncio.ensure_future(one) for one in pumps]  # type: ignore[call-overload]  # coroutines, all of them
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def abort(writer: asyncio.StreamWriter) -> None:
    """Close at once, without waiting for what is unsent."""
    transport = writer.transport
    with contextlib.suppress(OSError):
        transport.abort()


@asynccontextmanager
async def cutting(link: FaultyProxy, times: int, *, each: float) -> AsyncIterator[None]:
    """The link is cut that often, each time when `each` bytes have passed since the last."""

    async def cut() -> None:
        for _ in range(times):
            due = link.up.passed + link.down.passed + each
            await until(lambda due=due: link.up.passed + link.down.passed >= due, "enough for another cut")
            link.cut()

    task = asyncio.create_task(cut())
    try:
        yield
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
