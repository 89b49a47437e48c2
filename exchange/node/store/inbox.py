"""Owns the inbox tables: messages received, and the items that are held, came hurt or went to quarantine.

Which of them an item becomes is inbox.py's business; links and gaps are store/links.py's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from exchange.header import LANES
from exchange.node.store.erasing import known_payloads
from exchange.node.store.notices import UNVERIFIED
from exchange.node.store.store import looked_up, sql, sql_many
from exchange.storage.local_cipher import LocalCipher

VOIDED: Final = "voided"  # the mark of mail that its sender has taken back
FORK: Final = "fork"  # of mail in a place of its sender's chain where something else stands
# The marks under which nothing goes to a machine, and whoever hands it on is told (docs/policy.md).
DOUBTS: Final = frozenset((UNVERIFIED, VOIDED, FORK))
MAX_FOUND: Final = 4  # messages of one sender under one id
_IN_LISTS: Final = (
    "n, sender, message_id, type, lane, created, expires, received_at, marks, conflict, env, NULL AS payload,"
    " summary, opened_at, answered, answered_at"
)


@dataclass(frozen=True)
class Received:
    """A message as it came. Times in ms; `marks`: late, clock, restarted, fork, voided, unverified, newer, directory.

    `conflict`: the sender used this id for another payload before. `summary`: what lists show.
    `answered`: the level of people's newest answer, "" for none.
    """

    n: int
    sender: str
    message_id: str
    type: str
    lane: str
    created: int
    expires: int
    received_at: int
    marks: frozenset[str]
    conflict: bool
    env: bytes
    payload: bytes
    summary: dict[str, Any]
    opened_at: int | None = None
    answered: str = ""
    answered_at: int | None = None


@dataclass(frozen=True)
class Seen:
    """Which of some envelopes have a receipt, which came hurt, which (env, sender) the sender has declared void, and
    why.
    """

    receipted: set[bytes]
    hurt: set[bytes]
    void: dict[tuple[bytes, str], str]


@dataclass(frozen=True)
class HeldItem:
    """An item that waits for a longer directory, and since when (ms)."""

    n: int
    type: int
    payload: bytes
    code: str
    since: int


@dataclass(frozen=True)
class DamagedItem:
    """An item that came hurt: its id (or hash), the code, how often it came so, since when and when to ask again."""

    key: bytes
    code: str
    tries: int
    since: int
    retry_at: int


@dataclass(frozen=True)
class Quarantined:
    """An envelope set aside: its sender made a fault under its signature. Its bytes stay in the table, as evidence."""

    env: bytes
    sender: str
    code: str
    at: int


def seen(connection: Connection, envs: Sequence[bytes]) -> Seen:
    """What is known here of envelopes that come; one look-up for them all."""
    rows = looked_up(
        connection,
        "WITH wanted(env) AS {keys}"
        " SELECT 'receipted', env, '', '' FROM wanted JOIN owed USING (env)"
        " UNION ALL SELECT 'hurt', wanted.env, '', '' FROM wanted JOIN damaged ON damaged.key = wanted.env"
        " UNION ALL SELECT 'void', env, voids_in.sender, why FROM wanted JOIN voids_in USING (env)",
        [(env,) for env in envs],
    )
    return Seen(
        receipted={env for what, env, _, _ in rows if what == "receipted"},
        hurt={env for what, env, _, _ in rows if what == "hurt"},
        void={(env, sender): why for what, env, sender, why in rows if what == "void"},
    )


def is_here(connection: Connection, sender: str, message_id: str) -> bool:
    """Whether something of `sender` under that id is in the inbox."""
    row = sql(
        connection,
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE message_id = :id AND sender = :sender) AS here",
        id=message_id,
        sender=sender,
    ).one()
    return bool(row.here)


def known_hashes(
    connection: Connection, names: Sequence[tuple[str, str]]
) -> defaultdict[tuple[str, str], set[bytes]]:
    """Payload hashes by (sender, message id) of what came under these before, also of what was erased since."""
    known = defaultdict[tuple[str, str], set[bytes]](set)
    rows = looked_up(
        connection,
        "SELECT sender, message_id, payload_hash FROM {keys} CROSS JOIN inbox"
        " ON message_id = column2 AND sender = column1",
        names,
    )
    for sender, message_id, payload_hash in rows:
        known[sender, message_id].add(payload_hash)
    for name, payload_hash in known_payloads(connection, names):
        known[name].add(payload_hash)
    return known


def add(connection: Connection, cipher: LocalCipher, messages: Iterable[tuple[Received, bytes]]) -> None:
    """Keep messages, each with its payload's hash, as the next rows (`Received.n` is not looked at)."""
    sql_many(
        connection,
        "INSERT INTO inbox (sender, message_id, type, lane, created, expires, received_at, marks, conflict, env,"
        " payload_hash, payload, summary, supersedes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (_row(cipher, message, payload_hash) for message, payload_hash in messages),
    )


