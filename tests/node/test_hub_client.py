"""HubApi over real TLS: push, long poll, an authenticating proxy that kills WebSockets, certificates, clocks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.errors import Refused, Unavailable
from exchange.hub.home import KEYSTORE
from exchange.limits import HOUR_MS
from exchange.node.identity import Identity
from exchange.node.uplink.client import HubClient, Route, tls_context
from exchange.node.uplink.feed import PollFeed, SocketFeed
from exchange.storage.keystore import Keystore
from exchange.tls import ServerTls
from tests.hub_server import Hub, running_hub, unlock
from tests.simulator import Simulation, Site
from tests.trip.connect_proxy import ConnectProxy
from tests.trip.tls_tap import TlsTap
from tests.worlds import World, keys, make_world


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running_hub(make_world(), tmp_path / "hub") as running:
        yield running


class Over(Simulation):
    """A simulation whose nodes talk HTTPS to a real hub."""

    def __init__(self, world: World, folder: Path) -> None:
        super().__init__(world, folder)
        self.stack = AsyncExitStack()

    async def node(self, hub: Hub, member: str, **route: object) -> Site:
        """The member's node, connected to `hub`."""
        site = self.site(member)
        client = HubClient(
            replace(direct(hub), **route),  # type: ignore[arg-type]  # fields of Route
            Identity(self.world.net, member, keys(member)),
            site.sources(),
        )
        site.hub = await self.stack.enter_async_context(client)  # type: ignore[assignment]  # another HubApi
        await site.start()
        return site


def direct(hub: Hub) -> Route:
    """Straight to the hub, trusting its own CA."""
    ca = (hub.home / "ca.pem").read_text()
    return Route(hub.origin, tls_context(ca=ca, extra_ca=None))


def client(hub: Hub, route: Route | None = None, *, offset: int = 0, member: str = "pe-csirt") -> HubClient:
    """A member's client; its clock is `offset` ms off."""
    sources = Simulation(hub.world, hub.home).site(member).sources()
    sources = replace(sources, clock=lambda: hub.world.now + offset)
    return HubClient(route or direct(hub), Identity(hub.world.net, member, keys(member)), sources)


@asynccontextmanager
async def over(hub: Hub, folder: Path) -> AsyncIterator[Over]:
    sim = Over(hub.world, folder)
    try:
        yield sim
    finally:
        await sim.close()
        await sim.stack.aclose()


@asynccontextmanager
async def live(*sites: Site) -> AsyncIterator[None]:
    """The sites' loops run."""
    tasks = [asyncio.create_task(site.up.sync.run()) for site in sites]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_stored(site: Site, message_id: str, recipient: str) -> None:
    async with asyncio.timeout(30):
        while site.state(message_id, recipient) != "stored":
            await site.up.sync.changed.wait(1)


async def test_live_nodes_exchange_mail_by_push(hub: Hub, tmp_path: Path) -> None:
    async with over(hub, tmp_path) as sim:
        pe, co = await sim.node(hub, "pe-csirt"), await sim.node(hub, "co-csirt")
        async with live(pe, co):
            sent = pe.send("co-csirt")
            pe.up.sync.poke()
            await until_stored(pe, sent, "co-csirt")
            co.desk.answer(sent, "acknowledged", person="Ana")
            co.up.sync.poke()
            async with asyncio.timeout(30):
                while pe.copy(sent, "co-csirt").acknowledged_at is None:
                    await pe.up.sync.changed.wait(1)
        assert co.received() == [sent]
        assert pe.alarm_codes() == co.alarm_codes() == []


async def test_feed_is_a_socket_where_that_works(hub: Hub) -> None:
    async with client(hub) as pe, pe.feed("") as feed:
        assert isinstance(feed, SocketFeed)
        page = await feed.next(10)
        assert page.items  # the hub's checkpoint at least
        assert pe.transport == "websocket"


async def test_hub_that_is_away_for_a_moment_costs_no_websocket(tmp_path: Path) -> None:
    world = make_world()
    async with running_hub(world, tmp_path / "hub") as hub:
        pass
    async with client(hub) as pe:
        with pytest.raises(Unavailable, match=r"hub\.unreachable"):
            async with pe.feed(""):
                pass
        again = running_hub(world, tmp_path / "hub", port=hub.port, origins=[hub.origin])
        async with again, pe.feed("") as feed:
            assert isinstance(feed, SocketFeed)


