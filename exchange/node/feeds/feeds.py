"""Owns when the feeds from outside are asked, what of them is stored, and how each does.

    await feeds.run()            the loop, for ever
    await feeds.poll("name")     one now

A batch and the position behind it are stored together: whoever is killed between two goes on from there, and what comes
again is known by its bytes. A feed that fails is asked again later and later; it holds up no other one. How a server is
asked is the edges' business (feeds/api.py), what may become of what came outside.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final, NoReturn, Protocol, cast

from exchange.access import SECRET_BYTES
from exchange.canonical import Json
from exchange.errors import ExchangeError, Refused, Rejected, Unavailable
from exchange.feed_settings import MOST_EVERY_MS
from exchange.formats.stix.spans import parse
from exchange.limits import HOUR_MS, SECOND_MS
from exchange.node.feeds.api import Batch, Event, FeedSource
from exchange.node.feeds.labels import Definitions, labelled, undefined
from exchange.node.identity import Sources
from exchange.node.retention import plausible
from exchange.node.store import (
    bringers as store_bringers,
    feeds as store_feeds,
    outside as store_outside,
    taxii as store_taxii,
)
from exchange.node.store.feeds import Feed
from exchange.node.store.outside import Brought
from exchange.node.store.store import Store, Transaction
from exchange.node.store.taxii import Keys
from exchange.node.together import backoff
from exchange.storage.files import RESERVE_BYTES, disk_fault

LOG = logging.getLogger("exchange.node.feeds.feeds")
AT_ONCE: Final = 4  # feeds being asked
CHUNK: Final = 256  # objects stored in one transaction: mail must get its turn
RUN_SECONDS: Final = 600.0  # after which a run ends with the batch at hand; the next one goes on
LOOK_SECONDS: Final = 60.0  # how often is looked for what a command has changed, without being told
MOST_SECONDS: Final = 3_600.0  # between two tries of a feed that fails
FIRST_TRIES: Final = 5  # doublings that the first wait has: half a minute
SOON_MS: Final = SECOND_MS
MOST_FULL: Final = 12  # runs in a row that a feed may fill before it waits its turn
EXPIRE_EVERY_MS: Final = HOUR_MS
EXPIRE_ROUNDS: Final = 8
MOST_THINGS: Final = (
    1_000_000  # of one feed, and events that it remembers; once it has brought them, it is asked no more
)
LEAST_FREE: Final = 2 * RESERVE_BYTES  # attachments and copies leave the half of it
MOST_MARKINGS: Final = 256  # of a batch that are looked for among what came before
MARKING_BYTES: Final = (
    1024 * 1024
)  # of their definitions that are read for it; the markings of the others are unknown


class Servers(Protocol):
    """Opens the server of a feed; `stuck`: threads that are left behind."""

    def open(self, feed: Feed, credential: str) -> FeedSource: ...

    @property
    def stuck(self) -> int: ...


@dataclass
class Progress:
    """What a run has brought so far. `code`, `detail`: why it ended, empty where all went well; `more`: there is."""

    objects: int = 0
    new: int = 0
    refused: int = 0
    done: str = ""
    more: bool = False
    code: str = ""
    detail: str = ""


class Feeds:
    """The feeds of one node. One per process that owns the home."""

    def __init__(
        self,
        store: Store,
        sources: Sources,
        servers: Servers,
        *,
        most_things: int = MOST_THINGS,
        least_free: int = LEAST_FREE,
    ) -> None:
        """`most_things`: of one feed. `least_free`: bytes of the disk that feeds leave to the mail."""
        self._store = store
        self._sources = sources
        self._servers = servers
        self._most_things = most_things
        self._least_free = least_free
        self._polls: dict[int, asyncio.Task[None]] = {}
        self._progress: dict[int, Progress] = {}
        self._look = asyncio.Event()
        self._full = Counter[int]()  # runs in a row that brought as much as one may, by feed
        self._resting: dict[int, int] = {}  # until when (monotonic ms), where that could not be written
        self._expire_at = 0  # monotonic ms

    @property
    def stuck(self) -> int:
        """Threads that talk to a server and don't end."""
        return self._servers.stuck

    def poke(self) -> None:
        """A command has changed something."""
        self._look.set()

    # -- the loop -----------------------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Ask each feed when it is due, for ever; cancel to stop."""
        try:
            while True:
                self._look.clear()
                wait = LOOK_SECONDS
                with contextlib.suppress(ExchangeError):  # a full disk is told by what needs it more
                    wait = await self._start_due()
                    await self._expire()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._look.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """End what is under way."""
        polls = list(self._polls.values())
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    async def _start_due(self) -> float:
        """Begin what is due, as far as may be at once; seconds until the next one is."""
        now, wait = self._sources.clock(), LOOK_SECONDS
        for feed in await self._store.db.read(partial(store_feeds.listed, cipher=self._store.cipher)):
            rests = self._resting.get(feed.n, 0) > self._sources.monotonic()
            if feed.paused or feed.n in self._polls or rests:
                continue
            left = feed.due_at - now
            if left > MOST_EVERY_MS or (feed.tried_at or 0) > now:
                left = 0  # the clock was ahead
            if left > 0:
                wait = min(wait, left / SECOND_MS)
            elif len(self._polls) < AT_ONCE:
                self._begin(feed)
        return wait

    def _begin(self, feed: Feed) -> asyncio.Task[None]:
        self._progress[feed.n] = Progress()
        poll = asyncio.create_task(self._poll(feed, self._progress[feed.n]))
        self._polls[feed.n] = poll
        poll.add_done_callback(partial(self._ended, feed.n))
        return poll

    def _ended(self, n: int, poll: asyncio.Task[None]) -> None:
        del self._polls[n]
        self._look.set()
        if not poll.cancelled():
            poll.exception()  # it has been told of

    # -- one feed -----------------------------------------------------------------------------------------------

    async def poll(self, name: str, *, seconds: float | None = None) -> tuple[Progress, bool]:
        """Ask a feed now, paused or not, or join the run that is under way; how far it came, and whether it has ended.

        `seconds`: wait no longer for it, and leave it running. Raises Refused feed.unknown.
        """
        feed = await self._find(name)
        poll = self._polls.get(feed.n) or self._begin(feed)
        await asyncio.wait([poll], timeout=seconds)
        return self._progress[feed.n], poll.done()

    async def watch(self, name: str, *, seconds: float) -> tuple[Progress, bool]:
        """How far the run of a feed is that is under way, or how the last one ended. Raises Refused feed.unknown."""
        feed = await self._find(name)
        poll = self._polls.get(feed.n)
        if poll is not None:
            await asyncio.wait([poll], timeout=seconds)
        return self._progress.get(feed.n, Progress()), feed.n not in self._polls

    async def _find(self, name: str) -> Feed:
        feed = await self._store.db.read(partial(store_feeds.find, cipher=self._store.cipher, name=name))
        if feed is None:
            raise Refused("feed.unknown")
        return feed

    async def _poll(self, feed: Feed, progress: Progress) -> None:
        error: ExchangeError | None = None
        try:
            await self._take_all(feed, progress)
            self._count_full(feed, progress)
        except ExchangeError as fault:
            error = fault
            LOG.info("a feed failed", extra={"feed": feed.name, "code": fault.code})
        except Exception as fault:  # noqa: BLE001 - whatever a server brings about, it isn't asked again at once
            error = Unavailable("internal.error", type(fault).__name__)
            LOG.error("fault in a feed", extra={"feed": feed.name, "type": type(fault).__name__})
        if error is not None:
            progress.code, progress.detail = error.code, error.detail
        await self._write_end(feed, error, more=progress.more)

    def _count_full(self, feed: Feed, progress: Progress) -> None:
        """A server that always has more is asked at once again, but not for ever. Raises Rejected feed.endless."""
        self._full[feed.n] = self._full[feed.n] + 1 if progress.more else 0
        if self._full[feed.n] >= MOST_FULL:
            self._full[feed.n] = 0
            raise Rejected("feed.endless", f"{MOST_FULL} runs in a row were full, and it promises more")

    async def _take_all(self, feed: Feed, progress: Progress) -> None:
        store, began = self._store, self._sources.monotonic()

        async def unseen(events: Sequence[Event]) -> list[Event]:
            return await store.db.read(lambda c: store_feeds.unseen(c, feed.n, events))

        def brought(connection: Transaction) -> int:
            return max(store_bringers.count(connection, feed.n), store_feeds.seen(connection, feed.n))

        if await store.db.read(brought) >= self._most_things:
            raise Refused("feed.full")
        self._check_room()
        credential = await store.db.read(lambda c: store_feeds.credential(c, store.cipher, feed.n))
        source = self._servers.open(feed, credential)
        async with aclosing(cast("AsyncGenerator[Batch, None]", source.run(feed.position, unseen))) as run:
            async for batch in run:
                await self._take(feed, batch, progress)
                self._check_room()
                if self._sources.monotonic() - began > RUN_SECONDS * SECOND_MS:
                    return

    def _check_room(self) -> None:
        """No feed takes the disk that mail needs. Raises Unavailable storage.full, storage.io."""
        try:
            missing = self._least_free - shutil.disk_usage(self._store.db.path.parent).free
        except OSError as error:
            raise disk_fault(error) from error
        if missing > 0:
            raise Unavailable("storage.full", f"feeds leave room for mail: {missing} bytes more are needed")

    async def _take(self, feed: Feed, batch: Batch, progress: Progress) -> None:
        """Store a batch, a chunk at a time; the position stands in the transaction of the last one."""
        known = await self._definitions(feed, await asyncio.to_thread(undefined, batch.loaded))
        brought = await asyncio.to_thread(labelled, batch.loaded, feed.settings.floor, known)
        chunks = [brought[at : at + CHUNK] for at in range(0, len(brought), CHUNK)] or [[]]
        for place, chunk in enumerate(chunks):
            last = batch if place + 1 == len(chunks) else None
            write = partial(self._write, feed, chunk, last)
            progress.new += await self._store.db.write(write, size=sum(len(one.data) for one in chunk))
        progress.objects += len(brought)
        progress.refused += len(batch.loaded.set_aside)
        progress.done, progress.more = batch.done, batch.more

    async def _definitions(self, feed: Feed, markings: Sequence[str]) -> Definitions:
        """Of markings that a batch uses, as the same feed has brought them before: another one's say nothing here."""
        cipher, ids, found = self._store.cipher, markings[:MOST_MARKINGS], Definitions()

        def read(connection: Transaction) -> None:
            secret = store_taxii.secret(connection, cipher)
            if secret is None:
                return
            keys = Keys(secret)
            for data in store_outside.brought(connection, cipher, keys, feed.n, ids, most=MARKING_BYTES):
                found.add(parse(data))

        if ids:
            await self._store.db.read(read)
        return found

    def _write(
        self, feed: Feed, chunk: Sequence[Brought], batch: Batch | None, connection: Transaction
    ) -> int:
        cipher, now = self._store.cipher, self._sources.clock()
        standing = store_feeds.find(connection, cipher, feed.name)
        if standing is None or standing.n != feed.n:
            raise Refused("feed.unknown", "it was removed")
        # read in each transaction: keys of one that was undone are stored nowhere, and what they hash is never found
        keys = store_taxii.ensure_secret(connection, cipher, self._sources.random(SECRET_BYTES))
        new = store_outside.keep(connection, cipher, keys, feed.n, chunk, now=now)
        if batch is not None:
            store_feeds.add_refused(connection, cipher, feed.n, batch.loaded.set_aside, now=now)
            if batch.event is not None:
                lost = batch.loaded.losses
                store_feeds.set_losses(connection, cipher, feed.n, batch.event[0], lost, now=now)
                store_feeds.set_seen(connection, feed.n, [batch.event], since=batch.since)
            store_feeds.set_position(connection, cipher, feed.n, batch.position)
        return new

    async def _write_end(self, feed: Feed, error: ExchangeError | None, *, more: bool) -> None:
        now = self._sources.clock()

        def write(connection: Transaction) -> None:
            if error is None:
                due = now + (SOON_MS if more else self._jittered(feed.settings.every))
                store_feeds.set_succeeded(connection, feed.n, now=now, due_at=due)
            else:
                due = now + self._wait(feed, error)
                store_feeds.set_failed(
                    connection, feed.n, now=now, due_at=due, code=error.code, detail=error.detail
                )

        try:
            await self._store.db.write(write)
        except ExchangeError:  # it is asked again when the disk lets it be written; not at once
            self._resting[feed.n] = self._sources.monotonic() + int(LOOK_SECONDS * SECOND_MS)

    def _wait(self, feed: Feed, error: ExchangeError) -> int:
        """How long (ms) until a feed that fails is asked again; what nobody mends soon waits its whole turn."""
        seconds = backoff(feed.failures + 1 + FIRST_TRIES, most=MOST_SECONDS, random=self._sources.random)
        asked = int(error.facts.get("retry_after", 0))
        least = 0 if isinstance(error, Unavailable) else feed.settings.every
        return max(int(seconds * SECOND_MS), asked * SECOND_MS, least)

    def _jittered(self, every: int) -> int:
        """About so many ms: nodes that were told the same don't all ask at once."""
        return every * (950 + int.from_bytes(self._sources.random(2), "big") % 100) // 1_000

    async def _expire(self) -> None:
        """Let go, now and then, what no feed has brought for as long as it is kept."""
        if self._sources.monotonic() < self._expire_at:
            return
        clock, cipher = self._sources.clock(), self._store.cipher
        listed = partial(store_feeds.listed, cipher=cipher, removed=True)
        now = await self._store.db.read(partial(plausible, clock=clock))
        more = False
        for feed in await self._store.db.read(listed):
            before = now - feed.settings.keep if feed.settings.keep else store_outside.EVER
            expire = partial(store_outside.expire, cipher=cipher, feed=feed.n, before=before)
            for _ in range(EXPIRE_ROUNDS):
                if not await self._store.db.write(expire):
                    break
            else:
                more = True
        self._expire_at = self._sources.monotonic() + (0 if more else EXPIRE_EVERY_MS)


def as_json(progress: Progress, *, ended: bool) -> dict[str, Json]:
    """For a command that watches."""
    return {
        "objects": progress.objects,
        "new": progress.new,
        "refused": progress.refused,
        "done": progress.done,
        "more": progress.more,
        "code": progress.code,
        "detail": progress.detail,
        "ended": ended,
    }
