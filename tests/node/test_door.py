"""The node's HTTP door: plain on loopback only, TLS and clients' certificates, limits, what its settings refuse."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exchange.access import Kind, Scope, password_fits
from exchange.door_settings import DoorSettings
from exchange.errors import Refused
from exchange.http_rate import Rate
from exchange.node.doors.doorkeeper import Grant, give
from exchange.node.home import Home, Paths
from exchange.node.http import server as http
from exchange.node.http.door import GUESSES_AT_ONCE, make_context
from exchange.node.http.door_tls import DoorTls
from exchange.settings import NodeSettings
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock
from exchange.tls import CA_FILE
from tests.simulator import Site

READS = frozenset({Scope.TAXII_READ})
OPEN = DoorSettings(open=True, port=0)


def home_of(site: Site, settings: DoorSettings) -> Home:
    """The site's home, as the process that serves it has it."""
    key = Unlock.key_file(site.home / "key")
    keystore = Keystore.open(site.home / "keystore", key)
    own = NodeSettings(member=site.member, http=settings)
    return Home(Paths(site.home), own, keystore, Keystore.open(site.home / "prekeys", key))


@asynccontextmanager
async def door(site: Site, settings: DoorSettings) -> AsyncIterator[tuple[str, int, Any]]:
    """The open door: host, port and its context."""

    async def metrics() -> bytes:
        return b"exchange_node_connected 1\n"

    context = await make_context(site.up, settings, metrics)
    tls = (
        DoorTls(home_of(site, settings), settings, now=site.simulation.world.now) if settings.secure else None
    )
    async with http.listening(context, tls and tls.context) as (host, port):
        yield host, port, context


def seldom(burst: int) -> Rate:
    """So many at once, and then none for long."""
    return Rate(per_second=0.001, burst=burst, seconds=asyncio.get_running_loop().time)


def token(site: Site, name: str = "siem", **grant: Any) -> str:
    given = Grant(**{"name": name, "scopes": READS, **grant})
    return give(site.up.store, site.up.sources, given, who="admin")[1]


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [
        {"host": "not an address"},
        {"host": "example.org"},
        {"port": -1},
        {"port": "8480"},
        {"open": "yes"},
        {"plain": True},
        {"tls_certificate": "a.pem"},
        {"client_ca": "ca.pem"},
        {"names": ["a b"]},
        {"head_bytes": 1_000_000},
        [],
    ],
)
def test_settings_that_mean_nothing_safe_are_refused(table: object) -> None:
    with pytest.raises(Refused) as refused:
        DoorSettings.from_mapping(table)
    assert refused.value.code == "settings.invalid"


@pytest.mark.parametrize(
    ("table", "secure"),
    [
        ({}, False),
        ({"host": "::1"}, False),
        ({"host": "127.0.0.2"}, False),
        ({"tls": True}, True),
        ({"host": "0.0.0.0"}, True),  # noqa: S104 - the case itself
        ({"host": "192.0.2.1", "tls": False}, True),
        ({"host": "::"}, True),
    ],
)
def test_it_is_plain_on_loopback_only(table: dict[str, Any], secure: bool) -> None:
    assert DoorSettings.from_mapping(table).secure is secure


def test_settings_go_to_config_toml_and_back() -> None:
    settings = DoorSettings(
        open=True, host="192.0.2.1", port=443, names=("taxii.example.org",), connections=7
    )
    assert DoorSettings.from_mapping(settings.to_mapping()) == settings
    assert DoorSettings().to_mapping() == {}
    assert not DoorSettings().open


# -- rights ----------------------------------------------------------------------------------------------------------


async def test_only_hashes_of_tokens_and_passwords_are_kept(pe: Site) -> None:
    spoken = token(pe)
    token(pe, "person", password="correct horse battery")
    held = b"".join(path.read_bytes() for path in pe.home.glob("node.db*"))
    assert re.fullmatch(r"exn_[A-Za-z0-9_-]{43}", spoken)
    for secret in (spoken, spoken.removeprefix("exn_"), "correct horse battery"):
        assert secret.encode() not in held


