"""Databases that older versions wrote (kept/): a newer one reads all of them, also after an upgrade cut short."""

from __future__ import annotations

import json
import lzma
import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from exchange import merkle
from exchange.canonical import sha256
from exchange.content import REPLACED
from exchange.errors import Refused
from exchange.hub.store.cursor import Cursor
from exchange.hub.store.page import Announcement
from exchange.hub.store.store import MIGRATIONS as HUB_STEPS, HubStore
from exchange.node.identity import Sources
from exchange.node.keys.own_keys import SEED
from exchange.node.mail.desk import Desk
from exchange.node.store import feeds as store_feeds, outside as store_outside
from exchange.node.store.store import MIGRATIONS as NODE_STEPS, Transaction, open_store
from exchange.protocol import ITEM_DELIVERY
from exchange.storage.keystore import Keystore
from exchange.storage.migrate import known_steps, stored_step
from exchange.storage.unlock import Unlock, create_key_file
from tests.power.disk import Disk, Survivor, database_files, put
from tests.power.sqlite_vfs import watching, why_not
from tests.simulator import Simulation
from tests.worlds import make_world, seed

KEPT = Path(__file__).parent / "kept"
STEPS = sorted(file.stem for file in KEPT.glob("*.json"))
PE, CO = "pe-csirt", "co-csirt"
CUTS = 12  # of an upgrade
MANY_DECISIONS = 2_000
TODAYS_LOG = "0002"  # what is older has statements in its log that today's rules don't know (kept/README.md)

Open = Callable[[Path], object]


def open_hub(home: Path) -> None:
    HubStore.open(home).close_sync()


def open_node(home: Path) -> None:
    open_store(home / "node.db", bytes(32), owner=True).db.close_sync()


SIDES = {"hub": (open_hub, known_steps(HUB_STEPS)[-1]), "node": (open_node, known_steps(NODE_STEPS)[-1])}


def said(step: str) -> dict[str, Any]:
    return json.loads((KEPT / f"{step}.json").read_text())


def schema(side: str, step: str) -> str:
    """Which step that side's database of a pair is at: one side may have had fewer."""
    return str(said(step)[side].get("schema", step))


each_kept = pytest.mark.parametrize(
    ("side", "step"),
    [(side, step) for side in SIDES for step in STEPS if schema(side, step) != SIDES[side][1]],
)


def unpack(side: str, step: str, home: Path) -> Path:
    """Put the kept database into the folder, which it makes; its path."""
    home.mkdir()
    path = home / f"{side}.db"
    path.write_bytes(lzma.decompress((KEPT / f"{side}-{step}.db.xz").read_bytes()))
    path.chmod(0o600)
    return path


def counts(path: Path, tables: dict[str, int]) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - the list's names
            for name in tables
        }


def test_every_step_but_the_newest_is_kept() -> None:
    for side, (_, newest) in SIDES.items():
        kept = {schema(side, step) for step in STEPS}
        assert kept - {newest} == {f"{n:04}" for n in range(1, int(newest))}


@each_kept
def test_an_upgrade_keeps_every_row_and_the_old_file(side: str, step: str, tmp_path: Path) -> None:
    path = unpack(side, step, tmp_path / "home")
    opened, newest = SIDES[side]
    opened(tmp_path / "home")
    assert stored_step(path, app=side) == newest
    tables = said(step)[side]["tables"]
    assert counts(path, tables) == tables
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    copy = path.with_name(f"{path.name}.before-{newest}")
    assert stored_step(copy, app=side) == schema(side, step)
    assert counts(copy, tables) == tables


