"""Out through an authenticating HTTP proxy that kills connections and WebSockets: everything arrives all the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from exchange.cli.app import run
from exchange.node.control import channel as control
from tests.trip.connect_proxy import ConnectProxy
from tests.trip.founding import KEY
from tests.trip.network import Network, NodeSide
from tests.trip.processes import until
from tests.trip.tls_tap import TlsTap

USER, PASSWORD = "node", "a secret of the ministry's"


def behind(node: NodeSide, proxy: ConnectProxy, password: str = PASSWORD) -> None:
    """Tell the node of the proxy, as its administrator does."""
    login = node.path / "proxy-login"
    login.write_text(f"{USER}:{password}\n")
    login.chmod(0o600)
    node.reconfigure(proxy=f"http://127.0.0.1:{proxy.port}", proxy_login=login.name)


@asynccontextmanager
async def cutting(proxy: ConnectProxy) -> AsyncIterator[None]:
    """Every tunnel is cut about twice a second meanwhile."""

    async def cut() -> None:
        while True:
            await asyncio.sleep(0.5)
            proxy.cut()

    task = asyncio.create_task(cut())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_mail_arrives_through_a_proxy_that_cuts_every_connection(network: Network) -> None:
    pe, co = network["pe-csirt"], network["co-csirt"]
    async with ConnectProxy(USER, PASSWORD, life=2.0) as proxy:
        for node in (pe, co):
            behind(node, proxy)
        await network.up("pe-csirt", "co-csirt")
        before = proxy.cuts
        async with cutting(proxy):
            there = [pe.send(["co-csirt"], f"There {n}", size=50_000) for n in range(10)]
            back = [co.send(["pe-csirt"], f"Back {n}", urgency="flash") for n in range(5)]
            await until(lambda: proxy.cuts > before + 5, "tunnels were cut")
            for node in (pe, co):
                node.poke()
        await network.delivered("pe-csirt", there, ["co-csirt"])
        await network.delivered("co-csirt", back, ["pe-csirt"])
        assert set(proxy.asked) == {f"127.0.0.1:{network.homes.port}"}
        assert PASSWORD.encode() not in pe.serve.output() + co.serve.output() + network.hub.serve.output()
    assert network.accusations() == {}
    await network.down()


async def test_mail_arrives_where_the_proxy_inspects_tls_and_kills_websockets(
    network: Network, capfd: pytest.CaptureFixture[str]
) -> None:
    pe, co = network["pe-csirt"], network["co-csirt"]
    await network.hub.serve.up()
    async with (
        TlsTap(
            network.homes.port, server=network.server_tls(), client=network.client_tls(), kills_sockets=True
        ) as tap,
        ConnectProxy(USER, PASSWORD, goes_to=tap.port) as proxy,
    ):
        for node in (pe, co):
            behind(node, proxy)
        await network.up("pe-csirt", "co-csirt")
        ids = [
            pe.send(["co-csirt"], f"Number {n}", urgency=urgency)
            for n, urgency in enumerate(("flash", "routine"))
        ]
        await network.delivered("pe-csirt", ids, ["co-csirt"])
        assert tap.killed >= 2, "each node tried a WebSocket once"
        assert b"/v1/mailbox?" in tap.to_hub
        capfd.readouterr()
        key = str(network.homes.folder / KEY)
        await asyncio.to_thread(run, ["doctor", "--home", str(pe.path), "--key-file", key, "--json"])
        checks = json.loads(capfd.readouterr().out.splitlines()[-1])["checks"]
        assert [one["state"] for one in checks if one["code"] == "link.killed"] == ["warn"]
        await network.down()


async def test_wrong_password_for_the_proxy_lets_nothing_through(network: Network) -> None:
    pe = network["pe-csirt"]
    await network.hub.serve.up()
    async with ConnectProxy(USER, PASSWORD) as proxy:
        behind(pe, proxy, "not it")
        id_ = pe.send(["co-csirt"])
        await pe.serve.up()

        def problem() -> object:
            condition = control.ask(pe.path / "control.sock", "status")
            assert isinstance(condition, dict)
            return condition["problem"]

        await until(problem, "the node says what is wrong")
        assert problem() == "hub.unreachable"
        await until(lambda: proxy.refused >= 1, "the proxy has refused")
        assert proxy.asked == []
        assert network.copy("pe-csirt", id_, "co-csirt").state == "queued"
