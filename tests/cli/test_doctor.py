"""`exchange doctor` names each fault that is made here for real, on a node, a hub and an officer, and what mends it."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exchange.canonical import b64, dumps
from exchange.cli.app import run
from exchange.cli.call import remember_key_file
from exchange.cli.doctor import line as doctor_line
from exchange.cli.doctor.checks import FAIL, OK, WARN, Check, found, run as run_checks
from exchange.cli.doctor.line import Line, line
from exchange.hub.home import LOCK
from exchange.limits import DAY_MS
from exchange.link import Link
from exchange.node.app import real_sources, running as node_running, serve
from exchange.node.home import REVOKE, Home, create, open_home
from exchange.node.keys.own_keys import NEXT, SEED
from exchange.node.store.links import open_number
from exchange.phrases.doctor import FIXES, FOUND
from exchange.storage.files import HomeLock
from exchange.storage.unlock import Unlock, create_key_file
from tests.hub_server import Hub, running_hub
from tests.simulator import own_past
from tests.trip.connect_proxy import ConnectProxy
from tests.worlds import keys, make_world, seed


def real_clock() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    world = make_world(now=real_clock() - 60_000)
    async with running_hub(world, tmp_path / "hub", clock=real_clock) as one:
        yield one


def config(home: Home, **settings: object) -> None:
    """Write settings over those there are."""
    path = home.paths.config
    lines = [one for one in path.read_text().splitlines() if one.partition(" =")[0] not in settings]
    path.write_text(
        "\n".join([*lines, *(f"{name} = {dumps_toml(value)}" for name, value in settings.items())]) + "\n"
    )
    path.chmod(0o600)


def add_hook(config: Path) -> None:
    """An alarm hook whose program isn't there."""
    config.write_text(config.read_text() + '\n[alarm]\ncommand = ["/nope/hook"]\n')


def dumps_toml(value: object) -> str:
    return orjson.dumps(value).decode()


@pytest.fixture
async def home(hub: Hub, tmp_path: Path) -> Home:
    """pe's node at the running hub, with the log; the anchor isn't confirmed and no backup was made."""
    create_key_file(tmp_path / "key")
    root, unlock = tmp_path / "pe", Unlock.key_file(tmp_path / "key")
    create(root, "pe-csirt", unlock, real_sources())
    remember_key_file(root, tmp_path / "key")
    secrets = {
        SEED: seed("pe-csirt"),
        NEXT: dumps(keys("next/pe-csirt").public.to_json()),
        REVOKE: dumps(keys("revoke/pe-csirt").public.signing.to_json()),
    }
    open_home(root, unlock).keystore.update(secrets)
    (root / "hub-ca.pem").write_bytes((hub.home / "ca.pem").read_bytes())
    (root / "hub-ca.pem").chmod(0o600)
    made = open_home(root, unlock)
    config(made, hub=hub.origin, net=b64(hub.world.net), ca="hub-ca.pem")
    made = open_home(root, unlock)
    async with node_running(made, real_sources()) as node:
        await node.store.db.write(lambda c: own_past(c, hub.world, "pe-csirt"))
        await node.replica.start(node.hub, least=(1, hub.world.directory.root(1)))
        await node.sync.once()
    return made


