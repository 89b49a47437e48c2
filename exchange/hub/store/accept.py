"""How envelopes enter the hub's store: a group of them, with the receipts for it, in one transaction.

Owns the writes of `accept`. Verifies nothing (mailboxes.py did, docs/protocol.md §4.4 steps 1-10); quota is step 11
and is judged here because only the transaction knows what is used. Leaving the store is store/release.py's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, bindparam, insert, select, text
from sqlalchemy.dialects.sqlite import insert as upsert

from exchange.attachment import Blob
from exchange.directory.network import member_of
from exchange.errors import Refused
from exchange.hub.store.blobs import add_audience, named
from exchange.hub.store.receipts import add_proof, next_batch, proofs_of
from exchange.hub.store.tables import RETENTION_MS, bodies, counters, envelopes, heads, senders, slots
from exchange.receipt import Batch
from exchange.wire import LC_BYTES, SLOT_BYTES

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
    blobs: tuple[Blob, ...] = ()

    @property
    def delivery(self) -> int:
        """Bytes of one recipient's share."""
        return len(self.header) + len(self.signatures) + len(self.body) + SLOT_BYTES


@dataclass(frozen=True)
class Quota:
    """What one sender may have waiting at the hub."""

    envelopes: int
    bytes: int


@dataclass(frozen=True)
class Kept:
    """What became of one envelope. n is its number, 0 when it is over quota, or `lacks` an attachment.

    One of this group has the signed batch it stands in, and its index there; one known before the proofs there are,
    by number. `new`: stored now (the same one a second time in a group is not), and then `copies` is the number of
    its first recipient's row in the mailbox; the others' follow.
    """

    n: int
    new: bool = False
    copies: int = 0
    batch: Batch | None = None
    index: int = 0
    proofs: Mapping[int, bytes] = field(default_factory=dict)
    lacks: bool = False

    def refusal(self, retry_seconds: int) -> Refused | None:
        """What says so to its sender, who may repeat it after `retry_seconds`, or with the attachment at once."""
        if self.lacks:
            return Refused("envelope.blob-missing")
        return None if self.n else Refused("quota.exceeded", retry_after=retry_seconds)


def accept_group(
    connection: Connection, group: Sequence[NewEnvelope], *, at: int, quota: Quota, sign: Sign
) -> list[Kept]:
    """Store what is new, sign one batch of `accepted` for it, answer what is known with its receipts.

    `sign(number, envs)` makes the hub's batch; it is durable together with what it speaks of.
    """
    known = _known(connection, [new.env for new in group])
    used = _Used(connection, {new.sender for new in group})
    attached = {new.env: _blobs_of(connection, new) for new in group}
    fresh: dict[bytes, NewEnvelope] = {}
    for new in group:
        lacks = attached[new.env] is None
        if new.env not in known and new.env not in fresh and not lacks and used.take(new, quota):
            fresh[new.env] = new
    numbers, copies = _store(connection, list(fresh.values()), at) if fresh else ({}, {})
    batch = _receipt(connection, list(fresh.values()), numbers, sign) if fresh else None
    indexes = {env: index for index, env in enumerate(fresh)}
    if fresh:
        used.write()
    for new in fresh.values():
        if blobs := attached[new.env]:
            add_audience(connection, blobs, new.recipients, at=at, exp=new.exp)
    kept = []
    for new in group:
        if new.env in known:
            proofs = proofs_of(connection, known[new.env], new.sender)
            kept.append(Kept(known[new.env], proofs=proofs))
        elif new.env in fresh:
            once = fresh[new.env] is new
            kept.append(
                Kept(numbers[new.env], new=once, copies=copies[new.env], batch=batch, index=indexes[new.env])
            )
        else:
            kept.append(Kept(0, lacks=attached[new.env] is None))
    return kept


def _blobs_of(connection: Connection, new: NewEnvelope) -> list[int] | None:
    """The numbers of its attachments; None where one isn't here."""
    return named(connection, member_of(new.sender), new.blobs) if new.blobs else []


def is_known(connection: Connection, env: bytes) -> bool:
    """Whether this envelope was accepted before and is still remembered."""
    return bool(_known(connection, [env]))


def repeat(connection: Connection, env: bytes, sender: str) -> Kept | None:
    """What a known envelope's sender gets for sending it again; None if it isn't remembered any more."""
    n = _known(connection, [env]).get(env)
    return None if n is None else Kept(n, proofs=proofs_of(connection, n, sender))


