"""Owns the secretariat's tables: what contact points were reminded of, and whom members asked to be introduced to.

What follows from them is secretariat.py's and counterparts.py's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from exchange.directory.reminders import Told
from exchange.node.store.store import Transaction, number, set_fact, sql
from exchange.storage.local_cipher import LocalCipher

SEEN = "secretariat.seen"  # the newest row of the inbox that was looked at


@dataclass(frozen=True)
class Request:
    """Somebody looks for a counterpart. `case`, `purpose`: as the requester wrote them; times in UTC ms."""

    id: str
    requester: str
    at: int
    reply_by: int
    country: str
    topic: str
    purpose: str
    case: str
    introduced_at: int | None = None


@dataclass(frozen=True)
class Ask:
    """A third side that was asked about a request, and its answer: `full` or `declined`, "" for none yet.

    `contact` is the contact point or member that was meant, `address` where its mail is opened; `answer_id` the
    message that answered; `case` the one it was asked under.
    """

    id: str
    request_id: str
    contact: str
    address: str
    at: int
    case: str
    answer: str = ""
    answer_id: str = ""
    reason: str = ""


def told(connection: Transaction) -> dict[str, Told]:
    """What every contact point was reminded of, by address."""
    rows = sql(connection, "SELECT address, validate_by, step FROM reminded")
    return {row.address: Told(row.validate_by, row.step) for row in rows}


def last_written(connection: Transaction) -> dict[str, int]:
    """When every group was written to last (UTC ms)."""
    return {row.name: row.at for row in sql(connection, "SELECT name, at FROM reminder_groups")}


def set_told(connection: Transaction, group: str, items: Iterable[tuple[str, Told]], *, at: int) -> None:
    """The group was written to about these contacts."""
    sql(
        connection,
        "INSERT INTO reminder_groups VALUES (:name, :at) ON CONFLICT (name) DO UPDATE SET at = excluded.at",
        name=group,
        at=at,
    )
    for address, one in items:
        sql(
            connection,
            "INSERT INTO reminded VALUES (:address, :validate_by, :step) ON CONFLICT (address)"
            " DO UPDATE SET validate_by = excluded.validate_by, step = excluded.step",
            address=address,
            validate_by=one.validate_by,
            step=one.step,
        )


def seen(connection: Transaction) -> int:
    """Up to which row of the inbox was looked at."""
    return number(connection, SEEN)


def set_seen(connection: Transaction, n: int) -> None:
    """The inbox was looked at up to row `n`."""
    set_fact(connection, SEEN, n)


def add_request(connection: Transaction, cipher: LocalCipher, request: Request) -> None:
    """Note a request, once."""
    content = {
        "case": request.case,
        "country": request.country,
        "purpose": request.purpose,
        "requester": request.requester,
        "topic": request.topic,
    }
    sql(
        connection,
        "INSERT INTO counterpart_requests (id, at, reply_by, content) VALUES (:id, :at, :reply_by, :content)"
        " ON CONFLICT (id) DO NOTHING",
        id=request.id,
        at=request.at,
        reply_by=request.reply_by,
        content=cipher.seal("counterpart_requests.content", request.id, orjson.dumps(content)),
    )


def requests(connection: Transaction, cipher: LocalCipher) -> list[Request]:
    """Every request, the one with the nearest deadline first."""
    rows = sql(connection, "SELECT * FROM counterpart_requests ORDER BY reply_by, id")
    found = []
    for row in rows:
        content = orjson.loads(cipher.open("counterpart_requests.content", row.id, bytes(row.content)))
        found.append(
            Request(row.id, at=row.at, reply_by=row.reply_by, introduced_at=row.introduced_at, **content)
        )
    return found


def set_introduced(connection: Transaction, request_id: str, *, at: int) -> bool:
    """Both sides have been written to; whether this is new."""
    changed = sql(
        connection,
        "UPDATE counterpart_requests SET introduced_at = :at WHERE id = :id AND introduced_at IS NULL",
        at=at,
        id=request_id,
    )
    return changed.rowcount == 1


def put_ask(connection: Transaction, cipher: LocalCipher, ask: Ask) -> None:
    """Note whom was asked, or the answer."""
    content = {
        "address": ask.address,
        "answer": ask.answer,
        "answer_id": ask.answer_id,
        "case": ask.case,
        "contact": ask.contact,
        "reason": ask.reason,
    }
    sql(
        connection,
        "INSERT INTO counterpart_asks VALUES (:id, :request_id, :at, :content)"
        " ON CONFLICT (id) DO UPDATE SET content = excluded.content",
        id=ask.id,
        request_id=ask.request_id,
        at=ask.at,
        content=cipher.seal("counterpart_asks.content", ask.id, orjson.dumps(content)),
    )


def asks(connection: Transaction, cipher: LocalCipher) -> list[Ask]:
    """Everybody who was asked, oldest first."""
    rows = sql(connection, "SELECT * FROM counterpart_asks ORDER BY rowid")
    found = []
    for row in rows:
        content = orjson.loads(cipher.open("counterpart_asks.content", row.id, bytes(row.content)))
        found.append(Ask(row.id, row.request_id, at=row.at, **content))
    return found
