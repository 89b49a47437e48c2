"""The running simulation of a hub and three nodes, for every test of the node's services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.simulator import Simulation, Site, simulation


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulation]:
    async with simulation(tmp_path) as running:
        yield running


@pytest.fixture
def pe(sim: Simulation) -> Site:
    return sim.sites["pe-csirt"]


@pytest.fixture
def co(sim: Simulation) -> Site:
    return sim.sites["co-csirt"]


@pytest.fixture
def bb(sim: Simulation) -> Site:
    return sim.sites["bb-csirt"]
