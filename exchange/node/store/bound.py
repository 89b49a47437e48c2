"""Owns what feeds' words do to the objects that members sent: they stand in the TAXII collections under both.

The strictest label that a thing said by any door counts, and it doesn't go back to where a feed had it from. A feed's
floor says nothing of what a member sent. Each object keeps the class that it has by its message alone: what a feed says
counts as long as the feed brings the thing (docs/feeds.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from exchange import pap as permissions
from exchange.node.store import taxii as rows
from exchange.node.store.store import sql
from exchange.node.store.taxii import Facts, Keys
from exchange.pap import Pap
from exchange.storage.local_cipher import LocalCipher
from exchange.tlp import Tlp, strictest

# Types that say how others are to be read, and tell nothing of their own.
FREE: Final = ("marking-definition", "extension-definition")


@dataclass(frozen=True, slots=True)
class Said:
    """What feeds say of a thing: the label and permission that it carries itself, the readers here it came from."""

    tlp: Tlp | None = None
    pap: Pap | None = None
    doors: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, tlp: Tlp | None, pap: Pap | None, feeds: Iterable[int], readers: Mapping[int, frozenset[str]]
    ) -> Said:
        """Of one that came by `feeds`, the same system as each reading under the names in `readers`."""
        return cls(tlp, pap, frozenset(name for feed in feeds for name in readers.get(feed, ())))


def bound(facts: Facts, said: Said) -> Facts:
    """The facts of a member's object, with what feeds say of it too."""
    return replace(
        facts,
        tlp=facts.tlp if said.tlp is None else strictest([facts.tlp, said.tlp]),
        pap=permissions.strictest(one for one in (facts.pap, said.pap) if one is not None),
        doors=tuple(sorted(said.doors)),
    )


def rebind(connection: Connection, cipher: LocalCipher, keys: Keys, thing: int, said: Said) -> None:
    """Feeds say this of a thing now: what members sent of it gets its classes."""
    found = sql(
        connection,
        "SELECT DISTINCT own_class AS n FROM taxii_objects WHERE thing_key = :thing AND source > 0",
        thing=thing,
    ).all()
    for row in found:
        facts = bound(rows.facts_of(connection, cipher, row.n), said)
        sql(
            connection,
            "UPDATE taxii_objects SET class = :now WHERE thing_key = :thing AND source > 0 AND own_class = :own",
            now=rows.class_of(connection, cipher, keys, facts),
            thing=thing,
            own=row.n,
        )
