"""How mail leaves the hub's store: on its recipient's receipt, or at its expiry; what is left is store/forget.py's.

Owns the writes that delete. Verifies nothing: batches come verified (receipt.py), `sign` makes the hub's own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson
from sqlalchemy import Connection, and_, bindparam, func, select, text, update

from exchange.hub.store.accept import take_numbers
from exchange.hub.store.receipts import add_proof, feed_proof, next_batch, remember_batch
from exchange.hub.store.tables import RETENTION_MS, envelopes, mailbox, senders, slots
from exchange.limits import MAX_RECEIPT_LEAVES
from exchange.receipt import HELD, Batch, VerifiedBatch
from exchange.wire import SLOT_BYTES

EXPIRE_ENVELOPES: Final = 16  # in one transaction: others must get their turn

SignExpired = Callable[[int, Sequence[tuple[str, bytes, bytes]]], Batch]


class _Copy(NamedTuple):
    """One recipient's row with what its envelope says."""

    n: int
    envelope: int
    sender: str
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


# Built once: putting a statement together costs more than running it. Lists travel as JSON and come back so, each
# statement in one step: SQLite lets go of the interpreter's lock once a step, and has to win it back.
_FIND = text(  # CROSS JOIN: in this order, or SQLite goes through the whole mailbox for each leaf
    "SELECT json_group_array(json_array(i.value, c.n, c.envelope, e.sender, c.expired, c.held, e.size, e.exp))"
    " FROM json_each(:indexes) AS i"
    " CROSS JOIN envelopes AS e ON e.env = substr(:envs, 1 + 32 * i.value, 32)"
    " CROSS JOIN mailbox AS c ON c.envelope = e.n AND c.recipient = :recipient"
    " WHERE c.lc = substr(:lcs, 1 + 32 * i.value, 32)"
)
_HOLD = text("UPDATE mailbox SET held = 1 WHERE n IN (SELECT value FROM json_each(:numbers))")
_DROP_COPIES = text("DELETE FROM mailbox WHERE n IN (SELECT value FROM json_each(:numbers))")
_DONE = text(
    "SELECT json_group_array(value) FROM json_each(:numbers)"
    " WHERE NOT EXISTS (SELECT 1 FROM mailbox WHERE envelope = value)"
)
_DROP_SLOTS = text("DELETE FROM slots WHERE envelope IN (SELECT value FROM json_each(:numbers))")
_DROP_BODIES = text("DELETE FROM bodies WHERE envelope IN (SELECT value FROM json_each(:numbers))")
_NOBODY_WAITS = text("UPDATE envelopes SET waiting = 0 WHERE n IN (SELECT value FROM json_each(:numbers))")
_LESS_ROWS = (
    update(senders)
    .where(senders.c.address == bindparam("who"))
    .values(rows=senders.c.rows - bindparam("many"))
)
_SLOTS = select(slots.c.slots).where(slots.c.envelope == bindparam("which"))
_KEEP_SLOTS = text("UPDATE slots SET slots = :slots WHERE envelope = :which")
_HEAD_BYTES = text("SELECT length(header) + length(signatures) FROM heads WHERE envelope = :which")
_STILL_COUNTED = text("UPDATE envelopes SET size = :size WHERE n = :which")
_GIVE_BACK = (
    update(senders)
    .where(senders.c.address == bindparam("who"))
    .values(envelopes=senders.c.envelopes - bindparam("count"), bytes=senders.c.bytes - bindparam("many"))
)


def apply_receipts(connection: Connection, verified: VerifiedBatch) -> Released:
    """Delete the rows that the leaves name by (from, env, lc); give each sender a proof of its own leaves.

    A row that is `held` stays, and its sender hears so once: a repeat would fill its feed at no cost.
    """
    remember_batch(connection, verified.signer, verified.number)
    copies = _copies_of(connection, verified)
    news: dict[str, list[tuple[int, _Copy]]] = defaultdict(list)
    gone: list[_Copy] = []
    held: list[_Copy] = []
    taken: set[int] = set()
    for index, leaf in enumerate(verified.leaves):
        copy = copies.get(index)
        if copy is None or copy.n in taken or (leaf.status == HELD and copy.held):
            continue
        taken.add(copy.n)  # a second leaf for the same copy matches nothing
        news[copy.sender].append((index, copy))
        (held if leaf.status == HELD else gone).append(copy)
    if held:
        connection.execute(_HOLD, _numbers(copy.n for copy in held))
    if gone:
        _delete(connection, gone)
    for sender, pairs in news.items():
        proof = orjson.dumps(verified.batch.proof([index for index, _ in pairs]))
        keep_until = max(copy.exp for _, copy in pairs) + RETENTION_MS
        n = add_proof(connection, proof, [copy.envelope for _, copy in pairs], keep_until=keep_until)
        feed_proof(connection, sender, n)
    matched = sum(len(pairs) for pairs in news.values())
    return Released(matched, len(verified.leaves) - matched, frozenset(news))


