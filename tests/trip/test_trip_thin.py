"""Links that are cut again and again: what has come stays, long messages get through, the links carry little twice."""

from __future__ import annotations

from tests.trip.faulty_proxy import FaultyProxy, cutting
from tests.trip.network import Network
from tests.trip.processes import until

LONG = 1_500_000  # bytes of a message
RATE = 1_500_000  # bytes a second
BETWEEN = 0.5  # seconds between two cuts: never enough for a long one
FEW = 4  # cuts, then the link holds


async def test_long_messages_come_through_a_link_that_is_cut_within_each(network: Network) -> None:
    async with FaultyProxy(network.move_hub(), port=network.homes.port) as link:
        await network.up("pe-csirt", "co-csirt")
        pe, co = network["pe-csirt"], network["co-csirt"]
        await network.delivered("pe-csirt", [pe.send(["co-csirt"], "Warm")], ["co-csirt"])
        link.up.rate = link.down.rate = RATE
        before = link.up.passed, link.down.passed
        async with cutting(link, FEW, each=RATE * BETWEEN):
            ids = [pe.send(["co-csirt"], f"Long {n}", size=LONG) for n in range(2)]
            await network.delivered("pe-csirt", ids, ["co-csirt"])
        assert co.holds.ids()[-2:] == ids
        # each way carried both once, and of what was cut off only the last piece again
        for way, was in zip((link.up, link.down), before, strict=True):
            assert 2 * LONG * 3 // 4 < way.passed - was < 2 * LONG * 5 // 3
        assert network.accusations() == {}
        await network.down()


async def test_a_backlog_is_not_fetched_again_after_a_cut(network: Network) -> None:
    async with FaultyProxy(network.move_hub(), port=network.homes.port) as link:
        pe, co = network["pe-csirt"], network["co-csirt"]
        await network.up("pe-csirt")
        ids = [pe.send(["co-csirt"], f"Number {n}", size=30_000) for n in range(60)]
        await until(lambda: network.hub.holds.waiting("co-csirt") == len(ids), "the backlog waits")
        before = link.down.passed
        link.down.rate = RATE
        async with cutting(link, 2, each=RATE * BETWEEN):
            await co.serve.up()
            await network.delivered("pe-csirt", ids, ["co-csirt"])
        assert co.holds.ids("pe-csirt") == ids
        assert link.down.passed - before < 60 * 40_000 * 5 // 3
        await network.down()
