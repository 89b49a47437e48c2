"""Owns the node's copy of the directory log, the checkpoints it took, and prekeys: its own and its peers' records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint
from exchange.node.store.store import fact, set_fact, sql

RESTORED: Final = "restored"
GIVEN: Final = "keys.given"  # the public keys, as JSON, whose seed a restore was given


@dataclass(frozen=True)
class OwnPrekey:
    """One of this node's prekeys. Times in ms; `ran_past`: running time since it was first seen past destroy, ms."""

    kid: bytes
    start: int
    until: int
    destroy: int
    record: bytes
    ran_past: int = 0
    destroyed_at: int | None = None


def judged_leaves(connection: Connection) -> list[tuple[bytes, str]]:
    """The log as stored, in order, each leaf with its outcome's code."""
    return [
        (bytes(row.leaf), row.code) for row in sql(connection, "SELECT leaf, code FROM leaves ORDER BY idx")
    ]


def set_codes(connection: Connection, codes: Iterable[str]) -> None:
    """The outcomes of all leaves, judged anew."""
    for index, code in enumerate(codes):
        sql(connection, "UPDATE leaves SET code = :code WHERE idx = :index", code=code, index=index)


def leaves_from(connection: Connection, start: int, stop: int) -> list[bytes]:
    """Leaves start..stop-1."""
    rows = sql(
        connection,
        "SELECT leaf FROM leaves WHERE idx >= :start AND idx < :stop ORDER BY idx",
        start=start,
        stop=stop,
    )
    return [bytes(row.leaf) for row in rows]


def add_leaf(connection: Connection, index: int, leaf: bytes, code: str) -> None:
    """Keep a leaf that a checkpoint has covered, with its outcome's code ("" took effect)."""
    sql(connection, "INSERT INTO leaves VALUES (:index, :leaf, :code)", index=index, leaf=leaf, code=code)


def add_checkpoint(connection: Connection, digest: bytes, signed: SignedCheckpoint, said: Checkpoint) -> None:
    """Keep a verified checkpoint and what it says; it may be the one an envelope of ours names."""
    sql(
        connection,
        "INSERT INTO checkpoints (hash, term, size, at, body, signature)"
        " VALUES (:digest, :term, :size, :at, :body, :signature) ON CONFLICT (hash) DO NOTHING",
        digest=digest,
        term=said.term,
        size=said.size,
        at=said.at,
        body=signed.body,
        signature=signed.signature,
    )


def newest_checkpoint(connection: Connection) -> tuple[bytes, bytes] | None:
    """Body and signature of the highest checkpoint by term and size, the latest of those; None at first.

    Of the log as it is stored: what a former hub signed beyond the point where another went on isn't.
    """
    row = sql(
        connection,
        "SELECT * FROM checkpoints WHERE size <= (SELECT MAX(idx) + 1 FROM leaves)"
        " ORDER BY term DESC, size DESC, at DESC LIMIT 1",
    ).first()
    return None if row is None else (bytes(row.body), bytes(row.signature))


def newest_signed_at(connection: Connection) -> int | None:
    """The latest time (UTC ms) that a hub has signed a checkpoint with; None before the first."""
    at = sql(connection, "SELECT MAX(at) AS at FROM checkpoints").one().at
    return None if at is None else int(at)


def checkpoint(connection: Connection, digest: bytes) -> tuple[bytes, bytes] | None:
    """Body and signature of the checkpoint with that hash."""
    row = sql(connection, "SELECT * FROM checkpoints WHERE hash = :digest", digest=digest).first()
    return None if row is None else (bytes(row.body), bytes(row.signature))


def checkpoint_within(connection: Connection, term: int, least: int, most: int) -> tuple[bytes, bytes] | None:
    """Body and signature of that term's checkpoint with the largest size least..most, None if there is none."""
    row = sql(
        connection,
        "SELECT * FROM checkpoints WHERE term = :term AND size BETWEEN :least AND :most"
        " ORDER BY size DESC LIMIT 1",
        term=term,
        least=least,
        most=most,
    ).first()
    return None if row is None else (bytes(row.body), bytes(row.signature))


