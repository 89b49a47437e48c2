"""A hub backed up and made again: its log shut until it has back what it lost, and what was erased since stays so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from exchange.directory.waiting import REJECTED
from exchange.errors import Refused, Unavailable
from exchange.hub import backup
from exchange.hub.backup import Restored
from exchange.hub.home import (
    SEED,
    has_settled,
    last_backup,
    load_settings,
    mark_restored,
    open_keystore,
    settle_seconds,
)
from exchange.hub.registrar import Registrar
from exchange.hub.store.directory import Application
from exchange.hub.store.store import HubStore
from exchange.limits import DAY_MS, RESTORED_SETTLE_MS
from exchange.storage.files import check_home_modes
from exchange.storage.keystore import Keystore
from exchange.storage.unlock import Unlock, create_key_file
from tests.core.test_setting_files import FILES
from tests.hub.statements import a_part, record, send
from tests.hub_services import services, write_log
from tests.worlds import World

CANARY = "Quetzalcoatlus"


def silent(_done: int, _of: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def secret(tmp_path: Path) -> Unlock:
    create_key_file(tmp_path / "backup-key")
    return Unlock.key_file(tmp_path / "backup-key")


@pytest.fixture
def unlock(tmp_path: Path) -> Unlock:
    create_key_file(tmp_path / "key")
    return Unlock.key_file(tmp_path / "key")


@pytest.fixture
def home(world: World, tmp_path: Path, unlock: Unlock) -> Path:
    """A hub's home with the world's log."""
    folder = tmp_path / "hub"
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text('origins = ["https://hub.example"]\n')
    Keystore.create(folder / "keystore", unlock, {SEED: b"s" * 32})
    store = HubStore.open(folder)
    write_log(store, world)
    store.close_sync()
    return folder


def back_up(home: Path, target: Path, secret: Unlock, unlock: Unlock) -> backup.Made:
    return backup.back_up(home, open_keystore(home, unlock), target, secret, now=7, progress=silent)


def restore(
    source: Path, to: Path, secret: Unlock, unlock: Unlock, *, now: int, newer: Path | None = None
) -> Restored:
    return backup.restore(source, to, secret, unlock, now=now, progress=silent, newer=newer)


def contents(home: Path) -> bytes:
    """Everything in its files."""
    return b"".join(one.read_bytes() for one in home.iterdir() if one.is_file())


def application(world: World, handle: str) -> Application:
    """Somebody's, with a document that has a name in it."""
    part = a_part("pe-csirt", "public", handle)
    statement = record(world, "pe-csirt", part)
    return Application(
        handle, statement, world.now, world.now + 30 * DAY_MS, document=CANARY.encode(), salt=bytes(16)
    )


def test_a_hub_is_made_again_as_it_was(
    world: World, home: Path, tmp_path: Path, secret: Unlock, unlock: Unlock
) -> None:
    made = back_up(home, tmp_path / "file", secret, unlock)
    create_key_file(tmp_path / "new-key")
    new = Unlock.key_file(tmp_path / "new-key")
    restored = restore(tmp_path / "file", tmp_path / "again", secret, new, now=world.now)
    assert (made.left_out, restored) == ((), Restored(7, 0))
    assert open_keystore(tmp_path / "again", new).get(SEED) == b"s" * 32
    assert load_settings(tmp_path / "again") == load_settings(home)
    store = HubStore.open(tmp_path / "again")
    assert store.load_leaves_sync() == world.leaves
    store.close_sync()
    assert check_home_modes(tmp_path / "again") == []


