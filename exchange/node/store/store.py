"""Owns a node's database: how it is opened, its single values and its alarms. The other nouns lie beside it.

    store = open_store(home, local_key, owner=True)
    await store.db.write(lambda c: store_outbox.add(c, store.cipher, message, now=now))

Store functions take the transaction's connection, return dataclasses and hold no rules. Does not know the network.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import Connection

from exchange.errors import ExchangeError
from exchange.storage.database import Database
from exchange.storage.local_cipher import LocalCipher

Transaction: TypeAlias = Connection  # services name what they are handed without seeing the library
MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"
MAX_ALARMS_SHOWN: Final = 1_000


@dataclass(frozen=True)
class Store:
    """An open database and the cipher of its content columns."""

    db: Database
    cipher: LocalCipher


@dataclass(frozen=True)
class Alarm:
    """What a person must be told: when (ms), its code, whom or what it is about, bytes that prove it."""

    at: int
    code: str
    subject: str
    evidence: bytes


def open_store(
    path: Path,
    local_key: bytes,
    *,
    owner: bool,
    on_broken: Callable[[ExchangeError], None] | None = None,
) -> Store:
    """Open `node.db`; `owner` says that the caller holds the home's lock. Raises as `Database.open`."""
    db = Database.open(path, migrations=MIGRATIONS, app="node", owner=owner, on_broken=on_broken)
    return Store(db, LocalCipher(local_key))


class Rows:
    """What a statement gave: rows with their columns as attributes, read once; how many rows it changed."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all())

    def all(self) -> list[Any]:
        """Every row."""
        rows = self._cursor.fetchall()
        return list(map(self._shape(), rows)) if rows else rows

    def first(self) -> Any:  # noqa: ANN401 - a row of any columns
        """The first row, None when there is none; what comes after it isn't read."""
        row = self._cursor.fetchone()
        shaped = None if row is None else self._shape()(row)
        self._cursor.close()
        return shaped

    def one(self) -> Any:  # noqa: ANN401 - a row of any columns
        """The row of a statement that always gives one."""
        row = self.first()
        if row is None:
            raise LookupError("the statement gave no row")
        return row

    @property
    def rowcount(self) -> int:
        """How many rows it inserted, updated or deleted."""
        return self._cursor.rowcount

    def _shape(self) -> Callable[[tuple[Any, ...]], Any]:
        return _shape(tuple(map(itemgetter(0), self._cursor.description)))


@lru_cache(maxsize=512)
def _shape(columns: tuple[str, ...]) -> Callable[[tuple[Any, ...]], Any]:
    row = namedtuple("Row", columns, rename=True)  # type: ignore[misc] # known when it runs
    return row._make


def driver(connection: Connection) -> sqlite3.Connection:
    """SQLite's own connection of the open transaction."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def sql(connection: Connection, statement: str, **values: Any) -> Rows:
    """Run one statement with named values (`:name`) in the open transaction.

    On the driver: what SQLAlchemy does for a statement costs five times what SQLite does (docs/decisions/0041).
    """
    return Rows(driver(connection).execute(statement, values))


def sql_many(connection: Connection, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    """Run one statement that gives no rows for each of `rows`, its values in order (`?`)."""
    driver(connection).executemany(statement, rows)


def looked_up(connection: Connection, statement: str, keys: Sequence[Sequence[Any]]) -> list[Any]:
    """The rows of a statement whose `{keys}` is a table with these rows, of columns column1, column2...

    One look-up for many keys. The table is filled up with NULLs, which equal nothing, to a power of two of rows: so
    there are few different statements, and each is compiled once.
    """
    if not keys:
        return []
    width, count = len(keys[0]), 1 << (len(keys) - 1).bit_length()
    table = ",".join(["(" + ",".join("?" * width) + ")"] * count)
    values = [value for key in keys for value in key] + [None] * (width * (count - len(keys)))
    return driver(connection).execute(statement.format(keys=f"(VALUES {table})"), values).fetchall()


def fact(connection: Connection, name: str) -> bytes | None:
    """A single value, None when it was never set."""
    row = sql(connection, "SELECT value FROM facts WHERE name = :name", name=name).first()
    return None if row is None else bytes(row.value)


def number(connection: Connection, name: str) -> int:
    """A single value that is a number; 0 when it was never set."""
    value = fact(connection, name)
    return 0 if value is None else int(value)


def set_fact(connection: Connection, name: str, value: bytes | int | str) -> None:
    """Set a single value; numbers and texts as ASCII."""
    data = value if isinstance(value, bytes) else str(value).encode("ascii")
    sql(
        connection,
        "INSERT INTO facts VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name=name,
        value=data,
    )


def raise_alarm(
    connection: Connection, *, key: str, at: int, code: str, subject: str, evidence: bytes = b""
) -> bool:
    """Note an alarm once per `key`; whether it is new."""
    return (
        sql(
            connection,
            "INSERT INTO alarms (key, at, code, subject, evidence) VALUES (:key, :at, :code, :subject, :evidence)"
            " ON CONFLICT (key) DO NOTHING",
            key=key,
            at=at,
            code=code,
            subject=subject,
            evidence=evidence,
        ).rowcount
        == 1
    )


def count_alarms(connection: Connection, beginning: str) -> int:
    """How many alarms have a key that begins so."""
    query = "SELECT count(*) FROM alarms WHERE substr(key, 1, :n) = :it"
    return int(sql(connection, query, n=len(beginning), it=beginning).one()[0])


def forget_alarms(connection: Connection, beginning: str) -> None:
    """Drop the alarms whose key begins so."""
    sql(connection, "DELETE FROM alarms WHERE substr(key, 1, :n) = :it", n=len(beginning), it=beginning)


def alarms(connection: Connection, *, limit: int = MAX_ALARMS_SHOWN) -> list[Alarm]:
    """The newest alarms, newest first."""
    rows = sql(connection, "SELECT * FROM alarms ORDER BY n DESC LIMIT :limit", limit=limit)
    return [Alarm(row.at, row.code, row.subject, bytes(row.evidence)) for row in rows]
