"""Owns this node's replica of the directory log: replay at the start, pages from the hub, checkpoints, alarms (§9).

Every leaf is judged by directory/state; a checkpoint is taken only when the own log has its very root. Does not make
statements (prekeys.py, membership.py) nor decide when to refresh (sync.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Final

from exchange.canonical import b64, dumps
from exchange.directory.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    check_consistent,
    check_fresh,
    compare,
)
from exchange.directory.prekeys import PrekeyRecord, PrekeyRef, verified_record
from exchange.directory.state import Directory, Outcome
from exchange.errors import Damaged, ExchangeError, Hold, Refused, Rejected, Unavailable
from exchange.header import DirRef
from exchange.keys import PrekeyPublic
from exchange.limits import DAY_MS, MAX_BATCH_BYTES
from exchange.node import store_directory as rows_of
from exchange.node.hub_api import HubApi
from exchange.node.store import Store, Transaction, raise_alarm

KEEP_CHECKPOINTS_MS: Final = 60 * DAY_MS
MAX_LEAVES_BYTES: Final = 256 * 1024 * 1024  # one refresh holds them until their root is checked
QUERY_KIDS: Final = 256
_BREATH: Final = 16  # leaves applied between two turns of the event loop
_MOST_NOTES: Final = 64  # peers' checkpoints that wait for a longer log


@dataclass(frozen=True)
class Ready:
    """An addressee that can be sealed to now: its prekey, and until when that is used and when destroyed (ms)."""

    kid: bytes
    prekey: PrekeyPublic
    until: int
    destroy: int


class Replica:
    """The directory as this node knows it. One per process; only its own methods move it on."""

    def __init__(self, store: Store, *, net: bytes, me: str, clock: Callable[[], int]) -> None:
        self._store = store
        self._net = net
        self._me = me
        self._clock = clock
        self._directory: Directory | None = None
        self._newest: SignedCheckpoint | None = None
        self._notes: list[tuple[str, SignedCheckpoint]] = []
        self._turn = asyncio.Lock()

    # -- what it knows ------------------------------------------------------------------------------------------

    @property
    def directory(self) -> Directory:
        """The network as of the newest leaf. Raises Refused node.not-joined before the first refresh."""
        if self._directory is None:
            raise Refused("node.not-joined")
        return self._directory

    @property
    def is_empty(self) -> bool:
        """Whether no leaf is here yet."""
        return self._directory is None

    @property
    def newest(self) -> SignedCheckpoint:
        """The newest checkpoint whose root this log has. Raises Refused node.not-joined."""
        if self._newest is None:
            raise Refused("node.not-joined")
        return self._newest

    @property
    def checkpoint(self) -> Checkpoint:
        """What `newest` says."""
        return Checkpoint.from_bytes(self.newest.body, self._net)

    def dir_ref(self) -> DirRef:
        """The `dir` of what this node signs now."""
        return self.newest.ref(self._net)

    def is_member(self) -> bool:
        """Whether the log has admitted this node's member."""
        return self._directory is not None and self._me in self._directory.members

    def is_stale(self) -> bool:
        """Whether no new keys are taken because the newest checkpoint is older than 24 h."""
        if self._newest is None:
            return True
        try:
            check_fresh(self.checkpoint, self._clock())
        except Unavailable:
            return True
        return False

    def contradicts(self, ref: DirRef) -> bool:
        """Whether what a peer knew of the log isn't what this node knows of the same size."""
        directory = self.directory
        return ref.size <= directory.size and directory.root(ref.size) != ref.root

    # -- keeping up ---------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Replay what is stored. Raises Refused storage.damaged when it doesn't replay."""
        leaves = await self._store.db.read(rows_of.leaves)
        held = await self._store.db.read(rows_of.newest_checkpoint)
        if not leaves:
            self._directory, self._newest = None, None
            return
        directory = Directory.from_genesis(leaves[0])
        for count, leaf in enumerate(leaves[1:]):
            directory.apply(leaf, now=None)
            if count % _BREATH == 0:
                await asyncio.sleep(0)
        if directory.net != self._net:
            raise Refused("storage.damaged", "the stored log is another network's")
        self._directory = directory
        self._newest = SignedCheckpoint(*held) if held else None

    async def start(self, hub: HubApi, *, least: tuple[int, bytes]) -> None:
        """First contact: take the log from genesis on, which must be this network's and pass the pinned checkpoint.

        Can be repeated after a crash midway. Raises Rejected directory.bad-genesis, directory.rollback,
        directory.split; Damaged.
        """
        if self.is_empty:
            pages = await hub.leaves(0)
            first = Directory.from_genesis(pages[0] if pages else b"")
            if first.net != self._net:
                raise Rejected("directory.bad-genesis", "the hub's genesis isn't the invitation's network")
            await self._store.db.write(lambda c: rows_of.add_leaf(c, 0, pages[0], ""))
            self._directory = first
        await self.refresh(hub)
        size, root = least
        if self.directory.size < size:
            raise Rejected("directory.rollback", "the hub's log is shorter than the invitation says")
        if self.directory.root(size) != root:
            raise Rejected("directory.split", "the hub's log isn't the one the invitation pins")

    async def refresh(self, hub: HubApi) -> bool:
        """Ask for the hub's newest checkpoint and follow it; whether the log grew. Raises as `follow`."""
        return await self.follow(hub, SignedCheckpoint.from_json(await hub.checkpoint()))

    async def follow(self, hub: HubApi, offered: SignedCheckpoint) -> bool:
        """Take the log up to a checkpoint the hub offers; whether it grew.

        Raises Rejected directory.rollback, directory.split, checkpoint.* (an alarm is noted); Damaged
        directory.bad-leaf for pages that don't lead to its root; Hold directory.leaf-ahead.
        """
        async with self._turn:
            if self._newest == offered:
                return False
            found = await self._checked(hub, offered)
            if found is None:
                return False
            offered, checkpoint = found
            grew = await self._extend(hub, checkpoint, offered)
            await self._take(offered, checkpoint)
            await self._read_notes()
            return grew

    async def _checked(
        self, hub: HubApi, offered: SignedCheckpoint, *, again: bool = False
    ) -> tuple[SignedCheckpoint, Checkpoint] | None:
        """A checkpoint of the hub that may follow the held one; None when the hub is behind and has been helped."""
        directory = self.directory
        try:
            checkpoint = offered.verify(self._net, directory.hub.keys.signing)
            compare(self._newest, offered, directory, self._net)
        except Rejected as fault:
            if fault.code == "directory.rollback" and not again:
                if await self._help(hub):
                    return None
                # Another member may have helped since the hub gave this one: one that rolls back shows it once more.
                return await self._checked(
                    hub, SignedCheckpoint.from_json(await hub.checkpoint()), again=True
                )
            await self._alarm_over(fault, offered)
            raise
        return offered, checkpoint

    async def _help(self, hub: HubApi) -> bool:
        """A hub restored from an old copy gets back what it lost (§11.4); whether it lacked anything."""
        need = await hub.post_checkpoint(self.newest.to_json())
        if need is None:
            return False
        await self.give_leaves(hub, need)
        return True

    async def give_leaves(self, hub: HubApi, need: tuple[int, int]) -> None:
        """Upload the leaves [from, size) that the hub asked for, each time as many as one of its checkpoints covers."""
        start, stop = need
        while start < stop:
            rows = await self._store.db.read(partial(rows_of.leaves_from, start=start, stop=stop))
            if sum(map(len, rows)) > MAX_BATCH_BYTES:
                stop_here = await self._checkpoint_between(hub, start, rows)
                rows = rows[: stop_here - start]
            if not rows:
                return
            await hub.post_leaves(rows)
            start += len(rows)

    async def _checkpoint_between(self, hub: HubApi, start: int, rows: Sequence[bytes]) -> int:
        """Show the hub an older checkpoint whose leaves fit into one upload; its size, `start` if there is none."""
        fitting = start + sum(1 for total in accumulate(map(len, rows)) if total <= MAX_BATCH_BYTES)
        row = await self._store.db.read(partial(rows_of.checkpoint_within, least=start + 1, most=fitting))
        if row is None:
            return start
        signed = SignedCheckpoint(*row)
        await hub.post_checkpoint(signed.to_json())
        return signed.ref(self._net).size

    async def _extend(self, hub: HubApi, checkpoint: Checkpoint, offered: SignedCheckpoint) -> bool:
        directory = self.directory
        start = directory.size
        fresh = await self._fetch(hub, start, checkpoint.size)
        if directory.root_with(fresh) != checkpoint.root:
            fault = Damaged("directory.bad-leaf", "the leaves don't lead to the checkpoint's root")
            await self._alarm_over(fault, offered)
            raise fault
        outcomes: list[Outcome] = []
        problem: Hold | None = None
        for leaf in fresh:
            try:
                outcomes.append(directory.apply(leaf, now=self._clock()))
            except Hold as hold:
                problem = hold
                break
            if len(outcomes) % _BREATH == 0:
                await asyncio.sleep(0)
        await self._keep(fresh[: len(outcomes)], outcomes)
        if problem is not None:
            raise problem
        return bool(outcomes)

    async def _fetch(self, hub: HubApi, start: int, stop: int) -> list[bytes]:
        fresh: list[bytes] = []
        size = 0
        while start + len(fresh) < stop:
            page = await hub.leaves(start + len(fresh))
            size += sum(map(len, page))
            if not page or size > MAX_LEAVES_BYTES:
                raise Damaged("directory.bad-leaf", "the hub's pages end before its checkpoint")
            fresh += page
        return fresh[: stop - start]

    async def _keep(self, leaves: Sequence[bytes], outcomes: Sequence[Outcome]) -> None:
        now = self._clock()

        def write(connection: Transaction) -> None:
            for leaf, outcome in zip(leaves, outcomes, strict=True):
                rows_of.add_leaf(connection, outcome.index, leaf, outcome.code)
                self._watch(connection, leaf, outcome, now)

        if not outcomes:
            return
        try:
            await self._store.db.write(write, size=sum(map(len, leaves)))
        except ExchangeError:
            await self.load()  # memory must not know more than the disk
            raise

    def _watch(self, connection: Transaction, leaf: bytes, outcome: Outcome, now: int) -> None:
        """Alarms a leaf gives rise to; above all a statement in this node's name that it didn't make."""
        if outcome.alarm:
            key = f"leaf/{outcome.index}"
            raise_alarm(
                connection, key=key, at=now, code=outcome.code, subject=str(outcome.index), evidence=leaf
            )
        own = self._me in outcome.signers or (outcome.subject is not None and outcome.subject[0] == self._me)
        sponsored = outcome.subject is not None and outcome.subject[0] != self._me
        if not own or (sponsored and not outcome.effective):
            return
        if not rows_of.take_for_own(connection, outcome.statement_hash, outcome.type):
            raise_alarm(
                connection,
                key=f"own-name/{outcome.index}",
                at=now,
                code="directory.own-name",
                subject=outcome.type or "unreadable",
                evidence=leaf,
            )

    async def _take(self, offered: SignedCheckpoint, checkpoint: Checkpoint) -> None:
        now, net = self._clock(), self._net

        def write(connection: Transaction) -> None:
            rows_of.add_checkpoint(
                connection,
                offered.hash(net),
                size=checkpoint.size,
                at=checkpoint.at,
                body=offered.body,
                signature=offered.signature,
            )
            rows_of.prune_checkpoints(connection, before=now - KEEP_CHECKPOINTS_MS)
            rows_of.prune_records(connection, before=now)

        await self._store.db.write(write)
        self._newest = offered

    # -- peers' views -------------------------------------------------------------------------------------------

    async def compare_with_peer(self, peer: str, note: SignedCheckpoint) -> None:
        """A peer has shown a checkpoint: the alarm needs the hub's signature on both views (§9.6).

        One without the hub's signature is ignored; one beyond this log waits until the log has grown.
        """
        try:
            shown = note.verify(self._net, self.directory.hub.keys.signing)
        except Rejected:
            return
        try:
            check_consistent(self._newest, note, self.directory, self._net)
        except Rejected as fault:
            await self._alarm_over(fault, note, subject=peer)
            return
        if shown.size > self.directory.size and len(self._notes) < _MOST_NOTES:
            self._notes.append((peer, note))

    async def _read_notes(self) -> None:
        notes, self._notes = self._notes, []
        for peer, note in notes:
            await self.compare_with_peer(peer, note)

    async def _alarm_over(
        self, fault: ExchangeError, offered: SignedCheckpoint, subject: str = "hub"
    ) -> None:
        held = self._newest.to_json() if self._newest else {}
        evidence = dumps({"held": held, "offered": offered.to_json()})
        key = f"{fault.code}/{b64(offered.hash(self._net))}"
        now = self._clock()
        await self._store.db.write(
            lambda c: raise_alarm(c, key=key, at=now, code=fault.code, subject=subject, evidence=evidence)
        )

    # -- prekeys of peers ---------------------------------------------------------------------------------------

    async def ready(self, hub: HubApi, addresses: Iterable[str]) -> tuple[dict[str, Ready], dict[str, str]]:
        """Which addresses can be sealed to now, with their prekeys; and for the others the code that says why not."""
        refs: dict[str, PrekeyRef] = {}
        waiting: dict[str, str] = {}
        for address in addresses:
            try:
                refs[address] = self.directory.prekey_for(address, self._clock())
            except Refused as refusal:
                waiting[address] = refusal.code
        records = await self._records(hub, refs)
        ready = {}
        for address, ref in refs.items():
            if ref.kid in records:
                public = records[ref.kid].public
                ready[address] = Ready(ref.kid, public, ref.until, ref.destroy)
            else:
                waiting[address] = "directory.stale-checkpoint" if self.is_stale() else "directory.no-prekey"
        return ready, waiting

    async def _records(self, hub: HubApi, refs: dict[str, PrekeyRef]) -> dict[bytes, PrekeyRecord]:
        wanted = {ref.kid: address for address, ref in refs.items()}
        held = await self._store.db.read(lambda c: rows_of.records(c, wanted))
        found = {kid: PrekeyRecord.from_bytes(record, self._net) for kid, record in held.items()}
        lacking = [kid for kid in wanted if kid not in found]
        if not lacking or self.is_stale() or self.directory.limited:
            return found  # no new keys now
        for start in range(0, len(lacking), QUERY_KIDS):
            for data in await hub.prekey_records(lacking[start : start + QUERY_KIDS]):
                record = self._verified(data, refs)
                if record is not None:
                    kid = record.kid(self._net)
                    found[kid] = record
                    await self._store.db.write(
                        partial(rows_of.add_record, kid=kid, destroy=record.destroy, record=data)
                    )
        return found

    def _verified(self, data: bytes, refs: dict[str, PrekeyRef]) -> PrekeyRecord | None:
        """The record if it is one that was asked for; the hub vouches for none, so a wrong one is only dropped."""
        try:
            record = PrekeyRecord.from_bytes(data, self._net)
            ref = refs.get(record.address)
            return verified_record(data, net=self._net, address=record.address, ref=ref) if ref else None
        except Rejected:
            return None
