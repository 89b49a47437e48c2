"""The files that config.toml names come back with the home, the node's and its units'; what can't is told, twice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from exchange.alarm import TEST, Notice
from exchange.node import backup, units
from exchange.node.backup import Made, Restored
from exchange.node.home import LOCAL_KEY, Paths, read_settings
from exchange.node.http.door_tls import DoorTls
from exchange.node.keys.own_keys import SEED
from exchange.node.store.store import open_store
from exchange.notify import ways
from exchange.setting_files import named_files
from exchange.settings import NodeSettings
from exchange.storage.backup import ERASURES, HOME, Head, writing
from exchange.storage.files import check_home_modes
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock, create_key_file
from tests.core.test_setting_files import FILES
from tests.node.test_door import certificate, home_of
from tests.node.unit_homes import key_of, made
from tests.simulator import KEY, Simulation, Site
from tests.worlds import seed

WHO = "pe-csirt"


def silent(_done: int, _of: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def secret(tmp_path: Path) -> Unlock:
    create_key_file(tmp_path / "backup-key")
    return Unlock.key_file(tmp_path / "backup-key")


def configure(home: Path, tables: dict[str, dict[str, object]]) -> None:
    """Settings of a home, top-level ones under "", besides those that are there."""
    lines = [f"{name} = {orjson.dumps(value).decode()}" for name, value in tables.get("", {}).items()]
    old = (home / "config.toml").read_text().splitlines()
    for table, values in tables.items():
        if table:
            lines += [f"[{table}]", *(f"{n} = {orjson.dumps(v).decode()}" for n, v in values.items())]
    (home / "config.toml").write_text("\n".join([*old, *lines]) + "\n")


def put(path: Path, data: bytes | None = None) -> bytes:
    """A file with bytes of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data := data or os.urandom(40))
    path.chmod(0o600)
    return data


@pytest.fixture
def again(host: Site, secret: Unlock, tmp_path: Path) -> Callable[..., tuple[Made, Restored]]:
    """Back the home up, lose it, and restore it, to its own place or another."""

    def lose(to: Path = host.home) -> tuple[Made, Restored]:
        shutil.copy(host.home / KEY, tmp_path / "new-key")
        keystore = Keystore.open(host.home / "keystore", Unlock.key_file(host.home / KEY))
        now = host.simulation.world.now
        wrote = backup.back_up(host.home, keystore, tmp_path / "file", secret, now=now, progress=silent)
        shutil.rmtree(host.home)
        unlock = Unlock.key_file(tmp_path / "new-key")
        return wrote, backup.restore(tmp_path / "file", to, secret, unlock, now=now, progress=silent)

    return lose


async def test_every_file_that_a_setting_names_comes_back(
    host: Site, again: Callable[..., tuple[Made, Restored]]
) -> None:
    """Also one in a folder, hidden, with an unusual name, or with that of an entry of the backup's own."""
    names = [
        "plain.pem",
        "tls/2026/door.pem",
        ".hidden",
        "secrets",
        "la guardia ñ.txt",
        "files/x",
        "./dotted.pem",
    ]
    tables: dict[str, dict[str, object]] = {"http": {"open": True, "tls": True}}
    kept: dict[str, bytes] = {}
    for number, setting in enumerate(one.removeprefix("node.") for one in FILES if one.startswith("node.")):
        table, _, last = setting.rpartition(".")
        name = names[number] if number < len(names) else f"{setting}.pem"
        kept[name] = put(host.home / name)
        tables.setdefault(table, {})[last] = name
    assert len(kept) > len(names)
    configure(host.home, tables)
    await host.crash()
    made, restored = again()
    assert (made.left_out, restored.missing) == ((), ())
    settings = read_settings(host.home)
    assert {one.name for one in named_files(settings)} == set(kept)
    for name, data in kept.items():
        path = host.home / name
        assert (name, path.read_bytes(), path.stat().st_mode & 0o777) == (name, data, 0o600)
    (host.home / KEY).unlink(missing_ok=True)
    assert check_home_modes(host.home) == []


