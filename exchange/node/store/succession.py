"""Owns what a change of hub leaves behind in the node's store: the leaves that were cut off, and the change itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import Connection

from exchange.directory.statements import Statement
from exchange.node.store.store import fact, set_fact, sql

CHANGE: Final = "hub.change"  # the change of hub that this node goes by, as signed
MOVED: Final = "hub.moved"  # hash of the change that config.toml follows


@dataclass(frozen=True)
class CutLeaf:
    """A leaf of a former hub that is no longer in the log; `n` is its number here."""

    n: int
    leaf: bytes


def cut(connection: Connection, size: int) -> None:
    """Put the leaves from index `size` on aside."""
    sql(
        connection,
        "INSERT INTO cut_leaves (idx, leaf, code, open) SELECT idx, leaf, code, 1 FROM leaves"
        " WHERE idx >= :size ORDER BY idx",
        size=size,
    )
    sql(connection, "DELETE FROM leaves WHERE idx >= :size", size=size)


def open_cut(connection: Connection) -> list[CutLeaf]:
    """Leaves that were cut off and that nobody has looked at since, in their order."""
    rows = sql(connection, "SELECT n, leaf FROM cut_leaves WHERE open = 1 ORDER BY n")
    return [CutLeaf(row.n, bytes(row.leaf)) for row in rows]


def close_cut(connection: Connection, n: int) -> None:
    """Its statement is in the log again, never will be, or is another's to submit."""
    sql(connection, "UPDATE cut_leaves SET open = 0 WHERE n = :n", n=n)


def change(connection: Connection) -> Statement | None:
    """The change of hub that this node goes by, None while the genesis' hub serves."""
    stored = fact(connection, CHANGE)
    return None if stored is None else Statement.from_json(orjson.loads(stored))


def set_change(connection: Connection, statement: Statement) -> None:
    """From now on the node goes by this change of hub."""
    set_fact(connection, CHANGE, orjson.dumps(statement.to_json()))


def moved(connection: Connection) -> bytes:
    """Hash of the change that config.toml follows; empty at first."""
    return fact(connection, MOVED) or b""


def set_moved(connection: Connection, digest: bytes) -> None:
    """config.toml follows that change now."""
    set_fact(connection, MOVED, digest)
