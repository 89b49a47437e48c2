"""Owns the receipts this node gives: signed in batches of up to 256, uploaded until the hub has answered (§7)."""

from __future__ import annotations

from functools import partial
from typing import Final

from exchange.errors import Refused, Rejected
from exchange.limits import DAY_MS, MAX_RECEIPT_LEAVES
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.keys.trust import is_listed
from exchange.node.store import receipts as rows
from exchange.node.store.store import Store, Transaction, raise_alarm
from exchange.node.uplink.api import HubApi
from exchange.receipt import Leaf, make_batch

UNKNOWN_SIGNER: Final = "receipt.unknown-signer"
_UPLOADS: Final = 16


class Receipts:
    """Signs and uploads. A batch is durable, with its number, before anybody sees it."""

    def __init__(self, store: Store, identity: Identity, replica: Replica, sources: Sources) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._sources = sources

    async def sign(self) -> int:
        """Sign one batch of what is owed; how many receipts are in it."""
        return await self._store.db.write(self._sign)

    def _sign(self, connection: Transaction) -> int:
        owed = rows.open_receipts(connection, limit=MAX_RECEIPT_LEAVES)
        if not owed:
            return 0
        me = self._identity.address
        number = rows.next_number(connection)
        batch = make_batch(
            net=self._identity.net,
            signer=me,
            keys=self._identity.keys,
            number=number,
            dir_ref=self._replica.dir_ref(),
            at=self._sources.clock(),
            leaves=[Leaf(me, one.env, one.lc, one.status, one.code, one.salt) for one in owed],
        )
        rows.add_batch(connection, number, batch, [one.env for one in owed])
        return len(owed)

    def _has_own_key(self) -> bool:
        return is_listed(self._replica, self._identity.address, self._identity.skid)

    async def upload(self, hub: HubApi) -> int:
        """Sign and upload everything that is owed now; how many batches the hub took. Repeats are harmless.

        One that it refuses alarms, stays, and keeps nothing else from going; where the log lacks the key in use, they
        wait without an alarm. What comes to be owed meanwhile is for the next time: on a thin link there would be a
        signature for every message.
        """
        count = last = 0
        full = True
        while True:
            full = full and await self.sign() == MAX_RECEIPT_LEAVES
            unsent = await self._store.db.read(partial(rows.unsent, after=last, limit=_UPLOADS))
            if not unsent:
                return count
            for number, batch in unsent:
                last, now = number, self._sources.clock()
                try:
                    await hub.post_receipts(batch.upload())
                except (Refused, Rejected) as fault:
                    if fault.code == UNKNOWN_SIGNER and not self._has_own_key():
                        return count  # a log without the key in use is to have it first (own_keys.py)
                    if fault.code == UNKNOWN_SIGNER and batch.skid != self._identity.skid:
                        # Under a key that was changed too long ago: what it says is said under the one in use.
                        await self._store.db.write(partial(rows.take_back, number_=number))
                        full = True
                        continue
                    key = f"receipts/{fault.code}/{now // DAY_MS}"
                    alarm = partial(raise_alarm, key=key, at=now, code=fault.code, subject="hub")
                    await self._store.db.write(alarm)
                else:
                    await self._store.db.write(partial(rows.set_sent, number_=number, now=now))
                    count += 1
