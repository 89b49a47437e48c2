"""Many commands on one home at once, beside the server and without it: every message is durable and goes once."""

from __future__ import annotations

import asyncio

from tests.trip.holdings import is_once_each
from tests.trip.network import Network

PROCESSES = 8


async def sends(network: Network, what: str) -> list[str]:
    """Ids of messages that as many processes send at the same time."""
    pe = network["pe-csirt"]
    done = await asyncio.gather(
        *(
            pe.command(
                "send", "--to", "co-csirt", "--kind", "alert", "--subject", f"{what} {n}", "--text", "x"
            )
            for n in range(PROCESSES)
        )
    )
    assert [code for code, _ in done] == [0] * PROCESSES, done
    return [answer["id"] for _, answer in done]


async def test_concurrent_sends_beside_the_server_and_without_it_each_arrive_once(network: Network) -> None:
    await network.up("pe-csirt", "co-csirt")
    beside = await sends(network, "Beside")
    await network.delivered("pe-csirt", beside, ["co-csirt"])
    assert await network["pe-csirt"].serve.stop() == 0

    without = await sends(network, "Without")
    assert len({*beside, *without}) == 2 * PROCESSES
    await network["pe-csirt"].serve.up()
    await network.delivered("pe-csirt", without, ["co-csirt"])
    is_once_each([*beside, *without], network["co-csirt"].holds.ids())
    assert network.accusations() == {}


async def test_message_that_is_too_large_is_refused_by_the_command(network: Network) -> None:
    """Also one of 100,000 objects, and one nested too deep: nothing is queued."""
    files = {
        "large.json": b'{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[]}'
        + b" " * 50_000_000,
        "many.json": b'{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":['
        + b",".join([b'{"type":"x"}'] * 100_000)
        + b"]}",
        "deep.json": b'{"type":"bundle","objects":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "broken.json": b'{"type":"bundle","objects":["\xff\xfe"]}',
    }
    pe = network["pe-csirt"]
    for name, data in files.items():
        path = network.homes.folder / name
        path.write_bytes(data)
        code, answer = await pe.command("send", str(path), "--to", "co-csirt", "--kind", "alert")
        assert (code, answer["ok"]) == (3, False), (name, answer)
    assert pe.holds.copies() == []
