"""Owns the table of constituents: whom this member serves, with their assets and mailboxes, sealed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import orjson
from sqlalchemy import Connection

from exchange.node.store.store import sql
from exchange.storage.local_cipher import LocalCipher

MOST: Final = 5_000
_COLUMN: Final = "constituents.facts"


@dataclass(frozen=True, slots=True)
class Constituent:
    """What it is called here; its prefixes, AS numbers and domain names; where mail for it goes."""

    name: str
    assets: tuple[str, ...]
    mail: tuple[str, ...] = ()


def listed(connection: Connection, cipher: LocalCipher) -> list[Constituent]:
    """All of them, by name. They are few, and no column tells which is which."""
    rows = sql(connection, "SELECT n, facts FROM constituents")
    return sorted((_read(cipher, row.n, bytes(row.facts)) for row in rows), key=lambda one: one.name)


def put(connection: Connection, cipher: LocalCipher, constituent: Constituent) -> bool:
    """Keep it in place of one of the same name; False where MOST are there already."""
    remove(connection, cipher, constituent.name)
    if int(sql(connection, "SELECT count(*) AS total FROM constituents").one().total) >= MOST:
        return False
    n = int(sql(connection, "INSERT INTO constituents (facts) VALUES (x'') RETURNING n").one().n)
    facts = cipher.seal(_COLUMN, str(n), orjson.dumps(asdict(constituent)))
    sql(connection, "UPDATE constituents SET facts = :facts WHERE n = :n", facts=facts, n=n)
    return True


def remove(connection: Connection, cipher: LocalCipher, name: str) -> bool:
    """Forget the one of that name; whether there was one."""
    rows = sql(connection, "SELECT n, facts FROM constituents").all()
    found = [row.n for row in rows if _read(cipher, row.n, bytes(row.facts)).name == name]
    for n in found:
        sql(connection, "DELETE FROM constituents WHERE n = :n", n=n)
    return bool(found)


def _read(cipher: LocalCipher, n: int, facts: bytes) -> Constituent:
    value = orjson.loads(cipher.open(_COLUMN, str(n), facts))
    return Constituent(value["name"], tuple(value["assets"]), tuple(value["mail"]))