async def test_proxy_that_kills_websockets_gets_long_poll_for_a_while(hub: Hub, tmp_path: Path) -> None:
    tls = ServerTls(Keystore.open(hub.home / KEYSTORE, unlock(hub.home)), [hub.origin])
    tls.refresh(now=hub.world.now)
    async with (
        TlsTap(hub.port, server=tls.context, client=hub.context, kills_sockets=True) as tap,
        ConnectProxy("ana", "se cret", goes_to=tap.port) as proxy,
        over(hub, tmp_path) as sim,
    ):
        way = {"proxy": f"http://127.0.0.1:{proxy.port}", "login": ("ana", "se cret")}
        pe = await sim.node(hub, "pe-csirt", **way)
        co = await sim.node(hub, "co-csirt", **way)
        async with live(pe, co):
            sent = pe.send("co-csirt")
            pe.up.sync.poke()
            await until_stored(pe, sent, "co-csirt")
        assert co.received() == [sent]
        killed = tap.killed
        assert killed >= 2  # both have tried
        assert set(proxy.asked) == {hub.origin.removeprefix("https://")}
        async with pe.hub.feed("") as feed:
            assert isinstance(feed, PollFeed)
        assert tap.killed == killed


async def test_proxy_with_a_wrong_password_is_unreachable(hub: Hub) -> None:
    async with ConnectProxy("ana", "right") as proxy:
        route = replace(direct(hub), proxy=f"http://127.0.0.1:{proxy.port}", login=("ana", "wrong"))
        async with client(hub, route) as pe:
            with pytest.raises(Unavailable, match=r"hub\.unreachable"):
                await pe.state()
        assert proxy.refused >= 1


async def test_certificate_of_another_authority_is_refused(hub: Hub, tmp_path: Path) -> None:
    async with running_hub(make_world(), tmp_path / "other") as other:
        route = Route(hub.origin, tls_context(ca=(other.home / "ca.pem").read_text(), extra_ca=None))
        async with client(hub, route) as pe:
            with pytest.raises(Unavailable, match=r"hub\.certificate"):
                await pe.state()
        both = tls_context(ca=(other.home / "ca.pem").read_text(), extra_ca=(hub.home / "ca.pem").read_text())
        async with client(hub, Route(hub.origin, both)) as pe:
            assert (await pe.state()).epoch  # an inspecting proxy's CA, added explicitly


async def test_public_authorities_are_asked_without_a_ca(hub: Hub) -> None:
    context = tls_context(ca=None, extra_ca=None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    async with client(hub, Route(hub.origin, context)) as pe:
        with pytest.raises(Unavailable, match=r"hub\.certificate"):
            await pe.state()


@pytest.mark.parametrize("offset", [2 * HOUR_MS, -2 * HOUR_MS])
async def test_clock_that_is_off_is_corrected_for_tokens_only(hub: Hub, offset: int) -> None:
    async with client(hub, offset=offset) as pe:
        assert (await pe.state()).receipts_batch == 0
        assert pe.clock_offset == -offset
        first = await pe.leaves(0)
        rest = await pe.leaves(len(first))
        assert [*first, *rest] == hub.world.leaves[: len(first) + len(rest)]
        assert first
        assert rest, "in pages that a thin link brings"


async def test_hub_that_is_gone_is_unreachable(hub: Hub) -> None:
    async with client(hub, replace(direct(hub), origin="https://127.0.0.1:1")) as pe:
        with pytest.raises(Unavailable, match=r"hub\.unreachable"):
            await pe.state()


async def test_refusals_come_with_the_hubs_code(hub: Hub) -> None:
    async with client(hub, member="mx-csirt") as stranger:
        with pytest.raises(Refused, match=r"auth\.unknown-issuer"):
            await stranger.state()
    async with client(hub) as pe:
        posted = await pe.put_envelope(bytes(32), b"EXE1")
        assert [result.code for result in posted.results] == ["envelope.bad-frame"]
        with pytest.raises(Refused, match=r"application\.unknown"):
            await pe.sign_application("mx-csirt", bytes(32), [])


async def test_hub_restart_is_noticed_and_the_live_loop_goes_on(tmp_path: Path) -> None:
    world = make_world()
    async with running_hub(world, tmp_path / "hub") as hub, over(hub, tmp_path) as sim:
        pe, co = await sim.node(hub, "pe-csirt", websocket=False), await sim.node(hub, "co-csirt")
        async with live(pe, co):
            first = pe.send("co-csirt")
            pe.up.sync.poke()
            await until_stored(pe, first, "co-csirt")
            hub.stop.set()
            async with asyncio.timeout(30):
                while pe.up.sync.condition.connected or co.up.sync.condition.connected:
                    await pe.up.sync.changed.wait(0.5)
            second = pe.send("co-csirt")
            async with running_hub(world, tmp_path / "hub", port=hub.port, origins=[hub.origin]):
                pe.up.sync.poke()
                co.up.sync.poke()
                await until_stored(pe, second, "co-csirt")
        assert co.received() == [first, second]
