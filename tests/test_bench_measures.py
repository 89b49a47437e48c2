"""The benchmarks of sealing, validating, growth and idling at tiny sizes: they run, and every number is there."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from bench import _memory_child as memory, growth, idle, seal, validate
from bench._founded_hub import found
from bench._gpg import gpg_home
from bench._hub_fill import Envelopes, fill
from bench._node_fill import fill as fill_node
from bench._stix_files import stix_files
from exchange.hub.store.store import HubStore
from exchange.node.store.store import open_store
from tests.simulator import LOCAL_KEY


def test_seal_beside_gpg(tmp_path: Path) -> None:
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed; `./run bench seal` says so too")
    with ExitStack() as stack:
        homes = {
            name: stack.enter_context(gpg_home(tmp_path / name, name, 1)) for name in seal.RATIOS.values()
        }
        result = seal.measure(homes, tmp_path, rounds=3, size=2_000, ours_a_round=1, gpg_a_round=1)
    assert set(result["ratios"]) == set(seal.RATIOS)
    assert result["peer"]["default"]["version"].startswith("gpg ")
    assert result["ours"]["sealed_bytes"] > 2_000


def test_validate_with_generated_files(tmp_path: Path) -> None:
    source, bundles = stix_files(tmp_path)
    assert source == "generated alerts"
    few = dict(list(bundles.items())[:3])
    result = validate.measure(few, source=source, rounds=3)
    assert set(validate.GOALS) <= set(result["ratios"])
    assert result["ours"]["load"]["accepted"] == result["ours"]["objects"] > 3


def test_growth_at_two_small_sizes(tmp_path: Path) -> None:
    work = growth.Work(groups=2, singles=2, pages=2)
    result = growth.measure(tmp_path, rounds=3, sizes=(3_000, 3_500), work=work)
    assert set(result["ratios"]) == set(growth.GOALS)
    assert result["ours"]["3000"]["accept_us"]["rounds"] == 3


def test_idle_with_three_nodes(tmp_path: Path) -> None:
    result = idle.measure(found(tmp_path / "net", 3), rounds=1, seconds=0.1, processes=1, pause=0.1)
    assert set(result["ratios"]) == set(idle.GOALS)
    assert result["ratios"]["mib"] > 20


def test_what_the_memory_soak_does_with_a_store(tmp_path: Path) -> None:
    now, steps = 1_790_000_000_000, []
    HubStore.open(tmp_path).close_sync()
    fill(tmp_path, Envelopes(now), 200)
    asyncio.run(memory.work_on_hub(tmp_path, 200, now, steps.append))
    fill_node(tmp_path / "node.db", LOCAL_KEY, 0, 120, now)
    memory.work_on_node(partial(open_store, tmp_path / "node.db", LOCAL_KEY, owner=True), steps.append)
    assert steps[:2] == ["open", "accept 0"]
    assert steps.count("open") == 2
    assert steps[-1] == f"read through {memory.ROUNDS - 1}"
