"""How commands get at a node's home: beside the server that owns it, or owning it for a moment themselves.

Owns that choice (design: one process owns a home; a command beside it writes its intent and wakes it). What commands do
then stands in their own files.
"""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from exchange.canonical import Json
from exchange.cli.call import Call
from exchange.directory.state import Directory
from exchange.errors import ExchangeError, Refused, Unavailable
from exchange.node.app import real_sources, route, running
from exchange.node.attachments.desk import AttachmentDesk
from exchange.node.control import channel as control
from exchange.node.control.verbs import wait_for
from exchange.node.directory.membership import Membership, anchor_confirmed
from exchange.node.directory.replica import Replica
from exchange.node.doors.constituents import Constituents
from exchange.node.doors.disclosures import Inquirer
from exchange.node.doors.doors import Doors
from exchange.node.home import INVITATION, Home, open_home
from exchange.node.mail.desk import Desk
from exchange.node.store import ids as store_ids
from exchange.node.store.aside import SetAside, set_aside
from exchange.node.store.store import Store
from exchange.node.uplink.api import HubApi
from exchange.node.uplink.client import HubClient

MOST_ASIDE: Final = 1_000
MIN_BEGINNING: Final = 4  # characters of an id


@dataclass(frozen=True)
class Opened:
    """A home opened beside whoever owns it: its database, its user's desk, and the directory as it is stored."""

    home: Home
    store: Store
    desk: Desk

    @cached_property
    def loaded(self) -> Replica:
        """The stored log as it was when this was first asked for."""
        return asyncio.run(self.replica())

    @property
    def doors(self) -> Doors:
        """The ways out, as this user opens them."""
        address, who = self.home.settings.member, getpass.getuser()
        return Doors(self.store, real_sources(), address=address, who=who)

    @property
    def attachments(self) -> AttachmentDesk:
        """What lies beside messages."""
        return AttachmentDesk(
            self.store, self.home.identity(), real_sources(), desk=self.desk, doors=self.doors
        )

    @property
    def constituents(self) -> Constituents:
        """Whom this member serves, as this user keeps the list."""
        return Constituents(self.store, real_sources(), who=getpass.getuser())

    @property
    def inquirer(self) -> Inquirer:
        """What this user asks of the recipients of messages."""
        address, who = self.home.settings.member, getpass.getuser()
        return Inquirer(self.store, real_sources(), address=address, who=who)

    @property
    def directory(self) -> Directory:
        """The network as this node had seen it when this was first asked. Raises Refused node.not-joined."""
        return self.loaded.directory

    async def replica(self) -> Replica:
        """The stored log, replayed."""
        identity = self.home.identity()
        clock = real_sources().clock
        replica = Replica(self.store, net=identity.net, me=identity.address, clock=clock)
        await replica.load()
        return replica

    def is_member(self) -> bool:
        """Whether this node has seen itself admitted."""
        return self.loaded.is_member()

    def anchor_confirmed(self) -> bool:
        """Whether somebody has compared the network's digits."""
        return anchor_confirmed(self.store)

    def set_aside(self) -> list[SetAside]:
        """What came and was not taken into the inbox, newest first."""
        return self.store.db.read_sync(lambda c: set_aside(c, limit=MOST_ASIDE))

    def whole_id(self, typed: str) -> str:
        """The one message id that begins as typed. Raises Refused cli.unknown-id, cli.ambiguous-id, cli.usage."""
        if len(typed) < MIN_BEGINNING:
            raise Refused("cli.usage", f"give at least {MIN_BEGINNING} characters of the id")
        found = self.store.db.read_sync(lambda c: store_ids.beginning(c, typed.lower(), limit=2))
        if not found:
            raise Refused("cli.unknown-id")
        if len(found) > 1:
            raise Refused("cli.ambiguous-id")
        return found[0]


@contextmanager
def opened(call: Call) -> Iterator[Opened]:
    """The call's home, opened for reading and for leaving intents. Raises Refused home.missing, keystore.*"""
    home = open_home(call.home, call.unlock())
    store = home.open_store(owner=False)
    try:
        yield Opened(home, store, Desk(store, real_sources(), who=getpass.getuser()))
    finally:
        store.db.close_sync()


@dataclass(frozen=True)
class Connected:
    """A home opened beside whoever owns it, with the directory as it is stored and a way to the hub."""

    store: Store
    replica: Replica
    hub: HubClient


