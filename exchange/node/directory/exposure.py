"""Owns the exposure report: what this node had sealed to a key in the time it was somebody else's too (§9.9).

The list itself is written when the revocation is learnt (notices.py); here it is read with what the messages say.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange.content import STIX
from exchange.errors import ExchangeError
from exchange.formats.stix.cover import read_message
from exchange.node.store import notices as rows, outbox
from exchange.node.store.store import Store, Transaction


@dataclass(frozen=True)
class Shown:
    """A message that is exposed: when it was sealed (ms), and what people know it by."""

    id: str
    sealed_at: int
    subject: str
    tlp: str
    recipients: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What the theft of a key of `address` exposed: since when, when learnt (ms), how many messages, the newest."""

    address: str
    since: int
    at: int
    messages: int
    shown: tuple[Shown, ...]


def report(store: Store, *, limit: int) -> list[Report]:
    """Every revoked key's, newest first; at most `limit` messages each."""

    def read(connection: Transaction) -> list[Report]:
        return [
            Report(
                one.address,
                one.since,
                one.at,
                one.messages,
                tuple(
                    _shown(connection, store, each)
                    for each in rows.exposed(connection, one.skid, limit=limit)
                ),
            )
            for one in rows.exposures(connection)
        ]

    return store.db.read_sync(read)


def _shown(connection: Transaction, store: Store, one: rows.Exposed) -> Shown:
    message = outbox.get(connection, store.cipher, one.message_n)
    copies = outbox.addressees(connection, store.cipher, one.message_n)
    subject, tlp = "", ""
    if message.type == STIX:
        try:
            read = read_message(message.payload)
            subject, tlp = read.subject, read.tlp.label
        except ExchangeError:
            subject = "(can't be read)"
    return Shown(one.id, one.sealed_at, subject, tlp, tuple(copy.recipient for copy in copies))
