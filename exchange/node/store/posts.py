"""Owns the table of posts to the writable collection: who, when, what TAXII was answered, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from exchange.limits import DAY_MS
from exchange.node.store.store import sql
from exchange.storage.local_cipher import LocalCipher

DUE: Final = "due"  # the rule is to send it
DRAFT: Final = "draft"
SENT: Final = "sent"
DROPPED: Final = "dropped"
STATUS_MS: Final = 7 * DAY_MS  # TAXII 2.1 §4.3 asks for a day at least
_POST: Final = (
    "p.n, p.id, p.at, p.state, p.message_id, coalesce(a.name, '') AS given_to, coalesce(a.exercise, 0) AS exercise,"
    " (SELECT count(*) FROM taxii_objects WHERE source = -p.n) AS objects"
    " FROM taxii_posts p LEFT JOIN accesses a ON a.n = p.access"
)


@dataclass(frozen=True, slots=True)
class Post:
    """One post. `by`: the name of the right it came by, `exercise`: that it was one for exercises; `at` in ms.

    `objects`: how many of it are still here.
    """

    n: int
    id: str
    by: str
    exercise: bool
    at: int
    state: str
    message_id: str | None
    objects: int


def add(connection: Connection, id_: str, *, access: int, at: int, state: str = DRAFT) -> int:
    """Note a post, without its answer yet; its number. `access`: the number of the right it came by."""
    row = sql(
        connection,
        "INSERT INTO taxii_posts (id, access, at, status, state) VALUES (:id, :access, :at, x'', :state) RETURNING n",
        id=id_,
        access=access,
        at=at,
        state=state,
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


def set_sent(connection: Connection, n: int, message_id: str) -> bool:
    """It went as that message; False where it isn't due any more, and nothing may go."""
    return (
        sql(
            connection,
            "UPDATE taxii_posts SET state = :sent, message_id = :message WHERE n = :n AND state = :due",
            sent=SENT,
            due=DUE,
            message=message_id,
            n=n,
        ).rowcount
        == 1
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


def due(connection: Connection) -> list[int]:
    """The numbers of posts that the rule is to send, oldest first."""
    rows = sql(connection, "SELECT n FROM taxii_posts WHERE state = :due ORDER BY n", due=DUE)
    return [row.n for row in rows]


def find(connection: Connection, n: int) -> Post | None:
    """The post of that number."""
    row = sql(connection, f"SELECT {_POST} WHERE p.n = :n", n=n).first()
    return None if row is None else _post(row)


def listed(connection: Connection, *, limit: int) -> list[Post]:
    """The newest posts that wait and hold objects, newest first."""
    rows = sql(
        connection,
        f"SELECT {_POST} WHERE p.state IN (:draft, :due) AND objects > 0 ORDER BY p.n DESC LIMIT :most",
        draft=DRAFT,
        due=DUE,
        most=limit,
    )
    return [_post(row) for row in rows]


def count(connection: Connection) -> int:
    """How many posts wait and hold objects."""
    row = sql(
        connection,
        "SELECT count(*) AS n FROM taxii_posts p WHERE state IN (:draft, :due)"
        " AND EXISTS (SELECT 1 FROM taxii_objects WHERE source = -p.n)",
        draft=DRAFT,
        due=DUE,
    ).one()
    return int(row.n)


def beginning(connection: Connection, text: str, *, limit: int) -> list[Post]:
    """Those that wait, hold objects and have an id that begins with `text`, in the order of their ids."""
    rows = sql(
        connection,
        f"SELECT {_POST} WHERE p.id >= :text AND p.id < :after AND p.state IN (:draft, :due) AND objects > 0"
        " ORDER BY p.id LIMIT :most",
        text=text,
        after=f"{text}\U0010ffff",
        draft=DRAFT,
        due=DUE,
        most=limit,
    )
    return [_post(row) for row in rows]


def with_classes(connection: Connection, classes: Iterable[int]) -> list[Post]:
    """Those that hold objects of these classes, and came by a right that is known still."""
    numbers = ", ".join(str(int(n)) for n in classes)
    rows = sql(
        connection,
        f"SELECT {_POST} WHERE given_to <> '' AND EXISTS"  # noqa: S608 - numbers
        f" (SELECT 1 FROM taxii_objects o WHERE o.source = -p.n AND o.class IN ({numbers})) ORDER BY p.n",
    )
    return [_post(row) for row in rows]


def _post(row: Any) -> Post:  # noqa: ANN401 - a row of any columns
    return Post(
        row.n, row.id, row.given_to, bool(row.exercise), row.at, row.state, row.message_id, row.objects
    )
