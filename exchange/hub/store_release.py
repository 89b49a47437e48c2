"""How mail leaves the hub's store: on its recipient's receipt, or at its expiry; what is left is store_forget.py's.

Owns the writes that delete. Verifies nothing: batches come verified (receipt.py), `sign` makes the hub's own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import Connection, and_, bindparam, delete, func, select, update

from exchange.hub.store_accept import take_numbers
from exchange.hub.store_receipts import add_proof, feed_proof, next_batch, remember_batch
from exchange.hub.store_tables import RETENTION_MS, bodies, envelopes, mailbox, senders
from exchange.limits import MAX_RECEIPT_LEAVES
from exchange.receipt import HELD, Batch, VerifiedBatch
from exchange.wire import LC_BYTES

EXPIRE_ENVELOPES: Final = 16  # in one transaction: others must get their turn

SignExpired = Callable[[int, Sequence[tuple[str, bytes, bytes]]], Batch]


@dataclass(frozen=True)
class _Copy:
    """One recipient's row with what its envelope says."""

    n: int
    envelope: int
    sender: str
    slot: bytes
    expired: bool
    held: bool
    size: int
    exp: int


@dataclass(frozen=True)
class Released:
    """What a batch of receipts did: rows it matched, leaves it didn't, senders who have news."""

    matched: int
    no_match: int
    senders: frozenset[str]


@dataclass(frozen=True)
class ExpiredRound:
    """What one round of expiry did. `more`: there is more to expire at once."""

    envelopes: int
    senders: frozenset[str]
    recipients: frozenset[str]
    more: bool


# Built once: putting a statement together costs more than running it.
_FIND = (
    select(
        mailbox.c.n,
        mailbox.c.envelope,
        envelopes.c.sender,
        mailbox.c.slot,
        mailbox.c.expired,
        mailbox.c.held,
        envelopes.c.size,
        envelopes.c.exp,
        envelopes.c.env,
    )
    .join(mailbox, mailbox.c.envelope == envelopes.c.n)
    .where(
        envelopes.c.env.in_(bindparam("envs", expanding=True)),
        mailbox.c.recipient == bindparam("recipient_is"),
    )
)
_HOLD = update(mailbox).where(mailbox.c.n == bindparam("copy")).values(held=1)
_DROP_COPY = delete(mailbox).where(mailbox.c.n == bindparam("copy"))
_LESS_ROWS = (
    update(senders)
    .where(senders.c.address == bindparam("who"))
    .values(rows=senders.c.rows - bindparam("many"))
)
_WAITS_LESS = (
    update(envelopes).where(envelopes.c.n == bindparam("which")).values(waiting=envelopes.c.waiting - 1)
)
_DONE = select(envelopes.c.n).where(
    envelopes.c.n.in_(bindparam("which", expanding=True)), envelopes.c.waiting == 0
)
_DROP_BODY = delete(bodies).where(bodies.c.envelope == bindparam("which"))
_GIVE_BACK = (
    update(senders)
    .where(senders.c.address == bindparam("who"))
    .values(envelopes=senders.c.envelopes - 1, bytes=senders.c.bytes - bindparam("many"))
)


def apply_receipts(connection: Connection, verified: VerifiedBatch) -> Released:
    """Delete the rows that the leaves name by (from, env, lc); give each sender a proof of its own leaves.

    A row that is `held` stays, and its sender hears so once: a repeat would fill its feed at no cost.
    """
    remember_batch(connection, verified.signer, verified.number)
    copies = _copies_of(connection, verified.signer, [leaf.env for leaf in verified.leaves])
    news: dict[str, list[tuple[int, _Copy]]] = defaultdict(list)
    gone: list[_Copy] = []
    held: list[_Copy] = []
    for index, leaf in enumerate(verified.leaves):
        copy = copies.get(leaf.env)
        if copy is None or copy.slot[-LC_BYTES:] != leaf.lc or (leaf.status == HELD and copy.held):
            continue
        news[copy.sender].append((index, copy))
        del copies[leaf.env]  # a second leaf for the same copy matches nothing
        (held if leaf.status == HELD else gone).append(copy)
    if held:
        connection.execute(_HOLD, [{"copy": copy.n} for copy in held])
    if gone:
        _delete(connection, gone)
    for sender, pairs in news.items():
        proof = orjson.dumps(verified.batch.proof([index for index, _ in pairs]))
        keep_until = max(copy.exp for _, copy in pairs) + RETENTION_MS
        n = add_proof(connection, proof, [copy.envelope for _, copy in pairs], keep_until=keep_until)
        feed_proof(connection, sender, n)
    matched = sum(len(pairs) for pairs in news.values())
    return Released(matched, len(verified.leaves) - matched, frozenset(news))


