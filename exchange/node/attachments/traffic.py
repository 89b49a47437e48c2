"""Owns the traffic of attachments between this node and its hub, piece by piece and on from where it was cut off.

What goes with a message goes up before the message is sealed, beside all other mail; what came with one is fetched when
a person has asked for it, and is in quarantine until it is verified. When files go is retention.py's business.

How a file is sealed and opened is attaching.py's, rows and files are the stores'.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from exchange.errors import ExchangeError, Refused, Rejected, Unavailable
from exchange.limits import SECOND_MS
from exchange.node.attachments import attaching
from exchange.node.identity import Identity, Sources
from exchange.node.mail.outbox import Outbox
from exchange.node.mail.uploads import GONE, LATER
from exchange.node.store import attachments as rows, outbox as outbox_rows
from exchange.node.store.attachment_files import files_of
from exchange.node.store.attachments import Come, Leaving
from exchange.node.store.store import Store, Transaction, raise_alarm
from exchange.node.together import LEAST_DELAY
from exchange.node.uplink.api import HubApi

WRONG: Final = "blob.wrong-hash"
MAX_TRIES: Final = 3  # of a blob that doesn't come, or arrive, as the one it is named
NOTED_MS: Final = SECOND_MS  # between two notes of how far a blob has come
LOOK: Final = 30.0  # seconds: how often the rows are looked at without being told to
MOST_WAIT: Final = 600.0  # seconds that a hub may ask for before it is tried again
_NO_HUB: Final = frozenset({"hub.unreachable", "hub.certificate"})


class Step(Enum):
    """What one step of an upload came to."""

    NOTHING = "nothing waits"
    MOVED = "a piece is there, or given up"
    WHOLE = "all of a blob is there"


class Attachments:
    """Brings blobs to the hub, and fetches them. One per process that owns the home."""

    def __init__(self, store: Store, identity: Identity, outbox: Outbox, sources: Sources) -> None:
        self._store = store
        self._identity = identity
        self._outbox = outbox
        self._sources = sources
        self.files: Final = files_of(store)
        self._at: dict[bytes, int] = {}  # bytes of a blob that the hub is known to have, in this session
        self._tries = Counter[bytes]()
        self._put_off = set[
            tuple[bytes, int]
        ]()  # wanted ones (envelope, place) that could not be had in this turn
        self._noted_at = 0
        self._due = (asyncio.Event(), asyncio.Event())

    def poke(self) -> None:
        """Somebody has attached something, or asked for it."""
        for event in self._due:
            event.set()

    # -- the live loops -----------------------------------------------------------------------------------------

    def carrying(
        self, hub: HubApi, moved: Callable[[], None], arrived: Callable[[], None]
    ) -> tuple[Coroutine[Any, Any, NoReturn], ...]:
        """What runs in a session: bring what waits, fetch what is wanted. Both raise Unavailable as `HubApi`.

        `moved` is called for each piece, `arrived` when all of a blob is at the hub.
        """
        self._at.clear()
        up, down = self._due

        async def upload() -> bool:
            step = await self.upload(hub)
            if step is Step.WHOLE:
                arrived()
            return step is not Step.NOTHING

        async def fetch() -> bool:
            return await self.fetch(hub)

        return _keep(upload, up, moved), _keep(fetch, down, moved)

    async def carry(self, hub: HubApi) -> bool:
        """The same once, until nothing is left to do; whether anything waited to go up. Raises Unavailable."""
        out, wanted = await self._store.db.read(rows.waiting)
        while out and await self.upload(hub) is not Step.NOTHING:
            pass
        while wanted and await self.fetch(hub):
            pass
        return out > 0

    # -- up -----------------------------------------------------------------------------------------------------

    async def upload(self, hub: HubApi) -> Step:
        """Bring the next piece of the most urgent blob. Raises Unavailable as `HubApi`."""
        one = await self._store.db.read(partial(rows.next_to_go, cipher=self._store.cipher))
        if one is None:
            return Step.NOTHING
        blob = one.attachment.blob
        try:
            return await self._bring(hub, one)
        except (Refused, Rejected, Unavailable) as trouble:
            sent = self._at.pop(blob, one.sent)
            if trouble.code != WRONG:
                await self._note(one, sent=sent, code=trouble.code)
                raise Unavailable(trouble.code, trouble.detail, **trouble.facts) from trouble
            # It was sealed and named here: the way, the hub or this disk has spoilt it.
            self._tries[blob] += 1
            if self._tries[blob] >= MAX_TRIES:
                await self._give_up(one, WRONG)
            return Step.MOVED

    async def _bring(self, hub: HubApi, one: Leaving) -> Step:
        blob, at = one.attachment.blob, self._at.get(one.attachment.blob)
        if at is None:
            at = await hub.blob_has(blob, one.size)
        if at < one.size:
            # The hub is asked first: what it has needs no file here, as in a home that was restored.
            if not await asyncio.to_thread(self.files.holds, blob, one.size):
                await self._give_up(one, GONE)
                return Step.MOVED
            at = await hub.put_blob(blob, one.size, at, partial(self.files.read, blob, at))
        if at >= one.size:
            self._at.pop(blob, None)
            await self._store.db.write(partial(rows.set_there, blob=blob))
            return Step.WHOLE
        self._at[blob] = at
        now = self._sources.monotonic()
        if now - self._noted_at >= NOTED_MS:
            self._noted_at = now
            await self._note(one, sent=at, code="")
        return Step.MOVED

    async def _note(self, one: Leaving, *, sent: int, code: str) -> None:
        await self._store.db.write(partial(rows.set_sent, blob=one.attachment.blob, sent=sent, code=code))

    async def _give_up(self, one: Leaving, code: str) -> None:
        """What was attached can't be brought: the message isn't sent without it, and its sender is told.

        Of what is sealed the hub may have the envelope all the same: whether it does, Uploads learns by offering it.
        """

        def write(connection: Transaction) -> None:
            message = outbox_rows.get(connection, self._store.cipher, one.message_n)
            for copy in outbox_rows.addressees(connection, self._store.cipher, one.message_n):
                if copy.state == outbox_rows.QUEUED:
                    self._outbox.lose(connection, message, copy, code)
            rows.drop_all(connection, one.message_n)

        await self._store.db.write(write)

    # -- down ---------------------------------------------------------------------------------------------------

    async def fetch(self, hub: HubApi) -> bool:
        """Fetch the next piece of what is wanted; whether anything was done. Raises Unavailable as `HubApi`.

        What can't be had now says why, and the others have their turn before it is asked for again.
        """
        one = await self._next_wanted()
        if one is None:
            return False
        try:
            return await self._fetch(hub, one)
        except (Refused, Unavailable) as trouble:
            if not _is_cut(trouble):
                self._put_off.add((one.env, one.place))
                await self._say(one, trouble.code)
            raise Unavailable(trouble.code, trouble.detail, **trouble.facts) from trouble

    async def _next_wanted(self) -> Come | None:
        look = partial(rows.next_wanted, cipher=self._store.cipher)
        one = await self._store.db.read(partial(look, but=frozenset(self._put_off)))
        if one is None and self._put_off:
            self._put_off.clear()
            one = await self._store.db.read(look)
        return one

    async def _say(self, one: Come, code: str) -> None:
        """Why it doesn't come; "" where it does."""
        if one.code != code:
            await self._store.db.write(partial(rows.set_state, one=one, state=rows.WANTED, code=code))

    async def _fetch(self, hub: HubApi, one: Come) -> bool:
        blob = one.attachment.blob
        if await asyncio.to_thread(self.files.holds, blob, one.size):
            await self._judge(one, self.files.sealed(blob))
            return True
        have = await asyncio.to_thread(self.files.have, blob)
        if have < one.size:
            await asyncio.to_thread(self.files.check_room, one.size - have)
            came = bytearray()
            try:
                await hub.blob(blob, have, came.extend)
            except Refused as refusal:
                if refusal.code != "request.not-found":
                    raise
                await self._settle(one, rows.GONE, GONE)
                return True
            finally:
                if came:  # also of a piece that was cut off
                    have = await asyncio.to_thread(self.files.append, blob, have, bytes(came))
                    await self._say(one, "")
        if have >= one.size:
            await self._judge(one, self.files.part(blob))
        return True

    async def _judge(self, one: Come, path: Path) -> None:
        """All has come: is it the blob, and does it open? Only then it leaves quarantine."""
        attachment, files = one.attachment, self.files
        if not await asyncio.to_thread(attaching.is_blob, files, path, attachment):
            # The sender signed another hash: the way, the hub or this disk has spoilt it. Once more from the beginning.
            # A message that says another length of a blob that lies here whole must not drop that one.
            spoilt = path == files.part(attachment.blob)
            await asyncio.to_thread(files.drop_part if spoilt else files.drop, attachment.blob)
            tries = await self._store.db.write(partial(rows.count_try, one=one, code=WRONG))
            if tries >= MAX_TRIES:
                await self._settle(one, rows.BAD, WRONG)
            return
        fault = await asyncio.to_thread(attaching.fault_of, files, path, attachment, self._identity.net)
        if fault:
            await self._settle(one, rows.BAD, fault)
            return
        if path == files.part(attachment.blob):
            await asyncio.to_thread(files.keep, attachment.blob)
        await self._settle(one, rows.KEPT, "")

    async def _settle(self, one: Come, state: str, code: str) -> None:
        now = self._sources.clock()

        def write(connection: Transaction) -> None:
            rows.set_state(connection, one, state, code)
            if state == rows.BAD:
                subject = f"{one.sender} {one.attachment.blob.hex()[:16]}"
                key = f"attachment/{one.env.hex()}/{one.place}"
                raise_alarm(connection, key=key, at=now, code=code, subject=subject)

        await self._store.db.write(write)
        # What has come of one that a hub says it doesn't have stays a day, for whoever asks again (retention.py).
        used = partial(rows.is_used, blob=one.attachment.blob)
        if state == rows.BAD and not await self._store.db.read(used):
            await asyncio.to_thread(self.files.drop, one.attachment.blob)


def _is_cut(trouble: ExchangeError) -> bool:
    """Whether nobody answered: there is no session any more."""
    return trouble.code in _NO_HUB and not trouble.facts.get("answered")


async def _keep(
    step: Callable[[], Awaitable[bool]], due: asyncio.Event, moved: Callable[[], None]
) -> NoReturn:
    while True:
        due.clear()
        seconds = LOOK
        try:
            if await step():
                moved()
                continue
        except Unavailable as error:
            if _is_cut(error):
                raise
            # whatever it says, the mail goes on, and it is asked again: only a person gives a message up
            least = LEAST_DELAY if error.code in LATER else LOOK
            seconds = min(max(error.facts.get("retry_after", 0), least), MOST_WAIT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await due.wait()
