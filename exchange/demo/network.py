"""A whole network on this machine: homes, the officers' ceremony, members admitted, servers up.

Owns the way from an empty folder to a network, by the same services that the commands use. What is then sent is
`demo_story`'s and `demo_files`' business.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from exchange.cli.call import now_ms, remember_key_file
from exchange.cli.node.home import Opened, membership
from exchange.cli.officer.home import OfficerHome, read_genesis, write_public
from exchange.cli.officer.view import viewing
from exchange.demo.processes import Server, Servers, free_port, until
from exchange.door_settings import DoorSettings
from exchange.errors import Unavailable
from exchange.hub import home as hub_home
from exchange.hub.applications import create_invitation
from exchange.hub.store.store import HubStore
from exchange.invitation import Invitation
from exchange.keys import digits
from exchange.node.app import real_sources, running
from exchange.node.control import channel as control
from exchange.node.directory.membership import Papers, confirm_anchor
from exchange.node.home import Home, create, open_home
from exchange.node.mail.desk import Desk
from exchange.storage.files import PRIVATE_DIRECTORY
from exchange.storage.unlock import Unlock, create_key_file

NETWORK_NAME: Final = "Demonstration network"
OFFICERS: Final = ("ana", "ben")
MEMBERS: Final = {"pe-csirt": "PE", "co-csirt": "CO", "bb-csirt": "BB"}
PE, CO, BB = MEMBERS
LEAVES: Final = 1 + 2 * len(MEMBERS)  # genesis, and for each member its admission and its prekeys


@dataclass
class DemoNode:
    """A member's node: its home, and its server while one runs."""

    member: str
    path: Path
    key: Path
    server: Server | None = None

    def home(self) -> Home:
        """The home, opened beside its server."""
        return open_home(self.path, Unlock.key_file(self.key))

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """The home as the commands see it."""
        home = self.home()
        store = home.open_store(owner=False)
        try:
            yield Opened(home, store, Desk(store, real_sources(), who=getpass.getuser()))
        finally:
            store.db.close_sync()

    def poke(self) -> None:
        """Let its server know that something was queued; a node that is down finds it when it starts."""
        if self.server is not None:
            control.ask(self.path / "control.sock", "poke")

    def directory_size(self) -> int:
        """How far its server has followed the log."""
        try:
            size: int = control.ask(self.path / "control.sock", "status")["directory_size"]
        except Unavailable:
            return 0
        return size


