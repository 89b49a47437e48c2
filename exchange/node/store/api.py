"""Owns what the REST API keeps: what was sent through it, and the order of what happened, for those who follow it.

The rows of `mail_changes` are written by triggers on `addressees`, in the transaction that changes a copy.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from exchange.header import LANES
from exchange.node.store.store import sql


@dataclass(frozen=True, slots=True)
class Ordered:
    """What a right of entry (`access`) sent under a message's id, as a keyed hash of what it asked for."""

    access: int
    asked_key: bytes


@dataclass(frozen=True, slots=True)
class Position:
    """How far somebody has followed: the numbers of the last message received, change of a copy, and alarm."""

    inbox: int = 0
    changes: int = 0
    alarms: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A copy came further: of which message (its row and id), whose, how far, when (ms)."""

    n: int
    message_n: int
    message_id: str
    recipient: str
    level: str
    at: int


@dataclass(frozen=True, slots=True)
class Raised:
    """An alarm: its number, when (ms), its code, whom or what it is about."""

    n: int
    at: int
    code: str
    subject: str


@dataclass(frozen=True, slots=True)
class SentHead:
    """What a list needs of a message that this node sent, without its content. Times in ms.

    `separate`: no addressee sees who else has it.
    """

    n: int
    id: str
    lane: str
    created: int
    submitted_at: int
    separate: bool


def ordered(connection: Connection, message_id: str) -> Ordered | None:
    """What was sent through the API under that id, None for nothing."""
    row = sql(connection, "SELECT * FROM api_sends WHERE message_id = :id", id=message_id).first()
    return None if row is None else Ordered(row.access, bytes(row.asked_key))


def add_ordered(connection: Connection, message_id: str, asked: Ordered) -> None:
    """Note what was sent."""
    sql(
        connection,
        "INSERT INTO api_sends (message_id, access, asked_key) VALUES (:id, :access, :key)",
        id=message_id,
        access=asked.access,
        key=asked.asked_key,
    )


def newest(connection: Connection) -> Position:
    """Where everything ends now. Numbers are never given twice, so that what is gone counts too."""
    rows = sql(
        connection, "SELECT name, seq FROM sqlite_sequence WHERE name IN ('inbox', 'mail_changes', 'alarms')"
    )
    last = {row.name: int(row.seq) for row in rows}
    return Position(last.get("inbox", 0), last.get("mail_changes", 0), last.get("alarms", 0))


def oldest_change(connection: Connection) -> int:
    """The number of the oldest change that is kept, 0 without any."""
    return int(sql(connection, "SELECT coalesce(min(n), 0) AS n FROM mail_changes").one().n)


def changes(connection: Connection, *, after: int, limit: int) -> list[Change]:
    """Changes past number `after`, in order; none of messages that were erased."""
    rows = sql(
        connection,
        "SELECT c.*, m.id AS message_id FROM mail_changes c JOIN messages m ON m.n = c.message_n"
        " WHERE c.n > :after AND m.erased_at IS NULL ORDER BY c.n LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [Change(row.n, row.message_n, row.message_id, row.recipient, row.level, row.at) for row in rows]


def raised(connection: Connection, *, after: int, limit: int) -> list[Raised]:
    """Alarms past number `after`, in order."""
    rows = sql(
        connection,
        "SELECT n, at, code, subject FROM alarms WHERE n > :after ORDER BY n LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [Raised(row.n, row.at, row.code, row.subject) for row in rows]


def sent_heads(connection: Connection, *, before: int | None, limit: int) -> list[SentHead]:
    """Messages for people that were sent, newest first, from row `before` (exclusive) down; none that was erased."""
    rows = sql(
        connection,
        "SELECT n, id, lane, created, submitted_at, separate FROM messages WHERE type = 'stix' AND erased_at IS NULL"
        " AND (:before IS NULL OR n < :before) ORDER BY n DESC LIMIT :limit",
        before=before,
        limit=limit,
    )
    return [
        SentHead(row.n, row.id, LANES[row.lane], row.created, row.submitted_at, bool(row.separate))
        for row in rows
    ]


def recipients(connection: Connection, message_n: int) -> tuple[str, ...]:
    """The addressees of the message in row `message_n`, by name."""
    rows = sql(
        connection, "SELECT recipient FROM addressees WHERE message_n = :n ORDER BY recipient", n=message_n
    )
    return tuple(row.recipient for row in rows)
