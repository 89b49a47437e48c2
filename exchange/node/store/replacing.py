"""Owns the look-up of which messages say that they take the place of another (`supersedes`), for what people are shown.

The TAXII collections keep a table of their own (store/taxii.py), which is filled when a tool asks: where the door is
closed none does. Here the messages are asked themselves: those that were written since the ones in question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson
from sqlalchemy import Connection

from exchange.errors import Rejected
from exchange.formats.stix.cover import read_message
from exchange.limits import HOUR_MS
from exchange.node.store import inbox as store_inbox, outbox as store_outbox
from exchange.node.store.inbox import DOUBTS
from exchange.node.store.outbox import LOST, REJECTED
from exchange.node.store.store import sql
from exchange.storage.local_cipher import LocalCipher

_SLACK_MS: Final = HOUR_MS  # so far a sender's clock may have gone back between the two
_NAME: Final = "supersedes"
_ESCAPE: Final = b"\\u"  # it could spell the name


@dataclass(frozen=True, slots=True)
class Claim:
    """A message `id` of `sender` says that it takes the place of `replaces`; `created` in ms.

    `to`: of one that this node sent, the addressees whose copy hasn't failed.
    """

    id: str
    sender: str
    replaces: str
    created: int
    to: frozenset[str] = frozenset()


class Written(Protocol):
    """What is to be known of a message to find what replaces it: whose it is, and when it was written (ms)."""

    @property
    def sender(self) -> str: ...
    @property
    def created(self) -> int: ...


def replaced_by(sender: str, message_id: str, claims: Sequence[Claim]) -> Claim | None:
    """The newest of the claims to the place of that message of `sender`."""
    found = [one for one in claims if (one.sender, one.replaces) == (sender, message_id)]
    return found[-1] if found else None


def received(connection: Connection, cipher: LocalCipher, messages: Iterable[Written]) -> list[Claim]:
    """What came of the senders of `messages` since these and says that it replaces something, oldest first.

    What came in doubt replaces nothing (docs/taxii.md), whatever it says.
    """
    wanted = list(messages)
    if not wanted:
        return []
    senders = {one.sender for one in wanted}
    rows = sql(
        connection,
        "SELECT n, sender, message_id, created, marks, env FROM inbox WHERE type = 'stix' AND created >= :since"
        " ORDER BY n",
        since=min(one.created for one in wanted) - _SLACK_MS,
    )
    claims = []
    for row in rows:
        if row.sender not in senders or DOUBTS & set(row.marks.split()):
            continue
        replaces = _said(connection, cipher, row.n, bytes(row.env))
        if replaces is not None:
            claims.append(Claim(row.message_id, row.sender, replaces, row.created))
    return claims


def sent(connection: Connection, cipher: LocalCipher, *, own: str, since: int) -> list[Claim]:
    """What this node, at the address `own`, sent since then (ms) and says that it replaces something, oldest first."""
    rows = sql(
        connection,
        "SELECT n, id, created FROM messages WHERE type = 'stix' AND erased_at IS NULL AND created >= :since"
        " ORDER BY n",
        since=since - _SLACK_MS,
    )
    claims = []
    for row in rows:
        replaces = _read(store_outbox.get(connection, cipher, row.n).payload)
        if replaces is not None:
            claims.append(Claim(row.id, own, replaces, row.created, _reached(connection, row.n)))
    return claims


def _reached(connection: Connection, message_n: int) -> frozenset[str]:
    rows = sql(connection, "SELECT recipient, state FROM addressees WHERE message_n = :n", n=message_n)
    return frozenset(row.recipient for row in rows if row.state not in (REJECTED, LOST))


def _said(connection: Connection, cipher: LocalCipher, n: int, env: bytes) -> str | None:
    """What the received message of row `n` replaces: by its summary where that says it, else by the message itself."""
    row = sql(connection, "SELECT summary FROM inbox WHERE n = :n", n=n).one()
    summary = orjson.loads(cipher.open("inbox.summary", env.hex(), bytes(row.summary)))
    if _NAME in summary:
        named: str | None = summary[_NAME]
        return named
    return _read(store_inbox.payload(connection, cipher, n))


def _read(payload: bytes) -> str | None:
    """What a message replaces. Most don't have the word at all, and aren't parsed for it: one may have 10 MB."""
    if _NAME.encode() not in payload and _ESCAPE not in payload:
        return None
    try:
        return read_message(payload).supersedes
    except Rejected:  # of a newer version: as the collections do, it is left alone
        return None
