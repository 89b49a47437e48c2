"""Owns the hub's numbers for operators (Prometheus text format): counts, sizes, codes; no handle, no content.

docs/metrics.md explains each.
"""

from __future__ import annotations

from collections import Counter as Counts
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, generate_latest

from exchange.directory.members import Status
from exchange.directory.state import Directory
from exchange.exposition import DatabaseCollector, Values
from exchange.header import LANES
from exchange.hub.store.alarm import Oldest
from exchange.hub.store.blobs import BlobTotals
from exchange.hub.store.release import Totals
from exchange.hub.store.store import HubStore
from exchange.limits import SECOND_MS

CONTENT_TYPE: Final = "text/plain"
_PREFIX: Final = "exchange_hub_"


@dataclass(frozen=True)
class Reading:
    """What is looked at for each answer. `flash`: the oldest copy of every address that has some, `now` in ms.

    `certificate_until`: ms, 0 without TLS; `backup_at`: of the newest backup, ms, 0 without one. `lag` in seconds.
    `calls`: kinds of notices that did not go out.
    """

    now: int
    totals: Totals
    blobs: BlobTotals
    flash: list[Oldest]
    flash_copies: int
    connections: int
    sockets: int
    pending: int
    applications: int
    read_only: bool
    free_bytes: int
    disk_bytes: int
    certificate_until: int
    backup_at: int
    lag: float
    calls: int


class Metrics:
    """A registry of its own for each hub, so that two can live in one process (tests)."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self.repeated = Counter(f"{_PREFIX}repeated", "envelopes that were known already", registry=registry)
        self.refused = Counter(f"{_PREFIX}refused", "refusals by code", ["code"], registry=registry)
        self.receipted = Counter(f"{_PREFIX}receipted", "mailbox rows receipted", registry=registry)
        self.unmatched = Counter(
            f"{_PREFIX}unmatched", "receipt leaves that fitted no row", registry=registry
        )
        self.expired = Counter(f"{_PREFIX}expired", "envelopes expired", registry=registry)

    def text(self, store: HubStore, directory: Directory, reading: Reading) -> bytes:
        """All numbers as of now."""
        registry = CollectorRegistry()
        values = Values(registry, _PREFIX)
        _mail(values, store, reading)
        _log(values, directory, reading)
        _machine(values, reading)
        registry.register(DatabaseCollector(_PREFIX, store.db))
        return generate_latest(self._registry) + generate_latest(registry)


def _mail(values: Values, store: HubStore, reading: Reading) -> None:
    lanes = {lane: store.accepted[lane] for lane in LANES}
    values.counters("accepted", "envelopes accepted, by lane", "lane", lanes)
    values.counters("receipt_leaves", "receipts taken, by status", "status", store.receipts)
    gauge, totals = values.gauge, reading.totals
    gauge("mailbox_rows", "copies not receipted yet", totals.rows)
    gauge("waiting_envelopes", "envelopes with a body", totals.envelopes)
    gauge("waiting_bytes", "bytes of them", totals.bytes)
    gauge("attachments", "sealed attachments kept, unfinished ones among them", reading.blobs.blobs)
    gauge("attachment_bytes", "bytes of them, as announced", reading.blobs.bytes)
    oldest = min((one.since for one in reading.flash), default=reading.now)
    gauge("flash_waiting_copies", "flash copies not stored yet", reading.flash_copies)
    gauge("flash_waiting_members", "addresses that they wait for", len(reading.flash))
    age = max(0, reading.now - oldest) / SECOND_MS
    gauge("flash_waiting_oldest_seconds", "age of the oldest of them", age)
    gauge("calls_failing", "kinds of notices that the alarm hook couldn't send", reading.calls)


def _log(values: Values, directory: Directory, reading: Reading) -> None:
    standing = Counts(member.status for member in directory.members.values())
    members: dict[tuple[str, ...], float] = {(status.value,): standing[status] for status in Status}
    gauge = values.gauge
    gauge("checkpoint_size", "leaves under the newest checkpoint", directory.size)
    gauge("log_read_only", "1 while no statement is taken", reading.read_only)
    gauge("term", "term of the hub in the log", directory.term)
    values.gauges("members", "members by status", ("status",), members)
    gauge("pending_statements", "statements that lack signatures", reading.pending)
    gauge("applications", "applications that wait", reading.applications)


def _machine(values: Values, reading: Reading) -> None:
    gauge = values.gauge
    gauge("connections", "open connections", reading.connections)
    gauge("sockets", "open WebSockets", reading.sockets)
    gauge("disk_free_bytes", "free bytes on the home's disk", reading.free_bytes)
    gauge("disk_size_bytes", "size of that disk", reading.disk_bytes)
    until = reading.certificate_until / SECOND_MS
    gauge("certificate_end_timestamp_seconds", "when the TLS certificate ends; 0: no TLS here", until)
    backup = reading.backup_at / SECOND_MS
    gauge("backup_timestamp_seconds", "when the newest backup was made; 0: never", backup)
    gauge("loop_lag_seconds", "longest delay of due work since the last reading", reading.lag)
