"""The running simulation of a hub and three nodes, for every test of the node's services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.canonical import b64
from tests.simulator import Simulation, Site, simulation
from tests.worlds import ORIGIN


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


@pytest.fixture
def host(sim: Simulation, pe: Site) -> Site:
    """pe's node, with the settings that `join` writes."""
    lines = {"member": "pe-csirt", "hub": ORIGIN, "net": b64(sim.world.net)}
    (pe.home / "config.toml").write_text("".join(f'{name} = "{text}"\n' for name, text in lines.items()))
    return pe