@pytest.mark.parametrize("step", STEPS)
async def test_the_hubs_store_reads_what_an_old_version_wrote(step: str, tmp_path: Path) -> None:
    was = said(step)["hub"]
    unpack("hub", step, tmp_path / "hub")
    store = HubStore.open(tmp_path / "hub")
    try:
        totals = await store.totals()
        assert [totals.envelopes, totals.bytes, totals.rows] == was["totals"]
        if schema("hub", step) < "0005":  # of what was over nothing was counted any more
            over = "SELECT count(*), sum(size) FROM envelopes WHERE waiting = 0"
            assert tuple(store.db.read_sync(lambda c: c.exec_driver_sql(over).one())) == (6, 0)
        leaves = store.load_leaves_sync()
        assert [len(leaves), merkle.root(leaves).hex()] == was["log"]
        assert await store.highest_batch("hub") == was["batch"]
        for member, items in was["mailboxes"].items():
            nothing_new = Announcement(number=0, payload=b"")
            page = await store.page(member, Cursor("any"), most=1_000_000, announced=nothing_new)
            mail = [item for item in page.items if item.type == ITEM_DELIVERY]
            assert [[item.type, sha256(item.payload).hex()] for item in mail] == items
    finally:
        await store.close()


@pytest.mark.parametrize("step", STEPS)
def test_the_nodes_desk_reads_what_an_old_version_wrote(step: str, tmp_path: Path) -> None:
    was = said(step)
    path = unpack("node", step, tmp_path / PE)
    store = open_store(path, bytes(32), owner=True)
    sources = Sources(clock=lambda: was["now"], monotonic=lambda: 0, random=bytes, new_id=str)
    try:
        assert desk_says(Desk(store, sources, who="analyst")) == _by_people(was)
    finally:
        store.db.close_sync()


@pytest.mark.parametrize(("why", "marks"), [(None, "voided"), (REPLACED, "")])
def test_a_void_of_old_marks_its_mail(tmp_path: Path, why: str | None, marks: str) -> None:
    """But not what stands by another number, too."""
    path = unpack("node", "0005", tmp_path / PE)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE voids_in SET why = coalesce(?, why)", (why,))
    store = open_store(path, bytes(32), owner=True)
    try:
        query = "SELECT marks FROM inbox JOIN voids_in USING (env, sender)"
        found = store.db.read_sync(lambda c: c.exec_driver_sql(query).fetchall())
        assert [tuple(row) for row in found] == [(marks,)]
    finally:
        store.db.close_sync()


def test_what_feeds_brought_before_can_be_forgotten_and_taken_back(tmp_path: Path) -> None:
    path = unpack("node", "0005", tmp_path / PE)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO outside_decisions (thing_key, upto_n, feed, upto, why, at, by)"
            " VALUES (?, 1, ?, 1, x'', ?, 'ana')",
            [(1, None, 5), (2, None, 5), (3, None, 6), (None, 1, 5)],
        )
    store = open_store(path, bytes(32), owner=True)

    def forget(connection: Transaction) -> None:
        feed = store_feeds.find(connection, store.cipher, "feed")
        assert feed is not None
        store_feeds.remove(connection, store.cipher, feed, now=0, forget=True)
        while store_outside.expire(connection, store.cipher, feed.n, before=store_outside.EVER):
            pass

    try:
        made_on = "SELECT thing_key, made_on FROM outside_decisions ORDER BY n"
        found = store.db.read_sync(lambda c: c.exec_driver_sql(made_on).fetchall())
        assert [tuple(row) for row in found] == [(1, 1), (2, 1), (3, 3), (None, None)]
        assert not store.db.read_sync(store_outside.is_empty)
        store.db.write_sync(forget)
        assert store.db.read_sync(store_outside.is_empty)
        tables = dict.fromkeys(("outside_objects", "outside_origins", "outside_bringers"), 0)
        assert counts(path, tables) == tables
    finally:
        store.db.close_sync()


