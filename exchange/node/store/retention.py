"""Owns when each message of a node goes, and the rounds that erase what is due.

Which rule counts is retention.py's, when a round is done node/retention.py's business; how one message is erased
store/erasing.py's. A message is judged once, and anew when the policy or the holds change; what isn't judged stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from exchange.canonical import sha256
from exchange.limits import DAY_MS
from exchange.node.store.access import drop_old
from exchange.node.store.attachments import drop_ended
from exchange.node.store.disclosures import drop_asked
from exchange.node.store.erasing import (
    UNFOLDED,
    blank_link,
    erase_received,
    erase_sent,
    label_received,
    label_sent,
)
from exchange.node.store.holds import JUDGED_IN, JUDGED_OUT, is_held, judge_anew, standing
from exchange.node.store.posts import STATUS_MS, drop_old as drop_old_posts
from exchange.node.store.store import count_alarms, fact, number, set_fact, sql
from exchange.retention import CONTROL, Label, RetentionPolicy, Rule
from exchange.storage.local_cipher import LocalCipher

JUDGE: Final = 256  # messages judged in one transaction
LABEL_BYTES: Final = 4 * 1024 * 1024  # of messages read at once for their labels
ERASE: Final = 64  # messages erased in one transaction, and
ERASE_BYTES: Final = 4 * 1024 * 1024  # about as many bytes overwritten
SWEEP: Final = 256  # rows of other kinds
LOOK_AGAIN_MS: Final = DAY_MS  # for a message that is still under way
TOLD_A_DAY: Final = 20  # of such messages that people are told of, for a sender; the others wait
GRACE_MS: Final = 30 * DAY_MS  # for a flash message that nobody has acknowledged, once people were told
_POLICY: Final = "retention.policy"
_LABELLED: Final = "retention.labelled"  # messages that have their label, by row
_LINKS: Final = "retention.links"  # links_in up to this row: what belongs to no message has lost its evidence


@dataclass(frozen=True)
class Due:
    """A message that is to go: in which box ("in", "out"), whose it is, when (ms), and by which rule.

    `unanswered`: a flash message that nobody has acknowledged; people are told before it goes.
    """

    box: str
    id: str
    peer: str
    label: Label
    at: int
    rule: str
    unanswered: bool


@dataclass(frozen=True)
class Swept:
    """What one round erased: received and sent messages, other rows; flash messages it told of; whether more is due."""

    received: int = 0
    sent: int = 0
    others: int = 0
    told: tuple[tuple[str, str], ...] = ()
    more: bool = False


@dataclass(frozen=True)
class Counts:
    """For people and metrics: holds that stand, messages erased (as far as remembered), those due by a time."""

    holds: int
    erased: int
    due: int
    unjudged: int


def begin(connection: Connection, policy: RetentionPolicy) -> None:
    """Judge everything anew where the policy isn't the one of the last time."""
    if not is_begun(connection, policy):
        set_fact(connection, _POLICY, _fingerprint(policy))
        judge_anew(connection)


def is_begun(connection: Connection, policy: RetentionPolicy) -> bool:
    """Whether what is judged was judged under this policy."""
    return fact(connection, _POLICY) == _fingerprint(policy)


def _fingerprint(policy: RetentionPolicy) -> bytes:
    return sha256(repr([(rule.name, rule.days) for rule in policy.rules()]).encode())


def is_behind(connection: Connection) -> bool:
    """Whether there are messages to judge."""
    row = sql(
        connection,
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE n > :judged_in)"
        " OR EXISTS (SELECT 1 FROM messages WHERE n > :judged_out) AS behind",
        judged_in=number(connection, JUDGED_IN),
        judged_out=number(connection, JUDGED_OUT),
    ).one()
    return bool(row.behind)


