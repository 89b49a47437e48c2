"""Owns what the alarm hook asks of a node's database: flash nobody has acknowledged, alarms nobody was told of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from exchange.node.store.store import number, set_fact, sql

SEEN: Final = "alarm.seen"  # the row of the newest alarm that the hook has looked at
# the condition of the index `inbox_flash`
_WAITS: Final = "lane = 0 AND type = 'stix' AND answered = ''"


@dataclass(frozen=True)
class Waiting:
    """Flash messages that wait for a person: how many, the oldest (ms), when people were last called (ms, 0 never).

    `due`: how many of them nobody was called for since a given time.
    """

    count: int
    oldest: int
    called_at: int
    due: int


def waiting(connection: Connection, *, now: int, until: int, called_before: int) -> Waiting:
    """Of those received at `until` or before; `due` those that nobody was called for since `called_before` (all ms).

    A time after `now` was written by a clock that was ahead: it keeps nobody waiting.
    """
    row = sql(
        connection,
        "SELECT count(*) AS total, coalesce(min(received_at), 0) AS oldest, coalesce(max(called_at), 0) AS called,"  # noqa: S608 - our own names
        " count(*) FILTER (WHERE called_at IS NULL OR called_at <= :before OR called_at > :now) AS due"
        f" FROM inbox INDEXED BY inbox_flash WHERE {_WAITS} AND (received_at <= :until OR received_at > :now)",
        now=now,
        until=until,
        before=called_before,
    ).one()
    return Waiting(row.total, row.oldest, row.called, row.due)


def mark_called(connection: Connection, *, until: int, now: int) -> None:
    """People are being called for all that `waiting` counted."""
    sql(
        connection,
        f"UPDATE inbox SET called_at = :now WHERE {_WAITS} AND (received_at <= :until OR received_at > :now)",  # noqa: S608 - our own names
        now=now,
        until=until,
    )


def new_alarms(connection: Connection, is_told: Callable[[str], bool]) -> tuple[int, int, int]:
    """How many alarms came since `see_alarms` that are to be told, the oldest's time (ms), the newest row of all."""
    rows = sql(
        connection, "SELECT n, at, code FROM alarms WHERE n > :seen ORDER BY n", seen=number(connection, SEEN)
    ).all()
    told = [row.at for row in rows if is_told(row.code)]
    return len(told), min(told, default=0), rows[-1].n if rows else 0


def see_alarms(connection: Connection, n: int) -> None:
    """Alarms up to row `n` were looked at."""
    set_fact(connection, SEEN, n)
