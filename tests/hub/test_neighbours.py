"""What one member does at the hub, by mistake or on purpose, costs no other member its mail, nor the hub its memory."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from exchange.canonical import b64, sha256
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.errors import Unavailable
from exchange.header import DirRef
from exchange.http_rate import Room
from exchange.hub.http.auth import Caller, Who
from exchange.hub.store.directory import Invited
from exchange.hub.store.forget import PRUNE_ENVELOPES
from exchange.hub.store.store import HubStore
from exchange.hub.store.tables import proofs
from exchange.limits import DAY_MS, MAX_BATCH_BYTES, POLLS
from exchange.protocol import items
from tests.hub.mail import MANY, copies, mail, put
from tests.hub.test_socket import online
from tests.hub_server import Hub, running_hub
from tests.hub_services import receipts, sealed, services
from tests.worlds import World

PATIENCE = 20  # seconds until a test says that the hub never acted
LARGE = 10_000_000  # bytes of payload: more than the kernel holds for a `narrow` caller that doesn't read


def posted(hub: Hub, length: int) -> bytes:
    """The head of a batch by pe-csirt whose body never comes."""
    token = hub.token("POST", "/v1/envelopes", b"never sent")
    return (
        f"POST /v1/envelopes HTTP/1.1\r\nHost: hub\r\nAuthorization: Exchange {token}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def asked(hub: Hub, path: str) -> bytes:
    """A signed GET by pe-csirt."""
    token = hub.token("GET", path)
    return f"GET {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Exchange {token}\r\n\r\n".encode()


async def dir_of(hub: Hub) -> DirRef:
    """The hub's newest checkpoint, as a member names it."""
    answer = await hub.call("GET", "/v1/directory/checkpoint")
    return SignedCheckpoint.from_json(answer.json).ref(hub.world.net)


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of the answer that begins next."""
    async with asyncio.timeout(PATIENCE):
        return int((await reader.readuntil(b"\r\n\r\n")).split()[1])


async def narrow(hub: Hub) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that takes in little that isn't read."""
    near = socket.socket()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    near.setblocking(False)
    await asyncio.get_running_loop().sock_connect(near, ("127.0.0.1", hub.port))
    return await asyncio.open_connection(sock=near, ssl=hub.context, server_hostname="127.0.0.1")


async def test_one_member_that_announces_and_never_sends_keeps_nobody_out(
    world: World, tmp_path: Path
) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        made = sealed(world, await dir_of(hub), sender="co-csirt", to=("pe-csirt",))
        pairs = [await hub.connect() for _ in range(17)]  # as much as the room there is for all
        for _, writer in pairs:
            writer.write(posted(hub, MAX_BATCH_BYTES))
        waiting = [asyncio.create_task(status_of(reader)) for reader, _ in pairs]
        done, _ = await asyncio.wait(waiting, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result() for task in done} == {503}  # from here on its share is used up
        path = f"/v1/envelopes/{b64(made.env)}"
        assert (await hub.call("PUT", path, made.upload.to_bytes(), issuer="co-csirt")).status == 201
        for task in waiting:
            task.cancel()
        for _, writer in pairs:
            writer.transport.abort()


async def test_room_for_a_body_comes_back_with_the_answer(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        for _ in range(4):
            answer = await hub.call("POST", "/v1/envelopes", b"\xff" * MAX_BATCH_BYTES)
            assert answer.code == "request.bad"


async def test_page_that_is_not_read_counts_until_it_is(world: World, tmp_path: Path) -> None:
    """One member that asks for the same large page again and again, and reads none, takes its share and no more."""
    async with running_hub(world, tmp_path / "hub") as hub:
        made = sealed(
            world, await dir_of(hub), to=("co-csirt", "pe-csirt"), type_="stix", payload=bytes(LARGE)
        )
        sent = await hub.call("PUT", f"/v1/envelopes/{b64(made.env)}", made.upload.to_bytes())
        assert sent.status == 201
        paths = {}
        for member in ("co-csirt", "pe-csirt"):  # the page after the checkpoint
            first = await hub.call("GET", "/v1/mailbox", issuer=member)
            paths[member] = f"/v1/mailbox?after={list(items(first.body))[-1].cursor}"
        path = paths["pe-csirt"]
        pairs = [await narrow(hub) for _ in range(3)]
        for reader, writer in pairs:
            writer.write(asked(hub, path))
            assert await status_of(reader) == 200
        again = await hub.call("GET", path)
        assert (again.status, again.code) == (503, "storage.busy")
        async with online(hub, "pe-csirt", after=path.partition("=")[2]) as node:
            assert len((await node.item()).payload) > LARGE  # pages nobody reads keep no mail from sockets
        assert (await hub.call("GET", paths["co-csirt"], issuer="co-csirt")).status == 200
        for _, writer in pairs:
            writer.transport.abort()


def test_memory_of_units_is_their_members() -> None:
    payers = {
        "pe-csirt": "pe-csirt",
        "pe-csirt/soc": "pe-csirt",
        "officer/alba": "officer/alba",
    }
    for address, payer in payers.items():
        assert Caller(Who.MEMBER, address, None).payer == payer
    assert Caller(Who.INVITED, "pe-csirt", None).payer != "pe-csirt"


@pytest.mark.parametrize("path", ["/healthz", "/v1/state"])
async def test_who_asks_on_and_reads_nothing_is_closed(path: str, world: World, tmp_path: Path) -> None:
    """Strangers too: else the answers that they never read fill the hub's memory."""
    async with running_hub(world, tmp_path / "hub", limits={"body_seconds": 1}) as hub:
        _, writer = await narrow(hub)
        writer.transport.pause_reading()
        ask = f"GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n".encode() * 1000

        async def ask_on() -> None:
            while True:
                writer.write(ask)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ask_on(), PATIENCE)
        assert (await hub.call("GET", "/v1/state")).status == 200


