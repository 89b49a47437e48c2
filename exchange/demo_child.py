"""What runs in a child process of the demo: one public `serve` command, exactly as a user types it.

Everything heavy is imported here, so that a fork server that has imported this module starts a child in milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import uvloop

from exchange.cli import app
from exchange.formats import cover, registry
from exchange.hub import app as hub_app
from exchange.node import app as node_app

_PR_SET_PDEATHSIG: Final = 1
PRELOADED: Final = (uvloop, cover, registry, hub_app, node_app)


def serve(arguments: Sequence[str], stdout: Connection, log: Path) -> None:
    """Run `exchange ARGUMENTS` in this process until it ends; stdout goes to the pipe, stderr to the end of `log`."""
    os.setsid()  # Ctrl-C is for the demo, which then ends its children in order
    _die_with_parent()
    with log.open("ab") as errors:
        os.dup2(errors.fileno(), 2)
    os.dup2(stdout.fileno(), 1)
    stdout.close()
    sys.exit(app.run(arguments))


def _die_with_parent() -> None:
    """Be sent SIGTERM when the demo dies in a way that lets it clean nothing up (Linux; elsewhere nothing happens)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
