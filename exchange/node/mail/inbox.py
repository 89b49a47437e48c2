"""Owns the way of a page in: each item judged by opening.py, all written by storing.py in one transaction (§4.5).

All of a page and the cursor are stored, or nothing is; what is held waits here for a longer directory. Receipts are
signed by receipts.py, what people do with mail is desk.py's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from exchange.canonical import sha256
from exchange.content import CheckpointNote
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.errors import Hold
from exchange.header import LANES
from exchange.limits import DAY_MS, MINUTE_MS
from exchange.node.identity import Sources
from exchange.node.mail.control_messages import ControlMessages
from exchange.node.mail.opening import Envelope, Good, Hurt, Later, Opening, Verdict
from exchange.node.mail.proofs import Proofs
from exchange.node.mail.storing import Judged, Step, Storing, nothing
from exchange.node.store import inbox as rows
from exchange.node.store.inbox import HeldItem
from exchange.node.store.store import Store, Transaction, set_fact
from exchange.protocol import ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_EXPIRED, ITEM_RECEIPTS, Item

CURSOR: Final = "feed.cursor"
HELD_DOUBT_MS: Final = 10 * MINUTE_MS  # until what is held is asked for again, once
HELD_ALARM_MS: Final = DAY_MS
HELD_PAGE: Final = 16
BREATH_BYTES: Final = 32 * 1024  # judged (3 ms), then what is urgent goes out before the next item


@dataclass(frozen=True)
class Taken:
    """What a page brought: receipts to sign, a longer log to fetch, hurt items, peers' views of the log to compare.

    `urgent`: one of the receipts is for a flash. `to_send`: there may be more to send than before. `news`: of the
    network, perhaps of another hub.
    """

    receipts: bool
    urgent: bool
    to_send: bool
    news: bool
    log_grew: bool
    damaged: bool
    notes: tuple[tuple[str, SignedCheckpoint], ...]


class Inbox:
    """Stores what the feed brings. Not for two pages at once: `take` is called by one loop."""

    def __init__(
        self,
        *,
        store: Store,
        opening: Opening,
        storing: Storing,
        proofs: Proofs,
        controls: ControlMessages,
        sources: Sources,
    ) -> None:
        self._store = store
        self._opening = opening
        self._storing = storing
        self._proofs = proofs
        self._controls = controls
        self._sources = sources
        self._doubted: set[bytes] = set()  # held, and asked for again by this run

    async def take(self, items: Sequence[Item], *, cursor: str | None) -> Taken:
        """Judge and store items in order, and `cursor` with them (None: items asked for again, it stays).

        Raises Unavailable `storage.full` and the like: then nothing of the page is stored, and nothing receipted.
        """
        judged, unbroken = list[Judged](), 0
        for item in items:
            judged.append(self._judge(item))
            unbroken += len(item.payload)
            if unbroken >= BREATH_BYTES:
                unbroken = 0
                await asyncio.sleep(0)

        def write(connection: Transaction) -> bool:
            to_send = self._storing.store(connection, judged)
            if cursor is not None:
                set_fact(connection, CURSOR, cursor)
            return to_send

        to_send = await self._store.db.write(write, size=sum(len(item.payload) for item in items))
        verdicts = [one.verdict for one in judged]
        return Taken(
            receipts=any(isinstance(one, Envelope) for one in verdicts),
            urgent=any(_is_flash(one) for one in verdicts),
            to_send=to_send,
            news=any(_is_control(one) for one in verdicts),
            log_grew=any(item.type == ITEM_CHECKPOINT for item in items)
            or any(isinstance(one, Later) for one in verdicts),
            damaged=any(isinstance(one, Hurt) for one in verdicts),
            notes=_notes(verdicts),
        )

    async def retry_held(self) -> Taken:
        """Judge again what waited for a longer directory; what still waits for more than 24 h alarms."""
        last, verdicts = 0, list[Verdict | None]()
        while held := await self._store.db.read(partial(rows.held, after=last, limit=HELD_PAGE)):
            last = held[-1].n
            verdicts += await self._retry(held)
        receipts = any(isinstance(one, Envelope) for one in verdicts)
        notes = _notes(verdicts)
        return Taken(
            receipts,
            urgent=any(_is_flash(one) for one in verdicts),
            to_send=True,
            news=True,
            log_grew=False,
            damaged=False,
            notes=notes,
        )

    async def _retry(self, held: Sequence[HeldItem]) -> list[Verdict | None]:
        steps: list[Step] = []
        verdicts: list[Verdict | None] = []
        for one in held:
            judged = self._judge(Item(one.type, "", one.payload))
            await asyncio.sleep(0)
            if isinstance(judged.verdict, Later):
                steps += self._still_held(one, judged.verdict.code)
            else:
                verdicts.append(judged.verdict)
                steps += [self._stored(judged), _releasing(one.payload)]
        if steps:
            await self._store.db.write(lambda c: [step(c) for step in steps])
        return verdicts

    def _stored(self, judged: Judged) -> Step:
        def step(connection: Transaction) -> None:
            self._storing.store(connection, [judged])

        return step

    def _still_held(self, one: HeldItem, code: str) -> list[Step]:
        """A name hurt on the way looks like a stranger's: what isn't at the hub under these bytes came whole since."""
        now, key = self._sources.clock(), sha256(one.payload)
        if one.since + HELD_DOUBT_MS < now and one.type != ITEM_RECEIPTS and key not in self._doubted:
            self._doubted.add(key)
            hurt = Hurt(key, code, "held for long")
            return [lambda c: self._storing.hurt(c, hurt), _releasing(one.payload)]
        if one.since + HELD_ALARM_MS < now:
            return [lambda c: self._storing.alarm(c, "held", code, "hub")]
        return []

    def _judge(self, item: Item) -> Judged:
        if item.type in (ITEM_DELIVERY, ITEM_EXPIRED):
            verdict = self._opening.judge(item)
            return Judged(verdict, self._control(verdict))
        if item.type == ITEM_RECEIPTS:
            try:
                return Judged(None, self._proofs.prepare(item.payload))
            except Hold as hold:
                return Judged(Later(item, hold.code), nothing)
        return Judged(
            None, nothing
        )  # a checkpoint is only news; a type this version doesn't know is not for it

    def _control(self, verdict: Verdict) -> Step:
        if not isinstance(verdict, Good) or verdict.control is None:
            return nothing
        return self._controls.prepare(verdict.opened, verdict.control)


def _is_control(verdict: Verdict | None) -> bool:
    return isinstance(verdict, Good) and verdict.control is not None


def _is_flash(verdict: Verdict | None) -> bool:
    return isinstance(verdict, Good) and verdict.header.lane == LANES[0]


def _notes(verdicts: Sequence[Verdict | None]) -> tuple[tuple[str, SignedCheckpoint], ...]:
    """Views of the log that came, each with its sender."""
    return tuple(
        (one.header.sender, SignedCheckpoint(one.control.body, one.control.signature))
        for one in verdicts
        if isinstance(one, Good) and isinstance(one.control, CheckpointNote)
    )


def _releasing(payload: bytes) -> Step:
    key = sha256(payload)
    return lambda connection: rows.release(connection, key)
