"""Owns the counts of a database's commits: how many jobs share one, and how long it takes with their work."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

JOBS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Histogram:
    """How many values were at most each bound, the last beyond all; and their sum. One thread writes, any reads."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds: Final = bounds
        self.counts: Final = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Commits:
    """What the writer thread counts since the start."""

    def __init__(self) -> None:
        self.jobs: Final = Histogram(JOBS)
        self.seconds: Final = Histogram(SECONDS)
        self.failed = 0

    def add(self, jobs: int, seconds: float) -> None:
        """A group was committed."""
        self.jobs.add(jobs)
        self.seconds.add(seconds)
