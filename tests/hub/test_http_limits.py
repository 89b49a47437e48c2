"""Limits and deadlines of the hub over real TLS: whoever is slow, large or many is stopped, and the hub still answers.

The deadlines are set to a second; each test waits for the hub to act, not for time to pass.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from exchange.canonical import b64, framed
from exchange.http_guard import Connections, place_of
from exchange.limits import MAX_JSON_REQUEST
from exchange.protocol import STATEMENTS
from exchange.settings import HubLimits
from tests.hub.statements import ALBA, suspension
from tests.hub_server import Hub, running_hub
from tests.hub_services import sealed
from tests.worlds import World

PATIENCE = 20  # seconds until a test says that the hub never acted


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What still comes until the hub closes the connection."""
    received = b""
    try:
        async with asyncio.timeout(PATIENCE):
            while more := await reader.read(65_536):
                received += more
    except ConnectionError:
        pass  # an abort is a close too
    return received


async def still_answers(hub: Hub) -> None:
    assert (await hub.call("GET", "/v1/state")).status == 200


HALF_HEADS = {
    "nothing": b"",
    "half a request line": b"GET /v1/st",
    "a head without its end": b"GET /v1/state HTTP/1.1\r\nHost: hub\r\nX: ",
    "line ends only": b"\r\n",
}


@pytest.mark.parametrize("name", HALF_HEADS)
async def test_half_sent_head_is_closed_in_time(name: str, world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"head_seconds": 1}) as hub:
        reader, writer = await hub.connect()
        writer.write(HALF_HEADS[name])
        assert b"200" not in await ended(reader)
        writer.close()
        await still_answers(hub)


async def test_many_slow_callers_are_all_closed(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"head_seconds": 1}) as hub:
        pairs = [await hub.connect() for _ in range(40)]
        for _, writer in pairs:
            writer.write(b"POST /v1/envelopes HTTP/1.1\r\n")
        await still_answers(hub)
        await asyncio.gather(*(ended(reader) for reader, _ in pairs))
        for _, writer in pairs:
            writer.close()


async def test_second_head_on_a_connection_has_its_deadline_too(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"head_seconds": 1}) as hub:
        reader, writer = await hub.connect()
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(b'{"ok":true}'))
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        assert await ended(reader) == b""
        writer.close()


async def test_handshake_that_never_comes_is_closed(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"handshake_seconds": 1}) as hub:
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        assert await ended(reader) == b""
        writer.close()
        await still_answers(hub)


async def test_head_over_its_size_is_closed(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        reader, writer = await hub.connect()
        writer.write(b"GET /v1/state HTTP/1.1\r\nHost: hub\r\n" + b"X: y\r\n" * 5000)
        assert b"200" not in await ended(reader)
        writer.close()
        await still_answers(hub)


def head(hub: Hub, body: bytes, *, length: object, path: str = "/v1/envelopes", extra: str = "") -> bytes:
    """A POST's head with a good token for `body`, that says another length."""
    token = hub.token("POST", path, body)
    said = f"Content-Length: {length}\r\n" if length is not None else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Exchange {token}\r\n{said}{extra}\r\n"
    ).encode()


async def answer_to(
    hub: Hub, data: bytes, *, over: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
) -> tuple[int, str]:
    """Status and code of what comes back on a bare connection."""
    reader, writer = over or await hub.connect()
    writer.write(data)
    async with asyncio.timeout(PATIENCE):
        start = await reader.readuntil(b"\r\n\r\n")
    status = int(start.split()[1])
    fields = dict(line.split(b": ", 1) for line in start.split(b"\r\n")[1:] if b": " in line)
    body = await reader.readexactly(int(fields[b"Content-Length"]))
    writer.close()
    code = orjson.loads(body)["code"] if b"problem" in fields[b"Content-Type"] else ""
    return status, code


def by_nobody(body: bytes, *, length: int | None = None, extra: str = "") -> bytes:
    """A statement that a stranger brings."""
    size = len(body) if length is None else length
    return f"POST {STATEMENTS} HTTP/1.1\r\nHost: hub\r\nContent-Length: {size}\r\n{extra}\r\n".encode() + body