def _copies_of(connection: Connection, recipient: str, envs: Sequence[bytes]) -> dict[bytes, _Copy]:
    """This recipient's rows for these envelopes, by env."""
    found = connection.execute(_FIND, {"envs": envs, "recipient_is": recipient})
    return {
        row.env: _Copy(
            row.n, row.envelope, row.sender, row.slot, bool(row.expired), bool(row.held), row.size, row.exp
        )
        for row in found
    }


def _delete(connection: Connection, gone: Sequence[_Copy]) -> None:
    """Delete these rows; where one was the last that waited, also the body."""
    connection.execute(_DROP_COPY, [{"copy": copy.n} for copy in gone])
    rows = Counter(copy.sender for copy in gone)
    connection.execute(_LESS_ROWS, [{"who": sender, "many": many} for sender, many in rows.items()])
    waited = {
        copy.envelope: copy for copy in gone if not copy.expired
    }  # an expired one's body is gone already
    if waited:
        connection.execute(_WAITS_LESS, [{"which": n} for n in waited])
        done = connection.execute(_DONE, {"which": list(waited)}).scalars().all()
        _give_back(connection, [(n, waited[n].sender, waited[n].size) for n in done])


def _give_back(connection: Connection, done: Sequence[tuple[int, str, int]]) -> None:
    """Nobody waits for these (n, sender, size) any more: drop the bodies, return the quota. The headers stay."""
    if done:
        connection.execute(_DROP_BODY, [{"which": n} for n, _, _ in done])
        connection.execute(_GIVE_BACK, [{"who": sender, "many": size} for _, sender, size in done])


def expire(connection: Connection, *, now: int, sign: SignExpired) -> ExpiredRound:
    """Drop the bodies of up to EXPIRE_ENVELOPES envelopes whose `exp` is over and tell sender and recipients.

    `sign(number, [(recipient, env, lc), ...])` makes the hub's batch of `expired` leaves. Each row gets a new number,
    so that a node that has already passed it in this epoch sees it again, as expired.
    """
    due = connection.execute(
        select(envelopes.c.n, envelopes.c.env, envelopes.c.sender, envelopes.c.size, envelopes.c.exp)
        .where(and_(envelopes.c.waiting > 0, envelopes.c.exp <= now))
        .order_by(envelopes.c.exp)
        .limit(EXPIRE_ENVELOPES)
    ).all()
    recipients: set[str] = set()
    for envelope in due:
        rows = connection.execute(
            select(mailbox.c.n, mailbox.c.recipient, mailbox.c.slot)
            .where(and_(mailbox.c.envelope == envelope.n, mailbox.c.expired == 0))
            .order_by(mailbox.c.n)
        ).all()
        first = take_numbers(connection, "mailbox", len(rows))
        for i, row in enumerate(rows):
            connection.execute(update(mailbox).where(mailbox.c.n == row.n).values(n=first + i, expired=1))
            recipients.add(row.recipient)
        for start in range(0, len(rows), MAX_RECEIPT_LEAVES):
            part = rows[start : start + MAX_RECEIPT_LEAVES]
            batch = sign(
                next_batch(connection), [(r.recipient, envelope.env, r.slot[-LC_BYTES:]) for r in part]
            )
            proof = orjson.dumps(batch.proof(range(len(part))))
            n = add_proof(connection, proof, [envelope.n], keep_until=envelope.exp + RETENTION_MS)
            feed_proof(connection, envelope.sender, n)
        connection.execute(update(envelopes).where(envelopes.c.n == envelope.n).values(waiting=0))
        _give_back(connection, [(envelope.n, envelope.sender, envelope.size)])
    told = frozenset(envelope.sender for envelope in due)
    return ExpiredRound(len(due), told, frozenset(recipients), len(due) == EXPIRE_ENVELOPES)


@dataclass(frozen=True)
class Totals:
    """What waits at the hub, from the senders' counters."""

    envelopes: int
    bytes: int
    rows: int


def totals(connection: Connection) -> Totals:
    """Sums over the senders' counters: as many rows as there are senders, never as there are envelopes."""
    row = connection.execute(
        select(func.sum(senders.c.envelopes), func.sum(senders.c.bytes), func.sum(senders.c.rows))
    ).one()
    return Totals(int(row[0] or 0), int(row[1] or 0), int(row[2] or 0))