def _row(cipher: LocalCipher, message: Received, payload_hash: bytes) -> tuple[Any, ...]:
    row_id = message.env.hex()
    return (
        message.sender,
        message.message_id,
        message.type,
        LANES.index(message.lane),
        message.created,
        message.expires,
        message.received_at,
        " ".join(sorted(message.marks)),
        int(message.conflict),
        message.env,
        payload_hash,
        cipher.seal("inbox.payload", row_id, message.payload),
        cipher.seal("inbox.summary", row_id, orjson.dumps(message.summary)),
        message.summary["supersedes"] or "" if "supersedes" in message.summary else None,
    )


def has(connection: Connection, message_id: str) -> bool:
    """Whether anything was received under that id."""
    found = sql(connection, "SELECT EXISTS (SELECT 1 FROM inbox WHERE message_id = :id) AS it", id=message_id)
    return bool(found.one().it)


def find(connection: Connection, cipher: LocalCipher, message_id: str) -> list[Received]:
    """What was received under that id, whoever sent it, oldest first; more than one is a conflict or two senders.

    Of each sender the first MAX_FOUND: a message may have 10 MB, and whoever likes can send more under one id.
    """
    rows = sql(
        connection,
        "SELECT * FROM inbox WHERE n IN (SELECT n FROM (SELECT n, row_number() OVER (PARTITION BY sender ORDER BY n)"
        " AS place FROM inbox WHERE message_id = :id) WHERE place <= :limit) ORDER BY n",
        id=message_id,
        limit=MAX_FOUND,
    )
    return [_received(row, cipher) for row in rows]


def listed(
    connection: Connection, cipher: LocalCipher, *, before: int | None, limit: int, unopened: bool = False
) -> list[Received]:
    """Messages people read, newest first, from row `before` (exclusive) down; without payload, which may be 10 MB."""
    rows = sql(
        connection,
        f"SELECT {_IN_LISTS} FROM inbox"  # noqa: S608 - our own columns
        " WHERE (:before IS NULL OR n < :before) AND (:unopened = 0 OR opened_at IS NULL)"
        " ORDER BY n DESC LIMIT :limit",
        before=before,
        limit=limit,
        unopened=int(unopened),
    )
    return [_received(row, cipher) for row in rows]


def arrived(connection: Connection, cipher: LocalCipher, *, after: int, limit: int) -> list[Received]:
    """Messages people read, oldest first, of rows past `after`."""
    rows = sql(
        connection, "SELECT * FROM inbox WHERE n > :after ORDER BY n LIMIT :limit", after=after, limit=limit
    )
    return [_received(row, cipher) for row in rows]


def arrived_heads(connection: Connection, cipher: LocalCipher, *, after: int, limit: int) -> list[Received]:
    """As `arrived`, without what they say."""
    rows = sql(
        connection,
        f"SELECT {_IN_LISTS} FROM inbox WHERE n > :after ORDER BY n LIMIT :limit",  # noqa: S608 - fixed words
        after=after,
        limit=limit,
    )
    return [_received(row, cipher) for row in rows]


def payload(connection: Connection, cipher: LocalCipher, n: int) -> bytes:
    """What the message of row `n` says."""
    row = sql(connection, "SELECT env, payload FROM inbox WHERE n = :n", n=n).one()
    return cipher.open("inbox.payload", bytes(row.env).hex(), bytes(row.payload))


def count_unopened(connection: Connection) -> int:
    """Messages nobody has opened."""
    row = sql(connection, "SELECT count(*) AS unopened FROM inbox WHERE opened_at IS NULL").one()
    return int(row.unopened)


def set_opened(connection: Connection, n: int, *, at: int) -> bool:
    """A person has seen it; whether for the first time."""
    changed = sql(
        connection, "UPDATE inbox SET opened_at = :at WHERE n = :n AND opened_at IS NULL", at=at, n=n
    )
    return changed.rowcount == 1


def set_answered(connection: Connection, n: int, level: str, *, at: int) -> None:
    """A person has answered it with a status."""
    sql(
        connection,
        "UPDATE inbox SET answered = :level, answered_at = :at WHERE n = :n",
        level=level,
        at=at,
        n=n,
    )


