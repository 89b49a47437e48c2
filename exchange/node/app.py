"""The only place where a node is wired: settings and keys in, services or a serving process out.

async with running(home, sources) as node:     a command that owns the home for a moment
    await node.sync.once()
await serve(home, sources, ready=...)          the process that owns it for good
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from exchange.chores import doing
from exchange.directory.members import HubIdentity
from exchange.errors import ExchangeError, Refused
from exchange.loop_lag import LoopLag
from exchange.node import alarm_hook, metrics
from exchange.node.attachments.traffic import Attachments
from exchange.node.control import channel as control, verbs as control_verbs
from exchange.node.directory.introduction import Introduction
from exchange.node.directory.membership import Membership
from exchange.node.directory.notices import Notices
from exchange.node.directory.parts import Parts
from exchange.node.directory.registration import Registration
from exchange.node.directory.replica import Replica
from exchange.node.directory.secretariat import Secretariat
from exchange.node.directory.succession import Succession
from exchange.node.doors.disclosures import Disclosures
from exchange.node.feeds.answers import Way
from exchange.node.feeds.feeds import Feeds
from exchange.node.feeds.servers import FeedServers, straight
from exchange.node.home import INVITATION, Home
from exchange.node.http import door
from exchange.node.identity import Identity, Sources
from exchange.node.keys.own_keys import OwnKeys
from exchange.node.keys.prekeys import Prekeys
from exchange.node.mail.answers import Answers
from exchange.node.mail.control_messages import ControlMessages
from exchange.node.mail.inbox import Inbox
from exchange.node.mail.large import LargeDeliveries
from exchange.node.mail.opening import Opening
from exchange.node.mail.outbox import Outbox
from exchange.node.mail.proofs import Proofs
from exchange.node.mail.questions import Questions
from exchange.node.mail.receipts import Receipts
from exchange.node.mail.storing import Storing
from exchange.node.mail.uploads import Uploads
from exchange.node.node import Node
from exchange.node.restore import Restore
from exchange.node.retention import Retention
from exchange.node.services import Services
from exchange.node.store.store import Store
from exchange.node.sync import Sync
from exchange.node.uplink.api import HubApi
from exchange.node.uplink.client import HubClient, Route, tls_context
from exchange.retention import DEFAULTS, RetentionPolicy
from exchange.storage import backup_copy
from exchange.storage.files import disk_fault
from exchange.storage.keystore import Keystore
from exchange.storage.migrate import drop_old_copies

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
COMMAND_SECONDS: Final = (
    10.0  # a command that owns the home for a moment is done by then; another server isn't
)
MAX_FILE: Final = 65_536  # bytes of a certificate or login file


def real_sources() -> Sources:
    """The machine's clocks and randomness."""
    return Sources(
        clock=lambda: time.time_ns() // 1_000_000,
        monotonic=lambda: time.monotonic_ns() // 1_000_000,
        random=secrets.token_bytes,
        new_id=lambda: str(uuid.uuid4()),
    )


def build(
    *,
    store: Store,
    keystore: Keystore,
    prekeys: Keystore,
    identity: Identity,
    hub: HubApi,
    sources: Sources,
    policy: RetentionPolicy = DEFAULTS,
    way: Callable[[], Way] = straight,
    as_invitee: bool = False,
) -> Node:
    """Every service of a node, handed what it needs.

    `way`: to the servers of feeds. `as_invitee`: the hub isn't asked what only a member may ask.
    """
    replica = Replica(store, net=identity.net, me=identity.address, clock=sources.clock)
    held = Prekeys(store, prekeys, identity, replica, sources)
    outbox = Outbox(store, identity, replica, sources)
    proofs = Proofs(store, identity, replica, outbox, sources)
    beside = Parts(store, identity, replica, outbox, sources)
    notices = Notices(store, identity, replica, sources)
    registration = Registration(store, identity, replica, beside, sources)
    replica.listen(beside)
    succession = Succession(store, identity, replica, notices, registration)
    replica.listen(notices)
    replica.listen(succession)
    controls = ControlMessages(
        store,
        answers=Answers(store, outbox, sources),
        parts=beside,
        notices=notices,
        disclosures=Disclosures(store, identity, outbox, sources),
        sources=sources,
    )
    inbox = Inbox(
        store=store,
        opening=Opening(identity, replica, held, sources),
        storing=Storing(store, replica, outbox, sources),
        proofs=proofs,
        controls=controls,
        sources=sources,
    )
    uploads = Uploads(
        store=store, identity=identity, replica=replica, outbox=outbox, proofs=proofs, sources=sources
    )
    own_keys = OwnKeys(
        store=store,
        keystore=keystore,
        identity=identity,
        replica=replica,
        prekeys=held,
        notices=notices,
        registration=registration,
        outbox=outbox,
        uploads=uploads,
        sources=sources,
    )
    retention = Retention(store, policy, sources)
    attachments = Attachments(store, identity, outbox, sources)
    restore = Restore(
        store=store, identity=identity, replica=replica, prekeys=held, outbox=outbox, sources=sources
    )
    if not as_invitee:
        replica.before = restore.look
    services = Services(
        store=store,
        replica=replica,
        beside=beside,
        notices=notices,
        registration=registration,
        introduction=Introduction(store, identity, replica, registration),
        succession=succession,
        prekeys=held,
        outbox=outbox,
        own_keys=own_keys,
        uploads=uploads,
        attachments=attachments,
        inbox=inbox,
        controls=controls,
        large=LargeDeliveries(store),
        receipts=Receipts(store, identity, replica, sources),
        questions=Questions(store, outbox, sources),
        restore=restore,
        retention=retention,
        secretariat=Secretariat(store, identity, replica, sources),
        sources=sources,
    )
    membership = Membership(store, identity, replica, sources)
    return Node(
        store=store,
        identity=identity,
        sources=sources,
        hub=hub,
        replica=replica,
        prekeys=held,
        outbox=outbox,
        inbox=inbox,
        membership=membership,
        parts=beside,
        notices=notices,
        registration=registration,
        own_keys=own_keys,
        succession=succession,
        retention=retention,
        feeds=Feeds(store, sources, FeedServers(way, clock=sources.clock)),
        sync=Sync(hub, services),
    )


