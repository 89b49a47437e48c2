"""Owns the loop between this node and the hub: connect, pull, push, receipts, upkeep; when to try again.

`once` is one whole pass and waits for nothing; `run` keeps a connection and does the same parts as they become due,
with urgent mail on a way of its own in both directions. What each part does is its own file's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final, NoReturn

from exchange.errors import Damaged, ExchangeError, Hold, Refused, Rejected, Unavailable
from exchange.limits import HOUR_MS, LARGE_BYTES, MAX_PAGE_BYTES, PAGE_BYTES, POLL_SECONDS, SECOND_MS
from exchange.node.condition import Bell, Condition
from exchange.node.errands import PATIENT, beside_the_log, own_statements
from exchange.node.keys.own_keys import NOT_THIS_KEY
from exchange.node.mail.inbox import CURSOR, Taken
from exchange.node.mail.large import LargeDeliveries, is_named_flash, overtaken, runs, timed_page
from exchange.node.services import Services
from exchange.node.store import inbox as store_inbox
from exchange.node.store.store import Transaction, fact, set_fact
from exchange.node.together import MOST_DELAY, backoff, together, until_retry
from exchange.node.uplink.api import Feed, HubApi, HubState
from exchange.pacing import Window
from exchange.protocol import ITEM_LARGE, ITEM_NOTHING, Item

LOG = logging.getLogger("exchange.node.sync")
EPOCH: Final = "feed.epoch"
FLASH: Final = ("flash",)
BULK: Final = ("immediate", "priority", "routine")
SETTLED: Final = 10.0  # seconds that a session lasts, or it brings something: then it got on
ADMISSION_DELAY: Final = 5.0  # at most, while waiting to be admitted
PUSH_LOOK: Final = 30.0  # seconds: how often the outbox is looked at without being told to
UPKEEP: Final = 30.0
COMPANY_SECONDS: Final = 60.0  # a receipt waits for company, and until the next upkeep, under mail
COMPANY_BYTES: Final = 1024 * 1024  # of mail that one batch then answers for
AGAIN_PAGES: Final = 4_096  # of PAGE_BYTES: more than any honest mailbox
CHUNK: Final = 128  # items judged and stored in one transaction
NOT_ADMITTED: Final = frozenset({"auth.unknown-issuer", "auth.forbidden"})


class Sync:
    """The loop of the process that owns the home."""

    def __init__(self, hub: HubApi, services: Services) -> None:
        self._hub = hub
        self._services = services
        self._taking = asyncio.Lock()
        self._pushes = {FLASH: asyncio.Event(), BULK: asyncio.Event()}
        self._receipts_due = asyncio.Event()
        self._unreceipted = 0  # bytes of mail
        self._owing_since = 0.0
        self._got_on = False  # in this session
        self._retry_now = asyncio.Event()
        self._hurt = asyncio.Event()
        self._look_for_hub = asyncio.Event()
        self._epoch = ""  # the hub's run
        self.condition = Condition()
        self.changed = Bell()

    def _seconds(self) -> float:
        return self._services.sources.monotonic() / SECOND_MS

    def poke(self) -> None:
        """Somebody has queued something, or wants to know now."""
        self._push_soon()
        self._services.attachments.poke()
        self._look_for_hub.set()
        self._retry_now.set()

    def _push_soon(self) -> None:
        for event in self._pushes.values():
            event.set()

    # -- one pass -----------------------------------------------------------------------------------------------

    async def once(self) -> None:
        """Connect, take all that is there, send all that can be sent, receipt it. Raises ExchangeError."""
        await self._services.succession.adopt()
        await self._connect()
        await self._drain()
        await self.upkeep()
        await self._push_all()
        await self._drain()
        await self._services.receipts.upload(self._hub)
        if await self._services.attachments.carry(self._hub):  # last: what stops it must stop no mail
            await self._push_all()

    async def _drain(self) -> None:
        self.condition.drained = False
        window = Window(least=LARGE_BYTES, most=MAX_PAGE_BYTES)
        while True:
            page = await timed_page(self._hub, self._seconds, await self._cursor(), window)
            await self._take(page.items)
            if not page.more or not page.items:
                break
        self.condition.drained = True
        await self._services.receipts.upload(self._hub)

    async def _push_all(self) -> None:
        for lanes in self._pushes:
            while await self._push(lanes):
                pass

    async def _push(self, lanes: Sequence[str]) -> int:
        dispatched = await self._services.outbox.dispatch(self._hub, lanes)
        uploaded = await self._services.uploads.upload(self._hub, lanes)
        if dispatched or uploaded:
            self.changed.ring()
        self._got_on = self._got_on or uploaded > 0
        return dispatched + uploaded

    def _moved(self) -> None:
        self._got_on = True
        self.changed.ring()

    # -- connecting ---------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        services = self._services
        state = await self._state()
        self.condition.clock_offset = self._hub.clock_offset
        self._epoch = state.epoch
        self._heard()
        await services.restore.note(state)
        epoch = await services.store.db.read(lambda c: fact(c, EPOCH))
        await self._refresh(known=epoch == state.epoch.encode() and self._has_log(state))
        await services.prekeys.check_records(self._hub, state.epoch)
        await self._own_statements()
        if epoch == state.epoch.encode():
            services.uploads.new_session()
            return
        LOG.info("hub has a new epoch", extra={"offered_again": await services.uploads.offer_again()})

        def begin(connection: Transaction) -> None:
            set_fact(connection, EPOCH, state.epoch)
            set_fact(connection, CURSOR, "")

        await services.store.db.write(begin)

    async def _state(self) -> HubState:
        try:
            return await self._hub.state(await self._cursor())
        except (Refused, Rejected) as refusal:
            if refusal.code not in NOT_THIS_KEY or not await self._services.own_keys.prove(self._hub):
                raise
        return await self._hub.state(await self._cursor())

    def _has_log(self, state: HubState) -> bool:
        """Whether the hub would show no newer log. Its next checkpoint comes with the feed, at most an hour later."""
        replica = self._services.replica
        if replica.is_empty or self.condition.directory_problem:
            return False
        fresh = self._services.sources.clock() - replica.checkpoint.at <= HOUR_MS
        return fresh and replica.directory.size == state.size

    async def _refresh(self, *, known: bool = False) -> None:
        """Follow the hub's log, then look again at what waited for it. A quarrel over the log doesn't stop the mail.

        `known`: it hasn't grown, and needn't be asked for.
        """
        services = self._services
        if services.replica.is_empty:
            await services.replica.begin(self._hub)
        try:
            if not known:
                await services.replica.refresh(self._hub)
            await services.own_keys.settle()
            self.condition.directory_problem = ""
        except (Rejected, Hold, Damaged) as fault:
            self.condition.directory_problem = fault.code
        await self._after(await services.inbox.retry_held(), 0)
        await self._keep_beside()

    async def _keep_beside(self) -> None:
        problem = await beside_the_log(self._hub, self._services, self._epoch)
        self.condition.directory_problem = problem or self.condition.directory_problem
        if await self._services.beside.send_due():
            self._push_soon()

    async def _own_statements(self) -> None:
        problem = await own_statements(self._hub, self._services)
        self.condition.directory_problem = problem or self.condition.directory_problem

    # -- taking in ----------------------------------------------------------------------------------------------

    async def _cursor(self) -> str:
        value = await self._services.store.db.read(lambda c: fact(c, CURSOR))
        return (value or b"").decode("ascii")

    async def _take(
        self, items: Sequence[Item], *, feed: Feed | None = None, large: LargeDeliveries | None = None
    ) -> None:
        """Store items, and tell the `feed`. `large`: asked for again from the beginning; the cursor stays."""

        async def urgent(run: Sequence[Item]) -> None:
            await self._take_run(run, cursor=None)

        for come in runs(items, CHUNK):
            run, cursor = come, come[-1].cursor
            if run[0].type == ITEM_LARGE:
                fetch = (large or self._services.large).fetch(self._hub, run[0])
                run = [await overtaken(fetch, None if is_named_flash(run[0]) else feed, urgent)]
                if run[0].type == ITEM_NOTHING:
                    self._owe_receipts(0)  # stored before: the hub lacks its receipt
            await self._take_run(run, cursor=None if large else cursor)
            if feed is not None:
                await feed.stored(cursor)
            await asyncio.sleep(0)

    async def _take_run(self, items: Sequence[Item], *, cursor: str | None) -> None:
        async with self._taking:
            taken = await self._services.inbox.take(items, cursor=cursor)
        self._got_on = True
        await self._after(taken, sum(len(item.payload) for item in items))
        if taken.log_grew:
            await self._refresh()

    async def _after(self, taken: Taken, size: int) -> None:
        for peer, note in taken.notes:
            await self._services.replica.compare_with_peer(peer, note)
        if taken.receipts:
            self._owe_receipts(size)
        if taken.urgent:
            self._receipts_due.set()
        if taken.damaged:
            self._hurt.set()
        if taken.news:
            self._look_for_hub.set()
        if taken.to_send:
            self._push_soon()
        self.changed.ring()

    def _owe_receipts(self, size: int) -> None:
        """While more mail comes in, receipts wait for company: a signature is half a message, much on a thin link."""
        self._owing_since = self._owing_since if self._unreceipted else self._seconds()
        self._unreceipted += max(1, size)
        if self.condition.drained or self._unreceipted >= COMPANY_BYTES:
            self._receipts_due.set()

    # -- upkeep -------------------------------------------------------------------------------------------------

    async def upkeep(self) -> None:
        """What time brings: what is to be forgotten, lapsed sealings, gaps, prekeys, hurt items, an old checkpoint."""
        services, now = self._services, self._services.sources.clock()
        await services.retention.run()
        if self._unreceipted and self._seconds() - self._owing_since >= COMPANY_SECONDS:
            self._receipts_due.set()
        if services.replica.is_empty:
            return
        if now - services.replica.checkpoint.at > HOUR_MS:
            await self._refresh()
        await self._own_statements()
        await services.notices.load()
        await services.beside.forget()
        await self._keep_beside()
        moved = await services.outbox.sweep() + await services.secretariat.run_due()
        moved += await services.controls.resume()
        if self.condition.drained:
            moved += await services.questions.ask()
        whole = await self._ask_again_for_damaged(now)
        await services.prekeys.destroy_due(drained=self.condition.drained and whole)
        if moved:
            self._push_soon()

    async def _ask_again_for_damaged(self, now: int) -> bool:
        """Read the mailbox from the beginning: that brings what came hurt once more. False: there may be more."""
        damaged = await self._services.store.db.read(store_inbox.damaged)
        due = [one for one in damaged if one.retry_at <= now]
        if not due:
            return not damaged
        cursor, large = "", LargeDeliveries(self._services.store)
        window = Window(least=LARGE_BYTES, most=PAGE_BYTES)
        for _ in range(AGAIN_PAGES):
            page = await timed_page(self._hub, self._seconds, cursor, window)
            await self._take(page.items, large=large)
            if not page.more or not page.items:
                break
            cursor = page.items[-1].cursor
        # What didn't come is not there under that name: hurt in its header, it came whole under its own.
        await self._services.store.db.write(lambda c: store_inbox.forget_damaged(c, due))
        return False

    # -- the live loop ------------------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Keep a connection, for ever; cancel to stop. Only a broken disk ends it otherwise (Database.on_broken)."""
        failures = 0
        while True:
            self._retry_now.clear()
            began, self._got_on = self._services.sources.monotonic(), False
            try:
                await self._services.succession.adopt()
                await self._session()
            except ExchangeError as error:
                self._trouble(error.code, error.detail)
            except Exception as error:  # noqa: BLE001 - the top of the loop: no peer and no bug may end it
                LOG.error("fault in the sync loop", extra={"type": type(error).__name__})
                self._trouble("internal.error")
            # Only a session that got on begins the delays anew: what fails at once would be tried for ever at once.
            lasted = self._services.sources.monotonic() - began >= SETTLED * SECOND_MS
            failures = 1 if lasted or self._got_on else failures + 1
            most = ADMISSION_DELAY if self.condition.problem in NOT_ADMITTED else MOST_DELAY
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(
                    backoff(failures, most=most, random=self._services.sources.random)
                ):
                    await self._retry_now.wait()

    def _trouble(self, code: str, detail: str = "") -> None:
        self.condition.connected = False
        self.condition.problem = code
        LOG.info("no session with the hub", extra={"code": code, "detail": detail})
        self.changed.ring()

    def _heard(self) -> None:
        if self.condition.heard(now=self._services.sources.clock()):
            self.changed.ring()

    async def _session(self) -> None:
        await self._connect()
        self.condition.drained = False
        async with self._hub.feed(await self._cursor()) as feed:
            out = [self._keep_pushing(lanes) for lanes in self._pushes]
            out += self._services.attachments.carrying(self._hub, self._moved, self._push_soon)
            try:
                await together(
                    self._pull(feed), *out, self._give_receipts(), self._keep_up(), self._watch_hub()
                )
            except Unavailable:
                for run in runs(feed.left(), CHUNK):
                    if run[0].type == ITEM_LARGE:
                        break
                    await self._take_run(run, cursor=run[-1].cursor)
                raise

    async def _pull(self, feed: Feed) -> NoReturn:
        while True:
            page = await feed.next(POLL_SECONDS)
            self._heard()
            if page.items:
                self.condition.drained = False
                await self._take(page.items, feed=feed)
            if not page.more:
                self.condition.drained = True
                if self._unreceipted:
                    self._receipts_due.set()

    async def _keep_pushing(self, lanes: Sequence[str]) -> NoReturn:
        event, failures, no_event = self._pushes[tuple(lanes)], 0, asyncio.Event()
        while True:
            event.clear()
            seconds, wakes = PUSH_LOOK, event
            try:
                moved, failures = await self._push(lanes), 0
                if moved:
                    continue
            except Unavailable as error:
                if error.code not in PATIENT:
                    raise
                self.condition.problem = error.code
                self._services.attachments.poke()  # one may be what the hub misses
                failures += 1
                seconds = until_retry(error, failures, random=self._services.sources.random)
                if error.facts.get("retry_after") and lanes != FLASH:
                    wakes = no_event  # else all that waits would go again whenever something is added
                event.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await wakes.wait()

    async def _watch_hub(self) -> NoReturn:
        """End the session when another hub takes over: the next one is there, at once."""
        while True:
            self._look_for_hub.clear()
            if await self._services.succession.adopt():
                self._retry_now.set()
                raise Unavailable("hub.unreachable", "another hub has taken over")
            await self._look_for_hub.wait()

    async def _give_receipts(self) -> NoReturn:
        while True:
            self._receipts_due.clear()
            self._unreceipted = 0
            await self._services.receipts.upload(self._hub)
            await self._receipts_due.wait()

    async def _keep_up(self) -> NoReturn:
        while True:
            self._hurt.clear()
            await self.upkeep()
            damaged = await self._services.store.db.read(store_inbox.damaged)
            now = self._services.sources.clock()
            due = [max(0, one.retry_at - now) / 1_000 for one in damaged]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min([UPKEEP, *due])):
                    await self._hurt.wait()
