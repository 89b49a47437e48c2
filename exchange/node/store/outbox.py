"""Owns the outbox tables' front: messages to be sent, and how far each addressee's copy has come.

Which state follows which is outbox.py's and receipts.py's business; envelopes and chains are store/sealings.py's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from exchange.content import Numbered
from exchange.errors import Refused
from exchange.formats.stix.cover import supersedes_of
from exchange.header import LANES
from exchange.node.store.store import sql
from exchange.storage.local_cipher import LocalCipher

QUEUED: Final = "queued"
SEALED: Final = "sealed"
ACCEPTED: Final = "accepted"
STORED: Final = "stored"
REJECTED: Final = "rejected"
LOST: Final = "lost"
ENDED: Final = (STORED, REJECTED, LOST)
HUMAN: Final = ("opened", "acknowledged", "working", "declined")


@dataclass(frozen=True)
class Outgoing:
    """A message of this node. `created`, `expires`: its content's life, ms. `payload` is what content.py frames.

    `erased`: the payload is gone (store/erasing.py); it is never sealed again.
    """

    id: str
    type: str
    lane: str
    created: int
    expires: int
    payload: bytes
    separate: bool = False
    compress: bool = False
    erased: bool = False


@dataclass(frozen=True)
class Addressee:
    """One addressee of a message and how far its copy has come; each time in ms, None while it hasn't happened.

    `code` says why it was rejected, lost or waits, as fine as the addressee told; `coarse` as the receipt has it.
    `replaces` is the sealing whose number the next one closes, `tries` how many were refused or not readable.
    """

    message_n: int
    recipient: str
    lane: str
    state: str
    code: str
    coarse: str
    env: bytes | None
    tries: int
    replaces: Numbered | None
    queued_at: int
    sealed_at: int | None
    accepted_at: int | None
    stored_at: int | None
    rejected_at: int | None
    ended_at: int | None
    opened_at: int | None
    acknowledged_at: int | None
    working_at: int | None
    declined_at: int | None
    person: str
    note: str


def add(
    connection: Connection, cipher: LocalCipher, message: Outgoing, recipients: Iterable[str], *, now: int
) -> bool:
    """Queue `message` for `recipients`; False when its id is there already (then nothing changes)."""
    lane = LANES.index(message.lane)
    row = sql(
        connection,
        "INSERT INTO messages (id, type, lane, created, expires, separate, compress, payload, submitted_at, supersedes)"
        " VALUES (:id, :type, :lane, :created, :expires, :separate, :compress, :payload, :now, :supersedes)"
        " ON CONFLICT (id) DO NOTHING RETURNING n",
        id=message.id,
        type=message.type,
        lane=lane,
        created=message.created,
        expires=message.expires,
        separate=int(message.separate),
        compress=int(message.compress),
        payload=cipher.seal("messages.payload", message.id, message.payload),
        now=now,
        supersedes=(supersedes_of(message.payload) or "") if message.type == "stix" else "",
    ).first()
    if row is None:
        return False
    for recipient in sorted(set(recipients)):
        sql(
            connection,
            "INSERT INTO addressees (message_n, recipient, lane, state, queued_at)"
            " VALUES (:n, :recipient, :lane, 'queued', :now)",
            n=row.n,
            recipient=recipient,
            lane=lane,
            now=now,
        )
    return True


def get(connection: Connection, cipher: LocalCipher, n: int) -> Outgoing:
    """The message in row `n`."""
    row = sql(connection, "SELECT * FROM messages WHERE n = :n", n=n).one()
    return outgoing_in(row, cipher)


def find(connection: Connection, cipher: LocalCipher, message_id: str) -> tuple[int, Outgoing] | None:
    """The row number and the message with that id, None if this node never sent it."""
    row = sql(connection, "SELECT * FROM messages WHERE id = :id", id=message_id).first()
    return None if row is None else (row.n, outgoing_in(row, cipher))


def is_here(connection: Connection, message_id: str) -> bool:
    """Whether this node sent people a message under that id, and still has it."""
    row = sql(
        connection,
        "SELECT EXISTS (SELECT 1 FROM messages WHERE id = :id AND type = 'stix' AND erased_at IS NULL) AS here",
        id=message_id,
    ).one()
    return bool(row.here)


def addressees(connection: Connection, cipher: LocalCipher, message_n: int) -> list[Addressee]:
    """Every addressee of a message, by name."""
    rows = sql(connection, "SELECT * FROM addressees WHERE message_n = :n ORDER BY recipient", n=message_n)
    return [_addressee(row, cipher) for row in rows]


def addressee(
    connection: Connection, cipher: LocalCipher, message_n: int, recipient: str
) -> Addressee | None:
    """One addressee of a message, None if it never was one."""
    row = sql(
        connection,
        "SELECT * FROM addressees WHERE message_n = :n AND recipient = :recipient",
        n=message_n,
        recipient=recipient,
    ).first()
    return None if row is None else _addressee(row, cipher)


def unreadable(connection: Connection, recipient: str, *, but: bytes, tries: int, limit: int) -> list[bytes]:
    """Envelopes that `recipient` couldn't read, sealed to another prekey than `but`, after fewer than `tries` tries."""
    rows = sql(
        connection,
        "SELECT a.env FROM addressees a INDEXED BY addressees_unreadable"
        " JOIN links_out l ON l.env = a.env AND l.recipient = a.recipient WHERE a.recipient = :recipient"
        " AND a.state = 'rejected' AND a.code = 'unreadable' AND a.tries < :tries AND l.kid <> :but LIMIT :limit",
        recipient=recipient,
        but=but,
        tries=tries,
        limit=limit,
    )
    return [bytes(row.env) for row in rows]


