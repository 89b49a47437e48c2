"""Owns the table `calls` of a node's and a hub's database: what the alarm hook owes people, and how far it came.

    way, kind, subject   over which way (command, mail, apprise), what of (alarm.py), about whom ("" at a node)
    count, since         how many, and since when the oldest waits (ms)
    state                owed; running (begun, end not known); told; unsure (running when the process ended)
    tries, next_at, code how often it failed, when it is tried again (ms), why it failed last

What is owed is written before anybody is called and marked before it runs: so a crash never calls twice. A newer
notice of the same kind takes the place of one still owed. Decides nothing: when and whom is the edges' business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, text

OWED: Final = "owed"
RUNNING: Final = "running"
TOLD: Final = "told"
UNSURE: Final = "unsure"

_OWE = text(
    "INSERT INTO calls (way, kind, subject, count, since, state, tries, next_at, code, at)"
    " VALUES (:way, :kind, :subject, :count, :since, 'owed', 0, :now, '', :now)"
    " ON CONFLICT (way, kind, subject) DO UPDATE SET"
    " count = :count + CASE WHEN :add AND state = 'owed' THEN count ELSE 0 END,"
    " since = CASE WHEN :add AND state = 'owed' THEN min(since, :since) ELSE :since END,"
    " tries = CASE state WHEN 'owed' THEN tries ELSE 0 END,"
    " next_at = CASE state WHEN 'owed' THEN next_at ELSE :now END,"
    " code = CASE state WHEN 'owed' THEN code ELSE '' END,"
    " state = 'owed', at = :now"
)
# A time far ahead was written by a clock that was ahead.
_IS_DUE: Final = "way = :way AND state = 'owed' AND next_at NOT BETWEEN :now + 1 AND :now + 86400000"
_DUE = text(
    f"SELECT kind, subject, count AS many, since, tries FROM calls WHERE {_IS_DUE}"  # noqa: S608 - no input
    f" AND kind = (SELECT min(kind) FROM calls WHERE {_IS_DUE}) ORDER BY subject"
)
_SET = text(
    "UPDATE calls SET state = :state, tries = :tries, next_at = :next_at, code = :code, at = :now"
    " WHERE way = :way AND kind = :kind AND subject = :subject"
)
_TROUBLE = text(
    "SELECT way, kind, max(tries) AS tries, max(code) AS code, min(at) AS at, state FROM calls"
    " WHERE (state = 'owed' AND tries > 0) OR state = 'unsure' GROUP BY way, kind, state ORDER BY way, kind"
)


@dataclass(frozen=True)
class Due:
    """All of one kind that is to be told over one way now. `since` in ms; `tries`: how often it failed."""

    way: str
    kind: str
    subjects: tuple[str, ...]
    count: int
    since: int
    tries: int


@dataclass(frozen=True)
class Trouble:
    """What people were not told, or perhaps not: state `owed` or `unsure`, since when (ms), why it failed last."""

    way: str
    kind: str
    state: str
    tries: int
    code: str
    at: int


def owe(
    connection: Connection,
    ways: Iterable[str],
    kind: str,
    *,
    now: int,
    since: int,
    count: int = 1,
    subject: str = "",
    add: bool = False,
) -> None:
    """People are to be told over each of `ways`. `add`: to what is still owed, instead of in its place."""
    for way in ways:
        values = {"way": way, "kind": kind, "subject": subject, "count": count, "since": since, "now": now}
        connection.execute(_OWE, {**values, "add": add})


def begin(connection: Connection, way: str, *, now: int) -> Due | None:
    """What is due over `way`, one kind of it, marked as running; None where nothing is."""
    rows = connection.execute(_DUE, {"way": way, "now": now}).all()
    if not rows:
        return None
    due = Due(
        way,
        rows[0].kind,
        tuple(row.subject for row in rows),
        sum(row.many for row in rows),
        min(row.since for row in rows),
        max(row.tries for row in rows),
    )
    _mark(connection, due, RUNNING, tries=due.tries, code="", next_at=0, now=now)
    return due


def told(connection: Connection, due: Due, *, now: int) -> None:
    """It went out."""
    _mark(connection, due, TOLD, tries=0, code="", next_at=0, now=now)


def failed(connection: Connection, due: Due, *, code: str, next_at: int, now: int) -> None:
    """It did not; try again at `next_at`."""
    _mark(connection, due, OWED, tries=due.tries + 1, code=code, next_at=next_at, now=now)


def withdraw(connection: Connection, kind: str, subject: str = "") -> None:
    """Nobody needs to be told any more, nor to wonder whether it went out."""
    statement = text(
        "DELETE FROM calls WHERE kind = :kind AND subject = :subject AND state IN ('owed', 'unsure')"
    )
    connection.execute(statement, {"kind": kind, "subject": subject})


def is_open(connection: Connection, kind: str) -> bool:
    """Whether `withdraw` would find something."""
    statement = text("SELECT EXISTS (SELECT 1 FROM calls WHERE kind = :kind AND state IN ('owed', 'unsure'))")
    return bool(connection.execute(statement, {"kind": kind}).scalar_one())


def was_told(connection: Connection, kind: str, subject: str) -> list[str]:
    """Over which ways somebody was, or may have been, told that."""
    statement = text(
        "SELECT way FROM calls WHERE kind = :kind AND subject = :subject AND state IN ('told', 'unsure')"
    )
    return list(connection.execute(statement, {"kind": kind, "subject": subject}).scalars())


def last_at(connection: Connection, kind: str, subject: str) -> int:
    """When that was last owed, told or tried (ms); 0: never."""
    statement = text("SELECT max(at) FROM calls WHERE kind = :kind AND subject = :subject")
    return int(connection.execute(statement, {"kind": kind, "subject": subject}).scalar_one() or 0)


def settle(connection: Connection, ways: Collection[str]) -> None:
    """At a start: what ran then may have gone out, so it isn't told again; ways that are no more owe nothing."""
    connection.execute(text("UPDATE calls SET state = 'unsure' WHERE state = 'running'"))
    gone = text("DELETE FROM calls WHERE way NOT IN :ways").bindparams(bindparam("ways", expanding=True))
    connection.execute(gone, {"ways": list(ways)})


def trouble(connection: Connection) -> list[Trouble]:
    """What did not go out, by way and kind."""
    return [
        Trouble(row.way, row.kind, row.state, row.tries, row.code, row.at)
        for row in connection.execute(_TROUBLE)
    ]


def _mark(
    connection: Connection, due: Due, state: str, *, tries: int, code: str, next_at: int, now: int
) -> None:
    values = {"state": state, "tries": tries, "code": code, "next_at": next_at, "now": now}
    for subject in due.subjects:
        connection.execute(_SET, {**values, "way": due.way, "kind": due.kind, "subject": subject})
