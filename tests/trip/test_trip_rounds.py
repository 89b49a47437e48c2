"""Nodes that are away and come back, and a hub that is killed in between: each message once, in order, receipted."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.trip.holdings import is_in_chain_order, is_once_each
from tests.trip.network import Network
from tests.trip.processes import until
from tests.trip.soak import ROUNDS

URGENCIES = ("flash", "immediate", "priority", "routine")


async def test_message_travels_and_every_receipt_comes_back(network: Network) -> None:
    await network.up()
    ids = [
        network["pe-csirt"].send(["co-csirt", "bb-csirt"], f"Number {n}", urgency=urgency)
        for n, urgency in enumerate(URGENCIES)
    ]
    await network.delivered("pe-csirt", ids, ["co-csirt", "bb-csirt"])
    assert network.hub.holds.waiting() == 0
    await network.down()
    assert network.accusations() == {}


@pytest.mark.parametrize("seed", range(2))
async def test_node_that_was_away_gets_each_message_once_in_order_though_the_hub_is_killed(
    network: Network, seed: int
) -> None:
    """Half of the rounds for each seed."""
    chance = random.Random(seed)
    pe, bb = network["pe-csirt"], network["bb-csirt"]
    await network.up("pe-csirt", "co-csirt")
    sent: list[str] = []
    for number in range(ROUNDS // 2):
        batch = [
            pe.send(["bb-csirt", "co-csirt"], f"Round {number}, {n}", urgency=chance.choice(URGENCIES))
            for n in range(chance.randrange(2, 6))
        ]
        sent += batch
        bb.serve.start()
        await asyncio.sleep(chance.uniform(0, 0.6))  # where the hub is killed is the point: anywhere
        network.hub.serve.kill()
        await network.hub.serve.up()
        await bb.serve.ready()
        for node in network.nodes.values():
            node.poke()
        await network.delivered("pe-csirt", batch, ["bb-csirt", "co-csirt"])
        assert await bb.serve.stop() == 0, bb.serve.last_words()
    for recipient in ("bb-csirt", "co-csirt"):
        mails = network[recipient].holds.inbox()
        is_once_each(sent, [mail.id for mail in mails])
        is_in_chain_order(mails)
    await until(lambda: network.hub.holds.waiting() == 0, "nothing waits at the hub")
    await network.down()
    assert network.accusations() == {}
