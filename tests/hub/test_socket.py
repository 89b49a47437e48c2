"""The WebSocket over real TLS: who may open it, items pushed within the window, the key asked for again."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from exchange.canonical import b64, unb64
from exchange.directory.bodies_members import build_revoke
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.members import Move
from exchange.directory.statements import Statement
from exchange.hub.http.in_flight import InFlight
from exchange.limits import DAY_MS, LARGE_BYTES, URGENT_ITEMS
from exchange.protocol import ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_LARGE, ITEM_RECEIPTS, Item, Large, items
from exchange.settings import HubLimits
from exchange.token import socket_message
from exchange.wire import Delivery
from tests.hub.mail import copies
from tests.hub.statements import ALBA, BRUNO, post, status, suspension, unit
from tests.hub_server import Hub, running_hub
from tests.hub_services import receipts, sealed
from tests.worlds import World, keys

PATIENCE = 20  # seconds until a test says that nothing came


class Node:
    """The other end of a WebSocket."""

    def __init__(self, hub: Hub, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.hub = hub
        self.ws = ws

    async def challenge(self) -> dict:
        message = await self.ws.receive(PATIENCE)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        value = json.loads(message.data)
        assert value["type"] == "challenge"
        return value

    async def answer(
        self, nonce: str, *, issuer: str, signer: str | None = None, origin: str | None = None
    ) -> None:
        text = socket_message(self.hub.world.net, origin or self.hub.origin, unb64(nonce))
        signature = keys(signer or issuer).sign_transport(text)
        await self.ws.send_json({"type": "auth", "iss": issuer, "signature": b64(signature)})

    async def item(self) -> Item:
        message = await self.ws.receive(PATIENCE)
        assert message.type is aiohttp.WSMsgType.BINARY, message
        (item,) = items(message.data)
        return item

    async def stored(self, item: Item) -> None:
        await self.ws.send_json({"type": "stored", "cursor": item.cursor})

    async def closed(self) -> int:
        message = await self.ws.receive(PATIENCE)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), message
        return self.ws.close_code


@asynccontextmanager
async def connected(hub: Hub, *, after: str = "") -> AsyncIterator[Node]:
    query = f"?after={after}" if after else ""
    url = hub.origin + "/v1/socket" + query
    async with hub.session.ws_connect(url, ssl=hub.context, max_msg_size=0) as ws:
        yield Node(hub, ws)


@asynccontextmanager
async def online(hub: Hub, member: str, *, after: str = "") -> AsyncIterator[Node]:
    """A node that has proved its key."""
    async with connected(hub, after=after) as node:
        await node.answer((await node.challenge())["nonce"], issuer=member)
        yield node


async def put(hub: Hub, **how):
    answer = await hub.call("GET", "/v1/directory/checkpoint")
    made = sealed(hub.world, SignedCheckpoint.from_json(answer.json).ref(hub.world.net), **how)
    sent = await hub.call(
        "PUT", f"/v1/envelopes/{b64(made.env)}", made.upload.to_bytes(), issuer=made.header.sender
    )
    assert sent.status == 201, sent.body
    return made


async def test_mail_and_receipts_are_pushed(world: World, tmp_path: Path) -> None:
    async with (
        running_hub(world, tmp_path / "hub") as hub,
        online(hub, "co-csirt") as co,
        online(hub, "pe-csirt") as pe,
    ):
        assert (await co.item()).type == ITEM_CHECKPOINT
        assert (await pe.item()).type == ITEM_CHECKPOINT
        made = await put(hub)
        delivered = await co.item()
        assert delivered.type == ITEM_DELIVERY
        await co.stored(delivered)
        upload = receipts(world, made.header.dir, "co-csirt", copies(made, "co-csirt"))
        await hub.call("POST", "/v1/receipts", upload, issuer="co-csirt")
        proof = await pe.item()
        assert proof.type == ITEM_RECEIPTS
        await pe.stored(proof)


async def test_connection_goes_on_after_a_cursor(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        async with online(hub, "co-csirt") as node:
            last = await node.item()
        async with online(hub, "co-csirt", after=last.cursor) as node:
            await put(hub)
            assert (await node.item()).type == ITEM_DELIVERY


async def test_only_the_members_own_key_opens_it(world: World, tmp_path: Path) -> None:
    wrong = (
        {"issuer": "co-csirt", "signer": "pe-csirt"},
        {"issuer": "co-csirt", "origin": "https://hub.example"},
        {"issuer": "zz-csirt"},
        {"issuer": "hub"},
        {"issuer": "officer/alba"},
    )
    async with running_hub(world, tmp_path / "hub") as hub:
        for how in wrong:
            async with connected(hub) as node:
                await node.answer((await node.challenge())["nonce"], **how)
                assert await node.closed() == 4401
        async with connected(hub) as node, connected(hub) as other:
            await other.challenge()
            await other.answer((await node.challenge())["nonce"], issuer="co-csirt")  # another one's nonce
            assert await other.closed() == 4401


async def test_who_never_answers_is_closed(world: World, tmp_path: Path) -> None:
    async with (
        running_hub(world, tmp_path / "hub", limits={"auth_seconds": 1}) as hub,
        connected(hub) as node,
    ):
        await node.challenge()
        assert await node.closed() == 4408


async def test_key_is_asked_for_again(world: World, tmp_path: Path) -> None:
    limits = {"challenge_seconds": 1, "auth_seconds": 1}
    async with running_hub(world, tmp_path / "hub", limits=limits) as hub, online(hub, "co-csirt") as node:
        await node.item()
        first = await node.challenge()
        await node.answer(first["nonce"], issuer="co-csirt")
        second = await node.challenge()
        assert second["nonce"] != first["nonce"]
        assert await node.closed() == 4408


async def test_old_nonce_or_another_member_does_not_answer_the_new_challenge(
    world: World, tmp_path: Path
) -> None:
    limits = {"challenge_seconds": 1, "auth_seconds": 2}
    async with running_hub(world, tmp_path / "hub", limits=limits) as hub:
        for how in ({"issuer": "pe-csirt"}, {"issuer": "co-csirt", "signer": "pe-csirt"}):
            async with online(hub, "co-csirt") as node:
                await node.item()
                await node.answer((await node.challenge())["nonce"], **how)
                assert await node.closed() == 4401


@pytest.mark.parametrize("news", ["suspended", "removed", "revoked"])
async def test_loss_of_trust_closes_it_at_once(news: str, world: World, tmp_path: Path) -> None:
    revoke = build_revoke(
        net=world.net,
        address="co-csirt",
        by="printed",
        ground="key-lost",
        skid=keys("co-csirt").public.signing.skid(world.net),
        since=world.now,
        not_after=world.now + DAY_MS,
    )
    statements = {
        "suspended": suspension(world, "co-csirt", ALBA, BRUNO),
        "removed": status(world, "co-csirt", Move.REMOVE, ALBA, BRUNO),
        "revoked": Statement(revoke).with_signature("co-csirt", keys("revoke/co-csirt")),
    }
    slow = {"socket_items": 1}  # the node has stored nothing, so that nothing more would be sent
    async with running_hub(world, tmp_path / "hub", limits=slow) as hub, online(hub, "co-csirt") as node:
        await node.item()
        assert (await post(hub, statements[news])).status == 200
        assert await node.closed() == 4401
        if news == "suspended":
            async with online(hub, "co-csirt") as again:
                assert (await again.item()).type == ITEM_CHECKPOINT
        else:
            async with connected(hub) as again:
                await again.answer((await again.challenge())["nonce"], issuer="co-csirt")
                assert await again.closed() == 4401


async def test_unit_has_a_socket_of_its_own(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        await post(hub, unit(world, "co-csirt/tracing"), issuer="co-csirt")
        async with online(hub, "co-csirt/tracing") as node:
            assert (await node.item()).type == ITEM_CHECKPOINT
        async with connected(hub) as node:
            nonce = (await node.challenge())["nonce"]
            await node.answer(nonce, issuer="co-csirt/tracing", signer="co-csirt")
            assert await node.closed() == 4401


async def test_only_so_much_is_in_flight(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"socket_items": 2}) as hub:
        for _ in range(3):
            await put(hub, lane="routine")
        async with online(hub, "co-csirt") as node:
            first, second = await node.item(), await node.item()
            assert (first.type, second.type) == (ITEM_CHECKPOINT, ITEM_DELIVERY)
            with pytest.raises(TimeoutError):
                await node.ws.receive(0.2)
        async with online(hub, "co-csirt") as node:
            again = [await node.item(), await node.item()]
            assert [item.cursor for item in again] == [first.cursor, second.cursor]
            flash = await put(hub, lane="flash")
            item = await node.item()
            assert flash.upload.header in item.payload, "it waits for no room"
            await node.stored(first)
            assert (await node.item()).type == ITEM_DELIVERY


async def test_who_asks_for_it_gets_large_deliveries_named_and_is_told_when_nothing_waits(
    world: World, tmp_path: Path
) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        small, large = (
            await put(hub, lane="routine"),
            await put(hub, lane="routine", payload=os.urandom(100_000)),
        )
        query = f"/v1/socket?large={LARGE_BYTES}"
        async with hub.session.ws_connect(hub.origin + query, ssl=hub.context) as ws:
            node = Node(hub, ws)
            await node.answer((await node.challenge())["nonce"], issuer="co-csirt")
            got = [await node.item() for _ in range(3)]
            assert [item.type for item in got] == [ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_LARGE]
            assert small.upload.header in got[1].payload
            name = Large.from_bytes(got[2].payload)
            assert name.env == large.env
            assert (await ws.receive(PATIENCE)).data == '{"type":"drained"}'
            target = f"/v1/mailbox/{b64(name.env)}"
            pieces = [
                await hub.call("GET", f"{target}?from={start}&max=50000", issuer="co-csirt")
                for start in range(0, name.size, 50_000)
            ]
            whole = b"".join(piece.body for piece in pieces)
            assert len(whole) == name.size
            assert Delivery.from_bytes(whole).body == large.upload.body
            for issuer, start in (("co-csirt", name.size), ("pe-csirt", 0), ("bb-csirt", 0)):
                refused = await hub.call("GET", f"{target}?from={start}&max=1", issuer=issuer)
                assert (refused.status, refused.code) == (404, "request.not-found")


async def test_flash_overtakes_bulk_that_is_not_on_the_wire(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"socket_items": 1}) as hub:
        for _ in range(5):
            await put(hub, lane="routine")
        async with online(hub, "co-csirt") as node:
            item = await node.item()
            assert item.type == ITEM_CHECKPOINT
            flash = await put(hub, lane="flash")
            await node.stored(item)
            item = await node.item()
            assert flash.upload.header in item.payload


async def test_oldest_socket_of_a_member_gives_way_to_one_too_many(world: World, tmp_path: Path) -> None:
    limits = {"sockets_per_member": 2}
    async with (
        running_hub(world, tmp_path / "hub", limits=limits) as hub,
        online(hub, "co-csirt") as first,
    ):
        await first.item()
        async with online(hub, "co-csirt") as second:
            await second.item()
            async with online(hub, "co-csirt") as third:
                assert (await third.item()).type == ITEM_CHECKPOINT
                assert await first.closed() == 4429
                await put(hub)
                assert (await second.item()).type == (await third.item()).type == ITEM_DELIVERY


async def test_long_items_under_way_to_one_member_share_its_room(world: World, tmp_path: Path) -> None:
    """TLS takes in a frame of any length at once: what was sent is in memory until the node has it."""
    async with running_hub(world, tmp_path / "hub") as hub, AsyncExitStack() as stack:
        await put(hub, to=("bb-csirt", "co-csirt"), type_="stix", payload=os.urandom(10_000_000))

        async def another(member: str) -> Node:
            node = await stack.enter_async_context(online(hub, member))
            assert (await node.item()).type == ITEM_CHECKPOINT
            return node

        first, *_ = nodes = [await another("co-csirt") for _ in range(3)]
        come = [await node.item() for node in nodes]
        assert [item.type for item in come] == [ITEM_DELIVERY] * 3
        assert await (await another("co-csirt")).closed() == 1001
        assert (await (await another("bb-csirt")).item()).type == ITEM_DELIVERY
        await first.stored(come[0])
        await put(hub, sender="bb-csirt")  # comes once the hub has heard the other
        assert (await first.item()).type == ITEM_DELIVERY
        assert (await (await another("co-csirt")).item()).type == ITEM_DELIVERY


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"type":"more"}', '{"type":"stored"}', '{"type":"stored","cursor":1}']
)
async def test_nonsense_closes_it(text: str, world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub, online(hub, "co-csirt") as node:
        await node.item()
        await node.ws.send_str(text)
        assert await node.closed() == 1001
        assert (await hub.call("GET", "/v1/state")).status == 200


async def test_unknown_cursor_is_ignored(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub, online(hub, "co-csirt") as node:
        await node.item()
        await node.ws.send_json({"type": "stored", "cursor": "nonsense"})
        await put(hub)
        assert (await node.item()).type == ITEM_DELIVERY


async def test_stop_closes_it(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub, online(hub, "co-csirt") as node:
        await node.item()
        hub.stop.set()
        assert await node.closed() == 1001


async def test_gone_node_frees_its_place(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"sockets_per_member": 1}) as hub:
        for _ in range(3):
            async with online(hub, "co-csirt") as node:
                await node.item()


async def test_flash_waits_for_no_room_however_full_the_window_is(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub, online(hub, "co-csirt") as node:
        assert (await node.item()).type == ITEM_CHECKPOINT
        for _ in range(URGENT_ITEMS + 10):  # nothing is stored in its turn meanwhile
            flash = await put(hub, lane="flash")
            item = await node.item()
            assert flash.upload.header in item.payload
            await node.ws.send_json({"type": "overtook", "cursor": item.cursor})
        for _ in range(6):  # that fill the window
            await put(hub, lane="flash")
            item = await node.item()
        bulk = await put(hub, lane="routine")
        flash = await put(hub, lane="flash")
        item = await node.item()
        assert flash.upload.header in item.payload
        await node.stored(item)
        assert bulk.upload.header in (await node.item()).payload


def test_a_node_that_stores_all_out_of_turn_and_none_in_it_is_not_followed_without_end() -> None:
    limits = HubLimits(socket_items=8)
    flying = InFlight(limits)
    sent = 0
    while flying.room()[0] and sent < 1_000:
        flying.add(f"c{sent}", 10, 0.0, urgent=flying.room()[2])
        flying.overtook(f"c{sent}")
        sent += 1
    assert 8 < sent <= 2 * limits.socket_items + URGENT_ITEMS
    assert flying.stored(f"c{sent - 1}", 1.0)
    assert flying.room() == InFlight(limits).room()
