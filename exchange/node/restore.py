"""Owns what follows when this home was restored from an old copy, which only the hub can tell (§6.4).

At each start the hub's memory of us (newest prekeys statement, highest receipt batch) is compared with our own, before
anything follows the log: what a lost run said there isn't a thief's. The steps survive a crash: a flag stands until the
last of them is done.
"""

from __future__ import annotations

from typing import Final

from exchange.canonical import ZERO32
from exchange.content import Restored
from exchange.errors import Rejected
from exchange.node.budget import spend
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.keys.prekeys import Prekeys
from exchange.node.mail.outbox import SAID_ONCE_MS, Outbox
from exchange.node.store import directory as directory_rows, links, receipts as store_receipts, sealings
from exchange.node.store.store import Store, Transaction, number, raise_alarm, set_fact
from exchange.node.uplink.api import HubApi, HubState

PENDING: Final = "restore.pending"
HERE: Final = (
    "restore.here"  # of which time, ms, the backup was that this home is made of; 0 once all is made good
)
PREKEYS_DONE: Final = 2
MOST_LOST: Final = 2**32  # receipt batches no lost run can have signed: numbers must not be used up by a lie
ROUNDS_A_DAY: Final = 4  # of new prekeys and `restored` to everybody, whatever the hub says


class Restore:
    """Finds out and makes good."""

    def __init__(
        self,
        *,
        store: Store,
        identity: Identity,
        replica: Replica,
        prekeys: Prekeys,
        outbox: Outbox,
        sources: Sources,
    ) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._prekeys = prekeys
        self._outbox = outbox
        self._sources = sources
        self._has_noted = False  # in this process: one that runs isn't restored

    async def look(self, hub: HubApi) -> None:
        """`note`, before the log is first followed, whoever does it. Raises as `note`; what the hub answers."""
        if not self._has_noted and self._replica.is_member():
            await self.note(await hub.state())

    async def note(self, state: HubState) -> bool:
        """Compare with what the hub remembers of us; whether this home is behind. To be called before a refresh.

        Marks the foreign-looking prekeys statements up to that one as ours: after a restore they are not a thief's.

        Raises Rejected request.bad for a number that can't be true.
        """

        def write(connection: Transaction) -> bool:
            highest = number(connection, store_receipts.HIGHEST)
            if not 0 <= state.receipts_batch <= highest + MOST_LOST:
                raise Rejected(
                    "request.bad", "the hub's state: no such number of receipts can have been given"
                )
            behind = state.receipts_batch > highest
            if state.prekeys != ZERO32 and not directory_rows.is_own_statement(connection, state.prekeys):
                behind = True
            if behind:
                now = self._sources.clock()
                store_receipts.jump(connection, state.receipts_batch)
                directory_rows.add_own_statement(connection, state.prekeys, directory_rows.RESTORED, now=now)
                set_fact(connection, directory_rows.RESTORED, state.prekeys)
                set_fact(connection, PENDING, 1)
                sealings.offer_again(connection)  # receipts are lost too: a repeat is answered with them
                key = f"restored/{state.receipts_batch}/{state.prekeys.hex()}"
                # whose people restored it need no suspicion of a thief: only who finds it so unprepared does
                code = "node.restored-here" if number(connection, HERE) else "node.restored"
                raise_alarm(connection, key=key, at=now, code=code, subject=self._identity.address)
            return behind

        behind = await self._store.db.write(write)
        self._has_noted = True
        return behind

    async def make_good(self, hub: HubApi) -> bool:
        """New prekeys, then `restored` to every member; whether it was done now. Raises as `Prekeys.publish`."""
        stage = await self._store.db.read(lambda c: number(c, PENDING))
        if stage == 0 or not self._replica.is_member():
            return False
        if stage < PREKEYS_DONE:
            if not await self._store.db.write(self._may_begin):
                return False
            if not await self._prekeys.publish(hub, afresh=True):
                return False  # superseded by a statement of the lost run: the next pass makes it on the newest state
            await self._store.db.write(lambda c: set_fact(c, PENDING, PREKEYS_DONE))
        directory = self._replica.directory
        peers = {*directory.members, *directory.units} - {self._identity.address}

        def write(connection: Transaction) -> None:
            for peer in sorted(peers):
                note = Restored(links.positions(connection, peer))
                payload = note.to_payload()
                self._outbox.send(
                    connection, payload, Restored.type, "immediate", [peer], life_ms=SAID_ONCE_MS
                )
            set_fact(connection, PENDING, 0)
            set_fact(connection, HERE, 0)

        await self._store.db.write(write)
        return True

    def _may_begin(self, connection: Transaction) -> bool:
        now = self._sources.clock()
        return spend(connection, "restore", self._identity.address, now=now, most=ROUNDS_A_DAY)
