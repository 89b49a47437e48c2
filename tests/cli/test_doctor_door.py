"""`exchange doctor` on a node's own HTTP door: what would keep it from opening is named before anybody misses it."""

from __future__ import annotations

import datetime as dt
import errno
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.cli.app import run
from exchange.cli.call import Call
from exchange.cli.doctor.checks import FAIL, OK, WARN, Finding
from exchange.cli.doctor.door import door
from exchange.cli.doctor.hub import hub_checks
from exchange.cli.output import Output
from exchange.door_settings import DoorSettings
from exchange.errors import Refused
from exchange.phrases.doctor import FIXES, FOUND
from exchange.phrases.languages import say
from exchange.storage.files import write_private
from tests.address_book import peru
from tests.cli.furnished import furnished
from tests.cli.test_doctor import certificate

OPEN = DoorSettings(open=True, port=0)
OWN = replace(OPEN, tls=True, tls_certificate="server.pem", tls_key="server.key")


def codes(found: Any) -> dict[str, str]:
    return {one.code: one.state for one in found}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def told(one: Finding) -> str:
    return say(FOUND, one.code, "en", **one.facts)


def test_a_closed_door_is_not_looked_at(tmp_path: Path, taken: int) -> None:
    assert door(tmp_path, replace(OWN, open=False, port=taken), None) == []


def test_an_address_that_can_be_taken_is_well_and_one_of_somebody_elses_is_named(
    tmp_path: Path, taken: int
) -> None:
    assert codes(door(tmp_path, OPEN, None)) == {"door.ok": OK}
    (found,) = door(tmp_path, replace(OPEN, port=taken), None)
    assert (found.code, found.state) == ("door.address", FAIL)
    assert f"127.0.0.1, port {taken} can't be taken: Address already in use" in told(found)
    (found,) = door(tmp_path, replace(OPEN, host="192.0.2.77", tls=True), None)
    assert told(found) == "192.0.2.77, port 0 can't be taken: Cannot assign requested address"
    assert "[http]" in say(FIXES, found.code, "en", role="node", **found.facts)


