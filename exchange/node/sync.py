"""Owns the loop between this node and the hub: connect, pull, push, receipts, upkeep; when to try again.

`once` is one whole pass and waits for nothing; `run` keeps a connection and does the same parts as they become due,
with urgent mail on a way of its own in both directions. What each part does is its own file's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final, NoReturn

from exchange.errors import Damaged, ExchangeError, Hold, Refused, Rejected, Unavailable
from exchange.limits import HOUR_MS, MAX_PAGE_BYTES, PAGE_BYTES, POLL_SECONDS, SECOND_MS
from exchange.node import store_inbox
from exchange.node.condition import Bell, Condition
from exchange.node.hub_api import Feed, HubApi, HubState
from exchange.node.inbox import CURSOR, Taken
from exchange.node.own_keys import NOT_THIS_KEY
from exchange.node.services import Services
from exchange.node.store import Transaction, fact, set_fact
from exchange.protocol import Item

LOG = logging.getLogger("exchange.node.sync")
EPOCH: Final = "feed.epoch"
FLASH: Final = ("flash",)
BULK: Final = ("immediate", "priority", "routine")
LEAST_DELAY: Final = 1.0  # seconds before a connection is tried again, doubled up to the most, with jitter
MOST_DELAY: Final = 60.0
SETTLED: Final = 10.0  # seconds a session lasts that got on
MOST_WAIT: Final = 600.0  # seconds that a hub may ask for before an upload is tried again
ADMISSION_DELAY: Final = 5.0  # at most, while waiting to be admitted
PUSH_LOOK: Final = 30.0  # seconds: how often the outbox is looked at without being told to
UPKEEP: Final = 30.0
RECEIPT_DELAY: Final = 0.2  # seconds a receipt waits for company while more mail is coming in
AGAIN_PAGES: Final = 4_096  # of PAGE_BYTES: more than any honest mailbox
CHUNK: Final = 32  # items judged and stored in one transaction
NOT_ADMITTED: Final = frozenset({"auth.unknown-issuer", "auth.forbidden"})
# The hub answers, but can't do this now: the connection is kept.
_PATIENT: Final = frozenset(
    {
        "quota.exceeded",
        "storage.full",
        "storage.busy",
        "rate.too-many",
        "directory.unknown-checkpoint",
        "policy.sender-status",
        "policy.restricted",
    }
)


class Sync:
    """The loop of the process that owns the home."""

    def __init__(self, hub: HubApi, services: Services) -> None:
        self._hub = hub
        self._services = services
        self._taking = asyncio.Lock()
        self._pushes = {FLASH: asyncio.Event(), BULK: asyncio.Event()}
        self._receipts_due = asyncio.Event()
        self._retry_now = asyncio.Event()
        self._hurt = asyncio.Event()
        self._look_for_hub = asyncio.Event()
        self._epoch = ""  # the hub's run
        self.condition = Condition()
        self.changed = Bell()

    def poke(self) -> None:
        """Somebody has queued something, or wants to know now."""
        for event in self._pushes.values():
            event.set()
        self._look_for_hub.set()
        self._retry_now.set()

    # -- one pass -----------------------------------------------------------------------------------------------

    async def once(self) -> None:
        """Connect, take all that is there, send all that can be sent, receipt it. Raises ExchangeError."""
        await self._services.succession.adopt()
        await self._connect()
        await self._drain()
        await self.upkeep()
        for lanes in self._pushes:
            while await self._push(lanes):
                pass
        await self._drain()
        await self._services.receipts.upload(self._hub)

    async def _drain(self) -> None:
        self.condition.drained = False
        while True:
            page = await self._hub.mailbox(await self._cursor(), 0, MAX_PAGE_BYTES)
            await self._take(page.items)
            if not page.more or not page.items:
                break
        self.condition.drained = True
        await self._services.receipts.upload(self._hub)

    async def _push(self, lanes: Sequence[str]) -> int:
        dispatched = await self._services.outbox.dispatch(self._hub, lanes)
        uploaded = await self._services.uploads.upload(self._hub, lanes)
        if dispatched or uploaded:
            self.changed.ring()
        return dispatched + uploaded

    # -- connecting ---------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        services = self._services
        state = await self._state()
        self.condition.clock_offset = self._hub.clock_offset
        self._epoch = state.epoch
        self._heard()
        await services.restore.note(state)
        await self._refresh()
        await services.prekeys.check_records(self._hub, state.epoch)
        await self._own_statements()
        epoch = await services.store.db.read(lambda c: fact(c, EPOCH))
        if epoch == state.epoch.encode():
            services.uploads.new_session()
            return
        again = await services.uploads.offer_again()
        LOG.info("hub has a new epoch", extra={"offered_again": again})

        def begin(connection: Transaction) -> None:
            set_fact(connection, EPOCH, state.epoch)
            set_fact(connection, CURSOR, "")

        await services.store.db.write(begin)

    async def _state(self) -> HubState:
        try:
            return await self._hub.state()
        except (Refused, Rejected) as refusal:
            if refusal.code not in NOT_THIS_KEY or not self._services.own_keys.use_other():
                raise
        return await self._hub.state()

    async def _refresh(self) -> None:
        """Follow the hub's log, then look again at what waited for it. A quarrel over the log doesn't stop the mail."""
        services = self._services
        if services.replica.is_empty:
            await services.replica.begin(self._hub)
        try:
            await services.replica.refresh(self._hub)
            await services.own_keys.settle()
            self.condition.directory_problem = ""
        except (Rejected, Hold, Damaged) as fault:
            self.condition.directory_problem = fault.code
        await self._after(await services.inbox.retry_held())
        await self._keep_beside()

    async def _keep_beside(self) -> None:
        """What lies beside the log: its parts, restricted ones to be sent, notices that it lacks."""
        services = self._services
        try:
            await services.beside.fetch(self._hub, self._epoch)
            await services.notices.offer(self._hub)
            await services.registration.offer_again(self._hub, self._epoch)
            await services.introduction.publish(self._hub)
        except (Refused, Rejected, Unavailable) as fault:
            if fault.code in ("hub.unreachable", "hub.certificate"):
                raise
            self.condition.directory_problem = fault.code
        if await services.beside.send_due():
            for event in self._pushes.values():
                event.set()

    async def _own_statements(self) -> None:
        """Prekeys on time; a hub that takes no statements now, or has taken another first, is asked again later."""
        try:
            await self._services.restore.make_good(self._hub)
            await self._services.prekeys.publish(self._hub)
            await self._services.succession.say_again(self._hub)
        except (Refused, Rejected, Unavailable) as fault:
            if fault.code in ("hub.unreachable", "hub.certificate"):
                raise
            self.condition.directory_problem = fault.code

    # -- taking in ----------------------------------------------------------------------------------------------

    async def _cursor(self) -> str:
        value = await self._services.store.db.read(lambda c: fact(c, CURSOR))
        return (value or b"").decode("ascii")

    async def _take(self, items: Sequence[Item], *, again: bool = False) -> None:
        """Store items; `again` for items asked for once more from the beginning, which leave the cursor where it is."""
        for start in range(0, len(items), CHUNK):
            chunk = items[start : start + CHUNK]
            async with self._taking:
                taken = await self._services.inbox.take(chunk, cursor=None if again else chunk[-1].cursor)
            await self._after(taken)
            if taken.log_grew:
                await self._refresh()
            await asyncio.sleep(0)

    async def _after(self, taken: Taken) -> None:
        for peer, note in taken.notes:
            await self._services.replica.compare_with_peer(peer, note)
        if taken.receipts:
            asyncio.get_running_loop().call_later(RECEIPT_DELAY, self._receipts_due.set)
        if taken.damaged:
            self._hurt.set()
        self._look_for_hub.set()
        for event in self._pushes.values():
            event.set()
        self.changed.ring()

    # -- upkeep -------------------------------------------------------------------------------------------------

    async def upkeep(self) -> None:
        """What time brings: what is to be forgotten, lapsed sealings, gaps, prekeys, hurt items, an old checkpoint."""
        services, now = self._services, self._services.sources.clock()
        await services.retention.run()
        if services.replica.is_empty:
            return
        if now - services.replica.checkpoint.at > HOUR_MS:
            await self._refresh()
        await self._own_statements()
        await services.prekeys.destroy_due()
        await services.notices.load()
        await services.beside.forget()
        await self._keep_beside()
        moved = await services.outbox.sweep() + await services.secretariat.run_due()
        if self.condition.drained:
            moved += await services.questions.ask()
        await self._ask_again_for_damaged(now)
        if moved:
            for event in self._pushes.values():
                event.set()

    async def _ask_again_for_damaged(self, now: int) -> None:
        """The un-receipted rows *are* the mailbox: reading it from the beginning brings what came hurt once more."""
        damaged = await self._services.store.db.read(store_inbox.damaged)
        due = [one for one in damaged if one.retry_at <= now]
        if not due:
            return
        cursor = ""
        for _ in range(AGAIN_PAGES):
            page = await self._hub.mailbox(cursor, 0, PAGE_BYTES)
            await self._take(page.items, again=True)
            if not page.more or not page.items:
                break
            cursor = page.items[-1].cursor
        # What didn't come is not there under that name: hurt in its header, it came whole under its own.
        await self._services.store.db.write(lambda c: store_inbox.forget_damaged(c, due))

    # -- the live loop ------------------------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Keep a connection, for ever; cancel to stop. Only a broken disk ends it otherwise (Database.on_broken)."""
        failures = 0
        while True:
            self._retry_now.clear()
            began = self._services.sources.monotonic()
            try:
                await self._services.succession.adopt()
                await self._session()
            except ExchangeError as error:
                self._trouble(error.code, error.detail)
            except Exception as error:  # noqa: BLE001 - the top of the loop: no peer and no bug may end it
                LOG.error("fault in the sync loop", extra={"type": type(error).__name__})
                self._trouble("internal.error")
            # Only a session that lasted begins the delays anew: what fails at once would be tried for ever at once.
            lasted = self._services.sources.monotonic() - began >= SETTLED * SECOND_MS
            failures = 1 if lasted else failures + 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._delay(failures)):
                    await self._retry_now.wait()

    def _trouble(self, code: str, detail: str = "") -> None:
        self.condition.connected = False
        self.condition.problem = code
        LOG.info("no session with the hub", extra={"code": code, "detail": detail})
        self.changed.ring()

    def _delay(self, failures: int) -> float:
        most = ADMISSION_DELAY if self.condition.problem in NOT_ADMITTED else MOST_DELAY
        jitter = int.from_bytes(self._services.sources.random(2), "big") / 65_535
        doubled: float = LEAST_DELAY * 2 ** min(failures - 1, 10)
        return min(doubled, most) * (0.5 + jitter / 2)

    def _heard(self) -> None:
        self.condition.heard_at = self._services.sources.clock()
        self.condition.connected = True
        self.condition.problem = ""

    async def _session(self) -> None:
        await self._connect()
        self.condition.drained = False
        async with self._hub.feed(await self._cursor()) as feed:
            pushing = [self._keep_pushing(lanes) for lanes in self._pushes]
            await _together(
                self._pull(feed), *pushing, self._give_receipts(), self._keep_up(), self._watch_hub()
            )

    async def _pull(self, feed: Feed) -> NoReturn:
        while True:
            page = await feed.next(POLL_SECONDS)
            self._heard()
            if page.items:
                self.condition.drained = False
                await self._take(page.items)
                await feed.stored(page.items[-1].cursor)
            if not page.more:
                self.condition.drained = True
                self._receipts_due.set()

    async def _keep_pushing(self, lanes: Sequence[str]) -> NoReturn:
        event = self._pushes[tuple(lanes)]
        while True:
            event.clear()
            seconds = PUSH_LOOK
            try:
                if await self._push(lanes):
                    continue
            except Unavailable as error:
                if error.code not in _PATIENT:
                    raise
                self.condition.problem = error.code
                seconds = min(max(error.facts.get("retry_after", 0), LEAST_DELAY), MOST_WAIT)
                event.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await event.wait()

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


async def _together(*parts: Coroutine[Any, Any, NoReturn]) -> None:
    """Run all until one of them fails, then end the others and raise its fault.

    Not a TaskGroup: when a part fails while this task is being cancelled, a group raises the fault and the
    cancellation is lost; a node that is told to stop would go on.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
