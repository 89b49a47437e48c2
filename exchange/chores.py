"""What a serving process does unasked, beside answering: tasks that run until it stops, and end it if they can't.

Owns that none of them ends unseen: a server without one would only look as if it served.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from exchange import logs
from exchange.errors import ExchangeError, Unavailable

_log = logs.logger("chores")


@asynccontextmanager
async def doing(
    chores: Iterable[Coroutine[Any, Any, None]], *, on_fault: Callable[[ExchangeError], None]
) -> AsyncIterator[None]:
    """Run `chores` while the block runs. One may return; of one that fails `on_fault` hears, who stops the process."""

    def ended(task: asyncio.Task[None]) -> None:
        if task.cancelled() or (fault := task.exception()) is None:
            return
        # never the message or the traceback: they may quote what was sent
        _log.error("a chore failed", error=type(fault).__name__)
        ours = fault if isinstance(fault, ExchangeError) else None
        on_fault(ours or Unavailable("internal.error", type(fault).__name__))

    tasks = [asyncio.create_task(chore) for chore in chores]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
