"""How a benchmark is run and told: sides measured in alternation, medians with their range, ratios against goals.

A benchmark's file makes its sides and says what its ratios are; this owns the rounds, the reading of other processes'
CPU time and memory, and the one JSON object of the contract (docs/performance.md). A side that raises fails the bench.
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench._machine import Spread, machine, spread

LEAST_ROUNDS: Final = 3
_HOLDS: Final = {"<=": operator.le, ">=": operator.ge, "<": operator.lt}

Side = Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class Goal:
    """What a ratio should be: `Goal("<=", 2.2)`."""

    sign: str
    value: float

    def is_met(self, measured: float) -> bool:
        """Whether `measured` is on the right side."""
        return bool(_HOLDS[self.sign](measured, self.value))


def alternate(sides: Mapping[str, Side], rounds: int) -> dict[str, dict[str, Spread]]:
    """Run every side once a round, the first one last in the next, so that no side always has the warmer machine.

    Gives each side's measurements by name, each over all rounds. What a side raises ends the benchmark.
    """
    values: dict[str, dict[str, list[float]]] = {name: {} for name in sides}
    for number in range(rounds):
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in order:
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            for key, value in sides[name]().items():
                values[name].setdefault(key, []).append(value)
    return {
        name: {key: spread(series) for key, series in measured.items()} for name, measured in values.items()
    }


def process_cpu_seconds(pid: int) -> float:
    """CPU time a process with its threads has used so far, user and system, to the nanosecond.

    Linux's id of another process's clock, as clock_getcpuclockid(3) makes it; proc(5) counts in 10 ms.
    """
    return time.clock_gettime(~pid << 3 | 2)


def process_mib(pid: int, *, peak: bool = False) -> float:
    """Memory of a process that is resident now, or was at most (proc(5), status VmRSS and VmHWM)."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(wanted):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of all lie; the largest for 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def options(
    name: str, description: str | None, arguments: Sequence[str], *, rounds: int
) -> argparse.Namespace:
    """`--json` and `--rounds N` (never fewer than 3)."""
    parser = argparse.ArgumentParser(prog=f"./run bench {name}", description=description)
    parser.add_argument("--json", action="store_true", help="one JSON object, last on stdout")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds, {LEAST_ROUNDS} or more")
    chosen = parser.parse_args(arguments)
    chosen.rounds = max(LEAST_ROUNDS, chosen.rounds)
    return chosen


def tell(
    name: str,
    *,
    rounds: int,
    ours: Mapping[str, Any],
    peer: Mapping[str, Any],
    ceiling: Mapping[str, Any],
    ratios: Mapping[str, float],
    goals: Mapping[str, Goal],
    as_json: bool,
) -> int:
    """Print the result, as the one JSON object or for people. The exit code: 0 all goals are met, 1 they aren't."""
    missed = [key for key, goal in goals.items() if not goal.is_met(ratios[key])]
    result = {
        "bench": name,
        "machine": machine(),
        "bench_mib": round(process_mib(os.getpid(), peak=True), 1),  # where the work is this very process's
        "rounds": rounds,
        "ours": ours,
        "peer": peer,
        "ceiling": ceiling,
        "goals": {key: f"{goal.sign} {goal.value:g}" for key, goal in goals.items()},
        "missed": missed,
        "ratios": {key: round(value, 4) for key, value in ratios.items()},
    }
    if as_json:
        print(json.dumps(result))
    else:
        for side in ("ours", "peer", "ceiling"):
            for key, value in result[side].items():
                print(f"{side:8} {key}: {_shown(value)}")
        print(f"{'memory':8} this process: {result['bench_mib']:g} MiB at most")
        for key, value in ratios.items():
            wanted = f" (goal {result['goals'][key]})" if key in goals else ""
            print(f"{'ratio':8} {key}: {value:.3f}{wanted}{'  MISSED' if key in missed else ''}")
    return 1 if missed else 0


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "median" in value:
        return f"{value['median']:g} [{value['least']:g}-{value['most']:g}]"
    if isinstance(value, dict):
        return "; ".join(f"{key} {_shown(one)}" for key, one in value.items())
    if isinstance(value, list):
        return "\n" + "\n".join(f"           {_shown(one)}" for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
