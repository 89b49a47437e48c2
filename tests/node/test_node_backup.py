"""A member's home backed up and made again: without prekeys, with what was erased since, with its units, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exchange.errors import Refused
from exchange.node import backup
from exchange.node.backup import Made, Restored
from exchange.node.home import LOCAL_KEY, Paths, open_home
from exchange.node.keys.own_keys import NEXT, REVEALED, SEED
from exchange.node.restore import PENDING
from exchange.node.store import erasing as store_erasing
from exchange.node.store.holds import add_hold, holds, release_hold
from exchange.node.store.restore import LAST
from exchange.node.store.store import MIGRATIONS, Store, number
from exchange.storage.backup import ERASURES, HOME, Head, writing
from exchange.storage.database import Database
from exchange.storage.files import check_home_modes
from exchange.storage.keystore import Keystore
from exchange.storage.migrate import known_steps, stored_step
from exchange.storage.unlock import Unlock, create_key_file
from tests.node.unit_homes import key_of, made
from tests.simulator import KEY, Simulation, Site
from tests.worlds import keys, seed


def silent(_done: int, _of: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def secret(tmp_path: Path) -> Unlock:
    create_key_file(tmp_path / "backup-key")
    return Unlock.key_file(tmp_path / "backup-key")


def unlock_of(site: Site) -> Unlock:
    return Unlock.key_file(site.home / KEY)


def keystore_of(site: Site) -> Keystore:
    return Keystore.open(site.home / "keystore", unlock_of(site))


def back_up(site: Site, target: Path, secret: Unlock) -> Made:
    """While its node runs."""
    return backup.back_up(
        site.home, keystore_of(site), target, secret, now=site.simulation.world.now, progress=silent
    )


async def lose_and_restore(
    site: Site, source: Path, secret: Unlock, *, newer: Path | None = None, seed: bytes | None = None
) -> Restored:
    """kill -9, the disk gone, the home made again from the backup, and its node started."""
    if site.node is not None:
        await site.crash()
    key = site.home.with_name("key-of-the-restored")
    shutil.copy(site.home / KEY, key)
    shutil.rmtree(site.home)
    restored = backup.restore(
        source,
        site.home,
        secret,
        Unlock.key_file(key),
        now=site.simulation.world.now,
        progress=silent,
        newer=newer,
        seed=seed,
    )
    shutil.copy(key, site.home / KEY)
    await site.start()
    return restored


def erase(store: Store, message_id: str, *, now: int) -> None:
    """As a person asks for it."""
    store.db.write_sync(lambda c: store_erasing.erase(c, store.cipher, message_id, now=now))


async def test_a_restored_node_has_no_prekeys_and_is_sealed_to_again(
    sim: Simulation, host: Site, co: Site, secret: Unlock, tmp_path: Path
) -> None:
    early = co.send("pe-csirt")
    await sim.rounds(3)
    assert keystore_of(host).names() != []
    made = back_up(host, tmp_path / "file", secret)
    assert number_of(host, LAST) == made.at
    received = co.send("pe-csirt")
    await sim.rounds(3)
    await host.crash()
    waiting = co.send("pe-csirt")  # sealed to prekeys that are lost, and still at the hub
    await sim.rounds(2)
    restored = await lose_and_restore(host, tmp_path / "file", secret)
    assert (restored.of, restored.made_at) == ("pe-csirt", made.at)
    held = Keystore.open(host.home / "prekeys", unlock_of(host)).names()
    assert (held, host.received(), number_of(host, PENDING)) == ([], [early], 1)
    await sim.rounds(5)
    assert sorted(host.received()) == sorted([early, received, waiting])
    assert [co.state(one, "pe-csirt") for one in (early, received, waiting)] == ["stored"] * 3
    assert number_of(host, PENDING) == 0
    assert not {"chain.fork", "directory.split", "directory.own-name"} & {
        *host.alarm_codes(),
        *co.alarm_codes(),
    }


async def test_quiet_since_the_backup_the_node_asks_all_the_same(
    sim: Simulation, host: Site, co: Site, secret: Unlock, tmp_path: Path
) -> None:
    """The hub's memory shows nothing newer than the backup; only the restore knows that the prekeys are gone."""
    await sim.rounds(2)
    back_up(host, tmp_path / "file", secret)
    await lose_and_restore(host, tmp_path / "file", secret)
    assert number_of(host, PENDING) == 1
    await sim.rounds(3)
    assert number_of(host, PENDING) == 0
    message = co.send("pe-csirt")
    await sim.rounds(3)
    assert (host.received(), co.state(message, "pe-csirt")) == ([message], "stored")


