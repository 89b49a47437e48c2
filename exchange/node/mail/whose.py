"""Owns whose message an id means: whoever knows one, as each addressee does, may send a message of its own under it."""

from __future__ import annotations

from exchange.errors import Refused
from exchange.node.store import inbox as store_inbox, outbox as store_outbox
from exchange.node.store.inbox import Received
from exchange.node.store.store import Transaction
from exchange.storage.local_cipher import LocalCipher


def came_under(
    connection: Transaction, cipher: LocalCipher, message_id: str, sender: str = "", *, or_sent: bool
) -> list[Received]:
    """What one member sent under an id, oldest first: `sender`, or the only one that has used it. None at all where
    that is nobody who wrote to this node. `or_sent`: the message could be one that this node itself sent, too.

    Raises Refused message.ambiguous, which names them.
    """
    found = store_inbox.find(connection, cipher, message_id)
    if sender:
        return [one for one in found if one.sender == sender]
    senders = sorted({one.sender for one in found})
    is_sent = bool(found) and or_sent and store_outbox.is_here(connection, message_id)
    if len(senders) + is_sent > 1:
        named = [*senders, *(["this node itself"] if is_sent else [])]
        raise Refused("message.ambiguous", ", ".join(named), senders=senders)
    return found
