"""Owns this member's keys over time: rotation to the printed next keys, revocation, veto, leaving (§9.8, §9.9).

Crash-safe by the log: a seed that was revealed lies beside the current one until the log says which of them counts.
Units have no next keys: the officers change theirs (units.py makes the draft), and the swap is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from exchange.canonical import dumps, loads
from exchange.content import Notice
from exchange.directory.bodies_members import (
    OWN,
    PRINTED,
    build_revoke,
    build_rotate,
    build_status,
    build_veto,
)
from exchange.directory.members import Move
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED, SignedSubmission, Submission
from exchange.errors import ExchangeError, Refused, Rejected, Unavailable
from exchange.keys import PrivateKeys, PublicKeys
from exchange.limits import DAY_MS, HOUR_MS
from exchange.node.directory.notices import Notices
from exchange.node.directory.registration import Registration
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.keys.prekeys import Prekeys
from exchange.node.mail.outbox import Outbox
from exchange.node.mail.uploads import Uploads
from exchange.node.store import directory as rows
from exchange.node.store.store import Store, number, set_fact
from exchange.node.uplink.api import HubApi
from exchange.storage.keystore import Keystore

SEED: Final = "identity.seed"
NEXT: Final = "next.public"
REVEALED: Final = (
    "revealed.seed"  # of the next keys (a unit's new ones), from when they are revealed until logged
)
REVEALED_NEXT: Final = "revealed.next"  # the public half of those after them
REVEALED_UNTIL: Final = "keys.revealed-until"  # UTC ms of leaf time; what the log hasn't by then has lapsed
MAX_PUBLIC: Final = 16_384  # bytes of a public half in the keystore
LIFE_MS: Final = HOUR_MS  # of a rotation that the hub doesn't take at once
FLASH: Final = ("flash",)
NOT_THIS_KEY: Final = frozenset({"auth.bad-signature", "auth.unknown-issuer"})


class OwnKeys:
    """Changes and gives up this member's keys. The one place that sets `Identity.keys`."""

    def __init__(
        self,
        *,
        store: Store,
        keystore: Keystore,
        identity: Identity,
        replica: Replica,
        prekeys: Prekeys,
        notices: Notices,
        registration: Registration,
        outbox: Outbox,
        uploads: Uploads,
        sources: Sources,
    ) -> None:
        self._store = store
        self._keystore = keystore
        self._identity = identity
        self._replica = replica
        self._prekeys = prekeys
        self._notices = notices
        self._registration = registration
        self._outbox = outbox
        self._uploads = uploads
        self._sources = sources
        # a seed that is being revealed has no time in the store yet: it must not look lapsed
        self._revealing = asyncio.Lock()
        self._rotating = asyncio.Lock()

    # -- rotation -----------------------------------------------------------------------------------------------

    def check_next(self, seed: bytes) -> PrivateKeys:
        """The keys of a printed next seed, if they are those committed to. Raises Refused directory.not-next."""
        member = self._replica.directory.member(self._identity.address)
        keys = PrivateKeys(seed)
        if keys.public.next_commitment(self._identity.net) != member.next:
            raise Refused("directory.not-next", "this isn't the seed that was printed for the next keys")
        return keys

    async def rotate(self, hub: HubApi, seed: bytes, next_keys: PublicKeys) -> Submission:
        """Reveal the next keys, whose printed seed is `seed`, and commit to `next_keys` after them.

        From when the hub has logged it this node signs with the new keys; prekeys are published anew.
        Raises Refused directory.not-next; what the hub answers (repeat it with the same seed).
        """
        keys, now = self.check_next(seed), self._sources.clock()
        async with self._rotating:
            async with self._revealing:
                await self._store.db.write(lambda c: set_fact(c, REVEALED_UNTIL, now + LIFE_MS))
                self._keystore.update({REVEALED: seed, REVEALED_NEXT: dumps(next_keys.to_json())})
            submission = await self._hand_in(hub, keys, next_keys)
            if submission.outcome == LOGGED:
                self._swap()
                await self._replica.refresh(hub)
                await self._prekeys.publish(hub, afresh=True)
        return submission

    async def _hand_in(self, hub: HubApi, keys: PrivateKeys, next_keys: PublicKeys) -> Submission:
        identity, now = self._identity, self._sources.clock()
        body = build_rotate(
            net=identity.net,
            handle=identity.address,
            keys=keys.public,
            next_keys=next_keys.next_commitment(identity.net),
            after=self._replica.directory.last_hash(identity.address, "identity"),
            not_after=now + LIFE_MS,
        )
        statement = Statement(body).with_signature(identity.address, keys)
        digest = statement.hash(identity.net)
        await self._store.db.write(lambda c: rows.add_own_statement(c, digest, "rotate", now=now))
        try:
            answer = SignedSubmission.from_json(await hub.post_statement(statement.to_json()))
        except (Refused, Rejected) as refusal:
            if refusal.code not in NOT_THIS_KEY:
                raise
            # its key is revoked, or a restored home has an older one: the next keys prove themselves
            answer = SignedSubmission.from_json(await hub.post_notice(statement.to_json()))
        return answer.verify(identity.net, self._replica.directory.hub.keys.signing, statement=digest)

    async def repeat(self, hub: HubApi) -> bool:
        """Rotate to the keys in use once more, where a hub restored from an older copy has forgotten it; if it did.

        No member had the leaf, else the hub has it back. Raises what the hub answers.
        """
        if not self._is_forgotten():
            return False
        async with self._rotating:
            try:
                await self._replica.refresh(hub)
            except (Refused, Rejected) as refusal:
                if refusal.code not in NOT_THIS_KEY:
                    raise
            if not self._is_forgotten():
                return False
            after = PublicKeys.from_json(
                loads(self._keystore.get(NEXT), most=MAX_PUBLIC, field="next"), what="next"
            )
            submission = await self._hand_in(hub, self._identity.keys, after)
            if submission.outcome == LOGGED:
                await self._replica.refresh(hub)
            return submission.outcome == LOGGED

    def _is_forgotten(self) -> bool:
        """Whether the log has the keys in use as the next ones still."""
        if REVEALED in self._keystore.names() or self._replica.is_empty:
            return False
        member = self._replica.directory.members.get(self._identity.address)
        public = self._identity.keys.public
        if member is None or member.keys == public:
            return False
        return member.next == public.next_commitment(self._identity.net)

    async def prove(self, hub: HubApi) -> bool:
        """The hub refuses the keys in use: use the others there are, or tell it of these anew; whether either was done.

        Raises as `repeat`.
        """
        return self._use_other() or await self.repeat(hub)

    def _use_other(self) -> bool:
        """After a crash between the hub's logging and `_swap` only the hub knows that the revealed keys count."""
        if REVEALED not in self._keystore.names():
            return False
        revealed, current = PrivateKeys(self._keystore.get(REVEALED)), PrivateKeys(self._keystore.get(SEED))
        in_use = self._identity.keys.public
        self._identity.keys = current if in_use == revealed.public else revealed
        return True

    async def settle(self) -> None:
        """Let the log decide which keys count, where two are held."""
        async with self._revealing:
            await self._settle()

    async def _settle(self) -> None:
        if REVEALED not in self._keystore.names() or not self._replica.is_member():
            return
        address, directory = self._identity.address, self._replica.directory
        current = (directory.units.get(address) or directory.member(address)).keys
        if current == PrivateKeys(self._keystore.get(REVEALED)).public:
            self._swap()
            return
        until = await self._store.db.read(lambda c: number(c, REVEALED_UNTIL))
        if directory.at > until:
            # By the log's time, which never goes back: a hub may have logged it and show it late, but not after this.
            self._keystore.update({}, remove=[REVEALED, REVEALED_NEXT])  # the paper is the only copy again

    def _swap(self) -> None:
        if REVEALED not in self._keystore.names():
            return  # the log came first: `settle` has done it while the hub's answer was on its way
        seed = self._keystore.get(REVEALED)
        changes = {SEED: seed}
        if REVEALED_NEXT in self._keystore.names():
            changes[NEXT] = self._keystore.get(REVEALED_NEXT)
        self._keystore.update(changes, remove=[REVEALED, REVEALED_NEXT])
        self._identity.keys = PrivateKeys(seed)

    # -- giving keys up -----------------------------------------------------------------------------------------

    async def revoke(self, hub: HubApi, statement: Statement) -> Submission | None:
        """Hand in a revocation made by `a_revocation`, and tell every member by flash; the hub's answer.

        None where the hub can't be reached: it is a notice here, and offered again. Raises Rejected directory.*.
        """
        identity, now = self._identity, self._sources.clock()
        digest = statement.hash(identity.net)
        await self._store.db.write(lambda c: rows.add_own_statement(c, digest, "revoke", now=now))
        await self._notices.accept(statement)
        peers = sorted(
            {*self._replica.directory.members, *self._replica.directory.units} - {identity.address}
        )
        note = Notice(statement.body, statement.signatures)
        await self._store.db.write(
            lambda c: self._outbox.send(c, note.to_payload(), note.type, FLASH[0], peers)
        )
        with contextlib.suppress(ExchangeError):  # the hub's log tells them as well
            # Before the hub knows: what is signed by a key that it has logged as revoked it takes no longer.
            while await self._outbox.dispatch(hub, FLASH) + await self._uploads.upload(hub, FLASH):
                pass
        return await self._give(hub, statement)

    async def veto(self, hub: HubApi, seed: bytes | None) -> Submission | None:
        """Stop a recovery of this member's keys that it didn't ask for: by its key, or by the next ones (`seed`).

        Raises Refused directory.wrong-reference (none is pending), directory.not-next; Rejected directory.*.
        """
        identity, now = self._identity, self._sources.clock()
        recovery = self._replica.directory.member(identity.address).recovery
        if recovery is None:
            raise Refused("directory.wrong-reference", "no recovery of this member's keys is pending")
        keys = self.check_next(seed) if seed is not None else identity.keys
        body = build_veto(
            net=identity.net,
            handle=identity.address,
            names=recovery.named,
            keys=keys.public if seed is not None else None,
            not_after=now + DAY_MS,
        )
        statement = Statement(body).with_signature(identity.address, keys)
        digest = statement.hash(identity.net)
        await self._store.db.write(lambda c: rows.add_own_statement(c, digest, "veto", now=now))
        await self._notices.accept(statement)
        return await self._give(hub, statement)

    async def _give(self, hub: HubApi, statement: Statement) -> Submission | None:
        identity = self._identity
        try:
            answer = SignedSubmission.from_json(await hub.post_notice(statement.to_json()))
        except Unavailable:
            return None
        digest = statement.hash(identity.net)
        submission = answer.verify(identity.net, self._replica.directory.hub.keys.signing, statement=digest)
        with contextlib.suppress(
            Refused, Rejected
        ):  # with the key it has just revoked it is told nothing more
            await self._replica.refresh(hub)
        return submission

    async def leave(self, hub: HubApi, *, until: int) -> Submission:
        """Give notice: this member goes at `until` (UTC ms, within 366 days). Raises as `Registration.submit`."""
        identity = self._identity
        body = build_status(
            net=identity.net,
            handle=identity.address,
            move=Move.LEAVE,
            ground="own-wish",
            until=until,
            after=self._replica.directory.last_hash(identity.address, "status"),
            not_after=self._sources.clock() + DAY_MS,
        )
        statement = Statement(body).with_signature(identity.address, identity.keys)
        return await self._registration.submit(hub, statement, "leave", {})


def a_revocation(
    identity: Identity,
    replica: Replica,
    *,
    address: str,
    ground: str,
    since: int,
    printed: bytes | None,
    not_after: int,
) -> Statement:
    """The revocation of the key that `address` has now, signed by itself or, with its printed seed, by that.

    `since`, `not_after` in UTC ms. Raises Refused directory.unknown-member, directory.not-own (the printed key isn't
    this member's; or another's key without it).
    """
    directory = replica.directory
    member = directory.member(address)
    keys = identity.keys if printed is None else PrivateKeys(printed)
    if printed is None and address != identity.address:
        raise Refused("directory.not-own", "another member's key takes its printed seed")
    if printed is not None and keys.public.signing != member.revoke:
        raise Refused("directory.not-own", f"this isn't the seed that {address} printed for revoking")
    body = build_revoke(
        net=identity.net,
        address=address,
        by=OWN if printed is None else PRINTED,
        ground=ground,
        skid=member.keys.signing.skid(identity.net),
        since=since,
        not_after=not_after,
    )
    return Statement(body).with_signature(address, keys)