def test_a_port_that_only_the_service_may_take_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Low(socket.socket):
        def bind(self, address: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("exchange.cli.doctor.door.socket.socket", Low)
    (found,) = door(tmp_path, replace(OPEN, port=443), None)
    assert (found.code, found.state) == ("door.right", WARN)
    assert "CAP_NET_BIND_SERVICE" in say(FIXES, found.code, "en", role="node", **found.facts)


def test_looking_keeps_no_server_from_starting_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the look has the address, a server takes it all the same, and listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served: list[int] = []
    bind = socket.socket.bind

    class Held(socket.socket):
        def bind(self, address: Any) -> None:
            bind(self, address)
            monkeypatch.undo()
            with socket.create_server(address) as server:
                served.append(server.getsockname()[1])

    monkeypatch.setattr("exchange.cli.doctor.door.socket.socket", Held)
    assert codes(door(tmp_path, replace(OPEN, port=port), None)) == {"door.ok": OK}
    assert served == [port]


@pytest.mark.parametrize(
    ("settings", "served", "expected"),
    [
        ({}, "http://127.0.0.1:{taken}/", {"door.ok": OK}),
        ({"port": 0}, "http://127.0.0.1:{taken}/", {"door.ok": OK}),
        ({"host": "localhost"}, "http://127.0.0.1:{taken}/", {"door.ok": OK}),
        ({"host": "0:0:0:0:0:0:0:1"}, "http://[::1]:{taken}/", {"door.ok": OK}),
        ({}, "", {"door.shut": FAIL, "door.address": FAIL}),
        ({"port": 0}, "", {"door.shut": FAIL}),
        ({}, "http://127.0.0.1:1/", {"door.other": WARN, "door.address": FAIL}),
        ({"port": 0, "tls": True}, "http://127.0.0.1:1/", {"door.other": WARN}),
        ({"port": 0, "host": "127.0.0.2"}, "http://127.0.0.1:1/", {"door.other": WARN}),
    ],
)
def test_a_running_servers_door_is_held_against_config_toml(
    settings: dict[str, Any], served: str, expected: dict[str, str], taken: int, tmp_path: Path
) -> None:
    changed = replace(OPEN, **{"port": taken, **settings})
    assert codes(door(tmp_path, changed, served.format(taken=taken))) == expected


@pytest.mark.parametrize(
    ("days", "code", "state"), [(90, "ok", OK), (5, "soon", WARN), (-1, "expired", FAIL)]
)
def test_how_long_a_certificate_of_ones_own_holds(tmp_path: Path, days: int, code: str, state: str) -> None:
    certificate(tmp_path, "localhost", days)
    found = {one.code: one for one in door(tmp_path, OWN, None)}
    assert found.keys() == {"door.ok", f"door-tls.{code}"}
    one = found[f"door-tls.{code}"]
    assert (one.state, one.facts["days"]) == (state, days - 1)
    assert code == "ok" or str(tmp_path / "server.pem") in told(one)


def test_a_certificate_of_days_to_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate(tmp_path, "localhost", 90)
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    monkeypatch.setattr("exchange.cli.doctor.door.now_ms", lambda: int(long_ago.timestamp()) * 1_000)
    assert codes(door(tmp_path, OWN, None)) == {"door.ok": OK, "door-tls.not-yet": FAIL}


def test_one_by_the_nodes_own_authority_needs_nobody(tmp_path: Path) -> None:
    assert codes(door(tmp_path, replace(OPEN, tls=True), None)) == {"door.ok": OK}


def test_each_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    certificate(tmp_path, "localhost", 90)
    settings = replace(OWN, client_ca="clients.pem")
    (tmp_path / "clients.pem").write_bytes((tmp_path / "server.pem").read_bytes())
    assert codes(door(tmp_path, settings, None)) == {"door.ok": OK, "door-tls.ok": OK}
    (tmp_path / "server.key").unlink()
    (tmp_path / "clients.pem").unlink()
    _, key, clients = door(tmp_path, settings, None)
    for one, name in ((key, "server.key"), (clients, "clients.pem")):
        assert (one.code, one.state) == ("door-tls.file", FAIL)
        assert (
            told(one)
            == f"the server can't use {tmp_path / name}: No such file or directory [tls.certificate]"
        )
        assert "exchange node serve" in say(FIXES, one.code, "en", role="node", **one.facts)


def test_the_doctor_tells_of_a_restored_home_whose_door_lacks_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = furnished(tmp_path, peru()) / "co"
    monkeypatch.setenv("EXCHANGE_KEY_FILE", str(tmp_path / "key"))
    certificate(root, "localhost", 90)
    (root / "server.key").unlink()
    with (root / "config.toml").open("a") as config:
        config.write("[http]\nopen = true\nport = 0\ntls = true\n")
        config.write('tls_certificate = "server.pem"\ntls_key = "server.key"\n')
    capsys.readouterr()
    assert run(["doctor", "--home", str(root), "--lang", "en", "--json"]) == 1
    checks = orjson.loads(capsys.readouterr().out.splitlines()[-1])["checks"]
    (one,) = (check for check in checks if check["name"] == "door-tls")
    assert (one["state"], one["code"]) == (FAIL, "door-tls.file")
    assert f"{root}/server.key" in one["found"]
    assert one["fix"].startswith("put the file in its place")
    assert [check["state"] for check in checks if check["name"] == "door"] == [OK]


@pytest.mark.parametrize(
    ("days", "code", "state"),
    [(90, "ok", OK), (5, "soon", WARN), (-1, "expired", FAIL), (None, "file", FAIL)],
)
def test_a_hubs_public_certificate_is_looked_at_too(
    tmp_path: Path, days: int | None, code: str, state: str
) -> None:
    given = 'origins = ["https://localhost:1"]\ntls_certificate = "server.pem"\ntls_key = "server.key"\n'
    write_private(tmp_path / "config.toml", given.encode())
    if days is not None:
        certificate(tmp_path, "localhost", days)
    call = Call(tmp_path, Output(), yes=True)
    (check,) = (one for one in hub_checks(call, Refused("cli.no-unlock")) if one.name == "hub-tls")
    (one,) = check.look()
    assert (one.code, one.state) == (f"hub-tls.{code}", state)
    assert code == "ok" or str(tmp_path / "server.pem") in told(one)
    write_private(tmp_path / "config.toml", b'origins = ["https://localhost:1"]\n')
    assert check.look() == []
