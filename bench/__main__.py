"""`./run bench [NAME]`: starts one benchmark of this folder. What a benchmark measures is its own file's business."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def names() -> list[str]:
    """The benchmarks there are: every file of this folder that can be run by its name."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_"))


def main(arguments: list[str]) -> int:
    """Run the benchmark named first with the arguments after it. Exit codes: 0 ok, 2 no such benchmark."""
    if not arguments:
        print("benchmarks:", ", ".join(names()) or "none yet")
        return 0
    name = arguments[0]
    if name not in names():
        print(f"bench: no benchmark {name!r}; there is: {', '.join(names()) or 'none yet'}", file=sys.stderr)
        return 2
    sys.argv = [name, *arguments[1:]]
    runpy.run_module(f"bench.{name}", run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
