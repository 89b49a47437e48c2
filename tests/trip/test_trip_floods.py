"""A member, and strangers, that take whatever they can get: refused by its code, while others' flash goes through.

Real processes. One member's node is replaced by the keys in a test's hand; pe and co go about their business.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import aiohttp
import orjson
import pytest

from exchange.canonical import b64, unb64
from exchange.protocol import MAILBOX, SOCKET, STATE, STATEMENTS
from exchange.token import socket_message
from tests.trip.caller import Caller
from tests.trip.founding import Homes
from tests.trip.insider import Insider
from tests.trip.network import Network, running
from tests.trip.processes import until

QUOTA = 5
REQUESTS = 40  # a second
STRANGERS = 10  # requests a second
SOCKETS = 2
STATEMENTS_A_DAY = 5
AT_ONCE = 400
LARGE = 2_000_000  # bytes of a message: over what is under way to one socket
MEMORY_KIB = 64 * 1024  # what one client that never reads may cost; the window is 4 MiB
PATIENCE = 30.0
NARROW = 16_384  # bytes of a receive buffer


@pytest.fixture(scope="module")
def flooded(homes: Homes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network with low limits in which pe and co run, and bb's keys are in the hand of the test."""
    with running(homes, tmp_path_factory.mktemp("flooded") / "network") as network:
        network.hub.reconfigure(
            quota_envelopes=QUOTA,
            requests_per_second=REQUESTS,
            strangers_per_second=STRANGERS,
            sockets_per_member=SOCKETS,
            statements_per_day=STATEMENTS_A_DAY,
        )
        asyncio.run(network.up("pe-csirt", "co-csirt"))
        yield network


@pytest.fixture
async def bb(flooded: Network) -> AsyncIterator[Caller]:
    """The member that floods. While it does, and after, flash between the others arrives."""
    async with flooded.calling("bb-csirt") as caller:
        yield caller
        await business(flooded)
        assert flooded.hub.serve.runs
        assert flooded.accusations() == {}


async def business(network: Network) -> None:
    """A flash each way between the two others."""
    there = network["pe-csirt"].send(["co-csirt"], "Business as usual", urgency="flash")
    back = network["co-csirt"].send(["pe-csirt"], "Business as usual", urgency="flash")
    await network.delivered("pe-csirt", [there], ["co-csirt"])
    await network.delivered("co-csirt", [back], ["pe-csirt"])


async def test_envelopes_over_the_quota_are_refused_and_others_are_taken(
    flooded: Network, bb: Caller
) -> None:
    """To bb itself, which receipts nothing."""
    insider = Insider(bb)
    answers = [await insider.put(await insider.forge("bb-csirt", b"{}")) for _ in range(QUOTA + 2)]
    assert [answer.code for answer in answers] == [""] * QUOTA + ["quota.exceeded"] * 2
    assert flooded.hub.holds.waiting("bb-csirt") == QUOTA
    await business(flooded)


async def test_requests_beyond_the_rate_are_told_when_to_come_back(flooded: Network, bb: Caller) -> None:
    """While they go on, the others' flash arrives."""
    codes: Counter[str] = Counter()

    async def flood() -> None:
        while True:
            answers = await asyncio.gather(*(bb.call("GET", STATE) for _ in range(REQUESTS)))
            codes.update(answer.code for answer in answers)
            assert all(int(one.headers["Retry-After"]) > 0 for one in answers if one.code)

    flooding = asyncio.create_task(flood())
    try:
        await business(flooded)
        async with asyncio.timeout(PATIENCE):
            while not codes["rate.too-many"]:
                await asyncio.wait({flooding}, timeout=0.05)
                assert not flooding.done()
    finally:
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
    assert set(codes) == {"", "rate.too-many"}


async def test_strangers_beyond_the_rate_are_told_so_and_members_of_the_same_address_are_not(
    flooded: Network, bb: Caller
) -> None:
    answers = await asyncio.gather(*(bb.call("GET", STATE, authorization="") for _ in range(AT_ONCE)))
    codes = Counter(answer.code for answer in answers)
    assert set(codes) == {"auth.missing", "rate.too-many"}
    assert (await bb.call("GET", STATE)).status == 200
    await business(flooded)


async def test_statements_of_one_member_are_counted(flooded: Network, bb: Caller) -> None:
    body = orjson.dumps({"body": b64(b"{}"), "signatures": [], "records": [], "parts": []})
    codes = [(await bb.call("POST", STATEMENTS, body)).code for _ in range(STATEMENTS_A_DAY + 3)]
    assert codes[0].startswith("directory.")
    assert codes[-1] == "rate.too-many"


async def test_oldest_socket_beyond_the_limit_is_closed_and_the_others_stay(
    flooded: Network, bb: Caller
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        oldest, *kept = [await stack.enter_async_context(opened(flooded, bb)) for _ in range(SOCKETS + 1)]
        while (message := await oldest.receive(PATIENCE)).type is not aiohttp.WSMsgType.CLOSE:
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
        assert oldest.close_code == 4429
        assert not any(one.closed for one in kept)
        await business(flooded)


async def test_node_that_proves_its_key_and_never_reads_costs_its_window_only(
    flooded: Network, bb: Caller
) -> None:
    """Some megabytes wait for it. Its system takes in a few thousand bytes, and it reads none of them."""
    hub, before = flooded.hub, flooded.hub.holds.waiting("bb-csirt")
    for number in range(QUOTA - 1):
        flooded["pe-csirt"].send(["bb-csirt"], f"Nobody reads it {number}", size=LARGE)
    waiting = before + QUOTA - 1
    await until(lambda: hub.holds.waiting("bb-csirt") == waiting, "they wait")
    resting = hub.serve.resting_kib()
    async with opened(flooded, bb, receive=NARROW) as ws:
        transport_of(ws).pause_reading()
        for _ in range(5):
            await business(flooded)
        assert hub.serve.peak_kib() - resting < MEMORY_KIB
        answer = await bb.call("GET", f"{MAILBOX}?after=&wait=0")
        assert answer.status == 200, "its other calls are served"


@contextlib.asynccontextmanager
async def opened(
    network: Network, who: Caller, *, receive: int = 0
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket on which the key is proved. `receive`: bytes of its receive buffer, 0 as usual."""

    sockets: list[socket.socket] = []

    def make_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(*info[:3])
        sockets.append(made)
        if receive:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        made.setblocking(False)
        return made

    tls: ssl.SSLContext = network.client_tls()
    connector = aiohttp.TCPConnector(ssl=tls, socket_factory=make_socket)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.ws_connect(who.origin + SOCKET) as ws,
    ):
        challenge = orjson.loads((await ws.receive(PATIENCE)).data)
        message = socket_message(who.net, who.origin, unb64(challenge["nonce"]))
        signature = b64(who.keys.sign_transport(message))
        await ws.send_json({"type": "auth", "iss": who.issuer, "signature": signature})
        try:
            yield ws
        finally:
            if ws._response.connection is not None:
                transport_of(ws).abort()
    await until(lambda: all(one.fileno() < 0 for one in sockets), "the socket is closed")


def transport_of(ws: aiohttp.ClientWebSocketResponse) -> asyncio.Transport:
    """What carries it: nothing else stops its reading, or ends it without a goodbye."""
    connection = ws._response.connection
    assert connection is not None, "it is closed"
    return connection.transport
