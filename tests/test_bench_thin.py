"""The benches of thin and of full links, tiny: everything arrives, every key is there; no time asserted."""

from __future__ import annotations

from pathlib import Path

from bench import flash, thin
from bench._thin_link import Shape


def test_backlogs_come_through_the_cut_link_and_are_weighed(tmp_path: Path) -> None:
    result = thin.measure(tmp_path, rounds=1, messages=4, faster=20, idle_minutes=0.01, settle=0.1)
    assert set(thin.GOALS) <= set(result["ratios"])
    assert all(value >= 1 for key, value in result["ratios"].items() if key.endswith("_vs_ideal"))
    assert result["ours"]["in_bytes_down"]["median"] > result["ceiling"]["in"] > 4 * 5_000
    assert result["ours"]["out_bytes_up"]["median"] > result["ceiling"]["out"] > 4 * 5_000


def test_flash_is_timed_in_both_directions_beside_bulk(tmp_path: Path) -> None:
    link = Shape(rate=4_000_000, delay=0.001)
    result = flash.measure(tmp_path, rounds=1, samples=2, bulk_bytes=400_000, link=link)
    assert set(flash.GOALS) == set(result["ratios"])
    assert result["ours"]["samples"] == 2
    assert 0 < result["ours"]["in_p99_s"] <= result["ours"]["most_s"]
    assert result["ours"]["link_used_up"]["median"] > 0
