"""200 connections that never finish a request: all closed within the limits while everybody else is served."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import cycle

from exchange.protocol import STATE
from tests.trip.caller import RawConnection, raw
from tests.trip.network import Network

HEAD_SECONDS = 3
SLACK = 3.0  # two busy cores
LORISES = 200

HALVES = (b"GET /hea", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\r\n", b"")


async def test_half_sent_requests_are_closed_while_others_are_served(network: Network) -> None:
    network.hub.reconfigure(head_seconds=HEAD_SECONDS)
    await network.up("pe-csirt", "co-csirt")
    async with AsyncExitStack() as stack, network.calling("pe-csirt") as pe:
        served = 0

        async def loris(half: bytes) -> float:
            """Open, say half a request and then a byte now and again; how long until the hub had enough."""
            loop = asyncio.get_running_loop()
            # before the hub's limit begins, however late this side hears of the connection
            began = loop.time()
            connection = await stack.enter_async_context(raw(pe.origin, network.client_tls()))
            await connection.say(half)
            dripping = asyncio.create_task(drip(connection)) if half else None
            assert await connection.hear(HEAD_SECONDS + SLACK) == b""
            if dripping:
                dripping.cancel()
                await asyncio.gather(dripping, return_exceptions=True)
            return loop.time() - began

        lorises = [
            asyncio.create_task(loris(half)) for half, _ in zip(cycle(HALVES), range(LORISES), strict=False)
        ]
        while not all(one.done() for one in lorises):
            assert (await pe.call("GET", "/healthz", authorization="")).status == 200
            assert (await pe.call("GET", STATE)).status == 200
            served += 1
            await asyncio.wait(lorises, timeout=0.1)
        times = [one.result() for one in lorises]
        assert len(times) == LORISES
        assert min(times) > HEAD_SECONDS - 0.5  # it was the limit that closed them
        assert served > HEAD_SECONDS
        id_ = network["pe-csirt"].send(["co-csirt"])
        await network.delivered("pe-csirt", [id_], ["co-csirt"])


async def drip(connection: RawConnection) -> None:
    """A byte of a header now and again, as slow lorises do."""
    while True:
        await asyncio.sleep(0.5)
        await connection.say(b"x")


async def test_connections_without_a_handshake_are_closed(network: Network) -> None:
    network.hub.reconfigure(handshake_seconds=HEAD_SECONDS)
    await network.hub.serve.up()
    async with AsyncExitStack() as stack, network.calling("pe-csirt") as pe:
        silent = [await stack.enter_async_context(raw(pe.origin, None)) for _ in range(50)]
        hearing = [asyncio.create_task(one.hear(HEAD_SECONDS + SLACK)) for one in silent]
        assert (await pe.call("GET", STATE)).status == 200
        assert await asyncio.gather(*hearing) == [b""] * len(silent)
