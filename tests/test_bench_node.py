"""The benchmarks of the node, tiny: that they run to the end and every number is there; no time is asserted."""

from __future__ import annotations

import random
import uuid
from pathlib import Path

from bench import catchup, latency
from bench._node_network import Alerts
from exchange.formats.stix.cover import read_message


def test_alerts_are_readable_messages_of_a_few_kilobytes() -> None:
    alerts = Alerts(uuid.UUID(int=1), "pe-csirt", random.Random(1))
    for _ in range(10):
        message = alerts.next()
        assert 2_000 < len(message.bundle) < 6_000
        assert read_message(message.bundle) == message


def test_catch_up_gives_its_ratios(tmp_path: Path) -> None:
    result = catchup.measure(tmp_path, rounds=1, messages=8)
    assert result["ratios"].keys() == catchup.GOALS.keys()
    assert all(value > 0 for value in result["ratios"].values())
    assert result["ours"]["messages"] == 8
    assert result["ceiling"]["ms_per_message"]["rounds"] == 1


def test_latency_gives_its_ratios(tmp_path: Path) -> None:
    result = latency.measure(tmp_path, rounds=1, seconds=0.2)
    assert result["ratios"].keys() == latency.GOALS.keys()
    assert result["ours"]["messages_a_round"] == 4
    for side in (result["ours"], result["peer"]):
        assert 0 < side["p50_ms"]["median"] <= side["p99_ms"]["median"] <= side["most_ms"]["median"]
