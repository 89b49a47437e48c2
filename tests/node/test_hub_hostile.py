"""What a hub, or a proxy on the way, may do to the connection itself: cut, redirect, send more than it may."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from exchange.errors import Unavailable
from exchange.hub.home import KEYSTORE
from exchange.limits import SOCKET_BYTES, URGENT_BYTES
from exchange.node.identity import Identity
from exchange.node.uplink.api import Page
from exchange.node.uplink.carrier import POLL, QUICK_DEATHS, SOCKET, Carrier
from exchange.node.uplink.client import HubClient, Route
from exchange.node.uplink.feed import PollFeed, SocketFeed
from exchange.protocol import ITEM_CHECKPOINT, Item
from exchange.storage.keystore import Keystore
from exchange.tls import ServerTls
from tests.hub_server import running_hub, unlock
from tests.node.test_hub_client import live, over, until_stored
from tests.simulator import Simulation
from tests.trip.connect_proxy import ConnectProxy
from tests.trip.faulty_proxy import CHUNK
from tests.trip.tls_tap import TlsTap
from tests.worlds import keys, make_world


class CuttingTap(TlsTap):
    """Lets a WebSocket through, and cuts it as soon as the node has proved itself in it."""

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upgraded = False
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
            if upgraded:
                self.killed += 1
                return
            upgraded = b"upgrade: websocket" in data.lower()


async def test_sockets_cut_twice_after_the_upgrade_mean_long_poll_for_a_while(
    tmp_path: Path,
) -> None:
    async with running_hub(make_world(), tmp_path / "hub") as hub:
        tls = ServerTls(Keystore.open(hub.home / KEYSTORE, unlock(hub.home)), [hub.origin])
        tls.refresh(now=hub.world.now)
        async with (
            CuttingTap(hub.port, server=tls.context, client=hub.context) as tap,
            ConnectProxy("ana", "x", goes_to=tap.port) as proxy,
            over(hub, tmp_path) as sim,
        ):
            # The tap stands behind a proxy, because tokens and certificate name the hub's own address.
            pe = await sim.node(hub, "pe-csirt")
            co = await sim.node(hub, "co-csirt", proxy=f"http://127.0.0.1:{proxy.port}", login=("ana", "x"))
            async with live(pe, co):
                sent = pe.send("co-csirt")
                pe.up.sync.poke()
                await until_stored(pe, sent, "co-csirt")
                async with asyncio.timeout(30):
                    while tap.killed < QUICK_DEATHS:
                        await co.up.sync.changed.wait(0.5)
                again = pe.send("co-csirt")
                pe.up.sync.poke()
                await until_stored(pe, again, "co-csirt")
            assert co.received() == [sent, again]
            async with co.hub.feed("") as feed:
                assert isinstance(feed, PollFeed)
            assert tap.killed == QUICK_DEATHS


def a_client(origin: str, tmp_path: Path) -> HubClient:
    world = make_world()
    sources = Simulation(world, tmp_path).site("pe-csirt").sources()
    route = Route(origin, ssl.create_default_context())
    return HubClient(route, Identity(world.net, "pe-csirt", keys("pe-csirt")), sources)


@asynccontextmanager
async def answering(status: int, headers: dict[str, str]) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that answers everything so; its origin and what it was asked."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_followed_by_no_call_and_no_socket(tmp_path: Path, status: int) -> None:
    async with (
        answering(200, {}) as (elsewhere, reached),
        answering(status, {"Location": elsewhere + "/secret"}) as (origin, asked),
        a_client(origin, tmp_path) as pe,
    ):
        with pytest.raises(Unavailable, match=r"hub\.unreachable"):
            await pe.mailbox("", 0, 1_000)
        async with pe.feed("") as feed:
            assert isinstance(feed, PollFeed)
        assert len(asked) == 2
        assert reached == []


@pytest.mark.parametrize(("status", "polls"), [(503, False), (429, False), (403, True), (200, True)])
async def test_only_an_answer_that_is_no_hubs_means_long_poll_and_for_a_while(
    tmp_path: Path, status: int, polls: bool
) -> None:
    async with answering(status, {}) as (origin, asked), a_client(origin, tmp_path) as pe:
        for tries in (1, 2):
            if polls:
                async with pe.feed("") as feed:
                    assert isinstance(feed, PollFeed)
                    assert pe.transport == "poll"
            else:
                with pytest.raises(Unavailable, match=r"hub\.unreachable"):
                    async with pe.feed(""):
                        pass
            assert asked == ["/v1/socket"] * (1 if polls else tries)
        assert pe.transport == ""


def test_while_without_websockets_is_doubled_up_to_an_hour_until_one_brings_something() -> None:
    now = 0.0
    carrier = Carrier(wanted=True, seconds=lambda: now)
    whiles = []
    for _ in range(8):
        carrier.killed()
        began = now
        while carrier.next == POLL:
            now += 30
        whiles.append((now - began) / 60)
    assert whiles == [1, 2, 4, 8, 16, 32, 60, 60]
    carrier.ended(after=5, brought=True, cut=True)
    for deaths in range(1, QUICK_DEATHS + 1):
        carrier.ended(after=5, brought=False, cut=True)
        assert carrier.next == (POLL if deaths == QUICK_DEATHS else SOCKET)
    now += 60
    assert carrier.next == SOCKET
    assert Carrier(wanted=False, seconds=lambda: now).next == POLL


async def test_long_poll_ends_when_a_websocket_is_due_and_nothing_waits() -> None:
    now, more = 0.0, True
    carrier = Carrier(wanted=True, seconds=lambda: now)
    carrier.killed()

    async def mailbox(_after: str, _wait: int, _most: int) -> Page:
        return Page((), more=more)

    feed = PollFeed(mailbox, "", seconds=lambda: now, carrier=carrier)
    await feed.next(0)
    now += 60
    await feed.next(0)
    more = False
    await feed.next(0)
    with pytest.raises(Unavailable, match=r"hub\.unreachable"):
        await feed.next(0)


class Flood:
    """A socket that always has one more item of 1 MiB."""

    closed = False
    close_code = None

    def __init__(self) -> None:
        self.sent = 0

    def __aiter__(self) -> Flood:
        return self

    async def __anext__(self) -> aiohttp.WSMessage:
        self.sent += 1
        item = Item(ITEM_CHECKPOINT, "", bytes(1024 * 1024)).to_bytes()
        return aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, item, None)


async def test_socket_is_read_no_further_than_its_bytes_in_flight() -> None:
    flood: Any = Flood()
    world = make_world()
    feed = SocketFeed(flood, "https://hub", Identity(world.net, "pe-csirt", keys("pe-csirt")))
    reading = asyncio.create_task(feed.read())
    most = (SOCKET_BYTES + URGENT_BYTES) // (1024 * 1024)
    try:
        for _ in range(100):
            await asyncio.sleep(0)  # one step of the reader
        assert flood.sent == most + 1  # the last one waits for room
        for _ in range(20):
            page = await feed.next(5)
            assert 1 <= len(page.items) <= most
            await asyncio.sleep(0)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
