"""Owns the tables of what came from outside: things by UUID, and their versions.

A thing is one UUID, through however many feeds (store/bringers.py). Its label is the strictest that any of its versions
had through any of them, and grows no weaker as long as that feed brings the thing. The bytes stand with the objects of
the TAXII collections (store/taxii.py), what people decided in store/decisions.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from exchange.errors import Refused
from exchange.formats.taxii import Head
from exchange.node.store import (
    bringers as store_bringers,
    decisions as store_decisions,
    feeds as store_feeds,
    taxii as rows,
)
from exchange.node.store.bound import Said, rebind
from exchange.node.store.bringers import Labels
from exchange.node.store.store import number, set_fact, sql
from exchange.node.store.taxii import Facts, Item, Keys
from exchange.pap import Pap
from exchange.storage.local_cipher import LocalCipher
from exchange.tlp import Tlp

KIND: Final = "outside"
SOURCE: Final = -(1 << 62)  # of the collections' objects that came from outside
MOST_VERSIONS: Final = 100  # of a thing; the oldest go
MOST_EXPIRED: Final = 256  # in one transaction
EVER: Final = 1 << 62  # ms: whenever a feed brought it last
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
        store_bringers.bring(connection, key, feed, Labels(one.tlp, one.said, one.pap), now=now)
        thing = _merged(before, one, key, feed)
        if before is None or (thing.tlp, thing.said, thing.pap) != (before.tlp, before.said, before.pap):
            _set_labels(connection, thing)
        changed = changed or before != thing
        facts = _facts(thing, names, readers)
        if facts not in classes:
            classes[facts] = rows.class_of(connection, cipher, keys, facts)
        if before is not None and _facts(before, names, readers) != facts:
            _set_class(connection, key, classes[facts])
        if before != thing:
            rebind(connection, cipher, keys, key, Said.of(thing.said, thing.pap, thing.feeds, readers))
        version = _version(connection, key, keys.of(b"bytes", one.data))
        if version is None:
            item = Item(one.head, classes[facts], one.data)
            version, new = _add_version(connection, cipher, keys, key, item, now=now), new + 1
        store_bringers.bring_version(connection, version, feed)
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


def brought(
    connection: Connection, cipher: LocalCipher, keys: Keys, feed: int, ids: Iterable[str], *, most: int
) -> Iterator[bytes]:
    """Every version of these things that the feed has brought, one after the other; of a thing all of them or none.

    `most`: bytes of all, as they are kept; things that would go beyond it are left out.
    """
    for id_ in ids:
        found = sql(
            connection,
            "SELECT d.added, length(d.data) AS size FROM outside_objects o"
            " JOIN outside_bringers b ON b.version_n = o.n AND b.feed = :feed JOIN taxii_data d ON d.added = o.added"
            " WHERE o.thing_key = :key ORDER BY o.n",
            feed=feed,
            key=key_of(keys, id_),
        ).all()
        size = sum(row.size for row in found)
        if size <= most:
            most -= size
            for row in found:
                yield _data(connection, cipher, row.added)


def newest(connection: Connection, cipher: LocalCipher, keys: Keys, id_: str, *, most: int) -> Listed | None:
    """The newest version of a thing; None where nothing from outside has that id.

    Raises Refused feed.export-too-large: it has more than `most` bytes.
    """
    row = sql(
        connection,
        "SELECT o.n, o.added, length(d.data) AS size FROM outside_objects o JOIN taxii_data d ON d.added = o.added"
        " WHERE o.thing_key = :key ORDER BY o.n DESC LIMIT 1",
        key=key_of(keys, id_),
    ).first()
    thing = None if row is None else _thing(connection, key_of(keys, id_))
    if row is None or thing is None:
        return None
    if row.size > most:
        raise Refused("feed.export-too-large")
    return _listed(connection, cipher, row, thing)


def expire(connection: Connection, cipher: LocalCipher, feed: int, *, before: int) -> bool:
    """Let go what the feed has not brought since: versions that no other feed brought go, and what it said of the thing
    counts no more. Whether there is more."""
    secret = rows.secret(connection, cipher)
    found = store_bringers.due(connection, feed, before=before, limit=MOST_EXPIRED)
    if secret is None or not found:
        return False
    names, readers = store_feeds.names(connection), store_feeds.readers(connection)
    for key in found:
        _delete(connection, store_bringers.let_go(connection, key, feed))
        before_it = _thing(connection, key)
        if before_it is None or not before_it.feeds:
            _delete_versions(connection, key, keep=0)
            for table in ("outside_things", "outside_decisions"):
                sql(connection, f"DELETE FROM {table} WHERE thing_key = :key", key=key)  # noqa: S608 - our own names
            rebind(connection, cipher, Keys(secret), key, Said())
            continue
        labels = store_bringers.labels(connection, key)
        thing = replace(before_it, tlp=labels.tlp, said=labels.said, pap=labels.pap)
        _set_labels(connection, thing)
        facts = _facts(thing, names, readers)
        _set_class(connection, key, rows.class_of(connection, cipher, Keys(secret), facts))
        said = Said.of(thing.said, thing.pap, thing.feeds, readers)
        rebind(connection, cipher, Keys(secret), key, said)
    _note_change(connection)
    return len(found) == MOST_EXPIRED


# -- one thing ------------------------------------------------------------------------------------------------------


def _thing(connection: Connection, key: int) -> Thing | None:
    row = sql(connection, "SELECT * FROM outside_things WHERE thing_key = :key", key=key).first()
    if row is None:
        return None
    newest = sql(connection, "SELECT max(n) AS n FROM outside_objects WHERE thing_key = :key", key=key).one()
    feeds, tlp = store_bringers.feeds(connection, key), Tlp(row.tlp)
    return Thing(
        key=key,
        tlp=tlp,
        said=None if row.said is None else Tlp(row.said),
        pap=None if row.pap is None else Pap(row.pap),
        feeds=feeds,
        newest=newest.n or 0,
        decided=store_decisions.is_decided(connection, key, feeds, tlp, newest.n or 0),
    )


def _merged(before: Thing | None, one: Brought, key: int, feed: int) -> Thing:
    if before is None:
        return Thing(key, one.tlp, one.said, one.pap, (feed,), 0, decided=False)
    own = Labels(one.tlp, one.said, one.pap)
    labels = store_bringers.merged([Labels(before.tlp, before.said, before.pap), own])
    feeds = tuple(sorted({*before.feeds, feed}))
    return replace(before, tlp=labels.tlp, said=labels.said, pap=labels.pap, feeds=feeds)


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


def _version(connection: Connection, key: int, bytes_key: int) -> int | None:
    """The number of the version with these bytes."""
    known = sql(
        connection,
        "SELECT n FROM outside_objects WHERE thing_key = :key AND bytes_key = :bytes_key",
        key=key,
        bytes_key=bytes_key,
    ).first()
    return None if known is None else int(known.n)


def _add_version(
    connection: Connection, cipher: LocalCipher, keys: Keys, key: int, item: Item, *, now: int
) -> int:
    """The number of a version that is new here."""
    added = rows.add(connection, cipher, keys, SOURCE, [item], now=now)
    row = sql(
        connection,
        "INSERT INTO outside_objects (thing_key, bytes_key, added) VALUES (:key, :bytes_key, :added) RETURNING n",
        key=key,
        bytes_key=keys.of(b"bytes", item.data),
        added=added,
    ).one()
    _delete_versions(connection, key, keep=MOST_VERSIONS)
    return int(row.n)


def _delete_versions(connection: Connection, key: int, *, keep: int) -> None:
    """All but the newest of a thing."""
    old = sql(
        connection,
        "SELECT added FROM outside_objects WHERE thing_key = :key ORDER BY n DESC LIMIT -1 OFFSET :keep",
        key=key,
        keep=keep,
    ).all()
    _delete(connection, [row.added for row in old])


def _delete(connection: Connection, added: Iterable[int]) -> None:
    """Those versions."""
    for one in added:
        for table in ("taxii_data", "taxii_objects", "outside_objects"):
            sql(connection, f"DELETE FROM {table} WHERE added = :added", added=one)  # noqa: S608 - our own names


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
    kept = sql(connection, "SELECT head FROM taxii_data WHERE added = :added", added=row.added).one()
    id_, version = orjson.loads(cipher.open("taxii_data.head", str(row.added), bytes(kept.head)))
    return Listed(row.n, row.added, id_, version, _data(connection, cipher, row.added), thing)


def _data(connection: Connection, cipher: LocalCipher, added: int) -> bytes:
    kept = sql(connection, "SELECT data FROM taxii_data WHERE added = :added", added=added).one()
    return cipher.open("taxii_data.data", str(added), bytes(kept.data))
