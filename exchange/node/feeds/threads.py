"""Owns the threads that talk to servers of feeds through a library that blocks: how long one may take, and its end.

    await threads.run("feed", work, seconds=60, abort=session.abort)

A thread that is late is told to end: `abort` takes its connections away. One that doesn't end even so (a name server
that never answers) is left behind and counted; until it ends, its feed isn't asked again, so there is never a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from exchange.errors import ExchangeError, Unavailable

T = TypeVar("T")
GRACE_SECONDS: Final = 5.0  # to end, once its connections are gone


class FeedThreads:
    """One per process. Daemons: none of them keeps the process from ending."""

    def __init__(self, *, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._lock = threading.Lock()
        self._running: dict[str, bool] = {}  # by name: whether it was left behind

    @property
    def stuck(self) -> int:
        """How many were left behind and are still there."""
        return sum(list(self._running.values()))

    async def run(self, name: str, work: Callable[[], T], *, seconds: float, abort: Callable[[], None]) -> T:
        """What `work` returns, done in a thread of this name; raises what of our errors it raises.

        Raises Unavailable feed.late after `seconds`, feed.stuck while an earlier one of that name is there.
        """
        if name in self._running:
            raise Unavailable("feed.stuck")
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: ExchangeError | None) -> None:
            if ended.done():
                return
            if error is not None:
                ended.set_exception(error)
            else:
                ended.set_result(result)  # type: ignore[arg-type]  # without an error it is what work returned

        def go() -> None:
            result: T | None = None
            error: ExchangeError | None = Unavailable("internal.error")  # unless it says otherwise
            try:
                result, error = work(), None
            except ExchangeError as fault:
                error = fault
            except Exception as fault:  # noqa: BLE001 - a traceback may quote what came, or a credential
                error = Unavailable("internal.error", type(fault).__name__)
            finally:
                with self._lock:
                    del self._running[name]
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(settle, result, error)

        self._running[name] = False
        threading.Thread(target=go, name="feed", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(ended)
        except TimeoutError:
            abort()
            with contextlib.suppress(TimeoutError, ExchangeError):
                async with asyncio.timeout(self._grace):
                    await asyncio.shield(ended)
            self._leave(name)
            raise Unavailable("feed.late", f"no answer within {seconds:g} s") from None
        except asyncio.CancelledError:
            abort()
            self._leave(name)
            raise
        finally:
            ended.cancel()

    def _leave(self, name: str) -> None:
        """It is counted from now on, unless it has ended."""
        with self._lock:
            if name in self._running:
                self._running[name] = True
