"""Disks that are full or fail at the n-th call: what callers are told, whether work goes on, and nothing is lost."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from exchange.errors import ExchangeError, Refused, Unavailable
from exchange.hub.store.store import HubStore
from tests.power.disk import (
    SQLITE_CORRUPT,
    SQLITE_FULL,
    SQLITE_IOERR_FSYNC,
    SQLITE_IOERR_READ,
    SQLITE_IOERR_TRUNCATE,
    SQLITE_IOERR_WRITE,
    Disk,
    Op,
    Survivor,
    database_files,
    put,
)
from tests.power.hub_crashes import fresh_files, judge
from tests.power.hub_work import Hub, HubRun
from tests.power.node_crashes import arrived
from tests.power.node_work import HERE, THERE, Node, judge as judge_node
from tests.power.sqlite_vfs import SQLITE_OK, watching, why_not
from tests.simulator import simulation

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

STEPS = 20
SAMPLE = 4  # seeds, each with a fault elsewhere
IOERR = {"write": SQLITE_IOERR_WRITE, "sync": SQLITE_IOERR_FSYNC, "truncate": SQLITE_IOERR_TRUNCATE}


class Space:
    """A disk that is full from its n-th write on, for so many writes."""

    def __init__(self, disk: Disk, first: int, many: int) -> None:
        self._before, self.refused, self._many = first, 0, many
        disk.fault = self._judge

    def _judge(self, op: Op) -> int:
        if op.kind != "write":
            return SQLITE_OK
        if self._before > 0:
            self._before -= 1
            return SQLITE_OK
        if self.refused < self._many:
            self.refused += 1
            return SQLITE_FULL
        return SQLITE_OK


class Failing:
    """A disk whose n-th call of a kind fails."""

    def __init__(self, disk: Disk, kind: str, first: int) -> None:
        self._kind, self._before, self.failed = kind, first, False
        disk.fault = self._judge

    def _judge(self, op: Op) -> int:
        if op.kind != self._kind or self.failed:
            return SQLITE_OK
        self._before -= 1
        self.failed = self._before < 0
        return IOERR[op.kind] if self.failed else SQLITE_OK


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    put(folder, fresh_files(tmp_path))
    return folder


@pytest.mark.parametrize("number", range(SAMPLE))
async def test_a_hub_goes_on_when_a_full_disk_has_space_again(number: int, home: Path) -> None:
    hub, disk = Hub(random.Random(f"full/{number}")), Disk()
    with watching(home, disk):
        run = HubRun(hub, home, disk)
        space = Space(disk, hub.chance.randint(0, 150), hub.chance.choice((1, 3, 12)))
        told = [await run.work(1) for _ in range(STEPS)]
        assert space.refused > 0
        assert {fault.code for fault in told if fault} == {"storage.full"}
        assert await run.work(STEPS) is None
        assert run.broken == []
        await run.store.close()
    assert await judge(hub, home, disk.now) == []


@pytest.mark.parametrize("kind", ["write", "sync"])
@pytest.mark.parametrize("number", range(SAMPLE // 2))
async def test_a_hub_stops_when_its_disk_fails_and_recovers_at_its_next_start(
    kind: str, number: int, home: Path
) -> None:
    hub, disk = Hub(random.Random(f"{kind}/{number}")), Disk()
    before = database_files(home)
    with watching(home, disk):
        run = HubRun(hub, home, disk)
        failing = Failing(disk, kind, hub.chance.randint(0, 12 if kind == "sync" else 100))
        fault = await run.work(3 * STEPS)
        assert failing.failed
        assert fault is not None
        assert fault.code == "storage.io"
        assert run.broken == ["storage.io"]
        for attempt in (run.store.check_writable(), run.store.totals()):
            with pytest.raises(Unavailable) as refused:
                await attempt
            assert refused.value.code == "storage.io"
        disk.cut_at = disk.now
        await run.store.close()
    survivor = Survivor(home, before)
    survivor.replay(disk.ops, disk.now)
    put(home, survivor.after_cut(f"{kind}/{number}"))
    assert await judge(hub, home, disk.now) == []
    hub.begin_run()
    again = HubRun(hub, home, Disk())
    assert await again.work(STEPS) is None
    await again.store.close()
    assert await judge(hub, home, disk.now) == []


@pytest.mark.parametrize(
    ("result", "kind", "code"),
    [(SQLITE_IOERR_READ, Unavailable, "storage.io"), (SQLITE_CORRUPT, Refused, "storage.damaged")],
)
async def test_a_page_that_can_not_be_read_ends_all_work(
    result: int, kind: type[ExchangeError], code: str, home: Path
) -> None:
    disk = Disk()
    broken: list[str] = []
    with watching(home, disk):
        store = HubStore.open(home, on_broken=lambda fault: broken.append(fault.code))
        disk.read_fault = lambda _path, offset: result if offset > 0 else SQLITE_OK
        for _ in range(2):
            with pytest.raises(kind) as told:
                await store.totals()
            assert told.value.code == code
        assert broken == [code]
        await store.close()


async def test_a_damaged_page_is_told_with_what_to_do(home: Path) -> None:
    store = HubStore.open(home)
    run = HubRun(Hub(random.Random("damage")), home, Disk())
    await run.work(STEPS)
    await run.store.close()
    await store.close()
    path = home / "hub.db"
    data = bytearray(path.read_bytes())
    page = 16 * 1024
    for start in range(page, len(data), page):  # every page but the first, which has the schema
        data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(Refused, match="backup") as told:
        await HubStore.open(home).totals()
    assert told.value.code == "storage.damaged"


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (lambda disk: Space(disk, 30, 8), "storage.full"),
        (lambda disk: Failing(disk, "write", 40), "storage.io"),
        (lambda disk: Failing(disk, "sync", 9), "storage.io"),
    ],
    ids=["full", "failed write", "failed sync"],
)
async def test_a_node_loses_nothing_by_its_disk(
    trouble: Callable[[Disk], object], code: str, tmp_path: Path
) -> None:
    async with simulation(tmp_path, (HERE, THERE)) as sim:
        disk = Disk()
        node = Node(sim, sim.sites[HERE], sim.sites[THERE], random.Random("node"), disk)
        home = node.here.home
        await node.here.stop()
        before = database_files(home)
        with watching(home, disk):
            await node.here.start()
            trouble(disk)
            told = await _work(node)
            assert set(told) == {code}
            if code == "storage.io":
                disk.cut_at = disk.now
            with contextlib.suppress(Unavailable):
                await node.here.crash()
        if code == "storage.io":
            survivor = Survivor(home, before)
            survivor.replay(disk.ops, disk.now)
            put(home, survivor.after_cut("node"))
        assert judge_node(home, node.promises) == []
        assert await arrived(sim, node) == []


async def _work(node: Node) -> list[str]:
    """Work until the disk fails; on a full one go on. The codes that were told."""
    told: list[str] = []
    for _ in range(STEPS):
        try:
            await node.step()
        except ExchangeError as fault:
            told.append(fault.code)
            if fault.code == "storage.io":
                break
    return told
