"""Owns the question how a newcomer has answered this node's mail so far. Which answers pass is checklist.py's."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from exchange.header import LANES
from exchange.node.store.store import sql


@dataclass(frozen=True)
class Copy:
    """A member's copy of a message of this node: when the hub, the member's node and a person there had it (ms)."""

    message_id: str
    lane: str
    accepted_at: int
    stored_at: int | None
    acknowledged_at: int | None


def copies_to(connection: Connection, recipient: str, *, since: int) -> list[Copy]:
    """Of the messages that the hub has accepted for `recipient` since then, in order of acceptance."""
    rows = sql(
        connection,
        "SELECT m.id, a.lane, a.accepted_at, a.stored_at, a.acknowledged_at FROM addressees a"
        " JOIN messages m ON m.n = a.message_n"
        " WHERE a.recipient = :recipient AND m.type = 'stix' AND a.accepted_at >= :since ORDER BY a.accepted_at",
        recipient=recipient,
        since=since,
    )
    return [
        Copy(row.id, LANES[row.lane], row.accepted_at, row.stored_at, row.acknowledged_at) for row in rows
    ]
