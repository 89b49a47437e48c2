"""Parts at rest in the hub: what members say of themselves beside the log (docs/protocol.md §9.13).

Owns this table's queries. Which parts the log names is registrar.py's to know; `secure_delete` clears what is dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert

from exchange.directory.contacts import Part
from exchange.hub.store.tables import parts

_OVERHEAD: Final = 256  # bytes of an item beside the part's own

_PUT = upsert(parts).on_conflict_do_nothing(index_elements=["hash"])
_DROP = delete(parts).where(parts.c.hash == bindparam("which"))


@dataclass(frozen=True)
class Numbered:
    """A part with the number of its arrival."""

    n: int
    part: Part


def put_parts(connection: Connection, new: Mapping[bytes, Part]) -> None:
    """Keep parts, by hash; one that is here stays under its number."""
    rows = [
        {
            "hash": digest,
            "address": part.address,
            "level": part.level,
            "salt": part.salt,
            "body": part.body,
        }
        for digest, part in new.items()
    ]
    if rows:
        connection.execute(_PUT, rows)


def drop_parts(connection: Connection, hashes: Collection[bytes]) -> None:
    """Erase parts with their salts."""
    if hashes:
        connection.execute(_DROP, [{"which": one} for one in hashes])


def part_hashes(connection: Connection) -> set[bytes]:
    """Of every part that is here."""
    return set(connection.execute(select(parts.c.hash)).scalars())


def parts_size(connection: Connection, member: str, without: Collection[bytes]) -> int:
    """Bytes of the parts of a member and its addresses, but for those with the hashes `without`."""
    own = or_(parts.c.address == member, parts.c.address.startswith(f"{member}/", autoescape=True))
    size = select(func.coalesce(func.sum(func.length(parts.c.body)), 0)).where(
        own, parts.c.hash.not_in(without)
    )
    return int(connection.execute(size).scalar_one())


def parts_by_hash(connection: Connection, hashes: Collection[bytes]) -> list[Part]:
    """Those of the parts with these hashes that are here."""
    found = connection.execute(select(parts).where(parts.c.hash.in_(hashes)))
    return [Part(row.address, row.level, row.salt, row.body) for row in found]


def parts_after(connection: Connection, n: int, *, most: int) -> list[Numbered]:
    """Parts numbered above `n` in order: at least one if there is any, else as many as fit in `most` bytes."""
    sizes = connection.execute(
        select(parts.c.n, func.length(parts.c.body).label("size"))
        .where(parts.c.n > n)
        .order_by(parts.c.n)
        .limit(most // _OVERHEAD)
    ).all()
    last, room = n, most
    for row in sizes:
        room -= row.size + _OVERHEAD
        if room < 0 and last > n:
            break
        last = row.n
    found = connection.execute(select(parts).where(parts.c.n > n, parts.c.n <= last).order_by(parts.c.n))
    return [Numbered(row.n, Part(row.address, row.level, row.salt, row.body)) for row in found]
