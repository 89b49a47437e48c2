"""Units of a member for tests of nodes: made by their readers, published by the member's administrator, and running."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from exchange.directory.bodies_contacts import UNIT
from exchange.node import units
from exchange.node.app import build
from exchange.node.home import Paths, open_home
from exchange.node.units import Draft
from exchange.protocol import ITEM_DELIVERY, Item
from exchange.storage.unlock import Unlock, create_key_file
from tests.simulated_hub import SimulatedHub
from tests.simulator import Simulation, Site


@dataclass
class UnitSite(Site):
    """A unit's node on the home that `units.make` made, opened with the key of its reader."""

    key: Path = field(default_factory=Path)
    caught: list[bytes] = field(default_factory=list)  # the deliveries that came

    async def start(self) -> None:
        home = open_home(self.home, Unlock.key_file(self.key))
        store = home.open_store(owner=True)
        self.hub.wire.touch = self._catch
        self.node = build(
            store=store,
            keystore=home.keystore,
            prekeys=home.prekeys,
            identity=home.identity(),
            hub=self.hub,
            sources=self.sources(),
        )
        await self.node.load()

    def _catch(self, item: Item) -> Item:
        if item.type == ITEM_DELIVERY:
            self.caught.append(item.payload)
        return item


def made(host: Site, handle: str, kind: str = UNIT) -> Draft:
    """The unit's reader makes its home, under a key of theirs that lies elsewhere."""
    return units.make(host.home, handle, kind, Unlock.key_file(key_of(host, handle)), host.up.sources)


def key_of(host: Site, handle: str) -> Path:
    path = host.home.parent / f"{handle}.key"
    if not path.exists():
        create_key_file(path)
    return path


async def published(sim: Simulation, host: Site, handle: str, kind: str = UNIT) -> UnitSite:
    """A unit whose member has signed for it, its own node running, its prekeys known to everybody."""
    draft = made(host, handle, kind)
    submission = await units.publish(
        host.up.identity, host.up.store, host.up.replica, host.hub, draft, now=sim.world.now
    )
    assert submission.outcome == "logged"
    home = Paths(host.home).unit(handle).root
    hub = SimulatedHub(sim, draft.address)
    site = UnitSite(sim, draft.address, home, hub, key=key_of(host, handle))
    sim.sites[draft.address] = site
    await site.start()
    await sim.rounds(2)
    return site