def prune_checkpoints(connection: Connection, *, before: int) -> None:
    """Drop checkpoints older than `before` (ms), but never the newest."""
    sql(
        connection,
        "DELETE FROM checkpoints WHERE at < :before AND hash <>"
        " (SELECT hash FROM checkpoints ORDER BY term DESC, size DESC, at DESC LIMIT 1)",
        before=before,
    )


def add_own_statement(connection: Connection, digest: bytes, class_: str, *, now: int) -> None:
    """This node has made the statement with that hash."""
    sql(
        connection,
        "INSERT INTO own_statements VALUES (:digest, :class, :now) ON CONFLICT (hash) DO NOTHING",
        digest=digest,
        now=now,
        **{"class": class_},
    )


def is_own_statement(connection: Connection, digest: bytes) -> bool:
    """Whether this node, or a run of it that was lost, made the statement with that hash."""
    return (
        sql(connection, "SELECT 1 FROM own_statements WHERE hash = :digest", digest=digest).first()
        is not None
    )


def take_for_own(connection: Connection, digest: bytes, type_: str) -> bool:
    """Whether a statement of that type in this node's name, now in the log, is no stranger's.

    After a restore the prekeys of the lost run aren't, up to the statement the hub named (§6.4): `RESTORED`.
    """
    row = sql(connection, "SELECT class FROM own_statements WHERE hash = :digest", digest=digest).first()
    if row is not None and row[0] != RESTORED:
        return True
    if type_ != "prekeys":
        return False
    if row is not None:
        set_fact(connection, RESTORED, b"")  # what comes after it is of no lost run
        return True
    return bool(fact(connection, RESTORED))


def add_record(connection: Connection, kid: bytes, destroy: int, record: bytes) -> None:
    """Keep a peer's prekey record whose hash is `kid`."""
    sql(
        connection,
        "INSERT INTO prekey_records VALUES (:kid, :destroy, :record) ON CONFLICT (kid) DO NOTHING",
        kid=kid,
        destroy=destroy,
        record=record,
    )


def records(connection: Connection, kids: Iterable[bytes]) -> dict[bytes, bytes]:
    """Those of the records that are held here."""
    found = {}
    for kid in kids:
        row = sql(connection, "SELECT record FROM prekey_records WHERE kid = :kid", kid=kid).first()
        if row is not None:
            found[kid] = bytes(row.record)
    return found


def prune_records(connection: Connection, *, before: int) -> None:
    """Drop peers' records destroyed before `before` (ms)."""
    sql(connection, "DELETE FROM prekey_records WHERE destroy < :before", before=before)


def add_own_prekey(connection: Connection, prekey: OwnPrekey) -> None:
    """Note a prekey whose private half is durable in the prekeys keystore."""
    sql(
        connection,
        "INSERT INTO own_prekeys (kid, start, until, destroy, record) VALUES (:kid, :start, :until, :destroy, :record)"
        " ON CONFLICT (kid) DO NOTHING",
        kid=prekey.kid,
        start=prekey.start,
        until=prekey.until,
        destroy=prekey.destroy,
        record=prekey.record,
    )


def own_prekeys(connection: Connection) -> list[OwnPrekey]:
    """This node's prekeys that are not destroyed, in order of their start."""
    rows = sql(connection, "SELECT * FROM own_prekeys WHERE destroyed_at IS NULL ORDER BY start")
    return [
        OwnPrekey(
            bytes(row.kid),
            row.start,
            row.until,
            row.destroy,
            bytes(row.record),
            row.ran_past,
            row.destroyed_at,
        )
        for row in rows
    ]


def add_running_time(connection: Connection, kid: bytes, elapsed: int) -> None:
    """The process has run `elapsed` ms more since the prekey was first seen past its destroy."""
    sql(
        connection,
        "UPDATE own_prekeys SET ran_past = ran_past + :elapsed WHERE kid = :kid",
        elapsed=elapsed,
        kid=kid,
    )


def set_destroyed(connection: Connection, kid: bytes, *, now: int) -> None:
    """The private half is gone."""
    sql(connection, "UPDATE own_prekeys SET destroyed_at = :now WHERE kid = :kid", now=now, kid=kid)
