"""How envelopes enter the hub's store: a group of them, with the receipts for it, in one transaction.

Owns the writes of `accept`. Verifies nothing (mailboxes.py did, docs/protocol.md §4.4 steps 1-10); quota is step 11
and is judged here because only the transaction knows what is used. Leaving the store is store_release.py's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from exchange.hub.store_receipts import add_proof, next_batch, proofs_of
from exchange.hub.store_tables import RETENTION_MS, bodies, counters, envelopes, mailbox, senders
from exchange.receipt import Batch

Sign = Callable[[int, Sequence[bytes]], Batch]


@dataclass(frozen=True)
class NewEnvelope:
    """A checked envelope. `lane` is its index in LANES, `size` the upload's bytes, `exp` in ms."""

    env: bytes
    sender: str
    header: bytes
    signatures: bytes
    recipients: tuple[str, ...]
    slots: tuple[bytes, ...]
    body: bytes
    lane: int
    exp: int
    size: int


@dataclass(frozen=True)
class Quota:
    """What one sender may have waiting at the hub."""

    envelopes: int
    bytes: int


@dataclass(frozen=True)
class Kept:
    """What became of one envelope: its number and receipts, by the proofs' numbers; n is 0 when over quota."""

    n: int
    new: bool
    proofs: dict[int, bytes]


def accept_group(
    connection: Connection, group: Sequence[NewEnvelope], *, at: int, quota: Quota, sign: Sign
) -> list[Kept]:
    """Store what is new, sign one batch of `accepted` for it, answer what is known with its receipts.

    `sign(number, envs)` makes the hub's batch; it is durable together with what it speaks of.
    """
    numbers = _known(connection, [new.env for new in group])
    used = _Used(connection, {new.sender for new in group})
    fresh: list[NewEnvelope] = []
    repeated: set[bytes] = set(numbers)
    for new in group:
        if new.env not in numbers and used.take(new, quota):
            numbers[new.env] = _store(connection, new, at)
            fresh.append(new)
    if fresh:
        used.write()
    proofs = _receipt(connection, fresh, numbers, sign) if fresh else {}
    kept: list[Kept] = []
    first = {new.env for new in fresh}
    for new in group:
        if new.env in first:
            first.remove(new.env)  # the same one a second time in a group is a repeat
            kept.append(Kept(numbers[new.env], True, proofs[new.sender]))
        elif new.env in numbers:
            known = (
                proofs_of(connection, numbers[new.env], new.sender)
                if new.env in repeated
                else proofs[new.sender]
            )
            kept.append(Kept(numbers[new.env], False, known))
        else:
            kept.append(Kept(0, False, {}))
    return kept


def is_known(connection: Connection, env: bytes) -> bool:
    """Whether this envelope was accepted before and is still remembered."""
    return bool(_known(connection, [env]))


def _known(connection: Connection, envs: Sequence[bytes]) -> dict[bytes, int]:
    found = connection.execute(select(envelopes.c.env, envelopes.c.n).where(envelopes.c.env.in_(envs)))
    return {row.env: row.n for row in found}


def _store(connection: Connection, new: NewEnvelope, at: int) -> int:
    row = connection.execute(
        insert(envelopes).returning(envelopes.c.n),
        {
            "env": new.env,
            "sender": new.sender,
            "header": new.header,
            "signatures": new.signatures,
            "lane": new.lane,
            "exp": new.exp,
            "size": new.size,
            "waiting": len(new.recipients),
            "accepted_at": at,
        },
    ).one()
    n = int(row.n)
    connection.execute(insert(bodies), {"envelope": n, "body": new.body})
    first = take_numbers(connection, len(new.recipients))
    rows = [
        {"n": first + i, "recipient": recipient, "lane": new.lane, "envelope": n, "slot": slot, "expired": 0}
        for i, (recipient, slot) in enumerate(zip(new.recipients, new.slots, strict=True))
    ]
    connection.execute(insert(mailbox), rows)
    return n


def take_numbers(connection: Connection, count: int) -> int:
    """The first of `count` mailbox numbers that were never given before."""
    statement = upsert(counters).values(name="mailbox", value=count)
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"value": counters.c.value + count}
    )
    last = int(connection.execute(statement.returning(counters.c.value)).scalar_one())
    return last - count + 1


class _Used:
    """What the senders of a group have waiting, read once and written once."""

    def __init__(self, connection: Connection, addresses: set[str]) -> None:
        self._connection = connection
        found = connection.execute(select(senders).where(senders.c.address.in_(addresses)))
        self._now = {address: [0, 0, 0] for address in addresses}
        self._now |= {row.address: [row.envelopes, row.bytes, row.rows] for row in found}

    def take(self, new: NewEnvelope, quota: Quota) -> bool:
        used = self._now[new.sender]
        if used[0] + 1 > quota.envelopes or used[1] + new.size > quota.bytes:
            return False
        used[0] += 1
        used[1] += new.size
        used[2] += len(new.recipients)
        return True

    def write(self) -> None:
        statement = upsert(senders)
        same = {name: statement.excluded[name] for name in ("envelopes", "bytes", "rows")}
        rows = [
            {"address": address, "envelopes": used[0], "bytes": used[1], "rows": used[2]}
            for address, used in self._now.items()
        ]
        self._connection.execute(statement.on_conflict_do_update(index_elements=["address"], set_=same), rows)


def _receipt(
    connection: Connection, fresh: Sequence[NewEnvelope], numbers: dict[bytes, int], sign: Sign
) -> dict[str, dict[int, bytes]]:
    """One signed batch for the group; each sender's proof holds its own leaves only."""
    batch = sign(next_batch(connection), [new.env for new in fresh])
    mine: dict[str, list[int]] = defaultdict(list)
    for index, new in enumerate(fresh):
        mine[new.sender].append(index)
    proofs: dict[str, dict[int, bytes]] = {}
    for sender, indexes in mine.items():
        proof = orjson.dumps(batch.proof(indexes))
        keep_until = max(fresh[index].exp for index in indexes) + RETENTION_MS
        n = add_proof(
            connection, proof, [numbers[fresh[index].env] for index in indexes], keep_until=keep_until
        )
        proofs[sender] = {n: proof}
    return proofs


def give_back(connection: Connection, *, n: int, sender: str, size: int) -> None:
    """Nobody waits for envelope `n` any more: drop its body, return its quota. Its row stays (store_release.py)."""
    connection.execute(bodies.delete().where(bodies.c.envelope == n))
    connection.execute(
        update(senders)
        .where(senders.c.address == sender)
        .values(envelopes=senders.c.envelopes - 1, bytes=senders.c.bytes - size)
    )
