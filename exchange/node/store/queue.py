"""Owns the queue in the outbox: which copies wait to be sealed, in which order, and why some of them can't be now.

The states of copies are store/outbox.py's, which recipients can be sealed to is outbox.py's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import orjson
from sqlalchemy import Connection

from exchange.header import LANES
from exchange.node.store.store import sql

BARRED: Final = "policy.suspended-clear-only"  # the code of what waits until its recipient is reinstated


def waiting_recipients(connection: Connection, *, lanes: Sequence[str]) -> list[str]:
    """Everybody for whom something is queued in these lanes, which are neighbours."""
    rows = sql(
        connection,
        "SELECT DISTINCT recipient FROM addressees INDEXED BY addressees_queued"
        " WHERE state = 'queued' AND lane BETWEEN :first AND :last",
        first=LANES.index(lanes[0]),
        last=LANES.index(lanes[-1]),
    )
    return sorted(row.recipient for row in rows)


def next_messages(
    connection: Connection, ready: Iterable[str], *, lanes: Sequence[str], limit: int
) -> list[int]:
    """Row numbers of messages with something queued for somebody in `ready`: urgent lanes first, then by age.

    `lanes` are neighbours. What is barred from a suspended member doesn't stand in the way of what isn't, nor does
    what waits until its attachments are at the hub.
    """
    rows = sql(
        connection,
        "SELECT DISTINCT message_n, lane FROM addressees INDEXED BY addressees_queued WHERE state = 'queued'"
        " AND code <> 'policy.suspended-clear-only' AND lane BETWEEN :first AND :last"
        " AND recipient IN (SELECT value FROM json_each(:ready)) AND NOT EXISTS (SELECT 1 FROM attachments_out o"
        " WHERE o.message_n = addressees.message_n AND o.state = 'waiting') ORDER BY lane, message_n LIMIT :limit",
        ready=orjson.dumps(list(ready)).decode("ascii"),
        first=LANES.index(lanes[0]),
        last=LANES.index(lanes[-1]),
        limit=limit,
    )
    return [row.message_n for row in rows]


def set_waiting(connection: Connection, recipient: str, code: str) -> None:
    """Say why nothing queued for `recipient` can be sealed now."""
    sql(
        connection,
        "UPDATE addressees SET code = :code WHERE recipient = :recipient AND state = 'queued' AND code <> :code",
        code=code,
        recipient=recipient,
    )


def bar(connection: Connection, message_n: int, recipient: str) -> None:
    """The copy waits until its suspended recipient is reinstated."""
    sql(
        connection,
        "UPDATE addressees SET code = :code WHERE message_n = :n AND recipient = :recipient AND state = 'queued'",
        code=BARRED,
        n=message_n,
        recipient=recipient,
    )


def barred(connection: Connection) -> list[str]:
    """Recipients from whom something is barred."""
    rows = sql(
        connection,
        "SELECT DISTINCT recipient FROM addressees INDEXED BY addressees_barred"
        " WHERE state = 'queued' AND code = 'policy.suspended-clear-only'",
    )
    return sorted(row.recipient for row in rows)


def lapsed(connection: Connection, *, now: int, limit: int) -> list[tuple[int, str]]:
    """Copies that waited in vain until their message expired: row number and recipient."""
    rows = sql(
        connection,
        "SELECT a.message_n, a.recipient FROM addressees a INDEXED BY addressees_queued"
        " JOIN messages m ON m.n = a.message_n WHERE a.state = 'queued' AND m.expires <= :now LIMIT :limit",
        now=now,
        limit=limit,
    )
    return [(row.message_n, row.recipient) for row in rows]
