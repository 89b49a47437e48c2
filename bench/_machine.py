"""What a benchmark ran on, and how its numbers are taken: process CPU time, medians of rounds, a profile.

Owns nothing of what is measured.
"""

from __future__ import annotations

import cProfile
import io
import os
import platform
import pstats
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict


class Spread(TypedDict):
    """A measurement over rounds, in its own unit."""

    median: float
    least: float
    most: float
    rounds: int


def machine() -> dict[str, Any]:
    """Processor, how many of it, system, Python."""
    model = ""
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        names = [line for line in cpu.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else ""
    return {
        "cores": os.cpu_count(),
        "processor": model or platform.processor(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of the whole process while `work` runs once: what other processes do doesn't count."""
    began = time.process_time()
    work()
    return time.process_time() - began


def spread(values: list[float]) -> Spread:
    """Median and range of what was measured round by round."""
    return {
        "median": round(statistics.median(values), 6),
        "least": round(min(values), 6),
        "most": round(max(values), 6),
        "rounds": len(values),
    }


def profile(work: Callable[[], object], *, lines: int = 8) -> list[str]:
    """Where the time of one further run goes: the functions with most time of their own."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    text = io.StringIO()
    stats = pstats.Stats(profiler, stream=text)
    stats.strip_dirs().sort_stats("tottime").print_stats(lines)
    rows = text.getvalue().splitlines()
    start = next((number for number, row in enumerate(rows) if row.lstrip().startswith("ncalls")), 0)
    return [" ".join(row.split()) for row in rows[start:] if row.strip()]
