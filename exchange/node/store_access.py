"""Owns the access log: who opened or exported what, in rows whose hashes form a chain.

hash = SHA-256(prev || signed JSON of {"action", "at", "what", "who"}), the first prev 32 zero bytes; who and what as
b64 text. The oldest rows may be dropped: the chain then begins at the last one's hash. A row taken out or changed
shows in `verify`; a log cut at its end shows against a hash noted elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from exchange.canonical import ZERO32, dumps, sha256, text_b64
from exchange.errors import Refused
from exchange.node.store import fact, set_fact, sql

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
    last = sql(connection, "SELECT hash FROM access_log ORDER BY n DESC LIMIT 1").first()
    prev = (fact(connection, _BASE) or ZERO32) if last is None else bytes(last.hash)
    digest = _digest(prev, at, who, action, what)
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
        digest = _digest(prev, row.at, row.who, row.action, row.what)
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


def _digest(prev: bytes, at: int, who: str, action: str, what: str) -> bytes:
    row = {"action": text_b64(action), "at": at, "what": text_b64(what), "who": text_b64(who)}
    return sha256(prev + dumps(row))
