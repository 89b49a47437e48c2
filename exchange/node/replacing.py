"""Owns what may take the place of a message that this node sent: only its own does, and in the same exercise or none.

Whose program or person asks, and what they are told, is its callers' business; what the addressees' nodes make of it is
node/taxii's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exchange.errors import Refused
from exchange.formats.stix.cover import read_message
from exchange.message import Message
from exchange.node.store import api as store_api, outbox as store_outbox, replacing as store_replacing
from exchange.node.store.replacing import Claim
from exchange.node.store.store import Transaction
from exchange.storage.local_cipher import LocalCipher


@dataclass(frozen=True, slots=True)
class Before:
    """A message that this node sent, `to` whom, and the claims of its own later ones to its place, oldest first.

    `separate`: no addressee sees who else has it.
    """

    message: Message
    to: tuple[str, ...]
    separate: bool
    claims: tuple[Claim, ...]

    @property
    def holding(self) -> tuple[str, ...]:
        """The addressees that none of the later ones goes to: they have it as it was."""
        return keeping(self.to, (address for claim in self.claims for address in claim.to))


def sent_before(connection: Transaction, cipher: LocalCipher, message_id: str, *, own: str) -> Before:
    """The message that this node, at the address `own`, sent under that id. Raises Refused message.not-sent."""
    found = store_outbox.find(connection, cipher, message_id)
    if found is None or found[1].erased or found[1].type != "stix":
        raise Refused("message.not-sent")
    n, outgoing = found
    later = store_replacing.sent(connection, cipher, own=own, since=outgoing.created)
    return Before(
        message=read_message(outgoing.payload),
        to=store_api.recipients(connection, n),
        separate=outgoing.separate,
        claims=tuple(claim for claim in later if claim.replaces == message_id),
    )


def check_exercise(before: str | None, after: str | None) -> None:
    """A drill takes nothing real out of anybody's tools, and nothing real is left in a drill.

    Raises Refused message.other-exercise.
    """
    if before != after:
        raise Refused(
            "message.other-exercise", f"it is of {before or 'no exercise'}, this one of {after or 'none'}"
        )


def keeping(to: Iterable[str], reached: Iterable[str]) -> tuple[str, ...]:
    """Those of the addressees `to` of a message whom what replaces it doesn't go to, in order: they keep it."""
    gone = frozenset(reached)
    return tuple(one for one in to if one not in gone)
