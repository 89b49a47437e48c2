"""The simulator with everything that can go wrong: processes that die at any await, bad links, old copies, full disks.

A network starts from a prepared copy (made once a process, on a RAM-backed folder where there is one), so that a run
costs what it does and not what founding costs. What a site has said in receipts, and the hub in its own, is noted as
it goes out: after a crash it must be on the disk.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from exchange.hub.applications import Applications
from exchange.hub.blobs import Blobs
from exchange.hub.mailboxes import Mailboxes
from exchange.hub.pending import Pending
from exchange.hub.pieces import Pieces
from exchange.hub.registrar import Registrar
from exchange.hub.store.blob_files import BlobFiles
from exchange.hub.store.store import FILE, MIGRATIONS as HUB_MIGRATIONS, HubStore
from exchange.limits import HOUR_MS
from exchange.node import backup
from exchange.node.identity import Sources
from exchange.node.store.store import MIGRATIONS, Store
from exchange.settings import HubLimits
from exchange.storage.files import write_private
from exchange.storage.keystore import Keystore
from exchange.storage.local_cipher import LocalCipher
from exchange.storage.unlock import Unlock
from tests.hub_services import Services
from tests.simulation.links import FaultyHub, Link
from tests.simulation.steps import Crash, Process, SteppedDatabase
from tests.simulator import KEY, LOCAL_KEY, Simulation, Site, simulation, uuid_of
from tests.worlds import World

HANDLES: Final = ("pe-csirt", "co-csirt", "bb-csirt", "uy-csirt")
FREE: Final = 2**40
# A hub that knows itself restored takes no statements for 24 h, or until all are heard (docs/protocol.md §11.4).
# The limit is left out: with a node away for longer the log may truly split, and people must look.
UNTIL_ALL_ARE_HEARD: Final = 10**9
RECENT_MS: Final = 12 * HOUR_MS  # what the hub accepted since it can't have forgotten by any policy
RAM: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it


class FaultySite(Site):
    """A node that can die at any point, lose its disk's room, and be put back to an old copy."""

    def __init__(self, simulation: FaultySimulation, member: str, home: Path) -> None:
        super().__init__(simulation, member, home, FaultyHub(simulation, member, self))
        self.net = simulation
        self.link = Link()
        self.process = Process(member)
        self.receipted: set[bytes] = set()  # envs this node has said `stored` of
        self.restored = 0
        self.rotated_at: int | None = None  # when it changed its keys, ms
        self.told = set[str]()  # members whose losses its people heard of on a disk that is gone
        self.damage = 0
        self.latest = simulation.world.now  # the furthest its clock ever stood

    def sources(self) -> Sources:
        self.ran += 1
        chance = random.Random(f"{self.net.seed}/{self.member}/{self.ran}")
        return Sources(
            clock=self._clock,
            monotonic=lambda: self.net.world.now - self.paused,
            random=chance.randbytes,
            new_id=lambda: uuid_of(chance.randbytes(16)),
        )

    def _clock(self) -> int:
        now = self.net.world.now + self.offset
        self.latest = max(self.latest, now)
        return now

    def open_store(self) -> Store:
        database = SteppedDatabase.open(self.home / "node.db", migrations=MIGRATIONS, app="node")
        database.attach(self.process)
        return Store(database, LocalCipher(LOCAL_KEY))

    async def start(self, crash_at: int = 0) -> None:
        """Start; a crash on the way, at that point, leaves it down."""
        self.process = Process(self.member)
        self.process.crash_at = crash_at
        self.hub.begin()
        try:
            await super().start()
        except Crash:
            self.bury()
        self.process.crash_at = 0

    async def crash(self) -> None:
        self.process.die()
        self.bury()

    def bury(self) -> None:
        """What remains of a process that died: its files, which must hold all it has given receipts for."""
        node, self.node = self.node, None
        if node is not None:
            assert isinstance(node.store.db, SteppedDatabase)
            node.store.db.abandon()
        missing = self.receipted - set(self.column("SELECT env FROM links_in"))
        if missing:
            self.net.fault(
                "lost", f"{self.member} gave {len(missing)} receipts for what its disk doesn't hold"
            )

    async def deliver_late(self) -> None:
        """All of its requests that are still on their way come to the hub."""
        assert isinstance(self.hub, FaultyHub)
        while self.link.late:
            await self.hub.come_late()

    def column(self, query: str) -> list[Any]:
        """The first column of a query on the file, over a connection of its own."""
        return [row[0] for row in rows(self.home / "node.db", query)]

    def fill(self, full: bool) -> None:
        """Its disk is full, or no longer."""
        if self.node is not None:
            assert isinstance(self.node.store.db, SteppedDatabase)
            self.node.store.db.fill(full)

    def copy_files(self, to: Path) -> None:
        """What a backup of the disk would hold at this moment."""
        shutil.copytree(self.home, to)

    def put_back(self, copy: Path) -> None:
        """An older copy in place of the home; the node must be down."""
        self._lose_disk()
        shutil.copytree(copy, self.home)
        self._is_put_back()

    def back_up(self, to: Path) -> None:
        """A backup as `exchange node backup` writes it, beside the running node or without one."""
        backup.back_up(self.home, self._keystore(), to, self._unlock(), now=self._clock(), progress=unwatched)

    def make_again(self, source: Path, *, seed: bytes | None) -> None:
        """The home made of such a backup, and of what was erased until now; the node must be down.

        `seed`: of the keys it was given since.
        """
        newer, key = source.with_suffix(".newer"), source.with_suffix(".key")
        newer.unlink(missing_ok=True)
        backup.back_up_erasures(self.home, self._keystore(), newer, self._unlock(), now=self._clock())
        shutil.copy(self.home / KEY, key)
        self._lose_disk()
        unlock, now = Unlock.key_file(key), self._clock()
        backup.restore(source, self.home, unlock, unlock, now=now, progress=unwatched, newer=newer, seed=seed)
        shutil.copy(key, self.home / KEY)
        self._is_put_back()

    def _unlock(self) -> Unlock:
        return Unlock.key_file(self.home / KEY)

    def _keystore(self) -> Keystore:
        return Keystore.open(self.home / "keystore", self._unlock())

    def _lose_disk(self) -> None:
        self.told |= set(self.column("SELECT subject FROM alarms WHERE code = 'inbox.lost'"))
        shutil.rmtree(self.home)

    def _is_put_back(self) -> None:
        self.restored += 1
        self.receipted = set(self.column("SELECT env FROM links_in")) & self.receipted


