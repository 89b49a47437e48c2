"""Bad input through the real server, most of it under a valid signature: clear errors, bounded memory, mail goes on."""

from __future__ import annotations

import asyncio
import os
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from exchange.body import bucket
from exchange.canonical import b64
from exchange.limits import MAX_CONTENT, MAX_STIX, MAX_UPLOAD
from exchange.protocol import ENVELOPES, MEMBER_SCHEME, PREKEYS, RECEIPTS
from tests.trip.caller import Caller, raw
from tests.trip.founding import Homes
from tests.trip.insider import Insider
from tests.trip.network import Network, running
from tests.trip.processes import until

BOMB = 512 * 1024 * 1024
# What one bad message may cost beyond what the process has anyway: it is held whole, decrypted and parsed.
MEMORY_KIB = 160 * 1024
BODY_SECONDS = 2


@pytest.fixture(scope="module")
def busy(homes: Homes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network in which co and bb run; pe's keys are in the hand of the test."""
    with running(homes, tmp_path_factory.mktemp("busy") / "network") as network:
        network.hub.reconfigure(body_seconds=BODY_SECONDS)
        asyncio.run(network.up("co-csirt", "bb-csirt"))
        yield network


@pytest.fixture
async def pe(busy: Network) -> AsyncIterator[Caller]:
    """The member that misbehaves. Whatever it did, afterwards the server answers and mail goes through."""
    async with busy.calling("pe-csirt") as caller:
        yield caller
        assert (await caller.call("GET", "/healthz", authorization="")).status == 200
        id_ = busy["bb-csirt"].send(["co-csirt"], "Business as usual")
        await busy.delivered("bb-csirt", [id_], ["co-csirt"])
        assert busy["co-csirt"].serve.runs


def bomb(salt: bytes, _content: bytes) -> bytes:
    """A padded plaintext that says it is as long as the longest content, and inflates to half a GiB."""
    engine = zlib.compressobj(1)
    block = bytes(2**20)
    packed = b"".join(engine.compress(block) for _ in range(BOMB // len(block))) + engine.flush()
    head = struct.pack(">32sBQQ", salt, 1, MAX_CONTENT, len(packed))
    return (head + packed).ljust(bucket(len(head) + len(packed)), b"\0")


def huge_length(salt: bytes, content: bytes) -> bytes:
    """A padded plaintext that says it has 2^64-1 bytes."""
    head = struct.pack(">32sBQQ", salt, 0, 2**64 - 1, 2**64 - 1) + content
    return head.ljust(bucket(len(head)), b"\0")


OBJECT = b'{"type":"x"}'
PAYLOADS: dict[str, Callable[[], bytes]] = {
    "a bundle of 100,000 objects": lambda: (
        b'{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":['
        + b",".join([OBJECT] * 100_000)
        + b"]}"
    ),
    "deep nesting": lambda: b"[" * (MAX_STIX // 2) + b"]" * (MAX_STIX // 2),
    "deep objects": lambda: b'{"a":' * 1_000_000 + b"1" + b"}" * 1_000_000,
    "invalid UTF-8": lambda: b'{"type":"bundle","id":"bundle--\xff\xfe\xc0\x80","objects":[]}',
    "a number of a million digits": lambda: b'{"type":"bundle","objects":[' + b"9" * 1_000_000 + b"]}",
    "ten million empty lists": lambda: b"[" + b"[]," * 3_000_000 + b"[]]",
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("fault", PAYLOADS)
async def test_content_that_is_no_message_is_set_aside(busy: Network, pe: Caller, fault: str) -> None:
    await set_aside(busy, pe, payload=PAYLOADS[fault]())


async def test_unknown_control_payload_of_nonsense_is_set_aside(busy: Network, pe: Caller) -> None:
    await set_aside(busy, pe, payload=b'{"v":1,"gaps":[[[[[]]]]]}', type_="missing")


@pytest.mark.parametrize(
    ("plain", "code"),
    [(bomb, "envelope.inflate-overflow"), (huge_length, "envelope.inflate-overflow")],
    ids=["zip bomb", "length of 2^64-1"],
)
async def test_padded_body_that_lies_is_set_aside(
    busy: Network, pe: Caller, plain: Callable[[bytes, bytes], bytes], code: str
) -> None:
    assert await set_aside(busy, pe, payload=b"{}", plain=plain) == code


@pytest.mark.parametrize("seq", [2**64 - 1, 2**53, 0])
async def test_impossible_chain_number_is_set_aside(busy: Network, pe: Caller, seq: int) -> None:
    assert await set_aside(busy, pe, payload=b"{}", seq=seq) == "envelope.link-range"


async def test_largest_chain_number_opens_a_gap_and_nothing_worse(busy: Network, pe: Caller) -> None:
    """2^53-1 is a number there may be: what it skips is one gap, not a list of what is missing."""
    await set_aside(busy, pe, payload=b"{}", seq=2**53 - 1)


async def set_aside(busy: Network, pe: Caller, **forged: object) -> str:
    """Send it to co; the hub takes it, co sets it aside, receipts it as rejected, and stays small. co's code."""
    co, hub = busy["co-csirt"], busy.hub
    before, waiting = len(co.holds.quarantine()), hub.holds.waiting("co-csirt")
    resting = {child: child.resting_kib() for child in (co.serve, hub.serve)}
    insider = Insider(pe)
    envelope = await insider.forge("co-csirt", **forged)  # type: ignore[arg-type]  # as the tests name them
    answer = await insider.put(envelope)
    assert answer.status == 201, answer.body
    await until(lambda: len(co.holds.quarantine()) == before + 1, "it is set aside")
    await until(lambda: hub.holds.waiting("co-csirt") <= waiting, "it is receipted, and gone from the hub")
    for child, kib in resting.items():
        assert child.peak_kib() - kib < MEMORY_KIB, child.name
    return co.holds.quarantine()[-1]


async def test_message_of_50_mb_is_refused_before_it_is_sent(busy: Network, pe: Caller) -> None:
    size, target = 50_000_000, f"{ENVELOPES}/{b64(os.urandom(32))}"
    async with raw(pe.origin, busy.client_tls()) as connection:
        await connection.say(head(pe, "PUT", target, size))
        assert b" 413 " in (await connection.head(5))
    answer = await pe.call("PUT", target, bytes(MAX_UPLOAD + 1))
    assert (answer.status, answer.code) == (413, "request.too-large")


async def test_50_mb_are_not_swallowed_by_whoever_sends_them_all_the_same(busy: Network, pe: Caller) -> None:
    before = busy.hub.serve.resting_kib()
    size, target = 50_000_000, f"{ENVELOPES}/{b64(os.urandom(32))}"
    async with raw(pe.origin, busy.client_tls()) as connection:
        sending = asyncio.create_task(connection.say(head(pe, "PUT", target, size) + bytes(size)))
        heard = await connection.hear(20)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert not heard or b" 413 " in heard[:20]
    assert busy.hub.serve.peak_kib() - before < 32 * 1024


async def test_body_without_a_length_is_refused(busy: Network, pe: Caller) -> None:
    async with raw(pe.origin, busy.client_tls()) as connection:
        request = head(pe, "POST", PREKEYS, None) + b"Transfer-Encoding: chunked\r\n\r\n"
        await connection.say(request.replace(b"\r\n\r\n", b"\r\n", 1))
        assert b" 411 " in (await connection.head(5))


async def test_body_that_stops_halfway_is_given_up(busy: Network, pe: Caller) -> None:
    """Once the sender goes, once it only falls silent."""
    body, target = os.urandom(4_000), f"{ENVELOPES}/{b64(os.urandom(32))}"
    async with raw(pe.origin, busy.client_tls()) as connection:
        await connection.say(head(pe, "PUT", target, len(body), body) + body[:2_000])
    async with raw(pe.origin, busy.client_tls()) as connection:
        await connection.say(head(pe, "PUT", target, len(body), body) + body[:2_000])
        heard = await connection.hear(BODY_SECONDS + len(body) / 2_048 + 10)
        assert b" 408 " in heard.split(b"\r\n")[0]
        assert b'"request.timeout"' in heard


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        (PREKEYS, b"[" * 500_000, 400),
        (PREKEYS, b'{"kids":' + b"[" * 200 + b"]" * 200 + b"}", 400),
        (PREKEYS, b'{"kids":["\xff\xfe"]}', 400),
        (PREKEYS, b'{"kids":[18446744073709551615]}', 400),
        (RECEIPTS, b'{"body":"","signatures":"","leaves":[' + b'"",' * 300_000 + b'""]}', 400),
        (ENVELOPES, b"\xff\xff\xff\xff" + bytes(100), 400),
        (ENVELOPES, b"", 400),
    ],
    ids=["open brackets", "200 levels", "UTF-8", "2^64-1", "300,000 leaves", "frame of 4 GiB", "nothing"],
)
async def test_nonsense_with_a_valid_token_is_refused(
    pe: Caller, target: str, body: bytes, status: int
) -> None:
    answer = await pe.call("POST", target, body)
    assert answer.status in (status, 200)
    if answer.status == 200:  # an empty batch is a batch
        assert answer.json == {"results": [], "receipts": []}
        assert body == b""
    else:
        assert answer.code.partition(".")[0] in ("json", "request", "receipt", "envelope")


async def test_head_of_a_megabyte_is_cut_off(busy: Network, pe: Caller) -> None:
    async with raw(pe.origin, busy.client_tls()) as connection:
        sending = asyncio.create_task(
            connection.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000)
        )
        heard = await connection.hear(15)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert heard == b"" or heard.split(b"\r\n")[0].split(b" ")[1] == b"400"


def head(caller: Caller, method: str, target: str, length: int | None, body: bytes = b"") -> bytes:
    """The head of a request with a valid token."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: {MEMBER_SCHEME} {caller.token(method, target, body)}",
        *([f"Content-Length: {length}"] if length is not None else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
