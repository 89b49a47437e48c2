"""`./run fuzz [TARGET ...] [--seconds S]`: every parser of a stranger's bytes under atheris, led by coverage.

The targets are tests/fuzz/parsers.py's. Each runs in a process of its own (bench/_fuzz_target.py), one after the
other; what it found interesting stays in a folder and is where the next run begins. A crash is told with its input in
base64 and in a file, and `./run fuzz TARGET --replay FILE` hands that over once more.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.fuzz.parsers import PARSERS, sown

SECONDS: Final = 60.0
FOLDER: Final = Path(tempfile.gettempdir()) / f"exchange-fuzz-{os.getuid()}"
SLOW_SECONDS: Final = 20  # one input; a fault, too
MOST_MIB: Final = 1_536
MOST_BYTES: Final = 65_536  # of an input
GRACE_SECONDS: Final = 120.0
SHOWN: Final = 4_000  # characters of what a target said last


def main(arguments: Sequence[str]) -> int:
    """Fuzz. Exit codes: 0 no parser broke, 1 one did, 2 there is no such target."""
    parser = argparse.ArgumentParser(prog="./run fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(PARSERS)}; none: all")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for each target ({SECONDS:g})")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="hand over this input, once")
    parser.add_argument("--corpus", type=Path, default=FOLDER, help=f"where inputs are kept ({FOLDER})")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.targets if name not in PARSERS]
    if unknown or (chosen.replay and len(chosen.targets) != 1):
        print(f"fuzz: targets are {', '.join(PARSERS)}; --replay takes one", file=sys.stderr)
        return 2
    if chosen.replay:
        return replay(chosen.targets[0], chosen.replay)
    broken = []
    for name in chosen.targets or list(PARSERS):
        crashes = fuzz(name, chosen.seconds, chosen.corpus / name)
        broken += [name] if crashes else []
        for path in crashes:
            told = {
                "target": name,
                "input": base64.b64encode(path.read_bytes()[:MOST_BYTES]).decode("ascii"),
                "replay": f"./run fuzz {name} --replay {path}",
            }
            print(json.dumps(told), flush=True)
    print(json.dumps({"fuzz": "all" if not chosen.targets else chosen.targets, "broken": broken}))
    return 1 if broken else 0


def replay(name: str, path: Path) -> int:
    """Hand a file over once. Raises what breaks the parser."""
    taken = PARSERS[name].understands(path.read_bytes())
    print(f"{name}: {'understood' if taken else 'refused, by a code of ours'}")
    return 0


def fuzz(name: str, seconds: float, folder: Path) -> list[Path]:
    """One target for so long, in a process of its own; the inputs that broke it."""
    corpus, crashes = folder / "corpus", folder / "crashes"
    for each in (corpus, crashes):
        each.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(sown(name)):
        (corpus / f"seed-{number:04}").write_bytes(seed)
    before = set(crashes.iterdir())
    command = [sys.executable, "-m", "bench._fuzz_target", name, f"-max_total_time={seconds:g}"]
    command += [f"-max_len={MOST_BYTES}", f"-timeout={SLOW_SECONDS}", f"-rss_limit_mb={MOST_MIB}"]
    command += [f"-artifact_prefix={crashes}/", "-print_final_stats=1", str(corpus)]
    began = time.monotonic()
    process = subprocess.run(  # noqa: S603 - ourselves
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds + GRACE_SECONDS,
        check=False,
    )
    said = process.stdout.decode(errors="replace")
    found = sorted(set(crashes.iterdir()) - before)
    runs = [
        line.rpartition(":")[2].strip() for line in said.splitlines() if "number_of_executed_units" in line
    ]
    spent = f"{time.monotonic() - began:.0f} s"
    print(
        f"{name}: {runs[-1] if runs else '?'} inputs in {spent}, {len(found)} crashes",
        file=sys.stderr,
        flush=True,
    )
    if found or process.returncode:
        print(said[-SHOWN:], file=sys.stderr)
    if process.returncode and not found:
        raise RuntimeError(f"the fuzzer of {name} ended with {process.returncode}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