class FaultySimulation(Simulation):
    """Hub and nodes of one run. `offset`: how far the hub's clock is off, ms."""

    def __init__(self, folder: Path, seed: str, members: int = 3) -> None:
        template, world = _prepared[members]
        super().__init__(replace(world), folder)
        self.seed = seed
        self.chance = random.Random(f"{seed}/links")
        self.limits = HubLimits()
        self.offset = 0
        self.latest = self.world.now  # the furthest the hub's clock ever stood
        self.hub_process = Process("hub")
        self.hub_restored = 0
        self.hub_full = False
        self.is_hostile = False  # the hub lies: what it keeps for itself may stay
        self.accepted: dict[bytes, int] = {}  # envs a node was told `accepted` of, and when, ms
        self.counts: Counter[str] = Counter()
        self.faults: list[tuple[str, str]] = []
        self._hub_ran = 0
        shutil.copytree(template, folder, dirs_exist_ok=True)
        for handle in HANDLES[:members]:
            self.sites[handle] = FaultySite(self, handle, folder / handle)

    def fault(self, kind: str, what: str) -> None:
        """Something that must never be."""
        self.faults.append((kind, what))

    @property
    def nodes(self) -> list[FaultySite]:
        """Every site, as what it is."""
        return [site for site in self.sites.values() if isinstance(site, FaultySite)]

    async def begin(self) -> None:
        """Everything up."""
        await self.start_hub()
        for site in self.nodes:
            await site.start()

    async def start_hub(self) -> None:
        """Start it in a new epoch; a crash on the way leaves it down."""
        self._hub_ran += 1
        self.hub_process = Process("hub")
        chance = random.Random(f"{self.seed}/hub/{self._hub_ran}")
        database = SteppedDatabase.open(self.folder / "hub" / FILE, migrations=HUB_MIGRATIONS, app="hub")
        database.attach(self.hub_process)
        store = HubStore(database)
        keys, limits = self.world.hub_keys, self.limits
        settle = UNTIL_ALL_ARE_HEARD if self.hub_restored else limits.settle_seconds
        try:
            registrar = await Registrar.open(store, keys=keys, clock=self.hub_clock, settle_seconds=settle)
        except Crash:
            database.abandon()
            return

        def free_bytes() -> int:
            return 0 if self.hub_full else FREE

        mailboxes = Mailboxes(
            store,
            registrar,
            keys=keys,
            clock=self.hub_clock,
            random=chance.randbytes,
            free_bytes=free_bytes,
            limits=limits,
            epoch=f"epoch{self._hub_ran}",
        )
        applications = Applications(store, registrar, clock=self.hub_clock)
        pending = Pending(store, registrar, clock=self.hub_clock)
        pieces = Pieces(store, mailboxes, self.hub_clock, free_bytes, limits.free_bytes)
        files = BlobFiles.open(self.folder / "hub")
        blobs = Blobs(store, registrar, files, clock=self.hub_clock, free_bytes=free_bytes, limits=limits)
        try:
            await blobs.tidy()
        except Crash:
            database.abandon()
            return
        self.hub = Services(self.world, store, registrar, applications, pending, mailboxes, pieces, blobs)

    def hub_clock(self) -> int:
        """UTC ms as the hub believes."""
        now = self.world.now + self.offset
        self.latest = max(self.latest, now)
        return now

    def crash_hub(self) -> None:
        """It is gone; what it said to have accepted must be on its disk."""
        self.hub_process.die()
        hub, self.hub = self.hub, None
        if hub is not None:
            assert isinstance(hub.store._db, SteppedDatabase)
            hub.store._db.abandon()
        recent = {env for env, at in self.accepted.items() if at > self.world.now - RECENT_MS}
        missing = recent - {row[0] for row in self.hub_rows("SELECT env FROM envelopes")}
        if missing:
            self.fault("lost", f"the hub gave {len(missing)} receipts for what its disk doesn't hold")

    async def stop_hub(self) -> None:
        """For `close`, too."""
        self.crash_hub()

    def put_hub_back(self, copy: Path) -> None:
        """An older copy in place of the hub's files; it must be down."""
        shutil.rmtree(self.folder / "hub")
        shutil.copytree(copy, self.folder / "hub")
        self.hub_restored += 1
        held = {row[0] for row in self.hub_rows("SELECT env FROM envelopes")}
        self.accepted = {env: at for env, at in self.accepted.items() if env in held}

    def newest_flash(self, member: str) -> int:
        """The number of the last flash in its mailbox."""
        query = "SELECT coalesce(max(n), 0) FROM mailbox WHERE recipient = ? AND lane = 0"
        ((newest,),) = rows(self.folder / "hub" / FILE, query, member)
        return int(newest)

    def hub_rows(self, query: str) -> list[Any]:
        """Rows of the hub's file, over a connection of its own."""
        return rows(self.folder / "hub" / FILE, query)

    async def close(self) -> None:
        """Everything down."""
        for site in self.nodes:
            if site.node is not None:
                await site.crash()
        self.crash_hub()


