"""The door's certificate while it is open: a renewed one is served to the next caller, a bad one changes nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from exchange.door_settings import DoorSettings
from exchange.errors import Refused
from exchange.limits import DAY_MS
from exchange.node.http.door_tls import DoorTls, look_once
from exchange.tls import CA_FILE, RENEW_DAYS, SERVER_DAYS
from tests.node.test_door import certificate, home_of
from tests.simulator import Site

OWN = DoorSettings(open=True, port=0, tls=True, tls_certificate="tls/cert.pem", tls_key="tls/key.pem")


def put(site: Site, made: Path) -> None:
    """A certificate with its key, in the files of the settings."""
    folder = site.home / "tls"
    folder.mkdir(exist_ok=True)
    for name in ("cert.pem", "key.pem"):
        (folder / name).write_bytes(made.read_bytes())


async def served(tls: DoorTls, use: Callable[[Callable[[], Awaitable[bytes]]], Awaitable[None]]) -> None:
    """Listen with it; `use` gets what tells which certificate the next caller is shown, as DER."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=tls.context)
    port = server.sockets[0].getsockname()[1]
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE

    async def shown() -> bytes:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=asking)
        der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return der

    async with server:
        await use(shown)


async def test_a_certificate_that_was_renewed_is_served_without_a_restart(pe: Site, tmp_path: Path) -> None:
    now = pe.simulation.world.now
    old, old_der = certificate(tmp_path, "old", now)
    new, new_der = certificate(tmp_path, "new", now)
    put(pe, old)
    tls = DoorTls(home_of(pe, OWN), OWN, now=now)

    async def use(shown: Callable[[], Awaitable[bytes]]) -> None:
        assert await shown() == old_der
        assert not tls.look(now=now + 10 * DAY_MS)
        put(pe, new)
        assert await shown() == old_der
        assert tls.look(now=now)
        assert await shown() == new_der

    await served(tls, use)


async def test_files_that_dont_fit_each_other_change_nothing_and_are_an_alarm(
    pe: Site, tmp_path: Path
) -> None:
    now = pe.simulation.world.now
    old, old_der = certificate(tmp_path, "old", now)
    new, new_der = certificate(tmp_path, "new", now)
    put(pe, old)
    tls = DoorTls(home_of(pe, OWN), OWN, now=now)

    async def use(shown: Callable[[], Awaitable[bytes]]) -> None:
        (pe.home / "tls" / "cert.pem").write_bytes(new.read_bytes().partition(b"-----BEGIN PRIVATE KEY")[0])
        assert not await look_once(tls, pe.up.store, now=now)
        assert not await look_once(tls, pe.up.store, now=now)
        assert await shown() == old_der
        assert pe.alarm_codes().count("tls.certificate") == 1
        (pe.home / "tls" / "cert.pem").unlink()
        assert not await look_once(tls, pe.up.store, now=now)
        assert await shown() == old_der
        put(pe, new)  # the key comes last
        assert await look_once(tls, pe.up.store, now=now)
        assert await shown() == new_der

    await served(tls, use)


async def test_one_by_the_nodes_own_authority_is_renewed_before_it_ends(pe: Site) -> None:
    now = pe.simulation.world.now
    settings = DoorSettings(open=True, port=0, tls=True)
    tls = DoorTls(home_of(pe, settings), settings, now=now)
    authority = (pe.home / CA_FILE).read_bytes()

    async def use(shown: Callable[[], Awaitable[bytes]]) -> None:
        first = await shown()
        assert tls.look(now=now + DAY_MS)
        assert await shown() == first
        assert tls.look(now=now + (SERVER_DAYS - RENEW_DAYS + 1) * DAY_MS)
        assert await shown() != first

    await served(tls, use)
    assert (pe.home / CA_FILE).read_bytes() == authority


async def test_a_door_whose_certificate_is_not_there_does_not_open(pe: Site) -> None:
    with pytest.raises(Refused) as refused:
        DoorTls(home_of(pe, OWN), OWN, now=pe.simulation.world.now)
    assert refused.value.code == "tls.certificate"
    assert refused.value.detail.startswith(f"{pe.home}/tls/cert.pem: No such file")


def encrypted(made: Path) -> bytes:
    """The key of a PEM file under a passphrase that nobody gives."""
    key = serialization.load_pem_private_key(made.read_bytes(), password=None)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(
        serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret")
    )


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("tls/cert.pem", b"", "it has no certificate"),
        (
            "tls/cert.pem",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "it has no certificate",
        ),
        ("tls/key.pem", None, "No such file"),
        ("tls/key.pem", b"none", "it has no private key"),
        ("tls/key.pem", "another", "it isn't the key of"),
        ("tls/key.pem", "encrypted", "it is encrypted"),
        ("clients.pem", None, "No such file"),
        ("clients.pem", b"none", "it has no certificate"),
    ],
)
def test_the_file_that_keeps_the_door_shut_is_named(
    pe: Site, tmp_path: Path, name: str, data: bytes | str | None, why: str
) -> None:
    now = pe.simulation.world.now
    own, _ = certificate(tmp_path, "own", now)
    other, _ = certificate(tmp_path, "other", now)
    put(pe, own)
    (pe.home / "clients.pem").write_bytes(own.read_bytes())
    settings = replace(OWN, client_ca="clients.pem")
    DoorTls(home_of(pe, settings), settings, now=now)
    (pe.home / name).unlink()
    if data is not None:
        words = {"another": other.read_bytes(), "encrypted": encrypted(own)}
        (pe.home / name).write_bytes(words[data] if isinstance(data, str) else data)
    with pytest.raises(Refused) as refused:
        DoorTls(home_of(pe, settings), settings, now=now)
    assert refused.value.code == "tls.certificate"
    assert refused.value.detail.startswith(f"{pe.home / name}: {why}")
    assert refused.value.facts["path"] == str(pe.home / name)