async def test_slow_strangers_keep_no_bad_news_out(world: World, tmp_path: Path) -> None:
    """Each address without a token has room for two large bodies; members have room of their own."""
    notice = orjson.dumps(suspension(world, "co-csirt", ALBA).to_json())
    async with running_hub(world, tmp_path / "hub") as hub:
        slow = []
        for _ in range(2):
            reader, writer = await hub.connect()
            writer.write(by_nobody(b"", length=MAX_JSON_REQUEST, extra="Expect: 100-continue\r\n"))
            async with asyncio.timeout(PATIENCE):
                assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
            slow.append(writer)
        assert await answer_to(hub, by_nobody(notice)) == (503, "storage.busy")
        await still_answers(hub)
        elsewhere = await asyncio.open_connection(
            "127.0.0.1", hub.port, ssl=hub.context, local_addr=("127.0.0.2", 0)
        )
        assert await answer_to(hub, by_nobody(notice), over=elsewhere) == (200, "")
        for writer in slow:
            writer.close()


async def test_body_cut_off_is_no_fault_of_the_hub(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        _, writer = await hub.connect()
        writer.write(head(hub, b"", length=100_000) + bytes(70_000))
        await writer.drain()
        writer.transport.abort()
        async with asyncio.timeout(PATIENCE):
            numbers = b""
            while b'_refused_total{code="' not in numbers:  # the hub has seen the end
                numbers = (await hub.call("GET", "/metrics")).body
        assert b'_refused_total{code="request.bad"} 1.0' in numbers
        assert b"internal.error" not in numbers


async def test_body_of_50_mb_is_refused_before_it_is_read(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        assert await answer_to(hub, head(hub, b"", length=50_000_000)) == (413, "request.too-large")
        answer = await hub.call("POST", "/v1/envelopes", bytes(50_000_000))
        assert (answer.status, answer.code) == (413, "request.too-large")
        assert await answer_to(hub, head(hub, b"", length=2**64 - 1)) == (413, "request.too-large")
        await still_answers(hub)


async def test_body_without_a_length_is_refused(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        chunked = head(hub, b"abc", length=None, extra="Transfer-Encoding: chunked\r\n")
        assert await answer_to(hub, chunked + b"3\r\nabc\r\n0\r\n\r\n") == (411, "request.length-required")
        status, _ = await answer_to(hub, head(hub, b"abc", length=-3) + b"abc")
        assert status == 400
        status, _ = await answer_to(
            hub,
            head(hub, b"abc", length=3, extra="Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n0\r\n\r\n",
        )
        assert status == 400
        await still_answers(hub)


async def test_packed_body_is_not_unpacked(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        answer = await hub.call("POST", "/v1/envelopes", b"abc", headers={"Content-Encoding": "gzip"})
        assert (answer.status, answer.code) == (400, "request.bad")


async def test_body_that_stops_halfway_is_timed_out_and_leaves_nothing(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"body_seconds": 1}) as hub:
        assert await answer_to(hub, head(hub, b"abcd", length=4) + b"ab") == (408, "request.timeout")
        _, writer = await hub.connect()
        writer.write(head(hub, b"abcd", length=4) + b"ab")
        writer.close()
        await writer.wait_closed()
        await still_answers(hub)


async def test_length_that_lies_is_found_by_the_hash(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        short = await answer_to(hub, head(hub, b"abcdef", length=3) + b"abc")
        assert short == (401, "auth.body-mismatch")
        # what is over the length is read as another request, and isn't one
        assert (await answer_to(hub, head(hub, b"abc", length=3) + b"abcdef"))[1] == "request.bad"
        assert await answer_to(hub, b"\x16\x03 no HTTP at all\r\n\r\n") == (400, "request.bad")
        await still_answers(hub)


async def test_connections_of_one_address_are_limited(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub", limits={"connections_per_address": 2}) as hub:
        pairs = [await hub.connect() for _ in range(2)]
        for reader, writer in pairs:  # the hub has seen both
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n")
            await reader.readuntil(b"true}")
        try:
            reader, third = await hub.connect()
            third.write(b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n")
            assert await ended(reader) == b""
            third.close()
        except ConnectionError:
            pass  # closed during the handshake
        for reader, writer in pairs:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in await ended(reader)
            writer.close()
        await still_answers(hub)


def test_the_last_places_go_to_those_who_have_few() -> None:
    connections = Connections(HubLimits(connections=64, connections_per_address=32), asyncio.Protocol)
    for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"):
        while connections.enter(asyncio.Transport(), connections(), peer):
            pass
    assert connections.count == 60  # not all: 32, then half of what was left each time
    assert connections.enter(asyncio.Transport(), connections(), "198.51.100.1")


class Peer(asyncio.Transport):
    """A connection from an address; `refused`: it was cut off at once."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 40_000, 0, 0)})
        self.refused = False

    def abort(self) -> None:
        self.refused = True


async def test_one_subnet_of_ipv6_has_one_place_however_many_its_addresses() -> None:
    connections = Connections(HubLimits(connections=64, connections_per_address=8), asyncio.Protocol)

    def connects(address: str) -> bool:
        peer, guard = Peer(address), connections()
        guard.connection_made(peer)
        return not peer.refused

    assert [connects(f"2001:db8:0:1::{n:x}") for n in range(10)] == [True] * 8 + [False] * 2
    assert connects("2001:db8:0:2::1")
    assert [connects(address) for address in ("192.0.2.1", "::ffff:192.0.2.1") * 5] == [True] * 8 + [
        False
    ] * 2
    assert connects("192.0.2.2")
    assert place_of("64:ff9b::192.0.2.1") == "192.0.2.1"  # NAT64
    assert [place_of(one) for one in ("::ffff:192.0.2.1", "fe80::1%eth0", None, "a name")] == [
        "192.0.2.1",
        "fe80::/64",
        "",
        "a name",
    ]


async def test_too_many_requests_are_told_when_to_come_back(world: World, tmp_path: Path) -> None:
    limits = {"requests_per_second": 1, "strangers_per_second": 1}
    async with running_hub(world, tmp_path / "hub", limits=limits) as hub:
        answers = [await hub.call("GET", "/v1/state") for _ in range(4)]
        assert answers[0].status == 200
        assert (answers[-1].status, answers[-1].code) == (429, "rate.too-many")
        assert int(answers[-1].headers["Retry-After"]) == answers[-1].json["retry_after"] == 1
        assert (await hub.call("GET", "/v1/state", issuer="co-csirt")).status == 200
        strangers = [await hub.call("GET", "/healthz", issuer=None) for _ in range(6)]
        assert strangers[-1].code == "rate.too-many"
        assert (await hub.call("GET", "/v1/state", issuer="bb-csirt")).status == 200  # not for members


async def test_unknown_paths_and_methods_have_problems_too(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        nothing = await hub.call("GET", "/v1/nothing")
        assert (nothing.status, nothing.code) == (404, "request.not-found")
        method = await hub.call("DELETE", "/v1/state")
        assert (method.status, method.code) == (405, "request.method")


BAD_JSON = {
    "not JSON": b"{",
    "not UTF-8": b'{"kids":["\xff"]}',
    "nested deeply": b'{"kids":' + b"[" * 500 + b"]" * 500 + b"}",
    "nested beyond the parser": b'{"kids":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "another member": b'{"kids":[],"more":1}',
    "no object": b"[]",
    "wrong type": b'{"kids":{}}',
    "too many": orjson.dumps({"kids": [b64(bytes(32))] * 257}),
    "2^64-1": b'{"kids":[18446744073709551615]}',
    "2^70": b'{"kids":[1180591620717411303424]}',
}


@pytest.mark.parametrize("name", BAD_JSON)
async def test_bad_json_is_refused(name: str, world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        answer = await hub.call("POST", "/v1/prekeys/query", BAD_JSON[name])
        assert answer.status == 400
        assert answer.code in ("request.bad", "json.bad-schema")
        await still_answers(hub)


async def test_numbers_over_the_range_are_refused(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        for path in (
            f"/v1/directory/leaves?from={2**64 - 1}",
            f"/v1/mailbox?max={2**64 - 1}",
            "/v1/mailbox?wait=-1",
        ):
            answer = await hub.call("GET", path)
            assert (answer.status, answer.code) == (400, "request.bad")
        cursor = "x" + f".{2**64 - 1}" * 6
        assert (await hub.call("GET", f"/v1/mailbox?after={cursor}")).status == 200
        made = sealed(world, world.dir)
        upload = made.upload.to_bytes().replace(b'"iat":%d' % made.header.iat, b'"iat":%d' % (2**64 - 1))
        answer = await hub.call("POST", "/v1/envelopes", framed([upload]))
        assert answer.json["results"][0]["code"] in ("json.not-canonical", "envelope.bad-frame")


async def test_batch_over_its_limits_is_refused(world: World, tmp_path: Path) -> None:
    async with running_hub(world, tmp_path / "hub") as hub:
        for body in (framed([b"x"] * 65), b"\xff\xff\xff\xff", b"\0\0"):
            answer = await hub.call("POST", "/v1/envelopes", body)
            assert (answer.status, answer.code) == (400, "request.bad")
