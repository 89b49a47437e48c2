"""A flash message and a slow link that is full of bulk: flash overtakes, in both directions, and no bulk is lost."""

from __future__ import annotations

from tests.trip.faulty_proxy import FaultyProxy
from tests.trip.network import Network
from tests.trip.processes import until

BULK, SIZE = 10, 1_500_000  # messages, bytes of each
RATE = 2_500_000  # bytes a second


async def test_flash_overtakes_bulk_on_its_way_to_the_hub(network: Network) -> None:
    async with FaultyProxy(network.move_hub(), port=network.homes.port) as link:
        await network.up("pe-csirt", "co-csirt")
        pe, co = network["pe-csirt"], network["co-csirt"]
        warm = pe.send(["co-csirt"], "Warm")
        await network.delivered("pe-csirt", [warm], ["co-csirt"])
        link.up.rate = RATE
        before = link.up.passed
        bulk = [pe.send(["co-csirt"], f"Bulk {n}", size=SIZE) for n in range(BULK)]
        await until(lambda: link.up.passed > before + SIZE // 4, "bulk is on the wire")
        flash = pe.send(["co-csirt"], "Flash", urgency="flash")
        await until(lambda: network.copy("pe-csirt", flash, "co-csirt").stored_at, "flash is there")
        waiting = [id_ for id_ in bulk if not network.copy("pe-csirt", id_, "co-csirt").accepted_at]
        assert len(waiting) >= BULK // 2, "flash came with the bulk, not before it"
        link.up.rate = 0
        await network.delivered("pe-csirt", [*bulk, flash], ["co-csirt"])
        order = co.holds.ids()
        assert [id_ for id_ in order if id_ in bulk] == bulk
        await network.down()


async def test_flash_overtakes_bulk_on_its_way_from_the_hub(network: Network) -> None:
    async with FaultyProxy(network.move_hub(), port=network.homes.port) as link:
        await network.up("pe-csirt")
        pe, co = network["pe-csirt"], network["co-csirt"]
        bulk = [pe.send(["co-csirt"], f"Bulk {n}", size=SIZE) for n in range(BULK)]
        await until(lambda: network.hub.holds.waiting("co-csirt") == BULK, "bulk waits at the hub")
        link.down.rate = RATE
        await co.serve.up()
        await until(lambda: len(co.holds.ids()) >= 1, "bulk has begun to come")
        flash = pe.send(["co-csirt"], "Flash", urgency="flash")
        await until(lambda: flash in co.holds.ids(), "flash is there")
        assert len(co.holds.ids()) <= 1 + BULK * 3 // 4, "flash came behind the bulk"
        link.down.rate = 0
        await network.delivered("pe-csirt", [*bulk, flash], ["co-csirt"])
        assert [id_ for id_ in co.holds.ids() if id_ in bulk] == bulk
        await network.down()
