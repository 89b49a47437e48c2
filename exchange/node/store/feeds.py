"""Owns the tables of feeds: which there are, where each goes on, how it does, what of it was not taken or carried.

What they brought stands in store/outside.py. When a feed is asked is feeds.py's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from exchange.canonical import Json, sha256
from exchange.feed_settings import FeedSettings
from exchange.formats.objects import Loss, SetAside
from exchange.node.store.store import sql, sql_many
from exchange.storage.local_cipher import LocalCipher

MOST: Final = 100  # that stand at once
MOST_REFUSED: Final = 1_000  # of one feed
MOST_DETAIL: Final = 300  # characters


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed and how it does. Times in ms. `failures`: in a row; `code`, `detail`: of the last one.

    `position`: where it goes on, in the words of its kind. `due_at`: when it is asked next.
    """

    n: int
    name: str
    settings: FeedSettings
    position: dict[str, Json]
    paused: bool
    created_at: int
    created_by: str
    removed_at: int | None
    due_at: int
    tried_at: int | None
    succeeded_at: int | None
    failures: int
    code: str
    detail: str

    @property
    def state(self) -> str:
        """In a word: paused, failing, new or well."""
        if self.paused:
            return "paused"
        if self.failures:
            return "failing"
        return "well" if self.succeeded_at else "new"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a feed brought and was not taken: when (ms), why."""

    at: int
    code: str
    object: str
    reason: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Feeds that stand, and of them those paused and failing; since when (ms) the one that did worst has not succeeded,
    0 for none; versions of objects ever taken from outside."""

    stand: int
    paused: int
    failing: int
    oldest: int
    taken: int


def add(
    connection: Connection,
    cipher: LocalCipher,
    name: str,
    settings: FeedSettings,
    credential: str,
    *,
    now: int,
    who: str,
) -> int | None:
    """Keep a feed, due at once; its number, None where the name is taken.

    One that is added again as it was, but for a credential or the like, is the same feed, and goes on where it was;
    not one that was forgotten: of that, a run may be under way still.
    """
    if find(connection, cipher, name) is not None:
        return None
    before = _same_before(connection, cipher, name, settings)
    n = _insert(connection, name, settings, now=now, who=who) if before is None else before.n
    sql(
        connection,
        "UPDATE feeds SET settings = :settings, credential = :credential, removed_at = NULL, paused = 0, failures = 0,"
        " code = '', detail = '', due_at = :now WHERE n = :n",
        settings=_sealed(cipher, n, settings),
        credential=cipher.seal("feeds.credential", str(n), credential.encode("utf-8")),
        now=now,
        n=n,
    )
    if before is None:
        set_position(connection, cipher, n, {})
    return n


def _same_before(
    connection: Connection, cipher: LocalCipher, name: str, settings: FeedSettings
) -> Feed | None:
    """The newest feed of that name that was removed, if it was of the same collection and has the same readers."""
    row = sql(connection, "SELECT * FROM feeds WHERE name = :name ORDER BY n DESC LIMIT 1", name=name).first()
    before = None if row is None else _feed(cipher, row)
    if before is None or not before.settings.keep:
        return None
    same = ("kind", "url", "collection", "readers")
    return before if all(getattr(before.settings, one) == getattr(settings, one) for one in same) else None


def _insert(connection: Connection, name: str, settings: FeedSettings, *, now: int, who: str) -> int:
    row = sql(
        connection,
        "INSERT INTO feeds (name, kind, readers, settings, credential, position, created_at, created_by, due_at)"
        " VALUES (:name, :kind, :readers, x'', x'', x'', :now, :who, :now) RETURNING n",
        name=name,
        kind=settings.kind.value,
        readers=" ".join(sorted({name, *settings.readers})),
        now=now,
        who=who,
    ).one()
    return int(row.n)


def listed(connection: Connection, cipher: LocalCipher, *, removed: bool = False) -> list[Feed]:
    """Those that stand, by name; with `removed` all that ever did."""
    rows = sql(
        connection, "SELECT * FROM feeds WHERE :all OR removed_at IS NULL ORDER BY name, n", all=removed
    )
    return [_feed(cipher, row) for row in rows]


def find(connection: Connection, cipher: LocalCipher, name: str) -> Feed | None:
    """The one of that name that stands."""
    row = sql(connection, "SELECT * FROM feeds WHERE name = :name AND removed_at IS NULL", name=name).first()
    return None if row is None else _feed(cipher, row)


def count(connection: Connection) -> int:
    """How many stand."""
    return int(sql(connection, "SELECT count(*) AS total FROM feeds WHERE removed_at IS NULL").one().total)


