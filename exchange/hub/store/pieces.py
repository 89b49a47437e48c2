"""Uploads that come in pieces, until they are whole: what a link brought before it was cut (docs/protocol.md §11.9).

Owns these tables. A sender has few at once, the one untouched longest gives way; nobody's outlives `PARTIAL_MS`.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, column, delete, insert, select, table, update

from exchange.hub.store.tables import envelopes
from exchange.limits import PARTIAL_MS, PARTIAL_UPLOADS

# `have` counts bytes from the beginning on, `at` is the time of the last piece.
uploads = table(
    "uploads", column("n"), column("sender"), column("env"), column("size"), column("have"), column("at")
)
pieces = table("pieces", column("upload"), column("start"), column("data"))


def add_piece(
    connection: Connection, sender: str, env: bytes, *, size: int, start: int, data: bytes, now: int
) -> int:
    """Keep a piece if it is the next one; how many bytes are here from the beginning on. `now` in ms."""
    drop_old(connection, now=now)
    mine = select(uploads.c.n, uploads.c.size, uploads.c.have).where(
        uploads.c.sender == sender, uploads.c.env == env
    )
    row = connection.execute(mine).one_or_none()
    if row is not None and row.size != size:
        _forget(connection, uploads.c.n == row.n)
        row = None
    if row is None:
        others = select(uploads.c.n).where(uploads.c.sender == sender).order_by(uploads.c.at.desc())
        _forget(connection, uploads.c.n.in_(others.limit(-1).offset(PARTIAL_UPLOADS - 1)))
        connection.execute(insert(uploads).values(sender=sender, env=env, size=size, have=0, at=now))
        row = connection.execute(mine).one()
    if not data or start != row.have or start + len(data) > size:
        return int(row.have)
    connection.execute(insert(pieces).values(upload=row.n, start=start, data=data))
    have = start + len(data)
    connection.execute(update(uploads).where(uploads.c.n == row.n).values(have=have, at=now))
    return have


def whole(connection: Connection, sender: str, env: bytes) -> bytes:
    """Everything that is here of an upload, in order."""
    rows = (
        select(pieces.c.data)
        .join(uploads, uploads.c.n == pieces.c.upload)
        .where(uploads.c.sender == sender, uploads.c.env == env)
        .order_by(pieces.c.start)
    )
    return b"".join(connection.execute(rows).scalars())


def drop(connection: Connection, sender: str, env: bytes) -> None:
    """It is an envelope now, or never will be."""
    _forget(connection, (uploads.c.sender == sender) & (uploads.c.env == env))


def drop_old(connection: Connection, *, now: int) -> None:
    """Forget what was untouched for too long as of `now` (ms)."""
    _forget(connection, uploads.c.at <= now - PARTIAL_MS)


def is_senders(connection: Connection, env: bytes, sender: str) -> bool:
    """Whether the envelope was accepted from `sender` before."""
    found = select(envelopes.c.n).where(envelopes.c.env == env, envelopes.c.sender == sender)
    return connection.execute(found).first() is not None


def _forget(connection: Connection, which: ColumnElement[bool]) -> None:
    numbers = connection.execute(select(uploads.c.n).where(which)).scalars().all()
    if numbers:
        connection.execute(delete(pieces).where(pieces.c.upload.in_(numbers)))
        connection.execute(delete(uploads).where(uploads.c.n.in_(numbers)))
