"""Real child processes of the command `exchange`: started, awaited, killed, measured, and ended by id in every case.

Owns the children's lives and the files their output goes to. What they are for is `network`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

READY_SECONDS: Final = 45.0
STOP_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.02
PROGRAM = (sys.executable, "-m", "exchange")
_T = TypeVar("_T")


async def until(condition: Callable[[], _T], what: str, *, seconds: float = 30.0) -> _T:
    """The first true value of `condition`, asked again and again; fails the test after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (value := condition()):
        assert loop.time() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(POLL_SECONDS)
    return value


async def until_async(condition: Callable[[], Awaitable[_T]], what: str, *, seconds: float = 30.0) -> _T:
    """`until`, for a condition that has to wait itself."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (value := await condition()):
        assert loop.time() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(POLL_SECONDS)
    return value


class Child:
    """One `exchange ...` process at a time; its output of all runs is appended to `log`."""

    def __init__(
        self, name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.arguments = list(arguments)
        self.environment = dict(environment or {})
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._from = 0

    @property
    def pid(self) -> int:
        """Its process id. Only while it runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it was started and hasn't ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, once it has ended."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it; `ready` waits."""
        assert not self.runs, f"{self.name} runs already"
        self.log.touch()
        self._from = self.log.stat().st_size
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*PROGRAM, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Wait for its ready line."""
        await until(self._has_ended_or_is_ready, f"{self.name} is ready", seconds=READY_SECONDS)
        assert self.runs, f"{self.name} ended with {self.exit_code}: {self.last_words()}"

    async def up(self) -> None:
        """`start` and `ready`."""
        self.start()
        await self.ready()

    def kill(self) -> None:
        """kill -9, and reap it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait(STOP_SECONDS)

    async def stop(self) -> int:
        """SIGTERM; its exit code. Fails the test if it doesn't end in time."""
        if self.runs:
            assert self._process is not None
            self._process.send_signal(signal.SIGTERM)
            try:
                await until(lambda: not self.runs, f"{self.name} ends", seconds=STOP_SECONDS)
            except BaseException:
                self.kill()
                raise
        code = self.exit_code
        return 0 if code is None else code

    def output(self) -> bytes:
        """Everything it said on stdout and stderr, in all its runs."""
        return self.log.read_bytes() if self.log.exists() else b""

    def last_words(self) -> str:
        """The end of what it said, for a failed test."""
        return self.output()[-4_000:].decode(errors="replace")

    def peak_kib(self) -> int:
        """The most memory it had resident (VmHWM), ever or since `resting_kib`, in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))

    def resting_kib(self) -> int:
        """What it has resident now; `peak_kib` starts again from there (proc(5), clear_refs 5)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self.peak_kib()

    def title(self) -> bytes:
        """Its command line, as everybody on the machine can read it."""
        return Path(f"/proc/{self.pid}/cmdline").read_bytes()

    def _has_ended_or_is_ready(self) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._from)
            lines = log.read().split(b"\n")
        return not self.runs or any(line.startswith(b"ready") for line in lines[:-1])
