"""A hub and nodes in one process, without HTTP: links that drop, cut or partition, homes that crash or are restored.

Behind `HubApi` stand the hub's real services; the clock is the world's and moves only by hand. A crash abandons the
objects and opens the files again, as after kill -9 (what was committed is there, what was in memory is not).
"""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from exchange.attachment import Attachment
from exchange.directory.log import Leaf
from exchange.errors import Unavailable
from exchange.formats.stix.cover import compose
from exchange.keys import PrivateKeys
from exchange.limits import DAY_MS
from exchange.message import Author, Draft, Urgency, member_identity_id
from exchange.node import home
from exchange.node.app import build
from exchange.node.identity import Identity, Sources
from exchange.node.keys.own_keys import SEED
from exchange.node.mail.desk import Desk
from exchange.node.node import Node
from exchange.node.store.directory import add_own_statement
from exchange.node.store.inbox import Received, arrived
from exchange.node.store.outbox import Addressee, Outgoing
from exchange.node.store.store import Store, Transaction, open_store
from exchange.settings import HubLimits
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock, create_key_file
from exchange.tlp import Tlp
from tests.hub_services import Services, services
from tests.simulated_hub import SimulatedHub
from tests.worlds import MEMBERS, NOW, World, make_world, seed

KEY = "key"  # the file in a home that opens its keystores
LOCAL_KEY = bytes(32)


@dataclass(eq=False)  # each is itself
class Site:
    """One member's node on its home. `offset`: how far its clock is off; `paused`: how long it did not run; both ms.

    `keys_of`: whose key pair of worlds.py it has, where that isn't the member's own.
    """

    simulation: Simulation
    member: str
    home: Path
    hub: SimulatedHub
    offset: int = 0
    paused: int = 0
    ran: int = 0
    keys_of: str = ""
    node: Node | None = None

    @property
    def up(self) -> Node:
        """The running node."""
        assert self.node is not None, f"{self.member} is down"
        return self.node

    @property
    def desk(self) -> Desk:
        """The analyst's desk."""
        return self.up.desk("analyst")

    def sources(self) -> Sources:
        """The world's clock, off by `offset`; chance that differs by run of the node and is the same every time."""
        self.ran += 1
        chance = random.Random(f"{self.member}/{self.ran}")
        return Sources(
            clock=lambda: self.simulation.world.now + self.offset,
            monotonic=lambda: self.simulation.world.now - self.paused,
            random=chance.randbytes,
            new_id=lambda: uuid_of(chance.randbytes(16)),
        )

    async def start(self) -> None:
        """Open the home: its first time, with the world's prekeys already in it."""
        fresh = not self.home.exists()
        self.home.mkdir(exist_ok=True)
        if fresh:
            create_key_file(self.home / KEY)
            Keystore.create(self.home / "prekeys", Unlock.key_file(self.home / KEY), {})
            secrets = {SEED: seed(self.keys_of or self.member), home.LOCAL_KEY: LOCAL_KEY}
            Keystore.create(self.home / "keystore", Unlock.key_file(self.home / KEY), secrets)
        keystore = Keystore.open(self.home / "keystore", Unlock.key_file(self.home / KEY))
        prekeys = Keystore.open(self.home / "prekeys", Unlock.key_file(self.home / KEY))
        store = self.open_store()
        identity = Identity(self.simulation.world.net, self.member, PrivateKeys(keystore.get(SEED)))
        self.node = build(
            store=store,
            keystore=keystore,
            prekeys=prekeys,
            identity=identity,
            hub=self.hub,
            sources=self.sources(),
        )
        await self.node.load()
        if self.up.replica.is_empty:
            world = self.simulation.world
            await store.db.write(lambda c: own_past(c, world, self.member))
            least = (1, world.directory.root(1))
            await self.up.replica.start(self.hub, least=least)

    def open_store(self) -> Store:
        """Its database, opened as its owner."""
        return open_store(self.home / "node.db", LOCAL_KEY, owner=True)

    async def stop(self) -> None:
        """End it in good order."""
        node, self.node = self.up, None
        await node.store.db.close()

    async def crash(self) -> None:
        """Abandon it. What the database has committed is on the disk; nothing else is saved."""
        node, self.node = self.up, None
        await node.store.db.close()

    async def restart(self) -> None:
        """Crash and start again."""
        if self.node is not None:
            await self.crash()
        await self.start()

    async def copy_home(self, to: Path) -> None:
        """A copy of the home as it is on disk, for a later restore."""
        was_up = self.node is not None
        if was_up:
            await self.stop()
        shutil.copytree(self.home, to)
        if was_up:
            await self.start()

    async def restore(self, copy: Path) -> None:
        """Put an older copy in place of the home and start."""
        if self.node is not None:
            await self.crash()
        shutil.rmtree(self.home)
        shutil.copytree(copy, self.home)
        await self.start()

    async def once(self) -> None:
        """One pass of the loop."""
        await self.up.sync.once()

    def send(
        self,
        *to: str,
        subject: str = "A subject",
        urgency: Urgency = Urgency.ROUTINE,
        life_ms: int = 365 * DAY_MS,
        message_id: str | None = None,
        separate: bool = False,
        text: str = "",
        tlp: Tlp = Tlp.AMBER,
        attachments: Sequence[Attachment] = (),
    ) -> str:
        """Queue an alert; its message id."""
        message_id = message_id or self.up.sources.new_id()
        now = self.up.sources.clock()
        handle = self.member.partition("/")[0]
        author = Author(id=member_identity_id(self.simulation.network, handle), name=handle, created=NOW)
        draft = Draft(
            id=message_id,
            kind="alert",
            case_id="case-1",
            urgency=urgency,
            tlp=tlp,
            subject=subject,
            text=text,
            created=now,
        )
        message = compose(draft, author, [])
        outgoing = Outgoing(
            message_id, "stix", urgency.value, now, now + life_ms, message.bundle, separate=separate
        )
        self.desk.submit(outgoing, to, attachments)
        return message_id

    def copy(self, message_id: str, recipient: str) -> Addressee:
        """How far a copy of a message of this node has come."""
        return next(one for one in self.desk.sent(message_id).addressees if one.recipient == recipient)

    def state(self, message_id: str, recipient: str) -> str:
        """Its state alone."""
        return self.copy(message_id, recipient).state

    def inbox(self) -> list[Received]:
        """What was received, oldest first, with the content that lists leave out."""
        store = self.up.store
        return store.db.read_sync(lambda c: arrived(c, store.cipher, after=0, limit=10_000))

    def received(self) -> list[str]:
        """Their message ids, in order of arrival."""
        return [one.message_id for one in self.inbox()]

    def alarm_codes(self) -> list[str]:
        """The codes of its alarms, oldest first."""
        return [one.code for one in reversed(self.desk.alarms())]


