"""Owns the rows of attachments: what goes with messages to the hub, what came with messages and was asked for.

What they say (name, key, digest) is sealed; the sealed blobs themselves are files (store/attachment_files.py). Which
state follows which is attachments.py's business. Rows go with their message, by triggers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from exchange.attachment import Attachment
from exchange.limits import DAY_MS
from exchange.node.store.store import looked_up, sql, sql_many
from exchange.storage.local_cipher import LocalCipher

WAITING: Final = "waiting"  # to go to the hub
THERE: Final = "there"
DROPPED: Final = "dropped"  # here, once nobody can need it any more

OFFERED: Final = "offered"
WANTED: Final = "wanted"
KEPT: Final = "kept"  # here, whole and verified
GONE: Final = "gone"  # the hub has it no longer
BAD: Final = "bad"  # isn't what its message says

KEPT_MS: Final = DAY_MS  # a sent one, after the last copy of its message has ended
# Of an attachment `a` to go: some copy of its message is under way, or there, and may have to be sealed again.
_NEEDED: Final = (
    "EXISTS (SELECT 1 FROM addressees s"
    " WHERE s.message_n = a.message_n AND s.state NOT IN ('rejected', 'lost'))"
)
_OUT: Final = "attachments_out.facts"
_IN: Final = "attachments_in.facts"


@dataclass(frozen=True)
class Leaving:
    """An attachment of a message sent. `sent`: bytes of its blob at the hub; `code`: why it isn't there yet."""

    message_n: int
    place: int
    attachment: Attachment
    size: int
    state: str
    sent: int
    code: str


@dataclass(frozen=True)
class Come:
    """An attachment of a message received, by its envelope; `size` of the blob.

    `code`: why it is gone or bad, or doesn't come.
    """

    env: bytes
    place: int
    sender: str
    attachment: Attachment
    size: int
    state: str
    code: str
    tries: int


# -- sent ------------------------------------------------------------------------------------------------------------


def add_out(
    connection: Connection, cipher: LocalCipher, message_id: str, attachments: Sequence[Attachment]
) -> None:
    """What goes with the message of that id, which was just queued."""
    message_n = sql(connection, "SELECT n FROM messages WHERE id = :id", id=message_id).one().n
    for place, one in enumerate(sorted(attachments, key=lambda one: one.blob), start=1):  # the header's order
        sql(
            connection,
            "INSERT INTO attachments_out (message_n, place, hash, size, facts, state)"
            " VALUES (:n, :place, :hash, :size, :facts, 'waiting')",
            n=message_n,
            place=place,
            hash=one.blob,
            size=one.sealed[1],
            facts=cipher.seal(_OUT, f"{message_n}/{place}", _dump(one)),
        )


def going_with(connection: Connection, cipher: LocalCipher, message_n: int) -> tuple[Leaving, ...]:
    """The attachments of a message sent, in their order."""
    rows = sql(connection, "SELECT * FROM attachments_out WHERE message_n = :n ORDER BY place", n=message_n)
    return tuple(_leaving(row, cipher) for row in rows)


def next_to_go(connection: Connection, cipher: LocalCipher) -> Leaving | None:
    """Which blob goes to the hub next: of the most urgent message, and of the oldest of these."""
    row = sql(
        connection,
        "SELECT a.* FROM attachments_out a INDEXED BY attachments_out_state"  # noqa: S608 - fixed words
        f" JOIN messages m ON m.n = a.message_n WHERE a.state = 'waiting' AND {_NEEDED}"
        " ORDER BY m.lane, a.message_n, a.place LIMIT 1",
    ).first()
    return None if row is None else _leaving(row, cipher)


def set_sent(connection: Connection, blob: bytes, sent: int, *, code: str = "") -> None:
    """How much of a blob the hub has; `code`: why it takes no more now."""
    sql(
        connection,
        "UPDATE attachments_out SET sent = :sent, code = :code WHERE hash = :hash AND state = 'waiting'",
        sent=sent,
        code=code,
        hash=blob,
    )


def set_there(connection: Connection, blob: bytes) -> None:
    """The hub has the whole blob, and says that it is the one named."""
    sql(
        connection,
        "UPDATE attachments_out SET state = 'there', sent = size, code = '' WHERE hash = :hash AND state = 'waiting'",
        hash=blob,
    )


