"""Faults that the simulator found, each as the shortest story that shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.simulator import Simulation, simulation


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulation]:
    async with simulation(tmp_path) as running:
        yield running


async def test_receipt_of_a_lost_run_counts_no_more_after_the_restore(sim: Simulation, tmp_path: Path) -> None:
    """`restored` overtakes in the feed the receipt that the run gave whose disk is lost."""
    pe, bb = sim.sites["pe-csirt"], sim.sites["bb-csirt"]
    await bb.copy_home(tmp_path / "copy")
    message = pe.send("bb-csirt")
    await pe.once()
    await bb.once()
    await bb.restore(tmp_path / "copy")
    await bb.once()
    assert bb.received() == []
    await pe.once()
    assert pe.state(message, "bb-csirt") == "accepted"
    await sim.rounds(2)
    assert (bb.received(), pe.state(message, "bb-csirt")) == ([message], "stored")