async def test_what_was_erased_after_the_backup_stays_erased_also_when_peers_send_it_again(
    sim: Simulation, host: Site, co: Site, secret: Unlock, tmp_path: Path
) -> None:
    old, kept = co.send("pe-csirt"), co.send("pe-csirt")
    own = host.send("co-csirt")
    await sim.rounds(4)
    back_up(host, tmp_path / "file", secret)
    new = co.send("pe-csirt")
    await sim.rounds(3)
    for message in (old, new, own):
        erase(host.up.store, message, now=sim.world.now)
    backup.back_up_erasures(host.home, keystore_of(host), tmp_path / "later", secret, now=sim.world.now)
    restored = await lose_and_restore(host, tmp_path / "file", secret, newer=tmp_path / "later")
    assert restored.erased == 2
    assert host.received() == [kept]
    await sim.rounds(6)
    assert (host.received(), co.received()) == ([kept], [own])
    assert {host.state(own, "co-csirt")} <= {"stored", "lost"}


async def test_what_is_erased_while_this_copy_believes_it_under_way_is_not_sealed(
    sim: Simulation, host: Site, co: Site, secret: Unlock, tmp_path: Path
) -> None:
    own = host.send("co-csirt")
    back_up(host, tmp_path / "file", secret)  # before it has gone
    await sim.rounds(4)
    erase(host.up.store, own, now=sim.world.now)
    backup.back_up_erasures(host.home, keystore_of(host), tmp_path / "later", secret, now=sim.world.now)
    await lose_and_restore(host, tmp_path / "file", secret, newer=tmp_path / "later")
    await sim.rounds(5)
    assert (co.received(), host.state(own, "co-csirt")) == ([own], "lost")
    assert co.desk.alarms() == []


async def test_holds_since_the_backup_stand_again_and_ended_ones_do_not(
    sim: Simulation, host: Site, secret: Unlock, tmp_path: Path
) -> None:
    store, at = host.up.store, sim.world.now

    def hold(case: str, when: int) -> None:
        store.db.write_sync(
            lambda c: add_hold(
                c, store.cipher, kind="case", subject=case, reason="Court order 7", who="ana", at=when
            )
        )

    def release(case: str, when: int) -> None:
        store.db.write_sync(lambda c: release_hold(c, kind="case", subject=case, who="ana", at=when))

    hold("one", at)
    back_up(host, tmp_path / "file", secret)
    release("one", at + 1)
    hold("two", at + 2)
    hold("three", at + 3)
    release("three", at + 4)
    hold("three", at + 5)
    back_up(host, tmp_path / "later", secret)
    await lose_and_restore(host, tmp_path / "file", secret, newer=tmp_path / "later")
    restored = host.up.store
    found = restored.db.read_sync(lambda c: holds(c, restored.cipher, limit=10))
    assert [(one.subject, one.at, one.released_at) for one in reversed(found)] == [
        ("one", at, at + 1),
        ("two", at + 2, None),
        ("three", at + 3, at + 4),
        ("three", at + 5, None),
    ]


async def test_units_come_along_under_their_own_secrets(
    sim: Simulation, host: Site, secret: Unlock, tmp_path: Path
) -> None:
    made(host, "tracing")
    unit = Paths(host.home).unit("tracing")
    before = Keystore.open(unit.keystore, Unlock.key_file(key_of(host, "tracing"))).get(SEED)
    assert back_up(host, tmp_path / "file", secret).units == ("tracing",)
    restored = await lose_and_restore(host, tmp_path / "file", secret)
    assert restored.units == ("tracing",)
    assert (unit.prekeys.exists(), unit.restored.exists()) == (False, True)
    home = open_home(unit.root, Unlock.key_file(key_of(host, "tracing")))
    assert (home.keystore.get(SEED), home.prekeys.names()) == (before, [])
    assert (unit.prekeys.exists(), unit.restored.exists()) == (True, False)
    store = home.open_store(owner=True)
    assert store.db.read_sync(lambda c: number(c, PENDING)) == 1
    store.db.close_sync()
    assert check_home_modes(unit.root) == []
    with pytest.raises(Refused) as caught:
        backup.restore(
            tmp_path / "file",
            tmp_path / "elsewhere",
            secret,
            secret,
            now=sim.world.now,
            progress=silent,
            unit="tracing",
        )
    assert caught.value.code == "backup.other-kind"