def test_an_application_rejected_after_the_backup_is_not_back(
    world: World, home: Path, tmp_path: Path, secret: Unlock, unlock: Unlock
) -> None:
    store = HubStore.open(home)
    waits, goes = application(world, "mx-csirt"), application(world, "cl-csirt")
    store.put_applications_sync([replace(waits, document=b"Waits"), goes])
    back_up(home, tmp_path / "file", secret, unlock)
    store.put_applications_sync([goes.over(REJECTED, "No decree", now=world.now)])
    backup.back_up_erasures(home, tmp_path / "later", secret, now=8)
    store.close_sync()
    restored = restore(
        tmp_path / "file", tmp_path / "again", secret, unlock, now=world.now, newer=tmp_path / "later"
    )
    assert restored.erased == 1
    store = HubStore.open(tmp_path / "again")
    found = {one.member: (one.ended, one.reason, one.document) for one in store.applications_sync()}
    store.close_sync()
    assert found == {"mx-csirt": ("", "", b"Waits"), "cl-csirt": (REJECTED, "No decree", b"")}
    assert CANARY.encode() not in contents(tmp_path / "again")


def test_when_the_newest_backup_was_made_is_known(
    home: Path, tmp_path: Path, secret: Unlock, unlock: Unlock
) -> None:
    assert last_backup(home) == 0
    keystore = open_keystore(home, unlock)
    backup.back_up(home, keystore, tmp_path / "one", secret, now=5 * DAY_MS, progress=silent)
    assert last_backup(home) == 5 * DAY_MS
    with pytest.raises(Refused):  # the file is there already
        backup.back_up(home, keystore, tmp_path / "one", secret, now=6 * DAY_MS, progress=silent)
    assert last_backup(home) == 5 * DAY_MS
    backup.restore(tmp_path / "one", tmp_path / "new", secret, unlock, now=9 * DAY_MS, progress=silent)
    assert last_backup(tmp_path / "new") == 5 * DAY_MS
    assert check_home_modes(tmp_path / "new") == []


async def test_parts_that_the_log_has_unnamed_since_go_when_members_bring_the_log_back(
    world: World, home: Path, tmp_path: Path, secret: Unlock, unlock: Unlock
) -> None:
    async with services(world, home) as hub:
        old = a_part("pe-csirt", "public", CANARY)
        await send(hub, record(world, "pe-csirt", old), [old], by="pe-csirt")
        back_up(home, tmp_path / "file", secret, unlock)
        new = a_part("pe-csirt", "public", "CSIRT of Peru")
        await send(hub, record(world, "pe-csirt", new), [new], by="pe-csirt")
        checkpoint, size = hub.registrar.checkpoint, hub.registrar.directory.size
        (leaf,) = await hub.store.leaves_from(size - 1, end=size, most=2**20)
    restore(tmp_path / "file", tmp_path / "again", secret, unlock, now=world.now)
    assert CANARY.encode() in contents(tmp_path / "again")
    async with services(world, tmp_path / "again") as hub:
        assert await hub.registrar.take_checkpoint(checkpoint) == (size - 1, size)
        with pytest.raises(Unavailable) as caught:
            hub.registrar.check_writable()
        assert caught.value.code == "directory.read-only"
        await hub.registrar.take_leaves(len(leaf).to_bytes(4, "big") + leaf)
        assert hub.registrar.directory.size == size
        assert CANARY.encode() not in contents(tmp_path / "again")


async def test_a_restored_hub_keeps_its_log_shut_until_all_were_heard_or_a_day_is_over(
    world: World, home: Path, tmp_path: Path, secret: Unlock, unlock: Unlock
) -> None:
    back_up(home, tmp_path / "file", secret, unlock)
    restore(tmp_path / "file", tmp_path / "again", secret, unlock, now=world.now)
    store, clock = HubStore.open(tmp_path / "again"), world.now + 3_600_000
    settle = settle_seconds(tmp_path / "again", 30, now=clock)
    registrar = await Registrar.open(store, keys=world.hub_keys, clock=lambda: clock, settle_seconds=settle)
    clock += 31_000  # an ordinary start would be over
    assert registrar.read_only
    for member in world.directory.members:
        assert registrar.read_only
        registrar.heard(member)
    assert not registrar.read_only
    await store.close()
    has_settled(tmp_path / "again")
    assert settle_seconds(tmp_path / "again", 30, now=clock) == 30


