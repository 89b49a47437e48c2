"""Owns the directory log at the hub: what gets into it, its checkpoints, and getting back what a restore lost.

Judges a statement with the same `Directory` every node replays, before it is logged; signs checkpoints and
submissions. Does not collect signatures (applications.py, pending.py) nor know HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Self

import orjson

from exchange import policy
from exchange.canonical import MAX_INT, unframed
from exchange.directory.bodies import Body, parse_body
from exchange.directory.bodies_contacts import named_by
from exchange.directory.bodies_network import HUB_CHANGE, build_tick
from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint, check_consistent
from exchange.directory.contacts import Part
from exchange.directory.log import Leaf
from exchange.directory.network import member_of
from exchange.directory.state import Directory
from exchange.directory.statements import HUB, NETWORK, Statement, parse_head
from exchange.directory.submission import LOGGED, PENDING, SUPERSEDED, SignedSubmission, Submission
from exchange.errors import Hold, Refused, Rejected, Unavailable
from exchange.header import DirRef
from exchange.hub.beside import check_parts, check_records, check_signers, unnamed_by
from exchange.hub.log import URGENT, read_back, type_of
from exchange.hub.store.directory import Beside
from exchange.hub.store.page import Announcement
from exchange.hub.store.parts import Numbered
from exchange.hub.store.store import HubStore
from exchange.keys import PrivateKeys
from exchange.limits import DAY_MS, MAX_BATCH_BYTES, MAX_LEAF, PAGE_BYTES, SECOND_MS

MAX_PARTS_OF_ONE: Final = 16 * 1024 * 1024  # bytes of a member's parts, its contact points' among them
MAX_RECOVERED: Final = MAX_BATCH_BYTES  # bytes of leaves that one upload may bring back
RECENT_MS: Final = 30 * DAY_MS  # how long such a leaf makes a run's first checkpoint an urgent one


class Registrar:
    """The log of one network, open for reading at once and for statements when settled (`read_only`)."""

    def __init__(
        self,
        store: HubStore,
        directory: Directory,
        *,
        keys: PrivateKeys,
        clock: Callable[[], int],
        settle_seconds: int,
        known: Iterable[tuple[int, DirRef]],
    ) -> None:
        """For `open`."""
        self.directory: Final = directory
        self._store = store
        self._keys = keys
        self._clock = clock
        self._lock = asyncio.Lock()
        self._known: set[DirRef] = set()
        self._ahead: dict[int, bytes] = {}
        for term, ref in known:
            self._know(term, ref)
        self._settled_at = clock() + settle_seconds * SECOND_MS
        self._unheard = {handle for handle in directory.members if _may_call(directory, handle)}
        self._number = self._urgent = 0
        self._payload = b""  # the checkpoint's JSON: one for all feeds
        self._parts: set[bytes] = set()  # hashes of those that are here
        self._checkpoint: SignedCheckpoint | None = None
        self.on_checkpoint: Callable[[], None] = lambda: None

    @classmethod
    async def open(
        cls, store: HubStore, *, keys: PrivateKeys, clock: Callable[[], int], settle_seconds: int
    ) -> Self:
        """Replay the log from the store and sign a first checkpoint of this run.

        Raises Refused hub.genesis-incomplete (no leaf 0 yet), hub.wrong-key; as Database.read and write.
        """
        rows, known = await store.load_log()
        if not rows:
            raise Refused("hub.genesis-incomplete")
        directory, judged = read_back(rows)
        if directory.hub.keys != keys.public:
            raise Refused("hub.wrong-key")
        registrar = cls(store, directory, keys=keys, clock=clock, settle_seconds=settle_seconds, known=known)
        await store.mark_judged(judged)
        await registrar._begin([leaf for leaf, _ in rows])
        await registrar.renew()
        return registrar

    # what the log says

    @property
    def net(self) -> bytes:
        return self.directory.net

    @property
    def checkpoint(self) -> SignedCheckpoint:
        """The newest one of this run."""
        if self._checkpoint is None:
            raise Unavailable("hub.stopping")  # before `renew` has run once
        return self._checkpoint

    @property
    def dir_ref(self) -> DirRef:
        """The newest checkpoint as a header or batch names it."""
        return self.checkpoint.ref(self.net)

    @property
    def announcement(self) -> Announcement:
        """The newest checkpoint for the mailboxes' feeds."""
        return Announcement(self._number, self._payload, self._urgent)

    def check_dir(self, ref: DirRef) -> None:
        """Step 8 of docs/protocol.md §4.4. Raises Unavailable directory.unknown-checkpoint."""
        if ref not in self._known:
            raise Unavailable("directory.unknown-checkpoint")

    async def leaves(self, start: int, *, most: int = PAGE_BYTES) -> list[bytes]:
        """About `most` bytes of the log from index `start` up to the newest checkpoint. Raises Rejected request.bad."""
        if not 0 <= start <= MAX_INT:
            raise Rejected("request.bad", "from: not an index")
        return await self._store.leaves_from(start, end=self.dir_ref.size, most=most)

    async def genesis(self) -> Statement:
        """The statement of leaf 0."""
        (first,) = await self._store.leaves_from(0, end=1, most=PAGE_BYTES)
        return Leaf.from_bytes(first, self.net).statement

    async def records(self, kids: Sequence[bytes]) -> list[bytes]:
        """Those of the prekey records that are here."""
        return await self._store.records(kids)

    # after a start the log may be behind what members hold (§11.4): statements wait

    @property
    def read_only(self) -> bool:
        """Whether a longer log may exist: one is known of, or not every member was heard and the time isn't over."""
        return bool(self._ahead) or (bool(self._unheard) and self._clock() < self._settled_at)

    def heard(self, member: str) -> None:
        """A member has compared its log with this one: it showed a checkpoint, or stored the one of this run."""
        self._unheard.discard(member)

    async def take_checkpoint(self, offered: SignedCheckpoint) -> tuple[int, int] | None:
        """A checkpoint some member holds: remembered; the range of leaves that the hub lacks, if any.

        One of a former hub is only remembered: what that logged beyond its end counts no more (§9.11).
        Raises Rejected checkpoint.*, directory.split (the hub signed two logs: people must look).
        """
        try:
            checkpoint = offered.verify(self.net, self.directory)
        except Hold:
            raise Rejected("checkpoint.bad-signature", "of a hub that is no part of this log") from None
        async with self._lock:
            ref = offered.ref(self.net)
            if ref not in self._known:
                check_consistent(self.checkpoint, offered, self.directory, self.net)
                await self._store.add_checkpoint(ref, term=checkpoint.term, at=checkpoint.at)
                self._know(checkpoint.term, ref)
            ahead = checkpoint.term == self.directory.term and ref.size > self.directory.size
            return (self.directory.size, ref.size) if ahead else None

    def _know(self, term: int, ref: DirRef) -> None:
        self._known.add(ref)
        if term == self.directory.term and ref.size > self.directory.size:
            self._ahead[ref.size] = ref.root

    async def take_leaves(self, data: bytes) -> int:
        """Leaves the hub lost, from its size on, up to a checkpoint it signed; the log's new size.

        Raises Rejected directory.no-need, directory.split, directory.bad-leaf, request.bad.
        """
        offered = list(unframed(data, most_items=MAX_RECOVERED // 512, most_bytes=MAX_LEAF))
        async with self._lock:
            size = self.directory.size + len(offered)
            if not offered or size not in self._ahead:
                raise Rejected("directory.no-need")
            # the root first: only leaves under this hub's own signature are worth a look
            if self.directory.root_with(offered) != self._ahead[size]:
                raise Rejected("directory.split")
            rows = [(leaf, Leaf.from_bytes(leaf, self.net).statement.hash(self.net)) for leaf in offered]
            await self._store.append(self.directory.size, rows)
            for leaf in offered:
                self.directory.apply(leaf, now=None)
            await self._drop_unnamed()
            await self._store.drop_admitted(self.directory.members)
            self._note_urgent(
                type_of(Leaf.from_bytes(leaf, self.net).statement, self.net) for leaf in offered
            )
            self._ahead = {ahead: root for ahead, root in self._ahead.items() if ahead > size}
            await self._sign_checkpoint()
            return size

    # statements

    async def submit(
        self,
        statement: Statement,
        records: Sequence[bytes],
        parts: Sequence[Part] = (),
        *,
        admitted: str = "",
    ) -> SignedSubmission:
        """Log a statement that would take effect now; a logged one is answered again, whatever the state.

        `records` and `parts` are what it names and what lies beside the log; a repeat brings back what the hub lost
        of its parts. `admitted`: the member whose application is over with it. Raises Rejected directory.* (for
        directory.stale with the fact `submission`: superseded, signed), Unavailable directory.read-only.
        """
        async with self._lock:
            digest = statement.hash(self.net)
            index = await self._store.index_of(digest)
            if index is None:
                return await self._log(statement, records, parts, admitted)
            await self._restore_parts(statement, parts)
            return self.answer(digest, LOGGED, index=index)

    async def tick(self) -> None:
        """Log that time has passed, if something is due for it (docs/protocol.md §9.7); waits while read-only."""
        async with self._lock:
            if not self.read_only:
                await self._tick()

    async def _tick(self) -> None:
        if not self.directory.due(at := self._at()):
            return
        after = self.directory.last_hash(NETWORK, "time")
        body = build_tick(net=self.net, after=after, not_after=at + DAY_MS)
        statement = Statement(body).with_signature(HUB, self._keys)
        await self._append(statement, self.directory.judge(statement, at), at, Beside(judged=True))

    def judge(self, statement: Statement) -> Body:
        """Would it take effect as the next leaf? Raises Rejected directory.*"""
        return self.directory.judge(statement, self._at())

    async def parts_of(self, statement: Statement, parts: Sequence[Part]) -> tuple[Part, ...]:
        """Every part that it names for the hub: those that came with it, and those that are here.

        So whoever signs sees them all, and none is missing once it is logged.
        Raises Rejected directory.bad-part, directory.bad-statement.
        """
        body = parse_body(statement.body, self.net)
        brought = check_parts(self.net, body, parts, here=self._parts)
        here = self._parts.intersection(named_by(body).values()) - brought.keys()
        return (*brought.values(), *await self._store.parts_by_hash(here))

    def check_writable(self) -> None:
        """Raises Unavailable directory.read-only while a longer log may exist."""
        if self.read_only:
            wait = max(1, (self._settled_at - self._clock()) // SECOND_MS)
            raise Unavailable("directory.read-only", retry_after=min(wait, 30))

    def answer(
        self, statement: bytes, outcome: str, *, index: int = 0, until: int = 0, by: bytes = b""
    ) -> SignedSubmission:
        """The hub's signed answer to the statement with this hash (docs/protocol.md §11, Submission)."""
        return SignedSubmission.sign(
            Submission(self.net, statement, outcome, self._clock(), index=index, until=until, by=by),
            self._keys,
        )

    def pending(self, statement: bytes, until: int) -> SignedSubmission:
        """The answer to a statement that waits for signatures until then (ms)."""
        return self.answer(statement, PENDING, until=until)

    async def _log(
        self, statement: Statement, records: Sequence[bytes], parts: Sequence[Part], admitted: str
    ) -> SignedSubmission:
        self.check_writable()
        await self._tick()
        digest, at = statement.hash(self.net), self._at()
        try:
            body = self.directory.judge(statement, at)
        except Rejected as fault:
            # nothing supersedes what outruns all others: who brings that has signed nothing yet
            if fault.code == "directory.stale" and type_of(statement, self.net) not in URGENT:
                fault.facts["submission"] = self._superseded(statement, digest).to_json()
            raise
        check_signers(self.directory, body, statement.signers)
        brought = check_parts(self.net, body, parts, here=self._parts)
        if body.head.type == HUB_CHANGE:  # this hub's own end: its successor's first leaf
            raise Rejected("directory.wrong-from", "the new hub logs this, on the log up to there")
        unnamed = unnamed_by(self.directory, body)
        await self._check_room(body, brought, unnamed)
        beside = Beside(
            records=check_records(self.directory, body, records),
            parts=brought,
            unnamed=unnamed,
            admitted=admitted,
            judged=True,
        )
        index = self.directory.size
        await self._append(statement, body, at, beside)
        return self.answer(digest, LOGGED, index=index)

    async def _append(self, statement: Statement, body: Body, at: int, beside: Beside) -> None:
        """Write the next leaf with what lies beside it, take it in, and say so."""
        index = self.directory.size
        leaf = Leaf(index, at, statement).to_bytes(self.net)
        await self._store.append(index, [(leaf, statement.hash(self.net))], beside)
        self.directory.apply(leaf, now=None)
        self._parts = (self._parts | beside.parts.keys()) - set(beside.unnamed)
        self._note_urgent([body.head.type])
        erased = await self._drop_unnamed() or bool(beside.unnamed)
        await self._sign_checkpoint()
        if erased:  # what is to be forgotten isn't kept in the database's own log either
            await self._store.fold()

    def _superseded(self, statement: Statement, digest: bytes) -> SignedSubmission:
        head, _ = parse_head(statement.body, self.net)
        return self.answer(digest, SUPERSEDED, by=self.directory.last_hash(*head.subject))

    # parts beside the log

    async def _check_room(
        self, body: Body, brought: Mapping[bytes, Part], unnamed: Collection[bytes]
    ) -> None:
        """Raises Refused quota.exceeded: every node keeps what a member says of itself."""
        new = sum(len(part.body) for digest, part in brought.items() if digest not in self._parts)
        if (
            new
            and new + await self._store.parts_size(member_of(body.head.subject[0]), unnamed)
            > MAX_PARTS_OF_ONE
        ):
            raise Refused("quota.exceeded", f"a member's parts have at most {MAX_PARTS_OF_ONE} bytes in all")

    async def parts(self, after: int, *, most: int = PAGE_BYTES) -> list[Numbered]:
        """A page of what members say of themselves, after number `after`. Raises Rejected request.bad."""
        if not 0 <= after <= MAX_INT:
            raise Rejected("request.bad", "from: not a number")
        return await self._store.parts_after(after, most=most)

    async def _begin(self, leaves: Sequence[bytes]) -> None:
        """What the log's state doesn't say: which parts are here, and whether trust was taken from somebody lately."""
        self._parts = await self._store.part_hashes()
        await self._drop_unnamed()
        await self._store.drop_admitted(self.directory.members)
        since = self._at() - RECENT_MS
        for leaf in map(partial(Leaf.from_bytes, net=self.net), reversed(leaves)):
            if leaf.at < since:
                break
            self._note_urgent([type_of(leaf.statement, self.net)])  # whoever connects may not have heard

    def _note_urgent(self, types: Iterable[str]) -> None:
        """Leaves of these types are in the log: does the next checkpoint go before all mail?"""
        if any(kind in URGENT for kind in types):
            self._urgent = self._number + 1

    async def _restore_parts(self, statement: Statement, parts: Sequence[Part]) -> None:
        named = self.directory.named_parts()
        lost = {digest: part for part in parts if (digest := part.hash(self.net)) in named - self._parts}
        if lost:
            body = parse_body(statement.body, self.net)
            await self._store.put_parts(check_parts(self.net, body, list(lost.values()), here=named))
            self._parts |= lost.keys()

    async def _drop_unnamed(self) -> bool:
        """Erase what no effective statement names (after a restore, by a leaf's side effect); was there anything?"""
        left = self._parts - self.directory.named_parts()
        if left:
            await self._store.drop_parts(left)
            self._parts -= left
        return bool(left)

    # checkpoints

    async def renew(self) -> None:
        """Sign and publish a checkpoint of the log as it is: at start, at each growth, hourly."""
        async with self._lock:
            await self._sign_checkpoint()

    async def _sign_checkpoint(self) -> None:
        checkpoint = Checkpoint(
            self.net, self.directory.term, self.directory.size, self.directory.root(), self._at()
        )
        signed = SignedCheckpoint.sign(checkpoint, self._keys)
        ref = signed.ref(self.net)
        # remembered before anybody can name it
        await self._store.add_checkpoint(ref, term=checkpoint.term, at=checkpoint.at)
        self._known.add(ref)
        self._checkpoint, self._payload = signed, orjson.dumps(signed.to_json())
        self._number += 1
        self.on_checkpoint()

    def _at(self) -> int:
        """The hub's clock, but never before the last leaf's time."""
        return max(self._clock(), self.directory.at)


def _may_call(directory: Directory, handle: str) -> bool:
    try:
        policy.check_member_call(directory, handle)
    except Rejected:
        return False
    return True