async def doctor(
    capfd: pytest.CaptureFixture[str], home: Path, *words: str
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run it with --json: its exit code, and what it found by name; beside the hub of this event loop."""
    capfd.readouterr()
    code = await asyncio.to_thread(run, ["doctor", *words, "--home", str(home), "--json"])
    value = orjson.loads(capfd.readouterr().out.splitlines()[-1])
    assert value["healthy"] is (code == 0)
    return code, {one["code"]: one for one in value["checks"]}


async def test_serving_node_without_faults_but_an_unheard_anchor(
    hub: Hub, home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    up: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(home, real_sources(), ready=up.set_result))
    node = await asyncio.wait_for(up, 20)
    while not node.sync.condition.connected:
        await node.sync.changed.wait(5)
    try:
        code, seen = await doctor(capfd, home.paths.root)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert [one for one, value in seen.items() if value["state"] == FAIL] == ["anchor.open"]
    assert [one for one, value in seen.items() if value["state"] == WARN] == ["backup.none", "hook.none"]
    well = {"modes.ok", "key-file.ok", "disk.ok", "database.ok", "keys.ok"}
    well |= {"server.ok", "link.socket", "directory.ok"}
    well |= {"standing.ok", "prekeys.ok", "queues.ok", "missing.ok", "alarms.ok", "aside.ok", "retention.ok"}
    well |= {"dns.ok", "tcp.ok", "tls.ok", "hub.ok", "clock.ok", "clock.forward"}
    assert {one for one, value in seen.items() if value["state"] == OK} == well
    assert code == 1


async def test_faults_of_a_home_that_is_not_served(
    hub: Hub, home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = home.paths.root
    (tmp_path / "key").chmod(0o640)
    home.paths.config.chmod(0o644)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home.paths.socket))
    home.paths.socket.chmod(0o600)
    config(home, websocket=False)
    home.paths.config.chmod(0o644)
    code, seen = await doctor(capfd, root)
    assert code == 1
    assert {"modes.open", "key-file.open", "keystore.mode"} <= seen.keys()
    assert seen["modes.open"]["fix"] == f"chmod -R go= {root}"
    assert seen["modes.open"]["found"].endswith(str(home.paths.config))
    (tmp_path / "key").chmod(0o600)
    home.paths.lock.write_text(str(os.getpid()))  # left by a kill -9; the number is another process's by now
    add_hook(home.paths.config)
    _, seen = await doctor(capfd, root)
    assert seen["hook.broken"]["found"].startswith("command can't go out: /nope/hook ")
    assert seen["server.stale"]["fix"] == "exchange node serve, as a service of the machine"
    _, seen = await doctor(capfd, root, "--lang", "es")
    assert seen["server.stale"]["found"] == "no está en marcha; al ser interrumpido dejó su socket"
    (tmp_path / "key").unlink()
    _, seen = await doctor(capfd, root)
    assert {"key-file.missing", "keystore.key-file", "database.ok"} <= seen.keys()
    home.paths.database.write_bytes(b"\0" * 4096)
    _, seen = await doctor(capfd, root)
    assert seen["database.damaged"]["fix"] == "exchange node restore FILE"
    home.paths.database.write_bytes(b"")
    _, seen = await doctor(capfd, root)
    assert seen["database.missing"]["fix"].endswith("exchange node restore FILE")


async def test_clock_that_is_off_the_hubs(
    home: Home, hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.stop.set()
    away = make_world(now=real_clock() + 30 * DAY_MS)
    async with running_hub(away, tmp_path / "ahead", clock=lambda: real_clock() + 30 * DAY_MS) as ahead:
        config(home, hub=ahead.origin)
        (home.paths.root / "hub-ca.pem").write_bytes((ahead.home / "ca.pem").read_bytes())
        _, seen = await doctor(capfd, home.paths.root)
    assert seen["tls.not-yet"]["state"] == FAIL
    async with running_hub(hub.world, tmp_path / "hour", clock=lambda: real_clock() - 3_600_000) as behind:
        config(home, hub=behind.origin)
        (home.paths.root / "hub-ca.pem").write_bytes((behind.home / "ca.pem").read_bytes())
        _, seen = await doctor(capfd, home.paths.root)
    assert (seen["clock.off"]["state"], "NTP" in seen["clock.off"]["fix"]) == (FAIL, True)
    assert int(seen["clock.off"]["found"].split(" s ")[0]) < -3_500


async def test_key_that_the_hub_does_not_know(
    home: Home, hub: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    home.keystore.put(SEED, seed("nobody"))
    _, seen = await doctor(capfd, home.paths.root)
    assert "hub.unknown-key" in seen


async def test_hub_out_of_reach_a_name_that_nobody_has_and_mail_that_is_missing(
    home: Home, hub: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    config(home, hub="https://hub.invalid")
    store, lost = home.open_store(owner=True), Link(bytes(16), 7, bytes(32))
    store.db.write_sync(lambda c: open_number(c, "co-csirt", "flash", lost, now=1))
    store.db.close_sync()
    _, seen = await doctor(capfd, home.paths.root)
    assert "getent hosts hub.invalid" in seen["dns.fail"]["fix"]
    assert seen["missing.some"]["found"].endswith("1 co-csirt")
    hub.stop.set()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config(home, hub=f"https://127.0.0.1:{port}")
    _, seen = await doctor(capfd, home.paths.root)
    assert seen["tcp.fail"]["found"].startswith(f"127.0.0.1:{port} ")


async def test_proxy_that_refuses_the_login_or_the_hub(
    home: Home, hub: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    login = home.paths.root / "login"
    login.write_text("ministry:right")
    login.chmod(0o600)
    async with ConnectProxy("ministry", "right") as proxy:
        config(home, proxy=f"http://127.0.0.1:{proxy.port}", proxy_login="login")
        _, seen = await doctor(capfd, home.paths.root)
        assert {"proxy.ok", "tls.ok", "hub.ok"} <= seen.keys()
        login.write_text("ministry:wrong")
        _, seen = await doctor(capfd, home.paths.root)
        assert "proxy_login" in seen["proxy.login"]["fix"]
        assert "tls.ok" not in seen

    async def forbid(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        writer.close()

    async with listening(forbid) as port:
        config(home, proxy=f"http://127.0.0.1:{port}")
        _, seen = await doctor(capfd, home.paths.root)
        assert seen["proxy.refused"]["found"].endswith(": 403 Forbidden")


@asynccontextmanager
async def listening(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Somebody who answers so on a free port."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def certificate(folder: Path, name: str, days: int) -> ssl.SSLContext:
    """A server's context with a certificate that signs itself, for a name, and that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=90))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    (folder / "server.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


@pytest.mark.parametrize(
    ("name", "days", "trusted", "found_"),
    [
        ("localhost", 90, True, "tls.ok"),
        ("localhost", 5, True, "tls.soon"),
        ("localhost", -1, True, "tls.expired"),
        ("elsewhere", 90, True, "tls.name"),
        ("localhost", 90, False, "tls.issuer"),
    ],
)
async def test_certificate(name: str, days: int, trusted: bool, found_: str, tmp_path: Path) -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    context = certificate(tmp_path, name, days)
    ours = ssl.create_default_context(cafile=tmp_path / "server.pem" if trusted else None)
    async with listening(close, context) as port:
        *_, last = await asyncio.to_thread(line, Line(f"https://localhost:{port}", ours))
    assert last.code == found_
    assert last.code != "tls.issuer" or len(last.facts["print"]) == 16


async def test_server_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_line, "STEP", 0.05)  # seconds
    with socket.create_server(("127.0.0.1", 0)) as silent:
        way = Line(f"https://127.0.0.1:{silent.getsockname()[1]}", ssl.create_default_context())
        *_, last = await asyncio.to_thread(line, way)
    assert last.code == "tls.mute"