def ask_again(connection: Connection, message_n: int | None = None) -> None:
    """The hub may have lost blobs: of one message, or of all. It is asked for each before anything is sent again."""
    sql(
        connection,
        "UPDATE attachments_out SET state = 'waiting' WHERE state = 'there' AND (:n IS NULL OR message_n = :n)",
        n=message_n,
    )


def is_waiting(connection: Connection, message_n: int) -> bool:
    """Whether something of this message is to go to the hub."""
    row = sql(
        connection,
        "SELECT EXISTS (SELECT 1 FROM attachments_out WHERE message_n = :n AND state = 'waiting') AS found",
        n=message_n,
    ).one()
    return bool(row.found)


def drop_all(connection: Connection, message_n: int) -> None:
    """Nobody can need the blobs of this message any more; that they were attached stays."""
    _drop(
        connection,
        "SELECT hash FROM attachments_out WHERE message_n = :n AND state <> 'dropped'",
        n=message_n,
    )


def drop_ended(connection: Connection, *, now: int) -> None:
    """The same of every message whose copies have all ended KEPT_MS ago: until then one may be sealed again.

    But for those that a legal hold keeps, which no time is set for.
    """
    _drop(
        connection,
        "SELECT hash FROM attachments_out o INDEXED BY attachments_out_state WHERE o.state IN ('waiting', 'there')"
        " AND NOT EXISTS (SELECT 1 FROM addressees a WHERE a.message_n = o.message_n"
        " AND (a.state NOT IN ('stored', 'rejected', 'lost') OR coalesce(a.stored_at, a.ended_at, 0) > :before))"
        " AND EXISTS (SELECT 1 FROM messages m WHERE m.n = o.message_n AND m.erase_at IS NOT NULL)",
        before=now - KEPT_MS,
    )


def _drop(connection: Connection, which: str, **values: int) -> None:
    for row in sql(connection, which, **values).all():
        sql(connection, "UPDATE attachments_out SET state = 'dropped' WHERE hash = :hash", hash=row.hash)
        sql(connection, "INSERT OR IGNORE INTO attachments_over VALUES (:hash)", hash=row.hash)


# -- received --------------------------------------------------------------------------------------------------------


def add_in(
    connection: Connection,
    cipher: LocalCipher,
    came: Iterable[tuple[bytes, str, Sequence[Attachment]]],
) -> None:
    """What came with messages: envelope, sender and attachments of each."""
    for env, sender, attachments in came:
        for place, one in enumerate(attachments, start=1):
            sql(
                connection,
                "INSERT INTO attachments_in (env, place, sender, hash, size, facts, state)"
                " VALUES (:env, :place, :sender, :hash, :size, :facts, 'offered')",
                env=env,
                place=place,
                sender=sender,
                hash=one.blob,
                size=one.sealed[1],
                facts=cipher.seal(_IN, f"{env.hex()}/{place}", _dump(one)),
            )


def come_with(connection: Connection, cipher: LocalCipher, env: bytes) -> tuple[Come, ...]:
    """The attachments of a message received, in their order."""
    rows = sql(connection, "SELECT * FROM attachments_in WHERE env = :env ORDER BY place", env=env)
    return tuple(_come(row, cipher) for row in rows)


def counts(connection: Connection, envs: Sequence[bytes]) -> dict[bytes, int]:
    """How many attachments came with each of these envelopes; those without are left out."""
    rows = looked_up(
        connection,
        "SELECT env, count(*) FROM {keys} CROSS JOIN attachments_in ON env = column1 GROUP BY env",
        [(env,) for env in envs],
    )
    return {bytes(env): count for env, count in rows}


def want(connection: Connection, env: bytes, place: int) -> None:
    """A person has asked for it."""
    sql(
        connection,
        "UPDATE attachments_in SET state = 'wanted', code = '', tries = 0 WHERE env = :env AND place = :place",
        env=env,
        place=place,
    )


