"""What the clients of `publish` count, the same for every side: when each message went out, when each copy came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from bench._rounds import percentile, process_cpu_seconds, process_mib

STORED_ITEMS: Final = 64  # a client stores what has come in one transaction, then says so once
STORED_SECONDS: Final = 0.02


class Meter:
    """One round: `messages` to `recipients`, of the server `pid`. A client's fault ends the round."""

    def __init__(self, messages: int, recipients: int, pid: int) -> None:
        self.messages = messages
        self.recipients = recipients
        self._pid = pid
        self._sent: dict[bytes, int] = {}
        self._took: list[int] = []
        self._released = 0
        self._faults: list[Exception] = []
        self._done = asyncio.Event()
        self._began = self._cpu = 0.0

    def start(self) -> None:
        """The clock runs from here."""
        self._began, self._cpu = time.perf_counter(), process_cpu_seconds(self._pid)

    def sent(self, key: bytes) -> None:
        """This message goes out now."""
        self._sent[key] = time.perf_counter_ns()

    def came(self, key: bytes) -> None:
        """A copy of it has come."""
        self._took.append(time.perf_counter_ns() - self._sent[key])

    def released(self, copies: int) -> None:
        """The server has said that so many copies are receipted, durably."""
        self._released += copies
        if self._released >= self.messages * self.recipients:
            self._done.set()

    def fail(self, fault: Exception) -> None:
        """End the round: it counts for nothing."""
        self._faults.append(fault)
        self._done.set()

    async def finish(self, *, within: float) -> Mapping[str, float]:
        """The round's figures once every copy is receipted. Raises what a client raised; TimeoutError."""
        async with asyncio.timeout(within):
            await self._done.wait()
        if self._faults:
            raise self._faults[0]
        seconds = time.perf_counter() - self._began
        cpu = process_cpu_seconds(self._pid) - self._cpu
        copies = self.messages * self.recipients
        if len(self._took) != copies or self._released != copies:
            raise RuntimeError(f"{len(self._took)} came and {self._released} were released of {copies}")
        return {
            "deliveries_per_s": copies / seconds,
            "messages_per_s": self.messages / seconds,
            "p50_ms": percentile(self._took, 0.5) / 1e6,
            "p99_ms": percentile(self._took, 0.99) / 1e6,
            "cpu_ms_per_message": cpu / self.messages * 1000,
            "rss_mib": process_mib(self._pid),
        }


class Stored:
    """When a client of any side says what it has: for so many messages at once, or soon after the first."""

    def __init__(self, say: Callable[[list[bytes]], None]) -> None:
        self._say = say
        self._owed: list[bytes] = []
        self._saying: asyncio.TimerHandle | None = None

    def owe(self, what: bytes) -> None:
        """This one came; `say` will be called with it."""
        self._owed.append(what)
        if len(self._owed) >= STORED_ITEMS:
            self._now()
        elif self._saying is None:
            self._saying = asyncio.get_running_loop().call_later(STORED_SECONDS, self._now)

    def _now(self) -> None:
        if self._saying is not None:
            self._saying.cancel()
            self._saying = None
        owed, self._owed = self._owed, []
        self._say(owed)
