"""Owns what becomes of verdicts: rows, alarms and receipts owed, in the transaction that takes their page (§4.5).

Mail that follows mail is looked up together and written together. The verdict over each item is opening.py's, which
items make a page inbox.py's, what peers' control messages change control_messages.py's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeGuard

from exchange import receipt
from exchange.attachment import Attachment
from exchange.canonical import ZERO32, b64, sha256
from exchange.content import REPLACED, CheckpointNote, Status, same_message_hash
from exchange.header import Header
from exchange.limits import DAY_MS, MINUTE_MS, SECOND_MS
from exchange.message import Message
from exchange.node.budget import spend
from exchange.node.directory.replica import Replica
from exchange.node.identity import Sources
from exchange.node.keys.trust import counts
from exchange.node.mail.control_messages import PROVES_ITSELF
from exchange.node.mail.opening import Bad, Envelope, Good, Hurt, Later, Over, Verdict
from exchange.node.mail.outbox import Outbox
from exchange.node.store import (
    attachments as store_attachments,
    inbox as rows,
    links,
    receipts as store_receipts,
)
from exchange.node.store.inbox import VOIDED, Quarantined, Received
from exchange.node.store.links import Chains, Evidence
from exchange.node.store.notices import UNVERIFIED
from exchange.node.store.receipts import Owed
from exchange.node.store.store import Store, Transaction, raise_alarm
from exchange.storage.local_cipher import LocalCipher

DAMAGED_ALARM: Final = 3  # tries
RETRY_MS: Final = (
    SECOND_MS,
    10 * SECOND_MS,
    MINUTE_MS,
    10 * MINUTE_MS,
)  # until a hurt item is asked for again
MOST_HELD: Final = 256 * 1024 * 1024  # bytes kept; what is more the hub still has, and is asked for again
MOST_DAMAGED: Final = 1_000
REJECTIONS_A_DAY: Final = 16  # told sealed to one sender: two nodes mustn't reject each other's for ever
VIEWS_A_DAY: Final = 4  # of the log, shown to one sender that has another: it may answer with its own
NIL_ID: Final = "00000000-0000-0000-0000-000000000000"  # `of` a rejected message whose id could not be read

Step = Callable[[Transaction], None]


@dataclass(frozen=True)
class Judged:
    """The verdict over an item, None for what is no delivery, and what the item changes beyond its own rows."""

    verdict: Verdict | None
    step: Step


def nothing(_connection: Transaction) -> None:
    """For items that change nothing more."""


class Storing:
    """Writes verdicts down."""

    def __init__(self, store: Store, replica: Replica, outbox: Outbox, sources: Sources) -> None:
        self._store = store
        self._replica = replica
        self._outbox = outbox
        self._sources = sources

    def store(self, connection: Transaction, judged: Sequence[Judged]) -> bool:
        """Write a page down, in its order; whether there may be something to send after it."""
        to_send = False
        for is_mail, group in groupby(judged, key=lambda one: _is_mail(one.verdict)):
            if is_mail:
                mail = [one.verdict for one in group if _is_mail(one.verdict)]
                to_send |= self._envelopes(connection, mail, nothing)
            else:
                for one in group:
                    to_send |= self._other(connection, one)
        return to_send

    def _other(self, connection: Transaction, judged: Judged) -> bool:
        """What isn't mail, alone: mail after it is judged by what it changes."""
        verdict = judged.verdict
        if isinstance(verdict, Envelope):
            return self._envelopes(connection, [verdict], judged.step)
        if isinstance(verdict, Later):
            self._later(connection, verdict)
        elif isinstance(verdict, Hurt):
            self.hurt(connection, verdict)
        else:
            judged.step(connection)
        return verdict is None

    def hurt(self, connection: Transaction, hurt: Hurt) -> None:
        """Count an item that came hurt, and when it is asked for again."""
        if rows.count_all_damaged(connection) >= MOST_DAMAGED:
            return  # un-receipted: the hub has it, and shows it again
        now = self._sources.clock()
        tries = rows.count_damaged(connection, hurt.key, hurt.code, hurt.detail, now=now, retry_at=now)
        rows.set_retry(connection, hurt.key, now + RETRY_MS[min(tries, len(RETRY_MS)) - 1])
        if tries == DAMAGED_ALARM:
            self.alarm(connection, f"damaged/{hurt.code}", hurt.code, b64(hurt.key))

    def alarm(self, connection: Transaction, key: str, code: str, subject: str) -> None:
        """Once a day for a key: whoever can cause one can cause thousands, and people must see the others."""
        now = self._sources.clock()
        raise_alarm(connection, key=f"{key}/{now // DAY_MS}", at=now, code=code, subject=subject)

    def _later(self, connection: Transaction, later: Later) -> None:
        key, payload = sha256(later.item.payload), later.item.payload
        if rows.held_bytes(connection) + len(payload) > MOST_HELD:
            self.hurt(connection, Hurt(key, later.code, "too much waits for a longer directory"))
        else:
            rows.hold(connection, key, later.item.type, payload, later.code, now=self._sources.clock())

    # -- envelopes ----------------------------------------------------------------------------------------------

    def _envelopes(self, connection: Transaction, envelopes: Sequence[Envelope], step: Step) -> bool:
        """`step`: what the last one changes beyond its own rows."""
        arrivals, now = _Arrivals(connection, envelopes), self._sources.clock()
        is_believed = False
        for one in envelopes:
            if arrivals.is_repeat(one.header.env):
                continue
            if isinstance(one, Good):
                is_believed = self._good(arrivals, one, now)
            elif isinstance(one, Over):
                self._over(arrivals, one, now)
            else:
                self._bad(arrivals, one, now)
        arrivals.write(self._store.cipher)
        if is_believed:
            step(connection)
        return arrivals.to_send

    def _good(self, arrivals: _Arrivals, good: Good, now: int) -> bool:
        """Whether it comes under its sender's own key, or needs none: then what it says is done."""
        opened, header = good.opened, good.header
        marks = self._place(arrivals, header, _evidence(good), now) | good.marks
        if opened.meta.reseal_of is not None:
            links.close_number(arrivals.connection, header.sender, header.lane, opened.meta.reseal_of.seq)
        if self._contradicts(arrivals, header, now):
            marks |= {"directory"}
        if not counts(self._replica, header.sender, header.skid, now):
            marks |= {UNVERIFIED}  # by a notice of this very page, or a leaf that came since it was judged
        if good.control is None:
            self._mail(arrivals, good, marks | ({VOIDED} if arrivals.is_taken_back(header) else set()), now)
        else:
            arrivals.to_send = True
        self._owe(arrivals, header.env, opened.lc, receipt.STORED, "")
        return UNVERIFIED not in marks or isinstance(good.control, PROVES_ITSELF)

    def _mail(self, arrivals: _Arrivals, good: Good, marks: frozenset[str], now: int) -> None:
        opened, message = good.opened, good.message
        meta, header = opened.meta, opened.header
        payload_hash = same_message_hash(meta, opened.payload)
        known = arrivals.known[header.sender, meta.id]
        if payload_hash in known:
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
        arrivals.mail.append((received, payload_hash))
        arrivals.attachments.append((header.env, header.sender, meta.attachments))
        if known:
            subject = f"{header.sender} {meta.id}"
            self.alarm(arrivals.connection, f"conflict/{header.sender}", "message.conflict", subject)
        known.add(payload_hash)

    def _over(self, arrivals: _Arrivals, over: Over, now: int) -> None:
        header, expired = over.header, over.expired
        evidence = Evidence(header, over.signatures, expired.link, bytes(16), ZERO32, expired.lc, ZERO32)
        self._place(arrivals, header, evidence, now)
        if not arrivals.is_void(header):
            # Whether it goes under another number, or is lost, is for its sender to say: until then it is missing.
            links.open_number(arrivals.connection, header.sender, header.lane, expired.link, now=now)
        self._owe(arrivals, header.env, expired.lc, receipt.REJECTED, "expired")

    def _bad(self, arrivals: _Arrivals, bad: Bad, now: int) -> None:
        header, opened = bad.header, bad.opened
        if opened is not None:
            evidence = Evidence(
                header, bad.signatures, opened.link, opened.nonce, opened.salt, opened.lc, opened.wrap_hash
            )
            self._place(arrivals, header, evidence, now)
        row = Quarantined(header.env, header.sender, bad.code, now)
        rows.quarantine(arrivals.connection, row, bad.payload)
        coarse = "expired" if bad.expired else receipt.coarse(bad.code)
        self._owe(arrivals, header.env, bad.lc, receipt.REJECTED, coarse)
        self._tell(arrivals, bad, now)

    def _tell(self, arrivals: _Arrivals, bad: Bad, now: int) -> None:
        """The fine code goes to the sender sealed (§7). A status earns none, and a sender gets a few a day at most."""
        if bad.opened is not None and bad.opened.meta.type == Status.type:
            return
        sender = bad.header.sender
        if not spend(arrivals.connection, "rejections", sender, now=now, most=REJECTIONS_A_DAY):
            return
        of = bad.opened.meta.id if bad.opened else NIL_ID
        status = Status(of, "rejected", "", b64(bad.header.env), bad.code, now)
        self._outbox.send(arrivals.connection, status.to_payload(), Status.type, bad.header.lane, [sender])
        arrivals.to_send = True

    # -- parts --------------------------------------------------------------------------------------------------

    def _place(self, arrivals: _Arrivals, header: Header, evidence: Evidence, now: int) -> frozenset[str]:
        connection = arrivals.connection
        verdict = arrivals.chains.record(evidence, voided=arrivals.is_void(header), now=now)
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

    def _contradicts(self, arrivals: _Arrivals, header: Header, now: int) -> bool:
        """A sender that knows another log: show it the hub's signature on ours; only two of those alarm (§9.6)."""
        if not self._replica.contradicts(header.dir):
            return False
        if spend(arrivals.connection, "views", header.sender, now=now, most=VIEWS_A_DAY):
            newest = self._replica.newest
            note = CheckpointNote(newest.body, newest.signature)
            self._outbox.send(arrivals.connection, note.to_payload(), note.type, "priority", [header.sender])
            arrivals.to_send = True
        return True

    def _owe(self, arrivals: _Arrivals, env: bytes, lc: bytes, status: str, code: str) -> None:
        arrivals.owe(Owed(env, lc, status, code, self._sources.random(receipt.SALT_BYTES)))