class DemoNetwork:
    """Hub, two officers and three nodes in folders under `root`."""

    def __init__(self, root: Path, servers: Servers) -> None:
        self.hub_path = root / "hub"
        self.port = free_port()
        self.origin = f"https://127.0.0.1:{self.port}"
        self._keys = root / "keys"
        self._servers = servers
        self._root = root
        self.hub: Server | None = None
        self.nodes = {member: DemoNode(member, root / member, self._keys / member) for member in MEMBERS}

    def set_up(self) -> None:
        """From an empty folder to three admitted members whose nodes serve and know each other's prekeys."""
        self._keys.mkdir(mode=PRIVATE_DIRECTORY)
        for name in ("hub", *OFFICERS, *MEMBERS):
            create_key_file(self._keys / name)
        officers = [
            OfficerHome.create(self._root / f"officer-{name}", name, self._unlock(name), os.urandom)
            for name in OFFICERS
        ]
        for name in OFFICERS:
            remember_key_file(self._root / f"officer-{name}", self._keys / name)
        self._begin(officers)
        self.start_hub()
        asyncio.run(self._admit_all(officers))
        for node in self.nodes.values():
            with node.opened() as home:
                net = home.home.identity().net
                confirm_anchor(home.store, net, digits(net), now=now_ms())
                home.home.with_door(DoorSettings(open=True, port=0, tls=True))
            self.start(node)
        for node in self.nodes.values():
            self.wait_up(node)
        for node in self.nodes.values():
            until(f"{node.member} knows the network", partial(_knows_all, node))

    def start_hub(self) -> None:
        """Start the hub and wait until it listens."""
        self.hub = self._servers.start(
            "hub", ["hub", "serve", "--home", str(self.hub_path), "--key-file", str(self._keys / "hub")]
        )
        self.hub.ready()

    def stop_hub(self) -> None:
        """Stop the hub in order."""
        if self.hub is not None:
            self.hub.stop()
            self.hub = None

    def start(self, node: DemoNode) -> None:
        """Start a node's server."""
        arguments = ["node", "serve", "--home", str(node.path), "--key-file", str(node.key)]
        node.server = self._servers.start(node.member, arguments)

    def wait_up(self, node: DemoNode) -> None:
        """Wait until a node that was started is up."""
        if node.server is not None:
            node.server.ready()

    def stop(self, node: DemoNode) -> None:
        """Stop a node's server in order."""
        if node.server is not None:
            node.server.stop()
            node.server = None

    def _unlock(self, name: str) -> Unlock:
        return Unlock.key_file(self._keys / name)

    def _begin(self, officers: list[OfficerHome]) -> None:
        """The hub's home, and the genesis with everybody's signature."""
        hub_home.init_home(
            self.hub_path,
            name=NETWORK_NAME,
            origins=[self.origin],
            officers=[officer.officer for officer in officers],
            officers_threshold=len(OFFICERS),
            sponsors_threshold=2,
            unlock=self._unlock("hub"),
            now=now_ms(),
            random=os.urandom,
            port=self.port,
        )
        remember_key_file(self.hub_path, self._keys / "hub")
        round_trip = self._root / "genesis.json"
        write_public(round_trip, hub_home.read_genesis(self.hub_path))
        for officer in officers:
            signed = read_genesis(round_trip).with_signature(officer.officer.address, officer.keys)
            officer.pin(signed)
            write_public(round_trip, signed)
        hub_home.add_signatures(self.hub_path, read_genesis(round_trip))
        hub_home.begin(self.hub_path, now=now_ms())

    async def _admit_all(self, officers: list[OfficerHome]) -> None:
        """Applications of all three, both officers' approvals, and sponsors of other countries where there are any."""
        await asyncio.gather(*(self._apply(node, self._invite(node.member)) for node in self.nodes.values()))
        for officer in officers:
            async with viewing(officer) as view:
                waiting = {one.member.handle: one for one in await view.applications()}
                for (
                    member
                ) in MEMBERS:  # in this order: the first one needs no sponsor, for there is nobody yet
                    await view.approve(waiting[member])
        for sponsor, newcomers in ((PE, (CO, BB)), (CO, (BB,))):
            async with membership(self.nodes[sponsor].home()) as (service, hub):
                for newcomer in newcomers:
                    await service.sponsor(hub, await service.application(hub, newcomer))

    def _invite(self, member: str) -> Invitation:
        store = HubStore.open(self.hub_path, owner=False)
        try:
            return create_invitation(
                store,
                member=member,
                member_class="national_csirt",
                country=MEMBERS[member],
                origin=self.origin,
                valid_days=1,
                now=now_ms(),
                random=os.urandom,
            )
        finally:
            store.close_sync()

    async def _apply(self, node: DemoNode, invitation: Invitation) -> None:
        create(node.path, node.member, Unlock.key_file(node.key), real_sources())
        remember_key_file(node.path, node.key)
        tied = node.home().tie(invitation)
        async with running(tied, real_sources(), as_invitee=True) as service:
            await service.membership.apply(
                service.hub,
                invitation,
                Papers(founding=True),
                revoke=tied.revoke_public(),
                next_=tied.next_commitment(),
            )


def _knows_all(node: DemoNode) -> bool:
    """Whether it has seen everybody's admission and prekeys."""
    return node.directory_size() >= LEAVES
