"""Owns the counts over a node's database that operators watch: no ids, no names, no content."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from exchange.node.store import Transaction, number, sql
from exchange.node.store_inbox import count_unopened
from exchange.node.store_retention import Counts, counts

NOTICES_DROPPED = "notices.dropped"  # how many notices came that didn't verify


@dataclass(frozen=True)
class Figures:
    """Unopened messages; undelivered copies by state; items set aside by kind; alarms by code; exposed messages.

    `kept`: holds, messages erased, and those over their time (retention).
    """

    unopened: int
    outbox: Counter[str]
    aside: Counter[str]
    alarms: Counter[str]
    exposed: int
    notices_dropped: int
    kept: Counts


def figures(connection: Transaction, *, now: int) -> Figures:
    """All of them, at one moment."""
    outbox = sql(
        connection,
        "SELECT state, count(*) AS total FROM addressees WHERE state NOT IN ('stored', 'rejected', 'lost')"
        " GROUP BY state",
    )
    alarms = sql(connection, "SELECT code, count(*) AS total FROM alarms GROUP BY code")
    aside = {
        "held": "SELECT count(*) AS total FROM held",
        "damaged": "SELECT count(*) AS total FROM damaged",
        "quarantine": "SELECT count(*) AS total FROM quarantine",
    }
    exposed = sql(connection, "SELECT count(DISTINCT message_n) AS total FROM exposed").one()
    return Figures(
        unopened=count_unopened(connection),
        outbox=Counter({row.state: row.total for row in outbox}),
        aside=Counter({kind: int(sql(connection, query).one().total) for kind, query in aside.items()}),
        alarms=Counter({row.code: row.total for row in alarms}),
        exposed=int(exposed.total),
        notices_dropped=number(connection, NOTICES_DROPPED),
        kept=counts(connection, until=now),
    )
