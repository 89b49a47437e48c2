"""Owns the tables of the TAXII collections: objects with their date of adding, what decides who may have them, sources.

`added` is TAXII's date_added: unique microseconds that only grow, given in the transaction that adds. Which messages
are added when is `collections`' business; how they are asked for stands in store/taxii_page.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from exchange.formats.taxii import Head
from exchange.node.store.store import fact, set_fact, sql
from exchange.pap import Pap
from exchange.storage.local_cipher import LocalCipher
from exchange.tlp import Tlp

SECRET: Final = "taxii.secret"  # noqa: S105 - a name, no secret
CURSOR: Final = "taxii.cursor"  # of the inbox: which row is to be added next, and how many of its objects are
NEWEST: Final = "taxii.newest"  # the greatest `added` ever given
_DUE: Final = 256  # sources that end in one step


@dataclass(frozen=True, slots=True)
class Facts:
    """What objects have in common that decides who may have them, and in which collections they stand.

    `kind`, `sender`, `exercise_id`: of the message. `tlp`, `pap`: of the object. `draft`: posted here, by our own.
    `outside`: it came by feeds, `sender` being their names, `doors` the readers here that are where it came from.
    """

    kind: str
    sender: str
    tlp: Tlp
    pap: Pap | None
    exercise_id: str | None
    draft: bool = False
    outside: bool = False
    doors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """An object to add: what TAXII knows of it, its class, its bytes."""

    head: Head
    class_n: int
    data: bytes


class Keys:
    """Keyed hashes, as numbers for columns: equal values have equal ones, and nothing more can be read from them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, kind: bytes, value: bytes) -> int:
        """64 bits of one value."""
        return int.from_bytes(self.digest(kind, value)[:8], "big", signed=True)

    def digest(self, kind: bytes, value: bytes) -> bytes:
        """32 bytes of one value."""
        return blake2b(value, digest_size=32, key=self._secret, person=kind).digest()


def secret(connection: Connection, cipher: LocalCipher) -> bytes | None:
    """What hashes, ids of collections and cursors are keyed with; None before `ensure_secret`."""
    sealed = fact(connection, SECRET)
    return None if sealed is None else cipher.open("facts.value", SECRET, sealed)


def ensure_secret(connection: Connection, cipher: LocalCipher, fresh: bytes) -> Keys:
    """The keys of all hashes: as they are kept, or of `fresh` (32 random bytes) from now on."""
    found = secret(connection, cipher)
    if found is None:
        set_fact(connection, SECRET, cipher.seal("facts.value", SECRET, fresh))
    return Keys(fresh if found is None else found)


def classes(connection: Connection, cipher: LocalCipher, *, after: int = 0) -> dict[int, Facts]:
    """The classes past number `after`."""
    rows = sql(connection, "SELECT n, facts_key, facts FROM taxii_classes WHERE n > :after", after=after)
    return {
        row.n: _facts(cipher.open("taxii_classes.facts", bytes(row.facts_key).hex(), bytes(row.facts)))
        for row in rows
    }


def class_of(connection: Connection, cipher: LocalCipher, keys: Keys, facts: Facts) -> int:
    """The number of a class, which is made where there is none."""
    value = asdict(facts) | {"tlp": facts.tlp.value, "pap": None if facts.pap is None else facts.pap.value}
    if not facts.outside:  # as it was before there were feeds, so that it stays the same class
        del value["outside"], value["doors"]
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    key = keys.digest(b"class", data)
    sealed = cipher.seal("taxii_classes.facts", key.hex(), data)
    sql(
        connection,
        "INSERT INTO taxii_classes (facts_key, facts) VALUES (:key, :facts) ON CONFLICT (facts_key) DO NOTHING",
        key=key,
        facts=sealed,
    )
    return int(sql(connection, "SELECT n FROM taxii_classes WHERE facts_key = :key", key=key).one().n)


def cursor(connection: Connection) -> tuple[int, int]:
    """The row of inbox that is to be added next, at least, and how many of its objects have been."""
    value = fact(connection, CURSOR)
    n, _, done = (value or b"0 0").partition(b" ")
    return int(n), int(done)


def set_cursor(connection: Connection, n: int, done: int) -> None:
    """Go on there."""
    set_fact(connection, CURSOR, f"{n} {done}")


def next_received(connection: Connection, n: int) -> Any | None:  # noqa: ANN401 - a row of any columns
    """The first message that people read from row `n` of inbox on: its n, sender, message_id, marks."""
    return sql(
        connection,
        "SELECT n, sender, message_id, marks FROM inbox WHERE n >= :n AND type = 'stix' ORDER BY n LIMIT 1",
        n=n,
    ).first()