def next_wanted(
    connection: Connection, cipher: LocalCipher, *, but: Collection[tuple[bytes, int]] = ()
) -> Come | None:
    """What is fetched next, `but` these (envelope, place): of the most urgent message, and of the oldest of these."""
    rows = sql(
        connection,
        "SELECT a.* FROM attachments_in a INDEXED BY attachments_in_wanted JOIN inbox i ON i.env = a.env"
        " WHERE a.state = 'wanted' ORDER BY i.lane, i.n, a.place",
    )
    row = next((row for row in rows if (bytes(row.env), row.place) not in but), None)
    return None if row is None else _come(row, cipher)


def set_state(connection: Connection, one: Come, state: str, code: str = "") -> None:
    """How an attachment stands, and why."""
    sql(
        connection,
        "UPDATE attachments_in SET state = :state, code = :code WHERE env = :env AND place = :place",
        state=state,
        code=code,
        env=one.env,
        place=one.place,
    )


def doubt(connection: Connection, env: bytes, place: int, code: str) -> None:
    """Its file here doesn't open any more: it is looked at, and fetched again, when a person asks for it."""
    sql(
        connection,
        "UPDATE attachments_in SET state = 'offered', code = :code WHERE env = :env AND place = :place",
        code=code,
        env=env,
        place=place,
    )


def count_try(connection: Connection, one: Come, code: str) -> int:
    """What came was not the blob named; how often by now."""
    return int(
        sql(
            connection,
            "UPDATE attachments_in SET tries = tries + 1, code = :code WHERE env = :env AND place = :place"
            " RETURNING tries",
            code=code,
            env=one.env,
            place=one.place,
        )
        .one()
        .tries
    )


def forget_files(connection: Connection) -> int:
    """The home was restored without the files; how many blobs it had. They are to be fetched again."""
    return sql(
        connection, "UPDATE attachments_in SET state = 'offered', code = '' WHERE state = 'kept'"
    ).rowcount


# -- files -----------------------------------------------------------------------------------------------------------


def over(connection: Connection) -> list[bytes]:
    """Blobs of which some row has gone, and whose file no other has a use for."""
    rows = sql(connection, "SELECT hash FROM attachments_over")
    return [bytes(row.hash) for row in rows if not is_used(connection, bytes(row.hash))]


def are_over(connection: Connection, blobs: Iterable[bytes]) -> None:
    """Their files have gone."""
    sql_many(connection, "DELETE FROM attachments_over WHERE hash = ?", [(blob,) for blob in blobs])


def is_used(connection: Connection, blob: bytes) -> bool:
    """Whether some row has a use for the file of that blob."""
    row = sql(
        connection,
        "SELECT EXISTS (SELECT 1 FROM attachments_out WHERE hash = :hash AND state <> 'dropped')"
        " OR EXISTS (SELECT 1 FROM attachments_in WHERE hash = :hash AND state IN ('wanted', 'kept')) AS used",
        hash=blob,
    ).one()
    return bool(row.used)


def waiting(connection: Connection) -> tuple[int, int]:
    """How many blobs wait to go to the hub, and to be fetched."""
    row = sql(
        connection,
        "SELECT (SELECT count(*) FROM attachments_out a"  # noqa: S608 - fixed words
        f" WHERE a.state = 'waiting' AND {_NEEDED}) AS out,"
        " (SELECT count(*) FROM attachments_in WHERE state = 'wanted') AS come",
    ).one()
    return row.out, row.come


def _dump(one: Attachment) -> bytes:
    return orjson.dumps(one.to_json())


def _leaving(row: Any, cipher: LocalCipher) -> Leaving:  # noqa: ANN401 - a row of any columns
    facts = cipher.open(_OUT, f"{row.message_n}/{row.place}", bytes(row.facts))
    attachment = Attachment.from_json(orjson.loads(facts))
    return Leaving(row.message_n, row.place, attachment, row.size, row.state, row.sent, row.code)


def _come(row: Any, cipher: LocalCipher) -> Come:  # noqa: ANN401 - a row of any columns
    env = bytes(row.env)
    facts = cipher.open(_IN, f"{env.hex()}/{row.place}", bytes(row.facts))
    attachment = Attachment.from_json(orjson.loads(facts))
    return Come(env, row.place, row.sender, attachment, row.size, row.state, row.code, row.tries)