def count_try(connection: Connection, message_n: int, recipient: str) -> int:
    """One more sealing of this copy was refused or not readable; how many by now."""
    return int(
        sql(
            connection,
            "UPDATE addressees SET tries = tries + 1 WHERE message_n = :n AND recipient = :recipient RETURNING tries",
            n=message_n,
            recipient=recipient,
        )
        .one()
        .tries
    )


def set_sealed(connection: Connection, message_n: int, recipient: str, env: bytes, *, now: int) -> None:
    """Its newest sealing is `env`."""
    sql(
        connection,
        "UPDATE addressees SET state = 'sealed', env = :env, sealed_at = :now,"
        " code = '', reason = '', old_env = NULL, old_chain = NULL, old_seq = NULL"
        " WHERE message_n = :n AND recipient = :recipient",
        env=env,
        now=now,
        n=message_n,
        recipient=recipient,
    )


def set_accepted(connection: Connection, env: bytes, *, at: int) -> None:
    """The hub has `env`: everybody whose newest sealing it is."""
    sql(
        connection,
        "UPDATE addressees SET accepted_at = coalesce(accepted_at, :at),"
        " state = CASE state WHEN 'sealed' THEN 'accepted' ELSE state END WHERE env = :env",
        at=at,
        env=env,
    )


def set_ended(
    connection: Connection, message_n: int, recipient: str, state: str, code: str, *, at: int
) -> None:
    """The copy is stored, rejected or lost. Stored is final; the others may be queued again."""
    column = {STORED: "stored_at", REJECTED: "rejected_at", LOST: "ended_at"}[state]
    sql(
        connection,
        f"UPDATE addressees SET state = :state, code = :code, ended_at = :at, {column} = :at"  # noqa: S608 - fixed words
        " WHERE message_n = :n AND recipient = :recipient AND state <> 'stored'",
        state=state,
        code=code,
        at=at,
        n=message_n,
        recipient=recipient,
    )


def requeue(
    connection: Connection, message_n: int, recipient: str, *, replaces: Numbered | None, code: str
) -> bool:
    """Seal it again, unless it is stored or already queued; whether it was queued by this call."""
    return (
        sql(
            connection,
            "UPDATE addressees SET state = 'queued', code = :code, old_env = :env, old_chain = :chain, old_seq = :seq"
            " WHERE message_n = :n AND recipient = :recipient AND state NOT IN ('stored', 'queued')",
            code=code,
            env=replaces.env if replaces else None,
            chain=replaces.chain if replaces else None,
            seq=replaces.seq if replaces else None,
            n=message_n,
            recipient=recipient,
        ).rowcount
        == 1
    )


