"""A node behind a thin link with work waiting, for benchmarks: prepared once, then copied for each round.

Real processes, the product's own TLS; the node's hub is the link's near end (bench/_thin_link.py). Owns the preparing,
and what the work ideally weighs.
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench._node_network import LIFE_MS, Alerts
from bench._thin_link import Shape, ThinLink
from exchange.node import app as node_app
from exchange.node.mail.desk import Desk
from exchange.node.store.outbox import Outgoing
from tests.trip.founding import Homes, found, quiet_port
from tests.trip.holdings import query
from tests.trip.network import Network, NodeSide, running

NEAR: Final = "pe-csirt"  # behind the link
FAR: Final = "co-csirt"
PREPARING_SECONDS: Final = 300.0


async def founded(folder: Path) -> Homes:
    """A network of two members at rest."""
    return await found(folder, (NEAR, FAR))


def queue(node: NodeSide, to: str, count: int) -> list[str]:
    """Queue small alerts durably, as `send` does; their ids."""
    home = node.home
    identity = home.identity()
    alerts = Alerts(uuid.UUID(bytes=identity.net[:16]), node.handle)
    store = home.open_store(owner=False)
    try:
        desk = Desk(store, node_app.real_sources(), who="analyst")
        ids = []
        for _ in range(count):
            message = alerts.next()
            until = message.created + LIFE_MS
            outgoing = Outgoing(
                message.id, "stix", message.urgency.value, message.created, until, message.bundle
            )
            assert desk.submit(outgoing, [to])
            ids.append(message.id)
    finally:
        store.db.close_sync()
    return ids


async def backlog(homes: Homes, folder: Path, count: int) -> Homes:
    """A copy of the homes at whose hub so many messages wait for the near node."""
    with running(homes, folder) as network:
        queue(network[FAR], NEAR, count)
        await network.up(FAR)
        await waited(lambda: network.hub.holds.waiting(NEAR) >= count, PREPARING_SECONDS, "the backlog")
        await network.down()
    return replace(homes, folder=folder)


def outgoing(homes: Homes, folder: Path, count: int) -> Homes:
    """A copy of the homes in which so many messages wait at the near node."""
    with running(homes, folder) as network:
        queue(network[NEAR], FAR, count)
    return replace(homes, folder=folder)


def ideal_down(network: Network) -> int:
    """Bytes of the deliveries that wait for the near node."""
    ((size,),) = query(
        network.hub.path / "hub.db",
        "SELECT sum(e.delivery + 16) FROM mailbox m JOIN envelopes e ON e.n = m.envelope WHERE m.recipient = ?",
        NEAR,
    )
    return int(size)


def ideal_up(network: Network) -> int:
    """Bytes of the uploads that the hub has of the near node."""
    ((size,),) = query(network.hub.path / "hub.db", "SELECT sum(size) FROM envelopes WHERE sender = ?", NEAR)
    return int(size)


@asynccontextmanager
async def behind(homes: Homes, folder: Path, shape: Shape) -> AsyncIterator[tuple[Network, ThinLink]]:
    """A running hub, and the link to it; the near node isn't started. Its folder goes in the end."""
    try:
        with running(homes, folder) as network:
            inner = network.move_hub()
            async with ThinLink(homes.port, target=inner, shape=shape) as link:
                await network.hub.serve.up()
                yield network, link
                await network.down()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def own_way(homes: Homes, folder: Path, shape: Shape) -> AsyncIterator[tuple[Network, ThinLink]]:
    """A running hub with two origins: one straight to it, and one for the near node alone, through the link."""
    try:
        with running(homes, folder) as network:
            port = quiet_port()
            origin = f"https://127.0.0.1:{port}"
            config = network.hub.path / "config.toml"
            lines = [line for line in config.read_text().splitlines() if not line.startswith("origins")]
            config.write_text("\n".join([f'origins = ["{homes.origin}", "{origin}"]', *lines]) + "\n")
            network[NEAR].reconfigure(hub=origin)
            async with ThinLink(port, target=homes.port, shape=shape) as link:
                await network.hub.serve.up()
                yield network, link
                await network.down()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def waited(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Until `condition` holds. Raises TimeoutError, saying what didn't come."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - it is about other processes
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TimeoutError(f"{what}: not within {seconds:g} s") from None
