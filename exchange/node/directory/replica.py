"""Owns this node's replica of the directory log: replay at the start, pages from the hub, checkpoints, alarms (§9).

Every leaf is judged by directory/state; a checkpoint is taken only when the own log has its very root.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from exchange import policy
from exchange.canonical import b64, dumps, sha256
from exchange.directory.bodies import PARSERS
from exchange.directory.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    check_consistent,
    check_fresh,
    compare,
)
from exchange.directory.network import member_of
from exchange.directory.overlay import Overlay
from exchange.directory.state import Directory, Outcome
from exchange.directory.statements import Statement
from exchange.directory.succession import read_change
from exchange.errors import Damaged, ExchangeError, Hold, Refused, Rejected, Unavailable
from exchange.header import DirRef
from exchange.limits import DAY_MS
from exchange.node.directory.hub_help import show_checkpoint
from exchange.node.directory.log_watch import Listener, Watch
from exchange.node.directory.other_log import fetch_leaves, go_back, judge_leaves, read_other_log
from exchange.node.store import directory as rows_of, succession
from exchange.node.store.store import Store, Transaction, fact, raise_alarm, set_fact
from exchange.node.uplink.api import HubApi

KEEP_CHECKPOINTS_MS: Final = 60 * DAY_MS
NOTHING_PINNED: Final = (0, sha256(b""))  # the empty tree's root (RFC 9162)
JUDGED_BY: Final = "log.judged-by"  # the types that the program which judged the stored leaves knew
_TYPES: Final = " ".join(sorted(PARSERS)).encode("ascii")
_BREATH: Final = 16  # leaves applied between two turns of the event loop
_MOST_NOTES: Final = 64  # peers' checkpoints that wait for a longer log

Step = Callable[[Transaction], None]


class Replica:
    """The directory as this node knows it. One per process; only its own methods move it on."""

    def __init__(self, store: Store, *, net: bytes, me: str, clock: Callable[[], int]) -> None:
        self._store = store
        self._net = net
        self._me = me
        self._clock = clock
        self._directory: Directory | None = None
        self._newest: SignedCheckpoint | None = None
        self._least_term = 0  # of the hub this node goes by
        self._notes: list[tuple[str, SignedCheckpoint]] = []
        self._listeners: list[Listener] = [Watch(net, me, clock)]
        self.overlay = Overlay()  # trust that notices take away and the log doesn't yet; notices.py sets it
        self.before: Callable[[HubApi], Awaitable[None]] | None = None  # a refresh
        self._turn = asyncio.Lock()

    def listen(self, listener: Listener) -> None:
        """Let `listener` know of every change from now on."""
        self._listeners.append(listener)

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

    @property
    def seen_at(self) -> int | None:
        """The newest checkpoint's time, UTC ms: how old this node's view is; None before the first."""
        return None if self._newest is None else self.checkpoint.at

    def dir_ref(self) -> DirRef:
        """The `dir` of what this node signs now."""
        return self.newest.ref(self._net)

    def is_member(self) -> bool:
        """Whether the log has admitted this node's address: its member, or the unit whose home this is."""
        directory = self._directory
        return directory is not None and (self._me in directory.members or self._me in directory.units)

    def is_stale(self) -> bool:
        """Whether no new keys are taken because the newest checkpoint is older than 24 h."""
        if self._newest is None:
            return True
        try:
            check_fresh(self.checkpoint, self._clock())
        except Unavailable:
            return True
        return False

    def distrusts(self, address: str) -> bool:
        """Whether a notice says that the address's key is somebody else's."""
        directory = self.directory
        holder = directory.members.get(address) or directory.units.get(address)
        if holder is None:
            return False
        return self.overlay.distrusted(address, holder.keys.signing.skid(self._net)) is not None

    def suspends(self, address: str) -> bool:
        """Whether the address's member is suspended, by the log or by a notice: it is sent CLEAR and nothing else."""
        told = self.overlay.suspended(member_of(address))
        return told or policy.is_suspended(self.directory, address)

    def contradicts(self, ref: DirRef) -> bool:
        """Whether what a peer knew of the log isn't what this node knows of the same size."""
        directory = self.directory
        return ref.size <= directory.size and directory.root(ref.size) != ref.root

    # -- keeping up ---------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Replay what is stored. Raises Refused storage.damaged when it doesn't replay."""
        judged = await self._store.db.read(rows_of.judged_leaves)
        if not judged:
            self._directory, self._newest = None, None
            return
        if await self._store.db.read(lambda c: fact(c, JUDGED_BY)) == _TYPES:
            directory = await asyncio.to_thread(Directory.resume, judged)
        else:
            directory = await self._judge_again([leaf for leaf, _ in judged])
        if directory.net != self._net:
            raise Refused("storage.damaged", "the stored log is another network's")
        self._directory = directory
        await self._after_change()

    async def _judge_again(self, leaves: Sequence[bytes]) -> Directory:
        """Another version stored the log: types that it didn't know may take effect now."""
        directory = Directory.from_genesis(leaves[0])
        codes = [""]
        for count, leaf in enumerate(leaves[1:]):
            codes.append(directory.apply(leaf, now=None).code)
            if count % _BREATH == 0:
                await asyncio.sleep(0)

        def write(connection: Transaction) -> None:
            rows_of.set_codes(connection, codes)
            set_fact(connection, JUDGED_BY, _TYPES)

        await self._store.db.write(write)
        return directory

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

            def begin(connection: Transaction) -> None:
                rows_of.add_leaf(connection, 0, pages[0], "")
                set_fact(connection, JUDGED_BY, _TYPES)

            await self._store.db.write(begin)
            self._directory = first
        await self.refresh(hub)
        size, root = least
        if self.directory.size < size:
            raise Rejected("directory.rollback", "the hub's log is shorter than the invitation says")
        if self.directory.root(size) != root:
            raise Rejected("directory.split", "the hub's log isn't the one the invitation pins")

    async def begin(self, hub: HubApi) -> None:
        """As `start`, where no invitation pins anything but the network: a unit's home, whose member has joined.

        It is a member only once the log has its own statement, so a log shortened to before that gives nothing.
        Raises Refused node.not-joined in a member's own home; as `start`.
        """
        if "/" not in self._me:
            raise Refused("node.not-joined")
        await self.start(hub, least=NOTHING_PINNED)

    async def refresh(self, hub: HubApi) -> bool:
        """Follow the hub's newest checkpoint, alarm if it is over 24 h old; did the log grow? Raises as `follow`."""
        if self.before is not None:
            await self.before(hub)
        grew = await self.follow(hub, SignedCheckpoint.from_json(await hub.checkpoint()))
        if self.is_stale():  # one that was behind has been helped just now, and has a newer one
            grew |= await self.follow(hub, SignedCheckpoint.from_json(await hub.checkpoint()))
            if self.is_stale():
                await self._alarm_over(Unavailable("directory.frozen"), self.newest)
        return grew

    async def follow(self, hub: HubApi, offered: SignedCheckpoint) -> bool:
        """Take the log up to a checkpoint the hub offers; whether it grew.

        Raises Rejected directory.rollback, directory.split, checkpoint.* (an alarm is noted); Damaged
        directory.bad-leaf for pages that don't lead to its root; Hold directory.leaf-ahead.
        """
        async with self._turn:
            if self._newest == offered:
                return False
            if await self._is_of_later_hub(offered):
                return await self._follow_successor(hub, offered)
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
        directory, once = self.directory, ""
        try:
            checkpoint = offered.verify(self._net, directory)
            if checkpoint.term < max(self._least_term, directory.term):
                again = True  # no help: it is another hub's log by now
                once = f"term {checkpoint.term}"
                raise Rejected("directory.rollback", "a hub that another has taken the place of")
            compare(self._newest, offered, directory, self._net)
        except Rejected as fault:
            if fault.code == "directory.rollback" and not again:
                if await show_checkpoint(self._store, self._net, hub, self.newest):
                    return None
                # Another member may have helped since the hub gave this one: one that rolls back shows it once more.
                return await self._checked(
                    hub, SignedCheckpoint.from_json(await hub.checkpoint()), again=True
                )
            await self._alarm_over(fault, offered, once=once)
            raise
        return offered, checkpoint

    async def _extend(self, hub: HubApi, checkpoint: Checkpoint, offered: SignedCheckpoint) -> bool:
        directory = self.directory
        fresh = await fetch_leaves(hub, directory.size, checkpoint.size)
        if directory.root_with(fresh) != checkpoint.root:
            fault = Damaged("directory.bad-leaf", "the leaves don't lead to the checkpoint's root")
            await self._alarm_over(fault, offered)
            raise fault
        came, hold = await judge_leaves(directory, fresh, self._clock)
        if came:
            await self._keep(came)
        if hold is not None:
            raise hold
        return bool(came)

    async def _keep(self, came: Sequence[tuple[bytes, Outcome]], *, cut: Step | None = None) -> None:
        """Store what the directory in memory has taken in, after what `cut` does."""

        def write(connection: Transaction) -> None:
            if cut is not None:
                cut(connection)
            for leaf, outcome in came:
                rows_of.add_leaf(connection, outcome.index, leaf, outcome.code)
            for listener in self._listeners:
                listener.leaves_came(connection, came)

        try:
            await self._store.db.write(write, size=sum(len(leaf) for leaf, _ in came))
        except ExchangeError:
            await self.load()  # memory must not know more than the disk
            raise

    # -- another hub (docs/protocol.md §9.11) -------------------------------------------------------------------

    async def adopt(self, statement: Statement) -> bool:
        """Go by a change of hub that was handed over: back to where it says; whether that is news.

        From then on no checkpoint of an earlier hub moves this log. Raises as `go_back`.
        """
        async with self._turn:
            held, adopted = self.directory, await self._store.db.read(succession.change)
            if held.took_effect(statement.hash(self._net)) or adopted == statement:
                return False
            stored = await self._store.db.read(rows_of.judged_leaves)
            earlier = await go_back(held, stored, statement, adopted=adopted)

            def go_by(connection: Transaction) -> None:
                succession.set_change(connection, statement)
                if earlier is not held:
                    self._cut(connection, earlier.size, stored)

            self._directory = earlier
            await self._keep((), cut=go_by)
            await self._after_change()
            return True

    async def _after_change(self) -> None:
        held = await self._store.db.read(rows_of.newest_checkpoint)
        self._newest = SignedCheckpoint(*held) if held else None
        change = await self._store.db.read(succession.change)
        self._least_term = read_change(change, self._net).term if change else 0

    async def _is_of_later_hub(self, offered: SignedCheckpoint) -> bool:
        try:
            return offered.claim(self._net).term > self.directory.term
        except Rejected as fault:
            await self._alarm_over(fault, offered)
            raise

    async def _follow_successor(self, hub: HubApi, offered: SignedCheckpoint) -> bool:
        """Take over the log of a hub whose term isn't in the own one yet; that it may is proved by what is in it."""
        stored = await self._store.db.read(rows_of.judged_leaves)
        adopted = await self._store.db.read(succession.change)
        try:
            log = await read_other_log(
                hub, self.directory, stored, offered, adopted=adopted, clock=self._clock
            )
        except (Rejected, Damaged) as fault:
            await self._alarm_over(fault, offered, once=f"term {offered.claim(self._net).term}")
            raise
        self._directory = log.directory

        def leave(connection: Transaction) -> None:
            if log.start < len(stored):
                self._cut(connection, log.start, stored)

        await self._keep(log.came, cut=leave)
        await self._take(offered, offered.claim(self._net))
        await self._after_change()
        return True

    def _cut(self, connection: Transaction, size: int, stored: Sequence[tuple[bytes, str]]) -> None:
        succession.cut(connection, size)
        for listener in self._listeners:
            listener.log_was_cut(connection, [leaf for leaf, code in stored[size:] if not code])

    async def _take(self, offered: SignedCheckpoint, checkpoint: Checkpoint) -> None:
        now, net = self._clock(), self._net

        def write(connection: Transaction) -> None:
            rows_of.add_checkpoint(connection, offered.hash(net), offered, checkpoint)
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
            shown = note.verify(self._net, self.directory)
        except (Rejected, Hold):
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
        self, fault: ExchangeError, offered: SignedCheckpoint, subject: str = "hub", *, once: str = ""
    ) -> None:
        """Note an alarm with both views as evidence: one a checkpoint, or one for what `once` says."""
        held = self._newest.to_json() if self._newest else {}
        evidence = dumps({"held": held, "offered": offered.to_json()})
        key = f"{fault.code}/{once or b64(offered.hash(self._net))}"
        now = self._clock()
        await self._store.db.write(
            lambda c: raise_alarm(c, key=key, at=now, code=fault.code, subject=subject, evidence=evidence)
        )
