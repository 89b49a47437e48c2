"""Owns the receipts this node owes and the signed batches it gave (docs/protocol.md §7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from exchange.canonical import framed, unframed
from exchange.node.store.store import number, set_fact, sql, sql_many
from exchange.receipt import Batch

HIGHEST = "receipts.highest"
_MAX_LEAF = 1_024


@dataclass(frozen=True)
class Owed:
    """A receipt not yet signed: status and coarse code for one envelope, with the salt its leaf will have."""

    env: bytes
    lc: bytes
    status: str
    code: str
    salt: bytes


def owe(connection: Connection, owed: Iterable[Owed]) -> None:
    """Note receipts; the same envelope is receipted once, whatever comes later."""
    sql_many(
        connection,
        "INSERT INTO owed (env, lc, status, code, salt) VALUES (?, ?, ?, ?, ?) ON CONFLICT (env) DO NOTHING",
        ((one.env, one.lc, one.status, one.code, one.salt) for one in owed),
    )


def is_owed(connection: Connection, env: bytes) -> bool:
    """Whether the envelope has a receipt, given or still to be signed."""
    return sql(connection, "SELECT 1 FROM owed WHERE env = :env", env=env).first() is not None


def is_rejected(connection: Connection, env: bytes) -> bool:
    """Whether this node rejected the envelope."""
    row = sql(connection, "SELECT 1 FROM owed WHERE env = :env AND status = 'rejected'", env=env)
    return row.first() is not None


def owe_again(connection: Connection, env: bytes) -> None:
    """A receipted envelope came again: its batch is uploaded again, the very same."""
    sql(
        connection,
        "UPDATE batches_out SET sent_at = NULL WHERE number = (SELECT batch FROM owed WHERE env = :env)",
        env=env,
    )


def open_receipts(connection: Connection, *, limit: int) -> list[Owed]:
    """Receipts owed and in no batch yet."""
    rows = sql(connection, "SELECT * FROM owed WHERE batch IS NULL ORDER BY rowid LIMIT :limit", limit=limit)
    return [Owed(bytes(row.env), bytes(row.lc), row.status, row.code, bytes(row.salt)) for row in rows]


def next_number(connection: Connection) -> int:
    """The next batch number: above everything this node has used or was seen to use."""
    return number(connection, HIGHEST) + 1


def jump(connection: Connection, highest: int) -> None:
    """Go on above `highest`, which the hub has seen (docs/protocol.md §6.4)."""
    if highest > number(connection, HIGHEST):
        set_fact(connection, HIGHEST, highest)


def add_batch(connection: Connection, number_: int, batch: Batch, envs: list[bytes]) -> None:
    """Keep a signed batch until the hub has answered its upload, and for repeats."""
    set_fact(connection, HIGHEST, number_)
    sql(
        connection,
        "INSERT INTO batches_out VALUES (:number, :body, :signatures, :leaves, NULL)",
        number=number_,
        body=batch.body,
        signatures=batch.signatures,
        leaves=framed(batch.leaves),
    )
    sql_many(connection, "UPDATE owed SET batch = ? WHERE env = ?", [(number_, env) for env in envs])


def take_back(connection: Connection, number_: int) -> None:
    """A batch that nobody takes any more: its receipts are owed again, to be signed in another."""
    sql(connection, "UPDATE owed SET batch = NULL WHERE batch = :number", number=number_)
    sql(connection, "DELETE FROM batches_out WHERE number = :number", number=number_)


def unsent(connection: Connection, *, after: int, limit: int) -> list[tuple[int, Batch]]:
    """Batches past number `after` that the hub has not taken, oldest first."""
    rows = sql(
        connection,
        "SELECT * FROM batches_out INDEXED BY batches_unsent WHERE sent_at IS NULL"
        " AND number > :after ORDER BY number LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [
        (
            row.number,
            Batch(
                bytes(row.body),
                bytes(row.signatures),
                tuple(unframed(bytes(row.leaves), most_items=256, most_bytes=_MAX_LEAF)),
            ),
        )
        for row in rows
    ]


def set_sent(connection: Connection, number_: int, *, now: int) -> None:
    """The hub has answered the upload of the batch."""
    sql(connection, "UPDATE batches_out SET sent_at = :now WHERE number = :number", now=now, number=number_)
