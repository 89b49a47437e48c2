"""A node with its HTTP door open, in a thread of its own, and a client that speaks TAXII 2.1 over real HTTP to it.

Its messages come through a real hub and are opened and verified; the clock is the world's and stands still, so that
many objects share a moment unless the node keeps them apart.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson
import requests

from exchange.access import Scope
from exchange.door_settings import DoorSettings
from exchange.formats.stix.cover import compose
from exchange.formats.stix.read import read_object
from exchange.limits import DAY_MS
from exchange.message import Author, Draft, Urgency, member_identity_id
from exchange.node.doors.doorkeeper import Grant, give
from exchange.node.http import server as http
from exchange.node.http.context import Context
from exchange.node.http.door import make_context
from exchange.node.store.outbox import Outgoing
from exchange.tlp import Tlp
from tests.simulator import Simulation, Site, simulation
from tests.worlds import NOW

T = TypeVar("T")
PE, CO = "pe-csirt", "co-csirt"
TAXII = "application/taxii+json;version=2.1"
READS = frozenset({Scope.TAXII_READ})
WRITES = frozenset({Scope.TAXII_READ, Scope.TAXII_WRITE})
QUIET = DoorSettings(open=True, port=0, requests_per_second=10_000)


class Client:
    """One right of entry over HTTP. Paths are below the API root."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.root = f"{url}taxii2/node/"
        self.session = requests.Session()
        self.session.headers.update({"Accept": TAXII, "Authorization": f"Bearer {token}"})

    def get(
        self, path: str = "", *, headers: dict[str, str] | None = None, **parameters: Any
    ) -> requests.Response:
        """`match_type=...` is the parameter `match[type]`."""
        return self.session.get(self.root + path, params=_spelt(parameters), headers=headers, timeout=10)

    def objects(self, collection: str, **parameters: Any) -> list[dict[str, Any]]:
        """The objects of one page."""
        return self.get(f"collections/{collection}/objects/", **parameters).json().get("objects", [])

    def post(self, *objects: object, collection: str = "drafts") -> dict[str, Any]:
        """The status of a post that is accepted."""
        answer = self.post_raw(orjson.dumps({"objects": list(objects)}), collection=collection)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def post_raw(
        self, data: bytes, *, collection: str = "drafts", content_type: str | None = TAXII
    ) -> requests.Response:
        """Any body."""
        headers = {"Content-Type": content_type} if content_type else {}
        return self.session.post(
            f"{self.root}collections/{collection}/objects/", data=data, headers=headers, timeout=10
        )

    def delete(self, path: str, **parameters: Any) -> requests.Response:
        """Of an object."""
        return self.session.delete(self.root + path, params=_spelt(parameters), timeout=10)

    def pages(self, path: str, **parameters: Any) -> Iterator[requests.Response]:
        """Every page, as `next` leads on, with the same parameters."""
        answer = self.get(path, **parameters)
        yield answer
        while answer.json().get("more"):
            answer = self.get(path, **{**parameters, "next": answer.json()["next"]})
            yield answer


def _spelt(parameters: dict[str, Any]) -> list[tuple[str, str]]:
    spelt = []
    for name, value in parameters.items():
        written = f"match[{name.removeprefix('match_')}]" if name.startswith("match_") else name
        spelt += [(written, str(one)) for one in (value if isinstance(value, list) else [value])]
    return spelt


@dataclass
class Place:
    """The running node PE, whose door stands open, and CO, who writes to it."""

    sim: Simulation
    context: Context
    url: str
    loop: asyncio.AbstractEventLoop

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Do something where the node runs."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=30)

    @property
    def pe(self) -> Site:
        return self.sim.sites[PE]

    def client(self, name: str | None = None, *, scopes: frozenset[Scope] = WRITES, **grant: Any) -> Client:
        """A new right of entry, and the client that has it."""
        return Client(self.url, self.token(name or f"tool-{uuid.uuid4().hex[:12]}", scopes=scopes, **grant))

    def token(self, name: str, *, scopes: frozenset[Scope] = WRITES, **grant: Any) -> str:
        node = self.pe.up
        return give(node.store, node.sources, Grant(name=name, scopes=scopes, **grant), who="admin")[1]

    def reopen(self) -> None:
        """The node ends as after kill -9 and starts again; the door stays where it is."""

        async def restart() -> None:
            await self.pe.restart()
            fresh = await make_context(self.pe.up, self.context.settings, self.context.metrics)
            self.context.doorkeeper, self.context.collections = fresh.doorkeeper, fresh.collections
            before = self.context.api.changed
            self.context.posting, self.context.api = fresh.posting, fresh.api
            before.ring()

        self.run(restart())

    def mail(self, *objects: dict[str, Any], tlp: Tlp = Tlp.AMBER, kind: str = "alert", **fields: Any) -> str:
        """CO sends a message with these objects to PE, which takes it in; its id."""
        return self.run(self._mail([orjson.dumps(one) for one in objects], tlp=tlp, kind=kind, **fields))

    def mail_raw(self, *objects: bytes, tlp: Tlp = Tlp.AMBER) -> str:
        """The same of objects as they are spelt."""
        return self.run(self._mail(objects, tlp=tlp, kind="alert"))

    async def _mail(self, objects: Sequence[bytes], *, tlp: Tlp, kind: str, **fields: Any) -> str:
        co, pe = self.sim.sites[CO], self.pe
        now = self.sim.world.now
        author = Author(id=member_identity_id(self.sim.network, CO), name=CO, created=NOW)
        draft = Draft(
            id=fields.pop("id", None) or co.up.sources.new_id(),
            kind=kind,
            case_id="case-1",
            urgency=Urgency.ROUTINE,
            tlp=tlp,
            subject="Objects",
            created=now,
        )
        message = compose(replace(draft, **fields), author, [read_object(data) for data in objects])
        co.desk.submit(Outgoing(draft.id, "stix", "routine", now, now + DAY_MS, message.bundle), [PE])
        while draft.id not in pe.received():
            await co.once()
            await pe.once()
        return draft.id


@contextmanager
def place(folder: Path, settings: DoorSettings = QUIET) -> Iterator[Place]:
    """A simulation of two members whose first has its door open."""
    loop, made = asyncio.new_event_loop(), []
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with simulation(folder, (PE, CO)) as sim:

            async def metrics() -> bytes:
                return b"exchange_node_connected 1\n"

            context = await make_context(sim.sites[PE].up, settings, metrics)
            async with http.listening(context, None) as (host, port):
                made.append(Place(sim, context, f"http://{host}:{port}/", loop))
                ready.set()
                await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        ready.wait(60)
        assert made, "the node didn't start"
        yield made[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
