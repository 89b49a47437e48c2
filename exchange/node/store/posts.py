"""Owns the table of posts to the writable collection: who, when, what TAXII was answered, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from exchange.limits import DAY_MS
from exchange.node.store.store import sql
from exchange.storage.local_cipher import LocalCipher

DRAFT: Final = "draft"
SENT: Final = "sent"
DROPPED: Final = "dropped"
STATUS_MS: Final = 7 * DAY_MS  # TAXII 2.1 §4.3 asks for a day at least


@dataclass(frozen=True, slots=True)
class Post:
    """One post. `access`: the number of the right it came by; `at` in ms; `objects`: how many of it are still here."""

    n: int
    id: str
    access: int
    at: int
    state: str
    message_id: str | None
    objects: int


def add(connection: Connection, id_: str, *, access: int, at: int) -> int:
    """Note a post, without its answer yet; its number."""
    row = sql(
        connection,
        "INSERT INTO taxii_posts (id, access, at, status, state) VALUES (:id, :access, :at, x'', :state) RETURNING n",
        id=id_,
        access=access,
        at=at,
        state=DRAFT,
    ).one()
    return int(row.n)


def set_status(connection: Connection, cipher: LocalCipher, id_: str, status: bytes) -> None:
    """Keep what was answered."""
    sealed = cipher.seal("taxii_posts.status", id_, status)
    sql(connection, "UPDATE taxii_posts SET status = :status WHERE id = :id", status=sealed, id=id_)


def status(connection: Connection, cipher: LocalCipher, id_: str, *, access: int) -> bytes | None:
    """What was answered to a post of that right; None also once that is dropped."""
    row = sql(
        connection,
        "SELECT status FROM taxii_posts WHERE id = :id AND access = :access",
        id=id_,
        access=access,
    ).first()
    return (
        None if row is None or not row.status else cipher.open("taxii_posts.status", id_, bytes(row.status))
    )


def set_sent(connection: Connection, id_: str, message_id: str) -> None:
    """It went as that message."""
    sql(
        connection,
        "UPDATE taxii_posts SET state = :sent, message_id = :message WHERE id = :id",
        sent=SENT,
        message=message_id,
        id=id_,
    )


def set_state(connection: Connection, n: int, state: str) -> None:
    """What became of it."""
    sql(connection, "UPDATE taxii_posts SET state = :state WHERE n = :n", state=state, n=n)


def drop_old(connection: Connection, *, before: int, limit: int) -> int:
    """Drop what was answered to posts until `before` (ms), and what is known of those that have no objects left here.

    A draft waits for a person however old it is. How many rows it was.
    """
    rows = sql(
        connection,
        "SELECT n, EXISTS (SELECT 1 FROM taxii_objects WHERE source = -p.n) AS holds FROM taxii_posts p"
        " WHERE at <= :before AND (status <> x'' OR NOT holds) ORDER BY n LIMIT :limit",
        before=before,
        limit=limit,
    ).all()
    for row in rows:
        if row.holds:
            sql(connection, "UPDATE taxii_posts SET status = x'' WHERE n = :n", n=row.n)
        else:
            sql(connection, "DELETE FROM taxii_sources WHERE source = -:n", n=row.n)
            sql(connection, "DELETE FROM taxii_posts WHERE n = :n", n=row.n)
    return len(rows)


def listed(connection: Connection, *, limit: int) -> list[Post]:
    """The newest posts that wait as drafts and hold objects, newest first."""
    rows = sql(
        connection,
        "SELECT * FROM (SELECT p.*, (SELECT count(*) FROM taxii_objects WHERE source = -p.n) AS objects"
        " FROM taxii_posts p WHERE state = :draft) WHERE objects > 0 ORDER BY n DESC LIMIT :most",
        draft=DRAFT,
        most=limit,
    )
    return [Post(row.n, row.id, row.access, row.at, row.state, row.message_id, row.objects) for row in rows]
