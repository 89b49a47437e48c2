"""Owns the receipts that come back: each verified, kept as evidence, and turned into how far a copy has come (§7).

A state only advances through a receipt whose signature and path hold and whose leaf names this node's own sealing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import orjson

from exchange.canonical import ZERO32, Json, dumps
from exchange.errors import Rejected
from exchange.keys import PublicKey
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.keys.trust import counts
from exchange.node.mail.outbox import Outbox
from exchange.node.store import outbox as rows, sealings
from exchange.node.store.store import Store, Transaction, raise_alarm
from exchange.receipt import (
    ACCEPTED,
    EXPIRED,
    HUB,
    REJECTED,
    STORED,
    Leaf,
    VerifiedBatch,
    is_whole,
    verify_proof,
)

Step = Callable[[Transaction], None]
_OLD_KEY: Final = "envelope.revoked-key"
_END: Final = {STORED: rows.STORED, REJECTED: rows.REJECTED}


class Proofs:
    """Reads receipts for this node's envelopes."""

    def __init__(
        self, store: Store, identity: Identity, replica: Replica, outbox: Outbox, sources: Sources
    ) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._outbox = outbox
        self._sources = sources

    async def take(self, receipts: Sequence[Json]) -> None:
        """Receipts as the hub answered an upload with: good ones count, others alarm."""
        steps = [self.prepare(orjson.dumps(value)) for value in receipts]
        if steps:
            await self._store.db.write(lambda c: [step(c) for step in steps])

    def prepare(self, payload: bytes) -> Step:
        """What a receipts proof (JSON) changes, to be run in the transaction that takes the item.

        Raises Hold when its signer isn't in the directory yet.
        """
        try:
            value = _json(payload)
            batch = verify_proof(self._identity.net, value, self._key_of)
        except Rejected as fault:
            if fault.code == _OLD_KEY:
                # It may be its owner's or a thief's: the copy counts as not stored, and is sealed again.
                return lambda _: None
            return _alarm_step(fault, payload, self._sources.clock())
        every = range(len(batch.leaves))
        disclosed = batch.batch.disclosed(every) if is_whole(value) else value["leaves"]
        return lambda connection: self._apply(connection, batch, disclosed)

    def _key_of(self, signer: str, skid: bytes) -> PublicKey:
        directory = self._replica.directory
        if signer != HUB:
            standing = directory.key_standing(signer, skid)
            if not self._counts(signer, skid):
                raise Rejected(_OLD_KEY)
            return standing.key
        key = directory.hub.keys.signing
        if key.skid(self._identity.net) != skid:
            raise Rejected("receipt.unknown-signer")
        return key

    def _counts(self, signer: str, skid: bytes) -> bool:
        return counts(self._replica, signer, skid, self._sources.clock())

    def _apply(self, connection: Transaction, batch: VerifiedBatch, disclosed: Json) -> None:
        if batch.signer != HUB and not self._counts(batch.signer, batch.skid):
            return  # by a notice of the page that brought it, or a leaf that came since it was read
        for leaf, row in zip(batch.leaves, disclosed, strict=True):
            if not self._fits(connection, leaf):
                continue  # no sealing of ours, or another's copy: it proves nothing here
            sealings.add_proof(
                connection,
                env=leaf.env,
                recipient=leaf.to,
                status=leaf.status,
                code=leaf.code,
                at=batch.at,
                signer=batch.signer,
                body=batch.batch.body,
                signatures=batch.batch.signatures,
                leaf=dumps(row),
            )
            # No later than now: whoever signed may write what it likes, and people read it as a time.
            self._advance(connection, leaf, min(batch.at, self._sources.clock()))

    def _fits(self, connection: Transaction, leaf: Leaf) -> bool:
        if leaf.status == ACCEPTED:
            return sealings.get(connection, leaf.env) is not None
        link = sealings.link_of(connection, leaf.env, leaf.to)
        return link is not None and (link.lc == leaf.lc or (leaf.status == EXPIRED and leaf.lc == ZERO32))

    def _advance(self, connection: Transaction, leaf: Leaf, at: int) -> None:
        if leaf.status == ACCEPTED:
            sealings.set_accepted(connection, leaf.env)
            rows.set_accepted(connection, leaf.env, at=at)
            return
        link, sealing = sealings.link_of(connection, leaf.env, leaf.to), sealings.get(connection, leaf.env)
        if link is None or sealing is None or link.state == sealings.FORGOTTEN:
            return
        if EXPIRED in {leaf.status, leaf.code}:
            self._outbox.expire(connection, link)
        elif leaf.status in _END:
            state = _END[leaf.status]
            copy = rows.addressee(connection, self._store.cipher, sealing.message_n, leaf.to)
            # A late rejection says nothing about a newer sealing, nor of a copy that was given up.
            given = copy is not None and copy.env == leaf.env and copy.state != rows.LOST
            if copy is not None and (state == rows.STORED or given):
                rows.set_ended(connection, sealing.message_n, leaf.to, state, leaf.code, at=at)
            sealings.set_link(connection, leaf.env, leaf.to, leaf.status)


def _json(payload: bytes) -> Json:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise Rejected("receipt.bad-format", "not JSON") from None


def _alarm_step(fault: Rejected, payload: bytes, now: int) -> Step:
    """A receipt that doesn't hold is the hub's doing: told once per code, never believed."""

    def step(connection: Transaction) -> None:
        raise_alarm(
            connection, key=f"receipt/{fault.code}", at=now, code=fault.code, subject="hub", evidence=payload
        )

    return step
