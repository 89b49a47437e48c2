"""Owns the tables of who brought what from outside: by feed the things, what it said of each, and their versions.

What a feed said counts as long as it brings the thing. That a thing has the strictest label of all, and what becomes of
versions that nobody brings any more, is store/outside.py's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from exchange import pap as permissions
from exchange.node.store.store import sql
from exchange.pap import Pap
from exchange.tlp import Tlp, strictest


@dataclass(frozen=True, slots=True)
class Labels:
    """`tlp`: how a thing is to be treated; `said`: the label that an object of it carries itself, if any."""

    tlp: Tlp
    said: Tlp | None
    pap: Pap | None


def merged(labels: Iterable[Labels]) -> Labels:
    """The strictest of each; of one at least."""
    found = list(labels)
    said = [one.said for one in found if one.said is not None]
    return Labels(
        tlp=strictest(one.tlp for one in found),
        said=strictest(said) if said else None,
        pap=permissions.strictest(one.pap for one in found if one.pap is not None),
    )


def bring(connection: Connection, thing_key: int, feed: int, labels: Labels, *, now: int) -> None:
    """The feed has brought a thing once more, now in ms, with these labels."""
    before = _labels(connection, thing_key).get(feed)
    said = labels if before is None else merged([before, labels])
    sql(
        connection,
        "INSERT INTO outside_origins (thing_key, feed, at, tlp, said, pap)"
        " VALUES (:key, :feed, :now, :tlp, :said, :pap) ON CONFLICT (thing_key, feed)"
        " DO UPDATE SET at = excluded.at, tlp = excluded.tlp, said = excluded.said, pap = excluded.pap",
        key=thing_key,
        feed=feed,
        now=now,
        tlp=said.tlp.value,
        said=None if said.said is None else said.said.value,
        pap=None if said.pap is None else said.pap.value,
    )


def bring_version(connection: Connection, n: int, feed: int) -> None:
    """The feed has brought that version of a thing."""
    sql(
        connection,
        "INSERT INTO outside_bringers VALUES (:n, :feed) ON CONFLICT (version_n, feed) DO NOTHING",
        n=n,
        feed=feed,
    )


def feeds(connection: Connection, thing_key: int) -> tuple[int, ...]:
    """Which ones a thing came by."""
    found = sql(
        connection, "SELECT feed FROM outside_origins WHERE thing_key = :key ORDER BY feed", key=thing_key
    )
    return tuple(row.feed for row in found)


def feeds_of_version(connection: Connection, n: int) -> tuple[int, ...]:
    """Which ones brought that version of a thing."""
    found = sql(connection, "SELECT feed FROM outside_bringers WHERE version_n = :n ORDER BY feed", n=n)
    return tuple(row.feed for row in found)


def labels(connection: Connection, thing_key: int) -> Labels:
    """The strictest that the feeds it came by say of a thing; of one feed at least."""
    return merged(_labels(connection, thing_key).values())


def due(connection: Connection, feed: int, *, before: int, limit: int) -> list[int]:
    """Things that the feed has not brought since then (ms)."""
    found = sql(
        connection,
        "SELECT thing_key FROM outside_origins WHERE feed = :feed AND at < :before LIMIT :most",
        feed=feed,
        before=before,
        most=limit,
    )
    return [row.thing_key for row in found]


def let_go(connection: Connection, thing_key: int, feed: int) -> list[int]:
    """The feed brings a thing no longer; `added` of the versions that none other has brought."""
    sql(
        connection,
        "DELETE FROM outside_origins WHERE thing_key = :key AND feed = :feed",
        key=thing_key,
        feed=feed,
    )
    sql(
        connection,
        "DELETE FROM outside_bringers WHERE feed = :feed AND version_n IN"
        " (SELECT n FROM outside_objects WHERE thing_key = :key)",
        key=thing_key,
        feed=feed,
    )
    found = sql(
        connection,
        "SELECT added FROM outside_objects o WHERE thing_key = :key"
        " AND NOT EXISTS (SELECT 1 FROM outside_bringers WHERE version_n = o.n)",
        key=thing_key,
    )
    return [row.added for row in found]


def counts(connection: Connection) -> dict[int, int]:
    """How many things each feed has brought that are still here."""
    found = sql(connection, "SELECT feed, count(*) AS total FROM outside_origins GROUP BY feed")
    return {row.feed: row.total for row in found}


def count(connection: Connection, feed: int) -> int:
    """How many things one has brought that are still here."""
    row = sql(connection, "SELECT count(*) AS total FROM outside_origins WHERE feed = :feed", feed=feed).one()
    return int(row.total)


def _labels(connection: Connection, thing_key: int) -> dict[int, Labels]:
    found = sql(
        connection, "SELECT feed, tlp, said, pap FROM outside_origins WHERE thing_key = :key", key=thing_key
    )
    return {
        row.feed: Labels(
            tlp=Tlp(row.tlp),
            said=None if row.said is None else Tlp(row.said),
            pap=None if row.pap is None else Pap(row.pap),
        )
        for row in found
    }
