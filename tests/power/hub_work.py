"""A hub's store at work on a disk that will lose its power, and what must be true of what is left.

Owns the work (drawn from a seed: groups of envelopes, receipts, expiry, pruning, the log) and the promises that the
store gave meanwhile. The store is the product's; envelopes and signatures are chance, since it verifies nothing.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from exchange.canonical import b64, sha256, unb64
from exchange.errors import ExchangeError
from exchange.header import LANES, DirRef
from exchange.hub.store.accept import NewEnvelope, Quota, Sign
from exchange.hub.store.cursor import RECEIPTS, Cursor
from exchange.hub.store.page import Announcement
from exchange.hub.store.store import HubStore
from exchange.hub.store.tables import RETENTION_MS
from exchange.receipt import HELD, HUB, REJECTED, STORED, Batch, Leaf, VerifiedBatch
from exchange.wire import LC_BYTES, SLOT_BYTES
from tests.power.disk import Disk

MEMBERS = ("ar-csirt", "bo-csirt", "cl-csirt", "co-csirt", "pe-csirt")
QUOTA = Quota(envelopes=40, bytes=400_000)
LIFE_MS = 10_000
START_MS = 1_790_000_000_000


@dataclass
class Found:
    """What lies in a hub's tables. `envelopes`: number and `waiting` by id; `copies`: number and recipient;
    `bodies`: hash by number; `receipts`: bodies of batches, as in JSON, by the number of an envelope they speak of."""

    envelopes: dict[bytes, tuple[int, int]]
    copies: set[tuple[int, str]]
    bodies: dict[int, bytes]
    receipts: dict[int, set[str]]
    counters: dict[str, int]
    signers: dict[str, int]
    leaves: list[bytes]

    @classmethod
    def read(cls, c: sqlite3.Connection) -> Found:
        """All of it."""
        receipts: dict[int, set[str]] = {}
        query = "SELECT l.envelope, p.proof FROM proofs p JOIN proof_links l ON l.proof = p.n"
        for n, proof in c.execute(query):
            receipts.setdefault(n, set()).add(orjson.loads(proof)["body"])
        return cls(
            envelopes={row[0]: row[1:] for row in c.execute("SELECT env, n, waiting FROM envelopes")},
            copies=set(c.execute("SELECT envelope, recipient FROM mailbox")),
            bodies={n: sha256(body) for n, body in c.execute("SELECT envelope, body FROM bodies")},
            receipts=receipts,
            counters=dict(c.execute("SELECT name, value FROM counters")),
            signers=dict(c.execute("SELECT address, batch FROM signers")),
            leaves=[leaf for (leaf,) in c.execute("SELECT leaf FROM leaves ORDER BY position")],
        )


@dataclass
class Promise:
    """What was acknowledged, when (calls to the disk), and who looks whether it was kept: "" or what is wrong."""

    at: int
    kept: Callable[[Found, int], str]


class GivenTwice(Exception):
    """A number that was acknowledged for one thing was given to another."""


@dataclass
class Hub:
    """What callers of a hub have been told since its first start, over all its cuts."""

    chance: random.Random
    now: int = START_MS
    given: dict[tuple[str, int], bytes] = field(
        default_factory=dict
    )  # who has which number, by kind and number
    open: dict[tuple[bytes, str], bytes] = field(
        default_factory=dict
    )  # lc of copies by envelope and recipient
    began: dict[tuple[bytes, str], int] = field(default_factory=dict)  # when a copy's release began
    pruned: list[tuple[int, int]] = field(default_factory=list)  # when pruning began, and up to which `exp`
    numbers: dict[str, int] = field(default_factory=dict)  # of each member's receipt batches
    promises: list[Promise] = field(default_factory=list)

    def begin_run(self) -> None:
        """All that was promised and begun before is older than the first call of the run to come."""
        self.promises = [Promise(-1, one.kept) for one in self.promises]
        self.began = dict.fromkeys(self.began, -1)
        self.pruned = [(-1, limit) for _, limit in self.pruned]

    def may_be_pruned(self, exp: int, cut: int) -> bool:
        """Whether an envelope with that `exp` may be forgotten by then."""
        return any(began < cut and exp <= limit for began, limit in self.pruned)

    def give(self, kind: str, number: int, to: bytes) -> None:
        """Nobody else may have been given this number."""
        if self.given.setdefault((kind, number), to) != to:
            raise GivenTwice(f"{kind} {number}")

    def envelope(self) -> NewEnvelope:
        chance = self.chance
        to = tuple(sorted(chance.sample(MEMBERS, chance.randint(1, 4))))
        return NewEnvelope(
            env=chance.randbytes(32),
            sender=chance.choice(MEMBERS),
            header=chance.randbytes(chance.randint(200, 2_000)),
            signatures=chance.randbytes(300),
            recipients=to,
            slots=tuple(chance.randbytes(SLOT_BYTES) for _ in to),
            body=chance.randbytes(chance.choice((100, 2_000, 20_000, 40_000))),
            lane=chance.randrange(len(LANES)),
            exp=self.now + chance.choice((LIFE_MS, 100 * LIFE_MS)),
            size=chance.randint(3_000, 50_000),
        )


class HubRun:
    """One run of the hub's store, from its opening to the cut."""

    def __init__(self, hub: Hub, home: Path, disk: Disk) -> None:
        self.hub = hub
        self.disk = disk
        self.broken: list[str] = []  # codes of what ended all work
        self.store = HubStore.open(home, on_broken=lambda fault: self.broken.append(fault.code))
        self._log_size: int | None = None  # as the hub has it in memory

    async def work(self, steps: int) -> ExchangeError | None:
        """Do that many things, or as many as the disk lets; the fault that ended it."""
        for _ in range(steps):
            try:
                await self.step()
            except ExchangeError as fault:
                return fault
        return None

    async def step(self) -> None:
        """One thing a hub does. Raises what the store raises."""
        self.hub.now += self.hub.chance.randint(0, 500)
        kinds: list[tuple[int, Callable[[], Awaitable[object]]]] = [
            (8, self._accept_several),
            (6, self._release),
            (2, self._expire),
            (1, self._prune),
            (2, self._log),
            (1, self._read),
            (1, self.store.fold),
        ]
        weights = [weight for weight, _ in kinds]
        await self.hub.chance.choices(kinds, weights)[0][1]()

    def _promise(self, kept: Callable[[Found, int], str]) -> None:
        self.hub.promises.append(Promise(self.disk.now, kept))

    async def _accept_several(self) -> None:
        groups = [
            [self.hub.envelope() for _ in range(self.hub.chance.randint(1, 5))]
            for _ in range(self.hub.chance.randint(1, 3))
        ]
        done = await asyncio.gather(*map(self.accept, groups), return_exceptions=True)
        for problem in done:
            if isinstance(problem, BaseException):
                raise problem

    async def accept(self, group: list[NewEnvelope]) -> None:
        """Store a group, and note what its senders were told."""
        kept = await self.store.accept(group, at=self.hub.now, quota=QUOTA, sign=signing(self.hub.chance))
        for new, one in zip(group, kept, strict=True):
            if not one.n:
                continue
            assert one.batch is not None
            number = orjson.loads(one.batch.body)["batch"]
            self.hub.give("envelope", one.n, new.env)
            self.hub.give("batch", number, one.batch.body)
            for recipient, slot in zip(new.recipients, new.slots, strict=True):
                self.hub.open[new.env, recipient] = slot[-LC_BYTES:]
            self._promise(self._accepted(new, one.n, number, one.batch))

    def _accepted(self, new: NewEnvelope, n: int, number: int, batch: Batch) -> Callable[[Found, int], str]:
        body, receipt = sha256(new.body), b64(batch.body)

        def wrong(found: Found, cut: int) -> Iterator[str]:
            if found.counters.get("envelopes", 0) < n:
                yield f"twice: the number {n} would be given again"
            if found.signers.get(HUB, 0) < number:
                yield f"twice: the hub's batch number {number} would be given again"
            if self.hub.may_be_pruned(new.exp, cut):
                return
            stored, waiting = found.envelopes.get(new.env, (0, 0))
            if stored != n:
                yield f"lost: envelope {n}"
            for recipient in new.recipients:
                gone = self.hub.began.get((new.env, recipient), cut) < cut
                if (n, recipient) not in found.copies and not gone:
                    yield f"lost: the copy of {n} for {recipient}"
            if waiting and found.bodies.get(n) != body:
                yield f"lost: the body of {n}"
            if receipt not in found.receipts.get(n, ()):
                yield f"lost: the receipt given for {n}"

        return lambda found, cut: next(wrong(found, cut), "")

    async def _release(self) -> None:
        hub = self.hub
        member = hub.chance.choice(MEMBERS)
        mine = [(env, lc) for (env, recipient), lc in hub.open.items() if recipient == member]
        chosen = hub.chance.sample(mine, min(len(mine), hub.chance.randint(1, 8)))
        if not chosen:
            return
        number = hub.numbers.get(member, 0) + 1
        status = hub.chance.choice((STORED, STORED, STORED, REJECTED, HELD))
        code = "invalid" if status == REJECTED else ""
        leaves = tuple(Leaf(member, env, lc, status, code, bytes(16)) for env, lc in chosen)
        batch = a_batch(hub.chance, member, number, [leaf.to_bytes() for leaf in leaves])
        verified = VerifiedBatch(member, bytes(16), number, hub.now, A_DIR, leaves, batch)
        if status != HELD:
            for env, _ in chosen:
                hub.began.setdefault((env, member), self.disk.now)
                hub.open.pop((env, member))
        await self.store.release(verified)
        hub.numbers[member] = number

        def kept(found: Found, _cut: int) -> str:
            if found.signers.get(member, 0) < number:
                return f"lost: receipts {number} of {member}"
            for leaf in leaves if status != HELD else ():
                if leaf.env in found.envelopes and (found.envelopes[leaf.env][0], member) in found.copies:
                    return f"twice: {member} gets a copy that it has receipted"
            return ""

        self._promise(kept)

    async def _expire(self) -> None:
        self.hub.now += LIFE_MS // 2
        await self.store.expire(
            now=self.hub.now,
            sign=lambda number, rows: a_batch(
                self.hub.chance, HUB, number, [env + lc for _, env, lc in rows]
            ),
        )

    async def _prune(self) -> None:
        limit = self.hub.now - 5 * LIFE_MS
        self.hub.pruned.append((self.disk.now, limit))
        await self.store.prune(now=limit + RETENTION_MS, published=())

    async def _log(self) -> None:
        if self._log_size is None:
            self._log_size = len((await self.store.load_log())[0])
        first = self._log_size
        rows = [(self.hub.chance.randbytes(400), self.hub.chance.randbytes(32)) for _ in range(2)]
        await self.store.append(first, rows)
        self._log_size += len(rows)

        def kept(found: Found, _cut: int) -> str:
            return "" if found.leaves[first : first + 2] == [leaf for leaf, _ in rows] else "lost: leaves"

        self._promise(kept)

    async def _read(self) -> None:
        address = self.hub.chance.choice(MEMBERS)
        news = Announcement(number=1, payload=b"{}")
        page = await self.store.page(address, Cursor("run"), most=200_000, announced=news)
        await self.store.drop_fed(address, page.cursor[RECEIPTS])


