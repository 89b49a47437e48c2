"""A hub and nodes in one process, without HTTP: links that drop, cut or partition, homes that crash or are restored.

Behind `HubApi` stand the hub's real services; the clock is the world's and moves only by hand. A crash abandons the
objects and opens the files again, as after kill -9 (what was committed is there, what was in memory is not).
"""

from __future__ import annotations

import asyncio
import random
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from exchange.canonical import Json, framed, unb64
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.log import Leaf
from exchange.directory.statements import Statement
from exchange.errors import ExchangeError, Refused, Unavailable
from exchange.formats.cover import compose
from exchange.limits import DAY_MS
from exchange.message import Author, Draft, Urgency, member_identity_id
from exchange.node.app import Node, build
from exchange.node.desk import Desk
from exchange.node.hub_api import Feed, HubState, Page, Posted, Result
from exchange.node.identity import Identity, Sources
from exchange.node.store import Transaction, open_store
from exchange.node.store_directory import add_own_statement
from exchange.node.store_inbox import Received
from exchange.node.store_outbox import Addressee, Outgoing
from exchange.protocol import Item
from exchange.settings import HubLimits
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock, create_key_file
from exchange.tlp import Tlp
from tests.hub_services import Services, services
from tests.worlds import MEMBERS, NOW, World, keys, make_world

Fault = Callable[[str, Any], None]


@dataclass
class Wire:
    """What stands between one node and the hub. `before` and `after` a call may raise; `touch` may change a page."""

    up: bool = True
    before: Fault = lambda _name, _value: None
    after: Fault = lambda _name, _value: None
    touch: Callable[[Item], Item] = lambda item: item
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def carry(self, name: str, value: Any, call: Callable[[], Awaitable[Any]]) -> Any:
        """One call on its way there and back."""
        self.calls.append(name)
        if not self.up:
            raise Unavailable("hub.unreachable")
        self.before(name, value)
        if name in self.gates:
            await self.gates[name].wait()
        try:
            answer = await call()
        except ExchangeError as error:
            # as over HTTP: the peer's class doesn't cross the wire, its code does
            kind = Unavailable if isinstance(error, Unavailable) else Refused
            raise kind(error.code, error.detail, **error.facts) from None
        self.after(name, answer)
        return answer


