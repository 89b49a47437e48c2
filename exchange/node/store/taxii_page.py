"""How the TAXII collections are asked for pages of objects, and what is deleted from them.

Owns what TAXII's filters mean in SQL (TAXII 2.1 §3.4). The tables are store/taxii.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from exchange.formats.taxii import Head, to_timestamp
from exchange.node.store.store import sql
from exchange.node.store.taxii import Keys
from exchange.storage.local_cipher import LocalCipher

MOST_REFUSED: Final = 256  # told with one page
PAGE_BYTES: Final = 4 * 1024 * 1024  # of objects in a page, beyond the first


@dataclass(frozen=True, slots=True)
class Query:
    """Which objects: of these classes, added after a moment, and as TAXII's filters say. None: no such filter.

    `versions`: `last`, `first`, `all`, or microseconds. `specs` None: of each id the latest specification only.
    """

    classes: tuple[int, ...]
    after: int = -1
    ids: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    specs: tuple[int, ...] | None = None
    versions: tuple[str | int, ...] = ("last",)


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a page, of a class: its exact bytes, or in a manifest the id and version that it says."""

    added: int
    source: int
    class_n: int
    id: str
    version: str
    spec: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Rows by `added`, and whether more follow the last one."""

    rows: tuple[Row, ...]
    more: bool


def standing(connection: Connection, keys: Keys, head: Head, classes_: Sequence[int]) -> list[int]:
    """The hashes of the bytes that stand under the id and version of a head, in these classes, oldest first."""
    rows = sql(
        connection,
        "SELECT bytes_key FROM taxii_objects WHERE id_key = :id_key AND spec = :spec AND (:version IS NULL OR"  # noqa: S608 - numbers
        f" version = :version) AND class IN ({_numbers(classes_)}) ORDER BY added",
        id_key=keys.of(b"id", head.id.encode()),
        spec=head.spec,
        version=head.moment,
    )
    return [row.bytes_key for row in rows]


def page(
    connection: Connection, cipher: LocalCipher, keys: Keys, query: Query, *, limit: int, with_data: bool
) -> Page:
    """Up to `limit` objects in the order in which they were added, and within PAGE_BYTES."""
    where, values = _where(keys, query)
    found = sql(
        connection,
        "SELECT o.added, o.source, o.class AS class_n, o.spec, o.version, length(d.data) AS size FROM taxii_objects o"  # noqa: S608 - our own clauses
        f" JOIN taxii_data d ON d.added = o.added WHERE {where} ORDER BY o.added LIMIT :most",
        most=limit + 1,
        **values,
    ).all()
    chosen, size = found[:limit], 0
    for place, row in enumerate(chosen if with_data else ()):
        size += row.size
        if place and size > PAGE_BYTES:
            chosen = chosen[:place]
            break
    kept = _kept(connection, cipher, [row.added for row in chosen], with_data=with_data)
    rows = tuple(_row(row, kept[row.added], with_data=with_data) for row in chosen)
    return Page(rows, more=len(chosen) < len(found))


def has_id(connection: Connection, keys: Keys, query: Query) -> bool:
    """Whether any object of these ids is in these classes, whatever else the query asks."""
    ids = _numbers(keys.of(b"id", one.encode()) for one in query.ids or ())
    return (
        sql(
            connection,
            f"SELECT 1 FROM taxii_objects WHERE id_key IN ({ids}) AND class IN ({_numbers(query.classes)}) LIMIT 1",  # noqa: S608 - numbers
        ).first()
        is not None
    )


def delete(connection: Connection, keys: Keys, query: Query) -> int:
    """Delete what the query finds, with every repeat of it; how many."""
    where, values = _where(keys, query, repeats=True)
    found = sql(connection, f"SELECT o.added FROM taxii_objects o WHERE {where}", **values).all()  # noqa: S608 - our own clauses
    gone = _numbers(row.added for row in found)
    sql(connection, f"DELETE FROM taxii_data WHERE added IN ({gone})")  # noqa: S608 - numbers
    sql(connection, f"DELETE FROM taxii_objects WHERE added IN ({gone})")  # noqa: S608 - numbers
    return len(found)


def of_source(connection: Connection, cipher: LocalCipher, source: int) -> list[tuple[int, int, bytes]]:
    """Of every object of one source when it was added, its class and its bytes, in order."""
    rows = sql(
        connection,
        "SELECT d.added, o.class AS class_n, d.data FROM taxii_objects o JOIN taxii_data d ON d.added = o.added"
        " WHERE o.source = :source ORDER BY o.added",
        source=source,
    )
    return [
        (row.added, row.class_n, cipher.open("taxii_data.data", str(row.added), bytes(row.data)))
        for row in rows
    ]


def refused(
    connection: Connection, keys: Keys, query: Query, *, access: int, upto: int | None, beyond: int = 0
) -> list[tuple[int, int]]:
    """Messages with objects of the query's classes in its stretch up to a moment, of which the access log doesn't say
    yet that this right of entry was refused them: source, and one of these classes, by source from `beyond` on."""
    ids = (
        ""
        if query.ids is None
        else f"o.id_key IN ({_numbers(keys.of(b'id', one.encode()) for one in query.ids)}) AND "
    )
    rows = sql(
        connection,
        f"SELECT o.source, min(o.class) AS class FROM taxii_objects o WHERE {ids}o.class IN ({_numbers(query.classes)})"  # noqa: S608 - numbers
        " AND o.source > :beyond AND o.added > :after AND (:upto IS NULL OR o.added <= :upto) AND NOT EXISTS"
        " (SELECT 1 FROM taxii_given WHERE access = :access AND source = o.source AND allowed = 0)"
        " GROUP BY o.source ORDER BY o.source LIMIT :most",
        beyond=beyond,
        after=query.after,
        upto=upto,
        access=access,
        most=MOST_REFUSED,
    )
    return [(row.source, row[1]) for row in rows]


def given(connection: Connection, access: int, sources: Iterable[int]) -> dict[int, int]:
    """Under which labels this right of entry was given something of each of these messages, as the newest `set_given`
    noted them; 0 for nothing yet. What was erased is left out.
    """
    rows = sql(
        connection,
        "SELECT n, (SELECT max(allowed) FROM taxii_given WHERE access = :access AND source = inbox.n) AS labels"  # noqa: S608 - numbers
        f" FROM inbox WHERE n IN ({_numbers(sources)})",
        access=access,
    )
    return {row.n: row.labels or 0 for row in rows}


def set_given(connection: Connection, access: int, source: int, *, allowed: int) -> str:
    """Note that it is given, under labels as a number above 0 that only grows, or refused, which is 0.

    Sender and id of the message the first time, "" when that is noted already and once the message is erased.
    """
    found = sql(connection, "SELECT sender, message_id FROM inbox WHERE n = :n", n=source).first()
    new = sql(
        connection,
        "INSERT INTO taxii_given VALUES (:access, :source, :allowed) ON CONFLICT DO NOTHING",
        access=access,
        source=source,
        allowed=allowed,
    ).rowcount
    return f"{found.sender} {found.message_id}" if found is not None and new else ""


def _where(keys: Keys, query: Query, *, repeats: bool = False) -> tuple[str, dict[str, Any]]:
    """The conditions on `taxii_objects o`. Of repeats of a version the first counts, unless all are asked for.

    Other bytes that members sent under the same id and version are no repeat: nobody's object hides another's. But
    of 1970, which is nobody's version, they are (store/taxii.others).
    """
    seen = f"e.id_key = o.id_key AND e.class IN ({_numbers(query.classes)})"
    clauses = [f"o.class IN ({_numbers(query.classes)})", "o.added > :after"]
    if query.ids is not None:
        clauses.append(f"o.id_key IN ({_numbers(keys.of(b'id', one.encode()) for one in query.ids)})")
    if query.types is not None:
        clauses.append(f"o.type_key IN ({_numbers(keys.of(b'type', one.encode()) for one in query.types)})")
    if query.specs is not None:
        clauses.append(f"o.spec IN ({_numbers(query.specs)})")
    elif not repeats:
        clauses.append(_none(f"{seen} AND e.spec > o.spec"))
    if not repeats:
        alike = "e.bytes_key = o.bytes_key OR o.version = 0 OR o.source < 0"
        same = f"e.spec = o.spec AND e.version = o.version AND ({alike})"
        clauses.append(_none(f"{seen} AND {same} AND e.added < o.added"))
    if "all" not in query.versions:
        exact = [one for one in query.versions if isinstance(one, int)]
        either = [f"o.version IN ({_numbers(exact)})"] if exact else []
        if "last" in query.versions:
            either.append(_none(f"{seen} AND e.spec = o.spec AND e.version > o.version"))
        if "first" in query.versions:
            either.append(_none(f"{seen} AND e.spec = o.spec AND e.version < o.version"))
        clauses.append(f"({' OR '.join(either)})")
    return " AND ".join(clauses), {"after": query.after}


def _none(condition: str) -> str:
    return f"NOT EXISTS (SELECT 1 FROM taxii_objects e WHERE {condition})"  # noqa: S608 - our own clauses


def _kept(
    connection: Connection, cipher: LocalCipher, moments: Sequence[int], *, with_data: bool
) -> dict[int, bytes]:
    """The bytes, or the heads, of the objects added at these moments."""
    column = "data" if with_data else "head"
    rows = sql(
        connection,
        f"SELECT added, {column} AS sealed FROM taxii_data WHERE added IN ({_numbers(moments)})",  # noqa: S608 - numbers
    )
    kind = f"taxii_data.{column}"
    return {row.added: cipher.open(kind, str(row.added), bytes(row.sealed)) for row in rows}


def _row(row: Any, kept: bytes, *, with_data: bool) -> Row:  # noqa: ANN401 - a row of any columns
    if with_data:
        return Row(row.added, row.source, row.class_n, "", "", row.spec, kept)
    id_, version = orjson.loads(kept)
    return Row(row.added, row.source, row.class_n, id_, version or to_timestamp(row.version), row.spec, b"")


def _numbers(values: Iterable[int]) -> str:
    """For `IN (...)`: numbers only, so nothing in it can be text."""
    return ", ".join(str(int(value)) for value in values)
