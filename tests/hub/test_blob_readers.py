"""Who may have a sealed attachment, by which message, and how long the hub keeps it; over real TLS."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from exchange.canonical import b64, framed
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.limits import BLOB_CALLS, BLOB_KEPT_MS, DAY_MS
from tests.hub.attached import BB, CO, PATIENCE, PE, File, a_hub, forget, made, send
from tests.hub.statements import ALBA, BRUNO, post, suspension
from tests.hub_services import receipts
from tests.worlds import World

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
