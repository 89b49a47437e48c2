"""Mail over real TLS: put, batch, page, long poll, receipts, and what the hub keeps over kill and restore."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from exchange.canonical import b64, framed
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.errors import Refused
from exchange.header import DirRef
from exchange.hub.store.store import HubStore
from exchange.limits import HOUR_MS
from exchange.protocol import ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_RECEIPTS, Item, items
from tests.hub.mail import copies
from tests.hub_server import Hub, free_port, hub_home, running_hub
from tests.hub_services import checkpoint_json, receipts, sealed
from tests.worlds import World


async def newest(hub: Hub) -> DirRef:
    """The hub's newest checkpoint, as a member names it."""
    answer = await hub.call("GET", "/v1/directory/checkpoint")
    return SignedCheckpoint.from_json(answer.json).ref(hub.world.net)


async def put(hub: Hub, made):
    return await hub.call(
        "PUT", f"/v1/envelopes/{b64(made.env)}", made.upload.to_bytes(), issuer=made.header.sender
    )


async def page(hub: Hub, member: str, query: str = "") -> list[Item]:
    answer = await hub.call("GET", f"/v1/mailbox{query}", issuer=member)
    return list(items(answer.body))


async def test_put_is_created_once_and_known_after(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        made = sealed(world, await newest(hub))
        first, again = await put(hub, made), await put(hub, made)
        assert (first.status, again.status) == (201, 200)
        assert first.json == again.json
        wrong = await hub.call("PUT", f"/v1/envelopes/{b64(bytes(32))}", made.upload.to_bytes())
        assert (wrong.status, wrong.code) == (400, "envelope.wrong-id")
        nonsense = await hub.call("PUT", "/v1/envelopes/xyz", made.upload.to_bytes())
        assert nonsense.status == 400


async def test_refusals_have_the_status_the_protocol_lists(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        ref = await newest(hub)
        cases = {
            409: sealed(world, DirRef(ref.size, ref.root, bytes(32))),
            422: sealed(world, ref, iat=world.now - 2, exp=world.now - 1),
            400: sealed(world, ref, net=bytes(32)),
        }
        for status, made in cases.items():
            assert (await put(hub, made)).status == status


async def test_batch_has_a_result_for_each(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        ref = await newest(hub)
        good = [sealed(world, ref, lane=lane) for lane in ("routine", "flash")]
        uploads = [good[0].upload.to_bytes(), b"EXE1nonsense", good[1].upload.to_bytes()]
        answer = await hub.call("POST", "/v1/envelopes", framed(uploads))
        assert [one["code"] for one in answer.json["results"]] == ["", "envelope.bad-frame", ""]
        assert [one["env"] for one in answer.json["results"]] == [b64(good[0].env), "", b64(good[1].env)]
        assert len(answer.json["receipts"]) == 1


async def test_page_poll_and_receipt(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        ref = await newest(hub)
        (hello,) = await page(hub, "co-csirt")
        assert hello.type == ITEM_CHECKPOINT
        nothing = await hub.call("GET", f"/v1/mailbox?after={hello.cursor}", issuer="co-csirt")
        assert nothing.status == 204
        polling = asyncio.create_task(page(hub, "co-csirt", f"?after={hello.cursor}&wait=60"))
        made = sealed(world, ref)
        await put(hub, made)
        (item,) = await polling
        assert item.type == ITEM_DELIVERY
        upload = receipts(world, ref, "co-csirt", copies(made, "co-csirt"))
        answer = await hub.call("POST", "/v1/receipts", upload, issuer="co-csirt")
        assert answer.json == {"matched": 1, "no_match": 0}
        foreign = await hub.call("POST", "/v1/receipts", upload, issuer="bb-csirt")
        assert (foreign.status, foreign.code) == (403, "receipt.wrong-signer")
        assert [item.type for item in await page(hub, "pe-csirt")] == [ITEM_RECEIPTS, ITEM_CHECKPOINT]
        assert (await hub.call("GET", "/v1/state", issuer="co-csirt")).json["receipts_batch"] == 1


async def test_page_of_one_says_that_more_wait(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        ref = await newest(hub)
        for _ in range(2):
            await put(hub, sealed(world, ref, payload=b"x" * 60_000, lane="flash"))
        answer = await hub.call("GET", "/v1/mailbox?max=65536", issuer="co-csirt")
        assert answer.headers["Exchange-More"] == "1"
        assert len(list(items(answer.body))) == 1


async def test_hub_begins_a_new_epoch_at_each_start(world: World, tmp_path: Path) -> None:
    epochs = set()
    for _ in range(2):
        async with running_hub(world, tmp_path / "hub") as hub:
            epochs.add((await hub.call("GET", "/v1/state")).json["epoch"])
    assert len(epochs) == 2


async def test_home_that_shows_an_older_cursor_is_in_a_new_epoch(world: World, tmp_path: Path) -> None:
    """Its own alone, and once: with the cursor it has from then on it stays in that one."""
    async with running_hub(world, tmp_path / "hub") as hub:

        async def epoch(query: str = "", issuer: str = "pe-csirt") -> str:
            return (await hub.call("GET", f"/v1/state{query}", issuer=issuer)).json["epoch"]

        made = sealed(world, await newest(hub))
        await put(hub, made)
        upload = receipts(world, await newest(hub), "co-csirt", copies(made, "co-csirt"))
        await hub.call("POST", "/v1/receipts", upload, issuer="co-csirt")
        first = await epoch()
        *_, last = await page(hub, "pe-csirt")
        await hub.call("GET", f"/v1/mailbox?after={last.cursor}", issuer="pe-csirt")
        assert {await epoch(), await epoch(f"?after={last.cursor}")} == {first}
        again = await epoch("?after=")
        assert again != first
        assert {await epoch(), await epoch("?after="), await epoch(f"?after={last.cursor}")} == {again}
        assert await epoch(issuer="co-csirt") == first
        assert (await hub.call("GET", "/v1/state?from=0")).code == "request.bad"


async def test_killed_between_commit_and_answer_the_receipt_is_there(world: World, tmp_path: Path) -> None:
    """The child dies by SIGKILL when the transaction is durable and nobody was told yet."""
    home, port = tmp_path / "hub", free_port()
    hub_home(home, world)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.hub_server",
        str(home),
        str(port),
        "die-after-commit",
        stdout=asyncio.subprocess.PIPE,
    )
    assert await child.stdout.readline()
    made = sealed(world, world.checkpoint.ref(world.net))
    async with running_hub(world, tmp_path / "client") as client:  # for its client half only
        client.context.load_verify_locations(home / "ca.pem")
        client.origin = f"https://127.0.0.1:{port}"
        made = sealed(world, await newest(client))
        with pytest.raises(aiohttp.ClientError):
            await put(client, made)
    assert await child.wait() == -signal.SIGKILL
    async with running_hub(world, home) as hub:
        known = await put(hub, made)
        assert known.status == 200
        assert len(known.json["receipts"]) == 1
        assert [item.type for item in await page(hub, "co-csirt")] == [ITEM_CHECKPOINT, ITEM_DELIVERY]


async def test_hub_stops_when_its_disk_fails_and_has_lost_nothing(world: World, tmp_path: Path) -> None:
    home, port = tmp_path / "hub", free_port()
    hub_home(home, world)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hub_server", str(home), str(port), "failing-disk"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert await child.stdout.readline()
    acknowledged = []
    async with running_hub(world, tmp_path / "client") as client:  # for its client half only
        client.context.load_verify_locations(home / "ca.pem")
        client.origin = f"https://127.0.0.1:{port}"
        ref = await newest(client)
        while True:
            made = sealed(world, ref, payload=bytes(60_000))
            answer = await put(client, made)
            if answer.status != 201:
                break
            acknowledged.append(made)
    assert (answer.status, answer.code) == (503, "storage.io")
    _, errors = await child.communicate()
    assert child.returncode == 1
    assert b"storage.io" in errors
    async with running_hub(world, home) as hub:
        for made in acknowledged:
            assert (await put(hub, made)).status == 200


async def test_terminated_hub_ends_in_order(world: World, tmp_path: Path) -> None:
    home, port = tmp_path / "hub", free_port()
    hub_home(home, world)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.hub_server", str(home), str(port), stdout=asyncio.subprocess.PIPE
    )
    assert await child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    assert await child.wait() == 0
    assert not (home / "hub.db-wal").exists() or (home / "hub.db-wal").stat().st_size == 0


async def test_stop_answers_who_waits(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        (hello,) = await page(hub, "co-csirt")
        polling = asyncio.create_task(
            hub.call("GET", f"/v1/mailbox?after={hello.cursor}&wait=60", issuer="co-csirt")
        )
        await hub.call("GET", "/v1/state")  # the poll was sent before and is waiting now
        hub.stop.set()
        assert (await polling).status in (204, 503)


async def test_restored_hub_gets_its_log_back_before_it_takes_statements(
    world: World, tmp_path: Path
) -> None:
    home, copy = tmp_path / "hub", tmp_path / "copy"
    async with running_hub(world, home):
        pass
    shutil.copytree(home, copy)
    async with running_hub(world, home) as hub:  # life goes on after the copy was made
        refs = world.refs("pe-csirt", start=world.now - HOUR_MS)
        statement = world.prekeys_statement("pe-csirt", refs)
        records = [b64(world.records[ref.kid]) for ref in refs]
        logged = await hub.call(
            "POST", "/v1/directory/statements", {**statement.to_json(), "records": records}
        )
        assert logged.status == 200, logged.body
        later = SignedCheckpoint.from_json((await hub.call("GET", "/v1/directory/checkpoint")).json)
        page_of_leaves = (await hub.call("GET", "/v1/directory/leaves?from=7")).body
        made = sealed(world, later.ref(world.net))
    for file in home.glob("hub.db*"):
        file.unlink()
    shutil.copy(copy / "hub.db", home / "hub.db")
    async with running_hub(world, home, limits={"settle_seconds": 3600}) as hub:
        other = {**world.prekeys_statement("co-csirt").to_json(), "records": []}
        refused = await hub.call("POST", "/v1/directory/statements", other, issuer="co-csirt")
        assert (refused.status, refused.code) == (503, "directory.read-only")
        assert int(refused.headers["Retry-After"]) > 0
        unknown = await put(hub, made)
        assert (unknown.status, unknown.code) == (409, "directory.unknown-checkpoint")
        unasked = await hub.call("POST", "/v1/directory/leaves", page_of_leaves)
        assert (unasked.status, unasked.code) == (409, "directory.no-need")
        shown = await hub.call("POST", "/v1/directory/checkpoints", checkpoint_json(later))
        assert shown.json == {"known": True, "need": [7, 8]}
        assert (await put(hub, made)).status == 201  # mail flows before the leaves are back
        forged = page_of_leaves.replace(b'"v":1', b'"v":2')
        assert (await hub.call("POST", "/v1/directory/leaves", forged)).code == "directory.split"
        assert (await hub.call("POST", "/v1/directory/leaves", page_of_leaves)).json == {"size": 8}
        for member in ("co-csirt", "bb-csirt"):
            (first, *_) = await page(hub, member)
            await hub.call("GET", f"/v1/mailbox?after={first.cursor}", issuer=member)
        settled = await hub.call("POST", "/v1/directory/statements", other, issuer="co-csirt")
        assert settled.code != "directory.read-only"
        assert (await hub.call("GET", "/readyz", issuer=None)).json["log_read_only"] is False


async def test_second_process_cannot_serve_the_same_home(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub"):
        with pytest.raises(Refused, match=r"home\.locked"):
            async with running_hub(world, tmp_path / "hub"):
                pass


async def test_health_says_what_is_wrong_and_metrics_count(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        await put(hub, sealed(world, await newest(hub)))
        await put(hub, sealed(world, world.dir, iat=world.now - 2, exp=world.now - 1))
        text = (await hub.call("GET", "/metrics", issuer=None)).body.decode()
        for line in (
            'exchange_hub_accepted_total{lane="routine"} 1.0',
            'exchange_hub_refused_total{code="envelope.expired"} 1.0',
            "exchange_hub_mailbox_rows 1.0",
            "exchange_hub_checkpoint_size 7.0",
        ):
            assert line in text
        assert "csirt" not in text
        assert (await hub.call("GET", "/readyz", issuer=None)).status == 200
    async with running_hub(world, tmp_path / "hub", limits={"free_bytes": 2**53 - 1}) as hub:
        answer = await hub.call("GET", "/readyz", issuer=None)
        assert (answer.status, answer.code) == (503, "storage.full")
        assert answer.headers["Retry-After"]
        assert (await hub.call("GET", "/healthz", issuer=None)).status == 200
        full = await put(hub, sealed(world, await newest(hub)))
        assert (full.status, full.code) == (503, "storage.full")
        assert [item.type for item in await page(hub, "co-csirt")] == [ITEM_CHECKPOINT, ITEM_DELIVERY]


def test_store_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hub.db").write_bytes(b"not a database, but long enough to be looked at" * 40)
    with pytest.raises(Refused, match=r"storage\."):
        HubStore.open(tmp_path)
