"""A slice of `./run soak simulator`: seeds, each with its own faults, and every promise checked after each run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation import network
from tests.simulation.driver import LIES, Moves, run
from tests.simulation.steps import Process, play

SLICES = 8
RUNS_OF_ONE = 8


@pytest.fixture(autouse=True)
def _folder() -> Iterator[None]:
    with network.working_folder() as made:
        network.work_in(made)
        yield


def held(seed: int, moves: Moves | None = None, steps: int = 50) -> int:
    """Run it; how many faults it met, none of which broke a promise."""
    result = play(run(seed, steps=steps, moves=moves))
    assert result.faults == (), result.told()
    return result.counts.total()


@pytest.mark.parametrize("part", range(SLICES))
def test_every_promise_holds(part: int) -> None:
    faults = [held(seed) for seed in range(part * RUNS_OF_ONE, (part + 1) * RUNS_OF_ONE)]
    assert min(faults) >= 1


@pytest.mark.parametrize("seed", range(4))
def test_hub_that_lies_gets_nothing_in_and_hides_nothing(seed: int) -> None:
    assert held(seed, LIES, steps=20) >= 1


def test_seed_gives_the_same_run_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    points: list[str] = []
    point = Process.point

    async def noted(self: Process, *arguments: Any) -> None:
        points.append(self.name)
        await point(self, *arguments)

    monkeypatch.setattr(Process, "point", noted)
    first = play(run(15))
    length = len(points)
    assert play(run(15)) == first
    assert points[:length] == points[length:]
