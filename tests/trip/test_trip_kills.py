"""A short run of the long one: hub and nodes killed with -9, one or two at a time, while everybody sends."""

from __future__ import annotations

from tests.trip.killing import HUB, KillRun, plan
from tests.trip.network import Network

SECONDS = 15.0
NAMES = (HUB, "pe-csirt", "co-csirt", "bb-csirt")


def test_a_seed_repeats_its_kills() -> None:
    kills = plan(1, 300, NAMES)
    assert kills == plan(1, 300, NAMES) != plan(2, 300, NAMES)
    assert {victim for kill in kills for victim in kill.victims} == set(NAMES)
    assert {len(kill.victims) for kill in kills} == {1, 2}


async def test_hub_and_nodes_killed_at_any_moment_lose_nothing_and_show_nothing_twice(
    network: Network,
) -> None:
    outcome = await KillRun(network, seed=3, seconds=SECONDS).run()
    assert outcome.faults == []
    assert outcome.kills[HUB] > 0
    assert sum(outcome.kills.values()) > 2
    assert outcome.delivered == outcome.sent > 10
