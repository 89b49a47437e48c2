"""Owns the table of rights of entry at the node's HTTP door. What one may be for is exchange/access.py's."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection

from exchange.access import Access, Kind, Scope
from exchange.node.store.store import sql

MOST: Final = 1_000  # that stand at once
MOST_REVOKED: Final = 1_000  # listed at once


def add(connection: Connection, access: Access, secret: bytes) -> bool:
    """Keep a right (`n` is not looked at) and the hash that proves it; False where the name or the proof is taken."""
    taken = sql(
        connection,
        "SELECT 1 FROM accesses WHERE (name = :name AND revoked_at IS NULL) OR secret = :secret",
        name=access.name,
        secret=secret,
    ).first()
    if taken is not None:
        return False
    sql(
        connection,
        "INSERT INTO accesses (name, kind, secret, scopes, collections, exercise, passive, until, created_at,"
        " created_by) VALUES (:name, :kind, :secret, :scopes, :collections, :exercise, :passive, :until, :created_at,"
        " :created_by)",
        name=access.name,
        kind=access.kind.value,
        secret=secret,
        scopes=" ".join(sorted(access.scopes)),
        collections=" ".join(sorted(access.collections)),
        exercise=int(access.exercise),
        passive=int(access.passive),
        until=access.until,
        created_at=access.created_at,
        created_by=access.created_by,
    )
    return True


def count(connection: Connection) -> int:
    """How many are not revoked."""
    return int(sql(connection, "SELECT count(*) AS n FROM accesses WHERE revoked_at IS NULL").one().n)


def listed(connection: Connection, *, revoked: int = MOST_REVOKED) -> list[Access]:
    """All that aren't revoked, newest first; then the newest so many of those that are."""
    standing = sql(connection, "SELECT * FROM accesses WHERE revoked_at IS NULL ORDER BY n DESC").all()
    ended = sql(
        connection,
        "SELECT * FROM accesses WHERE revoked_at IS NOT NULL ORDER BY n DESC LIMIT :most",
        most=revoked,
    ).all()
    return [_access(row) for row in (*standing, *ended)]


def revoke(connection: Connection, name: str, *, at: int) -> bool:
    """End the right of that name; whether one stood."""
    return (
        sql(
            connection,
            "UPDATE accesses SET revoked_at = :at WHERE name = :name AND revoked_at IS NULL",
            at=at,
            name=name,
        ).rowcount
        == 1
    )


def by_secret(connection: Connection, kind: Kind, secret: bytes) -> Access | None:
    """The right that this hash proves: of a token, or of a client's certificate."""
    row = sql(
        connection,
        "SELECT * FROM accesses WHERE secret = :secret AND kind = :kind",
        secret=secret,
        kind=kind.value,
    ).first()
    return None if row is None else _access(row)


def by_number(connection: Connection, n: int) -> Access | None:
    """The right in row `n`, also one that was revoked."""
    row = sql(connection, "SELECT * FROM accesses WHERE n = :n", n=n).first()
    return None if row is None else _access(row)


def by_name(connection: Connection, name: str) -> tuple[Access, bytes] | None:
    """The right with a password of that name, and what is kept of it."""
    row = sql(
        connection,
        "SELECT * FROM accesses WHERE name = :name AND kind = 'password' AND revoked_at IS NULL",
        name=name,
    ).first()
    return None if row is None else (_access(row), bytes(row.secret))


def _access(row: Any) -> Access:  # noqa: ANN401 - a row of any columns
    return Access(
        n=row.n,
        name=row.name,
        kind=Kind(row.kind),
        scopes=frozenset(map(Scope, row.scopes.split())),
        collections=frozenset(row.collections.split()),
        exercise=bool(row.exercise),
        passive=bool(row.passive),
        until=row.until,
        created_at=row.created_at,
        created_by=row.created_by,
        revoked_at=row.revoked_at,
    )
