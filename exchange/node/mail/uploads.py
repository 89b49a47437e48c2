"""Owns the upload of sealed envelopes: in link order per lane, bounded batches, what the hub's refusals lead to (§6.1).

An envelope is checked by the hub's own rules (policy.check_accept) before each upload: one that has lapsed is voided
and sealed again instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from exchange import policy
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.errors import Refused, Rejected, Unavailable
from exchange.header import Header, parse_header
from exchange.limits import LARGE_BYTES, MAX_BATCH_ITEMS, SECOND_MS
from exchange.node.directory.hub_help import show_checkpoint
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.keys.peer_prekeys import UNKNOWN_PREKEY
from exchange.node.mail.outbox import MAX_TRIES, Outbox
from exchange.node.mail.proofs import Proofs
from exchange.node.store import (
    attachments as store_attachments,
    directory as directory_rows,
    outbox as rows,
    sealings,
)
from exchange.node.store.sealings import Sealing
from exchange.node.store.store import Store, Transaction
from exchange.node.uplink.api import HubApi, Posted, Result
from exchange.pacing import Window

BATCH_BYTES: Final = 1024 * 1024  # of bulk in one request at most, on a fast link
ALONE: Final = ("flash",)  # each on a request of its own

BLOB_MISSING: Final = "envelope.blob-missing"
GONE: Final = "attachment.gone"

# The hub may take the very same bytes later; everything else is final for them (§4.4).
LATER: Final = frozenset(
    {
        "directory.unknown-checkpoint",
        "quota.exceeded",
        "storage.full",
        "storage.busy",
        "hub.stopping",
        "rate.too-many",
        "internal.error",
        "policy.sender-status",
        "policy.restricted",
        "envelope.unknown-sender",
    }
)


class Uploads:
    """Brings sealed envelopes to the hub. One call at a time per set of lanes."""

    def __init__(
        self,
        *,
        store: Store,
        identity: Identity,
        replica: Replica,
        outbox: Outbox,
        proofs: Proofs,
        sources: Sources,
    ) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._outbox = outbox
        self._proofs = proofs
        self._sources = sources
        self._offered: set[bytes] = set()  # the hub has them, by its word; its receipts lack
        self._lapsed: set[int] = set()  # messages whose sealing has lapsed in this session
        self._in_doubt = False  # a hub of a new epoch may be an older copy
        self._shown: set[bytes] = set()
        # how much may be on the wire before the next look at what is more urgent
        self._window = Window(least=LARGE_BYTES, most=BATCH_BYTES)

    async def offer_again(self) -> int:
        """A new epoch of the hub: every envelope without `stored` goes back in line, in order."""
        self.new_session()
        self._shown.clear()
        self._in_doubt = True

        def write(connection: Transaction) -> int:
            store_attachments.ask_again(connection)
            return sealings.offer_again(connection)

        return await self._store.db.write(write)

    def new_session(self) -> None:
        """A new connection: what got no receipt in the last one is offered once more."""
        self._offered.clear()
        self._lapsed.clear()
        self._outbox.peers.forget_refusals()

    async def upload(self, hub: HubApi, lanes: Sequence[str]) -> int:
        """Upload the next envelopes of `lanes`; how many were dealt with. 0: nothing waits.

        Raises Unavailable when the hub can't take them now, with `retry_after` (0 where it doesn't say).
        """
        batch = await self._next_batch(lanes)
        if not batch:
            return 0
        lapsed = [
            (one, code)
            for one in batch
            if (code := self._lapse(one) or await self._outbox.barred_from(one)) != ""
        ]
        for one, code in lapsed:
            await self._store.db.write(partial(self._outbox.void, env=one.env, code=code))
        voided = {one.env for one, _ in lapsed}
        going = [one for one in batch if one.env not in voided]
        if going:
            await self._send(hub, going)
        for one, code in lapsed:
            if one.message_n in self._lapsed:
                raise Unavailable(code)  # it lapses as soon as it is sealed: once more when we come back
            self._lapsed.add(one.message_n)
        return len(batch)

    async def _next_batch(self, lanes: Sequence[str]) -> list[Sealing]:
        most = MAX_BATCH_ITEMS + len(self._offered)
        waiting = await self._store.db.read(lambda c: sealings.waiting(c, lanes=lanes, limit=most))
        batch: list[Sealing] = []
        for one in waiting:
            if one.env in self._offered:
                continue
            # One lane a batch, so that what is more urgent never waits for what is less.
            full = batch and (
                one.lane != batch[0].lane or sum(each.size for each in batch) + one.size > self._window.size
            )
            if full or len(batch) == (1 if one.lane in ALONE else MAX_BATCH_ITEMS):
                break
            batch.append(one)
        return batch

    def _lapse(self, sealing: Sealing) -> str:
        """The code the hub would refuse it with for good, "" if it would take it."""
        header = parse_header(sealing.header)
        if header.dir.size > self._replica.directory.size:
            # Sealed under leaves that a change of hub has cut off: whoever lacks them would hold it for long.
            return "directory.unknown-checkpoint"
        try:
            policy.check_accept(
                header,
                issuer=self._identity.address,
                directory=self._replica.directory,
                now=self._sources.clock(),
            )
        except (Rejected, Refused) as fault:
            # A clock that is behind can make its own envelopes look as if from the future: the hub decides that.
            for_the_hub = fault.code in LATER or fault.code == "envelope.future"
            return "" if for_the_hub or self._is_new_key(header, fault.code) else fault.code
        return ""

    def _is_new_key(self, header: Header, code: str) -> bool:
        """This node's own key, in use since the hub asked for it, that a log still lacks: ours, or the hub's."""
        return code == "envelope.unknown-key" and header.skid == self._identity.skid

    async def _send(self, hub: HubApi, batch: Sequence[Sealing]) -> None:
        stored = await self._store.db.read(lambda c: [sealings.upload_bytes(c, one.env) for one in batch])
        going = [(one, data) for one, data in zip(batch, stored, strict=True) if data is not None]
        if not going:
            return
        if self._in_doubt:
            self._shown.add(self._replica.newest.hash(self._identity.net))  # the hub's own, or shown to it
            for one, _ in going:
                # Before, not after a refusal: within a batch that would let later envelopes overtake this one.
                await self._show_checkpoint(hub, one)
        began = self._sources.monotonic()
        if len(going) == 1:
            posted = await hub.put_envelope(going[0][0].env, going[0][1])
        else:
            posted = await hub.post_envelopes([data for _, data in going])
            seconds = (self._sources.monotonic() - began) / SECOND_MS
            self._window.passed(sum(len(data) for _, data in going), seconds)
        await self._read(hub, [one for one, _ in going], posted)

    async def _read(self, hub: HubApi, batch: Sequence[Sealing], posted: Posted) -> None:
        results = {result.env: result for result in posted.results}
        later = list[Result]()
        for one in batch:
            result = results.get(one.env, Result(one.env, "internal.error", "the hub didn't answer for it"))
            if result.code == "":
                self._offered.add(one.env)
            elif result.code == BLOB_MISSING:
                if await self._store.db.write(partial(self._bring_again, message_n=one.message_n)):
                    later.append(result)
            elif result.code in LATER or self._is_new_key(parse_header(one.header), result.code):
                if not await self._helped(hub, one, result):
                    later.append(result)
            else:
                await self._store.db.write(partial(self._refused, sealing=one, result=result))
        await self._proofs.take(posted.receipts)
        offered = frozenset(self._offered)
        self._offered -= offered - await self._store.db.read(partial(sealings.still_sealed, envs=offered))
        if later:
            raise Unavailable(later[0].code, retry_after=max(one.retry_after for one in later))

    async def _helped(self, hub: HubApi, sealing: Sealing, result: Result) -> bool:
        """Whether the hub can take it at once, having been shown what it lacked."""
        await self._store.db.write(lambda c: sealings.set_attempt(c, sealing.env, result.code))
        if result.code != "directory.unknown-checkpoint" or sealing.attempts >= MAX_TRIES:
            return False
        self._shown.clear()
        await self._show_checkpoint(hub, sealing)
        return True

    async def _show_checkpoint(self, hub: HubApi, sealing: Sealing) -> None:
        """A hub restored from an old copy doesn't know what it signed: show it, and give back the leaves (§11.4)."""
        digest = parse_header(sealing.header).dir.checkpoint
        if digest in self._shown:
            return
        row = await self._store.db.read(lambda c: directory_rows.checkpoint(c, digest))
        signed = SignedCheckpoint(*row) if row else self._replica.newest
        await show_checkpoint(self._store, self._identity.net, hub, signed)
        self._shown.add(digest)

    def _bring_again(self, connection: Transaction, message_n: int) -> bool:
        """The hub has lost blobs: the envelope waits until they are there again, if they can be. Else it is given up:
        offered again and again, it would stand in the way of its lane."""
        store_attachments.ask_again(connection, message_n)
        if store_attachments.is_waiting(connection, message_n):
            return True
        self._outbox.give_up(connection, message_n, GONE)
        return False

    def _refused(self, connection: Transaction, sealing: Sealing, result: Result) -> None:
        """Final for these bytes: seal again, a few times, then report the loss."""
        sealings.set_attempt(connection, sealing.env, result.code)
        links = sealings.links(connection, sealing.env)
        if result.code == UNKNOWN_PREKEY and len(links) == 1:
            # The hub's log is ahead of ours. Copies for several are sealed again each alone: then it is known whose.
            self._outbox.peers.refuse(links[0].kid)
            self._outbox.void(connection, sealing.env, result.code)
            return
        for link in links:
            copy = rows.addressee(connection, self._store.cipher, sealing.message_n, link.recipient)
            if copy is None or copy.env != sealing.env:
                continue
            if rows.count_try(connection, sealing.message_n, link.recipient) >= MAX_TRIES:
                message = rows.get(connection, self._store.cipher, sealing.message_n)
                self._outbox.lose(connection, message, copy, result.code)
                self._outbox.announce_void(connection, message, link.recipient, link.numbered, result.code)
                sealings.set_link(connection, sealing.env, link.recipient, "voided")
        self._outbox.void(connection, sealing.env, result.code)
