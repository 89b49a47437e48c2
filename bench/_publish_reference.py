"""The bare reference hub of `publish`: what a hub costs that checks and signs nothing, and its clients.

aiohttp over TLS, WebSocket push, SQLite (WAL, synchronous=FULL) with group commit, a row a recipient, acknowledged
rows deleted. No accounts, no window, no cursor: less than anybody could use, on purpose.

    python -m bench._publish_reference FOLDER    serves FOLDER/reference.db with FOLDER/tls.pem; prints its port
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import ssl
import struct
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import uvloop
from aiohttp import WSMsgType, web

from bench._publish_meter import Meter, Stored
from bench._publish_ours import ROUND_SECONDS, context_of
from bench._publish_process import child
from bench._publish_socket import BINARY, LightSocket, connect
from exchange.canonical import framed, unframed

NUMBER: Final = struct.Struct(">Q")
GROUP: Final = 64
_SCHEMA = """
CREATE TABLE message (n INTEGER PRIMARY KEY, body BLOB, waiting INTEGER) STRICT;
CREATE TABLE mailbox (recipient TEXT, message INTEGER, PRIMARY KEY (recipient, message)) STRICT, WITHOUT ROWID;
"""


class Reference:
    """The server."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[tuple[str, Any, asyncio.Future[None]]] = queue.SimpleQueue()
        self._next = 1
        self._sockets: dict[str, asyncio.Queue[bytes]] = {}
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._write, daemon=True).start()

    def _write(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.executescript(
            f"PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}"
        )
        while True:
            jobs = [self._jobs.get()]
            while len(jobs) < GROUP and not self._jobs.empty():
                jobs.append(self._jobs.get())
            connection.execute("BEGIN IMMEDIATE")
            for kind, rows, _ in jobs:
                (self._insert if kind == "publish" else self._delete)(connection, rows)
            connection.execute("COMMIT")
            futures = [future for _, _, future in jobs]
            self._loop.call_soon_threadsafe(lambda done=futures: [one.set_result(None) for one in done])

    @staticmethod
    def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[int, bytes, Sequence[str]]]) -> None:
        connection.executemany(
            "INSERT INTO message VALUES (?, ?, ?)", [(n, body, len(to)) for n, body, to in rows]
        )
        connection.executemany(
            "INSERT INTO mailbox VALUES (?, ?)", [(one, n) for n, _, to in rows for one in to]
        )

    @staticmethod
    def _delete(connection: sqlite3.Connection, rows: Sequence[tuple[str, int]]) -> None:
        connection.executemany("DELETE FROM mailbox WHERE recipient = ? AND message = ?", rows)
        numbers = [(n,) for _, n in rows]
        connection.executemany("UPDATE message SET waiting = waiting - 1 WHERE n = ?", numbers)
        connection.executemany("DELETE FROM message WHERE n = ? AND waiting = 0", numbers)

    async def _written(self, kind: str, rows: Any) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put((kind, rows, future))
        await future

    async def publish(self, request: web.Request) -> web.Response:
        """POST /publish?to=A,B,...: framed bodies."""
        to = request.query["to"].split(",")
        bodies = list(unframed(await request.read(), most_items=64, most_bytes=2**24))
        first, self._next = self._next, self._next + len(bodies)
        await self._written("publish", [(first + i, body, to) for i, body in enumerate(bodies)])
        for i, body in enumerate(bodies):
            frame = NUMBER.pack(first + i) + body
            for one in to:
                self._sockets[one].put_nowait(frame)
        return web.Response()

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        """GET /socket?who=A: pushes number and body; a binary frame of numbers deletes these rows."""
        who = request.query["who"]
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        waiting = self._sockets[who] = asyncio.Queue()
        await ws.send_str("ready")

        async def push() -> None:
            while True:
                await ws.send_bytes(await waiting.get())

        pushing = asyncio.create_task(push())
        async for message in ws:
            if message.type is WSMsgType.BINARY:
                rows = [(who, n) for (n,) in NUMBER.iter_unpack(message.data)]
                await self._written("delete", rows)
                await ws.send_str(str(len(rows)))
        pushing.cancel()
        return ws


class Light(LightSocket):
    """A client that acknowledges as often as ours says `stored`."""

    def __init__(self, port: int, who: str, meter: Meter) -> None:
        super().__init__(f"127.0.0.1:{port}", f"/socket?who={who}", meter.fail)
        self._meter = meter
        self._stored = Stored(lambda numbers: self.send(BINARY, b"".join(numbers)))
        self.ready = asyncio.Event()

    def text(self, data: bytes) -> None:
        if data == b"ready":
            self.ready.set()
        else:
            self._meter.released(int(data))

    def binary(self, data: bytes) -> None:
        self._meter.came(data[8:16])
        self._stored.owe(data[:8])


async def run(
    folder: Path, *, recipients: int, messages: int, payload: int, batch: int, window: int
) -> Mapping[str, float]:
    """One round with a fresh server and database in `folder`."""
    with child([sys.executable, "-m", "bench._publish_reference", str(folder)], folder) as (process, line):
        port = int(line)
        context = context_of(folder / "tls.pem")
        meter = Meter(messages, recipients, process.pid)
        names = [f"member{number}" for number in range(recipients)]
        clients = [await connect(lambda name=name: Light(port, name, meter), port, context) for name in names]
        await asyncio.gather(*(client.ready.wait() for client in clients))
        made = [NUMBER.pack(n) + os.urandom(payload - NUMBER.size) for n in range(messages)]
        left, url = iter(made), f"https://127.0.0.1:{port}/publish?to={','.join(names)}"
        async with aiohttp.ClientSession() as session:
            meter.start()

            async def post() -> None:
                while chosen := [one for _, one in zip(range(batch), left, strict=False)]:
                    for one in chosen:
                        meter.sent(one[: NUMBER.size])
                    async with session.post(url, data=framed(chosen), ssl=context) as answer:
                        answer.raise_for_status()

            posting = asyncio.gather(*(post() for _ in range(max(1, window // batch))))
            figures = await meter.finish(within=ROUND_SECONDS)
            await posting
            for client in clients:
                client.close()
        return figures


async def _serve(folder: Path) -> None:
    hub = Reference(folder / "reference.db")
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/publish", hub.publish)
    app.router.add_get("/socket", hub.socket)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls.pem")
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve(Path(sys.argv[1])))