def unlabelled(connection: Connection, cipher: LocalCipher) -> list[tuple[int, str, bytes]]:
    """The next messages sent without a label: row, id, and payload where people wrote it (else nothing); [] at the end.

    Of about LABEL_BYTES at most.
    """
    rows = sql(
        connection,
        "SELECT n, id, type = 'stix' AND label IS NULL AND erased_at IS NULL AS wanted FROM messages WHERE n > :after"
        " ORDER BY n LIMIT :limit",
        after=number(connection, _LABELLED),
        limit=JUDGE,
    )
    found: list[tuple[int, str, bytes]] = []
    room = LABEL_BYTES
    for row in rows:
        payload = b""
        if row.wanted:
            if room <= 0:
                break
            sealed = sql(connection, "SELECT payload FROM messages WHERE n = :n", n=row.n).one().payload
            payload = cipher.open("messages.payload", row.id, bytes(sealed))
            room -= len(payload)
        found.append((row.n, row.id, payload))
    return found


def set_labels(
    connection: Connection, cipher: LocalCipher, labels: Iterable[tuple[int, str, Label | None]]
) -> None:
    """Keep labels of messages in order of their rows: (row, id, label; None for what needs none)."""
    for n, message_id, label in labels:
        if label is not None:
            sealed = cipher.seal("messages.label", message_id, orjson.dumps(label.summary()))
            sql(connection, "UPDATE messages SET label = :label WHERE n = :n", label=sealed, n=n)
        set_fact(connection, _LABELLED, n)


def judge(connection: Connection, cipher: LocalCipher, policy: RetentionPolicy, *, now: int) -> None:
    """Say of the next messages when they go; of those sent, up to the last one that has its label.

    A time after `now` (ms) was written by a clock that was ahead: it keeps nothing longer.
    """
    held = standing(connection)
    inbox = sql(
        connection,
        "SELECT n, message_id, env, summary, received_at, erase_told FROM inbox WHERE n > :after ORDER BY n"
        " LIMIT :limit",
        after=number(connection, JUDGED_IN),
        limit=JUDGE,
    ).all()
    for row in inbox:
        label = label_received(cipher, row)
        rule = policy.rule_for(label)
        at = None if is_held(held, row.message_id, label.case) else min(row.received_at, now) + rule.ms
        if at is not None and row.erase_told is not None:
            at = max(
                at, row.erase_told + GRACE_MS
            )  # judged anew, it keeps the time that people were promised
        _set_due(connection, "inbox", row.n, at, rule)
    if inbox:
        set_fact(connection, JUDGED_IN, inbox[-1].n)
    messages = sql(
        connection,
        "SELECT n, id, type, label, submitted_at, erased_at FROM messages WHERE n > :after AND n <= :labelled"
        " ORDER BY n LIMIT :limit",
        after=number(connection, JUDGED_OUT),
        labelled=number(connection, _LABELLED),
        limit=JUDGE,
    ).all()
    for row in messages:
        if row.erased_at is not None:
            continue
        label = label_sent(cipher, row) if row.label else Label()
        rule = policy.rule_for(label) if row.type == "stix" else Rule(CONTROL, policy.control)
        at = None if is_held(held, row.id, label.case) else min(row.submitted_at, now) + rule.ms
        _set_due(connection, "messages", row.n, at, rule)
    if messages:
        set_fact(connection, JUDGED_OUT, messages[-1].n)


def _set_due(connection: Connection, table: str, n: int, at: int | None, rule: Rule) -> None:
    sql(
        connection,
        f"UPDATE {table} SET erase_at = :at, erase_rule = :rule WHERE n = :n",  # noqa: S608 - fixed words
        at=at,
        rule=rule.name,
        n=n,
    )


def due(connection: Connection, cipher: LocalCipher, *, until: int, limit: int) -> list[Due]:
    """Messages of people that go until `until` (ms), the soonest first."""
    inbox = sql(
        connection,
        "SELECT * FROM inbox WHERE erase_at <= :until ORDER BY erase_at LIMIT :limit",
        until=until,
        limit=limit,
    )
    found = []
    for row in inbox:
        label, unanswered = label_received(cipher, row), _is_unanswered(row)
        found.append(Due("in", row.message_id, row.sender, label, row.erase_at, row.erase_rule, unanswered))
    messages = sql(
        connection,
        "SELECT id, label, erase_at, erase_rule FROM messages"
        " WHERE erase_at <= :until AND type = 'stix' ORDER BY erase_at LIMIT :limit",
        until=until,
        limit=limit,
    )
    found += [
        Due("out", row.id, "", label_sent(cipher, row), row.erase_at, row.erase_rule, unanswered=False)
        for row in messages
    ]
    return sorted(found, key=lambda one: one.at)[:limit]