async def test_a_unit_backs_itself_up(sim: Simulation, host: Site, secret: Unlock, tmp_path: Path) -> None:
    made(host, "tracing")
    unit, unlock = Paths(host.home).unit("tracing"), Unlock.key_file(key_of(host, "tracing"))
    keystore = Keystore.open(unit.keystore, unlock)
    of = backup.back_up(unit.root, keystore, tmp_path / "file", secret, now=sim.world.now, progress=silent).of
    shutil.rmtree(unit.root)
    restored = backup.restore(
        tmp_path / "file", unit.root, secret, unlock, now=sim.world.now, progress=silent, unit="tracing"
    )
    home = open_home(unit.root, unlock)
    assert (of, restored.of, home.keystore.get(SEED)) == (of, "pe-csirt/tracing", keystore.get(SEED))


async def test_keys_changed_since_the_backup_come_back_from_paper(
    sim: Simulation, host: Site, co: Site, secret: Unlock, tmp_path: Path
) -> None:
    back_up(host, tmp_path / "file", secret)
    paper = seed("next/pe-csirt")
    await host.up.own_keys.rotate(host.hub, paper, keys("next/next/pe-csirt").public)
    await sim.rounds(2)
    await lose_and_restore(host, tmp_path / "file", secret, seed=paper)
    names = keystore_of(host).names()
    assert (REVEALED in names, keystore_of(host).get(SEED) == paper) == (True, False)
    await sim.rounds(4)  # the log says which of the two counts
    assert host.alarm_codes() == ["node.restored-here"]
    names = keystore_of(host).names()
    assert (REVEALED in names, keystore_of(host).get(SEED) == paper) == (False, True)
    message = host.send("co-csirt")
    await sim.rounds(4)
    assert (co.received(), host.state(message, "co-csirt")) == ([message], "stored")
    assert NEXT not in names  # of the paper after it, which this home has never seen


async def test_a_hurt_backup_leaves_no_home(
    sim: Simulation, host: Site, secret: Unlock, tmp_path: Path
) -> None:
    back_up(host, tmp_path / "file", secret)
    data = bytearray((tmp_path / "file").read_bytes())
    data[-1] ^= 1
    (tmp_path / "hurt").write_bytes(data)
    with pytest.raises(Refused) as caught:
        backup.restore(
            tmp_path / "hurt", tmp_path / "home", secret, secret, now=sim.world.now, progress=silent
        )
    assert caught.value.code == "backup.damaged"
    assert not {"home", "home.restoring"} & names_in(tmp_path)


def test_a_backup_of_an_older_schema_is_upgraded_and_leaves_no_copy_of_what_it_was(
    secret: Unlock, tmp_path: Path
) -> None:
    first = tmp_path / "migrations" / "versions"
    first.mkdir(parents=True)
    for step in ("0001_first.py", "0002_directory.py"):
        shutil.copy(MIGRATIONS / "versions" / step, first / step)
    Database.open(tmp_path / "old.db", migrations=first.parent, app="node").close_sync()
    keystore = Keystore.create(tmp_path / "keystore", secret, {SEED: seed("pe-csirt"), LOCAL_KEY: bytes(32)})
    with writing(tmp_path / "file", Head("node", HOME, "pe-csirt", b"", 1, "0002"), secret) as writer:
        writer.add_secrets(keystore)
        writer.add(ERASURES, b'{"erased":[],"holds":[]}')
        writer.add("config.toml", b'member = "pe-csirt"\n')
        writer.add_file("node.db", tmp_path / "old.db", silent)
    backup.restore(tmp_path / "file", tmp_path / "home", secret, secret, now=1, progress=silent)
    assert stored_step(tmp_path / "home" / "node.db", app="node") == known_steps(MIGRATIONS)[-1]
    assert names_in(tmp_path / "home") == {"config.toml", "keystore", "lock", "node.db", "prekeys"}


async def test_no_copy_of_the_database_is_left_in_the_home(
    host: Site, secret: Unlock, tmp_path: Path
) -> None:
    before = names_in(host.home)
    back_up(host, tmp_path / "file", secret)
    assert names_in(host.home) - before == {".backup.lock"}


def number_of(site: Site, name: str) -> int:
    return site.up.store.db.read_sync(lambda c: number(c, name))


def names_in(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}
