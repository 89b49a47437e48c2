"""What a node's and a hub's metrics have in common: gauges in one line, a database's sizes and commits (Prometheus).

Every name is documented in docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exchange.storage.commits import Histogram
from exchange.storage.database import Database


class Values:
    """Numbers as of now, under one prefix."""

    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        self._registry = registry
        self._prefix = prefix

    def gauge(self, name: str, help_: str, value: float) -> None:
        """One number."""
        Gauge(self._prefix + name, help_, registry=self._registry).set(value)

    def gauges(
        self, name: str, help_: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
    ) -> None:
        """A number for each combination of labels."""
        family = Gauge(self._prefix + name, help_, labels, registry=self._registry)
        for key, value in sorted(values.items()):
            family.labels(*key).set(value)

    def counters(self, name: str, help_: str, label: str, values: Mapping[str, float]) -> None:
        """A number for each label that only grows, but where what it counts begins anew."""
        family = CounterMetricFamily(self._prefix + name, help_, labels=[label])
        for key, value in sorted(values.items()):
            family.add_metric([key], value)
        self._registry.register(_Fixed([family]))


class DatabaseCollector(Collector):
    """Sizes of a database's files and what its writer counted."""

    def __init__(self, prefix: str, db: Database) -> None:
        self._prefix = prefix
        self._db = db

    def collect(self) -> Iterator[Metric]:
        """Families for a registry."""
        prefix, commits = self._prefix, self._db.commits
        sizes = (
            ("database_bytes", "size of the database's file", self._db.path),
            ("database_log_bytes", "size of its log (WAL)", _log_of(self._db.path)),
        )
        for name, help_, path in sizes:
            metric = Metric(prefix + name, help_, "gauge")
            metric.add_sample(prefix + name, {}, _size(path))
            yield metric
        yield _histogram(f"{prefix}commit_jobs", "writes that shared one commit", commits.jobs)
        yield _histogram(f"{prefix}commit_seconds", "time of a commit with its writes", commits.seconds)
        yield CounterMetricFamily(
            f"{prefix}commits_failed", "commits that came to nothing", value=commits.failed
        )


class _Fixed(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _histogram(name: str, help_: str, values: Histogram) -> HistogramMetricFamily:
    bounds = [*(f"{bound:g}" for bound in values.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(values.counts), strict=True))
    return HistogramMetricFamily(name, help_, buckets=buckets, sum_value=values.sum)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
