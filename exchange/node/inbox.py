"""Owns the way of an item in: each verdict of opening.py becomes rows and a receipt owed, in one transaction (§4.5).

Takes a page of the feed at a time: all of it and the cursor are stored, or nothing is. Receipts are signed by
receipts.py, what peers' control messages change is control_messages.py's, what people do with mail desk.py's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from exchange import receipt
from exchange.canonical import ZERO32, b64, sha256
from exchange.content import CheckpointNote, Status
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.errors import Hold
from exchange.header import LANES, Header
from exchange.limits import DAY_MS, MINUTE_MS, SECOND_MS
from exchange.message import Message
from exchange.node import store_inbox as rows
from exchange.node import store_links as links
from exchange.node import store_receipts
from exchange.node.budget import spend
from exchange.node.control_messages import PROVES_ITSELF, ControlMessages
from exchange.node.directory_sync import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.opening import Bad, Good, Hurt, Later, Opening, Over, Verdict
from exchange.node.outbox import Outbox
from exchange.node.proofs import Proofs
from exchange.node.store import Store, Transaction, raise_alarm, set_fact
from exchange.node.store_inbox import HeldItem, Quarantined, Received, Seen
from exchange.node.store_links import Evidence
from exchange.node.store_notices import UNVERIFIED
from exchange.node.store_receipts import Owed
from exchange.node.trust import counts
from exchange.protocol import ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_EXPIRED, ITEM_RECEIPTS, Item

CURSOR: Final = "feed.cursor"
DAMAGED_ALARM: Final = 3  # tries
RETRY_MS: Final = (
    SECOND_MS,
    10 * SECOND_MS,
    MINUTE_MS,
    10 * MINUTE_MS,
)  # until a hurt item is asked for again
HELD_DOUBT_MS: Final = 10 * MINUTE_MS  # until what is held is asked for again, once
HELD_ALARM_MS: Final = DAY_MS
HELD_PAGE: Final = 16
BREATH_BYTES: Final = 32 * 1024  # judged (3 ms), then what is urgent goes out before the next item
MOST_HELD: Final = 256 * 1024 * 1024  # bytes kept; what is more the hub still has, and is asked for again
MOST_DAMAGED: Final = 1_000
REJECTIONS_A_DAY: Final = 16  # told sealed to one sender: two nodes mustn't reject each other's for ever
VIEWS_A_DAY: Final = 4  # of the log, shown to one sender that has another: it may answer with its own
NIL_ID: Final = "00000000-0000-0000-0000-000000000000"  # `of` a rejected message whose id could not be read

Step = Callable[[Transaction], None]


@dataclass(frozen=True)
class Taken:
    """What a page brought: receipts to sign, a longer log to fetch, hurt items, peers' views of the log to compare.

    `urgent`: one of the receipts is for a flash. `news`: of the network, perhaps of another hub.
    """

    receipts: bool
    urgent: bool
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
        identity: Identity,
        replica: Replica,
        opening: Opening,
        outbox: Outbox,
        proofs: Proofs,
        controls: ControlMessages,
        sources: Sources,
    ) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._opening = opening
        self._outbox = outbox
        self._proofs = proofs
        self._controls = controls
        self._sources = sources
        self._doubted: set[bytes] = set()  # held, and asked for again by this run

    async def take(self, items: Sequence[Item], *, cursor: str | None) -> Taken:
        """Judge and store items in order, and `cursor` with them (None: items asked for again, it stays).

        Raises Unavailable `storage.full` and the like: then nothing of the page is stored, and nothing receipted.
        """
        verdicts, unbroken = [], 0
        for item in items:
            verdicts.append(self._judge(item))
            unbroken += len(item.payload)
            if unbroken >= BREATH_BYTES:
                unbroken = 0
                await asyncio.sleep(0)
        steps = [step for _, step in verdicts]

        def write(connection: Transaction) -> None:
            for step in steps:
                step(connection)
            if cursor is not None:
                set_fact(connection, CURSOR, cursor)

        await self._store.db.write(write, size=sum(len(item.payload) for item in items))
        notes = tuple(note for verdict, _ in verdicts if (note := _note(verdict)) is not None)
        return Taken(
            receipts=any(isinstance(verdict, Good | Over | Bad) for verdict, _ in verdicts),
            urgent=any(_is_flash(verdict) for verdict, _ in verdicts),
            news=any(_is_control(verdict) for verdict, _ in verdicts),
            log_grew=any(item.type == ITEM_CHECKPOINT for item in items)
            or any(isinstance(verdict, Later) for verdict, _ in verdicts),
            damaged=any(isinstance(verdict, Hurt) for verdict, _ in verdicts),
            notes=notes,
        )

    async def retry_held(self) -> Taken:
        """Judge again what waited for a longer directory; what still waits for more than 24 h alarms."""
        last, verdicts = 0, list[Verdict | None]()
        while held := await self._store.db.read(partial(rows.held, after=last, limit=HELD_PAGE)):
            last = held[-1].n
            verdicts += await self._retry(held)
        notes = tuple(note for verdict in verdicts if (note := _note(verdict)) is not None)
        receipts = any(isinstance(one, Good | Over | Bad) for one in verdicts)
        return Taken(receipts, urgent=False, news=True, log_grew=False, damaged=False, notes=notes)

    async def _retry(self, held: Sequence[HeldItem]) -> list[Verdict | None]:
        steps: list[Step] = []
        verdicts: list[Verdict | None] = []
        for one in held:
            verdict, step = self._judge(Item(one.type, "", one.payload))
            await asyncio.sleep(0)
            verdicts.append(None if isinstance(verdict, Later) else verdict)
            if isinstance(verdict, Later):
                steps += self._still_held(one, verdict.code)
            else:
                steps += [step, _releasing(one.payload)]
        if steps:
            await self._store.db.write(lambda c: [step(c) for step in steps])
        return verdicts

    def _still_held(self, one: HeldItem, code: str) -> list[Step]:
        """A name hurt on the way looks like a stranger's: what isn't at the hub under these bytes came whole since."""
        now, key = self._sources.clock(), sha256(one.payload)
        if one.since + HELD_DOUBT_MS < now and one.type != ITEM_RECEIPTS and key not in self._doubted:
            self._doubted.add(key)
            return [lambda c: self._hurt(c, Hurt(key, code, "held for long"), now), _releasing(one.payload)]
        return [self._alarm("held", code, "hub")] if one.since + HELD_ALARM_MS < now else []

    def _judge(self, item: Item) -> tuple[Verdict | None, Step]:
        if item.type in (ITEM_DELIVERY, ITEM_EXPIRED):
            verdict = self._opening.judge(item)
            control = self._control(verdict)
            return verdict, lambda connection: self._store_verdict(connection, verdict, control)
        if item.type == ITEM_RECEIPTS:
            try:
                return None, self._proofs.prepare(item.payload)
            except Hold as hold:
                later = Later(item, hold.code)
                return later, lambda connection: self._store_verdict(connection, later, _nothing)
        return None, _nothing  # a checkpoint is only news; a type this version doesn't know is not for it

    def _control(self, verdict: Verdict) -> Step:
        if not isinstance(verdict, Good) or verdict.control is None:
            return _nothing
        return self._controls.prepare(verdict.opened, verdict.control)

    def _store_verdict(self, connection: Transaction, verdict: Verdict, control: Step) -> None:
        now = self._sources.clock()
        if isinstance(verdict, Good):
            self._good(connection, verdict, control, now)
        elif isinstance(verdict, Over):
            self._over(connection, verdict, now)
        elif isinstance(verdict, Bad):
            self._bad(connection, verdict, now)
        elif isinstance(verdict, Later):
            key, payload = sha256(verdict.item.payload), verdict.item.payload
            if rows.held_bytes(connection) + len(payload) > MOST_HELD:
                self._hurt(connection, Hurt(key, verdict.code, "too much waits for a longer directory"), now)
            else:
                rows.hold(connection, key, verdict.item.type, payload, verdict.code, now=now)
        else:
            self._hurt(connection, verdict, now)

    # -- the outcomes -------------------------------------------------------------------------------------------

    def _good(self, connection: Transaction, good: Good, control: Step, now: int) -> None:
        opened = good.opened
        header = opened.header
        seen = rows.seen(connection, header.env, header.sender)
        if self._is_repeat(connection, header.env, seen):
            return
        marks = self._place(connection, opened.header, _evidence(good), now) | good.marks
        if opened.meta.reseal_of is not None:
            links.close_number(connection, header.sender, header.lane, opened.meta.reseal_of.seq)
        if self._contradicts(connection, header):
            marks |= {"directory"}
        if not counts(self._replica, header.sender, header.skid, now):
            marks |= {UNVERIFIED}  # by a notice of this very page, or a leaf that came since it was judged
        if good.control is None:
            self._mail(connection, good, marks | ({"voided"} if seen.void else set()), now)
        elif UNVERIFIED not in marks or isinstance(good.control, PROVES_ITSELF):
            control(connection)
        self._owe(connection, header.env, opened.lc, receipt.STORED, "")

    def _mail(self, connection: Transaction, good: Good, marks: frozenset[str], now: int) -> None:
        opened, message = good.opened, good.message
        meta, header = opened.meta, opened.header
        payload_hash = sha256(opened.payload)
        known = rows.known_hashes(connection, header.sender, meta.id)
        if any(digest == payload_hash for _, digest in known):
            return  # the same message, sealed again
        if message is None:
            marks |= {"newer"}
        received = Received(
            n=0,
            sender=header.sender,
            message_id=meta.id,
            type=meta.type,
            lane=header.lane,
            created=meta.created,
            expires=meta.expires,
            received_at=now,
            marks=marks,
            conflict=bool(known),
            env=header.env,
            payload=opened.payload,
            summary=_summary(message),
        )
        rows.add(connection, self._store.cipher, received, payload_hash)
        if known:
            subject = f"{header.sender} {meta.id}"
            self._alarm(f"conflict/{header.sender}", "message.conflict", subject)(connection)

    def _over(self, connection: Transaction, over: Over, now: int) -> None:
        header = over.expired.header
        if self._is_repeat(connection, header.env, rows.seen(connection, header.env, header.sender)):
            return
        evidence = Evidence(
            header, over.signatures, over.expired.link, bytes(16), ZERO32, over.expired.lc, ZERO32
        )
        self._place(connection, header, evidence, now)
        self._owe(connection, header.env, over.expired.lc, receipt.REJECTED, "expired")

    def _bad(self, connection: Transaction, bad: Bad, now: int) -> None:
        header = bad.header
        if self._is_repeat(connection, header.env, rows.seen(connection, header.env, header.sender)):
            return
        if bad.opened is not None:
            opened = bad.opened
            evidence = Evidence(
                header, bad.signatures, opened.link, opened.nonce, opened.salt, opened.lc, opened.wrap_hash
            )
            self._place(connection, header, evidence, now)
        row = Quarantined(header.env, header.sender, bad.code, now)
        rows.quarantine(connection, row, bad.payload)
        coarse = "expired" if bad.expired else receipt.coarse(bad.code)
        self._owe(connection, header.env, bad.lc, receipt.REJECTED, coarse)
        self._tell(connection, bad, now)

    def _tell(self, connection: Transaction, bad: Bad, now: int) -> None:
        """The fine code goes to the sender sealed (§7). A status earns none, and a sender gets a few a day at most."""
        if bad.opened is not None and bad.opened.meta.type == Status.type:
            return
        sender = bad.header.sender
        if not spend(connection, "rejections", sender, now=now, most=REJECTIONS_A_DAY):
            return
        of = bad.opened.meta.id if bad.opened else NIL_ID
        status = Status(of, "rejected", "", b64(bad.header.env), bad.code, now)
        self._outbox.send(connection, status.to_payload(), Status.type, bad.header.lane, [sender])

    def _hurt(self, connection: Transaction, hurt: Hurt, now: int) -> None:
        if rows.count_all_damaged(connection) >= MOST_DAMAGED:
            return  # un-receipted: the hub has it, and shows it again
        tries = rows.count_damaged(connection, hurt.key, hurt.code, hurt.detail, now=now, retry_at=now)
        rows.set_retry(connection, hurt.key, now + RETRY_MS[min(tries, len(RETRY_MS)) - 1])
        if tries == DAMAGED_ALARM:
            self._alarm(f"damaged/{hurt.code}", hurt.code, b64(hurt.key))(connection)

    # -- parts --------------------------------------------------------------------------------------------------

    def _is_repeat(self, connection: Transaction, env: bytes, seen: Seen) -> bool:
        """Whether the envelope is receipted already; then its very receipt goes out again, and nothing changes."""
        if seen.hurt:
            rows.heal(connection, env)
        if not seen.receipted:
            return False
        store_receipts.owe_again(connection, env)
        return True

    def _place(self, connection: Transaction, header: Header, evidence: Evidence, now: int) -> frozenset[str]:
        verdict = links.record(connection, evidence, now=now)
        if verdict.opened is not None and store_receipts.is_rejected(connection, evidence.link.prev):
            # The number before was this node's own rejection: it isn't missing (§6.3).
            links.close_number(connection, header.sender, header.lane, evidence.link.seq - 1)
        if verdict.mark == "fork":
            other = links.header_of(connection, verdict.fork_with or ZERO32)
            proof = header.raw + evidence.signatures + b"".join(other or ())
            raise_alarm(
                connection,
                key=f"fork/{header.sender}/{now // DAY_MS}",  # the link of each further one is kept all the same
                at=now,
                code="chain.fork",
                subject=header.sender,
                evidence=proof,
            )
        return frozenset({verdict.mark} - {""})

    def _contradicts(self, connection: Transaction, header: Header) -> bool:
        """A sender that knows another log: show it the hub's signature on ours; only two of those alarm (§9.6)."""
        if not self._replica.contradicts(header.dir):
            return False
        now = self._sources.clock()
        if spend(connection, "views", header.sender, now=now, most=VIEWS_A_DAY):
            newest = self._replica.newest
            note = CheckpointNote(newest.body, newest.signature)
            self._outbox.send(connection, note.to_payload(), note.type, "priority", [header.sender])
        return True

    def _owe(self, connection: Transaction, env: bytes, lc: bytes, status: str, code: str) -> None:
        salt = self._sources.random(receipt.SALT_BYTES)
        store_receipts.owe(connection, Owed(env, lc, status, code, salt))

    def _alarm(self, key: str, code: str, subject: str) -> Step:
        """Once a day for a key: whoever can cause one can cause thousands, and people must see the others."""
        now = self._sources.clock()
        key = f"{key}/{now // DAY_MS}"

        def step(connection: Transaction) -> None:
            raise_alarm(connection, key=key, at=now, code=code, subject=subject)

        return step


