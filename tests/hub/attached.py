"""What the tests of sealed attachments at the hub share: a file that goes there, and envelopes that name it.

Owns no assertion but that what is forgotten can't be fetched.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.attachment import Blob
from exchange.canonical import b64, sha256
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.hub.store.blob_files import FOLDER
from tests.hub_server import Answer, Hub, running_hub
from tests.hub_services import sealed
from tests.worlds import World

PATIENCE = 20  # seconds until a test says that the hub never acted
PE, CO, BB = "pe-csirt", "co-csirt", "bb-csirt"


@dataclass
class File:
    """A sealed file that is to go to the hub."""

    data: bytes = field(default_factory=lambda: os.urandom(300_000))

    @property
    def blob(self) -> Blob:
        return sha256(self.data), len(self.data)

    def path(self, query: str = "") -> str:
        return f"/v1/blobs/{b64(self.blob[0])}{query}"

    async def put(
        self, hub: Hub, start: int, end: int | None = None, *, issuer: str = PE, data: bytes | None = None
    ) -> Answer:
        """Bring bytes `start`..`end`, or `data` in their place."""
        path = self.path(f"?from={start}&size={len(self.data)}")
        token = f"Exchange {hub.token('PUT', path, issuer=issuer)}"
        body = self.data[start:end] if data is None else data
        return await hub.call("PUT", path, body, authorization=token)

    async def have(self, hub: Hub, *, issuer: str = PE) -> int:
        """How much the hub says it has."""
        return int((await self.put(hub, 0, data=b"", issuer=issuer)).json["have"])

    async def get(self, hub: Hub, query: str = "", *, issuer: str = CO) -> Answer:
        return await hub.call("GET", self.path(query), issuer=issuer)

    async def begun(
        self, hub: Hub, start: int, end: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which all bytes were announced and some of them sent."""
        path = self.path(f"?from={start}&size={len(self.data)}")
        reader, writer = await hub.connect()
        token = hub.token("PUT", path)
        head = f"PUT {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Exchange {token}\r\n"
        writer.write(f"{head}Content-Length: {len(self.data) - start}\r\n\r\n".encode())
        writer.write(self.data[start:end])
        await writer.drain()
        return reader, writer


def files(hub: Hub) -> list[Path]:
    return sorted((hub.home / FOLDER).iterdir())


async def grown(hub: Hub, size: int) -> None:
    """Wait until the hub has written so many bytes of its one file: what was sent is not yet there."""
    async with asyncio.timeout(PATIENCE):
        while not files(hub) or files(hub)[0].stat().st_size < size:
            await hub.call("GET", "/healthz", issuer=None)


@asynccontextmanager
async def a_hub(world: World, tmp_path: Path, **limits: int) -> AsyncIterator[Hub]:
    async with running_hub(world, tmp_path / "hub", limits=limits) as hub:
        yield hub


async def made(hub: Hub, *blobs: Blob, **how: Any) -> Any:
    answer = await hub.call("GET", "/v1/directory/checkpoint")
    ref = SignedCheckpoint.from_json(answer.json).ref(hub.world.net)
    return sealed(hub.world, ref, blobs=tuple(sorted(blobs)), **how)


async def send(hub: Hub, envelope: Any) -> Answer:
    return await hub.call("PUT", f"/v1/envelopes/{b64(envelope.env)}", envelope.upload.to_bytes())


async def forget(hub: Hub, gone: File) -> None:
    """Wait until the hub's chore has deleted the file."""
    async with asyncio.timeout(PATIENCE):
        while files(hub):
            await hub.call("GET", "/healthz", issuer=None)
    assert (await gone.get(hub)).code == "request.not-found"
