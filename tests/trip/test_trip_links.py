"""A line that is cut within a frame or falls silent, in either direction: mail is late, once, and in order."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.trip.faulty_proxy import FaultyProxy, Way
from tests.trip.holdings import is_in_chain_order, is_once_each
from tests.trip.network import Network
from tests.trip.processes import until

CUTS = 3
AFTER = 20_000  # bytes of a connection; a message here is longer, a handshake shorter
SIZE = 50_000
URGENCIES = ("flash", "routine")


@pytest.fixture
async def link(network: Network) -> AsyncIterator[FaultyProxy]:
    """What pe and co reach the hub through."""
    async with FaultyProxy(network.move_hub(), port=network.homes.port) as proxy:
        await network.up("pe-csirt", "co-csirt")
        yield proxy


def way(link: FaultyProxy, name: str) -> Way:
    """Towards the hub, or back."""
    return link.up if name == "up" else link.down


def send_both_ways(network: Network, subject: str) -> dict[str, list[str]]:
    """A message in each lane from each; ids by sender."""
    return {
        sender: [
            network[sender].send([to], f"{subject} {urgency}", urgency=urgency, size=SIZE)
            for urgency in URGENCIES
        ]
        for sender, to in (("pe-csirt", "co-csirt"), ("co-csirt", "pe-csirt"))
    }


async def arrived(network: Network, *sent: dict[str, list[str]]) -> None:
    """All of it, once and in order, and nobody is accused."""
    for sender, to in (("pe-csirt", "co-csirt"), ("co-csirt", "pe-csirt")):
        ids = [id_ for each in sent for id_ in each[sender]]
        await network.delivered(sender, ids, [to])
        is_once_each(ids, network[to].holds.ids())
        is_in_chain_order(network[to].holds.inbox())
        assert network[to].holds.damaged() == network[to].holds.quarantine() == []
    assert network.accusations() == {}


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_line_cut_in_the_middle_of_frames(network: Network, link: FaultyProxy, direction: str) -> None:
    way(link, direction).cut_after = AFTER
    before = link.connections
    sent = send_both_ways(network, "Through a line that breaks")
    await until(lambda: link.connections >= before + CUTS, "connections were cut, and others tried")
    way(link, direction).cut_after = None
    for handle in ("pe-csirt", "co-csirt"):
        network[handle].poke()
    await arrived(network, sent)


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_line_that_falls_silent_in_one_direction(
    network: Network, link: FaultyProxy, direction: str
) -> None:
    """What goes the other way still gets through; nothing is taken for lost, and nothing is sent twice for good."""
    warm = send_both_ways(network, "While it is well")
    await arrived(network, warm)
    held = way(link, direction)
    held.flowing.clear()
    sent = send_both_ways(network, "While it is silent")
    if direction == "down":  # the hub has them, and its word doesn't come back
        await until(lambda: network.hub.holds.waiting() == 4, "the hub has all of them")
    else:
        await until(lambda: link.live > 0 and all_sealed(network, sent), "they are on their way")
        assert network.hub.holds.waiting() == 0
    held.flowing.set()
    await arrived(network, warm, sent)


def all_sealed(network: Network, sent: dict[str, list[str]]) -> bool:
    """Whether all left the queue."""
    copies = [copy for sender in sent for copy in network[sender].holds.copies()]
    return all(copy.state != "queued" for copy in copies)
