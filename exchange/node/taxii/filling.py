"""Fills the collections for whoever waits, in one run that outlives their patience.

    await filling.up_to_now()   what came before the call is in; or Unavailable taxii.filling, and the run goes on
    await filling.stop()        when the door closes

A home that has received for years takes minutes to fill: longer than a client of TAXII, or a proxy before the node,
waits for an answer. It is told to come back, and how much is left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from exchange.errors import ExchangeError, Unavailable

PATIENCE_SECONDS: Final = 20.0
RETRY_SECONDS: Final = 30

_log = logging.getLogger("exchange.node.taxii")


class Filling:
    """At most one run at a time, of `fill`, which says whether all is in; `left` counts the messages that aren't yet.

    `patience`: seconds that a caller waits.
    """

    def __init__(
        self,
        fill: Callable[[], Coroutine[Any, Any, bool]],
        left: Callable[[], Awaitable[int]],
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._fill = fill
        self._left = left
        self._patience = patience
        self._run: asyncio.Task[bool] | None = None
        self._stopped = False

    async def up_to_now(self) -> None:
        """Wait for a run that began after this call.

        Raises Unavailable taxii.filling where that takes too long, storage.closed after `stop`; what filling raises.
        """
        until = asyncio.get_running_loop().time() + self._patience
        while True:
            if self._stopped:
                raise Unavailable("storage.closed")
            run, ours = self._run, self._run is None
            if run is None:
                run = self._run = asyncio.create_task(self._fill())
                run.add_done_callback(self._ended)
            # never cancelled with its caller: what it has begun serves the next one
            await asyncio.wait({run}, timeout=until - asyncio.get_running_loop().time())
            if run.cancelled():
                continue
            if not run.done() or (ours and not run.result()):
                raise Unavailable(
                    "taxii.filling", f"messages left: {await self._left()}", retry_after=RETRY_SECONDS
                )
            if ours:
                return

    async def stop(self) -> None:
        """End the run; it goes on from there the next time."""
        self._stopped = True
        if self._run is not None:
            self._run.cancel()
            await asyncio.wait({self._run})

    def _ended(self, run: asyncio.Task[bool]) -> None:
        self._run = None
        if run.cancelled() or (fault := run.exception()) is None:
            return
        # whoever waits is told as well; never the message: it may quote what was sent
        what = fault.code if isinstance(fault, ExchangeError) else type(fault).__name__
        _log.error("filling failed", extra={"error": what})
