"""`./run soak crashes`: thousands of power cuts of hub and node, and not one acknowledged thing lost (tests/power).

Half of the crashes are the hub's. One JSON line at the end; a failure names the seed and the moment that repeat it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

from tests.power.crashes import Tally
from tests.power.hub_crashes import hub_chain
from tests.power.node_crashes import node_chain
from tests.power.sqlite_vfs import why_not

NAME: Final = "crashes"
RUNS_OF_ONE: Final = 4  # runs of one hub or node, each on what the cut before has left
CUTS: Final = 24  # of each run, beside the one it goes on from
SHOWN: Final = 20
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it


def main(arguments: Sequence[str]) -> int:
    """Crash that often. Exit codes: 0 nothing lost, nothing twice, nothing corrupt; 1 something was; 2 can't be run."""
    parser = argparse.ArgumentParser(prog=f"./run soak {NAME}", description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=2_000, help="crashes at least, half of the hub and half of a node"
    )
    parser.add_argument("--seed", default="1", help="another seed, other crashes")
    chosen = parser.parse_args(arguments)
    if why_not():
        print(f"soak: {why_not()}", file=sys.stderr)
        return 2
    began = time.monotonic()
    tally = Tally()
    for kind, chain, enough in (
        ("hub", hub_chain, chosen.runs // 2),
        ("node", node_chain, chosen.runs),
    ):
        for number in count():
            if tally.crashes >= enough:
                break
            with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
                seed = f"{kind}/{chosen.seed}/{number}"
                asyncio.run(chain(seed, Path(folder), tally, runs=RUNS_OF_ONE, cuts=CUTS))
            print(f"{tally.crashes} crashes, {len(tally.failures)} failures", file=sys.stderr, flush=True)
    result = {
        "soak": NAME,
        "seed": chosen.seed,
        "crashes": tally.crashes,
        **tally.counts(),
        "failures": tally.failures[:SHOWN],
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result))
    return 1 if tally.failures else 0
