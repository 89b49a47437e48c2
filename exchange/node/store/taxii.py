"""Owns the tables of the TAXII collections: objects with their date of adding, what decides who may have them, sources.

`added` is TAXII's date_added: unique microseconds that only grow, given in the transaction that adds. Which messages
are added when is `collections`' business; how they are asked for stands in store/taxii_page.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from exchange.formats.taxii import Head
from exchange.node.store.store import fact, looked_up, set_fact, sql
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
    `by`: of a draft, the name of the right of entry that posted it.
    """

    kind: str
    sender: str
    tlp: Tlp
    pap: Pap | None
    exercise_id: str | None
    draft: bool = False
    outside: bool = False
    doors: tuple[str, ...] = ()
    by: str = ""


_NAMES: Final = tuple(each.name for each in fields(Facts))


@dataclass(frozen=True, slots=True)
class Item:
    """An object to add: what TAXII knows of it, its class, its bytes. Of what members sent: as which thing feeds may
    speak of it too (store/outside.key_of, 0: as none), and the class that it has if they say nothing."""

    head: Head
    class_n: int
    data: bytes
    thing: int | None = None
    own_class: int | None = None


@dataclass(frozen=True, slots=True)
class Other:
    """An object by when it was added, and the class that it has by its message alone."""

    added: int
    class_n: int


@dataclass(frozen=True, slots=True)
class Unseen:
    """An object of which it isn't known as which thing feeds speak of it: when it was added, its class, its id."""

    added: int
    class_n: int
    id: str


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


def facts_of(connection: Connection, cipher: LocalCipher, n: int) -> Facts:
    """What objects of a class have in common."""
    row = sql(connection, "SELECT facts_key, facts FROM taxii_classes WHERE n = :n", n=n).one()
    return _facts(cipher.open("taxii_classes.facts", bytes(row.facts_key).hex(), bytes(row.facts)))


def class_of(connection: Connection, cipher: LocalCipher, keys: Keys, facts: Facts) -> int:
    """The number of a class, which is made where there is none."""
    value = {name: getattr(facts, name) for name in _NAMES}
    value |= {"tlp": facts.tlp.value, "pap": None if facts.pap is None else facts.pap.value}
    for name in ("outside", "doors"):  # as it was before there were feeds, so that it stays the same class
        if not value[name] and not facts.outside:
            del value[name]
    if not facts.by:
        del value["by"]
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    key = keys.digest(b"class", data)
    found = sql(connection, "SELECT n FROM taxii_classes WHERE facts_key = :key", key=key).first()
    if found is not None:
        return int(found.n)
    sealed = cipher.seal("taxii_classes.facts", key.hex(), data)
    made = "INSERT INTO taxii_classes (facts_key, facts) VALUES (:key, :facts) RETURNING n"
    return int(sql(connection, made, key=key, facts=sealed).one().n)


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


def count_left(connection: Connection) -> int:
    """Messages that are still to be added."""
    left = "SELECT count(*) AS it FROM inbox WHERE n >= :n AND type = 'stix'"
    return int(sql(connection, left, n=cursor(connection)[0]).first().it)


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


def replace(connection: Connection, keys: Keys, sender: str, message_id: str, *, by: int) -> None:
    """Row `by` of inbox takes the place of that message of the same sender, whether it is here or comes after it:
    as long as that row isn't in doubt (a trigger on its marks, migration 0006)."""
    key = _message_key(keys, sender, message_id)
    sql(connection, "INSERT INTO taxii_replaced VALUES (:key, :by) ON CONFLICT DO NOTHING", key=key, by=by)
    earlier = "SELECT n FROM inbox WHERE message_id = :id AND sender = :sender AND type = 'stix' AND n < :by"
    for row in sql(connection, earlier, id=message_id, sender=sender, by=by).all():
        set_aside(connection, keys, sender, message_id, row.n)
        drop_source(connection, row.n)


def set_aside(connection: Connection, keys: Keys, sender: str, message_id: str, n: int) -> None:
    """Row `n` of inbox is to be added again once nothing replaces that message any more."""
    sql(
        connection,
        "INSERT INTO taxii_aside VALUES (:n, :key, NULL) ON CONFLICT (n) DO UPDATE SET done = NULL",
        n=n,
        key=_message_key(keys, sender, message_id),
    )


def next_again(connection: Connection) -> tuple[int, int] | None:
    """A row of inbox that was replaced and no longer is, and how many of its objects have been added again."""
    row = sql(connection, "SELECT n, done FROM taxii_aside WHERE done IS NOT NULL ORDER BY n LIMIT 1").first()
    return None if row is None else (row.n, row.done)


