"""Sealed attachments over real TLS: brought in any pieces, kept through cuts, handed to whom a message names."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from exchange.hub.blobs import Blobs, Taken
from exchange.hub.store import blobs as store_blobs
from exchange.hub.store.blob_files import FOLDER, BlobFiles
from exchange.hub.store.store import HubStore
from exchange.limits import BLOB_CALLS, BLOB_SYNC_BYTES, MAX_BLOB
from exchange.settings import HubLimits
from tests.hub.attached import BB, CO, PATIENCE, PE, File, a_hub, files, grown, made, send
from tests.hub.statements import code_of
from tests.hub_services import Services, services
from tests.worlds import World

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


async def test_a_hub_that_stops_keeps_what_came(world: World, tmp_path: Path) -> None:
    file = File(os.urandom(2_000_000))
    async with a_hub(world, tmp_path, drain_seconds=PATIENCE) as hub:
        reader, writer = await file.begun(hub, 0, 1_500_000)
        await grown(hub, 1_000_000)
        hub.stop.set()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        writer.close()
    async with a_hub(world, tmp_path) as hub:
        have = await file.have(hub)
        assert have >= 1_000_000
        assert (await file.put(hub, have)).status == 201


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


def taking(
    hub: Services, file: File, folder: Path, free: list[int] | None = None
) -> Callable[[int], Awaitable[Taken]]:
    """Brings what follows a byte of the file. `free`: what the disk has left at each look; room enough then."""
    looks = free or []
    blobs = Blobs(
        hub.store,
        hub.registrar,
        BlobFiles.open(folder),
        clock=lambda: 0,
        free_bytes=lambda: looks.pop(0) if looks else 2**40,
        limits=HubLimits(),
    )

    async def come(start: int) -> AsyncIterator[bytes]:
        for at in range(start, len(file.data), 65_536):
            yield file.data[at : at + 65_536]

    async def take(start: int) -> Taken:
        digest, size = file.blob
        return await blobs.take(PE, digest, start=start, size=size, parts=come(start), end=lambda: None)

    return take


async def test_a_disk_that_fills_up_midway_keeps_what_it_took(world: World, tmp_path: Path) -> None:
    file = File(os.urandom(3 * BLOB_SYNC_BYTES))
    async with services(world, tmp_path) as hub:
        take = taking(hub, file, tmp_path, [2**40, 0])
        assert await code_of(take(0)) == "storage.full"
        have = (await take(1)).have  # too late a byte: it only asks
        assert BLOB_SYNC_BYTES <= have < 2 * BLOB_SYNC_BYTES
        assert await take(have) == Taken(len(file.data), whole=True, new=True)


async def test_what_the_disk_once_failed_to_keep_is_not_counted(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux tells of a lost write once, and the next fdatasync of the same file succeeds without it."""
    file, faults, sync = File(os.urandom(3 * BLOB_SYNC_BYTES)), [errno.EIO], os.fdatasync

    def failing(descriptor: int) -> None:
        if faults:
            raise OSError(faults.pop(), "lost")
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", failing)
    async with services(world, tmp_path) as hub:
        take = taking(hub, file, tmp_path)
        assert await code_of(take(0)) == "storage.io"
        assert (await take(1)).have == 0
        assert await take(0) == Taken(len(file.data), whole=True, new=True)


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


async def test_what_is_brought_again_wrong_stays_for_its_readers(world: World, tmp_path: Path) -> None:
    file = File()
    async with a_hub(world, tmp_path) as hub:
        await file.put(hub, 0)
        await send(hub, await made(hub, file.blob))
        (gone,) = files(hub)
    gone.unlink()
    async with a_hub(world, tmp_path) as hub:
        assert (await file.put(hub, 0, data=bytes(300_000))).code == "blob.wrong-hash"
        path = file.path("?from=0&size=2000")
        token = f"Exchange {hub.token('PUT', path)}"
        assert (await hub.call("PUT", path, b"", authorization=token)).code == "request.bad"
        assert await file.have(hub) == 0
        assert (await file.put(hub, 0)).status == 201
        assert (await file.get(hub)).body == file.data


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