def blank(connection: Connection, cipher: LocalCipher, message_id: str) -> None:
    """Forget what the message said; the row is overwritten (secure_delete)."""
    sql(
        connection,
        "UPDATE messages SET payload = :nothing WHERE id = :id",
        nothing=cipher.seal("messages.payload", message_id, b""),
        id=message_id,
    )


def is_erased(connection: Connection, message_n: int) -> bool:
    """Whether of the message in row `message_n` only the row is left."""
    return (
        sql(connection, "SELECT 1 FROM messages WHERE n = :n AND erased_at IS NOT NULL", n=message_n).first()
        is not None
    )


def set_reason(connection: Connection, message_n: int, recipient: str, code: str) -> None:
    """The fine code of a rejection; it may come before the receipt, and goes with the next sealing."""
    sql(
        connection,
        "UPDATE addressees SET reason = :code WHERE message_n = :n AND recipient = :recipient"
        " AND state IN ('sealed', 'accepted', 'rejected')",
        code=code,
        n=message_n,
        recipient=recipient,
    )


def set_human(
    connection: Connection,
    cipher: LocalCipher,
    message_n: int,
    recipient: str,
    level: str,
    *,
    person: str,
    note: str,
    at: int,
) -> None:
    """What people at the addressee did; the first time of each level stays, the newest person and note win.

    A note stays as long as nobody else has answered since: it must not stand beside another one's name.
    """
    if level not in HUMAN:
        raise Refused("internal.error", "not a level of people")
    row_id = f"{message_n}/{recipient}"
    before = addressee(connection, cipher, message_n, recipient)
    is_other = bool(before and person and before.person and person != before.person)
    sql(
        connection,
        f"UPDATE addressees SET {level}_at = coalesce({level}_at, :at),"  # noqa: S608 - one of HUMAN
        " person = coalesce(:person, person), note = CASE WHEN :other THEN :note ELSE coalesce(:note, note) END"
        " WHERE message_n = :n AND recipient = :recipient"
        " AND EXISTS (SELECT 1 FROM messages WHERE n = :n AND erased_at IS NULL)",
        at=at,
        person=cipher.seal("addressees.person", row_id, person.encode()) if person else None,
        note=cipher.seal("addressees.note", row_id, note.encode()) if note else None,
        other=is_other,
        n=message_n,
        recipient=recipient,
    )


def outgoing_in(row: Any, cipher: LocalCipher) -> Outgoing:  # noqa: ANN401 - a row of any columns
    """The message of a row of messages, without payload where the row has none."""
    return Outgoing(
        id=row.id,
        type=row.type,
        lane=LANES[row.lane],
        created=row.created,
        expires=row.expires,
        payload=cipher.open("messages.payload", row.id, bytes(row.payload)) if row.payload else b"",
        separate=bool(row.separate),
        compress=bool(row.compress),
        erased=row.erased_at is not None,
    )


def _addressee(row: Any, cipher: LocalCipher) -> Addressee:  # noqa: ANN401 - a row of any columns
    row_id = f"{row.message_n}/{row.recipient}"
    old = Numbered(bytes(row.old_env), bytes(row.old_chain), row.old_seq) if row.old_env else None
    return Addressee(
        message_n=row.message_n,
        recipient=row.recipient,
        lane=LANES[row.lane],
        state=row.state,
        code=row.reason if row.state == REJECTED and row.reason else row.code,
        coarse=row.code,
        env=bytes(row.env) if row.env else None,
        tries=row.tries,
        replaces=old,
        queued_at=row.queued_at,
        sealed_at=row.sealed_at,
        accepted_at=row.accepted_at,
        stored_at=row.stored_at,
        rejected_at=row.rejected_at,
        ended_at=row.ended_at,
        opened_at=row.opened_at,
        acknowledged_at=row.acknowledged_at,
        working_at=row.working_at,
        declined_at=row.declined_at,
        person=cipher.open("addressees.person", row_id, bytes(row.person)).decode() if row.person else "",
        note=cipher.open("addressees.note", row_id, bytes(row.note)).decode() if row.note else "",
    )