@pytest.mark.parametrize(
    ("grant", "code"),
    [
        ({"name": "A name"}, "access.bad-name"),
        ({"password": "short"}, "access.bad-password"),
        ({"until": 1}, "access.past"),
    ],
)
async def test_a_right_that_makes_no_sense_is_refused(pe: Site, grant: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        token(pe, **grant)
    assert refused.value.code == code


async def test_whoever_guesses_a_password_is_slowed_down_and_others_are_not(pe: Site) -> None:
    token(pe, "person", password="correct horse battery")
    other = token(pe, "other")
    async with door(pe, OPEN) as (_, port, context), aiohttp.ClientSession() as session:
        context.wrong = seldom(3)
        url = f"http://127.0.0.1:{port}/taxii2/"

        async def status(name: str, password: str) -> int:
            headers = {"Authorization": aiohttp.encode_basic_auth(name, password)}
            async with session.get(url, headers=headers) as answer:
                return answer.status

        codes = [await status("person", f"wrong password {n}") for n in range(5)]
        assert codes == [401] * 3 + [429] * 2
        assert await status("person", "correct horse battery") == 429
        assert await status("other", other) == 200
        token(pe, "quiet", password="battery staple horse")
        assert await status("quiet", "battery staple horse") == 200  # no guess, so as many are left as before
        assert [await status("quiet", f"wrong password {n}") for n in range(4)] == [401] * 3 + [429]
        assert await status("quiet", "battery staple horse") == 200  # nobody keeps out who came in before


@pytest.mark.parametrize(
    ("names", "passwords", "checked"),
    [(1, 50, GUESSES_AT_ONCE), (50, 1, GUESSES_AT_ONCE), (1, 0, 1)],  # the last: the right one
)
async def test_of_many_passwords_at_once_few_are_checked_and_the_right_one_once(
    pe: Site, monkeypatch: pytest.MonkeyPatch, names: int, passwords: int, checked: int
) -> None:
    """Each check takes a tenth of a second and 32 MiB, and nobody has shown a right of entry before it."""
    tried = []

    def counted(password: str, kept: bytes) -> bool:
        tried.append(password)
        return password_fits(password, kept)

    monkeypatch.setattr("exchange.node.doors.doorkeeper.password_fits", counted)
    token(pe, "person0", password="correct horse battery")
    async with door(pe, OPEN) as (_, port, _), aiohttp.ClientSession() as session:

        async def status(number: int) -> int:
            password = f"wrong password {number % passwords}" if passwords else "correct horse battery"
            headers = {"Authorization": aiohttp.encode_basic_auth(f"person{number % names}", password)}
            async with session.get(f"http://127.0.0.1:{port}/taxii2/", headers=headers) as answer:
                return answer.status

        answers = {401: checked, 429: 50 - checked} if passwords else {200: 50}
        assert Counter(await asyncio.gather(*map(status, range(50)))) == answers
        assert len(tried) == checked


@pytest.mark.parametrize("header", ["Basic \u00e9", "Basic \udce9", "Bearer \u00e9", "Basic /w==", "Basic %"])
async def test_what_is_no_credential_is_401_and_no_fault_of_ours(pe: Site, header: str) -> None:
    async with door(pe, OPEN) as (host, port, _):
        reader, writer = await asyncio.open_connection(host, port)
        said = header.encode("utf-8", "surrogateescape")
        writer.write(
            b"GET /taxii2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: %b\r\n\r\n" % said
        )
        assert (await read_all(reader)).startswith(b"HTTP/1.1 401 ")
        writer.close()


async def test_metrics_are_for_those_with_that_right_and_health_for_all(pe: Site) -> None:
    numbers = token(pe, "prometheus", scopes=frozenset({Scope.METRICS}))
    async with door(pe, OPEN) as (_, port, _), aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{port}"
        async with session.get(f"{base}/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"ok": True})
        async with session.get(f"{base}/metrics") as answer:
            assert answer.status == 401
            assert answer.content_type == "application/problem+json"
            assert answer.headers["Server"] == "exchange"
        async with session.get(f"{base}/metrics", headers={"Authorization": f"Bearer {token(pe)}"}) as answer:
            assert answer.status == 403
        async with session.get(f"{base}/metrics", headers={"Authorization": f"Bearer {numbers}"}) as answer:
            assert (answer.status, await answer.text()) == (200, "exchange_node_connected 1\n")


# -- TLS -------------------------------------------------------------------------------------------------------------


async def test_tls_is_by_the_nodes_own_authority_and_no_older_than_1_2(pe: Site) -> None:
    settings = replace(OPEN, tls=True)
    async with door(pe, settings) as (_, port, _), aiohttp.ClientSession() as session:
        trusting = ssl.create_default_context(cafile=str(pe.home / CA_FILE))
        async with session.get(f"https://127.0.0.1:{port}/healthz", ssl=trusting) as answer:
            assert answer.status == 200
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        async with session.get(f"https://localhost:{port}/healthz", ssl=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"https://127.0.0.1:{port}/healthz")
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await session.get(f"http://127.0.0.1:{port}/healthz")


def certificate(folder: Path, name: str, now: int) -> tuple[Path, bytes]:
    """A client's own certificate with its key in a PEM file; and it as DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = dt.datetime.fromtimestamp(now // 1000, tz=dt.UTC) - dt.timedelta(days=400)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=4_000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(pem + private)
    return path, made.public_bytes(serialization.Encoding.DER)


async def test_a_clients_certificate_is_a_right_of_entry(pe: Site, tmp_path: Path) -> None:
    known, der = certificate(tmp_path, "known", pe.simulation.world.now)
    stranger, _ = certificate(tmp_path, "stranger", pe.simulation.world.now)
    (pe.home / "clients.pem").write_bytes(known.read_bytes())
    access, _ = give(
        pe.up.store, pe.up.sources, Grant(name="known", scopes=READS, certificate=der), who="admin"
    )
    assert access.kind is Kind.CERTIFICATE
    async with door(pe, replace(OPEN, tls=True, client_ca="clients.pem")) as (_, port, _):

        async def status(client: Path | None) -> int:
            trusting = ssl.create_default_context(cafile=str(pe.home / CA_FILE))
            if client is not None:
                trusting.load_cert_chain(client)
            url = f"https://127.0.0.1:{port}/taxii2/"
            async with aiohttp.ClientSession() as session, session.get(url, ssl=trusting) as answer:
                return answer.status

        assert await status(known) == 200
        assert await status(None) == 401
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await status(stranger)


# -- limits ----------------------------------------------------------------------------------------------------------


async def test_a_head_that_doesnt_end_is_hung_up_on_and_one_that_is_too_long_is_told_so(pe: Site) -> None:
    async with door(pe, replace(OPEN, head_seconds=1, head_bytes=2_048)) as (host, port, context):
        slow_in, slow_out = await asyncio.open_connection(host, port)
        slow_out.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
        long_in, long_out = await asyncio.open_connection(host, port)
        long_out.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 4_096)
        told = await read_all(long_in)
        assert told.startswith(b"HTTP/1.1 431 ")
        assert b"xxx" not in told
        assert await read_all(slow_in) == b""
        assert context.connections.timed_out == 1
        slow_out.close()
        long_out.close()


async def test_more_connections_than_allowed_are_hung_up_on(pe: Site) -> None:
    async with door(pe, replace(OPEN, connections=4, connections_per_address=2)) as (host, port, context):
        held = [await asyncio.open_connection(host, port) for _ in range(2)]
        reader, writer = await asyncio.open_connection(host, port)
        assert await read_all(reader) == b""
        assert context.connections.refused == 1
        for _, each in (*held, (reader, writer)):
            each.close()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side hangs up."""
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""


async def test_too_many_requests_of_one_right_are_429(pe: Site) -> None:
    spoken = token(pe)
    async with door(pe, OPEN) as (_, port, context), aiohttp.ClientSession() as session:
        context.callers = seldom(4)
        headers = {"Authorization": f"Bearer {spoken}"}
        codes = []
        for _ in range(6):
            async with session.get(f"http://127.0.0.1:{port}/taxii2/", headers=headers) as answer:
                codes.append((answer.status, "Retry-After" in answer.headers))
        assert codes == [(200, False)] * 4 + [(429, True)] * 2


async def test_a_port_that_is_taken_is_told(pe: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Refused) as refused:
            async with door(pe, replace(OPEN, port=taken.getsockname()[1])):
                pass
    assert refused.value.code == "door.address"
