"""Founds a real network for the trip tests: the homes of a hub and of members that are active, with prekeys published.

Everything goes through the functions that the commands call, in this process, over TLS. Owns the making of homes; what
runs on a copy of them is `network`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from exchange.cli.officer.home import OfficerHome
from exchange.directory.members import Officer
from exchange.directory.statements import Statement, signatures_json
from exchange.hub import app as hub_app, home as hub_home
from exchange.hub.applications import create_invitation
from exchange.hub.store.store import HubStore
from exchange.invitation import Invitation
from exchange.keys import PrivateKeys, digits
from exchange.node import app as node_app, home as node_home
from exchange.node.directory.membership import Papers, confirm_anchor
from exchange.node.identity import Identity, Sources
from exchange.node.uplink.client import HubClient
from exchange.storage.unlock import Unlock, create_key_file
from tests.trip.caller import now

MEMBERS: Final = ("pe-csirt", "co-csirt", "bb-csirt")
OFFICERS: Final = ("alba", "bruno")
STRANGER: Final = "uy-csirt"  # invited, and not admitted
KEY: Final = "key"


@dataclass(frozen=True)
class Homes:
    """The homes of a network at rest. `origin`'s port is the public one, where nodes look for the hub."""

    folder: Path
    origin: str
    members: tuple[str, ...]
    invitation: str  # one that STRANGER may still use
    officers: Mapping[str, PrivateKeys]

    @property
    def hub(self) -> Path:
        return self.folder / "hub"

    def node(self, handle: str) -> Path:
        return self.folder / handle

    def officer(self, name: str) -> Path:
        return self.folder / f"officer-{name}"

    def unlock(self) -> Unlock:
        return Unlock.key_file(self.folder / KEY)

    @property
    def port(self) -> int:
        """Where nodes look for the hub."""
        return int(self.origin.rpartition(":")[2])


async def found(folder: Path, members: Sequence[str] = MEMBERS) -> Homes:
    """Make a network in `folder`: genesis by two officers, members admitted with prekeys, anchors confirmed."""
    folder.mkdir(mode=0o700)  # noqa: ASYNC240 - nothing else runs in this loop yet
    create_key_file(folder / KEY)
    unlock = Unlock.key_file(folder / KEY)
    sources = node_app.real_sources()
    made = [OfficerHome.create(folder / f"officer-{name}", name, unlock, os.urandom) for name in OFFICERS]
    officers = {home.name: home.keys for home in made}
    homes = Homes(folder, f"https://127.0.0.1:{quiet_port()}", tuple(members), "", officers)
    _ceremony(homes, unlock)
    for home in made:
        home.pin(hub_home.read_genesis(homes.hub))
    settings, keystore = hub_home.load_settings(homes.hub), hub_home.open_keystore(homes.hub, unlock)
    stop, up = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(
        hub_app.serve(homes.hub, settings, keystore, ready=lambda _: up.set(), stop=stop)
    )
    started = asyncio.create_task(up.wait())
    try:
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        assert up.is_set(), serving.exception()
        for handle in members:
            await _admit(homes, handle, unlock, sources)
        for handle in members:  # now that all are in, everybody has the whole log
            async with node_app.running(node_home.open_home(homes.node(handle), unlock), sources) as node:
                await node.sync.once()
        line = invite(homes, STRANGER)
    finally:
        started.cancel()
        stop.set()
        await serving
    return replace(homes, invitation=line)


def _ceremony(homes: Homes, unlock: Unlock) -> None:
    officers = homes.officers
    draft = hub_home.init_home(
        homes.hub,
        name="Trip network",
        origins=[homes.origin],
        officers=[Officer(name, keys.public) for name, keys in officers.items()],
        officers_threshold=len(officers),
        sponsors_threshold=2,
        unlock=unlock,
        now=now(),
        random=os.urandom,
        port=homes.port,
    )
    assert len(draft.missing) == len(officers)
    statement = hub_home.read_genesis(homes.hub)
    for name, keys in officers.items():
        statement = statement.with_signature(f"officer/{name}", keys)
    assert hub_home.add_signatures(homes.hub, statement).missing == ()


def invite(homes: Homes, handle: str, *, days: int = 1, at: int | None = None) -> str:
    """A new invitation, as the hub's administrator makes it."""
    store = HubStore.open(homes.hub, owner=False)
    try:
        invitation = create_invitation(
            store,
            member=handle,
            member_class="national_csirt",
            country=handle[:2].upper(),
            origin=homes.origin,
            valid_days=days,
            now=now() if at is None else at,
            random=os.urandom,
        )
    finally:
        store.close_sync()
    return invitation.to_line()


async def _admit(homes: Homes, handle: str, unlock: Unlock, sources: Sources) -> None:
    """Invitation, application, sponsors, officers; then the node publishes its prekeys."""
    invitation = Invitation.from_line(invite(homes, handle))
    node_home.create(homes.node(handle), handle, unlock, sources)
    home = node_home.open_home(homes.node(handle), unlock).tie(invitation)
    async with node_app.running(home, sources, as_invitee=True) as node:
        await node.membership.apply(
            node.hub,
            invitation,
            Papers(founding=True),
            revoke=home.revoke_public(),
            next_=home.next_commitment(),
        )
        confirm_anchor(node.store, invitation.net, digits(invitation.net), now=now())
    before = homes.members[: homes.members.index(handle)]
    for sponsor in before[:2]:
        async with node_app.running(node_home.open_home(homes.node(sponsor), unlock), sources) as node:
            await node.membership.sponsor(node.hub, await node.membership.application(node.hub, handle))
    for name, keys in homes.officers.items():
        officer = Identity(invitation.net, f"officer/{name}", keys)
        async with HubClient(node_app.route(home), officer, sources) as hub:
            (waiting,) = [one for one in await hub.applications() if one["member"] == handle]
            statement = Statement.from_json({"body": waiting["body"], "signatures": waiting["signatures"]})
            signed = Statement(statement.body).with_signature(officer.address, keys)
            digest = statement.hash(invitation.net)
            await hub.sign_application(handle, digest, signatures_json(signed.signatures))
    async with node_app.running(home, sources) as node:
        await node.sync.once()
        assert node.replica.is_member()


def quiet_port() -> int:
    """A TCP port that is free and that the kernel gives to nobody who doesn't name it."""
    for _ in range(100):
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")
