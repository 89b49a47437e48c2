"""`./run soak simulator`: runs of the simulator by seed, and every promise checked after each (tests/simulation).

One JSON line at the end; of a run that fails the seed and its steps are told. `--seed N` repeats that one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tests.simulation import network
from tests.simulation.driver import STEPS, Result, run
from tests.simulation.steps import play

NAME: Final = "simulator"
RUNS: Final = 10_000
TELL_EVERY: Final = 100
TOLD: Final = 5  # failures whose steps are printed
KINDS: Final = {"lost": "lost", "silent loss": "lost", "twice": "twice", "false alarm": "false_alarms"}


def main(arguments: Sequence[str]) -> int:
    """Run so many seeds. Exit codes: 0 every promise was kept in all of them, 1 not."""
    parser = argparse.ArgumentParser(prog=f"./run soak {NAME}", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one, with all its steps")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (one a core)")
    chosen = parser.parse_args(arguments)
    if os.environ.get("PYTHONHASHSEED") != "0":
        # A seed gives the same steps only where sets come in the same order in every process.
        again = [sys.executable, "-m", "bench.soak", NAME, *arguments]
        return _run_again(again)
    if chosen.seed is not None:
        return _one(chosen.seed, chosen.steps)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the workers end with the pool
    seeds = range(chosen.first, chosen.first + chosen.runs)
    work = [(seed, chosen.steps) for seed in seeds]
    began, results = time.monotonic(), list[Result]()
    with (
        network.working_folder() as folder,
        multiprocessing.get_context("spawn").Pool(chosen.workers, network.work_in, (folder,)) as pool,
    ):
        for result in pool.imap_unordered(_run, work, chunksize=4):
            results.append(result)
            _tell(result, results, began)
    summary = _summary(results, time.monotonic() - began)
    print(json.dumps(summary))
    return 1 if summary["failures"] else 0


def _run_again(command: list[str]) -> int:
    """As a process of its own: other long runs may follow in this one. A signal to end it is passed on."""
    child = subprocess.Popen(command, env={**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S603 - ourselves
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    return child.wait()


def _one(seed: int, steps: int) -> int:
    with network.working_folder() as folder:
        network.work_in(folder)
        result = _run((seed, steps))
    print(result.told())
    print(json.dumps(_summary([result], 0)))
    return 1 if result.faults else 0


def _run(work: tuple[int, int]) -> Result:
    seed, steps = work
    return play(run(seed, steps=steps))


def _tell(result: Result, results: list[Result], began: float) -> None:
    failed = sum(1 for one in results if one.faults)
    if result.faults and failed <= TOLD:
        print(result.told(), file=sys.stderr)
    elif result.faults:
        print(f"seed {result.seed}: {result.faults[0]}", file=sys.stderr)
    if len(results) % TELL_EVERY == 0:
        each = (time.monotonic() - began) / len(results)
        print(f"{len(results)} runs, {failed} failed, {each:.2f} s each", file=sys.stderr, flush=True)


def _summary(results: list[Result], seconds: float) -> dict[str, object]:
    kinds = Counter(KINDS.get(kind, "other") for one in results for kind, _ in one.faults)
    faults: Counter[str] = Counter()
    for one in results:
        faults.update(one.counts)
    return {
        "soak": NAME,
        "runs": len(results),
        "steps": sum(one.steps for one in results),
        "messages": sum(one.messages for one in results),
        "deliveries": sum(one.deliveries for one in results),
        "faults": dict(sorted(faults.items())),
        "least_faults_a_run": min((sum(one.counts.values()) for one in results), default=0),
        "lost": kinds["lost"],
        "twice": kinds["twice"],
        "false_alarms": kinds["false_alarms"],
        "other": kinds["other"],
        "failures": [[one.seed, *one.faults[0]] for one in results if one.faults],
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
