"""Sealed attachments over real TLS: brought in any pieces, kept through cuts, handed to whom a message names."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exchange.attachment import Blob
from exchange.canonical import b64, framed, sha256
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.hub import store_blobs
from exchange.hub.store import HubStore
from exchange.hub.store_blob_files import FOLDER
from exchange.limits import BLOB_CALLS, BLOB_KEPT_MS, DAY_MS, MAX_BLOB
from tests.hub.statements import ALBA, BRUNO, post, suspension
from tests.hub_server import Answer, Hub, running_hub
from tests.hub_services import receipts, sealed
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


# -- bringing it ------------------------------------------------------------------------------------


async def test_pieces_of_any_length_become_a_blob(world: World, tmp_path: Path) -> None:
    file = File()
    async with a_hub(world, tmp_path) as hub:
        assert await file.have(hub) == 0
        answer = await file.put(hub, 0, 1)
        assert (answer.status, answer.json) == (202, {"have": 1})
        assert (await file.put(hub, 1, 70_001)).json == {"have": 70_001}
        for start in (0, 100_000):  # comes again, comes too early
            assert (await file.put(hub, start)).json == {"have": 70_001}
    async with a_hub(world, tmp_path) as hub:
        assert await file.have(hub) == 70_001
        done = await file.put(hub, 70_001)
        assert (done.status, done.json) == (201, {"have": 300_000})
        again = await file.put(hub, 0)
        assert (again.status, again.json) == (200, {"have": 300_000})
        assert await file.have(hub, issuer=CO) == 0, "nothing is shared between members"
        assert [path.stat().st_mode & 0o777 for path in files(hub)] == [0o600]


async def test_what_came_before_a_cut_stays(world: World, tmp_path: Path) -> None:
    file = File(os.urandom(2_000_000))
    async with a_hub(world, tmp_path) as hub:
        _, writer = await file.begun(hub, 0, 1_500_000)
        await grown(hub, 1_000_000)
        writer.transport.abort()
        have = await file.have(hub)
        assert 1_000_000 <= have <= 1_500_000
        assert (await file.put(hub, have)).status == 201


async def test_the_newer_of_two_calls_goes_on(world: World, tmp_path: Path) -> None:
    file = File(os.urandom(2_000_000))
    async with a_hub(world, tmp_path) as hub:
        reader, writer = await file.begun(hub, 0, 1_500_000)
        await grown(hub, 1_000_000)
        have = await file.have(hub)  # while the other connection still stands
        assert have >= 1_000_000
        assert (await file.put(hub, have)).status == 201
        async with asyncio.timeout(PATIENCE):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        writer.close()


async def test_a_link_that_stands_still_is_let_go(world: World, tmp_path: Path) -> None:
    file = File(os.urandom(2_000_000))
    async with a_hub(world, tmp_path, body_seconds=1) as hub:
        reader, writer = await file.begun(hub, 0, 1_500_000)
        async with asyncio.timeout(PATIENCE):
            assert b" 408 " in await reader.readuntil(b"\r\n")
        writer.close()
        assert await file.have(hub) == 1_500_000


async def test_what_is_not_named_for_its_bytes_is_dropped(world: World, tmp_path: Path) -> None:
    file = File()
    async with a_hub(world, tmp_path) as hub:
        await file.put(hub, 0, 299_999)
        refused = await file.put(hub, 299_999, data=bytes([file.data[-1] ^ 1]))
        assert (refused.status, refused.code) == (400, "blob.wrong-hash")
        assert files(hub) == []
        assert await file.have(hub) == 0
        assert (await file.put(hub, 0)).status == 201


async def test_another_size_begins_it_anew(world: World, tmp_path: Path) -> None:
    file = File()
    async with a_hub(world, tmp_path) as hub:
        await file.put(hub, 0, 1_000)
        path = file.path("?from=0&size=2000")
        token = f"Exchange {hub.token('PUT', path)}"
        assert (await hub.call("PUT", path, bytes(5), authorization=token)).json == {"have": 5}
        assert (await file.put(hub, 0)).status == 201
        assert (await hub.call("PUT", path, b"", authorization=token)).code == "request.bad"
        assert len(files(hub)) == 1


@pytest.mark.parametrize(
    "query",
    [
        "from=0",
        "from=-1&size=5",
        f"from=0&size={MAX_BLOB + 1}",
        "from=0&size=4",
        "from=3&size=7",
        "size=9&x=1",
    ],
)
async def test_query_says_where_and_how_much(query: str, world: World, tmp_path: Path) -> None:
    async with a_hub(world, tmp_path) as hub:
        path = File().path(f"?{query}")
        token = f"Exchange {hub.token('PUT', path)}"
        answer = await hub.call("PUT", path, b"12345", authorization=token)
        assert (answer.status, answer.code) == (400, "request.bad")
        assert files(hub) == []


async def test_a_token_that_vouches_for_the_bytes_is_another(world: World, tmp_path: Path) -> None:
    async with a_hub(world, tmp_path) as hub:
        answer = await hub.call("PUT", File().path("?from=0&size=9"), b"123456789")
        assert (answer.status, answer.code) == (401, "auth.body-mismatch")


async def test_a_member_has_so_much_at_the_hub(world: World, tmp_path: Path) -> None:
    one, two, three = File(os.urandom(900)), File(os.urandom(900)), File(os.urandom(2_000))
    async with a_hub(world, tmp_path, quota_blobs=2, quota_blob_bytes=2_500) as hub:
        assert (await one.put(hub, 0)).status == 201
        refused = await three.put(hub, 0)
        assert (refused.status, refused.code) == (429, "quota.exceeded")
        assert (await two.put(hub, 0, 10)).status == 202
        assert (await File(b"x").put(hub, 0)).code == "quota.exceeded"
        assert (await three.put(hub, 0, issuer=BB)).status == 201


async def test_a_full_disk_takes_no_more(world: World, tmp_path: Path) -> None:
    async with a_hub(world, tmp_path, free_bytes=2**50) as hub:
        answer = await File().put(hub, 0)
        assert (answer.status, answer.code) == (503, "storage.full")


async def test_a_member_has_few_calls_under_way(world: World, tmp_path: Path) -> None:
    async with a_hub(world, tmp_path) as hub:
        slow = []
        for _ in range(BLOB_CALLS):
            file = File(os.urandom(600_000))
            slow.append((await file.begun(hub, 0, 300_000))[1])
            async with asyncio.timeout(PATIENCE):
                while sum(path.stat().st_size > 0 for path in files(hub)) < len(slow):
                    await hub.call("GET", "/healthz", issuer=None)
        assert (await File().put(hub, 0)).code == "storage.busy"
        assert (await File().put(hub, 0, issuer=BB)).status == 201
        for writer in slow:
            writer.close()


# -- for whom ---------------------------------------------------------------------------------------


async def test_an_envelope_waits_for_its_blobs(world: World, tmp_path: Path) -> None:
    file, other = File(), File()
    async with a_hub(world, tmp_path) as hub:
        digest, size = file.blob
        envelope = await made(hub, file.blob, other.blob)
        await file.put(hub, 0)
        await other.put(hub, 0, 5)
        await other.put(hub, 0, issuer=BB)
        missing = await send(hub, envelope)
        assert (missing.status, missing.code) == (409, "envelope.blob-missing")
        longer = await send(hub, await made(hub, (digest, size + 1)))
        assert longer.code == "envelope.blob-missing"
        plain = await made(hub)
        batch = framed([envelope.upload.to_bytes(), plain.upload.to_bytes()])
        results = (await hub.call("POST", "/v1/envelopes", batch)).json["results"]
        assert [one["code"] for one in results] == ["envelope.blob-missing", ""]
        await other.put(hub, 5)
        assert (await send(hub, envelope)).status == 201
        assert (await send(hub, envelope)).status == 200


async def test_only_an_addressee_may_have_it(world: World, tmp_path: Path) -> None:
    file, half = File(), File()
    async with a_hub(world, tmp_path) as hub:
        await file.put(hub, 0)
        await half.put(hub, 0, 9)
        assert (await file.get(hub)).code == "request.not-found", "no message names it yet"
        envelope = await made(hub, file.blob)
        await send(hub, envelope)
        whole = await file.get(hub)
        assert (whole.status, whole.body) == (200, file.data)
        assert (await file.get(hub, "?from=299999")).body == file.data[-1:]
        assert (await file.get(hub, "?from=7&max=300")).body == file.data[7:307]
        assert (await file.get(hub, "?from=150000&max=104960072")).body == file.data[150_000:]
        refusals = [
            await file.get(hub, issuer=BB),
            await file.get(hub, issuer=PE),
            await half.get(hub),
            await File().get(hub),
            await file.get(hub, "?from=300000"),
        ]
        assert {(one.status, one.body) for one in refusals} == {(404, refusals[0].body)}, "no oracle"
        ref = SignedCheckpoint.from_json((await hub.call("GET", "/v1/directory/checkpoint")).json)
        copy = [(envelope.env, envelope.upload.slots[0][-32:])]
        stored = receipts(world, ref.ref(world.net), CO, copy)
        assert (await hub.call("POST", "/v1/receipts", stored, issuer=CO)).json["matched"] == 1
        assert (await file.get(hub)).status == 200, "whatever was receipted"


async def test_a_reader_that_comes_again_does_not_wait_for_its_dead_link(
    world: World, tmp_path: Path
) -> None:
    file = File(os.urandom(20_000_000))  # more than buffers on the way take in
    async with a_hub(world, tmp_path) as hub:
        await file.put(hub, 0)
        await send(hub, await made(hub, file.blob))
        dead = []
        for _ in range(2 * BLOB_CALLS):
            reader, writer = await hub.connect()
            head = f"GET {file.path()} HTTP/1.1\r\nHost: hub\r\n"
            token = hub.token("GET", file.path(), issuer=CO)
            writer.write(f"{head}Authorization: Exchange {token}\r\n\r\n".encode())
            async with asyncio.timeout(PATIENCE):
                assert b" 200 " in await reader.readuntil(b"\r\n")
            dead.append(writer)
        assert (await file.get(hub, "?from=19999000")).body == file.data[-1_000:]
        for writer in dead:
            writer.transport.abort()


async def test_a_name_taken_by_another_member_leads_to_nobody_elses_mail(
    world: World, tmp_path: Path
) -> None:
    """Who was sent a blob may bring it again as its own; that gives its readers what they have, and no more."""
    file = File()
    async with a_hub(world, tmp_path) as hub:
        await file.put(hub, 0)
        await file.put(hub, 0, issuer=BB)
        assert (await send(hub, await made(hub, file.blob))).status == 201
        own = await made(hub, file.blob, sender=BB, to=(PE,))
        path = f"/v1/envelopes/{b64(own.env)}"
        assert (await hub.call("PUT", path, own.upload.to_bytes(), issuer=BB)).status == 201
        assert (await file.get(hub, issuer=PE)).body == file.data
        assert (await file.get(hub, issuer=BB)).code == "request.not-found"


async def test_a_suspended_member_has_what_came_since(world: World, tmp_path: Path) -> None:
    before, since = File(), File()
    async with a_hub(world, tmp_path) as hub:
        for file in (before, since):
            await file.put(hub, 0)
        await send(hub, await made(hub, before.blob))
        world.now += 1_000
        await post(hub, suspension(world, CO, ALBA, BRUNO))
        world.now += 1_000
        await send(hub, await made(hub, since.blob))
        assert (await before.get(hub)).code == "request.not-found"
        assert (await since.get(hub)).body == since.data
        assert (await before.put(hub, 0, issuer=CO)).code == "auth.forbidden"


# -- how long ---------------------------------------------------------------------------------------


async def test_what_nothing_names_goes_after_a_day(world: World, tmp_path: Path) -> None:
    file = File()
    async with a_hub(world, tmp_path, expiry_seconds=1) as hub:
        await file.put(hub, 0)
        world.now += BLOB_KEPT_MS - 1
        assert (await file.put(hub, 0)).status == 200  # which begins the day anew
        world.now += BLOB_KEPT_MS
        await forget(hub, file)
        assert await file.have(hub) == 0


async def test_what_is_named_stays_a_day_longer_than_its_envelopes(world: World, tmp_path: Path) -> None:
    file = File()
    async with a_hub(world, tmp_path) as hub:
        await file.put(hub, 0)
        for days in (1, 3):
            await send(hub, await made(hub, file.blob, exp=world.now + days * DAY_MS))
    world.now += 3 * DAY_MS - 1
    async with a_hub(world, tmp_path, expiry_seconds=1) as hub:
        assert (await file.get(hub)).status == 200
        world.now += 1
        assert (await file.get(hub)).code == "request.not-found"
        again = await made(hub, file.blob, exp=world.now + DAY_MS)
        assert (await send(hub, again)).status == 201, "sealed again, and not brought again"
        assert (await file.get(hub)).status == 200
        world.now += DAY_MS + BLOB_KEPT_MS
        await forget(hub, file)


# -- after a crash ----------------------------------------------------------------------------------


async def test_a_start_puts_right_what_a_crash_left(world: World, tmp_path: Path) -> None:
    whole, longer, lost = File(), File(), File()
    async with a_hub(world, tmp_path) as hub:
        await whole.put(hub, 0)
        await longer.put(hub, 0, 1_000)
        await lost.put(hub, 0)
        await send(hub, await made(hub, lost.blob))
        _, written, gone = files(hub)
    with written.open("ab") as end:
        end.write(b"never durable")  # and so no number says it
    gone.unlink()
    (written.parent / "77").write_bytes(b"what no row names")
    async with a_hub(world, tmp_path) as hub:
        assert [path.name for path in files(hub)] == ["1", "2"]
        assert (await whole.put(hub, 0)).status == 200
        assert await longer.have(hub) == 1_000
        assert (await longer.put(hub, 1_000)).status == 201
        assert (await lost.get(hub)).code == "request.not-found"
        assert (await lost.put(hub, 0)).status == 201
        assert (await lost.get(hub)).body == lost.data, "its envelope still stands"


async def test_all_bytes_and_then_a_crash_are_a_blob_when_asked(world: World, tmp_path: Path) -> None:
    """Between the last byte and the look at their hash."""
    file = File()
    async with a_hub(world, tmp_path) as hub:
        await file.put(hub, 0, 299_999)
    (path,) = (tmp_path / "hub" / FOLDER).iterdir()
    path.write_bytes(file.data)
    store = HubStore.open(tmp_path / "hub")
    store.db.write_sync(partial(store_blobs.note, n=1, have=300_000, now=world.now))
    store.close_sync()
    async with a_hub(world, tmp_path) as hub:
        assert (await file.put(hub, 0, data=b"")).status == 201
