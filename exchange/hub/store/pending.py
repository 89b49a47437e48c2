"""Statements that lack signatures, at rest in the hub, with the parts they name (docs/protocol.md §11.6).

Owns this table's queries. Whether a statement may wait, and what it lacks, is pending.py's judgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, delete, func, insert, select

from exchange.canonical import Json, b64, unb64
from exchange.directory.contacts import Part
from exchange.directory.statements import Statement
from exchange.hub.store.tables import pending


@dataclass(frozen=True)
class Waiting:
    """A statement with the signatures it has so far, who brought it first, and since and until when (ms)."""

    statement: Statement
    parts: tuple[Part, ...]
    submitter: str
    since: int
    until: int

    @property
    def size(self) -> int:
        """About its bytes."""
        signatures = sum(len(signature) for _, signature in self.statement.signatures)
        return len(self.statement.body) + signatures + sum(len(part.body) for part in self.parts)

    def to_json(self) -> Json:
        """As those see it who may sign it (docs/protocol.md §11.6)."""
        parts = [part.to_json() for part in self.parts]
        return {**self.statement.to_json(), "parts": parts, "since": self.since, "until": self.until}


def put_pending(connection: Connection, net: bytes, one: Waiting) -> None:
    """Keep it, in place of what was kept of it before."""
    digest = one.statement.hash(net)
    drop_pending(connection, [digest])
    row = {
        "statement": digest,
        "body": one.statement.body,
        "signatures": orjson.dumps([[signer, b64(sig)] for signer, sig in one.statement.signatures]),
        "parts": orjson.dumps([part.to_json() for part in one.parts]),
        "submitter": one.submitter,
        "since": one.since,
        "until": one.until,
    }
    connection.execute(insert(pending), row)


def drop_pending(connection: Connection, statements: list[bytes]) -> None:
    """Forget these, by hash."""
    connection.execute(delete(pending).where(pending.c.statement.in_(statements)))


def drop_lapsed(connection: Connection, now: int) -> None:
    """Forget those whose time is over."""
    connection.execute(delete(pending).where(pending.c.until <= now))


def pending_of(connection: Connection, statement: bytes) -> Waiting | None:
    """The one with this hash."""
    row = connection.execute(select(pending).where(pending.c.statement == statement)).one_or_none()
    return _waiting(row) if row else None


def all_pending(connection: Connection) -> list[Waiting]:
    """Every one, the oldest first."""
    rows = connection.execute(select(pending).order_by(pending.c.since, pending.c.statement))
    return [_waiting(row) for row in rows]


def count_pending(connection: Connection) -> int:
    """How many wait."""
    return int(connection.execute(select(func.count()).select_from(pending)).scalar_one())


def _waiting(row: Row[Any]) -> Waiting:
    signatures = tuple((signer, unb64(signature)) for signer, signature in orjson.loads(row.signatures))
    parts = tuple(map(Part.from_json, orjson.loads(row.parts)))
    return Waiting(Statement(row.body, signatures), parts, row.submitter, row.since, row.until)
