"""Owns how a node forgets: rounds that judge what goes when and erase what is due, and what people decide about it.

    await retention.run()                          a bounded round; for the loop
    await retention.erase_due()                    all that is due, e.g. after a backup was restored
    Records(store, policy, sources, who).hold(...) what a person does, beside the serving process

Which rule counts is exchange/retention.py's. Nothing is erased that wasn't judged under the policy and holds of now.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Final, NoReturn

from exchange.errors import ExchangeError, Refused
from exchange.formats.stix.cover import read_message
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.node.identity import Sources
from exchange.node.store import (
    access as store_access,
    attachments as store_attachments,
    directory as store_directory,
    erasing as store_erasing,
    holds as store_holds,
    retention as rows,
)
from exchange.node.store.attachment_files import files_of
from exchange.node.store.holds import Hold
from exchange.node.store.retention import Counts, Due
from exchange.node.store.store import Store, Transaction, number, raise_alarm, set_fact
from exchange.retention import Label, RetentionPolicy

ROUNDS: Final = 8  # transactions of each kind in one run: mail must get its turn
EVERY_MS: Final = 10 * MINUTE_MS  # between runs that find nothing more to do
FOLDING: Final = 2  # of UNFOLDED: it is being done
BUSY: Final = 1.0  # seconds between runs while there is more
IDLE: Final = 60.0
STRAY_MS: Final = DAY_MS  # after which a file that no row knows isn't being made any more
MOST_AHEAD_MS: Final = (
    30 * DAY_MS
)  # of the newest checkpoint: a clock that is years ahead must not erase everything
MAX_REASON: Final = 2_000  # characters


class Retention:
    """Forgets in time. One per process that owns the home."""

    def __init__(self, store: Store, policy: RetentionPolicy, sources: Sources) -> None:
        self._store = store
        self._policy = policy
        self._sources = sources
        self._next_at = 0  # by a clock that nobody sets
        self._strays_at = 0

    async def run(self) -> bool:
        """One bounded round, if one is due; whether there is more to do at once."""
        if self._sources.monotonic() < self._next_at:
            return False
        more = await judge(self._store, self._policy, clock=self._sources.clock(), rounds=ROUNDS)
        for _ in range(ROUNDS):
            if not await self._sweep():
                break
        else:
            more = True
        await self.fold()
        self._next_at = 0 if more else self._sources.monotonic() + EVERY_MS
        return more

    async def keep(self) -> NoReturn:
        """`run` again and again, also while the hub is out of reach; what the disk refuses once is tried again."""
        while True:
            more = False
            with contextlib.suppress(ExchangeError):
                more = await self.run()
                await self._drop_strays()
            await asyncio.sleep(BUSY if more else IDLE)

    async def _drop_strays(self) -> None:
        """Attachments of commands that broke off before their message was queued, or that a restored copy lacks."""
        now, files = self._sources.clock(), files_of(self._store)
        if self._sources.monotonic() < self._strays_at:
            return
        self._strays_at = self._sources.monotonic() + HOUR_MS
        old = await asyncio.to_thread(files.blobs, before=now - STRAY_MS)
        loose = await self._store.db.read(
            lambda c: [one for one in old if not store_attachments.is_used(c, one)]
        )
        await asyncio.to_thread(files.drop_all, loose)

    async def erase_due(self) -> None:
        """All that is due now."""
        while await judge(self._store, self._policy, clock=self._sources.clock(), rounds=ROUNDS):
            pass
        while await self._sweep():
            pass
        await self.fold()

    async def _sweep(self) -> bool:
        clock = self._sources.clock()

        def write(connection: Transaction) -> bool:
            now = plausible(connection, clock)
            swept = rows.sweep(connection, self._store.cipher, self._policy, now=now)
            for sender, message_id in swept.told:
                raise_alarm(
                    connection,
                    key=rows.told_key(sender, now) + message_id,
                    at=now,
                    code="retention.unacknowledged",
                    subject=f"{sender} {message_id}",
                )
            return swept.more

        return await self._store.db.write(write)

    async def fold(self) -> None:
        """What was erased, also by a command beside this process, is then in no file any more."""

        def look(connection: Transaction) -> tuple[int, list[bytes]]:
            return number(connection, store_erasing.UNFOLDED), store_attachments.over(connection)

        unfolded, blobs = await self._store.db.read(look)
        if blobs:
            await asyncio.to_thread(files_of(self._store).drop_all, blobs)
            await self._store.db.write(partial(store_attachments.are_over, blobs=blobs))
        if not unfolded:
            return
        # Noted before: what is erased meanwhile is noted anew. Whatever ends this leaves it to be done.
        await self._store.db.write(lambda c: set_fact(c, store_erasing.UNFOLDED, FOLDING))
        if await self._store.db.fold():
            await self._store.db.write(_is_folded)


def _is_folded(connection: Transaction) -> None:
    if number(connection, store_erasing.UNFOLDED) == FOLDING:
        set_fact(connection, store_erasing.UNFOLDED, 0)


def plausible(connection: Transaction, clock: int) -> int:
    """The clock (ms), as far as the hub's newest signature bears it out: by itself it must not erase everything."""
    signed_at = store_directory.newest_signed_at(connection)
    return clock if signed_at is None else min(clock, signed_at + MOST_AHEAD_MS)


