"""Owns what a node holds of its peers' chains: links, heads, missing numbers, voids (docs/protocol.md §6.2).

The verdict over a new link is link.place's; this file gives it what it needs to see and keeps what it says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from exchange.content import REPLACED, Numbered
from exchange.header import LANES, Header
from exchange.link import Gap, LaneView, Link, Placement, StoredLink, close, place
from exchange.node.store.inbox import VOIDED
from exchange.node.store.store import sql, sql_many


@dataclass(frozen=True)
class Evidence:
    """What proves to a third party what came: kept as long as the content."""

    header: Header
    signatures: bytes
    link: Link
    nonce: bytes
    salt: bytes
    lc: bytes
    wrap_hash: bytes


@dataclass(frozen=True)
class OpenGap:
    """Missing numbers of one sender and lane: when the gap was seen and when the sender was last asked, ms."""

    sender: str
    lane: str
    gap: Gap
    seen_at: int
    asked_at: int | None


def is_known(connection: Connection, env: bytes) -> bool:
    """Whether the envelope's link is stored."""
    return sql(connection, "SELECT 1 FROM links_in WHERE env = :env", env=env).first() is not None


class Chains:
    """Places the envelopes of one transaction in their chains, one after the other.

    What follows a head that nothing is stored beyond needs no look at the tables. Links and heads are written by
    `write`: nothing else of the transaction may read these tables before.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._heads: dict[
            tuple[str, int], StoredLink
        ] = {}  # of (sender, lane), as this transaction has left them
        self._last: dict[
            tuple[str, int], bool
        ] = {}  # no other stored link has the head's number or one beyond
        self._links: list[tuple[Any, ...]] = []

    def record(self, evidence: Evidence, *, voided: bool, now: int) -> Placement:
        """Place a new envelope, and keep its link, the head and the gaps that result.

        `voided`: its sender has declared it void, so it is a straggler even in a chain that nothing else is known of.
        """
        header, link = evidence.header, evidence.link
        lane = LANES.index(header.lane)
        at = (header.sender, lane)
        view = self._view(at, link)
        verdict = place(replace(view, chain_known=view.chain_known or voided), link, header.env)
        if verdict.becomes_head:
            self._heads[at] = StoredLink(link.chain, link.seq, header.env, link.prev)
        else:
            self._last[at] = False  # it may stand beyond the head, where a sender's numbers went back
        self._links.append(
            (
                header.env,
                header.sender,
                lane,
                link.chain,
                link.seq,
                link.prev,
                evidence.nonce,
                evidence.salt,
                evidence.lc,
                evidence.wrap_hash,
                header.raw,
                evidence.signatures,
                verdict.mark,
                now,
            )
        )
        if verdict.opened is not None:
            _add_gap(self._connection, header.sender, lane, verdict.opened, seen_at=now, asked_at=None)
        if verdict.filled:
            close_number(self._connection, header.sender, header.lane, link.seq)
        return verdict

    def write(self) -> None:
        """Write down what was placed."""
        sql_many(
            self._connection,
            "INSERT INTO links_in (env, sender, lane, chain, seq, prev, nonce, salt, lc, wrap_hash, header,"
            " signatures, mark, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._links,
        )
        sql_many(
            self._connection,
            "INSERT INTO heads_in VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (sender, lane)"
            " DO UPDATE SET chain = excluded.chain, seq = excluded.seq, env = excluded.env, prev = excluded.prev",
            ((*at, head.chain, head.seq, head.env, head.prev) for at, head in self._heads.items()),
        )
        self._links = []

    def _view(self, at: tuple[str, int], link: Link) -> LaneView:
        head = self._heads.get(at)
        if head is not None and (link.seq, link.prev) == (head.seq + 1, head.env) and self._is_last(at, head):
            return LaneView(
                head, [head], [], chain_known=True
            )  # rule 3, and nothing near that could contradict
        self.write()
        self._last.pop(at, None)
        return _view(self._connection, *at, link)

    def _is_last(self, at: tuple[str, int], head: StoredLink) -> bool:
        if at not in self._last:
            beyond = sql(
                self._connection,
                "SELECT 1 FROM links_in INDEXED BY links_in_place WHERE sender = :sender AND lane = :lane"
                " AND seq >= :seq AND env <> :env LIMIT 1",
                sender=at[0],
                lane=at[1],
                seq=head.seq,
                env=head.env,
            )
            self._last[at] = beyond.first() is None
        return self._last[at]


def open_number(connection: Connection, sender: str, lane: str, link: Link, *, now: int) -> None:
    """What the number carried is missing, though the link came; nothing new where it is missing already."""
    known = sql(
        connection,
        "SELECT 1 FROM gaps_in WHERE sender = :sender AND lane = :lane AND first <= :seq AND last >= :seq",
        sender=sender,
        lane=LANES.index(lane),
        seq=link.seq,
    )
    if known.first() is not None:
        return
    gap = Gap(link.seq, link.seq, link.chain)
    _add_gap(connection, sender, LANES.index(lane), gap, seen_at=now, asked_at=None)


def close_number(connection: Connection, sender: str, lane: str, seq: int) -> bool:
    """Number `seq` is no longer missing: filled, sealed again, voided or rejected. Whether it was."""
    index = LANES.index(lane)
    # More than one gap where a restarted sender's numbers went back and on over those missing before.
    rows = sql(
        connection,
        "SELECT * FROM gaps_in WHERE sender = :sender AND lane = :lane AND first <= :seq AND last >= :seq",
        sender=sender,
        lane=index,
        seq=seq,
    ).all()
    for row in rows:
        sql(
            connection,
            "DELETE FROM gaps_in WHERE sender = :sender AND lane = :lane AND first = :first",
            sender=sender,
            lane=index,
            first=row.first,
        )
    for row in rows:
        for gap in close([Gap(row.first, row.last, bytes(row.chain))], seq):
            _add_gap(connection, sender, index, gap, seen_at=row.seen_at, asked_at=row.asked_at)
    return bool(rows)


def add_void(connection: Connection, sender: str, env: bytes, why: str) -> bool:
    """The sender has declared `env` void: its message is marked so, whether it comes after this or is here.

    What is here stays as it is where its content was sealed once more: it stands by another number too.
    Whether the word is new.
    """
    added = sql(
        connection,
        "INSERT INTO voids_in VALUES (:env, :sender, :why) ON CONFLICT (env, sender) DO NOTHING",
        env=env,
        sender=sender,
        why=why,
    )
    if why != REPLACED:
        sql(
            connection,
            "UPDATE inbox SET marks = trim(marks || ' ' || :mark) WHERE env = :env AND sender = :sender"
            " AND instr(marks, :mark) = 0",
            mark=VOIDED,
            env=env,
            sender=sender,
        )
    return added.rowcount == 1


def gaps_to_ask(
    connection: Connection, *, now: int, seen_before: int, asked_before: int, limit: int
) -> list[OpenGap]:
    """Gaps seen before the one time and not asked for since the other, by sender and lane.

    A time after `now` was written by a clock that was ahead: it stops no question.
    """
    rows = sql(
        connection,
        "SELECT * FROM gaps_in WHERE (seen_at <= :seen OR seen_at > :now)"
        " AND (asked_at IS NULL OR asked_at <= :asked OR asked_at > :now) ORDER BY sender, lane, first LIMIT :limit",
        now=now,
        seen=seen_before,
        asked=asked_before,
        limit=limit,
    )
    return [_open_gap(row) for row in rows]


def open_gaps(connection: Connection, *, limit: int = 1_000) -> list[OpenGap]:
    """Every number that is missing now."""
    rows = sql(connection, "SELECT * FROM gaps_in ORDER BY sender, lane, first LIMIT :limit", limit=limit)
    return [_open_gap(row) for row in rows]


def missing(connection: Connection, *, seen_before: int) -> Counter[str]:
    """How many numbers are missing by sender, of gaps seen before that (ms)."""
    rows = sql(
        connection,
        # total(): a peer's gaps may overlap and reach to 2^53, more of which than a sum of integers can hold
        "SELECT sender, total(last - first + 1) AS total FROM gaps_in WHERE seen_at <= :before GROUP BY sender",
        before=seen_before,
    )
    return Counter({row.sender: int(row.total) for row in rows})


def set_asked(connection: Connection, gap: OpenGap, *, now: int) -> None:
    """The sender was asked for the gap."""
    sql(
        connection,
        "UPDATE gaps_in SET asked_at = :now WHERE sender = :sender AND lane = :lane AND first = :first",
        now=now,
        sender=gap.sender,
        lane=LANES.index(gap.lane),
        first=gap.gap.first,
    )


def positions(connection: Connection, sender: str) -> tuple[tuple[str, Numbered], ...]:
    """The last sealing of `sender`'s mail up to which none is missing, per lane (`restored`, docs/protocol.md §6.4).

    Mail that came between the restore and its telling may stand far beyond what the old copy held.
    """
    rows = sql(
        connection,
        "WITH firsts AS (SELECT lane, chain, min(first) AS first FROM gaps_in WHERE sender = :sender GROUP BY lane)"
        " SELECT lane, env, chain, seq FROM heads_in WHERE sender = :sender AND lane NOT IN (SELECT lane FROM firsts)"
        " UNION ALL SELECT l.lane, l.env, l.chain, l.seq FROM firsts f JOIN links_in l INDEXED BY links_in_place"
        " ON l.sender = :sender AND l.lane = f.lane AND l.seq = f.first - 1 AND l.chain = f.chain ORDER BY lane",
        sender=sender,
    )
    return tuple((LANES[row.lane], Numbered(bytes(row.env), bytes(row.chain), row.seq)) for row in rows)


def header_of(connection: Connection, env: bytes) -> tuple[bytes, bytes] | None:
    """Header and signatures of an envelope received, as evidence."""
    row = sql(connection, "SELECT header, signatures FROM links_in WHERE env = :env", env=env).first()
    return None if row is None else (bytes(row.header), bytes(row.signatures))


def _view(connection: Connection, sender: str, lane: int, link: Link) -> LaneView:
    values = {"sender": sender, "lane": lane}
    head = sql(
        connection,
        "SELECT chain, seq, env, prev FROM heads_in WHERE sender = :sender AND lane = :lane",
        **values,
    ).first()
    near = sql(
        connection,
        # Not the evidence beside them: it is 4 kB a row.
        "SELECT chain, seq, env, prev FROM links_in INDEXED BY links_in_place WHERE sender = :sender AND lane = :lane"
        " AND seq BETWEEN :low AND :high LIMIT 100",
        low=link.seq - 1,
        high=link.seq + 1,
        **values,
    ).all()
    if head is not None and (link.seq, link.prev) == (head.seq + 1, bytes(head.env)):
        return LaneView(
            _stored(head), [_stored(row) for row in near], [], chain_known=True
        )  # rule 3: no more is asked
    gaps = sql(
        connection,
        "SELECT * FROM gaps_in WHERE sender = :sender AND lane = :lane AND first <= :seq AND last >= :seq",
        seq=link.seq,
        **values,
    ).all()
    known = sql(
        connection,
        "SELECT 1 FROM links_in INDEXED BY links_in_chain WHERE sender = :sender AND lane = :lane"
        " AND chain = :chain LIMIT 1",
        chain=link.chain,
        **values,
    ).first()
    return LaneView(
        head=None if head is None else _stored(head),
        near=[_stored(row) for row in near],
        gaps=[Gap(row.first, row.last, bytes(row.chain)) for row in gaps],
        chain_known=known is not None,
    )


def _add_gap(
    connection: Connection, sender: str, lane: int, gap: Gap, *, seen_at: int, asked_at: int | None
) -> None:
    sql(
        connection,
        "INSERT INTO gaps_in VALUES (:sender, :lane, :first, :last, :chain, :seen, :asked)"
        " ON CONFLICT (sender, lane, first) DO UPDATE SET last = excluded.last, chain = excluded.chain",
        sender=sender,
        lane=lane,
        first=gap.first,
        last=gap.last,
        chain=gap.chain,
        seen=seen_at,
        asked=asked_at,
    )


def _stored(row: Any) -> StoredLink:  # noqa: ANN401 - a row of any columns
    return StoredLink(bytes(row.chain), row.seq, bytes(row.env), bytes(row.prev))


def _open_gap(row: Any) -> OpenGap:  # noqa: ANN401 - a row of any columns
    gap = Gap(row.first, row.last, bytes(row.chain))
    return OpenGap(row.sender, LANES[row.lane], gap, row.seen_at, row.asked_at)