def covered(connection: Connection, cipher: LocalCipher, *, kind: str, subject: str) -> int:
    """How many messages received and sent are of a "message" (its id) or a "case"; of those that have their label."""
    received = sql(connection, "SELECT message_id AS id, env, summary FROM inbox")
    sent = sql(connection, "SELECT id, label FROM messages WHERE label IS NOT NULL AND erased_at IS NULL")
    if kind == "message":
        return sum(row.id == subject for rows in (received, sent) for row in rows)
    found = sum(label_received(cipher, row).case == subject for row in received)
    return found + sum(label_sent(cipher, row).case == subject for row in sent)


def counts(connection: Connection, *, until: int) -> Counts:
    """Numbers alone; `due` those of people that go until `until` (ms)."""

    row = sql(
        connection,
        "SELECT (SELECT count(*) FROM holds WHERE released_at IS NULL) AS holds,"
        " (SELECT count(*) FROM erased) AS erased,"
        " (SELECT count(*) FROM inbox WHERE erase_at <= :until)"
        " + (SELECT count(*) FROM messages WHERE erase_at <= :until AND type = 'stix') AS due,"
        " (SELECT count(*) FROM inbox WHERE n > :judged_in)"
        " + (SELECT count(*) FROM messages WHERE n > :judged_out) AS unjudged",
        until=until,
        judged_in=number(connection, JUDGED_IN),
        judged_out=number(connection, JUDGED_OUT),
    ).one()
    return Counts(row.holds, row.erased, row.due, row.unjudged)


def sweep(connection: Connection, cipher: LocalCipher, policy: RetentionPolicy, *, now: int) -> Swept:
    """Erase what is due, up to a bounded number; judge everything first, or what is held could go."""
    received, told, seen = _sweep_inbox(connection, now)
    sent = _sweep_messages(connection, cipher, policy, now)
    drop_ended(connection, now=now)
    others = _sweep_others(connection, policy, now)
    if received or sent or others:
        set_fact(connection, UNFOLDED, 1)
    more = max(seen, sent) >= ERASE or others >= SWEEP
    return Swept(received, sent, others, tuple(told), more)


def told_key(sender: str, now: int) -> str:
    """How the keys of a day's alarms begin about flash messages of that sender which go unacknowledged."""
    return f"retention/{sender}/{now // DAY_MS}/"


def _sweep_inbox(connection: Connection, now: int) -> tuple[int, list[tuple[str, str]], int]:
    """How many were erased, of which people are to be told, and how many were dealt with."""
    rows = sql(
        connection,
        "SELECT *, length(payload) AS size FROM inbox WHERE erase_at <= :now AND n <= :judged"
        " ORDER BY erase_at LIMIT :limit",
        now=now,
        judged=number(connection, JUDGED_IN),
        limit=ERASE,
    ).all()
    told, erased, seen, room = list[tuple[str, str]](), 0, 0, ERASE_BYTES
    named = dict[str, int]()  # how many of a sender's were today
    for row in rows:
        if room <= 0:
            break
        seen += 1
        if not (_is_unanswered(row) and row.erase_told is None):
            erase_received(connection, row, rule=row.erase_rule, now=now)
            erased, room = erased + 1, room - row.size
            continue
        if row.sender not in named:
            named[row.sender] = count_alarms(connection, told_key(row.sender, now))
        if (
            named[row.sender] >= TOLD_A_DAY
        ):  # one sender's must not bury the rest; none goes that wasn't named
            sql(connection, "UPDATE inbox SET erase_at = :later WHERE n = :n", later=now + DAY_MS, n=row.n)
            continue
        named[row.sender] += 1
        told.append((row.sender, row.message_id))
        sql(
            connection,
            "UPDATE inbox SET erase_told = :now, erase_at = :later WHERE n = :n",
            now=now,
            later=now + GRACE_MS,
            n=row.n,
        )
    return erased, told, seen