A_DIR = DirRef(1, bytes(32), bytes(32))


def a_batch(chance: random.Random, signer: str, number: int, leaves: list[bytes]) -> Batch:
    """A batch with that number whose signature is chance."""
    body = orjson.dumps({"batch": number, "from": signer, "nonce": b64(chance.randbytes(8))})
    return Batch(body, chance.randbytes(300), tuple(leaves))


def signing(chance: random.Random) -> Sign:
    """The hub's way of making a batch of `accepted`."""
    return lambda number, envs: a_batch(chance, HUB, number, list(envs))


# Each must find nothing: what the tables promise each other.
_CONTRADICTIONS = {
    "a sender's count isn't the sum": """
        SELECT address FROM senders s WHERE
            envelopes <> (SELECT count(*) FROM envelopes WHERE sender = s.address AND waiting > 0)
            OR bytes <> (SELECT coalesce(sum(size), 0) FROM envelopes e WHERE sender = s.address
                AND (waiting > 0 OR EXISTS (SELECT 1 FROM mailbox WHERE envelope = e.n)))
            OR rows <> (SELECT count(*) FROM mailbox m JOIN envelopes e ON e.n = m.envelope
                WHERE e.sender = s.address)""",
    "a sender isn't counted": "SELECT n FROM envelopes WHERE sender NOT IN (SELECT address FROM senders)",
    "an envelope waits for nobody, or somebody for nothing": """
        SELECT n FROM envelopes e WHERE (waiting > 0) <>
            EXISTS (SELECT 1 FROM mailbox WHERE envelope = e.n AND expired = 0)""",
    "a body is missing or too many": """
        SELECT n FROM envelopes e WHERE (waiting > 0) <> EXISTS (SELECT 1 FROM bodies WHERE envelope = e.n)""",
    "an envelope has no receipt": """
        SELECT n FROM envelopes WHERE n NOT IN (SELECT envelope FROM proof_links)""",
    "a number is above its counter": """
        SELECT 1 WHERE (SELECT coalesce(max(n), 0) FROM envelopes) >
                (SELECT coalesce(max(value), 0) FROM counters WHERE name = 'envelopes')
            OR (SELECT coalesce(max(n), 0) FROM mailbox) >
                (SELECT coalesce(max(value), 0) FROM counters WHERE name = 'mailbox')""",
    "a leaf is missing": """
        SELECT 1 WHERE (SELECT count(*) FROM leaves) <> (SELECT coalesce(max(position) + 1, 0) FROM leaves)""",
}


def contradictions(c: sqlite3.Connection, found: Found) -> list[str]:
    """What in the hub's tables doesn't fit together."""
    wrong = [f"corrupt: {what}" for what, query in _CONTRADICTIONS.items() if c.execute(query).fetchone()]
    batches = [orjson.loads(unb64(body)) for bodies in found.receipts.values() for body in bodies]
    if any(one["from"] == HUB and one["batch"] > found.signers.get(HUB, 0) for one in batches):
        wrong.append("corrupt: a batch is above the hub's number")
    return wrong
