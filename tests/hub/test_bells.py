"""The bells: whoever waits hears the next ring, and whoever goes takes nobody else along."""

from __future__ import annotations

import asyncio

from exchange.hub.bells import Bells


async def test_a_ring_wakes_all_who_wait_and_is_not_heard_again() -> None:
    bells = Bells()
    bell = bells.of("pe-csirt")
    assert bells.of("pe-csirt") is bell
    waiting = [asyncio.create_task(bell.wait()) for _ in range(3)]
    await asyncio.sleep(0)  # all three wait
    bells.ring(["pe-csirt", "nobody"])
    await asyncio.gather(*waiting)
    await bell.wait()  # rung once, rung for good
    assert bells.of("pe-csirt") is not bell


async def test_one_that_stops_waiting_leaves_the_others_waiting() -> None:
    bells = Bells()
    bell = bells.of("pe-csirt")
    one, other = (asyncio.create_task(bell.wait()) for _ in range(2))
    await asyncio.sleep(0)  # both wait
    one.cancel()
    await asyncio.wait([one])
    assert one.cancelled()
    assert not other.done()
    bells.ring_all()
    await other


async def test_one_that_is_cancelled_as_it_rings_harms_nobody() -> None:
    bells = Bells()
    bell = bells.of("pe-csirt")
    one, other = (asyncio.create_task(bell.wait()) for _ in range(2))
    await asyncio.sleep(0)  # both wait
    one.cancel()
    bells.ring(["pe-csirt"])
    await asyncio.wait([one, other])
    assert one.cancelled()
    assert not other.cancelled()
