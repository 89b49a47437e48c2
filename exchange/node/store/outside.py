"""Owns the tables of what came from outside: things by UUID, their versions, the feeds they came by.

A thing is one UUID, through however many feeds. Its label is the strictest that any of its versions had through any of
them, and never grows weaker here. The bytes stand with the objects of the TAXII collections (store/taxii.py), what
people decided in store/decisions.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from exchange import pap as permissions
from exchange.formats.taxii import Head
from exchange.node.store import decisions as store_decisions, feeds as store_feeds, taxii as rows
from exchange.node.store.store import number, set_fact, sql
from exchange.node.store.taxii import Facts, Item, Keys
from exchange.pap import Pap
from exchange.storage.local_cipher import LocalCipher
from exchange.tlp import Tlp, strictest

KIND: Final = "outside"
SOURCE: Final = -(1 << 62)  # of the collections' objects that came from outside
MOST_VERSIONS: Final = 100  # of a thing; the oldest go
MOST_EXPIRED: Final = 256  # in one transaction
_BATCH: Final = 256  # read at once by a search
_CHANGES: Final = "outside.changes"  # how often labels or origins of things have changed


@dataclass(frozen=True, slots=True)
class Brought:
    """An object as a feed brought it. `tlp`: its label; `said`: the one that it carries itself, if any."""

    head: Head
    tlp: Tlp
    said: Tlp | None
    pap: Pap | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Thing:
    """What is known of a UUID. `versions`: the number of the newest; `feeds`: which ones it came by.

    `decided`: somebody has said that it may go on as it is now.
    """

    key: int
    tlp: Tlp
    said: Tlp | None
    pap: Pap | None
    feeds: tuple[int, ...]
    newest: int
    decided: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A version: its number, when it came (microseconds), what it is."""

    n: int
    added: int
    id: str
    version: str
    data: bytes
    thing: Thing


def key_of(keys: Keys, id_: str) -> int:
    """By which a thing is known: its UUID, whatever type it has at whichever feed."""
    return keys.of(b"thing", (id_.rpartition("--")[2] or id_).lower().encode())


def keep(
    connection: Connection,
    cipher: LocalCipher,
    keys: Keys,
    feed: int,
    brought: Sequence[Brought],
    *,
    now: int,
) -> int:
    """Keep what a feed brought, now in ms; how many versions are new here. Repeats change nothing but that."""
    names, readers = store_feeds.names(connection), store_feeds.readers(connection)
    classes = dict[Facts, int]()
    new, changed = 0, False
    for one in brought:
        key = key_of(keys, one.head.id)
        before = _thing(connection, key)
        sql(
            connection,
            "INSERT INTO outside_origins VALUES (:key, :feed, :now) ON CONFLICT (thing_key, feed)"
            " DO UPDATE SET at = excluded.at",
            key=key,
            feed=feed,
            now=now,
        )
        thing = _merged(before, one, key, feed)
        if before is None or (thing.tlp, thing.said, thing.pap) != (before.tlp, before.said, before.pap):
            _set_labels(connection, thing)
        changed = changed or before != thing
        facts = _facts(thing, names, readers)
        if facts not in classes:
            classes[facts] = rows.class_of(connection, cipher, keys, facts)
        if before is not None and _facts(before, names, readers) != facts:
            _set_class(connection, key, classes[facts])
        new += _add_version(connection, cipher, keys, key, Item(one.head, classes[facts], one.data), now=now)
    if changed:
        _note_change(connection)
    return new


def changes(connection: Connection) -> int:
    """A number that is another one whenever labels or origins of things are others."""
    return number(connection, _CHANGES)


def _note_change(connection: Connection) -> None:
    set_fact(connection, _CHANGES, changes(connection) + 1)


def is_empty(connection: Connection) -> bool:
    """Whether nothing from outside is here."""
    return sql(connection, "SELECT 1 FROM outside_things LIMIT 1").first() is None


def things(connection: Connection, keys: Keys, ids: Iterable[str]) -> dict[str, Thing]:
    """What is known of these ids of STIX objects; the others are left out."""
    found = {id_: _thing(connection, key_of(keys, id_)) for id_ in ids}
    return {id_: thing for id_, thing in found.items() if thing is not None}


