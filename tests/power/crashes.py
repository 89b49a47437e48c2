"""Crashes by the hundred: work on a watched disk, cut its power at many moments, open what is left, look.

Owns how a run is cut and judged, for hub and node alike. Each run is cut once while it works, and the next run goes on
from what that cut left; and, on the record of its calls, at moments before, each time with another of the outcomes.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from exchange.errors import ExchangeError
from tests.power.disk import Disk, Survivor, put

KINDS = ("lost", "twice", "corrupt")
Mutate = Callable[[Disk], None]
Judge = Callable[[Path, int], Awaitable[list[str]]]


@dataclass
class Tally:
    """What came of the crashes; a failure's text begins with its kind and ends with what repeats it."""

    crashes: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, problems: Iterable[str], where: str) -> None:
        """One more crash, with what it broke."""
        self.crashes += 1
        self.failures += [f"{problem} ({where})" for problem in problems]

    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        found = Counter(failure.partition(":")[0] for failure in self.failures)
        return {kind: found[kind] for kind in KINDS}


def moments(chance: random.Random, now: int, many: int) -> list[int]:
    """Moments to cut at, in order: anywhere before `now`."""
    return sorted(chance.sample(range(now + 1), min(many, now + 1)))


async def cut_often(
    disk: Disk,
    survivor: Survivor,
    at: Iterable[int],
    *,
    scratch: Path,
    judge: Judge,
    tally: Tally,
    where: str,
) -> None:
    """Cut the recorded run at each of the moments, one after the other, and judge what is left in `scratch`."""
    for moment in at:
        survivor.replay(disk.ops, moment)
        place = f"{where}/{moment}"
        put(scratch, survivor.after_cut(place))
        tally.add(await judged(judge, scratch, moment), place)


async def judged(judge: Judge, folder: Path, moment: int) -> list[str]:
    """What the judge says; a database that can't be opened is as bad as it gets."""
    try:
        return await judge(folder, moment)
    except ExchangeError as error:
        return [f"corrupt: {error.code}"]
    except (SQLAlchemyError, sqlite3.Error) as error:
        return [f"corrupt: {error}"]
