"""Owns the notices a node has verified, what was exposed by keys that were revoked, and the marks this leaves on mail.

What a notice does is notices.py's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from exchange.canonical import b64, dumps, loads
from exchange.directory.overlay import Lost
from exchange.directory.statements import Statement
from exchange.node.store.store import Transaction, sql

_MAX_LOST: Final = 1_024  # bytes
UNVERIFIED: Final = "unverified"  # the mark of mail under a key that anybody may hold


@dataclass(frozen=True)
class Kept:
    """A verified notice: the statement, its hash, the trust it takes away (None: a change of hub).

    When it came, and when the hub was last given it (0: never), in ms.
    """

    hash: bytes
    statement: Statement
    type: str
    lost: Lost | None
    at: int
    offered_at: int


@dataclass(frozen=True)
class Exposure:
    """A revoked key of `address`, compromised `since`, and how many messages went to its owner since then. ms."""

    skid: bytes
    address: str
    since: int
    at: int
    messages: int


@dataclass(frozen=True)
class Exposed:
    """One such message: its row and id, and when it was first sealed to the owner since then (ms)."""

    message_n: int
    id: str
    sealed_at: int


def add(
    connection: Transaction,
    digest: bytes,
    statement: Statement,
    *,
    type_: str,
    address: str,
    lost: Lost | None,
    now: int,
) -> bool:
    """Keep a verified notice; whether it is new."""
    return (
        sql(
            connection,
            "INSERT INTO notices (hash, statement, type, address, lost, at)"
            " VALUES (:hash, :signed, :type, :address, :lost, :now) ON CONFLICT (hash) DO NOTHING",
            hash=digest,
            signed=orjson.dumps(statement.to_json()),
            type=type_,
            address=address,
            lost=dumps(lost.to_json()) if lost else b"",
            now=now,
        ).rowcount
        == 1
    )


def kept(connection: Transaction) -> list[Kept]:
    """Every notice, in order of coming."""
    rows = sql(connection, "SELECT * FROM notices ORDER BY at, hash")
    return [
        Kept(
            bytes(row.hash),
            Statement.from_json(orjson.loads(row.statement)),
            row.type,
            Lost.from_json(loads(bytes(row.lost), most=_MAX_LOST, field="notice")) if row.lost else None,
            row.at,
            row.offered_at,
        )
        for row in rows
    ]


def set_offered(connection: Transaction, digest: bytes, *, now: int) -> None:
    """The hub has been given the notice."""
    sql(connection, "UPDATE notices SET offered_at = :now WHERE hash = :hash", now=now, hash=digest)


def remove(connection: Transaction, digest: bytes) -> None:
    """The log has what the notice said, or it says nothing any more."""
    sql(connection, "DELETE FROM notices WHERE hash = :hash", hash=digest)


def expose(connection: Transaction, *, skid: bytes, address: str, since: int, now: int) -> int:
    """List every message sealed to `address` since `since` (ms); how many are listed by now.

    Repeats add what is missing; an earlier `since` wins.
    """
    sql(
        connection,
        "INSERT INTO exposures (skid, address, since, at) VALUES (:skid, :address, :since, :now)"
        " ON CONFLICT (skid) DO UPDATE SET since = min(since, excluded.since)",
        skid=skid,
        address=address,
        since=since,
        now=now,
    )
    sql(
        connection,
        "INSERT INTO exposed (skid, message_n, sealed_at)"
        " SELECT :skid, s.message_n, min(s.iat) FROM links_out l JOIN sealings s ON s.env = l.env"
        " JOIN messages m ON m.n = s.message_n WHERE l.recipient = :address AND s.iat >= :since"
        " AND m.type = 'stix' GROUP BY s.message_n ON CONFLICT (skid, message_n) DO NOTHING",
        skid=skid,
        address=address,
        since=since,
    )
    row = sql(connection, "SELECT count(*) AS total FROM exposed WHERE skid = :skid", skid=skid).one()
    return int(row.total)


def doubt_receipts(connection: Transaction, *, skid: bytes, address: str, since: int, now: int) -> int:
    """Queue again what `address` has stored by that key's word alone since `since` (ms); how many copies.

    Mail and answers that are still alive at `now`: whoever had the key took it from the mailbox, maybe, and its owner
    knows what it has by the ids. The next sealing closes the number of this one.
    """
    return sql(
        connection,
        "UPDATE addressees SET state = 'queued', stored_at = NULL, ended_at = NULL, old_env = l.env,"
        " old_chain = l.chain, old_seq = l.seq"
        " FROM links_out l JOIN sealings s ON s.env = l.env JOIN messages m ON m.n = s.message_n"
        " JOIN proofs p ON p.env = l.env AND p.recipient = l.recipient AND p.status = 'stored'"
        " JOIN proof_batches b ON b.hash = p.batch"
        " WHERE l.recipient = :address AND addressees.recipient = l.recipient"
        " AND addressees.message_n = s.message_n AND addressees.state = 'stored'"
        " AND m.type IN ('stix', 'status') AND m.expires > :now AND m.erased_at IS NULL"
        " AND (s.iat >= :since OR p.at >= :since)"
        " AND json_extract(CAST(b.body AS TEXT), '$.skid') = :skid",
        address=address,
        since=since,
        now=now,
        skid=b64(skid),
    ).rowcount


def exposures(connection: Transaction) -> list[Exposure]:
    """Every revoked key that something was sealed to, or could have been, newest first."""
    rows = sql(
        connection,
        "SELECT e.*, (SELECT count(*) FROM exposed x WHERE x.skid = e.skid) AS total FROM exposures e"
        " ORDER BY at DESC, address",
    )
    return [Exposure(bytes(row.skid), row.address, row.since, row.at, row.total) for row in rows]


def exposed(connection: Transaction, skid: bytes, *, limit: int) -> list[Exposed]:
    """The messages that the key's theft exposed, newest first."""
    rows = sql(
        connection,
        "SELECT x.message_n, m.id, x.sealed_at FROM exposed x JOIN messages m ON m.n = x.message_n"
        " WHERE x.skid = :skid ORDER BY x.sealed_at DESC, x.message_n DESC LIMIT :limit",
        skid=skid,
        limit=limit,
    )
    return [Exposed(row.message_n, row.id, row.sealed_at) for row in rows]


def mark_unverified(connection: Transaction, *, address: str, skid: bytes, since: int) -> int:
    """Mark what was received from `address` under that key since `since` (ms); how many were not yet."""
    return sql(
        connection,
        "UPDATE inbox SET marks = trim(marks || ' ' || :mark) WHERE received_at >= :since"
        " AND instr(marks, :mark) = 0 AND env IN (SELECT env FROM links_in INDEXED BY links_in_key"
        " WHERE sender = :address AND skid = :skid)",
        mark=UNVERIFIED,
        since=since,
        address=address,
        skid=b64(skid),
    ).rowcount
