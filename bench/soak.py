"""`./run soak [NAME ...]`: the long runs, each a module bench/_soak_NAME.py with `NAME` and `main(arguments) -> int`.

Without a name all of them at their full count, one after the other, and a line on each at the end. Owns which there
are; what they do is their files' business.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

Part = Callable[[list[str]], int]


def parts() -> dict[str, Part]:
    """All long runs by name."""
    found: dict[str, Part] = {}
    for file in sorted(Path(__file__).parent.glob("_soak_*.py")):
        module = importlib.import_module(f"bench.{file.stem}")
        if hasattr(module, "main"):
            found[module.NAME] = cast("Part", module.main)
    return found


def main(arguments: Sequence[str]) -> int:
    """Run one, or all. The exit code: 0 all held, 1 something didn't, 2 there is no such run."""
    known = parts()
    if arguments and arguments[0] not in known:
        print(f"soak: there is {', '.join(known)}, and without a name all of them", file=sys.stderr)
        return 0 if arguments[0] in ("-h", "--help") else 2
    if arguments:
        return known[arguments[0]](list(arguments[1:]))
    ended: list[tuple[str, int, float]] = []
    for name, part in known.items():
        print(f"soak: {name}", file=sys.stderr, flush=True)
        began = time.monotonic()
        ended.append((name, part([]), time.monotonic() - began))
    for name, code, seconds in ended:
        print(f"{name}: {'held' if code == 0 else f'FAILED ({code})'} after {seconds / 60:.1f} min")
    return 1 if any(code for _, code, _ in ended) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
