"""Owns what this node does when a peer asks for mail again: `missing` numbers (§6.3) and `restored` homes (§6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.canonical import ZERO32
from exchange.content import CONTROL, REPLACED, STIX, Missing, Numbered, Restored, Void
from exchange.header import LANES
from exchange.limits import HOUR_MS
from exchange.node.budget import spend
from exchange.node.identity import Sources
from exchange.node.mail.outbox import ERASED, Outbox, will_retry
from exchange.node.store import outbox as rows, restored as store_restored, sealings
from exchange.node.store.outbox import Addressee, Outgoing
from exchange.node.store.sealings import SealedLink
from exchange.node.store.store import Store, Transaction

MAX_NUMBERS: Final = 1_000  # looked at per question; the rest is asked for again
MAX_UNKNOWN: Final = 32  # voided per question because this home never sealed them
ANSWERS_A_DAY: Final = 128  # numbers sealed again or voided for one peer
RESTORES_A_DAY: Final = 4  # answered to one peer
_PATIENCE_MS: Final = 12 * HOUR_MS  # peers ask once a day (§6.3): sooner, the answer may be on its way


class Answers:
    """Answers peers out of the outbox, inside the transaction that takes their question.

    Same bytes cost nothing; what has to be sealed has a bound by the day, so that a peer that asks without end, or for
    numbers that never were, uses up neither this node's time nor its quota at the hub.
    """

    def __init__(self, store: Store, outbox: Outbox, sources: Sources) -> None:
        self._store = store
        self._outbox = outbox
        self._sources = sources

    def missing(self, connection: Transaction, peer: str, question: Missing) -> None:
        """For each number: the same bytes, then a re-seal, or a `void` for what can't come any more."""
        numbers, unknown = MAX_NUMBERS, MAX_UNKNOWN
        for chain, first, last in question.gaps:
            after = sealings.link_at(connection, peer, question.lane, chain, last + 1)
            env = after.link.prev if after else ZERO32
            for number in range(last, first - 1, -1):
                if numbers == 0 or unknown == 0:
                    return
                numbers -= 1
                link = self._find(connection, peer, question.lane, number, env)
                if link is None:
                    unknown -= 1
                    if self._may_answer(connection, peer):
                        void = Void(question.lane, Numbered(env, chain, number), "sender.restored")
                        self._outbox.send_void(connection, peer, void)
                    env = ZERO32
                else:
                    self._number(connection, link)
                    env = link.link.prev

    def _find(
        self, connection: Transaction, peer: str, lane: str, number: int, env: bytes
    ) -> SealedLink | None:
        """The link with that number: the one the higher neighbour names, else the newest.

        None: sealed by a run this home no longer knows of, because it was restored, or never.
        """
        link = sealings.link_of(connection, env, peer)
        if link is not None and link.link.seq == number:
            return link
        return sealings.newest_at(connection, peer, lane, number)

    def _number(self, connection: Transaction, link: SealedLink) -> None:
        now = self._sources.clock()
        if link.asked_at is not None and 0 <= now - link.asked_at < _PATIENCE_MS:
            return
        sealing = sealings.get(connection, link.env)
        copy = (
            rows.addressee(connection, self._store.cipher, sealing.message_n, link.recipient)
            if sealing
            else None
        )
        if sealing is None or copy is None:
            return
        sealings.set_asked(connection, link.env, link.recipient, now=now)
        still_valid = (
            sealing.state in ("sealed", "accepted") and sealing.exp > now and copy.state != rows.LOST
        )
        if link.state == sealings.OPEN and still_valid and link.asked_at is None:
            sealings.offer_missed(connection, link.env)
        elif link.state == copy.state == rows.STORED and store_restored.is_alive(
            connection, copy.message_n, at=now
        ):  # who asks for what it gave a receipt for has lost it with its disk
            if self._may_answer(connection, link.recipient):
                self._again(connection, copy.message_n, link)
        elif copy.env == link.env and copy.state in (rows.SEALED, rows.ACCEPTED):
            if self._may_answer(connection, link.recipient):
                self._outbox.seal_again(connection, link, "missing")
                sealings.set_link(connection, link.env, link.recipient, "replaced")
        elif (
            copy.env == link.env
            and will_retry(copy)
            and store_restored.is_alive(connection, copy.message_n, at=now)
        ):
            return  # it isn't given up: it is sealed again once the asker, who couldn't read it, has another prekey
        elif (copy.state != rows.QUEUED or copy.replaces != link.numbered) and self._may_answer(
            connection, link.recipient
        ):
            message = rows.get(connection, self._store.cipher, copy.message_n)
            void = Void(link.lane, link.numbered, _why(message, copy, link))
            self._outbox.send_void(connection, link.recipient, void)

    def _may_answer(self, connection: Transaction, peer: str) -> bool:
        return spend(connection, "answers", peer, now=self._sources.clock(), most=ANSWERS_A_DAY)

    def restored(self, connection: Transaction, peer: str, message_id: str, note: Restored) -> bool:
        """Seal again what the peer's old copy of its home lacks, with the same message ids; False when not now.

        Once for a message: two that were restored would otherwise answer each other's old words without end. What is
        too much for a day is done on another (`resume`).
        """
        if not store_restored.take(connection, peer, message_id):
            return False
        held = dict(note.positions)
        after = [
            store_restored.sealed_as(connection, held[lane].env if lane in held else None) for lane in LANES
        ]
        if not self._may_restore(connection, peer):
            store_restored.owe(connection, peer, after)
            return False
        self._restore(connection, peer, after)
        return True

    def resume(self, connection: Transaction) -> list[str]:
        """Do what had to wait, as far as the day allows; for which peers."""
        done = []
        for peer, after in store_restored.owed(connection):
            if self._may_restore(connection, peer):
                self._restore(connection, peer, after)
                store_restored.settle(connection, peer)
                done.append(peer)
        return done

    def _may_restore(self, connection: Transaction, peer: str) -> bool:
        return spend(connection, "restored", peer, now=self._sources.clock(), most=RESTORES_A_DAY)

    def _restore(self, connection: Transaction, peer: str, after: Sequence[int]) -> None:
        now = self._sources.clock()
        for lane, number in zip(LANES, after, strict=True):
            for message_n, link in store_restored.messages_after(connection, peer, lane, number, alive=now):
                self._again(connection, message_n, link)

    def _again(self, connection: Transaction, message_n: int, link: SealedLink) -> None:
        """To be sealed anew for somebody who had stored it."""
        store_restored.reopen(connection, message_n, link.recipient)
        rows.requeue(connection, message_n, link.recipient, replaces=link.numbered, code="recipient.restored")


def _why(message: Outgoing, copy: Addressee, link: SealedLink) -> str:
    """Why its number stays empty: REPLACED where the asker has the message, or gets it, under another number."""
    if message.type != STIX:
        return CONTROL
    if copy.state in (rows.LOST, rows.REJECTED):
        return copy.code or "envelope.expired"
    if copy.state == link.state == rows.STORED:  # it went down with the asker's disk, and isn't sealed again
        return ERASED if message.erased else "envelope.expired"
    return REPLACED
