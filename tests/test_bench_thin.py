"""The benches of thin and of full links, tiny: everything arrives, every key is there; no time asserted."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench import flash, thin
from bench._thin_link import Shape
from bench._thin_network import backlog, founded


def test_a_backlog_comes_through_the_cut_link_and_an_idle_node_is_weighed(tmp_path: Path) -> None:
    homes = asyncio.run(founded(tmp_path / "founded"))
    waiting = asyncio.run(backlog(homes, tmp_path / "backlog", 4))
    came = asyncio.run(thin._round(waiting, tmp_path / "round", 4, 20, out=False))
    assert came["bytes"] == came["bytes_up"] + came["bytes_down"]
    assert came["bytes_down"] > came["ideal_bytes"] > 4 * 5_000
    idle = thin.Idle(homes, tmp_path / "idling", minutes=0.01, settle=0.1)
    idle.start()
    assert idle.day_mb() >= 0


def test_flash_is_timed_in_both_directions_beside_bulk(tmp_path: Path) -> None:
    link = Shape(rate=4_000_000, delay=0.001)
    result = flash.measure(tmp_path, rounds=1, samples=2, bulk_bytes=400_000, link=link)
    assert set(flash.GOALS) == set(result["ratios"])
    assert result["ours"]["samples"] == 2
    assert 0 < result["ours"]["in_p99_s"] <= result["ours"]["most_s"]
    assert result["ours"]["link_used_up"]["median"] > 0
