"""Owns the node's numbers for operators: a file in the home that a collector of text files reads (Prometheus).

Counts, sizes, codes and ages; no member, no content. No port is opened for it. docs/metrics.md explains each.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from prometheus_client import CollectorRegistry, generate_latest

from exchange import logs
from exchange.errors import ExchangeError
from exchange.exposition import DatabaseCollector, Values
from exchange.limits import SECOND_MS
from exchange.loop_lag import LoopLag
from exchange.node.node import Node
from exchange.node.store import feeds as store_feeds, figures as store_figures
from exchange.node.store.attachment_files import files_of
from exchange.storage.files import write_private

FILE: Final = "metrics.prom"
EVERY: Final = 30.0  # seconds
_PREFIX: Final = "exchange_node_"
_log = logs.logger("node.metrics")


async def text(node: Node, lag: LoopLag) -> bytes:
    """All numbers as of now. Raises as `Database.read`."""
    now = node.sources.clock()
    figures = await node.store.db.read(partial(store_figures.figures, now=now))
    files = await asyncio.to_thread(files_of(node.store).sizes)
    registry = CollectorRegistry()
    values = Values(registry, _PREFIX)
    _link(values, node, now)
    _mail(values, figures, now)
    _faults(values, figures)
    _feeds(values, figures.feeds, node.feeds.stuck, now)
    _attachments(values, figures, len(files), sum(files))
    _machine(values, node, lag)
    registry.register(DatabaseCollector(_PREFIX, node.store.db))
    return generate_latest(registry)


def _link(values: Values, node: Node, now: int) -> None:
    replica, state = node.replica, node.sync.condition
    known = not replica.is_empty
    gauge = values.gauge
    gauge("connected", "1 while the hub answers", state.connected)
    gauge("hub_heard_timestamp_seconds", "when the hub answered last; 0: not yet", state.heard_at / SECOND_MS)
    gauge("clock_offset_seconds", "the hub's clock minus this one", state.clock_offset / SECOND_MS)
    gauge("directory_size", "leaves of the directory log", replica.directory.size if known else 0)
    gauge("directory_age_seconds", "age of the newest checkpoint", _age(replica.seen_at or 0, now))
    gauge("directory_stale", "1 while no new keys are taken", replica.is_stale())
    refs = replica.directory.prekeys(node.identity.address) if known else ()
    until = max((ref.until for ref in refs), default=now)
    gauge("prekeys_left_seconds", "until the last published prekey lapses", max(0, until - now) / SECOND_MS)


def _mail(values: Values, figures: store_figures.Figures, now: int) -> None:
    by = ("lane", "state")
    copies: dict[tuple[str, ...], float] = {(one.lane, one.state): one.copies for one in figures.queues}
    oldest: dict[tuple[str, ...], float] = {
        (one.lane, one.state): _age(one.oldest, now) for one in figures.queues
    }
    values.gauges("outbox_copies", "copies that no receipt has ended, by lane and state", by, copies)
    values.gauges("outbox_oldest_seconds", "age of the oldest of them", by, oldest)
    values.counters("sealed_copies", "numbers taken of the chains to others, by lane", "lane", figures.sealed)
    values.counters("received_copies", "numbers seen of others' chains, by lane", "lane", figures.received)
    values.gauge("unopened", "messages nobody has opened", figures.unopened)
    values.gauge("flash_unacknowledged", "flash messages nobody has acknowledged", figures.flash)
    age = _age(figures.flash_oldest, now)
    values.gauge("flash_unacknowledged_oldest_seconds", "age of the oldest of them", age)


def _faults(values: Values, figures: store_figures.Figures) -> None:
    def by(name: str, help_: str, label: str, counts: dict[str, int]) -> None:
        values.gauges(name, help_, (label,), {(key,): count for key, count in counts.items()})

    gauge = values.gauge
    by("set_aside", "items not taken into the inbox, by kind", "kind", figures.aside)
    by("quarantined", "envelopes in quarantine, by code", "code", figures.refused)
    by("alarms", "alarms by code", "code", figures.alarms)
    for name, what, at in (
        ("quarantined", "envelope came into quarantine", figures.refused_newest),
        ("alarm", "alarm was raised", figures.alarm_newest),
    ):
        gauge(f"{name}_newest_timestamp_seconds", f"when the last {what}; 0: never", at / SECOND_MS)
    gauge("missing_copies", "copies from others, asked for in vain for a day", figures.missing.total())
    gauge("exposed_messages", "messages sent to keys that were then revoked", figures.exposed)
    gauge("notices_dropped", "notices of others that did not verify", figures.notices_dropped)
    gauge("calls_failing", "kinds of notices that the alarm hook couldn't send", figures.uncalled)
    gauge("held", "legal holds that stand", figures.kept.holds)
    gauge("erased", "messages erased, as long as they are remembered", figures.kept.erased)
    gauge("over_time", "messages past their retention that are not erased yet", figures.kept.due)
    backup = figures.backup_at / SECOND_MS
    gauge("backup_timestamp_seconds", "when the newest backup was made; 0: never", backup)


def _feeds(values: Values, figures: store_feeds.Figures, stuck: int, now: int) -> None:
    gauge = values.gauge
    gauge("feeds", "feeds from outside that stand", figures.stand)
    gauge("feeds_paused", "of them those that are paused", figures.paused)
    gauge("feeds_failing", "of them those whose last try failed", figures.failing)
    age = _age(figures.oldest, now)
    gauge("feeds_oldest_success_seconds", "since the one that did worst was read, or added", age)
    gauge("feeds_stuck", "threads left behind by servers that do not answer", stuck)
    gauge("outside_taken", "versions of objects taken from outside since the first", figures.taken)


def _attachments(values: Values, figures: store_figures.Figures, files: int, size: int) -> None:
    to_send, to_fetch = figures.attachments
    values.gauge("attachments_to_send", "attachments that are not at the hub yet", to_send)
    values.gauge("attachments_to_fetch", "attachments that were asked for and have not come", to_fetch)
    values.gauge("attachments_kept", "sealed attachments in the home, unfinished ones among them", files)
    values.gauge("attachments_kept_bytes", "bytes of them", size)


def _machine(values: Values, node: Node, lag: LoopLag) -> None:
    at = node.sources.clock() / SECOND_MS
    values.gauge("written_timestamp_seconds", "when this file was written", at)
    disk = shutil.disk_usage(node.store.db.path.parent)
    values.gauge("disk_free_bytes", "free bytes on the home's disk", disk.free)
    values.gauge("disk_size_bytes", "size of that disk", disk.total)
    values.gauge("loop_lag_seconds", "longest delay of due work since the last writing", lag.take())


def _age(at: int, now: int) -> float:
    return max(0, now - at) / SECOND_MS if at else 0.0


async def keep(node: Node, folder: Path, lag: LoopLag) -> NoReturn:
    """Write the file again and again; what the disk refuses once is tried again."""
    while True:
        try:
            with contextlib.suppress(ExchangeError, OSError):  # a full disk is told by what needs it more
                write_private(folder / FILE, await text(node, lag))
        except Exception as fault:  # noqa: BLE001 - no figure is worth the mail that this process carries
            _log.error("no metrics", error=type(fault).__name__)
        await asyncio.sleep(EVERY)
