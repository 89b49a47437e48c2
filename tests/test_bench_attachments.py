"""The bench of attachments, tiny: a file crosses a link that is cut, every key is there; no time asserted."""

from __future__ import annotations

from pathlib import Path

from bench import attachments


def test_a_small_file_is_measured_both_ways(tmp_path: Path) -> None:
    result = attachments.measure(tmp_path, rounds=1, size=400_000, rate=4_000_000, cut_seconds=3.0)
    assert set(attachments.GOALS) <= set(result["ratios"])
    ours = result["ours"]
    assert min(ours["up_bytes"]["least"], ours["down_bytes"]["least"]) >= ours["sealed"] > 400_000