@asynccontextmanager
async def connected(home: Home, *, as_invitee: bool = False) -> AsyncIterator[Connected]:
    """What needs the hub but not the ownership of the home. Works beside a server.

    `as_invitee`: talk to the hub with the invitation's token, before the member is admitted.
    """
    sources, identity = real_sources(), home.identity()
    invitation = home.keystore.get(INVITATION) if as_invitee else None
    store = home.open_store(owner=False)
    try:
        replica = Replica(store, net=identity.net, me=identity.address, clock=sources.clock)
        await replica.load()
        async with HubClient(route(home), identity, sources, invitation=invitation) as hub:
            yield Connected(store, replica, hub)
    finally:
        await store.db.close()


@asynccontextmanager
async def asking(home: Home, *, as_invitee: bool = False) -> AsyncIterator[tuple[Membership, HubClient]]:
    """Questions about membership, beside whoever owns the home; `as_invitee`: by the invitation's token."""
    async with connected(home, as_invitee=as_invitee) as to:
        yield Membership(to.store, home.identity(), to.replica, real_sources()), to.hub


@asynccontextmanager
async def membership(home: Home) -> AsyncIterator[tuple[Membership, HubApi]]:
    """Signing for others, through the hub: beside a server, which keeps the log; without one on the newest log."""
    async with AsyncExitStack() as stack:
        try:
            node = await stack.enter_async_context(running(home, real_sources()))
        except Refused as refusal:
            if refusal.code != "home.locked":
                raise
            yield await stack.enter_async_context(asking(home))
        else:
            await node.replica.refresh(node.hub)
            yield node.membership, node.hub


def server_status(home: Home) -> Json | None:
    """What the serving process says of itself; None where none runs."""
    try:
        return control.ask(home.paths.socket, "status")
    except Unavailable:
        return None


def wake(call: Call, home: Home) -> None:
    """Something was queued: let the server know, or carry it to the hub from here. What fails now is tried later."""
    try:
        control.ask(home.paths.socket, "poke")
    except Unavailable:
        try:
            asyncio.run(_carry(home))
        except ExchangeError as error:
            _put_off(call, error)


def wait(call: Call, home: Home, ids: list[str], seconds: float) -> bool:
    """As `wake`, and wait until every addressee of these messages has it or never will; False at the time limit."""
    try:
        patience = seconds + control.REQUEST_SECONDS
        answer = control.ask(home.paths.socket, "wait", patience=patience, ids=ids, seconds=seconds)
    except Unavailable:
        try:
            return asyncio.run(_carry_until(home, ids, seconds))
        except ExchangeError as error:
            _put_off(call, error)
            return False
    return bool(answer["done"])


def attend(call: Call, home: Home, is_done: Callable[[], bool], seconds: float) -> bool:
    """As `wake`, and wait until `is_done`, which is asked after each change; False at the time limit."""
    end = time.monotonic() + seconds
    try:
        control.ask(home.paths.socket, "poke")
        while not is_done():
            left = end - time.monotonic()
            if left <= 0:
                return False
            control.ask(home.paths.socket, "change", seconds=min(left, 1.0))
    except Unavailable:
        try:
            return asyncio.run(_carry_until_done(home, is_done, end - time.monotonic()))
        except ExchangeError as error:
            _put_off(call, error)
            return False
    return True


def _put_off(call: Call, error: ExchangeError) -> None:
    """Nothing is lost: it lies in the outbox, for the server or the next command."""
    call.out.warn(
        f"not sent yet ({error.code}: {error.detail}); it is safe here and goes when `node serve` runs"
    )


async def _carry(home: Home) -> None:
    async with running(home, real_sources()) as node:
        await node.sync.once()


async def _carry_until(home: Home, ids: list[str], seconds: float) -> bool:
    async with running(home, real_sources()) as node:
        syncing = asyncio.create_task(node.sync.run())
        try:
            return await wait_for(node, ids, seconds)
        finally:
            syncing.cancel()
            await asyncio.gather(syncing, return_exceptions=True)


async def _carry_until_done(home: Home, is_done: Callable[[], bool], seconds: float) -> bool:
    async with running(home, real_sources()) as node:
        syncing = asyncio.create_task(node.sync.run())
        try:
            async with asyncio.timeout(max(seconds, 0)):
                while not await asyncio.to_thread(is_done):
                    await node.sync.changed.wait(1.0)
        except TimeoutError:
            return False
        finally:
            syncing.cancel()
            await asyncio.gather(syncing, return_exceptions=True)
    return True
