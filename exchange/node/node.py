"""A node wired up: its services in one value, for the process that owns the home (app.py makes it)."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.node.desk import Desk
from exchange.node.directory_sync import Replica
from exchange.node.doors import Doors
from exchange.node.feeds import Feeds
from exchange.node.hub_api import HubApi
from exchange.node.identity import Identity, Sources
from exchange.node.inbox import Inbox
from exchange.node.membership import Membership
from exchange.node.notices import Notices
from exchange.node.outbox import Outbox
from exchange.node.own_keys import OwnKeys
from exchange.node.parts import Parts
from exchange.node.prekeys import Prekeys
from exchange.node.registration import Registration
from exchange.node.retention import Retention
from exchange.node.store import Store
from exchange.node.succession import Succession
from exchange.node.sync import Sync


@dataclass(frozen=True)
class Node:
    """A node wired up around one hub connection."""

    store: Store
    identity: Identity
    sources: Sources
    hub: HubApi
    replica: Replica
    prekeys: Prekeys
    outbox: Outbox
    inbox: Inbox
    membership: Membership
    parts: Parts
    notices: Notices
    registration: Registration
    own_keys: OwnKeys
    succession: Succession
    retention: Retention
    feeds: Feeds
    sync: Sync

    def desk(self, who: str) -> Desk:
        """What the user `who` can do."""
        return Desk(self.store, self.sources, who=who)

    def doors(self, who: str) -> Doors:
        """The ways out, as that user opens them."""
        return Doors(self.store, self.sources, address=self.identity.address, who=who)

    async def load(self) -> None:
        """Read what is stored: the log is replayed, prekeys are found. Once, before anything else."""
        await self.replica.load()
        await self.prekeys.load()
        await self.notices.load()
        await self.own_keys.settle()