def set_again(connection: Connection, n: int, done: int | None) -> None:
    """How far that one is; None at its end. Nothing where it was replaced once more meanwhile."""
    if done is None:
        sql(connection, "DELETE FROM taxii_aside WHERE n = :n AND done IS NOT NULL", n=n)
    else:
        sql(
            connection,
            "UPDATE taxii_aside SET done = :done WHERE n = :n AND done IS NOT NULL",
            n=n,
            done=done,
        )


def is_replaced(connection: Connection, keys: Keys, sender: str, message_id: str) -> bool:
    """Whether a later message has taken its place."""
    key = _message_key(keys, sender, message_id)
    return bool(
        sql(
            connection, "SELECT EXISTS (SELECT 1 FROM taxii_replaced WHERE message_key = :key) AS it", key=key
        )
        .one()
        .it
    )


def _message_key(keys: Keys, sender: str, message_id: str) -> bytes:
    return keys.digest(b"replaced", f"{sender}\0{message_id}".encode())


def is_due(connection: Connection, *, now: int) -> bool:
    """Whether a message waits to be added, a source has ended, or objects are here that nobody has looked at since an
    older version added them."""
    n, _ = cursor(connection)
    row = sql(
        connection,
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE n >= :n AND type = 'stix')"
        " OR EXISTS (SELECT 1 FROM taxii_sources WHERE ends <= :now)"
        " OR EXISTS (SELECT 1 FROM taxii_aside WHERE done IS NOT NULL)"
        " OR EXISTS (SELECT 1 FROM taxii_objects WHERE source > 0 AND thing_key IS NULL) AS due",
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
            "INSERT INTO taxii_objects (added, source, class, spec, version, id_key, type_key, bytes_key,"
            " thing_key, own_class)"
            " VALUES (:added, :source, :class, :spec, :version, :id_key, :type_key, :bytes_key, :thing, :own_class)",
            **{"class": item.class_n},
            added=newest,
            source=source,
            spec=item.head.spec,
            version=version,
            id_key=id_key,
            type_key=keys.of(b"type", item.head.type.encode()),
            bytes_key=bytes_key,
            thing=item.thing,
            own_class=item.own_class,
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


def others(connection: Connection, keys: Keys, items: Iterable[Item]) -> list[tuple[Item, Other]]:
    """Those of these that came first with other bytes from a member, under their id and version, each with that one.

    1970 is nobody's version: galaxies and organisations of MISP have it, as each of its events tells of them.
    """
    named = {
        (keys.of(b"id", item.head.id.encode()), item.head.spec, item.head.moment): item
        for item in items
        if item.head.moment
    }
    found = looked_up(
        connection,
        "SELECT column1, column2, column3, o.bytes_key, o.added, coalesce(o.own_class, o.class) FROM {keys}"
        " JOIN taxii_objects o ON o.added = (SELECT added FROM taxii_objects WHERE id_key = column1 AND spec = column2"
        " AND version = column3 AND source > 0 ORDER BY added LIMIT 1)",
        list(named),
    )
    pairs = ((named[id_key, spec, version], row) for id_key, spec, version, *row in found)
    return [
        (item, Other(added, class_n))
        for item, (bytes_key, added, class_n) in pairs
        if bytes_key != keys.of(b"bytes", item.data)
    ]


def data_of(connection: Connection, cipher: LocalCipher, added: int) -> bytes:
    """The bytes of the object added then."""
    row = sql(connection, "SELECT data FROM taxii_data WHERE added = :added", added=added).one()
    return cipher.open("taxii_data.data", str(added), bytes(row.data))


def unseen(connection: Connection, cipher: LocalCipher, *, limit: int) -> list[Unseen]:
    """Objects of members that an older version added, which didn't ask what feeds say of them."""
    found = sql(
        connection,
        "SELECT o.added, o.class AS class_n, d.head FROM taxii_objects o JOIN taxii_data d ON d.added = o.added"
        " WHERE o.source > 0 AND o.thing_key IS NULL ORDER BY o.added LIMIT :most",
        most=limit,
    ).all()
    return [
        Unseen(
            row.added,
            row.class_n,
            orjson.loads(cipher.open("taxii_data.head", str(row.added), bytes(row.head)))[0],
        )
        for row in found
    ]


def set_thing(connection: Connection, added: int, thing: int, class_n: int) -> None:
    """As which thing feeds may speak of it, and the class that it has by that; the one that it had is its own."""
    sql(
        connection,
        "UPDATE taxii_objects SET thing_key = :thing, own_class = class, class = :class_n WHERE added = :added",
        thing=thing,
        class_n=class_n,
        added=added,
    )


def set_class(connection: Connection, added: int, class_n: int) -> None:
    """The object added then is of that class now."""
    sql(connection, "UPDATE taxii_objects SET class = :n WHERE added = :added", n=class_n, added=added)


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
