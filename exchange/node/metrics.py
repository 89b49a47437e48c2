"""Owns the node's numbers for operators: a file in the home that a collector of text files reads (Prometheus).

Counts, sizes, codes and ages; no member, no content. No port is opened for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from exchange.errors import ExchangeError
from exchange.limits import SECOND_MS
from exchange.node import store_figures
from exchange.node.node import Node
from exchange.storage.files import write_private

FILE: Final = "metrics.prom"
EVERY: Final = 30.0  # seconds
_PREFIX: Final = "exchange_node_"


async def text(node: Node) -> bytes:
    """All numbers as of now."""
    replica, now = node.replica, node.sources.clock()
    figures = await node.store.db.read(partial(store_figures.figures, now=now))
    registry = CollectorRegistry()

    def gauge(name: str, help_: str, value: float) -> None:
        Gauge(_PREFIX + name, help_, registry=registry).set(value)

    def by(name: str, help_: str, label: str, values: Counter[str]) -> None:
        family = Gauge(_PREFIX + name, help_, [label], registry=registry)
        for key, value in sorted(values.items()):
            family.labels(key).set(value)

    known = not replica.is_empty
    gauge("connected", "1 while the hub answers", node.sync.condition.connected)
    gauge("directory_size", "leaves of the directory log", replica.directory.size if known else 0)
    age = 0 if replica.seen_at is None else (now - replica.seen_at) / SECOND_MS
    gauge("directory_age_seconds", "age of the newest checkpoint", age)
    gauge("directory_stale", "1 while no new keys are taken", replica.is_stale())
    gauge("unopened", "messages nobody has opened", figures.unopened)
    by("outbox_copies", "copies that are not delivered, by state", "state", figures.outbox)
    by("set_aside", "items not taken into the inbox, by kind", "kind", figures.aside)
    by("alarms", "alarms by code", "code", figures.alarms)
    gauge("exposed_messages", "messages sent to keys that were then revoked", figures.exposed)
    gauge("held", "legal holds that stand", figures.kept.holds)
    gauge("erased", "messages erased, as long as they are remembered", figures.kept.erased)
    gauge("over_time", "messages past their retention that are not erased yet", figures.kept.due)
    gauge("notices_dropped", "notices that did not verify", figures.notices_dropped)
    return generate_latest(registry)


async def keep(node: Node, folder: Path) -> NoReturn:
    """Write the file again and again; what the disk refuses once is tried again."""
    while True:
        with contextlib.suppress(ExchangeError):  # a full disk is told by what needs it more
            write_private(folder / FILE, await text(node))
        await asyncio.sleep(EVERY)