def figures(connection: Connection) -> Figures:
    """What operators watch; none of it takes longer because more has come."""
    row = sql(
        connection,
        "SELECT count(*) AS stand, coalesce(sum(paused), 0) AS paused,"
        " coalesce(sum(failures > 0 AND NOT paused), 0) AS failing,"
        " coalesce(min(CASE WHEN paused THEN NULL ELSE coalesce(succeeded_at, created_at) END), 0) AS oldest"
        " FROM feeds WHERE removed_at IS NULL",
    ).one()
    taken = sql(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'outside_objects'").first()
    return Figures(row.stand, row.paused, row.failing, row.oldest, 0 if taken is None else taken.seq)


def credential(connection: Connection, cipher: LocalCipher, n: int) -> str:
    """What is shown to its server; empty for none."""
    row = sql(connection, "SELECT credential FROM feeds WHERE n = :n", n=n).one()
    return cipher.open("feeds.credential", str(n), bytes(row.credential)).decode("utf-8")


def readers(connection: Connection) -> dict[int, frozenset[str]]:
    """By feed, also those removed: the names under which the same system reads here."""
    rows = sql(connection, "SELECT n, readers FROM feeds")
    return {row.n: frozenset(row.readers.split()) for row in rows}


def names(connection: Connection) -> dict[int, str]:
    """By feed, also those removed."""
    return {row.n: row.name for row in sql(connection, "SELECT n, name FROM feeds")}


def remove(
    connection: Connection, cipher: LocalCipher, feed: Feed, *, now: int, forget: bool = False
) -> None:
    """End a feed, and forget its credential; with `forget`, what it brought is kept no longer."""
    n = feed.n
    settings = replace(feed.settings, keep=0) if forget else feed.settings
    sql(
        connection,
        "UPDATE feeds SET removed_at = :now, credential = :nothing, settings = :settings WHERE n = :n",
        now=now,
        nothing=cipher.seal("feeds.credential", str(n), b""),
        settings=_sealed(cipher, n, settings),
        n=n,
    )
    for table in ("feed_refused", "feed_losses", "feed_seen"):
        sql(connection, f"DELETE FROM {table} WHERE feed = :n", n=n)  # noqa: S608 - our own names


def set_paused(connection: Connection, n: int, *, paused: bool, now: int) -> None:
    """Leave it alone, or ask it again from now on."""
    sql(
        connection,
        "UPDATE feeds SET paused = :paused, due_at = :now WHERE n = :n",
        paused=int(paused),
        now=now,
        n=n,
    )


def set_position(connection: Connection, cipher: LocalCipher, n: int, position: Mapping[str, Json]) -> None:
    """Go on there."""
    sealed = cipher.seal("feeds.position", str(n), orjson.dumps(position))
    sql(connection, "UPDATE feeds SET position = :position WHERE n = :n", position=sealed, n=n)


def set_succeeded(connection: Connection, n: int, *, now: int, due_at: int) -> None:
    """It has brought all it had, or as much as one run takes."""
    sql(
        connection,
        "UPDATE feeds SET tried_at = :now, succeeded_at = :now, failures = 0, code = '', detail = '', due_at = :due"
        " WHERE n = :n",
        now=now,
        due=due_at,
        n=n,
    )


def set_failed(connection: Connection, n: int, *, now: int, due_at: int, code: str, detail: str) -> None:
    """It has failed."""
    sql(
        connection,
        "UPDATE feeds SET tried_at = :now, failures = failures + 1, code = :code, detail = :detail, due_at = :due"
        " WHERE n = :n",
        now=now,
        code=code,
        detail=detail[:MOST_DETAIL],
        due=due_at,
        n=n,
    )


def add_refused(
    connection: Connection, cipher: LocalCipher, feed: int, refused: Sequence[SetAside], *, now: int
) -> None:
    """Note what was not taken; the oldest beyond MOST_REFUSED go."""
    for one in refused[-MOST_REFUSED:]:
        row = sql(
            connection,
            "INSERT INTO feed_refused (feed, at, code, what) VALUES (:feed, :at, :code, x'') RETURNING n",
            feed=feed,
            at=now,
            code=one.code,
        ).one()
        what = orjson.dumps([one.object[:MOST_DETAIL], one.reason[:MOST_DETAIL]])
        sealed = cipher.seal("feed_refused.what", str(row.n), what)
        sql(connection, "UPDATE feed_refused SET what = :what WHERE n = :n", what=sealed, n=row.n)
    if refused:
        sql(
            connection,
            "DELETE FROM feed_refused WHERE feed = :feed AND n NOT IN"
            " (SELECT n FROM feed_refused WHERE feed = :feed ORDER BY n DESC LIMIT :most)",
            feed=feed,
            most=MOST_REFUSED,
        )


def refused(connection: Connection, cipher: LocalCipher, feed: int, *, limit: int) -> list[Refusal]:
    """What was not taken, the newest first."""
    rows = sql(
        connection,
        "SELECT * FROM feed_refused WHERE feed = :feed ORDER BY n DESC LIMIT :limit",
        feed=feed,
        limit=limit,
    )
    found = []
    for row in rows:
        name, reason = orjson.loads(cipher.open("feed_refused.what", str(row.n), bytes(row.what)))
        found.append(Refusal(row.at, row.code, name, reason))
    return found


def set_losses(
    connection: Connection, cipher: LocalCipher, feed: int, event: str, losses: Sequence[Loss], *, now: int
) -> None:
    """Keep what of an event could not be carried, in place of what an earlier reading said."""
    key = _event_key(feed, event)
    sql(connection, "DELETE FROM feed_losses WHERE feed = :feed AND event_key = :key", feed=feed, key=key)
    if losses:
        value = orjson.dumps([event, [[one.place, one.what, one.why] for one in losses]])
        sql(
            connection,
            "INSERT INTO feed_losses VALUES (:feed, :key, :at, :losses)",
            feed=feed,
            key=key,
            at=now,
            losses=cipher.seal("feed_losses.losses", key.hex(), value),
        )


def losses(
    connection: Connection, cipher: LocalCipher, feed: int, *, limit: int
) -> list[tuple[str, list[Loss]]]:
    """By event, the newest reading first."""
    rows = sql(
        connection,
        "SELECT * FROM feed_losses WHERE feed = :feed ORDER BY at DESC LIMIT :limit",
        feed=feed,
        limit=limit,
    )
    found = []
    for row in rows:
        sealed = cipher.open("feed_losses.losses", bytes(row.event_key).hex(), bytes(row.losses))
        event, lost = orjson.loads(sealed)
        found.append((event, [Loss(*one) for one in lost]))
    return found


def unseen(connection: Connection, feed: int, events: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those of the events (id, moment in seconds) that this feed hasn't brought in that version, in their order."""
    rows = sql(connection, "SELECT event_key, moment FROM feed_seen WHERE feed = :feed", feed=feed)
    known = {bytes(row.event_key): row.moment for row in rows}
    return [(event, moment) for event, moment in events if known.get(_event_key(feed, event)) != moment]


def seen(connection: Connection, feed: int) -> int:
    """How many events are remembered of a feed."""
    row = sql(connection, "SELECT count(*) AS total FROM feed_seen WHERE feed = :feed", feed=feed).one()
    return int(row.total)


def set_seen(connection: Connection, feed: int, events: Iterable[tuple[str, int]], *, since: int) -> None:
    """It has brought these; what is older than a look back (`since`, seconds; 0: none) is asked for no more and
    forgotten."""
    rows = [(feed, _event_key(feed, event), moment) for event, moment in events]
    sql_many(
        connection,
        "INSERT INTO feed_seen VALUES (?, ?, ?) ON CONFLICT (feed, event_key) DO UPDATE SET moment = excluded.moment",
        rows,
    )
    if since:
        sql(
            connection, "DELETE FROM feed_seen WHERE feed = :feed AND moment < :since", feed=feed, since=since
        )


def _event_key(feed: int, event: str) -> bytes:
    """An event's UUID is random and long: a plain hash of it tells nothing."""
    return sha256(f"{feed} {event}".encode())[:16]


def _sealed(cipher: LocalCipher, n: int, settings: FeedSettings) -> bytes:
    return cipher.seal("feeds.settings", str(n), orjson.dumps(settings.to_mapping()))


def _feed(cipher: LocalCipher, row: Any) -> Feed:  # noqa: ANN401 - a row of any columns
    name = str(row.n)
    settings = orjson.loads(cipher.open("feeds.settings", name, bytes(row.settings)))
    return Feed(
        n=row.n,
        name=row.name,
        settings=FeedSettings.from_mapping(settings),
        position=orjson.loads(cipher.open("feeds.position", name, bytes(row.position))),
        paused=bool(row.paused),
        created_at=row.created_at,
        created_by=row.created_by,
        removed_at=row.removed_at,
        due_at=row.due_at,
        tried_at=row.tried_at,
        succeeded_at=row.succeeded_at,
        failures=row.failures,
        code=row.code,
        detail=row.detail,
    )
