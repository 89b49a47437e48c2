"""Owns the way of a message out: queued, sealed at dispatch, voided and sealed again when it lapses (§6.1).

Sealing is the one transaction that reads the chain, seals and writes the outbox row, in the one process that owns the
home. Uploading is uploads.py's, receipts are proofs.py's, questions by recipients answers.py's business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Final

from exchange import envelope, policy
from exchange.content import CONTROL, STIX, Meta, Numbered, Void, pack_content
from exchange.envelope import Recipient
from exchange.errors import Refused, Rejected
from exchange.formats.stix.cover import read_message
from exchange.header import LANES, DirRef, parse_header
from exchange.limits import DAY_MS, MINUTE_MS, PREKEY_MARGIN_MS, QUOTA_ENVELOPES
from exchange.link import CHAIN_BYTES, Link
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.keys.peer_prekeys import PeerPrekeys, Ready
from exchange.node.store import attachments as store_attachments, outbox as rows, queue, sealings
from exchange.node.store.outbox import LOST, QUEUED, Addressee, Outgoing
from exchange.node.store.sealings import SealedLink, Sealing
from exchange.node.store.store import Store, Transaction, raise_alarm
from exchange.node.uplink.api import HubApi

FLASH_LANE: Final = "flash"
WINDOW: Final = 64  # envelopes sealed and not yet accepted: sealing far ahead only makes them lapse
DISPATCH: Final = 16  # messages sealed between two looks at the urgent lanes
UNREADABLE: Final = "unreadable"  # as a receipt says it (docs/protocol.md §7)
MAX_TRIES: Final = 3  # sealings of one copy that were refused or not readable
# Envelopes for one peer without its receipt: one that stays away, or asks without end, mustn't use up the quota at
# the hub (§12) that mail for the others needs. Flash has no such bound.
PEER_WINDOW: Final = QUOTA_ENVELOPES // 10
CONTROL_LIFE_MS: Final = 14 * DAY_MS
SAID_ONCE_MS: Final = 90 * DAY_MS  # nothing else would tell a peer, and it may be away (§6.3, §6.4)
LEAST_LIFE_MS: Final = MINUTE_MS  # a sealing that would expire sooner isn't worth its way
SWEEP: Final = 256
ERASED: Final = "erased"  # why a number is void whose content is kept no longer


class Outbox:
    """Seals what is queued. One per process: its chain id is this run's."""

    def __init__(self, store: Store, identity: Identity, replica: Replica, sources: Sources) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._sources = sources
        self.peers = PeerPrekeys(store, identity.net, replica, sources.clock)
        self._chain = sources.random(CHAIN_BYTES)

    async def dispatch(self, hub: HubApi, lanes: Sequence[str]) -> int:
        """Seal what is queued in `lanes`, urgent first, up to a bounded number; how many messages were sealed."""

        def look(connection: Transaction) -> tuple[list[str], list[str], list[str]]:
            recipients = queue.waiting_recipients(connection, lanes=lanes)
            full = [] if FLASH_LANE in lanes else _full(connection, recipients)
            return recipients, full, queue.barred(connection) if recipients else []

        recipients, full, barred = await self._store.db.read(look)
        if not recipients:
            return 0
        ready, waiting = await self.peers.ready(hub, recipients)
        waiting |= dict.fromkeys((one for one in full if one in ready), "quota.exceeded")
        ready = {address: one for address, one in ready.items() if address not in full}
        for recipient in barred:
            if not self._replica.suspends(recipient):
                await self._store.db.write(partial(queue.set_waiting, recipient=recipient, code=""))
        for recipient, code in waiting.items():
            await self._store.db.write(partial(queue.set_waiting, recipient=recipient, code=code))

        def choose(connection: Transaction) -> list[int]:
            room = WINDOW - len(sealings.waiting(connection, lanes=lanes, limit=WINDOW))
            return queue.next_messages(connection, ready, lanes=lanes, limit=min(room, DISPATCH))

        chosen = await self._store.db.read(choose) if ready else []
        for message_n in chosen:
            await self._seal(message_n, ready)
        return len(chosen)

    async def _seal(self, message_n: int, ready: dict[str, Ready]) -> None:
        dir_ref = self._replica.dir_ref()
        suspended = frozenset(address for address in ready if self._replica.suspends(address))
        await self._store.db.write(lambda c: self._seal_in(c, message_n, ready, suspended, dir_ref))

    def _seal_in(
        self,
        connection: Transaction,
        message_n: int,
        ready: dict[str, Ready],
        suspended: frozenset[str],
        dir_ref: DirRef,
    ) -> None:
        """Chain state read, sealed, written: one transaction."""
        message = rows.get(connection, self._store.cipher, message_n)
        now = self._sources.clock()
        waiting = [
            one
            for one in rows.addressees(connection, self._store.cipher, message_n)
            if one.state == QUEUED and one.recipient in ready
        ]
        barred = [one for one in waiting if one.recipient in suspended]
        if barred and not _may_reach_suspended(message):
            for one in barred:
                queue.bar(connection, message_n, one.recipient)
            waiting = [one for one in waiting if one not in barred]
        if message.expires <= now + LEAST_LIFE_MS:
            for one in waiting:
                self.lose(connection, message, one, "envelope.expired")
            return
        for group in _groups(message, waiting):
            self._seal_group(connection, message, group, ready=ready, dir_ref=dir_ref, now=now)

    def _seal_group(
        self,
        connection: Transaction,
        message: Outgoing,
        group: Sequence[Addressee],
        *,
        ready: dict[str, Ready],
        dir_ref: DirRef,
        now: int,
    ) -> None:
        identity = self._identity
        recipients = [
            Recipient(
                one.recipient,
                ready[one.recipient].kid,
                ready[one.recipient].prekey,
                sealings.next_link(connection, message.lane, one.recipient, self._chain),
            )
            for one in sorted(group, key=lambda one: one.recipient)
        ]
        attachments = store_attachments.going_with(connection, self._store.cipher, group[0].message_n)
        meta = Meta(
            message.type,
            message.id,
            message.lane,
            message.created,
            message.expires,
            group[0].replaces,
            tuple(one.attachment for one in attachments),
        )
        life = min(ready[one.address].destroy - PREKEY_MARGIN_MS for one in recipients)
        try:
            sealed = envelope.seal(
                net=identity.net,
                sender=identity.address,
                keys=identity.keys,
                content=pack_content(meta, message.payload),
                lane=message.lane,
                compress=message.compress,
                recipients=recipients,
                dir_ref=dir_ref,
                iat=now,
                exp=min(life, message.expires),
                random=self._sources.random,
                blobs=meta.blobs,
            )
        except (Refused, Rejected) as fault:
            # What can't be sealed must not stand in the way of what comes after it.
            for one in group:
                self.lose(connection, message, one, fault.code)
            return
        links: list[tuple[Link, int]] = [(one.link, ready[one.address].until) for one in recipients]
        sealings.add(connection, sealed, group[0].message_n, links)
        for one in group:
            rows.set_sealed(connection, one.message_n, one.recipient, sealed.env, now=now)

    # -- recipients that lost trust ---------------------------------------------------------------------------

    async def barred_from(self, sealing: Sealing) -> str:
        """Why an envelope that the hub hasn't taken yet must not go out any more; "" where it may."""
        addresses = [address for address, _ in parse_header(sealing.header).to]
        if any(self._replica.distrusts(address) for address in addresses):
            return "node.key-revoked"
        if not any(self._replica.suspends(address) for address in addresses):
            return ""
        message = await self._store.db.read(lambda c: rows.get(c, self._store.cipher, sealing.message_n))
        return "" if _may_reach_suspended(message) else queue.BARRED

    def withdraw(
        self, connection: Transaction, message_id: str, recipients: Collection[str] | None = None
    ) -> None:
        """Give up the copies for `recipients` (None: for all) that aren't stored, also where they are under way.

        An envelope for others too is voided, and theirs sealed again without these.
        """
        found = rows.find(connection, self._store.cipher, message_id)
        if found is None:
            return
        now, envs = self._sources.clock(), set[bytes]()
        for one in rows.addressees(connection, self._store.cipher, found[0]):
            if (recipients is None or one.recipient in recipients) and one.state not in (rows.STORED, LOST):
                rows.set_ended(connection, found[0], one.recipient, LOST, "directory.bad-part", at=now)
                envs |= {one.env} if one.env else set()
        self._void_all(connection, envs, "directory.bad-part")

    def give_up(self, connection: Transaction, message_n: int, code: str) -> None:
        """Give up all copies of a message that are under way, and close the numbers of their sealings."""
        message = rows.get(connection, self._store.cipher, message_n)
        copies = rows.addressees(connection, self._store.cipher, message_n)
        going = [one for one in copies if one.state not in rows.ENDED]
        for one in going:
            self.lose(connection, message, one, code)
        self._void_all(connection, {one.env for one in going if one.env}, code)

    def _void_all(self, connection: Transaction, envs: Collection[bytes], code: str) -> None:
        for env in envs:
            sealing = sealings.get(connection, env)
            if sealing is not None and sealing.state in ("sealed", "accepted"):
                self.void(connection, env, code)

    # -- what may go wrong on the way -------------------------------------------------------------------------------

    def void(self, connection: Transaction, env: bytes, code: str) -> None:
        """An envelope the hub never took has lapsed: never upload it, close its numbers, seal its content again."""
        for link in sealings.links(connection, env):
            if link.state == sealings.OPEN:
                self.seal_again(connection, link, code)
        sealings.set_voided(connection, env)

    def seal_again(self, connection: Transaction, link: SealedLink, code: str) -> None:
        """Queue the copy again, its next sealing closing this one's number; or report the loss when it can't be."""
        sealing = sealings.get(connection, link.env)
        if sealing is None:
            return
        message = rows.get(connection, self._store.cipher, sealing.message_n)
        if message.erased:
            self.announce_void(connection, message, link.recipient, link.numbered, ERASED)
            return
        copy = rows.addressee(connection, self._store.cipher, sealing.message_n, link.recipient)
        if copy is None or copy.env != link.env or copy.state in (rows.STORED, QUEUED):
            return  # a newer sealing carries it already
        alive = message.expires > self._sources.clock() + LEAST_LIFE_MS
        if copy.state != LOST:
            if alive and self._can_receive(link.recipient):
                rows.requeue(connection, copy.message_n, copy.recipient, replaces=link.numbered, code=code)
                return
            self.lose(connection, message, copy, code if alive else "envelope.expired")
        self.announce_void(connection, message, link.recipient, link.numbered, code)

    def _can_receive(self, recipient: str) -> bool:
        try:
            self._replica.directory.member(recipient.partition("/")[0])
        except Refused:
            return False
        return True

    def lose(self, connection: Transaction, message: Outgoing, copy: Addressee, code: str) -> None:
        """Give a copy up, and tell both ends: every accepted message is delivered or its loss reported.

        A copy that was never sealed has no number in its recipient's chain: of that one only this end hears.
        """
        now = self._sources.clock()
        rows.set_ended(connection, copy.message_n, copy.recipient, LOST, code, at=now)
        if message.type == "stix":
            key = f"lost/{message.id}/{copy.recipient}"
            raise_alarm(
                connection, key=key, at=now, code="outbox.lost", subject=f"{message.id} {copy.recipient}"
            )
        if copy.state == QUEUED and copy.replaces is not None:
            self.announce_void(connection, message, copy.recipient, copy.replaces, code)

    def announce_void(
        self, connection: Transaction, message: Outgoing, recipient: str, sealing: Numbered, why: str
    ) -> None:
        """Tell the recipient that a number which carried `message` will not be filled, and whether it lacks it.

        A void for each void would have no end: its number is asked for (§6.3).
        """
        if message.type != Void.type:
            void = Void(message.lane, sealing, why if message.type == STIX else CONTROL)
            self.send_void(connection, recipient, void)

    def send_void(self, connection: Transaction, recipient: str, void: Void) -> None:
        """No news that any mail should wait for; of a loss, said to a reader for as long as it may be away."""
        life = SAID_ONCE_MS if void.is_loss else CONTROL_LIFE_MS
        self.send(connection, void.to_payload(), Void.type, LANES[-1], [recipient], life_ms=life)

    def send(
        self,
        connection: Transaction,
        payload: bytes,
        type_: str,
        lane: str,
        recipients: Iterable[str],
        *,
        life_ms: int = CONTROL_LIFE_MS,
    ) -> str:
        """Queue a control message, in that lane or the one in which this member may send; its id."""
        now = self._sources.clock()
        if not self._replica.is_empty:
            lane = policy.control_lane(self._replica.directory, self._identity.address, lane)
        message = Outgoing(self._sources.new_id(), type_, lane, now, now + life_ms, payload)
        rows.add(connection, self._store.cipher, message, recipients, now=now)
        return message.id

    async def sweep(self) -> int:
        """What time and the directory have changed: sealings past `exp`, copies unreadable with an old prekey.

        How many copies were queued again or given up.
        """
        now = self._sources.clock()
        kids = self._current_kids(now)

        def write(connection: Transaction) -> int:
            for message_n, recipient in queue.lapsed(connection, now=now, limit=SWEEP):
                message = rows.get(connection, self._store.cipher, message_n)
                copy = rows.addressee(connection, self._store.cipher, message_n, recipient)
                if copy is not None:
                    self.lose(connection, message, copy, "envelope.expired")
            overdue = sealings.overdue_links(connection, now=now, limit=SWEEP)
            for link in overdue:
                self.expire(connection, link)
            retried = sum(
                self._retry_unreadable(connection, recipient, kid) for recipient, kid in kids.items()
            )
            return len(overdue) + retried

        return await self._store.db.write(write)

    def expire(self, connection: Transaction, link: SealedLink) -> None:
        """The sealing's time is over without `stored` (§8.4): seal again until the content's own end.

        Whoever says so before this node's clock does isn't believed: a recipient, or the hub, could make it seal
        without end. `sweep` comes to it in time.
        """
        sealing = sealings.get(connection, link.env)
        if link.state != sealings.OPEN or sealing is None or sealing.exp > self._sources.clock():
            return
        self.seal_again(connection, link, "envelope.expired")
        sealings.set_link(connection, link.env, link.recipient, "expired")

    def _current_kids(self, now: int) -> dict[str, bytes]:
        kids = {}
        directory = self._replica.directory
        for address in (*directory.members, *directory.units):
            try:
                kids[address] = directory.prekey_for(address, now).kid
            except Refused:
                continue  # without a usable prekey nothing can be sealed to it now
        return kids

    def _retry_unreadable(self, connection: Transaction, recipient: str, kid: bytes) -> int:
        """Seal again, to the prekey `kid`, what wasn't readable with another one; how many copies."""
        envs = rows.unreadable(connection, recipient, but=kid, tries=MAX_TRIES - 1, limit=SWEEP)
        for env in envs:
            link, sealing = sealings.link_of(connection, env, recipient), sealings.get(connection, env)
            if link is not None and sealing is not None:
                rows.count_try(connection, sealing.message_n, recipient)
                self.seal_again(connection, link, UNREADABLE)
        return len(envs)


