"""The 0600 Unix socket between commands and the process that owns a home: one JSON line each way, then closed.

Verbs: `poke` (something was queued), `status`, `wait` (until messages have come as far as asked, or a time limit),
`change` (until anything has changed here, or a time limit),
`follow` (until the log has so many leaves here, or a time limit), `feed` (ask a feed now, or see how far it is).
It carries ids, codes and times, never content; whoever can open it can read the home anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import orjson

from exchange.canonical import Json
from exchange.errors import CODES, ExchangeError, Refused, Unavailable
from exchange.storage.files import PRIVATE_FILE, disk_fault

MAX_LINE: Final = 65_536  # bytes
MAX_CLIENTS: Final = 32
REQUEST_SECONDS: Final = 5.0
_MAX_PATH: Final = 100  # bytes; sockaddr_un holds 108

Verbs: TypeAlias = Mapping[str, Callable[[dict[str, Json]], Awaitable[Json]]]


@asynccontextmanager
async def serving(path: Path, verbs: Verbs) -> AsyncIterator[None]:
    """Answer on the socket at `path` while the context lasts. The caller holds the home's lock.

    Raises Unavailable storage.io, storage.full.
    """
    slots = asyncio.Semaphore(MAX_CLIENTS)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with slots:
            with contextlib.suppress(ConnectionError):
                answer = await _answer(reader, verbs)
                writer.write(orjson.dumps(answer) + b"\n")
                await writer.drain()
            writer.close()

    with _bound(path) as listening:
        server = await asyncio.start_unix_server(client, sock=listening, limit=MAX_LINE)
        try:
            yield
        finally:
            server.close()


async def _answer(reader: asyncio.StreamReader, verbs: Verbs) -> Json:
    try:
        line = await asyncio.wait_for(reader.readline(), REQUEST_SECONDS)
        value = orjson.loads(line)
    except (TimeoutError, ValueError):  # ValueError: not JSON, or a line over the limit
        value = None
    verb = value.get("verb") if isinstance(value, dict) else None
    if not isinstance(verb, str) or verb not in verbs:
        return {"code": "request.bad", "detail": CODES["request.bad"]}
    try:
        return {"code": "", "result": await verbs[verb](value)}
    except ExchangeError as error:
        return {"code": error.code, "detail": error.detail}


def ask(path: Path, verb: str, *, patience: float = REQUEST_SECONDS, **values: Json) -> Json:
    """Ask the serving process; its result. For commands, without an event loop.

    Raises Unavailable node.not-running when nobody answers within `patience` seconds; Refused with the code answered.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, _short(path) as name:
            connection.settimeout(patience)
            connection.connect(name)
            connection.sendall(orjson.dumps({"verb": verb, **values}) + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline(MAX_LINE)
        value = orjson.loads(line)
    except (OSError, orjson.JSONDecodeError) as error:
        raise Unavailable("node.not-running") from error
    if value.get("code"):
        raise Refused(value["code"], value.get("detail", ""))
    return value.get("result")


@contextmanager
def _bound(path: Path) -> Iterator[socket.socket]:
    """A socket bound to `path`, of mode 0600 before anybody can connect; the file goes with it."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)  # left behind by a process that was killed
        with _short(path) as name:
            listening.bind(name)
        path.chmod(PRIVATE_FILE)
    except OSError as error:
        listening.close()
        raise disk_fault(error) from error
    try:
        yield listening
    finally:
        listening.close()
        path.unlink(missing_ok=True)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for `path` that fits a socket address, however deep the home lies (Linux: by its folder's descriptor)."""
    if len(os.fsencode(path)) <= _MAX_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