@asynccontextmanager
async def running(
    home: Home,
    sources: Sources,
    *,
    as_invitee: bool = False,
    patience: float = 0,
    on_broken: Callable[[ExchangeError], None] | None = None,
) -> AsyncIterator[Node]:
    """A node in this process, which becomes the home's owner. Raises Refused home.locked while another one is.

    `as_invitee`: talk to the hub with the invitation's token, before the member is admitted. `patience`: seconds for
    another process to give the home back.
    """
    with home.lock(patience=patience):
        store = home.open_store(owner=True, on_broken=on_broken)
        try:
            identity = home.identity()
            invitation = home.keystore.get(INVITATION) if as_invitee else None
            async with HubClient(route(home), identity, sources, invitation=invitation) as hub:
                node = build(
                    store=store,
                    keystore=home.keystore,
                    prekeys=home.prekeys,
                    identity=identity,
                    hub=hub,
                    sources=sources,
                    policy=home.settings.retention,
                    way=partial(way_out, home),
                    as_invitee=as_invitee,
                )
                await node.load()
                node.succession.move = partial(_move, home, hub)
                yield node
        finally:
            await store.db.close()


async def _move(home: Home, client: HubClient, hub: HubIdentity) -> None:
    """The hub is elsewhere: config.toml says so before the connection goes there."""
    await client.reroute(route(home.moved(hub)))


async def serve(
    home: Home,
    sources: Sources,
    *,
    ready: Callable[[Node], None] | None = None,
    listening: Callable[[str], None] | None = None,
) -> None:
    """Own the home and keep it in step with the hub until SIGTERM or SIGINT. `ready` is called once all is up.

    `listening` is called before with the URL of the HTTP door, where config.toml opens it.

    Raises Refused home.locked, node.not-joined, door.address, tls.certificate; Unavailable storage.io when the disk
    fails: start again from it; internal.error when a part of the node can't go on.
    """
    stopping = asyncio.Event()
    broken: list[ExchangeError] = []

    def on_broken(error: ExchangeError) -> None:
        broken.append(error)
        stopping.set()

    loop, lag = asyncio.get_running_loop(), LoopLag()
    drop_old_copies(home.paths.database, now=sources.clock())
    backup_copy.clear(home.paths.root)
    async with (
        running(home, sources, patience=COMMAND_SECONDS, on_broken=on_broken) as node,
        door.opened(home, node, lambda: metrics.text(node, lag)) as url,
        control.serving(home.paths.socket, control_verbs.verbs(node, url=url)),
    ):
        if url and listening is not None:
            listening(url)
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stopping.set)
        chores = [
            node.sync.run(),
            node.retention.keep(),
            node.feeds.run(),
            lag.watch(),
            metrics.keep(node, home.paths.root, lag),
            alarm_hook.watch(
                node.store,
                home.settings.alarm,
                home.paths.root,
                who=node.identity.address,
                clock=sources.clock,
            ),
        ]
        try:
            async with doing(chores, on_fault=on_broken):
                gc.freeze()  # what is loaded by now stays: the collector needn't go through it again and again
                if ready is not None:
                    ready(node)
                await stopping.wait()
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)
    if broken:
        raise broken[0]


def route(home: Home) -> Route:
    """How this home reaches its hub. Raises Refused settings.invalid for a file that can't be used."""
    settings = home.settings
    login = _text(home.paths.root, settings.proxy_login).strip().partition(":")
    try:
        context = tls_context(
            ca=_text(home.paths.root, settings.ca) or None,
            extra_ca=_text(home.paths.root, settings.extra_ca) or None,
        )
    except (OSError, ValueError):
        raise Refused("settings.invalid", "ca, extra_ca: not a PEM certificate") from None
    return Route(
        origin=settings.hub,
        tls=context,
        proxy=settings.proxy,
        login=(login[0], login[2]) if login[1] else None,
        websocket=settings.websocket,
    )


def way_out(home: Home) -> Way:
    """How this home reaches servers of feeds: as its hub, but trusting whom this machine trusts.

    Raises Refused settings.invalid.
    """
    to_hub, settings = route(home), home.settings
    tls = tls_context(ca=None, extra_ca=_text(home.paths.root, settings.extra_ca) or None)
    return Way(tls, to_hub.proxy, to_hub.login)


def _text(root: Path, name: str) -> str:
    if not name:
        return ""
    try:
        with (root / name).open(encoding="utf-8") as file:
            return file.read(MAX_FILE)
    except FileNotFoundError:
        raise Refused("settings.invalid", f"config.toml names {name}, which isn't there") from None
    except OSError as error:
        raise disk_fault(error) from error