def will_retry(copy: Addressee) -> bool:
    """Whether `sweep` seals it again once its addressee, who couldn't read it, has another prekey."""
    return copy.state == rows.REJECTED and copy.coarse == UNREADABLE and copy.tries < MAX_TRIES - 1


def _may_reach_suspended(message: Outgoing) -> bool:
    try:
        tlp = read_message(message.payload).tlp if message.type == STIX else None
        policy.check_to_suspended(tlp)
    except (Refused, Rejected):
        return False
    return True


def _full(connection: Transaction, recipients: Sequence[str]) -> list[str]:
    """To whom no more goes out before receipts come back."""
    return [
        one for one in recipients if sealings.count_open(connection, one, most=PEER_WINDOW) == PEER_WINDOW
    ]


def _groups(message: Outgoing, waiting: Sequence[Addressee]) -> list[list[Addressee]]:
    """Who shares an envelope: everybody, unless sealed separately or in place of an older sealing.

    A re-seal names the number it closes, and numbers differ by recipient.
    """
    together = [one for one in waiting if not message.separate and one.replaces is None]
    alone = [[one] for one in waiting if message.separate or one.replaces is not None]
    return ([together] if together else []) + alone


def lanes_from(lane: str) -> tuple[str, ...]:
    """`lane` and the ones served after it."""
    return LANES[LANES.index(lane) :]
