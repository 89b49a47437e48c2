"""Owns what a node does when trust is taken away, by whatever path it hears of it (docs/protocol.md §9.9, §9.17).

From the log, a sealed `notice` or a file: in the same transaction what was received under a revoked key is marked and
what this node had sent to its owner is listed; from then on nothing is sealed to it. Until the log has a notice, it is
kept, laid over the log (`Replica.overlay`), and offered to the hub. Which notice is believed is directory/overlay's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from exchange.canonical import b64
from exchange.content import Notice
from exchange.directory.bodies import Body, parse_body
from exchange.directory.bodies_members import Revoke, Suspend, Veto
from exchange.directory.log import Leaf
from exchange.directory.overlay import NOTICES, lost_by, read_notice
from exchange.directory.state import Outcome
from exchange.directory.statements import Statement
from exchange.errors import Refused, Rejected, Unavailable
from exchange.limits import DAY_MS, HOUR_MS
from exchange.node.budget import spend
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.store import notices as rows
from exchange.node.store.figures import NOTICES_DROPPED
from exchange.node.store.store import Store, Transaction, number, raise_alarm, set_fact
from exchange.node.uplink.api import HubApi

NEW_A_DAY: Final = (
    16  # believed from peers about one key, or one member: whoever has a key can sign without end
)
FAULTS_A_DAY: Final = 64  # of one peer that are verified in vain: one may cost 64 signatures
OFFER_MS: Final = HOUR_MS  # until the hub is given a notice again that its log lacks
HUB_CHANGE: Final = "hub-change"

Step = Callable[[Transaction], None]


class Notices:
    """The notices this node holds. Listens to the log, which most of them come by."""

    def __init__(self, store: Store, identity: Identity, replica: Replica, sources: Sources) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._sources = sources
        self._faults: Counter[tuple[int, str]] = Counter()  # by day and peer, of this day

    async def load(self) -> None:
        """Lay what is stored over the log: at the start, and when a command has stored more."""
        if self._replica.is_empty:
            return
        kept = await self._store.db.read(rows.kept)
        lost = [one.lost for one in kept if one.lost is not None]
        # Not from nothing: a page may have laid one more over it since the rows were read.
        merged = self._replica.overlay.merge(lost)
        self._replica.overlay = merged.without_logged(self._replica.directory, self._now())

    async def accept(self, statement: Statement) -> Body:
        """Believe a notice that was handed over, and act by it; what it says.

        Raises Rejected with the code of the rule against it (directory.repeated: the log has it).
        """
        body = read_notice(self._replica.directory, statement, self._now(), self._replica.overlay)
        await self._store.db.write(self._taking(statement, body))
        await self.load()
        return body

    def prepare(self, sender: str, note: Notice) -> Step:
        """What a notice by a peer changes, to be run in the transaction that takes its envelope.

        It is judged here, not there: the log must not grow meanwhile. One that doesn't verify is counted and dropped.
        """
        statement, now = Statement(note.body, note.signatures), self._now()
        if self._replica.overlay.has(statement.hash(self._replica.directory.net)):
            return _nothing
        today = (now // DAY_MS, sender)
        if self._faults[today] >= FAULTS_A_DAY:
            return _count_dropped
        try:
            body = read_notice(self._replica.directory, statement, now, self._replica.overlay)
        except (Rejected, Refused) as fault:
            if fault.code == "directory.repeated":
                return _nothing
            self._faults = Counter({one: many for one, many in self._faults.items() if one[0] == today[0]})
            self._faults[today] += 1
            return _count_dropped
        step = self._taking(statement, body)
        lost = lost_by(self._replica.directory, statement, body, now)
        about = f"{body.head.subject[0]}/{b64(lost.skid)}" if lost else body.head.subject[0]

        def bounded(connection: Transaction) -> None:
            if spend(connection, f"notices/{body.head.type}", about, now=now, most=NEW_A_DAY):
                step(connection)
            else:
                _count_dropped(connection)

        return bounded

    def _taking(self, statement: Statement, body: Body, heard: int | None = None) -> Step:
        directory, now = self._replica.directory, self._now()
        digest = statement.hash(directory.net)
        lost = lost_by(directory, statement, body, now if heard is None else heard)

        def step(connection: Transaction) -> None:
            try:
                self._replica.overlay.check_free(lost.officers if lost else (), digest, now)
            except Rejected:
                _count_dropped(connection)  # another one came with it, and was first
                return
            new = rows.add(
                connection,
                digest,
                statement,
                type_=body.head.type,
                address=body.head.subject[0],
                lost=lost,
                now=now,
            )
            if new and lost is not None:
                # Should this transaction fail, memory distrusts more than the disk for a while: that harms nobody.
                self._replica.overlay = self._replica.overlay.merge([lost])
            if new:
                self._act(connection, body, digest, now)

        return step

    # -- the log ------------------------------------------------------------------------------------------------

    def leaves_came(self, connection: Transaction, came: Sequence[tuple[bytes, Outcome]], /) -> None:
        """Act by what the log says, and forget the notices that it has now (`Listener` of directory_sync)."""
        directory, now = self._replica.directory, self._now()
        for leaf, outcome in came:
            if outcome.effective and outcome.type in NOTICES:
                body = parse_body(Leaf.from_bytes(leaf, directory.net).statement.body, directory.net)
                self._act(connection, body, outcome.statement_hash, now)
        for one in rows.kept(connection):
            if directory.took_effect(one.hash) or (one.lost and one.lost.says_nothing(directory, now)):
                rows.remove(connection, one.hash)
        self._replica.overlay = self._replica.overlay.without_logged(directory, now)

    def log_was_cut(self, connection: Transaction, leaves: Sequence[bytes], /) -> None:
        """What took trust away is a notice again, until the new hub has logged it: nobody is given back any by this."""
        net = self._replica.directory.net
        for leaf in leaves:
            logged = Leaf.from_bytes(leaf, net)
            body = parse_body(logged.statement.body, net)
            # Not judged again: it took effect, and by now may have lapsed, or name what is known no more.
            if body.head.type in NOTICES and body.head.type != HUB_CHANGE:
                self._taking(logged.statement, body, logged.at)(connection)

    def _act(self, connection: Transaction, body: Body, digest: bytes, now: int) -> None:
        address, subject, code = body.head.subject[0], body.head.subject[0], ""
        match body:
            case Revoke():
                code = "node.key-revoked"
                marked = rows.mark_unverified(connection, address=address, skid=body.skid, since=body.since)
                sent = 0
                if address != self._identity.address:
                    sent = rows.expose(connection, skid=body.skid, address=address, since=body.since, now=now)
                    rows.doubt_receipts(
                        connection, skid=body.skid, address=address, since=body.since, now=now
                    )
                subject = f"{address}: {sent} sent, {marked} received"
            case Suspend():
                code = "node.member-suspended"
            case Veto():
                code = "node.recovery-vetoed"
        if code:
            raise_alarm(connection, key=f"notice/{b64(digest)}", at=now, code=code, subject=subject)

    # -- handing on ---------------------------------------------------------------------------------------------

    async def offer(self, hub: HubApi) -> int:
        """Give the hub the notices that its log lacks; how many it took. Raises Unavailable.

        A change of hub isn't for the hub it does away with: `changes_of_hub`.
        """
        now, given = self._now(), 0
        for one in await self._store.db.read(rows.kept):
            if one.type == HUB_CHANGE or now - one.offered_at < OFFER_MS:
                continue
            try:
                await hub.post_notice(one.statement.to_json())
                given += 1
            except Unavailable:
                raise
            except (Refused, Rejected):
                pass  # it judges otherwise, or lies: this node's own judgement stands, and it is asked again
            await self._store.db.write(partial(rows.set_offered, digest=one.hash, now=now))
        return given

    async def changes_of_hub(self) -> list[Statement]:
        """The changes of hub among the notices, oldest first, for whoever adopts them."""
        kept = await self._store.db.read(rows.kept)
        return [one.statement for one in kept if one.type == HUB_CHANGE]

    def _now(self) -> int:
        return self._sources.clock()


def _nothing(_: Transaction) -> None:
    """The log has what the notice says."""


def _count_dropped(connection: Transaction) -> None:
    set_fact(connection, NOTICES_DROPPED, number(connection, NOTICES_DROPPED) + 1)
