"""Receipts at rest in the hub: proofs for senders, their feed, and the batch numbers of every signer.

Owns the tables proofs, proof_links, proof_feed and signers. Signs and verifies nothing (receipt.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson
from sqlalchemy import Connection, and_, delete, func, insert, select, text
from sqlalchemy.dialects.sqlite import insert as upsert

from exchange.hub.store.tables import proof_feed, proof_links, proofs, signers
from exchange.receipt import HUB

# of proofs in the answer to one repeated envelope; the rest goes through the feed
ANSWER_BYTES: Final = 1_048_576


# Built once: putting a statement together costs more than running it.
_RAISE = (_raise := upsert(signers)).on_conflict_do_update(
    index_elements=["address"], set_={"batch": func.max(signers.c.batch, _raise.excluded.batch)}
)
_NEXT = (
    upsert(signers)
    .values(address=HUB, batch=1)
    .on_conflict_do_update(index_elements=["address"], set_={"batch": signers.c.batch + 1})
    .returning(signers.c.batch)
)
_ADD_PROOF = insert(proofs).returning(proofs.c.n)
_ADD_LINKS = text(
    "INSERT INTO proof_links (envelope, proof) SELECT value, :proof FROM json_each(:envelopes)"
)  # in one step, as in store/release.py
_ADD_FED = insert(proof_feed)


def next_batch(connection: Connection) -> int:
    """The number of the hub's next batch."""
    return int(connection.execute(_NEXT).scalar_one())


def remember_batch(connection: Connection, signer: str, number: int) -> None:
    """Raise the signer's highest known batch number to `number`."""
    connection.execute(_RAISE, {"address": signer, "batch": number})


def highest_batch(connection: Connection, signer: str) -> int:
    """The highest batch number seen of `signer`; 0 before the first."""
    found = connection.execute(
        select(signers.c.batch).where(signers.c.address == signer)
    ).scalar_one_or_none()
    return int(found or 0)


def add_proof(connection: Connection, proof: bytes, about: Sequence[int], *, keep_until: int) -> int:
    """Keep a proof that speaks of the envelopes `about`; its number."""
    n = int(connection.execute(_ADD_PROOF, {"proof": proof, "keep_until": keep_until}).scalar_one())
    envelopes = orjson.dumps(sorted(set(about))).decode("ascii")
    connection.execute(_ADD_LINKS, {"envelopes": envelopes, "proof": n})
    return n


def feed_proof(connection: Connection, sender: str, n: int) -> None:
    """Put a proof into its sender's feed."""
    connection.execute(_ADD_FED, {"sender": sender, "proof": n})


def proofs_of(connection: Connection, envelope: int, sender: str) -> dict[int, bytes]:
    """What the hub still holds for an envelope, oldest first; what is over ANSWER_BYTES is fed to `sender` again."""
    found = connection.execute(
        select(proofs.c.n, func.length(proofs.c.proof).label("size"))
        .join(proof_links, proof_links.c.proof == proofs.c.n)
        .where(proof_links.c.envelope == envelope)
        .order_by(proofs.c.n)
    ).all()
    room = ANSWER_BYTES
    near: list[int] = []
    far: list[int] = []
    for row in found:
        room -= row.size
        (near if room >= 0 else far).append(row.n)
    waiting = select(proof_feed.c.proof).where(
        and_(proof_feed.c.sender == sender, proof_feed.c.proof.in_(far))
    )
    fed = set(connection.execute(waiting).scalars()) if far else set()
    for n in far:
        if n not in fed:
            feed_proof(connection, sender, n)
    rows = connection.execute(
        select(proofs.c.n, proofs.c.proof).where(proofs.c.n.in_(near)).order_by(proofs.c.n)
    )
    return {row.n: row.proof for row in rows}


def drop_fed(connection: Connection, sender: str, up_to: int) -> None:
    """The sender has stored its proofs up to feed number `up_to`."""
    connection.execute(delete(proof_feed).where(and_(proof_feed.c.sender == sender, proof_feed.c.n <= up_to)))