def test_the_wait_after_a_restore_ends_whatever_the_clock_did(tmp_path: Path) -> None:
    mark_restored(tmp_path, now=1_000_000)
    day = RESTORED_SETTLE_MS // 1_000
    assert settle_seconds(tmp_path, 30, now=1_000_000) == day
    assert settle_seconds(tmp_path, 30, now=1_000_000 + RESTORED_SETTLE_MS) == 30
    assert settle_seconds(tmp_path, 30, now=0) == day  # a clock that was ahead then
    (tmp_path / "restored").write_text("?")
    assert settle_seconds(tmp_path, 30, now=0) == day


def test_a_certificate_from_outside_the_home_is_named(
    world: World, home: Path, tmp_path: Path, secret: Unlock, unlock: Unlock
) -> None:
    for name, folder in (("fullchain.pem", home), ("privkey.pem", tmp_path)):
        (folder / name).write_bytes(b"PEM")
    with (home / "config.toml").open("a") as config:
        config.write(f'tls_certificate = "{home}/fullchain.pem"\ntls_key = "{tmp_path}/privkey.pem"\n')
    made = back_up(home, tmp_path / "file", secret, unlock)
    restore(tmp_path / "file", tmp_path / "again", secret, unlock, now=world.now)
    assert made.left_out == (f"{tmp_path}/privkey.pem",)
    assert (tmp_path / "again" / "fullchain.pem").read_bytes() == b"PEM"


def test_every_file_that_a_hubs_setting_names_comes_back(
    world: World, home: Path, tmp_path: Path, secret: Unlock, unlock: Unlock
) -> None:
    names = {one.removeprefix("hub."): f"of/{one}" for one in FILES if one.startswith("hub.")}
    names |= {"tls_key": "secrets", "alarm.mail_ca": "ca.pem"}  # of the backup's own entries; in it anyway
    (home / "of").mkdir()
    for name in names.values():
        (home / name).write_text(name)
    (home / "call").write_text("#!/bin/sh\n")
    with (home / "config.toml").open("a") as config:
        config.writelines(f'{one} = "{name}"\n' for one, name in names.items() if "." not in one)
        config.write(f'alarm.command = ["{tmp_path}/again/call"]\n')
        config.writelines(f'{one} = "{name}"\n' for one, name in names.items() if "." in one)
    home.rename(tmp_path / "again")
    made = back_up(tmp_path / "again", tmp_path / "file", secret, unlock)
    (tmp_path / "again").rename(home)
    restored = restore(tmp_path / "file", tmp_path / "again", secret, unlock, now=world.now)
    assert (made.left_out, restored.missing) == ((), ())
    assert {one: (tmp_path / "again" / one).read_text() for one in names.values()} == {
        one: one for one in names.values()
    }
    assert len(names) >= 5
    assert (tmp_path / "again" / "call").stat().st_mode & 0o777 == 0o700
    assert check_home_modes(tmp_path / "again") == []


def test_a_hubs_files_that_are_not_in_its_backup_are_told_at_both_ends(
    world: World, home: Path, tmp_path: Path, secret: Unlock, unlock: Unlock
) -> None:
    (tmp_path / "urls").write_text("json://127.0.0.1")
    with (home / "config.toml").open("a") as config:
        config.write(f'[alarm]\nmail_login = "gone"\napprise = "{tmp_path}/urls"\ncommand = ["/none/call"]\n')
    made = back_up(home, tmp_path / "file", secret, unlock)
    restored = restore(tmp_path / "file", tmp_path / "again", secret, unlock, now=world.now)
    assert set(made.left_out) == {f"{home}/gone", f"{tmp_path}/urls", "/none/call"}
    assert set(restored.missing) == {f"{tmp_path}/again/gone", "/none/call"}


def test_a_network_that_has_not_begun_is_no_hub_yet(
    home: Path, tmp_path: Path, secret: Unlock, unlock: Unlock
) -> None:
    (home / "hub.db").unlink()
    HubStore.open(home).close_sync()
    with pytest.raises(Refused) as caught:
        back_up(home, tmp_path / "file", secret, unlock)
    assert caught.value.code == "hub.genesis-incomplete"
    assert not (tmp_path / "file").exists()