class SimulatedHub:
    """HubApi for one member, by the hub's own services."""

    def __init__(self, simulation: Simulation, member: str) -> None:
        self._simulation = simulation
        self._member = member
        self.wire = Wire()
        self.clock_offset = 0

    @property
    def _hub(self) -> Services:
        hub = self._simulation.hub
        if hub is None:
            raise Unavailable("hub.unreachable")
        return hub

    async def _carry(self, name: str, value: Any, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._simulation.hub is None:
            raise Unavailable("hub.unreachable")
        return await self.wire.carry(name, value, call)

    async def genesis(self) -> Json:
        raise NotImplementedError("nodes take it as leaf 0")

    async def checkpoint(self) -> Json:
        async def call() -> Json:
            return self._hub.registrar.checkpoint.to_json()

        return await self._carry("checkpoint", None, call)

    async def leaves(self, start: int) -> list[bytes]:
        return await self._carry("leaves", start, lambda: self._hub.registrar.leaves(start))

    async def post_checkpoint(self, checkpoint: Json) -> tuple[int, int] | None:
        signed = SignedCheckpoint.from_json(checkpoint)
        return await self._carry(
            "post_checkpoint", checkpoint, lambda: self._hub.registrar.take_checkpoint(signed)
        )

    async def post_leaves(self, leaves: Sequence[bytes]) -> None:
        await self._carry("post_leaves", leaves, lambda: self._hub.registrar.take_leaves(framed(leaves)))

    async def prekey_records(self, kids: Sequence[bytes]) -> list[bytes]:
        return await self._carry("prekey_records", kids, lambda: self._hub.registrar.records(kids))

    async def post_statement(self, statement: Json, records: Sequence[bytes]) -> Json:
        async def call() -> Json:
            signed = await self._hub.registrar.submit(Statement.from_json(statement), records)
            return signed.to_json()

        return await self._carry("post_statement", statement, call)

    async def state(self) -> HubState:
        async def call() -> HubState:
            hub = self._hub
            hub.registrar.heard(self._member)
            batch = await hub.mailboxes.highest_batch(self._member)
            prekeys = hub.registrar.directory.last_hash(self._member, "prekeys")
            return HubState(hub.mailboxes.epoch, batch, prekeys)

        return await self._carry("state", None, call)

    async def put_envelope(self, env: bytes, upload: bytes) -> Posted:
        return await self._carry("put_envelope", [upload], lambda: self._accept([upload], env))

    async def post_envelopes(self, uploads: Sequence[bytes]) -> Posted:
        return await self._carry("post_envelopes", uploads, lambda: self._accept(uploads, None))

    async def _accept(self, uploads: Sequence[bytes], env: bytes | None) -> Posted:
        answer = await self._hub.mailboxes.accept(self._member, uploads, env=env)
        results = tuple(Result(one.env, one.error.code if one.error else "", "") for one in answer.results)
        return Posted(results, tuple(orjson.loads(proof) for proof in answer.proofs))

    async def mailbox(self, after: str, wait: int, most: int) -> Page:
        async def call() -> Page:
            page = await self._hub.mailboxes.page(self._member, after, wait_seconds=wait, most=most)
            return Page(tuple(self.wire.touch(item) for item in page.items), page.more)

        return await self._carry("mailbox", after, call)

    @asynccontextmanager
    async def feed(self, after: str) -> AsyncIterator[Feed]:
        yield _Feed(self, after)

    async def post_receipts(self, batch: Json) -> None:
        await self._carry("post_receipts", batch, lambda: self._hub.mailboxes.receipts(self._member, batch))

    async def post_application(self, statement: Json) -> Json:
        async def call() -> Json:
            hub = self._hub
            invited = await hub.applications.invited(self._simulation.tokens[self._member])
            signed = await hub.applications.apply(invited, Statement.from_json(statement))
            return signed.to_json()

        return await self._carry("post_application", statement, call)

    async def applications(self) -> list[Json]:
        async def call() -> list[Json]:
            return [
                {**one.statement.to_json(), "member": one.member, "since": one.since}
                for one in await self._hub.applications.waiting()
            ]

        return await self._carry("applications", None, call)

    async def sign_application(self, member: str, statement: bytes, signatures: Json) -> Json:
        pairs = [(signer, unb64(signature)) for signer, signature in signatures]

        async def call() -> Json:
            return (await self._hub.applications.sign(member, statement, pairs)).to_json()

        return await self._carry("sign_application", member, call)


@dataclass
class _Feed:
    hub: SimulatedHub
    after: str

    async def next(self, wait: float) -> Page:
        return await self.hub.mailbox(self.after, int(wait), 1_000_000)

    async def stored(self, cursor: str) -> None:
        self.after = cursor


@dataclass
class Site:
    """One member's node on its home. `offset`: how far its clock is off; `paused`: how long it did not run; both ms."""

    simulation: Simulation
    member: str
    home: Path
    hub: SimulatedHub
    offset: int = 0
    paused: int = 0
    ran: int = 0
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
            create_key_file(self.home / "key")
            Keystore.create(self.home / "prekeys", Unlock.key_file(self.home / "key"), {})
        prekeys = Keystore.open(self.home / "prekeys", Unlock.key_file(self.home / "key"))
        store = open_store(self.home / "node.db", bytes(32), owner=True)
        identity = Identity(self.simulation.world.net, self.member, keys(self.member))
        self.node = build(
            store=store, prekeys=prekeys, identity=identity, hub=self.hub, sources=self.sources()
        )
        await self.node.load()
        if self.up.replica.is_empty:
            world = self.simulation.world
            await store.db.write(self._own_past)
            least = (1, world.directory.root(1))
            await self.up.replica.start(self.hub, least=least)

    def _own_past(self, connection: Transaction) -> None:
        """The statements the world made in this member's name count as its own."""
        world = self.simulation.world
        for leaf in world.leaves:
            statement = Leaf.from_bytes(leaf, world.net).statement
            if self.member in statement.signers:
                add_own_statement(connection, statement.hash(world.net), "past", now=NOW)

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
    ) -> str:
        """Queue an alert; its message id."""
        message_id = message_id or self.up.sources.new_id()
        now = self.up.sources.clock()
        author = Author(
            id=member_identity_id(self.simulation.network, self.member), name=self.member, created=NOW
        )
        draft = Draft(
            id=message_id,
            kind="alert",
            case_id="case-1",
            urgency=urgency,
            tlp=Tlp.AMBER,
            subject=subject,
            text=text,
            created=now,
        )
        message = compose(draft, author, [])
        outgoing = Outgoing(
            message_id, "stix", urgency.value, now, now + life_ms, message.bundle, separate=separate
        )
        self.desk.submit(outgoing, to)
        return message_id

    def copy(self, message_id: str, recipient: str) -> Addressee:
        """How far a copy of a message of this node has come."""
        return next(one for one in self.desk.sent(message_id).addressees if one.recipient == recipient)

    def state(self, message_id: str, recipient: str) -> str:
        """Its state alone."""
        return self.copy(message_id, recipient).state

    def inbox(self) -> list[Received]:
        """What was received, oldest first."""
        return list(reversed(self.desk.inbox()))

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
    sim = Simulation(make_world(members), folder)
    await sim.start_hub()
    try:
        for member in members:
            site = sim.site(member)
            if start:
                await site.start()
        if start:
            await sim.rounds(2)
        yield sim
    finally:
        await sim.close()


def uuid_of(chance: bytes) -> str:
    """A UUID of version 4 from 16 bytes."""
    return str(uuid.UUID(bytes=chance, version=4))
