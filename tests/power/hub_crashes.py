"""The hub's half of the crashes: chains of runs of its store (hub_work.py), each on what the cut before has left."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from functools import partial
from pathlib import Path
from typing import cast

from sqlalchemy import Connection

from exchange.errors import Unavailable
from exchange.hub.store.store import HubStore
from tests.power.crashes import Mutate, Tally, cut_often, judged, moments
from tests.power.disk import Disk, Survivor, database_files, put
from tests.power.hub_work import Found, GivenTwice, Hub, HubRun, contradictions
from tests.power.sqlite_vfs import watching

STEPS = 25
FIRST_CUT, LAST_CUT = 10, 900  # calls to the disk


async def hub_chain(
    seed: str, folder: Path, tally: Tally, *, runs: int, cuts: int, mutate: Mutate = lambda _disk: None
) -> None:
    """That many runs of one hub, each cut while it works and at `cuts` moments of its record."""
    chance = random.Random(seed)
    hub = Hub(chance)
    home, scratch = folder / "home", folder / "scratch"
    for one in (home, scratch):
        one.mkdir()
    put(home, fresh_files(folder))
    for number in range(runs):
        where = f"{seed}/{number}"
        before = database_files(home)
        disk = Disk(cut_at=chance.randint(FIRST_CUT, LAST_CUT))
        mutate(disk)
        hub.begin_run()
        try:
            await _run(hub, home, disk)
        except GivenTwice as twice:
            tally.add([f"twice: {twice}"], where)
        survivor = Survivor(home, before)
        look = partial(judge, hub)
        at = moments(chance, disk.now, cuts)
        await cut_often(disk, survivor, at, scratch=scratch, judge=look, tally=tally, where=where)
        survivor.replay(disk.ops, disk.now)
        put(home, survivor.after_cut(where))
        problems = await judged(look, home, disk.now)
        tally.add(problems, where)
        if problems:
            return  # what follows would only repeat it


async def _run(hub: Hub, home: Path, disk: Disk) -> None:
    with watching(home, disk):
        run = HubRun(hub, home, disk)
        fault = await run.work(STEPS)
        if fault is not None and not disk.is_cut:
            raise fault
        disk.cut_at = disk.now  # what closing would still write comes too late
        with contextlib.suppress(Unavailable):
            await run.store.close()


async def judge(hub: Hub, home: Path, moment: int) -> list[str]:
    """What is wrong with what is left in `home`, after all that was promised by then."""
    store = HubStore.open(home)
    try:

        def look(connection: Connection) -> list[str]:
            c = cast("sqlite3.Connection", connection.connection.driver_connection)
            sound = c.execute("PRAGMA integrity_check").fetchone()
            if sound != ("ok",):
                return [f"corrupt: {sound[0]}"]
            found = Found.read(c)
            kept = (one.kept(found, moment) for one in hub.promises if one.at <= moment)
            return [*contradictions(c, found), *filter(None, kept)]

        return store._db.read_sync(look)
    finally:
        store.close_sync()


def fresh_files(folder: Path) -> dict[str, bytes]:
    """The files of a new hub, made in `folder`."""
    home = folder / "fresh"
    home.mkdir()
    HubStore.open(home).close_sync()
    return database_files(home)
