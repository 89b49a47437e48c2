"""Requests with a right token and the rest spoilt, at a real hub: refused by a code, never a fault of the hub."""

from __future__ import annotations

import random
from pathlib import Path
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from yarl import URL

from exchange.canonical import b64, framed, unb64
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.errors import CODES
from exchange.token import socket_message
from tests.fuzz.mutation import VALUES, fault, spoilt
from tests.hub_server import Hub, running_hub
from tests.hub_services import receipts, sealed
from tests.worlds import World, keys, make_world

EACH = 25  # spoilt requests of each kind
PLENTY = {"requests_per_second": 100_000, "statements_per_day": 100_000}
ENV = b64(bytes(32))
GETS = (
    "/v1/mailbox?after={}",
    "/v1/mailbox?wait={}",
    "/v1/mailbox?max={}",
    "/v1/mailbox?large={}",
    "/v1/mailbox?after=&wait=0&{}",
    "/v1/mailbox/" + ENV + "?from={}&max=1",
    "/v1/mailbox/{}?from=0&max=1",
    "/v1/directory/leaves?from={}",
    "/v1/parts?after={}",
    "/v1/directory/pending?{}",
    "/v1/applications?{}",
    "/v1/blobs/" + ENV + "?from={}&max=1",
    "/v1/blobs/{}?from=0",
    "/v1/{}",
)
# what such a call brings is its path's to name: no body spoils it
PUTS = ("/v1/blobs/" + ENV + "?from={}&size=9", "/v1/blobs/" + ENV + "?size={}", "/v1/blobs/{}?size=9")


@pytest.fixture
def world() -> World:
    """A network with members pe and co."""
    return make_world()


async def requests(hub: Hub) -> dict[tuple[str, str], bytes]:
    """A good request of each kind with a body, by method and path."""
    said = SignedCheckpoint.from_json((await hub.call("GET", "/v1/directory/checkpoint")).json)
    made = sealed(hub.world, said.ref(hub.world.net))
    batch = receipts(hub.world, said.ref(hub.world.net), "pe-csirt", [(made.env, bytes(32))])
    statement = {"body": b64(b"{}"), "signatures": [["pe-csirt", b64(bytes(3373))]]}
    parts = [["pe-csirt", "public", b64(bytes(16)), b64(b"{}")]]
    return {
        ("POST", "/v1/directory/statements"): orjson.dumps(
            {**statement, "records": [b64(b"{}")], "parts": parts}
        ),
        ("POST", f"/v1/directory/pending/{ENV}/signatures"): orjson.dumps(
            {"signatures": statement["signatures"]}
        ),
        ("POST", "/v1/directory/checkpoints"): orjson.dumps(said.to_json()),
        ("POST", "/v1/directory/leaves"): framed([b"{}", b"{}"]),
        ("POST", "/v1/prekeys/query"): orjson.dumps({"kids": [ENV]}),
        ("POST", "/v1/receipts"): orjson.dumps(batch),
        ("POST", "/v1/envelopes"): framed([made.upload.to_bytes()]),
        ("PUT", f"/v1/envelopes/{b64(made.env)}"): made.upload.to_bytes(),
        ("PUT", f"/v1/envelopes/{ENV}/pieces?from=0&size=100000"): made.upload.to_bytes(),
        ("POST", "/v1/applications"): orjson.dumps({**statement, "document": "", "salt": ""}),
        ("POST", "/v1/applications/uy/signatures"): orjson.dumps(
            {"statement": ENV, "signatures": statement["signatures"]}
        ),
    }


def is_ours(status: int, code: str) -> bool:
    """A success, or a refusal that has one of our codes and isn't the hub's own fault."""
    return status < 300 or (status < 500 and code in CODES and code != "internal.error")


async def test_no_spoilt_body_is_a_fault_of_the_hub(world: World, tmp_path: Path) -> None:
    chance, codes = random.Random(1), set[str]()
    async with running_hub(world, tmp_path / "hub", limits=PLENTY) as hub:
        good = await requests(hub)
        bodies = list(good.values())
        for (method, path), body in good.items():
            for _ in range(EACH):
                bad = fault(body, bodies, chance) if chance.random() < 0.5 else spoilt([body], chance)
                answer = await hub.call(method, path, bad, issuer=chance.choice(("pe-csirt", "officer/alba")))
                assert is_ours(answer.status, answer.code), (
                    path,
                    bad[:200],
                    answer.status,
                    answer.body[:200],
                )
                codes.add(answer.code)
        assert (await hub.call("GET", "/v1/state")).status == 200
    assert codes >= {"request.bad", "json.bad-schema", "envelope.bad-frame", "directory.bad-statement"}


async def test_no_spoilt_query_or_path_is_a_fault_of_the_hub(world: World, tmp_path: Path) -> None:
    chance = random.Random(2)
    async with running_hub(world, tmp_path / "hub", limits=PLENTY) as hub:
        for form in (*GETS, *PUTS):
            for _ in range(EACH):
                value = spoilt([str(chance.choice(VALUES)).encode(), b"e1.1.2.3.4.5.6", b"a=b&a=c"], chance)
                path = form.format(quote(value, safe="&=%" if chance.random() < 0.5 else ""))
                answer = await call(hub, "PUT" if form in PUTS else "GET", path)
                assert is_ours(*answer), (path, answer)


async def call(hub: Hub, method: str, path: str) -> tuple[int, str]:
    """A call of exactly this path; the client's own reading of it is passed by."""
    url = URL(hub.origin + path, encoded=True)
    authorization = {"Authorization": "Exchange " + hub.token(method, path)} if path.isascii() else {}
    async with hub.session.request(method, url, headers=authorization, ssl=hub.context) as response:
        body = await response.read()
        is_problem = response.content_type == "application/problem+json"
        return response.status, str(orjson.loads(body)["code"]) if is_problem else ""


async def test_no_spoilt_word_on_a_socket_is_a_fault_of_the_hub(world: World, tmp_path: Path) -> None:
    """Each closes it, or is one that there may be; another socket is served as before."""
    chance = random.Random(3)
    async with running_hub(world, tmp_path / "hub", limits=PLENTY) as hub:
        for number in range(2 * EACH):
            async with hub.session.ws_connect(hub.origin + "/v1/socket", ssl=hub.context) as ws:
                answer = proof(hub, orjson.loads((await ws.receive(20)).data)["nonce"])
                stored = orjson.dumps({"type": "stored", "cursor": "e1.1.2.3.4.5.6"})
                if number % 2:
                    await ws.send_str(answer.decode())
                    answer = stored
                bad = spoilt([answer], chance)
                await (
                    ws.send_bytes(bad) if chance.random() < 0.2 else ws.send_str(bad.decode(errors="replace"))
                )
                await ws.send_str("no JSON: closes it in any case")
                while (message := await ws.receive(20)).type in (
                    aiohttp.WSMsgType.BINARY,
                    aiohttp.WSMsgType.TEXT,
                ):
                    pass
                assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), (bad, message)
                assert ws.close_code != aiohttp.WSCloseCode.INTERNAL_ERROR, bad
        assert (await hub.call("GET", "/v1/state")).status == 200


def proof(hub: Hub, nonce: str) -> bytes:
    """The answer to a challenge."""
    text = socket_message(hub.world.net, hub.origin, unb64(nonce))
    signature = b64(keys("pe-csirt").sign_transport(text))
    return orjson.dumps({"type": "auth", "iss": "pe-csirt", "signature": signature})
