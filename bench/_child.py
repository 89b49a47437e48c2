"""A server that a benchmark starts as a process of its own, and ends with the block. Owns how it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

STOP_SECONDS: Final = 30


@contextmanager
def child(
    command: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """`command`, its stdout a pipe and its stderr in `log`; SIGTERM at the end, SIGKILL if that isn't enough."""
    with log.open("wb") as errors:
        running = subprocess.Popen(  # noqa: S603 - ours, or of our lock
            command,
            env=os.environ | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
            if running.stdout is not None:
                running.stdout.close()