def _is_unanswered(row: Any) -> bool:  # noqa: ANN401 - a row of any columns
    return bool(row.lane == 0 and row.type == "stix" and not row.answered)


def _sweep_messages(connection: Connection, cipher: LocalCipher, policy: RetentionPolicy, now: int) -> int:
    rows = sql(
        connection,
        "SELECT m.n, m.id, m.type, m.expires, m.erase_rule, length(m.payload) AS size,"
        " (SELECT count(*) FROM addressees a WHERE a.message_n = m.n AND a.state NOT IN ('stored', 'rejected', 'lost'))"
        " AS under_way,"
        " (SELECT max(coalesce(a.stored_at, a.ended_at, 0)) FROM addressees a WHERE a.message_n = m.n) AS ended_at"
        " FROM messages m WHERE m.erase_at <= :now AND m.n <= :judged ORDER BY m.erase_at LIMIT :limit",
        now=now,
        judged=number(connection, JUDGED_OUT),
        limit=ERASE,
    ).all()
    erased, room = 0, ERASE_BYTES
    for row in rows:
        floor = (row.ended_at or 0) + (policy.sent_at_least * DAY_MS if row.type == "stix" else 0)
        if row.under_way or floor > now:
            later = now + LOOK_AGAIN_MS if row.under_way else floor
            sql(connection, "UPDATE messages SET erase_at = :later WHERE n = :n", later=later, n=row.n)
            continue
        if room <= 0:
            break
        erase_sent(connection, cipher, row.n, row.id, rule=row.erase_rule, now=now)
        erased, room = erased + 1, room - row.size
    return erased


def _sweep_others(connection: Connection, policy: RetentionPolicy, now: int) -> int:
    values = {"limit": SWEEP}
    items = sql(
        connection,
        "SELECT env FROM quarantine WHERE at <= :before ORDER BY at LIMIT :limit",
        before=now - policy.quarantine * DAY_MS,
        **values,
    ).all()
    for row in items:
        sql(connection, "DELETE FROM quarantine WHERE env = :env", env=row.env)
        blank_link(connection, bytes(row.env))
    alarms = sql(
        connection,
        "DELETE FROM alarms WHERE n IN (SELECT n FROM alarms WHERE at <= :before ORDER BY at LIMIT :limit)",
        before=now - policy.alarms * DAY_MS,
        **values,
    ).rowcount
    forgotten = sql(
        connection,
        "DELETE FROM erased WHERE id_hash IN (SELECT id_hash FROM erased WHERE forget_at <= :now LIMIT :limit)",
        now=now,
        **values,
    ).rowcount
    accesses = drop_old(connection, before=now - policy.access_log * DAY_MS, limit=SWEEP)
    asked = drop_asked(connection, before=now - policy.access_log * DAY_MS, limit=SWEEP)
    posts = drop_old_posts(connection, before=now - STATUS_MS, limit=SWEEP)
    loose = _sweep_links(connection, now=now, before=now - policy.control * DAY_MS)
    return max(len(items), alarms, forgotten, accesses, asked, posts, loose)


def _sweep_links(connection: Connection, *, now: int, before: int) -> int:
    """Evidence of what nodes told each other: of links that belong to no message, no record, nothing set aside.

    One that a clock dated ahead of `now` is no younger than those that came after it.
    """
    rows = sql(
        connection,
        "SELECT l.rowid AS place, l.env, l.at, EXISTS (SELECT 1 FROM inbox i WHERE i.env = l.env)"
        " OR EXISTS (SELECT 1 FROM quarantine q WHERE q.env = l.env)"
        " OR EXISTS (SELECT 1 FROM disclosures d WHERE d.env = l.env) AS kept"
        " FROM links_in l WHERE l.rowid > :after ORDER BY l.rowid LIMIT :limit",
        after=number(connection, _LINKS),
        limit=SWEEP,
    ).all()
    passed = 0
    for row in rows:
        if row.at > before and (row.at <= now or min(one.at for one in rows[passed:]) > before):
            break
        if not row.kept:
            blank_link(connection, bytes(row.env))
        set_fact(connection, _LINKS, row.place)
        passed += 1
    return passed