async def test_newest_of_many_long_polls_go_on(world: World, tmp_path: Path) -> None:
    """A node whose link breaks comes back again and again, and the hub can't see that the old calls are over."""
    async with services(world, tmp_path) as hub:
        last = (await hub.mailboxes.page("co-csirt", "", wait_seconds=0, most=MANY)).items[-1].cursor
        polls = [
            asyncio.create_task(hub.mailboxes.page("co-csirt", last, wait_seconds=60, most=MANY))
            for _ in range(POLLS + 3)
        ]
        still = set(polls)
        while len(still) > POLLS:
            done, still = await asyncio.wait(still, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result().items for task in done] == [()] * len(done) != []
        made = sealed(world, hub.registrar.dir_ref)
        await put(hub, made)
        assert [len((await task).items) for task in still] == [1] * POLLS


async def test_held_is_heard_once_however_often_it_is_said(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref)
        await put(hub, made)
        copy = copies(made, "co-csirt")
        matched = [
            (
                await hub.mailboxes.receipts(
                    "co-csirt", receipts(world, dir_ref, "co-csirt", copy * 3, number=number, status="held")
                )
            ).matched
            for number in (1, 2)
        ]
        assert matched == [1, 0]
        assert len(await mail(hub, "pe-csirt")) == 1
        stored = receipts(world, dir_ref, "co-csirt", copy, number=3)
        assert (await hub.mailboxes.receipts("co-csirt", stored)).matched == 1
        assert await mail(hub, "co-csirt") == []


async def test_all_old_receipts_are_forgotten_also_where_envelopes_are_few(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        rows = [{"proof": b"{}", "keep_until": world.now - 1} for _ in range(3 * PRUNE_ENVELOPES)]
        await hub.store._db.write(lambda connection: connection.execute(insert(proofs), rows))
        await hub.mailboxes.expire_due()
        left = select(func.count()).select_from(proofs)
        assert await hub.store._db.read(lambda connection: connection.execute(left).scalar_one()) == 0


async def test_forgotten_envelope_is_not_stored_by_a_repeat(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        assert await hub.store.repeat(bytes(32), "pe-csirt") is None


async def test_invitee_is_not_counted_as_the_member_of_its_handle(world: World, tmp_path: Path) -> None:
    """A used invitation still opens the log: whoever found it must not use up the member's requests."""
    home = tmp_path / "hub"
    async with running_hub(world, home, limits={"requests_per_second": 1}) as hub:
        store = HubStore.open(home, owner=False)
        invited = Invited(sha256(bytes(32)), "pe-csirt", "national_csirt", "PE", world.now + DAY_MS)
        store.put_invitation_sync(invited)
        store.close_sync()
        found = [
            (await hub.call("GET", "/v1/applications", authorization=f"Invitation {b64(bytes(32))}")).status
            for _ in range(8)
        ]
        assert 429 in found
        assert (await hub.call("GET", "/v1/state")).status == 200


def test_room_is_shared() -> None:
    room = Room(100, share=60)
    room.take("pe", 60)
    with pytest.raises(Unavailable, match=r"storage\.busy"):
        room.take("pe", 1)
    room.take("co", 40)
    with pytest.raises(Unavailable, match=r"storage\.busy"):
        room.take("bb", 1)
    room.give_back("pe", 60)
    room.take("bb", 60)
