"""How the hub forgets: header, signatures and receipts of an envelope that is over, by the policy it publishes (§8.5).

Owns the writes that delete for good. What is forgotten and comes again is new to the hub: its recipients know it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, delete, exists, or_, select, update

from exchange.hub.store.release import give_back
from exchange.hub.store.tables import (
    RETENTION_MS,
    envelopes,
    mailbox,
    proof_feed,
    proof_links,
    proofs,
    senders,
)
from exchange.limits import DAY_MS

PRUNE_ENVELOPES: Final = 256  # in one transaction: others must get their turn


@dataclass(frozen=True)
class Keeping:
    """The policy, in days: after everybody has receipted an envelope, and after its `exp`, whichever comes first."""

    released_days: int
    expired_days: int


LONGEST: Final = Keeping(RETENTION_MS // DAY_MS, RETENTION_MS // DAY_MS)


def prune(connection: Connection, *, now: int, keeping: Keeping) -> bool:
    """Forget up to PRUNE_ENVELOPES envelopes of each kind, and receipts nobody can ask for; whether there was any.

    An envelope whose sender has not stored its receipts, or whose recipient has not heard that it expired, stays until
    the days after its `exp` are over.
    """
    _note_released(connection, now)
    released = _forget_released(connection, now, now - keeping.released_days * DAY_MS)
    expired = _forget_expired(connection, now - keeping.expired_days * DAY_MS)
    left = RETENTION_MS - keeping.expired_days * DAY_MS  # `keep_until` stands at the longest policy
    stale = select(proofs.c.n).where(proofs.c.keep_until <= now + left).limit(PRUNE_ENVELOPES)
    receipts = connection.execute(delete(proofs).where(proofs.c.n.in_(stale))).rowcount
    return bool(released or expired or receipts)


def _note_released(connection: Connection, now: int) -> None:
    """Nobody waits for these any more, as of now."""
    done = (
        select(envelopes.c.n)
        .where(and_(envelopes.c.waiting == 0, envelopes.c.released_at.is_(None)))
        .limit(PRUNE_ENVELOPES)
    )
    connection.execute(update(envelopes).where(envelopes.c.n.in_(done)).values(released_at=now))


def _forget_released(connection: Connection, now: int, before: int) -> int:
    """Forget what was released before then (ms) and is settled; what isn't is looked at again as if released now."""
    is_open = or_(
        exists().where(mailbox.c.envelope == envelopes.c.n),
        exists().where(
            and_(proof_links.c.envelope == envelopes.c.n, proof_feed.c.proof == proof_links.c.proof)
        ),
    )
    due = connection.execute(
        select(envelopes.c.n, is_open.label("is_open"))
        .where(envelopes.c.released_at <= before)
        .limit(PRUNE_ENVELOPES)
    ).all()
    waiting = [row.n for row in due if row.is_open]
    connection.execute(update(envelopes).where(envelopes.c.n.in_(waiting)).values(released_at=now))
    return _forget(connection, [row.n for row in due if not row.is_open])


def _forget(connection: Connection, numbers: Sequence[int]) -> int:
    """Delete envelopes, and the receipts that speak of no other one."""
    about = (
        connection.execute(select(proof_links.c.proof).where(proof_links.c.envelope.in_(numbers)).distinct())
        .scalars()
        .all()
    )
    connection.execute(delete(envelopes).where(envelopes.c.n.in_(numbers)))
    of_others = exists().where(proof_links.c.proof == proofs.c.n)
    connection.execute(delete(proofs).where(and_(proofs.c.n.in_(about), ~of_others)))
    return len(numbers)


def _forget_expired(connection: Connection, before: int) -> int:
    """Forget envelopes whose `exp` was before then (ms), with the word of it that nobody has fetched."""
    old = connection.execute(
        select(envelopes.c.n, envelopes.c.sender, envelopes.c.size)
        .where(and_(envelopes.c.exp <= before, envelopes.c.waiting == 0))
        .order_by(envelopes.c.exp)
        .limit(PRUNE_ENVELOPES)
    ).all()
    for envelope in old:
        gone = connection.execute(delete(mailbox).where(mailbox.c.envelope == envelope.n)).rowcount
        if gone:
            connection.execute(
                update(senders).where(senders.c.address == envelope.sender).values(rows=senders.c.rows - gone)
            )
            give_back(connection, [(envelope.sender, envelope.size)], envelopes=0)
    connection.execute(delete(envelopes).where(envelopes.c.n.in_([envelope.n for envelope in old])))
    return len(old)