class Simulation:
    """A world, its hub and its nodes."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.hub: Services | None = None
        self.sites: dict[str, Site] = {}
        self.tokens: dict[str, bytes] = {}
        self.limits = HubLimits(settle_seconds=0)
        self._epoch = 0
        self._stack: AsyncExitStack | None = None

    @property
    def network(self) -> uuid.UUID:
        """The network's namespace for STIX identities."""
        return uuid.UUID(bytes=self.world.net[:16])

    @property
    def running_hub(self) -> Services:
        """The hub, which is up."""
        assert self.hub is not None
        return self.hub

    async def start_hub(self) -> None:
        """Start it, in a new epoch."""
        self._epoch += 1
        self._stack = AsyncExitStack()
        (self.folder / "hub").mkdir(exist_ok=True)
        self.hub = await self._stack.enter_async_context(
            services(self.world, self.folder / "hub", limits=self.limits, epoch=f"epoch{self._epoch}")
        )
        await self.hub.registrar.renew()

    async def stop_hub(self) -> None:
        """Stop it; calls fail."""
        stack, self._stack, self.hub = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    async def restart_hub(self) -> None:
        """Stop and start."""
        await self.stop_hub()
        await self.start_hub()

    async def copy_hub(self, to: Path) -> None:
        """A copy of its files, for a later restore."""
        await self.stop_hub()
        shutil.copytree(self.folder / "hub", to)
        await self.start_hub()

    async def restore_hub(self, copy: Path) -> None:
        """An older copy in place of its files."""
        await self.stop_hub()
        shutil.rmtree(self.folder / "hub")
        shutil.copytree(copy, self.folder / "hub")
        await self.start_hub()

    def site(self, member: str) -> Site:
        """The member's node, not started."""
        hub = SimulatedHub(self, member)
        self.sites[member] = Site(self, member, self.folder / member, hub)
        return self.sites[member]

    async def wait(self, milliseconds: int) -> None:
        """The clock moves on, and a hub that is up signs a checkpoint, as it does every hour."""
        self.world.now += milliseconds
        if self.hub is not None:
            await self.hub.registrar.renew()

    async def rounds(self, count: int = 3) -> None:
        """Let every node that is up pass `count` times, in turn; a node without a connection just doesn't get on."""
        for _ in range(count):
            for site in self.sites.values():
                if site.node is None:
                    continue
                try:
                    await site.once()
                except Unavailable as error:
                    if error.code != "hub.unreachable":
                        raise

    async def close(self) -> None:
        """Everything down."""
        for site in self.sites.values():
            if site.node is not None:
                await site.stop()
        await self.stop_hub()


@asynccontextmanager
async def simulation(
    folder: Path, members: Sequence[str] = MEMBERS, *, start: bool = True
) -> AsyncIterator[Simulation]:
    """A running hub with a node for each member. Every node has published prekeys of its own."""
    if start:
        homes, world = _prepared.get(tuple(members)) or await _prepare(tuple(members))
        shutil.copytree(homes, folder, dirs_exist_ok=True)
        sim = Simulation(world.copy(), folder)
    else:
        sim = Simulation(make_world(members), folder)
    await sim.start_hub()
    try:
        for member in members:
            site = sim.site(member)
            if start:
                site.ran = 1  # at its founding: what is new from here on must not be the same again
                await site.start()
        if start:
            await sim.rounds(1)  # each has been in touch with the hub since it runs
        yield sim
    finally:
        await sim.close()


_prepared: dict[
    tuple[str, ...], tuple[Path, World]
] = {}  # a network's files after its founding, its world then


async def _prepare(members: tuple[str, ...]) -> tuple[Path, World]:
    """Found the network that simulations of these members start from: once a process, most of it is migrations."""
    homes = Path(tempfile.mkdtemp(prefix="exchange-founded-"))
    atexit.register(shutil.rmtree, homes)
    sim = Simulation(make_world(members), homes)
    await sim.start_hub()
    for member in members:
        await sim.site(member).start()
    await sim.rounds(2)
    await sim.close()
    _prepared[members] = homes, sim.world
    return homes, sim.world


def own_past(connection: Transaction, world: World, member: str) -> None:
    """The statements the world made in this member's name count as its own."""
    for leaf in world.leaves:
        statement = Leaf.from_bytes(leaf, world.net).statement
        if member in statement.signers:
            add_own_statement(connection, statement.hash(world.net), "past", now=NOW)


def uuid_of(chance: bytes) -> str:
    """A UUID of version 4 from 16 bytes."""
    return str(uuid.UUID(bytes=chance, version=4))