def test_an_upgrade_takes_a_step_for_each_decision_not_for_each_two(tmp_path: Path) -> None:
    path, steps = unpack("node", "0005", tmp_path / PE), 0
    statements = import_module("exchange.node.migrations.versions.0006_doubts").STEPS

    def count() -> None:
        nonlocal steps
        steps += 1_000

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO outside_decisions (thing_key, upto_n, upto, why, at, by) VALUES (?, 1, 1, x'', ?, 'ana')",
            [(n, n // 2) for n in range(MANY_DECISIONS)],
        )
        connection.set_progress_handler(count, 1_000)  # of the database's virtual machine
        for statement in statements:
            connection.execute(statement)
        made = connection.execute("SELECT count(DISTINCT made_on) FROM outside_decisions").fetchone()
        indexes = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
    assert made == (MANY_DECISIONS // 2,)
    assert ("outside_decisions_moment",) not in indexes
    assert steps < 100 * MANY_DECISIONS


def desk_says(desk: Desk) -> dict[str, Any]:
    """As kept/make.py asks it."""
    sent = desk.outbox()
    return {
        "inbox": [[one.message_id, one.sender, one.summary["subject"]] for one in desk.inbox()],
        "outbox": [
            [each.message.id, [[one.recipient, one.state, one.code] for one in each.addressees]]
            for each in sent
        ],
        "notes": [one.note for each in sent for one in each.addressees if one.note],
        "quarantine": [one.code for one in desk.quarantined()],
        "alarms": [one.code for one in desk.alarms()],
    }


def _by_people(was: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in was["node"].items() if name not in ("tables", "schema")}


@pytest.mark.parametrize("step", [step for step in STEPS if step >= TODAYS_LOG])
async def test_an_old_hub_and_an_old_node_work_on(step: str, tmp_path: Path) -> None:
    was = said(step)
    sim = Simulation(make_world((PE, CO)), tmp_path)
    sim.world.now = was["now"]
    unpack("hub", step, tmp_path / "hub")
    unpack("node", step, tmp_path / PE)
    key = tmp_path / PE / "key"
    create_key_file(key)
    Keystore.create(key.with_name("prekeys"), Unlock.key_file(key), {})
    Keystore.create(key.with_name("keystore"), Unlock.key_file(key), {SEED: seed(PE)})
    await sim.start_hub()
    try:
        pe = sim.site(PE)
        await pe.start()
        assert desk_says(pe.desk) == _by_people(was)
        directory = sim.running_hub.registrar.directory
        assert pe.up.replica.directory.size == directory.size
        assert directory.members.keys() == {PE, CO}

        await sim.rounds(2)
        waited = [own for own, [[_, state, _]] in was["node"]["outbox"] if state in ("queued", "sealed")]
        assert len(waited) == 2
        assert [pe.state(own, CO) for own in waited] == ["accepted", "accepted"]
    finally:
        await sim.close()


@pytest.mark.skipif(bool(why_not()), reason=why_not())
@each_kept
def test_an_upgrade_whose_power_is_cut_leaves_the_old_or_the_new(
    side: str, step: str, tmp_path: Path
) -> None:
    opened, newest = SIDES[side]
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    path = unpack(side, step, home)
    scratch.mkdir()
    before = database_files(home)
    disk = Disk()
    with watching(home, disk):
        opened(home)
    # The way back is on the disk before the way forward is taken.
    copying = [number for number, op in enumerate(disk.ops) if ".before-" in op.path]
    upgrading = [
        number for number, op in enumerate(disk.ops) if op.path == f"{path}-wal" and op.kind == "write"
    ]
    assert copying
    assert max(copying) < min(upgrading)
    survivor = Survivor(home, before)
    survivor.replay(disk.ops, min(upgrading))
    assert survivor.is_sure(f".{path.name}.before-{newest}.new")

    survivor = Survivor(home, before)
    tables, steps = said(step)[side]["tables"], set()
    for moment in sorted({*range(0, disk.now, max(1, disk.now // CUTS)), disk.now}):
        survivor.replay(disk.ops, moment)
        files = survivor.after_cut(f"{side}/{step}/{moment}")
        put(scratch, {name: data for name, data in files.items() if ".before-" not in name})
        steps.add(stored_step(scratch / path.name, app=side))
        assert counts(scratch / path.name, tables) == tables
        opened(scratch)
        assert stored_step(scratch / path.name, app=side) == newest
        assert counts(scratch / path.name, tables) == tables
    assert steps == {schema(side, step), newest}


@pytest.mark.parametrize("side", SIDES)
def test_a_schema_of_a_newer_version_is_refused_and_untouched(side: str, tmp_path: Path) -> None:
    path = unpack(side, STEPS[-1], tmp_path / "home")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(Refused, match=r"9999.*install the newer version again") as refused:
        SIDES[side][0](tmp_path / "home")
    assert refused.value.code == "storage.newer-schema"
    assert path.read_bytes() == before
