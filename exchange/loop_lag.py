"""How late an event loop runs what is due: for metrics, so that a process that is short of CPU is seen to be."""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

EVERY: Final = 5.0  # seconds


class LoopLag:
    """The longest delay since it was last asked for, in seconds."""

    def __init__(self) -> None:
        self._worst = 0.0

    def take(self) -> float:
        """The longest since the last call."""
        worst, self._worst = self._worst, 0.0
        return worst

    async def watch(self) -> NoReturn:
        """Measure for as long as the process serves."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY
            await asyncio.sleep(EVERY)
            self._worst = max(self._worst, loop.time() - due)
