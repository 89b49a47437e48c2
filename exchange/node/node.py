"""A node wired up: its services in one value, for the process that owns the home (app.py makes it)."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.node.directory.membership import Membership
from exchange.node.directory.notices import Notices
from exchange.node.directory.parts import Parts
from exchange.node.directory.registration import Registration
from exchange.node.directory.replica import Replica
from exchange.node.directory.succession import Succession
from exchange.node.doors.doors import Doors
from exchange.node.feeds.feeds import Feeds
from exchange.node.identity import Identity, Sources
from exchange.node.keys.own_keys import OwnKeys
from exchange.node.keys.prekeys import Prekeys
from exchange.node.mail.desk import Desk
from exchange.node.mail.inbox import Inbox
from exchange.node.mail.outbox import Outbox
from exchange.node.retention import Retention
from exchange.node.store.store import Store
from exchange.node.sync import Sync
from exchange.node.uplink.api import HubApi


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
