"""Owns what happens to mail at the hub: accepted with a durable receipt, handed out, released on the receipt, expired.

The checks of docs/protocol.md §4.4 run here in their order; who may what is policy.py's, SQL the store's. Envelopes
that arrive while a group is being committed make up the next group: one transaction and one signed batch for all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from exchange import policy
from exchange.canonical import Json
from exchange.envelope import check_upload, read_upload
from exchange.errors import ExchangeError, Hold, Refused, Rejected, Unavailable
from exchange.header import LANES, DirRef
from exchange.hub.bells import Bell, Bells
from exchange.hub.epochs import Epochs
from exchange.hub.feed import Feed
from exchange.hub.registrar import Registrar
from exchange.hub.store.accept import Kept, NewEnvelope, Quota
from exchange.hub.store.cursor import CHECKPOINT, RECEIPTS, Cursor
from exchange.hub.store.forget import Keeping
from exchange.hub.store.page import Page
from exchange.hub.store.release import Released
from exchange.hub.store.store import HubStore
from exchange.keys import PrivateKeys, PublicKey, PublicKeys
from exchange.receipt import EXPIRED, HUB, SALT_BYTES, Batch, Leaf, accepted, make_batch, verify_upload
from exchange.settings import HubLimits

GROUP_ENVELOPES: Final = 64
GROUP_BYTES: Final = 1024 * 1024
INLINE_BYTES: Final = 128 * 1024  # more than this is checked beside the event loop
RETRY_SECONDS: Final = 60


@dataclass(frozen=True)
class Result:
    """What became of one upload: its id, or the error against it. `new`: it was not known before."""

    env: bytes
    new: bool
    error: ExchangeError | None


@dataclass(frozen=True)
class Answer:
    """Results in the order of the uploads, and the receipts for them as JSON, each once."""

    results: tuple[Result, ...]
    proofs: tuple[bytes, ...]


class Mailboxes:
    """All mailboxes of one hub. `random(n)` gives n random bytes, `free_bytes()` what the disk has left."""

    def __init__(
        self,
        store: HubStore,
        registrar: Registrar,
        *,
        keys: PrivateKeys,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
        free_bytes: Callable[[], int],
        limits: HubLimits,
        epoch: str,
    ) -> None:
        self.epoch: Final = epoch
        self._store = store
        self._registrar = registrar
        self._keys = keys
        self._clock = clock
        self._random = random
        self._free_bytes = free_bytes
        self._limits = limits
        self._bells = Bells()
        self._queue: list[tuple[NewEnvelope, asyncio.Future[Kept]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._epochs = Epochs(epoch)
        # by address, as of which log's size
        self._standings: dict[str, tuple[int, tuple[PublicKeys, int]]] = {}
        self._stopping = False
        self._suspended = self._suspended_now()
        registrar.on_checkpoint = self._log_grew

    # in

    async def accept(self, issuer: str, uploads: Sequence[bytes], *, env: bytes | None = None) -> Answer:
        """Check and store uploads of `issuer`; each has its own result. `env` is the id the path names, if any.

        Nothing is raised for an upload: its result has the error (docs/protocol.md §4.4).
        """
        if sum(map(len, uploads)) > INLINE_BYTES:
            checked = await asyncio.to_thread(lambda: [self._check(issuer, data, env) for data in uploads])
        else:
            checked = [self._check(issuer, data, env) for data in uploads]
        return await self._answer(checked)

    async def _answer(self, checked: Sequence[_Checked]) -> Answer:
        waiting: list[asyncio.Future[Kept] | None] = []
        for one in checked:
            usable = one.new is not None and one.fault is None
            waiting.append(self._enqueue(one.new) if usable and one.new is not None else None)
        results: list[Result] = []
        proofs: dict[int, bytes] = {}
        fresh: dict[Batch, set[int]] = {}
        for one, future in zip(checked, waiting, strict=True):
            env = one.new.env if one.new else b""
            try:
                kept = await (future or self._repeated(one))
            except ExchangeError as fault:
                results.append(Result(env, False, fault))
                continue
            proofs.update(kept.proofs)
            if kept.batch is not None:
                fresh.setdefault(kept.batch, set()).add(kept.index)
            results.append(Result(env, kept.new, kept.refusal(RETRY_SECONDS)))
        # of a shared batch each caller gets the leaves of its own request, not of all it sent meanwhile
        new = [orjson.dumps(batch.proof(sorted(indexes))) for batch, indexes in fresh.items()]
        return Answer(tuple(results), (*(proofs[n] for n in sorted(proofs)), *new))

    async def _repeated(self, one: _Checked) -> Kept:
        """What is kept of an envelope that fails the checks: the same one again has its receipts all the same.

        Nothing is stored of it, also when the envelope was forgotten meanwhile. Raises its fault if it isn't known.
        """
        fault = one.fault or Unavailable("internal.error")
        if one.new is None or not await self._store.is_known(one.new.env):
            raise fault
        kept = await self._store.repeat(one.new.env, one.new.sender)
        self._bells.ring([one.new.sender])
        if kept is None:
            raise fault
        return kept

    def _check(self, issuer: str, data: bytes, env: bytes | None) -> _Checked:
        """Steps 1-10 of docs/protocol.md §4.4. A fault after step 4 keeps the envelope: it may be known."""
        new = None
        try:
            upload, header = read_upload(data)  # 1, 2
            if env is not None and header.env != env:
                raise Rejected("envelope.wrong-id")
            # 3, 4 before it may be known: nobody learns the receipts of another's envelope
            policy.check_origin(header, issuer=issuer, directory=self._registrar.directory)
            new = NewEnvelope(
                env=header.env,
                sender=header.sender,
                header=upload.header,
                signatures=upload.signatures,
                recipients=header.recipients,
                slots=upload.slots,
                body=upload.body,
                lane=LANES.index(header.lane),
                exp=header.exp,
                size=len(data),
                blobs=header.blobs,
            )
            directory = self._registrar.directory
            policy.check_accept(header, issuer=issuer, directory=directory, now=self._clock())  # 3-7
            self._registrar.check_dir(header.dir)  # 8
            check_upload(upload, header, directory.signing_key(header.sender, header.skid))  # 9, 10
            if self._free_bytes() < self._limits.free_bytes:  # 11, the quota's half is the transaction's
                raise Unavailable("storage.full", retry_after=RETRY_SECONDS)
        except ExchangeError as fault:
            return _Checked(new, fault)
        return _Checked(new, None)

    def _enqueue(self, new: NewEnvelope) -> asyncio.Future[Kept]:
        future: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._queue.append((new, future))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_groups())
        return future

    async def _commit_groups(self) -> None:
        try:
            while self._queue:
                group = self._take_group()
                try:
                    kept = await self._commit([new for new, _ in group])
                except ExchangeError as fault:
                    for _, future in group:
                        if not future.done():
                            # each caller its own error: a raised one carries its traceback
                            future.set_exception(type(fault)(fault.code, fault.detail, **fault.facts))
                            future.exception()  # marked as seen: its caller may be gone
                    continue
                except BaseException as error:
                    for _, future in group:
                        if not future.done():
                            future.set_exception(error)
                            future.exception()
                    raise
                for (_, future), one in zip(group, kept, strict=True):
                    if not future.done():
                        future.set_result(one)
        finally:  # also after a fault of one group: the others wait
            self._committing = asyncio.create_task(self._commit_groups()) if self._queue else None

    def _take_group(self) -> list[tuple[NewEnvelope, asyncio.Future[Kept]]]:
        # urgent lanes first; within a lane the order of arrival is a sender's chain and stays
        self._queue.sort(key=lambda pair: pair[0].lane)
        count = size = 0
        for new, _ in self._queue[:GROUP_ENVELOPES]:
            size += len(new.body)
            if count and size > GROUP_BYTES:
                break
            count += 1
        group, self._queue = self._queue[:count], self._queue[count:]
        return group

    async def _commit(self, group: list[NewEnvelope]) -> list[Kept]:
        now, dir_ref = self._clock(), self._registrar.dir_ref
        salts = {new.env: self._random(SALT_BYTES) for new in group}

        def sign(number: int, envs: Sequence[bytes]) -> Batch:
            return self._batch(number, now, dir_ref, [accepted(env, salts[env]) for env in envs])

        quota = Quota(self._limits.quota_envelopes, self._limits.quota_bytes)
        kept = await self._store.accept(group, at=now, quota=quota, sign=sign)
        for new, one in zip(group, kept, strict=True):
            # of one that was known, receipts may go to its sender once more
            self._bells.ring(new.recipients if one.new else [new.sender])
        return kept

    def _batch(self, number: int, at: int, dir_ref: DirRef, leaves: Sequence[Leaf]) -> Batch:
        return make_batch(
            net=self._registrar.net,
            signer=HUB,
            keys=self._keys,
            number=number,
            dir_ref=dir_ref,
            at=at,
            leaves=leaves,
        )

    # out

    async def page(self, address: str, after: str, *, wait_seconds: float, most: int, large: int = 0) -> Page:
        """The next items for `address`; when there are none, those that come within `wait_seconds`.

        Of many that wait for one address the newest go on; the others come back with nothing (Bells.place), and so do
        those whose keys or standing change meanwhile. Raises Rejected auth.forbidden, auth.unknown-issuer.
        """
        standing = self.standing(address)
        cursor = self.cursor(address, after)
        await self.stored(address, cursor)
        bell = self.bell(address)
        page = await self.look(address, cursor, most=most, large=large)
        if page.items or not wait_seconds:
            return page
        with contextlib.suppress(TimeoutError), self._bells.place(address) as place:
            async with asyncio.timeout(wait_seconds):
                while not page.items and not place.lost and not self._stopping:
                    await bell.wait()
                    if self.standing(address) != standing:
                        break
                    bell = self.bell(address)
                    page = await self.look(address, cursor, most=most, large=large)
        return page

    def feed(self, address: str, after: str) -> Feed:
        """The way of a connection through the mailbox of `address`, after the cursor it gave back."""
        return Feed(self._store, self._registrar, address, self.cursor(address, after))

    async def look(self, address: str, cursor: Cursor, *, most: int, large: int = 0) -> Page:
        """What waits now, and `address` may have; deliveries over `large` bytes named only."""
        since = policy.mail_since(self._registrar.directory, address)
        announced = self._registrar.announcement
        return await self._store.page(
            address, cursor, most=most, announced=announced, since=since, large=large
        )

    async def piece(self, address: str, env: bytes, *, start: int, most: int) -> bytes:
        """Up to `most` bytes, from `start` on, of a delivery that waits for `address`.

        Raises Refused request.not-found, also for one that was receipted or has expired.
        """
        since = policy.mail_since(self._registrar.directory, address)
        found = await self._store.piece(address, env, start=start, most=most, since=since)
        if not found:
            raise Refused("request.not-found", "no such delivery waits, or it isn't that long")
        return found

    def standing(self, address: str) -> tuple[PublicKeys, int]:
        """What a connection rests on: keys, and from when on mail is handed out. Where it changes, a new one is due.

        Raises Rejected auth.forbidden, auth.unknown-issuer.
        """
        directory = self._registrar.directory
        size, standing = self._standings.get(address, (0, None))
        # nothing but the log changes it, and this is asked often
        if standing is None or size != directory.size:
            policy.check_member_call(directory, address, reading=True)
            standing = directory.identity(address), policy.mail_since(directory, address)
            self._standings[address] = directory.size, standing
        return standing

    def cursor(self, address: str, text: str) -> Cursor:
        """The cursor that `address` gave back, in its epoch."""
        return self._epochs.cursor(address, text)

    def epoch_of(self, address: str, holds: str | None) -> str:
        """The epoch of `address`, whose home holds that cursor (None: it doesn't say)."""
        return self._epochs.told(address, holds)

    def _log_grew(self) -> None:
        suspended = self._suspended_now()
        self._epochs.lift(self._suspended - suspended)
        self._suspended = suspended
        self._bells.ring_all()

    def _suspended_now(self) -> frozenset[str]:
        members = self._registrar.directory.members.values()
        return frozenset(member.handle for member in members if member.suspension is not None)

    def bell(self, address: str) -> Bell:
        """Rung when something new waits for `address`; take it before looking."""
        return self._bells.of(address)

    async def stored(self, address: str, cursor: Cursor) -> None:
        """`address` has stored everything up to `cursor`: its proofs need not come again (docs/protocol.md §8.3)."""
        if cursor[CHECKPOINT]:
            # it has seen this run's checkpoint, and would have said if it held a longer log
            self._registrar.heard(address)
        number = cursor[RECEIPTS]
        if number > self._epochs.fed_up_to(address):
            # on a full disk reading goes on; a proof that comes twice is harmless
            with contextlib.suppress(Unavailable):
                await self._store.drop_fed(address, number)
                self._epochs.set_fed(address, number)

    # released, expired

    async def receipts(self, issuer: str, value: Json) -> Released:
        """Apply a node's batch: its own rows go, each sender gets its proof (docs/protocol.md §7).

        Raises Rejected receipt.*, json.*
        """

        def key_of(signer: str, skid: bytes) -> PublicKey:
            if signer != issuer:
                raise Rejected("receipt.wrong-signer")
            try:
                return self._registrar.directory.signing_key(signer, skid)
            except Hold as fault:
                raise Rejected("receipt.unknown-signer") from fault

        verified = verify_upload(self._registrar.net, value, key_of)
        released = await self._store.release(verified)
        self._bells.ring(released.senders)
        return released

    async def expire_due(self) -> int:
        """Expire what is due, forget what is old; how many envelopes expired."""
        count, more, dir_ref = 0, True, self._registrar.dir_ref
        while more:
            now = self._clock()

            def sign(number: int, copies: Sequence[tuple[str, bytes, bytes]], at: int = now) -> Batch:
                leaves = [
                    Leaf(recipient, env, lc, EXPIRED, "", self._random(SALT_BYTES))
                    for recipient, env, lc in copies
                ]
                return self._batch(number, at, dir_ref, leaves)

            done = await self._store.expire(now=now, sign=sign)
            self._bells.ring(done.senders | done.recipients)
            count += done.envelopes
            more = done.more
        published = self._registrar.directory.published_kids()
        keeping = Keeping(self._limits.released_days, self._limits.expired_days)
        while await self._store.prune(now=self._clock(), published=published, keeping=keeping):
            pass
        return count

    async def highest_batch(self, address: str) -> int:
        """The highest receipt batch number the hub has seen of `address`."""
        return await self._store.highest_batch(address)

    def stop(self) -> None:
        """Let everybody who waits go with what there is."""
        self._stopping = True
        self._bells.ring_all()


@dataclass(frozen=True)
class _Checked:
    """An upload after the checks: the envelope where it could be read, and the fault where there is one."""

    new: NewEnvelope | None
    fault: ExchangeError | None