# Built once: putting a statement together costs more than running it.
_FIND = select(envelopes.c.env, envelopes.c.n).where(envelopes.c.env.in_(bindparam("envs", expanding=True)))
_ADD_ENVELOPE = insert(envelopes)
_ADD_HEAD = insert(heads)
_ADD_BODY = insert(bodies)
_ADD_SLOTS = insert(slots)
# all rows of an envelope in one step: SQLite lets go of the interpreter's lock once a step, and has to win it back
_ADD_COPIES = text(
    "INSERT INTO mailbox (n, recipient, lane, envelope, place, lc, expired)"
    " SELECT :first + key, value, :lane, :envelope, key, substr(:lcs, 1 + key * :width, :width), 0"
    " FROM json_each(:recipients)"
)
_TAKE = (
    (_count := upsert(counters).values(name=bindparam("counter"), value=bindparam("many")))
    .on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + _count.excluded.value})
    .returning(counters.c.value)
)
_USED = select(senders).where(senders.c.address.in_(bindparam("addresses", expanding=True)))
_SET_USED = (_set := upsert(senders)).on_conflict_do_update(
    index_elements=["address"], set_={name: _set.excluded[name] for name in ("envelopes", "bytes", "rows")}
)


def _known(connection: Connection, envs: Sequence[bytes]) -> dict[bytes, int]:
    return {row.env: row.n for row in connection.execute(_FIND, {"envs": envs})}


def _store(
    connection: Connection, fresh: Sequence[NewEnvelope], at: int
) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """Write them in order; their numbers by env, and those of the first copy of each."""
    first = take_numbers(connection, "envelopes", len(fresh))
    copy = take_numbers(connection, "mailbox", sum(len(new.recipients) for new in fresh))
    numbers = {new.env: first + i for i, new in enumerate(fresh)}
    first_copies = {}
    copies = []
    for new in fresh:
        first_copies[new.env] = copy
        copies.append(
            {
                "first": copy,
                "recipients": orjson.dumps(new.recipients).decode("ascii"),
                "lane": new.lane,
                "envelope": numbers[new.env],
                "lcs": b"".join([slot[-LC_BYTES:] for slot in new.slots]),
                "width": LC_BYTES,
            }
        )
        copy += len(new.recipients)
    rows = [
        {
            "n": numbers[new.env],
            "env": new.env,
            "sender": new.sender,
            "lane": new.lane,
            "exp": new.exp,
            "size": new.size,
            "delivery": new.delivery,
            "waiting": len(new.recipients),
            "accepted_at": at,
        }
        for new in fresh
    ]
    connection.execute(_ADD_ENVELOPE, rows)
    connection.execute(
        _ADD_HEAD,
        [{"envelope": numbers[new.env], "header": new.header, "signatures": new.signatures} for new in fresh],
    )
    connection.execute(_ADD_BODY, [{"envelope": numbers[new.env], "body": new.body} for new in fresh])
    connection.execute(
        _ADD_SLOTS, [{"envelope": numbers[new.env], "slots": b"".join(new.slots)} for new in fresh]
    )
    connection.execute(_ADD_COPIES, copies)
    return numbers, first_copies


def take_numbers(connection: Connection, counter: str, many: int) -> int:
    """The first of `many` numbers of this counter that were never given before."""
    last = int(connection.execute(_TAKE, {"counter": counter, "many": many}).scalar_one())
    return last - many + 1


class _Used:
    """What the senders of a group have waiting, read once and written once."""

    def __init__(self, connection: Connection, addresses: set[str]) -> None:
        self._connection = connection
        found = connection.execute(_USED, {"addresses": sorted(addresses)})
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
        self._connection.execute(
            _SET_USED,
            [
                {"address": address, "envelopes": used[0], "bytes": used[1], "rows": used[2]}
                for address, used in self._now.items()
            ],
        )


def _receipt(
    connection: Connection, fresh: Sequence[NewEnvelope], numbers: Mapping[bytes, int], sign: Sign
) -> Batch:
    """One signed batch for the group; for a repeat each sender's proof of its own leaves is kept."""
    batch = sign(next_batch(connection), [new.env for new in fresh])
    mine: dict[str, list[int]] = defaultdict(list)
    for index, new in enumerate(fresh):
        mine[new.sender].append(index)
    for indexes in mine.values():
        about = [numbers[fresh[index].env] for index in indexes]
        keep_until = max(fresh[index].exp for index in indexes) + RETENTION_MS
        add_proof(connection, orjson.dumps(batch.proof(indexes)), about, keep_until=keep_until)
    return batch