def add_source(connection: Connection, source: int, *, ends: int | None) -> None:
    """Where objects come from, and when they leave (ms); once."""
    sql(
        connection,
        "INSERT INTO taxii_sources VALUES (:source, :ends) ON CONFLICT (source) DO NOTHING",
        source=source,
        ends=ends,
    )


def has_source(connection: Connection, source: int) -> bool:
    """Whether it is there still."""
    return bool(
        sql(connection, "SELECT EXISTS (SELECT 1 FROM taxii_sources WHERE source = :s) AS it", s=source)
        .one()
        .it
    )


def drop_source(connection: Connection, source: int) -> None:
    """All its objects leave."""
    sql(connection, "DELETE FROM taxii_sources WHERE source = :source", source=source)


def replace(connection: Connection, keys: Keys, sender: str, message_id: str) -> None:
    """A later message of the sender takes that one's place, whether it is here already or comes after it."""
    key = keys.digest(b"replaced", f"{sender}\0{message_id}".encode())
    sql(connection, "INSERT INTO taxii_replaced VALUES (:key) ON CONFLICT DO NOTHING", key=key)
    sql(
        connection,
        "DELETE FROM taxii_sources WHERE source IN (SELECT n FROM inbox WHERE message_id = :id AND sender = :sender)",
        id=message_id,
        sender=sender,
    )


def is_replaced(connection: Connection, keys: Keys, sender: str, message_id: str) -> bool:
    """Whether a later message has taken its place."""
    key = keys.digest(b"replaced", f"{sender}\0{message_id}".encode())
    return bool(
        sql(
            connection, "SELECT EXISTS (SELECT 1 FROM taxii_replaced WHERE message_key = :key) AS it", key=key
        )
        .one()
        .it
    )


def is_due(connection: Connection, *, now: int) -> bool:
    """Whether a message waits to be added, or a source has ended."""
    n, _ = cursor(connection)
    row = sql(
        connection,
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE n >= :n AND type = 'stix')"
        " OR EXISTS (SELECT 1 FROM taxii_sources WHERE ends <= :now) AS due",
        n=n,
        now=now,
    ).one()
    return bool(row.due)


def end_due(connection: Connection, *, now: int) -> None:
    """Drop sources whose end has come."""
    rows = sql(
        connection, "SELECT source FROM taxii_sources WHERE ends <= :now LIMIT :most", now=now, most=_DUE
    ).all()
    for row in rows:
        drop_source(connection, row.source)


def add(
    connection: Connection, cipher: LocalCipher, keys: Keys, source: int, items: Iterable[Item], *, now: int
) -> int:
    """Add objects in order, each at a moment of its own after every one before; the last one's. `now` in ms."""
    newest = int(fact(connection, NEWEST) or 0)
    for item in items:
        newest = max(newest + 1, now * 1_000)
        id_key, bytes_key = keys.of(b"id", item.head.id.encode()), keys.of(b"bytes", item.data)
        version = item.head.moment
        if version is None:
            version = _same_bytes(connection, id_key, item.head.spec, bytes_key, newest)
        sql(
            connection,
            "INSERT INTO taxii_objects VALUES (:added, :source, :class, :spec, :version, :id_key, :type_key,"
            " :bytes_key)",
            **{"class": item.class_n},
            added=newest,
            source=source,
            spec=item.head.spec,
            version=version,
            id_key=id_key,
            type_key=keys.of(b"type", item.head.type.encode()),
            bytes_key=bytes_key,
        )
        head = orjson.dumps([item.head.id, item.head.version])
        sql(
            connection,
            "INSERT INTO taxii_data VALUES (:added, :head, :data)",
            added=newest,
            head=cipher.seal("taxii_data.head", str(newest), head),
            data=cipher.seal("taxii_data.data", str(newest), item.data),
        )
    set_fact(connection, NEWEST, newest)
    return newest


def _same_bytes(connection: Connection, id_key: int, spec: int, bytes_key: int, added: int) -> int:
    """The version of an object that says none: when these very bytes came first, so that repeats are one version."""
    row = sql(
        connection,
        "SELECT min(version) AS version FROM taxii_objects"
        " WHERE id_key = :id_key AND spec = :spec AND bytes_key = :bytes_key",
        id_key=id_key,
        spec=spec,
        bytes_key=bytes_key,
    ).one()
    return added if row.version is None else int(row.version)


def _facts(data: bytes) -> Facts:
    value = orjson.loads(data)
    pap = None if value["pap"] is None else Pap(value["pap"])
    doors = tuple(value.get("doors", ()))
    return Facts(**{**value, "tlp": Tlp(value["tlp"]), "pap": pap, "doors": doors})
