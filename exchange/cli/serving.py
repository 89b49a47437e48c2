"""Runs a server's event loop in the foreground: uvloop, and an exit that says how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


def run_loop(serve: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run `serve()` until it returns; what it raises comes out as it is."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
