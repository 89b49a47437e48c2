"""Owns the table of inquiries: whom this node asked about a message it sent, and the record each answered with."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from exchange.canonical import loads
from exchange.content import pack_content, unpack_content
from exchange.disclosure import DisclosureRecord
from exchange.envelope import Opened
from exchange.limits import MAX_CONTROL
from exchange.node.store.store import sql
from exchange.storage.local_cipher import LocalCipher

_COLUMN = "disclosures.record"


@dataclass(frozen=True)
class Inquiry:
    """One question to `recipient` and its answer, if there is one. Times in ms; `env` brought the record."""

    id: str
    recipient: str
    asked_at: int
    answered_at: int | None
    env: bytes | None
    record: DisclosureRecord | None


def add(connection: Connection, *, inquiry: str, message_id: str, recipient: str, now: int) -> None:
    """Note that `recipient` is asked, by the message `inquiry`."""
    sql(
        connection,
        "INSERT INTO disclosures (inquiry, message_id, recipient, asked_at)"
        " VALUES (:inquiry, :message_id, :recipient, :now)",
        inquiry=inquiry,
        message_id=message_id,
        recipient=recipient,
        now=now,
    )


def take(
    connection: Connection,
    cipher: LocalCipher,
    opened: Opened,
    record: DisclosureRecord,
    *,
    now: int,
) -> bool:
    """Keep the first answer of whoever was asked about that message, as it was signed; whether it is one."""
    changed = sql(
        connection,
        "UPDATE disclosures SET answered_at = :now, env = :env, record = :record"
        " WHERE inquiry = :inquiry AND recipient = :recipient AND message_id = :of AND record IS NULL",
        now=now,
        env=opened.header.env,
        record=cipher.seal(_COLUMN, record.inquiry, pack_content(opened.meta, opened.payload)),
        inquiry=record.inquiry,
        recipient=opened.header.sender,
        of=record.of,
    )
    return changed.rowcount == 1


def listed(connection: Connection, cipher: LocalCipher, message_id: str) -> list[Inquiry]:
    """Every question about a message, oldest first."""
    rows = sql(connection, "SELECT * FROM disclosures WHERE message_id = :id ORDER BY n", id=message_id)
    return [
        Inquiry(
            row.inquiry,
            row.recipient,
            row.asked_at,
            row.answered_at,
            None if row.env is None else bytes(row.env),
            None if row.record is None else _record(cipher, row.inquiry, bytes(row.record)),
        )
        for row in rows
    ]


def drop_asked(connection: Connection, *, before: int, limit: int) -> int:
    """Drop questions put before `before` (ms) with their answers; how many."""
    return int(
        sql(
            connection,
            "DELETE FROM disclosures WHERE n IN (SELECT n FROM disclosures WHERE asked_at <= :before"
            " ORDER BY asked_at LIMIT :limit)",
            before=before,
            limit=limit,
        ).rowcount
    )


def _record(cipher: LocalCipher, inquiry: str, sealed: bytes) -> DisclosureRecord:
    _, payload = unpack_content(cipher.open(_COLUMN, inquiry, sealed))
    return DisclosureRecord.read(loads(payload, most=MAX_CONTROL, field="record"))