async def test_a_restored_door_opens_with_its_own_certificate(
    host: Site, again: Callable[..., tuple[Made, Restored]], tmp_path: Path
) -> None:
    pem, _ = certificate(tmp_path, "door", host.simulation.world.now)
    public, _, private = pem.read_bytes().partition(b"-----BEGIN PRIVATE KEY")
    put(host.home / "door.pem", public)
    put(host.home / "door-key.pem", b"-----BEGIN PRIVATE KEY" + private)
    table = {"open": True, "tls": True, "tls_certificate": "door.pem", "tls_key": "door-key.pem"}
    configure(host.home, {"http": table})
    await host.crash()
    again()
    shutil.copy(tmp_path / "new-key", host.home / KEY)
    settings = read_settings(host.home).http
    tls = DoorTls(home_of(host, settings), settings, now=host.simulation.world.now)
    assert tls.context.cert_store_stats()["x509"] == 0  # it was made; it asks no clients for certificates


async def test_what_lies_elsewhere_or_is_not_there_is_told_at_both_ends(
    host: Site, again: Callable[..., tuple[Made, Restored]], tmp_path: Path
) -> None:
    outside, home = tmp_path / "etc", host.home
    for name in ("key.pem", "proxy.pem", "linked.pem"):
        put(outside / name)
    (home / "link.pem").symlink_to(outside / "linked.pem")
    table = {"tls": True, "tls_certificate": "link.pem", "tls_key": f"{outside}/key.pem"}
    alarm = {"mail_login": "gone", "mail_ca": "units/x/ca.pem", "apprise": "keystore"}
    top = {"extra_ca": f"../{outside.name}/proxy.pem"}
    assert home.parent == outside.parent
    configure(home, {"": top, "alarm": alarm, "http": table})
    put(home / "units" / "x" / "ca.pem")
    await host.crash()
    made, restored = again()
    assert set(made.left_out) == {
        f"{home}/link.pem",  # as it is renewed where it leads to, its copy would be old
        f"{outside}/key.pem",
        f"{home}/{top['extra_ca']}",
        f"{home}/gone",
        f"{home}/units/x/ca.pem",
        f"{home}/keystore",  # the restorer's own
    }
    # what is in place on the machine that it was restored on is not missing
    assert set(restored.missing) == {f"{home}/link.pem", f"{home}/gone", f"{home}/units/x/ca.pem"}


async def test_a_whole_path_into_the_home_holds_in_its_place_and_is_missing_in_another(
    host: Site, again: Callable[..., tuple[Made, Restored]], tmp_path: Path
) -> None:
    (tmp_path / "by-link").symlink_to(host.home)
    put(host.home / "login")
    configure(
        host.home, {"alarm": {"mail_login": f"{host.home}/login", "apprise": f"{tmp_path}/by-link/login"}}
    )
    await host.crash()
    made, restored = again(tmp_path / "elsewhere")
    assert made.left_out == ()
    assert (tmp_path / "elsewhere" / "login").exists()
    assert set(restored.missing) == {f"{host.home}/login", f"{tmp_path}/by-link/login"}


async def test_the_program_that_calls_people_runs_again(
    host: Site, again: Callable[..., tuple[Made, Restored]]
) -> None:
    script = host.home / "call" / "duty"
    put(script, b'#!/bin/sh\nprintf %s "$EXCHANGE_NOTICE" >"$(dirname "$0")/called"\n')
    script.chmod(0o700)
    configure(host.home, {"alarm": {"command": [str(script)]}})
    await host.crash()
    made, restored = again()
    assert (made.left_out, restored.missing) == ((), ())
    await ways(read_settings(host.home).alarm, host.home)["command"](Notice(TEST, WHO))
    assert (host.home / "call" / "called").read_text() == TEST


async def test_units_files_come_back_into_the_units_homes(
    sim: Simulation, host: Site, again: Callable[..., tuple[Made, Restored]], tmp_path: Path
) -> None:
    made(host, "files")  # as the folder in a backup is called
    unit = Paths(host.home).unit("files").root
    configure(
        unit, {"alarm": {"mail_login": "login", "mail_ca": "tls/ca.pem", "apprise": f"{tmp_path}/urls"}}
    )
    login, ca = put(unit / "login"), put(unit / "tls" / "ca.pem")
    await host.crash()
    wrote, restored = again()
    assert (wrote.left_out, restored.missing) == ((f"{tmp_path}/urls",),) * 2
    assert ((unit / "login").read_bytes(), (unit / "tls" / "ca.pem").read_bytes()) == (login, ca)
    assert check_home_modes(unit) == []


