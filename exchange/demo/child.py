"""What runs in a child process of the demo: one public `serve` command, exactly as a user types it.

Everything heavy is imported here, so that a fork server that has imported this module starts a child in milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import uvloop

from exchange.cli import app
from exchange.formats import registry
from exchange.formats.stix import cover
from exchange.hub import app as hub_app
from exchange.node import app as node_app

PRELOADED: Final = (uvloop, cover, registry, hub_app, node_app, app.build())


def serve(arguments: Sequence[str], stdout: Connection, log: Path) -> None:
    """Run `exchange ARGUMENTS` in this process until it ends; stdout goes to the pipe, stderr to the end of `log`."""
    os.setsid()  # Ctrl-C is for the demo, which then ends its children in order
    threading.Thread(target=_end_with_demo, daemon=True).start()
    with log.open("ab") as errors:
        os.dup2(errors.fileno(), 2)
    os.dup2(stdout.fileno(), 1)
    stdout.close()
    sys.exit(app.run(arguments))


def _end_with_demo() -> None:
    """Wait until the demo's process is gone, however it went, and then end this one in order."""
    demo = parent_process()
    if demo is not None:
        demo.join()
        os.kill(os.getpid(), signal.SIGTERM)
