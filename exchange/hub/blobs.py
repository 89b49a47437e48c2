"""Owns sealed attachments at the hub: taken as they come, kept through cuts, handed to whom a message names.

What is on the disk decides, not what a connection was told: bytes are durable before a number says so, a blob is whole
once its SHA-256 is the one it is named for. Works beside the event loop, in bounded memory. docs/protocol.md §11.14.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final, TypeVar

from exchange import policy
from exchange.errors import Refused, Rejected, Unavailable
from exchange.hub.mailboxes import RETRY_SECONDS
from exchange.hub.registrar import Registrar
from exchange.hub.store import blobs as rows
from exchange.hub.store.blob_files import BlobFiles, Growing
from exchange.hub.store.store import HubStore
from exchange.limits import BLOB_SYNC_BYTES
from exchange.settings import HubLimits

T = TypeVar("T")

WRITE_BYTES: Final = 256 * 1024  # handed to the disk at once
READ_BYTES: Final = 256 * 1024
THREADS: Final = 2  # a disk that is slow must not keep others' work from a thread


@dataclass(frozen=True)
class Taken:
    """How far an upload is: bytes from the beginning on. `whole`: all of them; `new`: since this call."""

    have: int
    whole: bool
    new: bool


@dataclass(frozen=True)
class Reading:
    """`count` bytes of a blob as they are read; `close` also midway."""

    count: int
    parts: AsyncIterator[bytes]
    close: Callable[[], None]


@dataclass(frozen=True)
class _Turn:
    """An upload under way: how to end it, and when it has ended."""

    end: Callable[[], None]
    ended: asyncio.Event


class Blobs:
    """All blobs of one hub. `clock()` in ms, `free_bytes()` what the disk has left."""

    def __init__(
        self,
        store: HubStore,
        registrar: Registrar,
        files: BlobFiles,
        *,
        clock: Callable[[], int],
        free_bytes: Callable[[], int],
        limits: HubLimits,
    ) -> None:
        self._db = store.db
        self._registrar = registrar
        self._files = files
        self._clock = clock
        self._free_bytes = free_bytes
        self._limits = limits
        self._quota = rows.BlobQuota(limits.quota_blobs, limits.quota_blob_bytes)
        self._turns: dict[tuple[str, bytes], _Turn] = {}
        self._readers: dict[tuple[str, bytes], Callable[[], None]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")

    # in

    async def take(
        self,
        member: str,
        digest: bytes,
        *,
        start: int,
        size: int,
        parts: AsyncIterator[bytes] | None,
        end: Callable[[], None],
    ) -> Taken:
        """Write down `parts`, bytes `start`.. of a blob of `size`, as they come; None of them asks how far it is.

        What came before `parts` failed stays, and its error is raised. `end` makes `parts` fail, from outside: of two
        calls for one blob the newer goes on. Raises Refused quota.exceeded; Rejected blob.wrong-hash, request.bad;
        Unavailable storage.*.
        """
        async with self._turn((member, digest), end):
            step = partial(
                rows.begin, member=member, digest=digest, size=size, quota=self._quota, now=self._clock()
            )
            blob, dropped = await self._db.write(step)
            await self._beside(self._files.drop, dropped)
            have = blob.have
            if blob.whole:
                return Taken(have, whole=True, new=False)
            self._check_room(size - have)
            if parts is not None and start == have:
                have = await self._write(blob, parts)
            if have == size:
                await self._finish(blob.n, digest)
            return Taken(have, whole=have == size, new=True)

    @asynccontextmanager
    async def _turn(self, key: tuple[str, bytes], end: Callable[[], None]) -> AsyncIterator[None]:
        """Be the one that writes this blob: whoever did before has ended, and what it brought is durable."""
        while (before := self._turns.get(key)) is not None:
            before.end()
            await before.ended.wait()
        mine = self._turns[key] = _Turn(end, asyncio.Event())
        try:
            yield
        finally:
            del self._turns[key]
            mine.ended.set()

    async def _write(self, blob: rows.Stored, parts: AsyncIterator[bytes]) -> int:
        """How many bytes are durable then."""
        file = await self._beside(self._files.grow, blob.n, blob.have)
        try:
            noted = blob.have
            waiting = bytearray()
            try:
                async for part in parts:
                    waiting += part
                    if len(waiting) >= WRITE_BYTES:
                        taken, waiting = bytes(waiting), bytearray()
                        await self._beside(file.write, taken)
                    if file.have - noted >= BLOB_SYNC_BYTES:
                        noted = await self._note(blob.n, file)
                        self._check_room(0)  # others write, too
            finally:
                # also of a link that was cut: this is what its sender need not bring again
                if waiting:
                    await self._beside(file.write, bytes(waiting))
                if file.have > noted:
                    noted = await self._note(blob.n, file)
            return noted
        finally:
            file.close()

    def _check_room(self, size: int) -> None:
        if self._free_bytes() - size < self._limits.free_bytes:
            raise Unavailable("storage.full", retry_after=RETRY_SECONDS)

    async def _note(self, n: int, file: Growing) -> int:
        have = await self._beside(file.sync)
        await self._db.write(partial(rows.note, n=n, have=have, now=self._clock()))
        return have

    async def _finish(self, n: int, digest: bytes) -> None:
        """All bytes are here. Raises Rejected blob.wrong-hash, and then none is."""
        if await self._beside(self._files.digest, n) == digest:
            await self._db.write(partial(rows.finish, n=n, now=self._clock()))
            return
        await self._db.write(partial(rows.drop, n=n))
        await self._beside(self._files.drop, [n])
        raise Rejected("blob.wrong-hash")

    # out

    async def open(
        self, address: str, digest: bytes, *, start: int, most: int, end: Callable[[], None]
    ) -> Reading:
        """Up to `most` bytes, from `start` on, of a blob that `address` may have. To be closed by its caller.

        `end` ends whoever reads it, from outside: of two calls of one address for one blob the newer goes on. Raises
        Refused request.not-found, whatever the reason; Unavailable storage.*.
        """
        since = policy.mail_since(self._registrar.directory, address)
        step = partial(rows.readable, digest=digest, address=address, since=since, now=self._clock())
        blob = await self._db.read(step)
        if blob is None or start >= blob.size:
            raise Refused("request.not-found", "no such attachment for this address, or it isn't that long")
        file = await self._beside(self._files.reader, blob.n)
        file.seek(start)
        key = address, digest
        if (before := self._readers.get(key)) is not None:
            before()
        self._readers[key] = end

        def close() -> None:
            file.close()
            if self._readers.get(key) is end:
                del self._readers[key]

        count = min(most, blob.size - start)
        return Reading(count, self._parts(file, count), close)

    async def _parts(self, file: BinaryIO, count: int) -> AsyncIterator[bytes]:
        """The next `count` bytes of `file`, in pieces. Raises Unavailable storage.io."""
        while count:
            part = await self._beside(file.read, min(count, READ_BYTES))
            if not part:
                raise Unavailable("storage.io")
            count -= len(part)
            yield part

    # care

    async def tidy(self) -> None:
        """At the start: files that no row names go, and rows whose bytes aren't there begin anew."""
        found = await self._beside(self._files.sizes)
        known = await self._db.read(rows.all_blobs)
        await self._beside(self._files.drop, found.keys() - {blob.n for blob in known})
        lost = [blob.n for blob in known if found.get(blob.n, 0) < blob.have]
        if lost:
            await self._db.write(partial(rows.lose, numbers=lost))

    async def forget_due(self) -> int:
        """Forget what no envelope names any more; how many blobs."""
        count, more = 0, True
        while more:
            gone, more = await self._db.write(partial(rows.forget, now=self._clock()))
            await self._beside(self._files.drop, gone)
            count += len(gone)
        return count

    async def totals(self) -> rows.BlobTotals:
        """What all members have here."""
        return await self._db.read(rows.totals)

    def stop(self) -> None:
        """End what is under way; what came stays."""
        for turn in self._turns.values():
            turn.end()

    async def _beside(self, work: Callable[..., T], *given: object) -> T:
        """Run in a thread of our own; it has ended when this has, also when this is cancelled."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work, *given)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise
