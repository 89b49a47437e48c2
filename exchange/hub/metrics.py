"""Owns the hub's numbers for operators (Prometheus text format): counts, sizes, codes; no handle, no content."""

from __future__ import annotations

from collections import Counter as Counts
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from exchange.directory.members import Status
from exchange.directory.state import Directory
from exchange.hub.store_release import Totals

CONTENT_TYPE: Final = "text/plain"


class Metrics:
    """A registry of its own for each hub, so that two can live in one process (tests)."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        prefix = "exchange_hub_"
        registry = self._registry
        self.accepted = Counter(f"{prefix}accepted", "envelopes accepted", registry=registry)
        self.repeated = Counter(f"{prefix}repeated", "envelopes that were known already", registry=registry)
        self.refused = Counter(f"{prefix}refused", "refusals by code", ["code"], registry=registry)
        self.receipted = Counter(f"{prefix}receipted", "mailbox rows receipted", registry=registry)
        self.unmatched = Counter(f"{prefix}unmatched", "receipt leaves that fitted no row", registry=registry)
        self.expired = Counter(f"{prefix}expired", "envelopes expired", registry=registry)
        self._rows = Gauge(f"{prefix}mailbox_rows", "copies not receipted yet", registry=registry)
        self._waiting = Gauge(f"{prefix}waiting_envelopes", "envelopes with a body", registry=registry)
        self._bytes = Gauge(f"{prefix}waiting_bytes", "bytes of them", registry=registry)
        self._connections = Gauge(f"{prefix}connections", "open connections", registry=registry)
        self._sockets = Gauge(f"{prefix}sockets", "open WebSockets", registry=registry)
        self._size = Gauge(
            f"{prefix}checkpoint_size", "leaves under the newest checkpoint", registry=registry
        )
        self._read_only = Gauge(f"{prefix}log_read_only", "1 while no statement is taken", registry=registry)
        self._term = Gauge(f"{prefix}term", "term of the hub in the log", registry=registry)
        self._members = Gauge(f"{prefix}members", "members by status", ["status"], registry=registry)
        self._pending = Gauge(
            f"{prefix}pending_statements", "statements that lack signatures", registry=registry
        )
        self._applications = Gauge(f"{prefix}applications", "applications that wait", registry=registry)
        self._free = Gauge(f"{prefix}disk_free_bytes", "free bytes on the home's disk", registry=registry)

    def text(
        self,
        totals: Totals,
        directory: Directory,
        *,
        connections: int,
        sockets: int,
        pending: int,
        applications: int,
        read_only: bool,
        free_bytes: int,
    ) -> bytes:
        """All numbers as of now."""
        standing = Counts(member.status for member in directory.members.values())
        for status in Status:
            self._members.labels(status.value).set(standing[status])
        self._rows.set(totals.rows)
        self._waiting.set(totals.envelopes)
        self._bytes.set(totals.bytes)
        self._connections.set(connections)
        self._sockets.set(sockets)
        self._size.set(directory.size)
        self._term.set(directory.term)
        self._pending.set(pending)
        self._applications.set(applications)
        self._read_only.set(int(read_only))
        self._free.set(free_bytes)
        return generate_latest(self._registry)
