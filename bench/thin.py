"""`./run bench thin [--json]`: 500 small alerts over 64 kbit/s with a round trip of 650 ms that is cut every minute.

The node and the hub are the real programs, TLS between them; the link is bench/_thin_link.py, which counts TCP payload
both ways. `in`: the messages wait at the hub, until all are stored and receipted. `out`: they wait at the node, until
the hub has all. The ideal is the sealed bytes alone. The world of the link runs `--faster` times faster (rate times n;
delay and minute by n), the programs' own timers don't; `--faster 1` is real time, ten minutes a side and round.
Besides, one connected node idles for `--idle-minutes`, and what it exchanges is taken for every half hour of a day.
Goals: <= 1.15 x the ideal bytes, an idle day <= 1 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench._rounds import LEAST_ROUNDS, Goal, alternate, process_cpu_seconds, process_mib, tell
from bench._thin_link import Shape, ThinLink
from bench._thin_network import FAR, NEAR, backlog, behind, founded, ideal_down, ideal_up, outgoing, waited
from tests.trip.founding import Homes
from tests.trip.network import Network

THIN: Final = Shape(rate=8_000, delay=0.325)
CUT_SECONDS: Final = 60.0
MESSAGES: Final = 500
FASTER: Final = 10.0
SETTLE_SECONDS: Final = 60.0  # until a node that has just connected idles
MOST_TIMES: Final = 6  # the ideal time, until a round has failed
DAY_MINUTES: Final = 24 * 60
GOALS: Final = {"bytes_vs_ideal": Goal("<=", 1.15), "idle_day_mb": Goal("<=", 1.0)}


class Idle(threading.Thread):
    """One connected node without any mail, measured beside the rounds, with processes of its own."""

    def __init__(self, homes: Homes, folder: Path, minutes: float, settle: float) -> None:
        super().__init__(daemon=True)
        self._homes = homes
        self._folder = folder
        self._minutes = minutes
        self._settle = settle
        self._bytes = 0
        self._fault: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._idle())
        except BaseException as fault:  # noqa: BLE001 - told by `day_mb` in the bench's own thread
            self._fault = fault

    async def _idle(self) -> None:
        async with behind(self._homes, self._folder, Shape()) as (network, link):
            await network[NEAR].serve.up()
            await asyncio.sleep(self._settle)
            before = link.crossed
            await asyncio.sleep(self._minutes * 60)
            self._bytes = link.crossed - before
            assert link.connections
            assert network[NEAR].serve.runs

    def day_mb(self) -> float:
        """Waits for its end. MB (10^6 bytes) a day."""
        self.join()
        if self._fault is not None:
            raise self._fault
        return self._bytes * DAY_MINUTES / self._minutes / 1e6


def measure(
    folder: Path,
    *,
    rounds: int,
    messages: int,
    faster: float,
    idle_minutes: float,
    settle: float = SETTLE_SECONDS,
) -> dict[str, Any]:
    """What `tell` wants."""
    # the making of databases is for one thread at a time
    idling, homes = (asyncio.run(founded(folder / name)) for name in ("idle", "founded"))
    waiting = asyncio.run(backlog(homes, folder / "backlog", messages))
    queued = outgoing(homes, folder / "queued", messages)
    idle = Idle(idling, folder / "idling", idle_minutes, settle)
    idle.start()
    sides = {
        "in": lambda: asyncio.run(_round(waiting, folder / "round", messages, faster, out=False)),
        "out": lambda: asyncio.run(_round(queued, folder / "round", messages, faster, out=True)),
    }
    found = alternate(sides, rounds)
    day = idle.day_mb()
    ours = {f"{side}_{key}": value for side, values in found.items() for key, value in values.items()}
    return {
        "rounds": rounds,
        "ours": {"messages": messages, "faster": faster, "idle_minutes": idle_minutes, **ours},
        "peer": {},
        "ceiling": {side: found[side]["ideal_bytes"]["median"] for side in sides},
        "ratios": {
            "bytes_vs_ideal": found["in"]["bytes_vs_ideal"]["median"],
            "idle_day_mb": day,
            "time_vs_ideal": found["in"]["time_vs_ideal"]["median"],
            "out_bytes_vs_ideal": found["out"]["bytes_vs_ideal"]["median"],
        },
    }


async def _round(
    homes: Homes, folder: Path, messages: int, faster: float, *, out: bool
) -> Mapping[str, float]:
    """From the start of the node's program until the last message is through."""
    shape = THIN.faster(faster)
    async with behind(homes, folder, shape) as (network, link):
        ideal = 0 if out else ideal_down(network)
        cutting = asyncio.create_task(_cut(link, CUT_SECONDS / faster))
        began = time.monotonic()
        network[NEAR].serve.start()
        most = MOST_TIMES * messages * 10_000 / shape.rate + 60
        try:
            await waited(
                lambda: _is_out(network, messages) if out else _is_in(network, messages), most, "messages"
            )
        finally:
            cutting.cancel()
        seconds, crossed = time.monotonic() - began, link.crossed
        pid = network[NEAR].serve.pid
        cpu, memory = process_cpu_seconds(pid), process_mib(pid, peak=True)
        up, down, connections = link.up.crossed, link.down.crossed, link.connections
        ideal = ideal or ideal_up(network)
        link.set_shape(Shape())
        assert network.accusations() == {}
    return {
        "ideal_bytes": ideal,
        "bytes": crossed,
        "bytes_up": up,
        "bytes_down": down,
        "bytes_vs_ideal": crossed / ideal,
        "seconds": seconds,
        "time_vs_ideal": seconds / (ideal / shape.rate),
        "connections": connections,
        "node_cpu_ms": 1_000 * cpu / messages,
        "node_mib": memory,
    }


def _is_in(network: Network, messages: int) -> bool:
    """Everything is stored here, and no copy waits at the hub for its receipt."""
    return network.hub.holds.waiting(NEAR) == 0 and len(network[NEAR].holds.ids(FAR)) == messages


def _is_out(network: Network, messages: int) -> bool:
    """The node has the hub's receipt for all."""
    return sum(copy.accepted_at is not None for copy in network[NEAR].holds.copies()) == messages


async def _cut(link: ThinLink, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        link.cut()


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goals are met, 1 they aren't."""
    parser = argparse.ArgumentParser(prog="./run bench thin", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object, last on stdout")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help=f"rounds, {LEAST_ROUNDS} or more")
    parser.add_argument(
        "--faster", type=float, default=FASTER, help="how many times faster the link's world runs"
    )
    parser.add_argument("--idle-minutes", type=float, default=30.0, help="how long a node idles")
    parser.add_argument("--messages", type=int, default=MESSAGES, help="how many wait")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="exchange-thin-") as folder:
        result = measure(
            Path(folder),
            rounds=max(LEAST_ROUNDS, chosen.rounds),
            messages=chosen.messages,
            faster=chosen.faster,
            idle_minutes=chosen.idle_minutes,
        )
    return tell("thin", goals=GOALS, as_json=chosen.json, **result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