def likely(connection: Transaction, clock: int) -> int:
    """`plausible`, and no earlier than what the hub has signed: what came was here by then, whatever a clock said."""
    return max(plausible(connection, clock), store_directory.newest_signed_at(connection) or clock)


async def judge(store: Store, policy: RetentionPolicy, *, clock: int, rounds: int) -> bool:
    """Say of what is new when it goes, in at most `rounds` transactions; whether something is left to judge."""
    now = await store.db.read(partial(likely, clock=clock))
    if not await store.db.read(partial(rows.is_begun, policy=policy)):
        await store.db.write(partial(rows.begin, policy=policy))
    for _ in range(rounds):
        unlabelled = await store.db.read(partial(rows.unlabelled, cipher=store.cipher))
        labels = [(n, message_id, await _label(payload)) for n, message_id, payload in unlabelled]
        more = await store.db.read(rows.is_behind)
        if not labels and not more:
            return False

        def write(connection: Transaction, labels: Sequence[tuple[int, str, Label | None]] = labels) -> None:
            rows.set_labels(connection, store.cipher, labels)
            rows.judge(connection, store.cipher, policy, now=now)

        await store.db.write(write)
    return True


async def _label(payload: bytes) -> Label | None:
    """Of a message's bundle; reading a long one takes its time, and is done beside the loop."""
    if not payload:
        return None
    try:
        message = await asyncio.to_thread(read_message, payload)
    except ExchangeError:
        return Label()
    return Label(message.kind, message.tlp, message.case_id, bool(message.exercise_id))


class Records:
    """What the user `who` decides about what is kept; each call is durable on return, and in the access log."""

    def __init__(self, store: Store, policy: RetentionPolicy, sources: Sources, *, who: str) -> None:
        self._store = store
        self._policy = policy
        self._sources = sources
        self._who = who

    async def due(self, *, days: int, limit: int) -> list[Due]:
        """What goes within `days`, the soonest first; all that is new is judged before."""
        await self._judge()
        until = self._sources.clock() + days * DAY_MS
        return await self._store.db.read(
            partial(rows.due, cipher=self._store.cipher, until=until, limit=limit)
        )

    def counts(self, *, days: int = 0) -> Counts:
        """Numbers alone."""
        until = self._sources.clock() + days * DAY_MS
        return self._store.db.read_sync(lambda c: rows.counts(c, until=until))

    def holds(self, *, limit: int = 1_000) -> list[Hold]:
        """The holds, newest first, those released among them."""
        return self._store.db.read_sync(lambda c: store_holds.holds(c, self._store.cipher, limit=limit))

    def hold(self, kind: str, subject: str, reason: str) -> int | None:
        """Nothing of this "message" (its id) or "case" is erased from now on; None where a hold stands already.

        Raises Refused retention.no-reason.
        """
        if not reason.strip() or len(reason) > MAX_REASON:
            raise Refused("retention.no-reason")
        now = self._sources.clock()

        def write(connection: Transaction) -> int | None:
            n = store_holds.add_hold(
                connection,
                self._store.cipher,
                kind=kind,
                subject=subject,
                reason=reason,
                who=self._who,
                at=now,
            )
            if n is not None:
                self._note(connection, "hold", f"hold {n}", now)
            return n

        return self._store.db.write_sync(write)

    async def covered(self, kind: str, subject: str) -> int:
        """How many messages, received and sent, are of this "message" (its id) or "case"; what is new among them."""
        await self._judge()
        return await self._store.db.read(
            partial(rows.covered, cipher=self._store.cipher, kind=kind, subject=subject)
        )

    def release(self, kind: str, subject: str) -> int:
        """End a hold; its number. Raises Refused retention.no-hold."""
        now = self._sources.clock()

        def write(connection: Transaction) -> int:
            n = store_holds.release_hold(connection, kind=kind, subject=subject, who=self._who, at=now)
            if n is None:
                raise Refused("retention.no-hold")
            self._note(connection, "release-hold", f"hold {n}", now)
            return n

        return self._store.db.write_sync(write)

    async def erase(self, message_id: str) -> int:
        """Erase what came and was sent under an id, before its time; how many messages.

        All that is new is judged before: a hold on a case must know what was sent just now.

        Raises Refused retention.held, retention.under-way, message.unknown.
        """
        await self._judge()
        now = self._sources.clock()

        def write(connection: Transaction) -> int:
            stopped = store_erasing.stopped(connection, self._store.cipher, message_id)
            if stopped:
                raise Refused(stopped)
            erased = store_erasing.erase(connection, self._store.cipher, message_id, now=now)
            if not erased:
                raise Refused("message.unknown")
            self._note(connection, "erase", message_id, now)
            return erased

        return await self._store.db.write(write)

    async def _judge(self) -> None:
        while await judge(self._store, self._policy, clock=self._sources.clock(), rounds=ROUNDS):
            pass

    def _note(self, connection: Transaction, action: str, what: str, now: int) -> None:
        store_access.append(connection, at=now, who=self._who, action=action, what=what)
