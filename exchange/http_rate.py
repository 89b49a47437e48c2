"""Owns what one caller may take of a server: so many requests a second, so many things or bytes of memory at once."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Final

from exchange.errors import Refused, Unavailable

_CALLERS: Final = 10_000


@dataclass
class _Bucket:
    tokens: float
    at: float


class Rate:
    """`per_second` requests of each caller, `burst` at once. `seconds()` is a monotonic clock."""

    def __init__(self, *, per_second: float, burst: float, seconds: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._seconds = seconds
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request. Raises Refused rate.too-many with `retry_after`."""
        bucket = self._filled(caller)
        self._buckets[caller] = bucket
        if len(self._buckets) > _CALLERS:
            self._buckets.popitem(
                last=False
            )  # the one that asked longest ago: by now its bucket is full again
        self._check(bucket)
        bucket.tokens -= 1

    def give_back(self, caller: str) -> None:
        """What was taken last was none to count."""
        bucket = self._filled(caller)
        bucket.tokens = min(self._burst, bucket.tokens + 1)
        self._buckets[caller] = bucket

    def check(self, caller: str) -> None:
        """Whether one more would be taken, without counting it. Raises as `take`."""
        if caller in self._buckets:
            bucket = self._buckets[caller] = self._filled(caller)
            self._check(bucket)

    def left(self, caller: str) -> tuple[int, int]:
        """How many more would be taken at once, and in how many seconds it is as many as ever."""
        tokens = self._buckets[caller].tokens if caller in self._buckets else self._burst
        return int(tokens), ceil((self._burst - tokens) / self._per_second)

    @property
    def policy(self) -> tuple[int, int]:
        """How many at once, and in how many seconds these come back."""
        return int(self._burst), ceil(self._burst / self._per_second)

    def _filled(self, caller: str) -> _Bucket:
        now = self._seconds()
        bucket = self._buckets.pop(caller, None) or _Bucket(self._burst, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._per_second)
        bucket.at = now
        return bucket

    def _check(self, bucket: _Bucket) -> None:
        if bucket.tokens < 1:
            raise Refused("rate.too-many", retry_after=max(1, round((1 - bucket.tokens) / self._per_second)))


class AtOnce:
    """At most `most` things of each caller under way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """While it lasts, one more of the caller's. Raises Refused rate.too-many."""
        if self._under_way[caller] >= self._most:
            raise Refused("rate.too-many", retry_after=1)
        self._under_way[caller] += 1
        try:
            yield
        finally:
            self._under_way[caller] -= 1
            if not self._under_way[caller]:
                del self._under_way[caller]


class Room:
    """Memory in bytes that requests in work share: `most` in all, `share` of it for one caller.

    Without the share, one member that sends slowly what it announced would keep all others' mail out for hours.
    """

    def __init__(self, most: int, *, share: int) -> None:
        self._left = most
        self._share = share
        self._taken: Counter[str] = Counter()

    def take(self, caller: str, size: int) -> None:
        """Reserve. Raises Unavailable storage.busy."""
        if size > self._left or self._taken[caller] + size > self._share:
            raise Unavailable("storage.busy", retry_after=2)
        self._left -= size
        self._taken[caller] += size

    def give_back(self, caller: str, size: int) -> None:
        """Release what `take` reserved."""
        self._left += size
        self._taken[caller] -= size
        if not self._taken[caller]:
            del self._taken[caller]
