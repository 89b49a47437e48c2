"""The demo's child processes: started, awaited until ready, and ended by id in every case.

Owns the servers' lives and where their logs go. A fork server that has imported everything once starts them: hub and
nodes are real processes of their own, and none of them spends a second on imports.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final

from exchange.errors import Unavailable

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.01
_CHILD: Final = "exchange.demo.child"


@dataclass
class Server:
    """One `exchange ... serve` child, the pipe it says `ready` on, and the file its log goes to."""

    name: str
    process: ForkServerProcess
    stdout: int
    log: Path

    def ready(self) -> None:
        """Wait for its `ready` line. Raises Unavailable internal.error when it ends or is silent too long."""
        end, line = time.monotonic() + READY_SECONDS, b""
        while not line.endswith(b"\n") and time.monotonic() < end:
            if select.select([self.stdout], [], [], end - time.monotonic())[0]:
                piece = os.read(self.stdout, 4096)
                if not piece:
                    break
                line += piece
        if not line.startswith(b"ready"):
            raise Unavailable("internal.error", f"{self.name} did not start; its log is {self.log}")

    def stop(self) -> None:
        """End it by SIGTERM, after 20 s by SIGKILL; a second call does nothing."""
        self.process.terminate()
        self.process.join(STOP_SECONDS)
        if self.process.is_alive():
            sys.stderr.write(f"{self.name} did not end on SIGTERM and is killed; its log: {self.log}\n")
            self.process.kill()
            self.process.join()


class Servers:
    """All children of one demo. A context manager: leaving it ends every one of them."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([_CHILD])
        self._all: list[Server] = []

    def __enter__(self) -> Servers:
        forkserver.ensure_running()  # it imports while the demo does, too
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._all:
            if server.process.is_alive():
                server.process.terminate()
        for server in self._all:
            server.stop()
            os.close(server.stdout)

    def child(self, name: str) -> Callable[[Sequence[str], Connection, Path], None]:  # noqa: ARG002 - for others
        """What the process of the server `name` runs."""
        from exchange.demo import child

        return child.serve

    def start(self, name: str, arguments: Sequence[str]) -> Server:
        """Start `exchange ARGUMENTS`."""
        reader, writer = self._context.Pipe(duplex=False)
        log = self._logs / f"{name}.log"
        process = self._context.Process(
            target=self.child(name), args=(tuple(arguments), writer, log), name=name, daemon=True
        )
        process.start()
        writer.close()
        stdout = os.dup(reader.fileno())
        reader.close()
        server = Server(name, process, stdout, log)
        self._all.append(server)
        return server


def free_port() -> int:
    """A TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(what: str, is_so: Callable[[], bool], *, seconds: float = READY_SECONDS) -> None:
    """Look until it is so. Raises Unavailable cli.timeout, naming what didn't come about."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise Unavailable("cli.timeout", f"{what}: not within {seconds:g} s")
        time.sleep(
            LOOK_SECONDS
        )  # other processes' files tell of nothing by themselves: look, up to the deadline
