"""The bench of publishing, tiny: every side delivers and releases every copy, every key is there; no time asserted."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nats", reason="the peer comes with requirements-bench.lock only")

from bench.publish import GOALS, measure


def test_every_side_delivers_and_releases_everything(tmp_path: Path) -> None:
    result = measure(tmp_path, rounds=1, recipients=2, messages=12)
    assert set(GOALS) <= set(result["ratios"])
    for side in ("ours", "peer", "ceiling"):
        assert result[side]["deliveries_per_s"]["median"] > 0
        assert result[side]["p99_ms"]["median"] >= result[side]["p50_ms"]["median"] > 0
    assert result["peer"]["version"].startswith("v2.")