def _is_control(verdict: Verdict | None) -> bool:
    return isinstance(verdict, Good) and verdict.control is not None


def _is_flash(verdict: Verdict | None) -> bool:
    return isinstance(verdict, Good) and verdict.opened.header.lane == LANES[0]


def _evidence(good: Good) -> Evidence:
    opened = good.opened
    return Evidence(
        opened.header, good.signatures, opened.link, opened.nonce, opened.salt, opened.lc, opened.wrap_hash
    )


def _summary(message: Message | None) -> dict[str, Any]:
    """What lists show of a message without reading its bundle again."""
    if message is None:
        return {}
    return {
        "case": message.case_id,
        "exercise": message.exercise_id,
        "function": message.audience_function,
        "in_reply_to": message.in_reply_to,
        "kind": message.kind,
        "objects": message.object_count,
        "outcome": message.outcome,
        "reply_by": message.reply_by,
        "ack_by": message.ack_by,
        "subject": message.subject,
        "tlp": message.tlp.label,
    }


def _note(verdict: Verdict | None) -> tuple[str, SignedCheckpoint] | None:
    if isinstance(verdict, Good) and isinstance(verdict.control, CheckpointNote):
        note = SignedCheckpoint(verdict.control.body, verdict.control.signature)
        return verdict.opened.header.sender, note
    return None


def _releasing(payload: bytes) -> Step:
    key = sha256(payload)
    return lambda connection: rows.release(connection, key)


def _nothing(_connection: Transaction) -> None:
    """For items that change nothing."""