def of_feed(
    connection: Connection,
    cipher: LocalCipher,
    feed: int,
    *,
    type_: str = "",
    text: str = "",
    limit: int,
) -> list[Listed]:
    """Versions of what a feed brought, newest first; of one type, and with a text anywhere in them, if given."""
    found: list[Listed] = []
    for one in _walk(connection, cipher, feed):
        if type_ and not one.id.startswith(f"{type_}--"):
            continue
        if text and text.lower() not in one.data.decode("utf-8", "replace").lower():
            continue
        found.append(one)
        if len(found) >= limit:
            break
    return found


def definitions(
    connection: Connection, cipher: LocalCipher, keys: Keys, feed: int, ids: Iterable[str]
) -> list[bytes]:
    """Every version of those of the things that this feed has brought."""
    found = (one for id_ in ids for one in versions(connection, cipher, keys, id_))
    return [one.data for one in found if feed in one.thing.feeds]


def versions(connection: Connection, cipher: LocalCipher, keys: Keys, id_: str) -> list[Listed]:
    """Every version of a thing, oldest first; none where nothing from outside has that id."""
    thing = _thing(connection, key_of(keys, id_))
    if thing is None:
        return []
    found = sql(
        connection,
        "SELECT n, added FROM outside_objects WHERE thing_key = :key ORDER BY n",
        key=thing.key,
    ).all()
    return [_listed(connection, cipher, row, thing) for row in found]


def counts(connection: Connection) -> dict[int, int]:
    """How many things each feed has brought that are still here."""
    found = sql(connection, "SELECT feed, count(*) AS total FROM outside_origins GROUP BY feed")
    return {row.feed: row.total for row in found}


def count(connection: Connection, feed: int) -> int:
    """How many things one has brought that are still here."""
    row = sql(connection, "SELECT count(*) AS total FROM outside_origins WHERE feed = :feed", feed=feed).one()
    return int(row.total)


def expire(connection: Connection, feed: int, *, before: int) -> bool:
    """Let go what the feed has not brought since; what came by no other feed is deleted. Whether there is more."""
    found = sql(
        connection,
        "SELECT thing_key FROM outside_origins WHERE feed = :feed AND at < :before LIMIT :most",
        feed=feed,
        before=before,
        most=MOST_EXPIRED,
    ).all()
    for row in found:
        key = row.thing_key
        sql(
            connection,
            "DELETE FROM outside_origins WHERE thing_key = :key AND feed = :feed",
            key=key,
            feed=feed,
        )
        if _feeds(connection, key):
            continue
        _delete_versions(connection, key, keep=0)
        for table in ("outside_things", "outside_decisions"):
            sql(connection, f"DELETE FROM {table} WHERE thing_key = :key", key=key)  # noqa: S608 - our own names
    if found:
        _note_change(connection)
    return len(found) == MOST_EXPIRED


# -- one thing ------------------------------------------------------------------------------------------------------


def _thing(connection: Connection, key: int) -> Thing | None:
    row = sql(connection, "SELECT * FROM outside_things WHERE thing_key = :key", key=key).first()
    if row is None:
        return None
    newest = sql(connection, "SELECT max(n) AS n FROM outside_objects WHERE thing_key = :key", key=key).one()
    feeds, tlp = _feeds(connection, key), Tlp(row.tlp)
    return Thing(
        key=key,
        tlp=tlp,
        said=None if row.said is None else Tlp(row.said),
        pap=None if row.pap is None else Pap(row.pap),
        feeds=feeds,
        newest=newest.n or 0,
        decided=store_decisions.is_decided(connection, key, feeds, tlp, newest.n or 0),
    )


def _feeds(connection: Connection, key: int) -> tuple[int, ...]:
    found = sql(connection, "SELECT feed FROM outside_origins WHERE thing_key = :key ORDER BY feed", key=key)
    return tuple(row.feed for row in found)


def _merged(before: Thing | None, one: Brought, key: int, feed: int) -> Thing:
    if before is None:
        return Thing(key, one.tlp, one.said, one.pap, (feed,), 0, decided=False)
    said = [label for label in (before.said, one.said) if label is not None]
    return Thing(
        key=key,
        tlp=strictest([before.tlp, one.tlp]),
        said=strictest(said) if said else None,
        pap=permissions.strictest(label for label in (before.pap, one.pap) if label is not None),
        feeds=tuple(sorted({*before.feeds, feed})),
        newest=before.newest,
        decided=before.decided,
    )