def _copies_of(connection: Connection, verified: VerifiedBatch) -> dict[int, _Copy]:
    """The signer's rows that the leaves name by (env, lc), by the leaf's index."""
    found = connection.execute(
        _FIND,
        {
            "indexes": orjson.dumps(list(range(len(verified.leaves)))).decode("ascii"),
            "envs": b"".join([leaf.env for leaf in verified.leaves]),
            "lcs": b"".join([leaf.lc for leaf in verified.leaves]),
            "recipient": verified.signer,
        },
    ).scalar_one()
    return {
        index: _Copy(n, envelope, sender, bool(expired), bool(held), size, exp)
        for index, n, envelope, sender, expired, held, size, exp in orjson.loads(found)
    }


def _numbers(numbers: Iterable[int]) -> dict[str, str]:
    return {"numbers": orjson.dumps(list(numbers)).decode("ascii")}


def _delete(connection: Connection, gone: Sequence[_Copy]) -> None:
    """Delete these rows; where one was an envelope's last, also the slots, and the body if it is still there.

    Of an expired one the body is gone, and its place among the envelopes given back.
    """
    connection.execute(_DROP_COPIES, _numbers(copy.n for copy in gone))
    rows = Counter(copy.sender for copy in gone)
    connection.execute(_LESS_ROWS, [{"who": sender, "many": many} for sender, many in rows.items()])
    by_number = {copy.envelope: copy for copy in gone}
    done = orjson.loads(connection.execute(_DONE, _numbers(by_number)).scalar_one())
    if done:
        connection.execute(_DROP_SLOTS, _numbers(done))
        over = [by_number[n] for n in done]
        alive = [(copy.sender, copy.size) for copy in over if not copy.expired]
        _drop_bodies(connection, [copy.envelope for copy in over if not copy.expired])
        give_back(connection, alive, envelopes=1)
        give_back(connection, [(copy.sender, copy.size) for copy in over if copy.expired], envelopes=0)


def _drop_bodies(connection: Connection, done: Sequence[int]) -> None:
    """Nobody waits for these any more. The headers stay."""
    connection.execute(_NOBODY_WAITS, _numbers(done))
    connection.execute(_DROP_BODIES, _numbers(done))


def give_back(connection: Connection, shares: Iterable[tuple[str, int]], *, envelopes: int) -> None:
    """Count so many bytes less for each sender, and for each share so many envelopes."""
    count, size = Counter[str](), Counter[str]()
    for sender, one in shares:
        count[sender] += envelopes
        size[sender] += one
    if count:
        connection.execute(
            _GIVE_BACK, [{"who": who, "count": many, "many": size[who]} for who, many in count.items()]
        )


def expire(connection: Connection, *, now: int, sign: SignExpired) -> ExpiredRound:
    """Drop the bodies of up to EXPIRE_ENVELOPES envelopes whose `exp` is over and tell sender and recipients.

    What stays of each counts against its sender's bytes for as long: else a sender could leave headers without end.

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
            select(mailbox.c.n, mailbox.c.recipient, mailbox.c.lc, mailbox.c.place)
            .where(and_(mailbox.c.envelope == envelope.n, mailbox.c.expired == 0))
            .order_by(mailbox.c.n)
        ).all()
        first = take_numbers(connection, "mailbox", len(rows))
        for i, row in enumerate(rows):
            moved = update(mailbox).where(mailbox.c.n == row.n)
            connection.execute(moved.values(n=first + i, expired=1, place=i))
            recipients.add(row.recipient)
        for start in range(0, len(rows), MAX_RECEIPT_LEAVES):
            part = rows[start : start + MAX_RECEIPT_LEAVES]
            batch = sign(next_batch(connection), [(row.recipient, envelope.env, row.lc) for row in part])
            proof = orjson.dumps(batch.proof(range(len(part))))
            n = add_proof(connection, proof, [envelope.n], keep_until=envelope.exp + RETENTION_MS)
            feed_proof(connection, envelope.sender, n)
        _drop_bodies(connection, [envelope.n])
        left = _keep_slots(connection, envelope.n, [row.place for row in rows])
        connection.execute(_STILL_COUNTED, {"which": envelope.n, "size": left})
        give_back(connection, [(envelope.sender, envelope.size - left)], envelopes=1)
    told = frozenset(envelope.sender for envelope in due)
    return ExpiredRound(len(due), told, frozenset(recipients), len(due) == EXPIRE_ENVELOPES)


def _keep_slots(connection: Connection, envelope: int, places: Sequence[int]) -> int:
    """Drop all slots but those at `places`, which stand in that order then; the bytes that stay of the envelope."""
    whole = connection.execute(_SLOTS, {"which": envelope}).scalar_one()
    kept = b"".join([whole[place * SLOT_BYTES : (place + 1) * SLOT_BYTES] for place in places])
    connection.execute(_KEEP_SLOTS, {"which": envelope, "slots": kept})
    return len(kept) + int(connection.execute(_HEAD_BYTES, {"which": envelope}).scalar_one())


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