def hold(connection: Connection, key: bytes, type_: int, payload: bytes, code: str, *, now: int) -> None:
    """Keep an item until the directory knows more."""
    sql(
        connection,
        "INSERT INTO held (key, type, payload, code, since) VALUES (:key, :type, :payload, :code, :now)"
        " ON CONFLICT (key) DO UPDATE SET code = excluded.code",
        key=key,
        type=type_,
        payload=payload,
        code=code,
        now=now,
    )


def held_bytes(connection: Connection) -> int:
    """How much waits."""
    return int(sql(connection, "SELECT coalesce(sum(length(payload)), 0) AS total FROM held").one().total)


def held(connection: Connection, *, after: int, limit: int) -> list[HeldItem]:
    """Items that wait, oldest first, of rows past `after`."""
    rows = sql(
        connection, "SELECT * FROM held WHERE n > :after ORDER BY n LIMIT :limit", after=after, limit=limit
    )
    return [HeldItem(row.n, row.type, bytes(row.payload), row.code, row.since) for row in rows]


def release(connection: Connection, key: bytes) -> None:
    """The item waits no longer, if it did."""
    sql(connection, "DELETE FROM held WHERE key = :key", key=key)


def count_damaged(
    connection: Connection, key: bytes, code: str, detail: str, *, now: int, retry_at: int
) -> int:
    """Note that an item came hurt; how often by now."""
    return int(
        sql(
            connection,
            "INSERT INTO damaged VALUES (:key, :code, :detail, 1, :now, :retry_at) ON CONFLICT (key) DO UPDATE SET"
            " tries = tries + 1, code = excluded.code, detail = excluded.detail, retry_at = excluded.retry_at"
            " RETURNING tries",
            key=key,
            code=code,
            detail=detail,
            now=now,
            retry_at=retry_at,
        )
        .one()
        .tries
    )


def set_retry(connection: Connection, key: bytes, retry_at: int) -> None:
    """When to ask for the hurt item again, ms."""
    sql(connection, "UPDATE damaged SET retry_at = :at WHERE key = :key", at=retry_at, key=key)


def heal(connection: Connection, key: bytes) -> None:
    """The item came whole."""
    sql(connection, "DELETE FROM damaged WHERE key = :key", key=key)


def forget_damaged(connection: Connection, seen: Iterable[DamagedItem]) -> None:
    """Those of `seen` that have not come hurt once more since: the hub has them no longer under that name."""
    for one in seen:
        sql(
            connection,
            "DELETE FROM damaged WHERE key = :key AND tries = :tries",
            key=one.key,
            tries=one.tries,
        )


def count_all_damaged(connection: Connection) -> int:
    """How many items have come hurt and not yet whole."""
    return int(sql(connection, "SELECT count(*) AS total FROM damaged").one().total)


def damaged(connection: Connection) -> list[DamagedItem]:
    """What came hurt and not yet whole, oldest first."""
    rows = sql(connection, "SELECT * FROM damaged ORDER BY since LIMIT 1000")
    return [DamagedItem(bytes(row.key), row.code, row.tries, row.since, row.retry_at) for row in rows]


def quarantine(connection: Connection, row: Quarantined, payload: bytes) -> None:
    """Set bytes aside; once per envelope."""
    sql(
        connection,
        "INSERT INTO quarantine VALUES (:env, :sender, :code, :at, :payload) ON CONFLICT (env) DO NOTHING",
        env=row.env,
        sender=row.sender,
        code=row.code,
        at=row.at,
        payload=payload,
    )


def quarantined(connection: Connection, *, limit: int = 1_000) -> list[Quarantined]:
    """What was set aside, newest first."""
    rows = sql(
        connection, "SELECT env, sender, code, at FROM quarantine ORDER BY at DESC LIMIT :limit", limit=limit
    )
    return [Quarantined(bytes(row.env), row.sender, row.code, row.at) for row in rows]


def _received(row: Any, cipher: LocalCipher) -> Received:  # noqa: ANN401 - a row of any columns
    row_id = bytes(row.env).hex()
    return Received(
        n=row.n,
        sender=row.sender,
        message_id=row.message_id,
        type=row.type,
        lane=LANES[row.lane],
        created=row.created,
        expires=row.expires,
        received_at=row.received_at,
        marks=frozenset(row.marks.split()),
        conflict=bool(row.conflict),
        env=bytes(row.env),
        payload=b"" if row.payload is None else cipher.open("inbox.payload", row_id, bytes(row.payload)),
        summary=orjson.loads(cipher.open("inbox.summary", row_id, bytes(row.summary))),
        opened_at=row.opened_at,
        answered=row.answered,
        answered_at=row.answered_at,
    )
