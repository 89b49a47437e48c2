"""Owns how this node passes to another hub: which change it goes by, where it connects, what it says again (§9.11).

A change of hub comes as a notice (notices.py) by any path, or in the log of the new hub. The replica goes back for it
(directory/replica.py); what this node had said in the leaves that were cut off, it says again to the new hub.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from exchange.directory.bodies import parse_body
from exchange.directory.bodies_contacts import named_by
from exchange.directory.bodies_network import HUB_CHANGE
from exchange.directory.log import Leaf
from exchange.directory.members import HubIdentity
from exchange.directory.network import member_of
from exchange.directory.state import Outcome
from exchange.directory.statements import Statement
from exchange.directory.succession import read_change
from exchange.errors import Refused, Rejected, Unavailable
from exchange.node.directory.notices import Notices
from exchange.node.directory.registration import Registration
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity
from exchange.node.store import succession as rows
from exchange.node.store.store import Store, Transaction
from exchange.node.uplink.api import HubApi

# These come again by themselves, newer; or they are the old hub's own.
_BY_THEMSELVES: Final = frozenset({"prekeys", "tick", HUB_CHANGE})


async def _stay(_: HubIdentity) -> None:
    """Nobody has to be told where the hub is."""


class Succession:
    """Goes by changes of hub. `move` is told where the hub is from now on, again after a crash: once is as good."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        replica: Replica,
        notices: Notices,
        registration: Registration,
    ) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._notices = notices
        self._registration = registration
        self.move: Callable[[HubIdentity], Awaitable[None]] = _stay

    async def adopt(self) -> bool:
        """Go by the changes of hub that were handed over; whether the hub is elsewhere now. Raises Unavailable."""
        if self._replica.is_empty:
            return False
        for statement in await self._notices.changes_of_hub():
            try:
                await self._replica.adopt(statement)
            except Rejected:
                continue  # not on this log: it stays a notice until the log says what became of it
        change = await self._store.db.read(rows.change)
        if change is None:
            return False
        digest = change.hash(self._identity.net)
        if await self._store.db.read(rows.moved) == digest:
            return False
        await self.move(read_change(change, self._identity.net).hub)
        await self._store.db.write(partial(rows.set_moved, digest=digest))
        return True

    async def say_again(self, hub: HubApi) -> int:
        """Submit again what this node had said in leaves that were cut off; how many the hub answered.

        Only once the log has the new hub. Raises Unavailable: the rest is submitted later.
        """
        waiting = await self._store.db.read(rows.open_cut)
        change = await self._store.db.read(rows.change) if waiting else None
        if change is None or not self._replica.directory.took_effect(change.hash(self._identity.net)):
            return 0
        said = 0
        for cut in waiting:
            said += await self._submit(hub, Leaf.from_bytes(cut.leaf, self._identity.net).statement)
            await self._store.db.write(partial(rows.close_cut, n=cut.n))
        return said

    async def _submit(self, hub: HubApi, statement: Statement) -> bool:
        me = self._identity.address
        try:
            body = parse_body(statement.body, self._identity.net)
            own = me in statement.signers or member_of(body.head.subject[0]) == me
            if not own or body.head.type in _BY_THEMSELVES:
                return False
            await self._registration.submit(hub, statement, body.head.type, named_by(body))
        except Unavailable:
            raise
        except (Refused, Rejected):
            pass  # logged already, or overtaken: it is the people's to say anew
        return True

    # -- the log ------------------------------------------------------------------------------------------------

    def leaves_came(self, connection: Transaction, came: Sequence[tuple[bytes, Outcome]], /) -> None:
        """A change of hub that the log shows is gone by as well (`Listener` of log_watch)."""
        for leaf, outcome in came:
            if outcome.effective and outcome.type == HUB_CHANGE:
                rows.set_change(connection, Leaf.from_bytes(leaf, self._identity.net).statement)

    def log_was_cut(self, connection: Transaction, _leaves: Sequence[bytes], /) -> None:
        """They lie aside: `say_again` sees to them."""
