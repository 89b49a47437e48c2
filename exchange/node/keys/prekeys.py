"""Owns this node's prekeys: made and durable before they are published, 8 weeks ahead, destroyed on time (§9.5).

The private halves lie in a keystore file of their own, so that destroying one is a rewrite of that file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.directory.bodies_base import build_prekeys
from exchange.directory.network import member_of
from exchange.directory.prekeys import EPOCH_MS, EPOCHS_AHEAD, GRACE_MS, MAX_REFS, PrekeyRecord, PrekeyRef
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED, SignedSubmission
from exchange.envelope import HeldPrekey
from exchange.keys import PREKEY_SECRET_BYTES, PrekeySecret
from exchange.limits import DAY_MS
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.store import directory as rows
from exchange.node.store.directory import OwnPrekey
from exchange.node.store.store import Store, Transaction
from exchange.node.uplink.api import HubApi
from exchange.storage.keystore import Keystore

RENEW_BELOW_MS: Final = 6 * EPOCH_MS  # published for less than 6 weeks ahead: publish again
START_BEFORE_MS: Final = DAY_MS  # the first epoch starts in the past, for peers whose clocks are behind
STATEMENT_LIFE_MS: Final = 7 * DAY_MS
RUNNING_PATIENCE_MS: Final = 14 * DAY_MS


class Prekeys:
    """This node's prekeys. `find` is what opening asks."""

    def __init__(
        self, store: Store, keystore: Keystore, identity: Identity, replica: Replica, sources: Sources
    ) -> None:
        self._store = store
        self._keystore = keystore
        self._identity = identity
        self._replica = replica
        self._sources = sources
        self._held: dict[bytes, OwnPrekey] = {}
        self._open: dict[bytes, HeldPrekey] = {}
        self._swept_at = sources.monotonic()
        self._asked_in = ""  # the hub's epoch in which it was asked for our records
        self._hub_lacks = False
        self._replacing: list[
            OwnPrekey
        ] = []  # made afresh, and not yet taken by the log: a retry offers them again

    async def load(self) -> None:
        """Read which prekeys are held: those whose private halves are in the keystore."""
        names = set(self._keystore.names())
        own = await self._store.db.read(rows.own_prekeys)
        self._held = {prekey.kid: prekey for prekey in own if prekey.kid.hex() in names}
        self._open = {kid: held for kid, held in self._open.items() if kid in self._held}

    def find(self, kid: bytes) -> HeldPrekey | None:
        """The prekey with that id, None when it was never held or is destroyed."""
        held = self._held.get(kid)
        if held is None:
            return None
        if kid not in self._open:
            self._open[kid] = HeldPrekey(PrekeySecret(self._keystore.get(kid.hex())), held.destroy)
        return self._open[kid]

    async def check_records(self, hub: HubApi, epoch: str) -> None:
        """Once an epoch: does the hub have our records? If not, the next `publish` is due.

        One restored from an old copy gets its log back from members; the records lie beside it (§11.4, §11.5), and
        without them nobody who hasn't fetched them yet could seal to us. Raises what the hub answers.
        """
        if epoch == self._asked_in or not self._replica.is_member():
            return
        listed = self._replica.directory.prekeys(self._identity.address)
        wanted = {ref.kid: self._held[ref.kid].record for ref in listed if ref.kid in self._held}
        self._hub_lacks = set(await hub.prekey_records(list(wanted))) != set(wanted.values())
        self._asked_in = epoch

    async def publish(self, hub: HubApi, *, afresh: bool = False) -> bool:
        """Publish epochs ahead when it is time, or with `afresh` new ones at once; whether the log took a statement.

        Raises Refused or Unavailable with the hub's code (`directory.stale`, `directory.read-only`...): try again
        after the next refresh.
        """
        if not self._replica.is_member():
            return False
        afresh = afresh or self._is_void()
        if not (afresh or self._hub_lacks or self._is_due()):
            return False
        refs = await self._made(afresh=afresh)
        identity, directory, now = self._identity, self._replica.directory, self._sources.clock()
        body = build_prekeys(
            net=identity.net,
            address=identity.address,
            refs=refs,
            after=directory.last_hash(identity.address, "prekeys"),
            not_after=now + STATEMENT_LIFE_MS,
        )
        statement = Statement(body).with_signature(identity.address, identity.keys)
        digest = statement.hash(identity.net)
        # First noted as ours, then sent: the own-name watch must not take it for a thief's.
        await self._store.db.write(lambda c: rows.add_own_statement(c, digest, "prekeys", now=now))
        records = [self._held[ref.kid].record for ref in refs]
        answer = SignedSubmission.from_json(await hub.post_statement(statement.to_json(), records))
        submission = answer.verify(identity.net, directory.hub.keys.signing, statement=digest)
        await self._replica.refresh(hub)
        logged = submission.outcome == LOGGED
        if logged:
            self._hub_lacks, self._replacing = False, []
        return logged

    def _is_void(self) -> bool:
        """New keys of a unit void its prekeys (§9.12): whoever had its home before must open nothing more."""
        address = self._identity.address
        return member_of(address) != address and not self._replica.directory.prekeys(address)

    def _is_due(self) -> bool:
        directory = self._replica.directory
        published = [ref.until for ref in directory.prekeys(self._identity.address) if ref.kid in self._held]
        return max(published, default=0) < self._sources.clock() + RENEW_BELOW_MS

    async def _made(self, *, afresh: bool) -> Sequence[PrekeyRef]:
        """The epochs to publish: those held and not over, and new ones up to 8 weeks ahead, durable on return."""
        now = self._sources.clock()
        kept = [one for one in self._replacing if one.until > now] if afresh else self._kept(now)
        start = max(kept[-1].until if kept else 0, now - START_BEFORE_MS)
        fresh: list[OwnPrekey] = []
        secrets: dict[str, bytes] = {}
        while start < now + EPOCHS_AHEAD * EPOCH_MS and len(kept) + len(fresh) < MAX_REFS:
            prekey, secret = self._new(start)
            fresh.append(prekey)
            secrets[prekey.kid.hex()] = secret
            start = prekey.until

        def write(connection: Transaction) -> None:
            for prekey in fresh:
                rows.add_own_prekey(connection, prekey)

        if fresh:
            self._keystore.update(secrets)
            await self._store.db.write(write)
            await self.load()
        if afresh:
            self._replacing = kept + fresh
        return [PrekeyRef(prekey.kid, prekey.start, prekey.until, prekey.destroy) for prekey in kept + fresh]

    def _kept(self, now: int) -> list[OwnPrekey]:
        """The prekeys that the next statement lists again, and those made for it before and not published yet.

        Those in their grace stay listed: the hub takes only what the newest statement names (§4.4). What `afresh`
        has replaced is still opened but not listed: the two rows of epochs together would be more than a statement
        holds.
        """
        listed = {ref.kid for ref in self._replica.directory.prekeys(self._identity.address)}
        held = sorted(
            (prekey for prekey in self._held.values() if prekey.destroy > now), key=lambda one: one.start
        )
        kept = [prekey for prekey in held if prekey.kid in listed]
        for prekey in held:
            if prekey.kid not in listed and (not kept or prekey.start == kept[-1].until):
                kept.append(prekey)
        return kept

    def _new(self, start: int) -> tuple[OwnPrekey, bytes]:
        secret = self._sources.random(PREKEY_SECRET_BYTES)
        until = start + EPOCH_MS
        record = PrekeyRecord(
            self._identity.address, start, until, until + GRACE_MS, PrekeySecret(secret).public
        )
        kid = record.kid(self._identity.net)
        return OwnPrekey(kid, start, until, record.destroy, record.to_bytes(self._identity.net)), secret

    async def destroy_due(self, *, drained: bool = True) -> int:
        """Destroy what is due; how many. `drained`: nothing waits at the hub that may still want an old one.

        Due is a prekey past its `destroy` by the own clock *and* by the newest checkpoint's time, once all mail is
        in, or by one of them and 14 further days of running time: one clock that jumps must not destroy keys that are
        still needed, and a hub that always has more must not keep them.
        """
        now, monotonic = self._sources.clock(), self._sources.monotonic()
        elapsed, self._swept_at = max(0, monotonic - self._swept_at), monotonic
        seen = 0 if self._replica.is_empty else self._replica.checkpoint.at
        due, past = [], []
        for prekey in self._held.values():
            by_clock, by_log = now > prekey.destroy, seen > prekey.destroy
            if (by_clock and by_log and drained) or (
                (by_clock or by_log) and prekey.ran_past + elapsed >= RUNNING_PATIENCE_MS
            ):
                due.append(prekey.kid)
            elif by_clock or by_log:
                past.append(prekey.kid)
        if not due and not past:
            return 0
        # The secret goes first: after a crash in between, its row only names a prekey nobody can find.
        self._keystore.update({}, remove=[kid.hex() for kid in due])

        def write(connection: Transaction) -> None:
            for kid in due:
                rows.set_destroyed(connection, kid, now=now)
            for kid in past:
                rows.add_running_time(connection, kid, elapsed)

        await self._store.db.write(write)
        await self.load()
        return len(due)
