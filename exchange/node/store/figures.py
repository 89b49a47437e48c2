"""Owns the counts over a node's database that operators watch: no ids, no names, no content."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from exchange.header import LANES
from exchange.limits import GAP_SHOWN_MS
from exchange.node.store import attachments as store_attachments, feeds as store_feeds
from exchange.node.store.alarm import waiting
from exchange.node.store.inbox import count_unopened
from exchange.node.store.links import missing
from exchange.node.store.restore import LAST
from exchange.node.store.retention import Counts, counts
from exchange.node.store.store import Transaction, number, sql
from exchange.storage import calls

NOTICES_DROPPED = "notices.dropped"  # how many notices came that didn't verify


@dataclass(frozen=True)
class Queue:
    """Copies of messages of one lane in one state that have not ended: how many, the oldest's time (ms)."""

    lane: str
    state: str
    copies: int
    oldest: int


@dataclass(frozen=True)
class Figures:
    """What operators watch, at one moment; times in ms, 0 for never or none.

    `missing`: numbers of others' chains that were asked for in vain, by sender. `sealed`, `received`: copies by lane
    since each chain began. `aside`: items by kind, `refused`: those in quarantine by code; `refused_newest`,
    `alarm_newest`: when the last came, by a clock that isn't ahead of now. `flash`: messages nobody has
    acknowledged, `flash_oldest` since when. `exposed`: messages to revoked keys. `kept`: holds, messages erased, and
    those over their time. `uncalled`: notices that did not go out. `feeds`: from outside. `attachments`: how many wait
    to go to the hub, and to be fetched.
    """

    unopened: int
    queues: tuple[Queue, ...]
    missing: Counter[str]
    sealed: Counter[str]
    received: Counter[str]
    flash: int
    flash_oldest: int
    aside: Counter[str]
    refused: Counter[str]
    refused_newest: int
    alarms: Counter[str]
    alarm_newest: int
    exposed: int
    notices_dropped: int
    kept: Counts
    backup_at: int
    uncalled: int
    feeds: store_feeds.Figures
    attachments: tuple[int, int]

    @property
    def undelivered(self) -> int:
        """Copies that have not ended."""
        return sum(one.copies for one in self.queues)


def figures(connection: Transaction, *, now: int) -> Figures:
    """All of them, at one moment. None takes longer because more mail is kept."""
    queues = sql(
        connection,
        "SELECT lane, state, count(*) AS total, min(queued_at) AS oldest FROM addressees INDEXED BY addressees_open"
        " WHERE state NOT IN ('stored', 'rejected', 'lost') GROUP BY lane, state",
    )
    flash = waiting(connection, now=now, until=now, called_before=now)
    exposed = sql(connection, "SELECT count(DISTINCT message_n) AS total FROM exposed").one()
    refused, refused_newest = _by_code(connection, "quarantine", now)
    alarms, alarm_newest = _by_code(connection, "alarms", now)
    return Figures(
        unopened=count_unopened(connection),
        queues=tuple(Queue(LANES[row.lane], row.state, row.total, row.oldest) for row in queues),
        missing=missing(connection, seen_before=now - GAP_SHOWN_MS),
        sealed=_by_lane(connection, "chains_out"),
        received=_by_lane(connection, "heads_in"),
        flash=flash.count,
        flash_oldest=flash.oldest,
        aside=Counter({kind: _count(connection, kind) for kind in ("held", "damaged", "quarantine")}),
        refused=refused,
        refused_newest=refused_newest,
        alarms=alarms,
        alarm_newest=alarm_newest,
        exposed=int(exposed.total),
        notices_dropped=number(connection, NOTICES_DROPPED),
        kept=counts(connection, until=now),
        backup_at=number(connection, LAST),
        uncalled=len(calls.trouble(connection)),
        feeds=store_feeds.figures(connection),
        attachments=store_attachments.waiting(connection),
    )


def _count(connection: Transaction, table: str) -> int:
    return int(sql(connection, f"SELECT count(*) AS total FROM {table}").one().total)  # noqa: S608 - our own names


def _by_code(connection: Transaction, table: str, now: int) -> tuple[Counter[str], int]:
    """How many of each code, and when the newest came."""
    newest = "max(CASE WHEN at <= :now THEN at ELSE 0 END) AS newest"
    counted = f"SELECT code, count(*) AS total, {newest} FROM {table} GROUP BY code"  # noqa: S608 - our own names
    rows = sql(connection, counted, now=now).all()
    return Counter({row.code: row.total for row in rows}), max((row.newest for row in rows), default=0)


def _by_lane(connection: Transaction, table: str) -> Counter[str]:
    """A chain's newest number is how many copies it has had: one row a peer and lane."""
    rows = sql(connection, f"SELECT lane, sum(seq) AS total FROM {table} GROUP BY lane")  # noqa: S608 - our own names
    return Counter({LANES[row.lane]: row.total for row in rows})
