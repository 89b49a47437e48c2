"""Power cuts at any moment: nothing acknowledged is lost, half or given twice; and a store that syncs less is caught.

A slice of `./run soak crashes` (bench/_soak_crashes.py), on the same seeds every time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import pytest

from bench import _soak_crashes
from tests.power.crashes import Mutate, Tally
from tests.power.hub_crashes import hub_chain
from tests.power.mutants import acknowledged_before_commit, checkpoint_without_sync, synchronous
from tests.power.node_crashes import node_chain
from tests.power.sqlite_vfs import why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

Weaken = Callable[[], AbstractContextManager[None]]
HUBS, NODES = 3, 2  # enough of the seeds below for each mutant to fail


async def crash_hubs(folder: Path, *, mutate: Mutate = lambda _disk: None) -> Tally:
    tally = Tally()
    for number in range(HUBS):
        if tally.failures:
            break
        (home := folder / f"hub-{number}").mkdir()
        await hub_chain(f"hub/{number}", home, tally, runs=3, cuts=10, mutate=mutate)
    return tally


async def crash_nodes(folder: Path, *, mutate: Mutate = lambda _disk: None) -> Tally:
    tally = Tally()
    for number in range(NODES):
        if tally.failures:
            break
        (home := folder / f"node-{number}").mkdir()
        await node_chain(f"node/{number}", home, tally, runs=2, cuts=10, mutate=mutate)
    return tally


async def test_a_hub_that_loses_its_power_loses_nothing_else(tmp_path: Path) -> None:
    tally = await crash_hubs(tmp_path)
    assert tally.failures == []
    assert tally.crashes == HUBS * 3 * 11


async def test_a_node_that_loses_its_power_loses_nothing_else(tmp_path: Path) -> None:
    tally = await crash_nodes(tmp_path)
    assert tally.failures == []
    assert tally.crashes == NODES * 2 * 11


@pytest.mark.parametrize(
    ("weaken", "mutate"),
    [
        (partial(synchronous, "NORMAL"), lambda _disk: None),
        (partial(synchronous, "OFF"), lambda _disk: None),
        (nullcontext, checkpoint_without_sync),
    ],
    ids=["synchronous=NORMAL", "synchronous=OFF", "a checkpoint without sync"],
)
@pytest.mark.parametrize("crash", [crash_hubs, crash_nodes], ids=["hub", "node"])
async def test_the_cuts_find_a_store_that_syncs_too_little(
    crash: Callable[..., Tally], weaken: Weaken, mutate: Mutate, tmp_path: Path
) -> None:
    with weaken():
        tally = await crash(tmp_path, mutate=mutate)
    assert tally.failures


async def test_the_cuts_find_a_hub_that_answers_before_its_commit(tmp_path: Path) -> None:
    with acknowledged_before_commit():
        tally = await crash_hubs(tmp_path)
    assert tally.counts()["lost"] + tally.counts()["twice"] > 0


def test_the_soak_counts_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    code = _soak_crashes.main(["--runs", "2", "--seed", "tiny"])
    assert code == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert '"lost": 0, "twice": 0, "corrupt": 0, "failures": []' in last