def unwatched(_done: int, _of: int) -> None:
    """Progress that nobody looks at."""


def rows(path: Path, query: str, *values: str) -> list[Any]:
    """Rows of a database's file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchall()


@contextmanager
def working_folder() -> Iterator[Path]:
    """A folder for runs of any number of processes, in RAM where that is possible; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="exchange-", dir=RAM if RAM.is_dir() else None) as folder:
        yield Path(folder)


_working_in: Path | None = None
_prepared: dict[int, tuple[Path, World]] = {}


def work_in(folder: Path) -> None:
    """Let this process keep its runs' files there."""
    global _working_in  # noqa: PLW0603 - what a process has prepared once serves all its runs
    _working_in = folder
    _prepared.clear()


def scratch() -> Path:
    """A new folder for one run."""
    assert _working_in is not None
    return Path(tempfile.mkdtemp(dir=_working_in))


async def prepare(members: int) -> None:
    """Found the network that runs with so many members start from; once a process."""
    if members in _prepared:
        return
    folder = scratch()
    async with simulation(folder, HANDLES[:members]) as sim:
        await sim.rounds(1)
        world = sim.world
        for site in sim.sites.values():
            write_private(site.home / "config.toml", f'member = "{site.member}"\n'.encode())
    _prepared[members] = folder, world
