"""`./run soak flash`: flash beside bulk on a full link, longer: bench/flash.py with 600 samples of its rounds."""

from __future__ import annotations

from typing import Final

from bench import flash

NAME: Final = "flash"


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goal is met, 1 it isn't."""
    return flash.main(["--samples", "600", *arguments])
