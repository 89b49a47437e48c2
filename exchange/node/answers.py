"""Owns what this node does when a peer asks for mail again: `missing` numbers (§6.3) and `restored` homes (§6.4)."""

from __future__ import annotations

from typing import Final

from exchange.canonical import ZERO32
from exchange.content import Missing, Numbered, Restored
from exchange.header import LANES
from exchange.node import store_outbox as rows
from exchange.node import store_sealings as sealings
from exchange.node.identity import Sources
from exchange.node.outbox import Outbox
from exchange.node.store import Store, Transaction
from exchange.node.store_sealings import SealedLink

MAX_NUMBERS: Final = 1_000  # answered per question; the rest is asked for again
MAX_UNKNOWN: Final = 32  # of which unknown here: a peer that invents numbers mustn't cost much
MAX_RESTORED: Final = 10_000  # sealings looked at per lane
_WORTH_SEALING_AGAIN: Final = ("stix", "status")


class Answers:
    """Answers peers out of the outbox, inside the transaction that takes their question."""

    def __init__(self, store: Store, outbox: Outbox, sources: Sources) -> None:
        self._store = store
        self._outbox = outbox
        self._sources = sources

    def missing(self, connection: Transaction, peer: str, question: Missing) -> None:
        """For each number: the same bytes, then a re-seal, or a `void` for what can't come any more."""
        budget = MAX_NUMBERS
        for gap in question.gaps:
            budget -= self._gap(connection, peer, question.lane, gap=gap, budget=budget)
            if budget <= 0:
                return

    def _gap(
        self,
        connection: Transaction,
        peer: str,
        lane: str,
        *,
        gap: tuple[bytes, int, int],
        budget: int,
    ) -> int:
        """Follow prev backwards from the link after the gap; how many numbers were answered."""
        chain, first, last = gap
        after = sealings.link_at(connection, peer, lane, chain, last + 1)
        env = after.link.prev if after else ZERO32
        answered = unknown = 0
        for number in range(last, max(first, last - budget + 1) - 1, -1):
            link = sealings.link_of(connection, env, peer)
            if link is None or link.link.seq != number:
                unknown += 1
                if unknown > MAX_UNKNOWN:
                    break
                # Sealed by a run this home no longer knows of: it was restored, and can only close the number.
                self._outbox.announce_void(
                    connection, peer, lane, Numbered(env, chain, number), "sender.restored"
                )
                env = ZERO32
            else:
                self._number(connection, link)
                env = link.link.prev
            answered += 1
        return answered

    def _number(self, connection: Transaction, link: SealedLink) -> None:
        sealing = sealings.get(connection, link.env)
        copy = (
            rows.addressee(connection, self._store.cipher, sealing.message_n, link.recipient)
            if sealing
            else None
        )
        sealings.count_question(connection, link.env, link.recipient)
        if sealing is None or copy is None:
            return
        still_valid = sealing.state in ("sealed", "accepted") and sealing.exp > self._sources.clock()
        if link.state == sealings.OPEN and still_valid and link.asked == 0:
            sealings.offer_again(connection, [link.env])
        elif copy.env == link.env and copy.state in (rows.SEALED, rows.ACCEPTED):
            self._outbox.seal_again(connection, link, "missing")
            sealings.set_link(connection, link.env, link.recipient, "replaced")
        elif copy.state != rows.QUEUED or copy.replaces != link.numbered:
            self._outbox.announce_void(
                connection, link.recipient, link.lane, link.numbered, copy.code or "replaced"
            )

    def restored(self, connection: Transaction, peer: str, note: Restored) -> None:
        """Seal again what the peer's old copy of its home lacks, with the same message ids."""
        positions = dict(note.positions)
        for lane in LANES:
            held = positions.get(lane)
            after = held.env if held else None
            seen: set[int] = set()
            for link in reversed(
                sealings.links_after(connection, peer, lane, after, limit=MAX_RESTORED)
            ):  # the newest sealing of a message stands for the older ones
                sealing = sealings.get(connection, link.env)
                if sealing is not None and sealing.message_n not in seen:
                    seen.add(sealing.message_n)
                    self._again(connection, peer, sealing.message_n, link)

    def _again(self, connection: Transaction, peer: str, message_n: int, link: SealedLink) -> None:
        message = rows.get(connection, self._store.cipher, message_n)
        if message.type not in _WORTH_SEALING_AGAIN or message.expires <= self._sources.clock():
            return
        rows.reopen(connection, message_n, peer)
        rows.requeue(connection, message_n, peer, replaces=link.numbered, code="recipient.restored")