class _Arrivals:
    """Envelopes of one transaction that are looked up together, and whose rows are written together."""

    def __init__(self, connection: Transaction, envelopes: Sequence[Envelope]) -> None:
        self.connection = connection
        self.chains = Chains(connection)
        self.known = rows.known_hashes(
            connection, [(one.header.sender, one.opened.meta.id) for one in envelopes if _is_mail(one)]
        )
        self.mail: list[tuple[Received, bytes]] = []
        self.attachments: list[tuple[bytes, str, Sequence[Attachment]]] = []
        self.to_send = False
        self._owed: list[Owed] = []
        self._seen = rows.seen(connection, [one.header.env for one in envelopes])

    def is_repeat(self, env: bytes) -> bool:
        """Whether the envelope is receipted already; then its very receipt goes out again, and nothing changes."""
        if env in self._seen.hurt:
            rows.heal(self.connection, env)
        if env not in self._seen.receipted:
            return False
        store_receipts.owe_again(self.connection, env)
        return True

    def is_void(self, header: Header) -> bool:
        """Whether its own sender has declared it void."""
        return (header.env, header.sender) in self._seen.void

    def is_taken_back(self, header: Header) -> bool:
        """Whether it has, and not for what it carries goes under another number."""
        return self._seen.void.get((header.env, header.sender), REPLACED) != REPLACED

    def owe(self, owed: Owed) -> None:
        """The envelope is dealt with, and gets a receipt."""
        self._seen.receipted.add(owed.env)
        self._owed.append(owed)

    def write(self, cipher: LocalCipher) -> None:
        """Mail, links and receipts, in the order in which they came."""
        self.chains.write()
        rows.add(self.connection, cipher, self.mail)
        store_attachments.add_in(self.connection, cipher, self.attachments)
        store_receipts.owe(self.connection, self._owed)


def _is_mail(verdict: Verdict | None) -> TypeGuard[Good]:
    """A message for people, or of a type that this version doesn't know."""
    return isinstance(verdict, Good) and verdict.control is None


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
        "supersedes": message.supersedes,
        "tlp": message.tlp.label,
    }