async def test_an_unreadable_unit_holds_up_nobodys_restore(
    host: Site, secret: Unlock, tmp_path: Path
) -> None:
    made(host, "tracing")
    home, unit = host.home, Paths(host.home).unit("tracing").root
    await host.crash()
    keystore = Keystore.open(home / "keystore", Unlock.key_file(home / KEY))
    with writing(
        tmp_path / "file", Head("node", HOME, WHO, host.simulation.world.net, 1, "0"), secret
    ) as writer:
        writer.add_secrets(keystore)
        writer.add(ERASURES, b'{"erased":[],"holds":[]}')
        writer.add("config.toml", (home / "config.toml").read_bytes())
        writer.add_database(home / "node.db", silent)
        writer.add("units/tracing/config.toml", b"of_another_version = true\n")
        writer.add("units/tracing/keystore", (unit / "keystore").read_bytes())
        writer.add_database(unit / "node.db", silent, prefix="units/tracing/")
    restored = backup.restore(tmp_path / "file", tmp_path / "new", secret, secret, now=1, progress=silent)
    assert (restored.units, restored.missing) == (("tracing",), ())


def test_a_backup_of_a_program_that_left_files_out_still_restores_and_says_which(
    secret: Unlock, tmp_path: Path
) -> None:
    keystore = Keystore.create(tmp_path / "keystore", secret, {SEED: seed(WHO), LOCAL_KEY: bytes(32)})
    open_store(tmp_path / "node.db", bytes(32), owner=True).db.close_sync()
    config = b'member = "pe-csirt"\nproxy_login = "login"\n[alarm]\nmail_login = "smtp-login"\n'
    with writing(tmp_path / "file", Head("node", HOME, WHO, b"", 1, "0"), secret) as writer:
        writer.add_secrets(keystore)
        writer.add(ERASURES, b'{"erased":[],"holds":[]}')
        writer.add("config.toml", config)
        writer.add("login", b"user:password")
        writer.add_database(tmp_path / "node.db", silent)
    restored = backup.restore(tmp_path / "file", tmp_path / "home", secret, secret, now=1, progress=silent)
    assert restored.missing == (f"{tmp_path}/home/smtp-login",)
    assert (tmp_path / "home" / "login").read_bytes() == b"user:password"
    assert isinstance(read_settings(tmp_path / "home"), NodeSettings)


async def test_a_unit_gets_what_its_members_settings_name_and_keeps_what_it_put_there(host: Site) -> None:
    secret = put(host.home / "login")
    configure(host.home, {"": {"proxy_login": "login"}, "alarm": {"mail_ca": "tls/ca.pem"}})
    ca = put(host.home / "tls" / "ca.pem")
    made(host, "tracing")
    unit = Paths(host.home).unit("tracing").root
    assert ((unit / "login").read_bytes(), (unit / "tls" / "ca.pem").read_bytes()) == (secret, ca)
    assert check_home_modes(unit) == []
    (unit / "login").write_bytes(b"of:its own")
    made(host, "tracing")
    assert (unit / "login").read_bytes() == b"of:its own"
    assert units.homes(host.home)[0].handle == "tracing"


async def test_a_whole_path_that_the_member_names_is_left_as_it_is_for_a_unit(
    host: Site, tmp_path: Path
) -> None:
    put(tmp_path / "proxy.pem")
    (tmp_path / "proxy.pem").chmod(0o644)
    alarm = {"command": [f"{tmp_path}/not-there-yet"]}
    configure(host.home, {"": {"extra_ca": f"{tmp_path}/proxy.pem"}, "alarm": alarm})
    made(host, "tracing")
    assert (tmp_path / "proxy.pem").stat().st_mode & 0o777 == 0o644
    assert key_of(host, "tracing").exists()
