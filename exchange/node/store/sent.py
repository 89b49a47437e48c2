"""Owns what is listed and counted of the messages this node sent: without their payload, which may be 10 MB each."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from exchange.header import LANES
from exchange.node.store.outbox import Outgoing, outgoing_in
from exchange.node.store.store import sql
from exchange.storage.local_cipher import LocalCipher

_IN_LISTS: Final = "n, id, type, lane, created, expires, separate, compress, erased_at, NULL AS payload"
_LACKED: Final = (
    "a.state <> 'stored' AND a.acknowledged_at IS NULL AND a.working_at IS NULL AND a.declined_at IS NULL"
    " AND (a.state IN ('rejected', 'lost')"
    " OR a.queued_at < CASE a.lane WHEN 0 THEN :lane0 WHEN 1 THEN :lane1 WHEN 2 THEN :lane2 ELSE :lane3 END)"
)


def listed(
    connection: Connection, cipher: LocalCipher, *, type_: str, before: int | None, limit: int
) -> list[tuple[int, Outgoing]]:
    """Messages of a type, newest first, from row `before` (exclusive) down; none that was erased."""
    rows = sql(
        connection,
        f"SELECT {_IN_LISTS} FROM messages WHERE type = :type AND erased_at IS NULL"  # noqa: S608 - our own columns
        " AND (:before IS NULL OR n < :before)"
        " ORDER BY n DESC LIMIT :limit",
        type=type_,
        before=before,
        limit=limit,
    )
    return [(row.n, outgoing_in(row, cipher)) for row in rows]


def listed_undelivered(
    connection: Connection,
    cipher: LocalCipher,
    *,
    type_: str,
    before: int | None,
    queued_before: dict[str, int],
    limit: int,
) -> list[tuple[int, Outgoing]]:
    """As `listed`, those an addressee lacks: it was rejected or lost, or queued before its lane's time (ms) in vain."""
    rows = sql(
        connection,
        f"SELECT {_IN_LISTS} FROM messages m WHERE type = :type AND erased_at IS NULL"  # noqa: S608 - fixed words
        " AND (:before IS NULL OR n < :before)"
        f" AND EXISTS (SELECT 1 FROM addressees a WHERE a.message_n = m.n AND {_LACKED})"
        " ORDER BY n DESC LIMIT :limit",
        type=type_,
        before=before,
        limit=limit,
        **_by_lane(queued_before),
    )
    return [(row.n, outgoing_in(row, cipher)) for row in rows]


def count_undelivered(
    connection: Connection, *, type_: str, queued_before: dict[str, int]
) -> tuple[int, int]:
    """How many there are that `listed_undelivered` lists, and when the oldest was written (ms, 0 for none)."""
    row = sql(
        connection,
        "SELECT count(DISTINCT m.n) AS total, coalesce(min(m.created), 0) AS oldest FROM addressees a"  # noqa: S608 - fixed words
        f" JOIN messages m ON m.n = a.message_n WHERE {_LACKED} AND m.type = :type AND m.erased_at IS NULL",
        type=type_,
        **_by_lane(queued_before),
    ).one()
    return row.total, row.oldest


def count_under_way(connection: Connection, *, type_: str) -> int:
    """How many copies of messages of a type have not ended."""
    row = sql(
        connection,
        "SELECT count(*) AS total FROM addressees a INDEXED BY addressees_open JOIN messages m ON m.n = a.message_n"
        " WHERE a.state NOT IN ('stored', 'rejected', 'lost') AND m.type = :type",
        type=type_,
    ).one()
    return int(row.total)


def _by_lane(queued_before: dict[str, int]) -> dict[str, int]:
    return {f"lane{LANES.index(lane)}": at for lane, at in queued_before.items()}