async def test_what_speaks_no_tls(tmp_path: Path) -> None:
    async def chat(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with listening(chat) as port:
        *_, last = await asyncio.to_thread(
            line, Line(f"https://127.0.0.1:{port}", ssl.create_default_context())
        )
    assert last.code == "tls.broken"


async def test_hubs_home(hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    remember_key_file(hub.home, hub.home / "key")
    (hub.home / "config.toml").write_text(f'origins = ["{hub.origin}"]\nport = {hub.port}\n')
    (hub.home / "config.toml").chmod(0o600)
    code, seen = await doctor(capfd, hub.home)
    assert (code, [one for one, value in seen.items() if value["state"] != OK]) == (0, ["backup.none"])
    expected = "server.ok log.fresh mail.waits attachments.kept tls.ok hub.takes-mail keys.ok"
    assert set(expected.split()) <= seen.keys()
    hub.stop.set()
    await asyncio.wait_for(stopped(hub.port), 20)
    lock = HomeLock(hub.home / LOCK, patience=20)
    await asyncio.to_thread(lock.acquire)  # the server has ended
    lock.release()
    (hub.home / LOCK).write_text(
        str(os.getpid())
    )  # left by a kill -9; the number is another process's by now
    add_hook(hub.home / "config.toml")
    code, seen = await doctor(capfd, hub.home)
    assert code == 1
    assert {"server.off", "tcp.fail", "hook.broken"} <= seen.keys()
    assert seen["server.off"]["fix"].startswith("exchange hub serve")


async def stopped(port: int) -> None:
    """Until nobody listens there."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        writer.close()
        await asyncio.sleep(0)


async def test_officers_home(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "ana"
    create_key_file(tmp_path / "key")
    words = [
        "officer",
        "init",
        "--name",
        "ana",
        "--home",
        str(root),
        "--key-file",
        str(tmp_path / "key"),
        "--json",
    ]
    assert await asyncio.to_thread(run, words) == 0
    code, seen = await doctor(capfd, root)
    assert (code, sorted(seen)) == (0, ["disk.ok", "key-file.ok", "keys.ok", "modes.ok"])


def test_check_that_does_not_come_back_holds_up_nothing() -> None:
    release = threading.Event()

    def hang() -> list[Any]:
        release.wait()
        return []

    checks = [Check("slow", hang), Check("quick", lambda: [found("keys", OK, "ok")])]
    late, quick = run_checks(checks, seconds=0.05)
    release.set()
    assert (late.name, late.state, late.code, quick.code) == ("slow", FAIL, "late", "keys.ok")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_check_that_breaks_off_is_a_fault() -> None:
    (broken,) = run_checks([Check("hub", lambda: list(map(int, ["gone"])))])
    assert (broken.state, broken.facts["code"]) == (FAIL, "internal.error")


def test_every_fault_has_a_fix_and_no_fix_is_of_nothing() -> None:
    well = {code for code in FOUND if code.endswith((".ok", ".fresh", ".part", ".forward"))} - {"standing.ok"}
    well |= {"link.socket", "hub.takes-mail", "mail.waits", "attachments.kept", "error"}
    assert FIXES.keys() == FOUND.keys() - well


async def test_no_home_at_all(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert await asyncio.to_thread(run, ["doctor", "--home", str(tmp_path / "none"), "--json"]) == 1
    assert orjson.loads(capfd.readouterr().out.splitlines()[-1])["error"]["code"] == "home.missing"
