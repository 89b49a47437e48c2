"""Owns the legal holds of a node: which messages and cases may not be erased, why, since when and by whom.

What a hold stops is store/retention.py's business. A hold that was released stays in the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import Connection

from exchange.canonical import sha256
from exchange.node.store.store import set_fact, sql
from exchange.storage.local_cipher import LocalCipher

JUDGED_IN: Final = (
    "retention.judged-in"  # inbox and messages up to this row are judged, under policy and holds
)
JUDGED_OUT: Final = "retention.judged-out"


@dataclass(frozen=True)
class Hold:
    """A legal hold: on a message's id or a case, why, since when (ms) and by whom; when and by whom it was released."""

    n: int
    kind: str
    subject: str
    reason: str
    at: int
    who: str
    released_at: int | None
    released_by: str


def add_hold(
    connection: Connection, cipher: LocalCipher, *, kind: str, subject: str, reason: str, who: str, at: int
) -> int | None:
    """Hold a message (its id) or a case, from now on; the hold's number, None where one stands already."""
    key = _subject(kind, subject)
    row = sql(
        connection,
        "INSERT INTO holds (subject, content, at, who) VALUES (:key, :content, :at, :who)"
        " ON CONFLICT (subject) WHERE released_at IS NULL DO NOTHING RETURNING n",
        key=key,
        content=cipher.seal("holds.content", key.hex(), orjson.dumps([kind, subject, reason])),
        at=at,
        who=who,
    ).first()
    if row is None:
        return None
    judge_anew(connection)
    return int(row.n)


def release_hold(connection: Connection, *, kind: str, subject: str, who: str, at: int) -> int | None:
    """End the hold on a message or case; its number, None where none stands."""
    row = sql(
        connection,
        "UPDATE holds SET released_at = :at, released_by = :who WHERE subject = :key AND released_at IS NULL"
        " RETURNING n",
        key=_subject(kind, subject),
        at=at,
        who=who,
    ).first()
    if row is None:
        return None
    judge_anew(connection)
    return int(row.n)


def holds(connection: Connection, cipher: LocalCipher, *, limit: int) -> list[Hold]:
    """The newest holds, newest first, those that were released among them."""
    found = []
    for row in sql(connection, "SELECT * FROM holds ORDER BY n DESC LIMIT :limit", limit=limit):
        content = cipher.open("holds.content", bytes(row.subject).hex(), bytes(row.content))
        kind, subject, reason = orjson.loads(content)
        found.append(Hold(row.n, kind, subject, reason, row.at, row.who, row.released_at, row.released_by))
    return found


def judge_anew(connection: Connection) -> None:
    """What counts for a message has changed: nothing goes before it was judged again."""
    set_fact(connection, JUDGED_IN, 0)
    set_fact(connection, JUDGED_OUT, 0)


def standing(connection: Connection) -> frozenset[bytes]:
    """The subjects of all holds that stand, for `is_held`."""
    rows = sql(connection, "SELECT subject FROM holds WHERE released_at IS NULL")
    return frozenset(bytes(row.subject) for row in rows)


def is_held(held: frozenset[bytes], message_id: str, case: str) -> bool:
    """Whether a hold is on that message or its case."""
    return bool(held) and (_subject("message", message_id) in held or _subject("case", case) in held)


def _subject(kind: str, subject: str) -> bytes:
    return sha256(f"{kind}\0{subject}".encode())
