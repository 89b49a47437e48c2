"""`./run soak kill`: hub and nodes as real processes under load, killed with -9 at random for minutes.

Afterwards all come up, everything drains and is counted (tests/trip/killing.py). One JSON line at the end; `--seed`
repeats the plan of the kills and the load, though not how far each process had come.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.trip.founding import found
from tests.trip.killing import KillRun
from tests.trip.network import running

NAME: Final = "kill"
MINUTES: Final = 5.0
SHOWN: Final = 20


def main(arguments: list[str]) -> int:
    """Kill for so long. Exit codes: 0 nothing lost, nothing twice, nothing alarmed; 1 something was."""
    parser = argparse.ArgumentParser(prog=f"./run soak {NAME}", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--seed", type=int, default=1, help="another seed, other kills")
    parser.add_argument("--keep", type=Path, help="a folder that must not exist: homes and logs stay in it")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="exchange-kill-") as made:
        homes = asyncio.run(found(Path(made) / "founded"))
        with running(homes, chosen.keep or Path(made) / "network") as network:
            run = KillRun(network, seed=chosen.seed, seconds=chosen.minutes * 60)
            outcome = asyncio.run(run.run())
    for fault in outcome.faults:
        print(f"soak {NAME}: {fault}", file=sys.stderr)
    result = {
        "soak": NAME,
        "seed": chosen.seed,
        "minutes": chosen.minutes,
        "kills": dict(sorted(outcome.kills.items())),
        "sent": outcome.sent,
        "delivered": outcome.delivered,
        "lost": outcome.lost,
        "twice": outcome.twice,
        "false_alarms": outcome.false_alarms,
        "failures": [fault[:200] for fault in outcome.faults[:SHOWN]],
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result))
    return 1 if outcome.faults else 0
