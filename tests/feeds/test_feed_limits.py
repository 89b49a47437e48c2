"""Servers that take their time: what is slow ends, what is stuck is left behind once, and nothing else waits for it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from exchange.errors import Rejected, Unavailable
from exchange.feed_settings import FeedKind, FeedSettings
from exchange.node.feeds.api import Event
from exchange.node.feeds.misp import MispFeed
from exchange.node.feeds.servers import straight
from exchange.node.feeds.taxii import TaxiiFeed
from exchange.node.feeds.threads import FeedThreads
from tests.feeds.servers import COLLECTION, Server, page

SHORT = 0.4  # seconds for one answer


async def all_new(events: list[Event]) -> list[Event]:
    return events


def taxii(url: str, threads: FeedThreads) -> TaxiiFeed:
    settings = FeedSettings(kind=FeedKind.TAXII, url=url, collection=COLLECTION)
    return TaxiiFeed(
        "cert", settings, "", straight(), threads, clock=lambda: 0, seconds=SHORT, beyond=SHORT / 2
    )


async def code_of(feed: TaxiiFeed | MispFeed) -> str:
    with pytest.raises(Unavailable) as fault:
        async for _ in feed.run({}, all_new):
            pass
    return fault.value.code


async def ended(threads: FeedThreads) -> None:
    """No thread is left behind any more."""
    end = time.monotonic() + 5
    while threads.stuck:
        assert time.monotonic() < end, "the thread goes on"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def dripping(head: bytes) -> AsyncIterator[str]:
    """A server that answers with these bytes, and then a byte now and then for ever."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        try:
            while True:
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(SHORT / 10)  # it is what the server does, not what the test waits for
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}/"
    finally:
        server.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


async def test_a_drip_where_tls_should_begin_ends_with_its_time() -> None:
    threads = FeedThreads()
    async with dripping(b"\x16\x03\x03\x40\x00\x02") as url:
        secure = url.replace("http:", "https:")
        assert await code_of(taxii(secure, threads)) == "feed.late"
        settings = FeedSettings(kind=FeedKind.MISP, url=secure)
        misp = MispFeed(settings, "key", straight(), clock=lambda: 0, seconds=SHORT)
        assert await code_of(misp) == "feed.late"
    assert threads.stuck == 0


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nX: ", HEAD + b'Content-Length: 1000000\r\n\r\n{"a":"'], ids=["head", "body"]
)
async def test_drips_end_with_their_time(head: bytes) -> None:
    threads = FeedThreads()
    async with dripping(head) as url:
        assert await code_of(taxii(url, threads)) == "feed.late"
        settings = FeedSettings(kind=FeedKind.MISP, url=url)
        misp = MispFeed(settings, "key", straight(), clock=lambda: 0, seconds=SHORT)
        assert await code_of(misp) == "feed.late"
    assert threads.stuck == 0


async def test_a_server_that_says_nothing_is_left(server: Server) -> None:
    held = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        await held.wait()
        return page()

    server.answer = never
    settings = FeedSettings(kind=FeedKind.MISP, url=server.url)
    assert await code_of(MispFeed(settings, "", straight(), clock=lambda: 0, seconds=SHORT)) == "feed.late"


async def test_a_thread_that_does_not_end_is_counted_and_not_begun_twice() -> None:
    threads, stop, begun = FeedThreads(grace=0.05), threading.Event(), []

    def stuck() -> None:
        begun.append(1)
        stop.wait(10)

    with pytest.raises(Unavailable, match=r"feed\.late"):
        await threads.run("a", stuck, seconds=0.05, abort=lambda: None)
    assert threads.stuck == 1
    with pytest.raises(Unavailable, match=r"feed\.stuck"):
        await threads.run("a", stuck, seconds=0.05, abort=lambda: None)
    assert begun == [1]
    assert await threads.run("b", lambda: 7, seconds=5, abort=lambda: None) == 7
    stop.set()
    await ended(threads)
    assert await threads.run("a", lambda: 8, seconds=5, abort=lambda: None) == 8


async def test_whoever_is_cancelled_takes_the_connections_away(server: Server) -> None:
    """A node that stops doesn't wait for a server."""
    reached, threads = threading.Event(), FeedThreads()
    held = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        reached.set()
        await held.wait()
        return page()

    server.answer = never
    task = asyncio.create_task(code_of(taxii(server.url, threads)))
    await asyncio.to_thread(reached.wait, 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await ended(threads)


async def test_redirects_are_not_followed_anywhere(server: Server) -> None:
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen()
        trap.settimeout(0)
        port = trap.getsockname()[1]
        server.about = lambda _: page(
            raw=b"{}", status=307, headers={"Location": f"http://127.0.0.1:{port}/"}
        )
        with pytest.raises(Rejected, match=r"feed\.redirect"):
            async for _ in taxii(server.url, FeedThreads()).run({}, all_new):
                pass
        server.answer = server.about
        settings = FeedSettings(kind=FeedKind.MISP, url=server.url)
        with pytest.raises(Rejected, match=r"feed\.redirect"):
            async for _ in MispFeed(settings, "", straight(), clock=lambda: 0).run({}, all_new):
                pass
        with pytest.raises(BlockingIOError):
            trap.accept()