def _facts(thing: Thing, names: Mapping[int, str], readers: Mapping[int, frozenset[str]]) -> Facts:
    return Facts(
        kind=KIND,
        sender=", ".join(sorted({names[feed] for feed in thing.feeds})),
        tlp=thing.tlp,
        pap=thing.pap,
        exercise_id=None,
        outside=True,
        doors=tuple(sorted(frozenset[str]().union(*(readers[feed] for feed in thing.feeds)))),
    )


def _set_labels(connection: Connection, thing: Thing) -> None:
    sql(
        connection,
        "INSERT INTO outside_things VALUES (:key, :tlp, :said, :pap) ON CONFLICT (thing_key)"
        " DO UPDATE SET tlp = excluded.tlp, said = excluded.said, pap = excluded.pap",
        key=thing.key,
        tlp=thing.tlp.value,
        said=None if thing.said is None else thing.said.value,
        pap=None if thing.pap is None else thing.pap.value,
    )


def _set_class(connection: Connection, key: int, class_n: int) -> None:
    """All its versions are of the class that it has now."""
    sql(
        connection,
        "UPDATE taxii_objects SET class = :class_n WHERE added IN"
        " (SELECT added FROM outside_objects WHERE thing_key = :key)",
        class_n=class_n,
        key=key,
    )


def _add_version(
    connection: Connection, cipher: LocalCipher, keys: Keys, key: int, item: Item, *, now: int
) -> bool:
    bytes_key = keys.of(b"bytes", item.data)
    known = sql(
        connection,
        "SELECT 1 FROM outside_objects WHERE thing_key = :key AND bytes_key = :bytes_key",
        key=key,
        bytes_key=bytes_key,
    ).first()
    if known is not None:
        return False
    added = rows.add(connection, cipher, keys, SOURCE, [item], now=now)
    sql(
        connection,
        "INSERT INTO outside_objects (thing_key, bytes_key, added) VALUES (:key, :bytes_key, :added)",
        key=key,
        bytes_key=bytes_key,
        added=added,
    )
    _delete_versions(connection, key, keep=MOST_VERSIONS)
    return True


def _delete_versions(connection: Connection, key: int, *, keep: int) -> None:
    """All but the newest of a thing."""
    old = sql(
        connection,
        "SELECT added FROM outside_objects WHERE thing_key = :key ORDER BY n DESC LIMIT -1 OFFSET :keep",
        key=key,
        keep=keep,
    ).all()
    for row in old:
        for table in ("taxii_data", "taxii_objects", "outside_objects"):
            sql(connection, f"DELETE FROM {table} WHERE added = :added", added=row.added)  # noqa: S608 - our own names


# -- lists ----------------------------------------------------------------------------------------------------------


def _walk(connection: Connection, cipher: LocalCipher, feed: int) -> Iterator[Listed]:
    last: int = 1 << 62
    while True:
        found = sql(
            connection,
            "SELECT o.n, o.added, o.thing_key FROM outside_objects o JOIN outside_origins f"
            " ON f.thing_key = o.thing_key AND f.feed = :feed WHERE o.n < :last ORDER BY o.n DESC LIMIT :most",
            feed=feed,
            last=last,
            most=_BATCH,
        ).all()
        for row in found:
            thing = _thing(connection, row.thing_key)
            if thing is not None:
                yield _listed(connection, cipher, row, thing)
            last = row.n
        if len(found) < _BATCH:
            return


def _listed(connection: Connection, cipher: LocalCipher, row: Any, thing: Thing) -> Listed:  # noqa: ANN401 - a row of any columns
    name = str(row.added)
    kept = sql(connection, "SELECT head, data FROM taxii_data WHERE added = :added", added=row.added).one()
    id_, version = orjson.loads(cipher.open("taxii_data.head", name, bytes(kept.head)))
    data = cipher.open("taxii_data.data", name, bytes(kept.data))
    return Listed(row.n, row.added, id_, version, data, thing)
