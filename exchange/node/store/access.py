"""Owns the access log: who opened or exported what, in rows whose hashes form a chain.

A row's hash binds all rows before it (exchange/disclosure.py), the first prev is 32 zero bytes. The oldest rows may be
dropped: the chain then begins at the last one's hash. A row taken out or changed shows in `verify`; a log cut at its
end shows against a hash noted elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from exchange.canonical import ZERO32
from exchange.disclosure import Row, row_hash, subject
from exchange.errors import Refused
from exchange.node.store.store import fact, set_fact, sql

_BASE: Final = "access-log.base"  # the hash of the newest row that was dropped


@dataclass(frozen=True)
class Access:
    """One row: when (ms), which user of the operating system, what was done, to which id; and its hash."""

    n: int
    at: int
    who: str
    action: str
    what: str
    hash: bytes


def append(connection: Connection, *, at: int, who: str, action: str, what: str) -> bytes:
    """Add a row; its hash."""
    prev = head(connection)
    digest = row_hash(prev, at, who, action, what)
    sql(
        connection,
        "INSERT INTO access_log (at, who, action, what, prev, hash) VALUES (:at, :who, :action, :what, :prev, :hash)",
        at=at,
        who=who,
        action=action,
        what=what,
        prev=prev,
        hash=digest,
    )
    return digest


def verify(connection: Connection) -> int:
    """Check the whole chain; how many rows it has. Raises Refused storage.row-damaged, with the row's number."""
    prev, count = fact(connection, _BASE) or ZERO32, 0
    for row in sql(connection, "SELECT * FROM access_log ORDER BY n"):
        digest = row_hash(prev, row.at, row.who, row.action, row.what)
        if bytes(row.prev) != prev or bytes(row.hash) != digest:
            raise Refused("storage.row-damaged", f"row {row.n} of the access log doesn't fit the one before")
        prev, count = digest, count + 1
    return count


def drop_old(connection: Connection, *, before: int, limit: int) -> int:
    """Drop the oldest rows, up to the first one after `before` (ms); how many."""
    dropped = 0
    for row in sql(
        connection, "SELECT n, at, hash FROM access_log ORDER BY n LIMIT :limit", limit=limit
    ).all():
        if row.at > before:
            break
        sql(connection, "DELETE FROM access_log WHERE n = :n", n=row.n)
        set_fact(connection, _BASE, bytes(row.hash))
        dropped += 1
    return dropped


def listed(connection: Connection, *, limit: int) -> list[Access]:
    """The newest rows, newest first."""
    rows = sql(connection, "SELECT * FROM access_log ORDER BY n DESC LIMIT :limit", limit=limit)
    return [Access(row.n, row.at, row.who, row.action, row.what, bytes(row.hash)) for row in rows]


def about(connection: Connection, sender: str, message_id: str, *, limit: int) -> tuple[int, list[Row]]:
    """How many rows are about a message of `sender`, and the newest of them, oldest first."""
    first = subject(sender, message_id)
    # "!" is the character after the space that ends the subject
    rows = sql(
        connection,
        "SELECT *, count(*) OVER () AS total FROM access_log WHERE what >= :first AND what < :first || '!'"
        " ORDER BY n DESC LIMIT :limit",
        first=first,
        limit=limit,
    ).all()
    found = [Row(row.at, row.who, row.action, row.what, bytes(row.prev), bytes(row.hash)) for row in rows]
    return (rows[0].total if rows else 0), found[::-1]


def is_noted(connection: Connection, *, who: str, action: str, what: str) -> bool:
    """Whether a row says just that."""
    row = sql(
        connection,
        "SELECT 1 FROM access_log WHERE what = :what AND who = :who AND action = :action LIMIT 1",
        what=what,
        who=who,
        action=action,
    )
    return row.first() is not None


def head(connection: Connection) -> bytes:
    """The hash of the newest row, 32 zero bytes for an empty log."""
    last = sql(connection, "SELECT hash FROM access_log ORDER BY n DESC LIMIT 1").first()
    return (fact(connection, _BASE) or ZERO32) if last is None else bytes(last.hash)
