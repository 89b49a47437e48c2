"""Owns how tasks that belong together run and end together, and how long a failed one waits for its next try."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

from exchange.errors import Unavailable

LEAST_DELAY: Final = 1.0  # seconds
MOST_DELAY: Final = 60.0  # seconds before what failed is tried again
MOST_WAIT: Final = 600.0  # seconds that a hub may ask for before an upload is tried again


async def together(*parts: Coroutine[Any, Any, NoReturn]) -> None:
    """Run all until one of them fails, then end the others and raise its fault.

    Not a TaskGroup: when a part fails while this task is being cancelled, a group raises the fault and the
    cancellation is lost; a node that is told to stop would go on.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def until_retry(error: Unavailable, failures: int, *, random: Callable[[int], bytes]) -> float:
    """Seconds before a hub is asked again that couldn't do it so many times in a row: as many as it asks for."""
    asked = error.facts.get("retry_after", 0)
    return min(asked, MOST_WAIT) if asked > 0 else backoff(failures, most=MOST_DELAY, random=random)


def backoff(failures: int, *, most: float, random: Callable[[int], bytes]) -> float:
    """Seconds before the next try after so many failures in a row: doubled up to `most`, with jitter."""
    jitter = int.from_bytes(random(2), "big") / 65_535
    doubled: float = LEAST_DELAY * 2 ** min(failures - 1, 10)
    return min(doubled, most) * (0.5 + jitter / 2)
