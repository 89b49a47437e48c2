"""Owns the table of decisions that something from outside may go on: by a person on one thing, by rule on a feed's.

A person decides on what is there: a version that comes later, or a stricter label, wants a new decision. A rule holds
for all that a feed brings up to a label; what came by several feeds needs a rule of each.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from exchange.node.store.store import sql
from exchange.storage.local_cipher import LocalCipher
from exchange.tlp import Tlp, strictest


@dataclass(frozen=True, slots=True)
class Rule:
    """All of a feed may go on up to a label: since when (ms), by whom, why."""

    n: int
    feed: int
    upto: Tlp
    why: str
    at: int
    by: str


def is_decided(connection: Connection, thing_key: int, feeds: tuple[int, ...], tlp: Tlp, newest: int) -> bool:
    """Whether a thing with that label, those feeds and that newest version may go on."""
    found = sql(
        connection,
        "SELECT upto, upto_n FROM outside_decisions WHERE thing_key = :key AND ended_at IS NULL",
        key=thing_key,
    )
    if any(row.upto_n >= newest and _covers(Tlp(row.upto), tlp) for row in found):
        return True
    return bool(feeds) and all(_has_rule(connection, feed, tlp) for feed in feeds)


def decide(
    connection: Connection,
    cipher: LocalCipher,
    why: str,
    *,
    thing_key: int,
    made_on: int,
    newest: int,
    upto: Tlp,
    now: int,
    who: str,
) -> int:
    """Somebody says that a thing may go on, up to that version and label; the decision's number.

    `made_on`: the thing that it was said of, which this one is, or which refers to it.
    """
    values = {"thing_key": thing_key, "made_on": made_on, "upto_n": newest, "feed": None}
    return _add(connection, cipher, why, values, upto=upto, now=now, who=who)


def add_rule(
    connection: Connection, cipher: LocalCipher, why: str, *, feed: int, upto: Tlp, now: int, who: str
) -> int:
    """Somebody says that all of a feed may go on, up to a label; the rule's number."""
    values = {"thing_key": None, "made_on": None, "upto_n": None, "feed": feed}
    return _add(connection, cipher, why, values, upto=upto, now=now, who=who)


def end_rules(connection: Connection, feed: int, *, now: int) -> int:
    """Take back the rules of a feed; how many."""
    return sql(
        connection,
        "UPDATE outside_decisions SET ended_at = :now WHERE ended_at IS NULL AND feed = :feed",
        now=now,
        feed=feed,
    ).rowcount


def end_made_on(connection: Connection, thing_key: int, *, now: int) -> int:
    """Take back all that was decided on a thing, and on those that were decided on by saying so of it; how many."""
    return sql(
        connection,
        "UPDATE outside_decisions SET ended_at = :now WHERE ended_at IS NULL AND thing_key IN"
        " (SELECT :key UNION SELECT thing_key FROM outside_decisions WHERE made_on = :key AND ended_at IS NULL)",
        now=now,
        key=thing_key,
    ).rowcount


def rules(connection: Connection, cipher: LocalCipher, feed: int) -> list[Rule]:
    """Those of a feed that stand, oldest first."""
    found = sql(
        connection,
        "SELECT * FROM outside_decisions WHERE feed = :feed AND ended_at IS NULL ORDER BY n",
        feed=feed,
    )
    return [
        Rule(
            n=row.n,
            feed=row.feed,
            upto=Tlp(row.upto),
            why=cipher.open("outside_decisions.why", str(row.n), bytes(row.why)).decode("utf-8"),
            at=row.at,
            by=row.by,
        )
        for row in found
    ]


def _has_rule(connection: Connection, feed: int, tlp: Tlp) -> bool:
    found = sql(
        connection, "SELECT upto FROM outside_decisions WHERE feed = :feed AND ended_at IS NULL", feed=feed
    )
    return any(_covers(Tlp(row.upto), tlp) for row in found)


def _covers(upto: Tlp, tlp: Tlp) -> bool:
    return strictest([upto, tlp]) is upto


def _add(
    connection: Connection,
    cipher: LocalCipher,
    why: str,
    values: dict[str, int | None],
    *,
    upto: Tlp,
    now: int,
    who: str,
) -> int:
    row = sql(
        connection,
        "INSERT INTO outside_decisions (thing_key, made_on, upto_n, feed, upto, why, at, by)"
        " VALUES (:thing_key, :made_on, :upto_n, :feed, :upto, x'', :now, :who) RETURNING n",
        **values,
        upto=upto.value,
        now=now,
        who=who,
    ).one()
    sealed = cipher.seal("outside_decisions.why", str(row.n), why.encode("utf-8"))
    sql(connection, "UPDATE outside_decisions SET why = :why WHERE n = :n", why=sealed, n=row.n)
    return int(row.n)
