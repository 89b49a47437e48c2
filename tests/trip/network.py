"""A real network, running: a hub and nodes as child processes, TLS, SQLite, on the loopback.

Runs a copy of founded homes (`founding`) for one test. Nodes look for the hub at a public port; the hub may listen
elsewhere, so that a test can put a proxy between. Owns processes and configuration; what a node or the hub then holds
is `holdings`' business.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import ssl
import uuid
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from exchange.errors import Unavailable
from exchange.formats import registry
from exchange.formats.objects import RawObject
from exchange.formats.stix.cover import compose
from exchange.hub import home as hub_home
from exchange.keys import PrivateKeys
from exchange.limits import DAY_MS
from exchange.message import Author, Draft, Message, Urgency, member_identity_id
from exchange.node import app as node_app, home as node_home
from exchange.node.control import channel as control
from exchange.node.home import Home
from exchange.node.identity import Identity
from exchange.node.mail.desk import Desk
from exchange.node.store.outbox import Outgoing
from exchange.storage.keystore import Keystore
from exchange.tlp import Tlp
from exchange.tls import ServerTls
from tests.trip.caller import Caller, calling, now
from tests.trip.founding import KEY, Homes, quiet_port
from tests.trip.holdings import Copy, HubHoldings, NodeHoldings, is_once_each
from tests.trip.processes import PROGRAM, Child, until

DELIVERY_SECONDS: Final = 45.0
COMMAND_SECONDS: Final = 60.0


class NodeSide:
    """One member's node: its home, its process, what it holds."""

    def __init__(self, handle: str, homes: Homes) -> None:
        self.handle = handle
        self.path = homes.node(handle)
        self.holds = NodeHoldings(self.path)
        self._unlock = homes.unlock()
        self._key = homes.folder / KEY
        arguments = ["node", "serve", "--home", str(self.path), "--key-file", str(self._key)]
        self.serve = Child(handle, arguments, homes.folder / f"{handle}.log")

    @property
    def home(self) -> Home:
        """The home, opened with its key."""
        return node_home.open_home(self.path, self._unlock)

    @property
    def identity(self) -> Identity:
        """Who it is, with its keys."""
        return self.home.identity()

    def reconfigure(self, **settings: str | bool) -> None:
        """Change its config.toml, as its administrator may."""
        path = self.path / "config.toml"
        lines = dict(line.split(" = ", 1) for line in path.read_text().splitlines())
        lines |= {name: json.dumps(value) for name, value in settings.items()}
        path.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))

    async def command(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run `exchange node ...` on this home as a process of its own; exit code and JSON object."""
        options = ["--home", str(self.path), "--key-file", str(self._key), "--json"]
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "node", *words, *options, stdout=PIPE, stderr=PIPE, stdin=DEVNULL
        )
        try:
            out, errors = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        assert out, errors.decode(errors="replace")
        return process.returncode or 0, orjson.loads(out)

    def poke(self) -> None:
        """What a command does for the process that may serve: have it look and try now."""
        with contextlib.suppress(Unavailable):
            control.ask(self.path / "control.sock", "poke")

    def send(
        self, to: Sequence[str], subject: str = "A message", *, urgency: str = "routine", size: int = 0
    ) -> str:
        """Queue an alert durably, as `send` does, and wake the process that may serve; the message's id.

        It carries `size` bytes that don't compress.
        """
        home = self.home
        message = self.alert(home.identity(), subject, urgency=urgency, size=size)
        outgoing = Outgoing(
            message.id, "stix", urgency, message.created, message.created + DAY_MS, message.bundle
        )
        store = home.open_store(owner=False)
        try:
            assert Desk(store, node_app.real_sources(), who="analyst").submit(outgoing, to)
        finally:
            store.db.close_sync()
        self.poke()
        return message.id

    def alert(self, identity: Identity, subject: str, *, urgency: str, size: int) -> Message:
        """A small message of this member, as the bundle it travels as."""
        at = now()
        network = uuid.UUID(bytes=identity.net[:16])
        author = Author(id=member_identity_id(network, self.handle), name=self.handle, created=at)
        draft = Draft(
            id=str(uuid.uuid4()),
            kind="alert",
            case_id=f"{self.handle}-trip",
            urgency=Urgency(urgency),
            tlp=Tlp.AMBER,
            subject=subject,
            created=at,
            text="Text of the message.",
        )
        return compose(draft, author, [padding(size)] if size else [])


def padding(size: int) -> RawObject:
    """A STIX artifact of about `size` random bytes, as base64."""
    artifact = {
        "type": "artifact",
        "spec_version": "2.1",
        "id": f"artifact--{uuid.uuid4()}",
        "payload_bin": base64.b64encode(os.urandom(size * 3 // 4)).decode(),
    }
    (loaded,) = registry.load("padding.json", orjson.dumps(artifact)).accepted
    return loaded


class HubSide:
    """The hub: its home, its process, what it holds."""

    def __init__(self, homes: Homes) -> None:
        self.path = homes.hub
        self.holds = HubHoldings(self.path)
        self._unlock = homes.unlock()
        key = str(homes.folder / KEY)
        arguments = ["hub", "serve", "--home", str(self.path), "--key-file", key]
        self.serve = Child("hub", arguments, homes.folder / "hub.log")

    def keystore(self) -> Keystore:
        """Its secrets: also the keys of its certificate."""
        return hub_home.open_keystore(self.path, self._unlock)

    def reconfigure(self, *, port: int | None = None, **limits: int) -> None:
        """Change its config.toml: the port it listens on, and limits, which may only be lowered."""
        path = self.path / "config.toml"
        head, _, table = path.read_text().partition("[limits]\n")
        lines = [line for line in head.splitlines() if port is None or not line.startswith("port")]
        lines += [f"port = {port}"] if port is not None else []
        lines += ["[limits]", *table.splitlines(), *(f"{name} = {value}" for name, value in limits.items())]
        path.write_text("\n".join(lines) + "\n")


class Network:
    """A running copy of founded homes. Leaving `running` ends every process."""

    def __init__(self, homes: Homes) -> None:
        self.homes = homes
        self.hub = HubSide(homes)
        self.nodes = {handle: NodeSide(handle, homes) for handle in homes.members}
        self.inner_port = homes.port  # where the hub itself listens

    def __getitem__(self, handle: str) -> NodeSide:
        return self.nodes[handle]

    def server_tls(self) -> ssl.SSLContext:
        """A server's context with the hub's own certificate. Only once the hub has run."""
        tls = ServerTls(self.hub.keystore(), [self.homes.origin])
        tls.refresh(now=now())
        return tls.context

    @property
    def children(self) -> list[Child]:
        """Every process there may be."""
        return [self.hub.serve, *(node.serve for node in self.nodes.values())]

    def move_hub(self) -> int:
        """Let the hub listen on another port than the public one, which a proxy then takes; the new port."""
        self.inner_port = quiet_port()
        self.hub.reconfigure(port=self.inner_port)
        return self.inner_port

    async def up(self, *handles: str) -> None:
        """Start the hub, and these nodes (all by default), side by side; wait until they are ready."""
        nodes = [self.nodes[handle].serve for handle in handles or self.nodes]
        if not self.hub.serve.runs:
            await self.hub.serve.up()
        for child in nodes:
            child.start()
        for child in nodes:
            await child.ready()

    async def down(self) -> None:
        """Stop all in order; fails the test if one of them doesn't end well."""
        for child in [*(node.serve for node in self.nodes.values()), self.hub.serve]:
            assert not child.runs or await child.stop() == 0, child.last_words()

    def client_tls(self) -> ssl.SSLContext:
        """A client's context that trusts the hub's own authority."""
        return ssl.create_default_context(cafile=str(self.homes.hub / "ca.pem"))

    @asynccontextmanager
    async def calling(
        self, handle: str, *, keys: PrivateKeys | None = None, net: bytes | None = None
    ) -> AsyncIterator[Caller]:
        """A caller with the keys of a member, or with others."""
        own = (
            self.nodes[handle].identity if handle in self.nodes else next(iter(self.nodes.values())).identity
        )
        async with calling(
            self.homes.origin,
            self.client_tls(),
            net=net or own.net,
            issuer=handle,
            keys=keys or own.keys,
        ) as caller:
            yield caller

    async def delivered(
        self, sender: str, ids: Sequence[str], to: Sequence[str], *, seconds: float = DELIVERY_SECONDS
    ) -> None:
        """Wait until the sender has `stored` of everybody for each of `ids`, and they hold each exactly once."""
        wanted = {(id_, recipient) for id_ in ids for recipient in to}

        def is_done() -> bool:
            return wanted <= {
                (copy.id, copy.recipient) for copy in self[sender].holds.copies() if copy.stored_at
            }

        await until(is_done, f"every receipt for {len(wanted)} copies of {sender}'s", seconds=seconds)
        for recipient in to:
            got = [id_ for id_ in self[recipient].holds.ids(sender) if id_ in ids]
            is_once_each(ids, got)

    def copy(self, sender: str, id_: str, recipient: str) -> Copy:
        """How far one copy has come, as its sender knows."""
        (found,) = [one for one in self[sender].holds.copies() if (one.id, one.recipient) == (id_, recipient)]
        return found

    def accusations(self) -> dict[str, list[tuple[str, str]]]:
        """Alarms that say somebody cheated, by the node that has them; those without are left out."""
        found = {handle: node.holds.accusations() for handle, node in self.nodes.items()}
        return {handle: alarms for handle, alarms in found.items() if alarms}


@contextmanager
def running(homes: Homes, folder: Path) -> Iterator[Network]:
    """A network on a copy of `homes` in `folder`; nothing runs yet. Leaving ends every process by its id."""
    shutil.copytree(homes.folder, folder, symlinks=True)
    network = Network(replace(homes, folder=folder))
    try:
        yield network
    finally:
        for child in network.children:
            child.kill()
