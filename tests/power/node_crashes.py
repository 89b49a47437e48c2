"""The node's half of the crashes: a node beside a hub and another node, cut again and again (node_work.py).

At the end the network runs in peace: everything that was promised must have arrived, once, and nobody is accused.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from pathlib import Path

from exchange.errors import Unavailable
from tests.power.crashes import Mutate, Tally, cut_often, judged, moments
from tests.power.disk import Disk, Survivor, database_files, put
from tests.power.node_work import HERE, THERE, Node, judge
from tests.power.sqlite_vfs import watching
from tests.simulator import Simulation, simulation

STEPS = 14
FIRST_CUT, LAST_CUT = 10, 700  # calls to the disk
PEACE = 12  # rounds


async def node_chain(
    seed: str, folder: Path, tally: Tally, *, runs: int, cuts: int, mutate: Mutate = lambda _disk: None
) -> None:
    """That many runs of one node, each cut while it works and at `cuts` moments of its record."""
    chance = random.Random(seed)
    scratch = folder / "scratch"
    scratch.mkdir()
    async with simulation(folder, (HERE, THERE)) as sim:
        node = Node(sim, sim.sites[HERE], sim.sites[THERE], chance, Disk())
        await node.here.stop()
        for number in range(runs):
            where = f"{seed}/{number}"
            before = database_files(node.here.home)
            disk = Disk(cut_at=chance.randint(FIRST_CUT, LAST_CUT))
            mutate(disk)
            node.begin_run(disk)
            await _run(node, disk)
            survivor = Survivor(node.here.home, before)

            async def look(home: Path, moment: int) -> list[str]:
                return judge(home, [one for one in node.promises if one.at <= moment])

            at = moments(chance, disk.now, cuts)
            await cut_often(disk, survivor, at, scratch=scratch, judge=look, tally=tally, where=where)
            survivor.replay(disk.ops, disk.now)
            put(node.here.home, survivor.after_cut(where))
            problems = await judged(look, node.here.home, disk.now)
            tally.add(problems, where)
            if problems:
                return  # what follows would only repeat it
        tally.failures += [f"{problem} ({seed} at the end)" for problem in await arrived(sim, node)]


async def _run(node: Node, disk: Disk) -> None:
    with watching(node.here.home, disk):
        try:
            await node.here.start()
            for _ in range(STEPS):
                await node.step()
                if disk.is_cut:
                    break
        except Unavailable as fault:
            if not disk.is_cut:
                raise
            if fault.code not in ("storage.io", "hub.unreachable"):
                raise
        disk.cut_at = disk.now  # what closing would still write comes too late
        if node.here.node is not None:
            with contextlib.suppress(Unavailable):
                await node.here.crash()


async def arrived(sim: Simulation, node: Node) -> list[str]:
    """Start the node that is down, let the network run in peace, and say what didn't come, or twice, or accuses."""
    node.begin_run(Disk())
    await node.here.start()
    await sim.rounds(PEACE)
    problems = []
    for site, expected in ((node.there, node.sent), (node.here, node.coming)):
        times = Counter(site.received())
        problems += [f"lost: {one} never came to {site.member}" for one in expected if not times[one]]
        problems += [f"twice: {one} came {many} times" for one, many in times.items() if many > 1]
        problems += [f"corrupt: {site.member} alarms: {code}" for code in site.alarm_codes()]
    return problems
