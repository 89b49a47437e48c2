"""Owns the look-up of which messages say that they take the place of another (`supersedes`), for what people are shown.

The TAXII collections keep a table of their own (store/taxii.py), which is filled when a tool asks: where the door is
closed none does. Here a column says it; what an older version kept is asked itself, if it was written since the message
in question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import Connection

from exchange.formats.stix.cover import supersedes_of
from exchange.limits import HOUR_MS
from exchange.node.store import inbox as store_inbox, outbox as store_outbox
from exchange.node.store.inbox import DOUBTS
from exchange.node.store.outbox import LOST, REJECTED
from exchange.node.store.store import looked_up, sql
from exchange.storage.local_cipher import LocalCipher

_SLACK_MS: Final = HOUR_MS  # so far a sender's clock may have gone back between the two
_NAME: Final = "supersedes"
_AT_ONCE: Final = 512
_CLAIMS: Final = (
    "SELECT i.n, i.marks, i.message_id, i.sender, i.supersedes, i.created FROM {keys} JOIN inbox i"
)
_NAMING: Final = (
    f"{_CLAIMS} ON i.supersedes = column2 AND i.sender = column1 WHERE i.supersedes <> '' AND i.type = 'stix'"
)
_SENT: Final = (
    "SELECT n, id, created, supersedes FROM messages"
    " WHERE type = 'stix' AND erased_at IS NULL AND created >= :since AND supersedes <> ''"
    " UNION ALL SELECT n, id, created, NULL FROM messages"
    " WHERE type = 'stix' AND erased_at IS NULL AND created >= :since AND supersedes IS NULL ORDER BY n"
)
_THEIR_OWN: Final = (
    f"{_CLAIMS} ON i.message_id = column2 AND i.sender = column1 WHERE i.supersedes <> '' AND i.type = 'stix'"
)


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


def replaced_by(sender: str, message_id: str, claims: Sequence[Claim]) -> Claim | None:
    """The newest of the claims to the place of that message of `sender`."""
    found = [one for one in claims if (one.sender, one.replaces) == (sender, message_id)]
    return found[-1] if found else None


def of_received(
    connection: Connection, cipher: LocalCipher, sender: str, message_id: str, created: int
) -> Claim | None:
    """What took the place of a message that came, written at `created` (ms): the newest, None for nothing."""
    claims = received(connection, cipher, [(sender, message_id, created)])
    return replaced_by(sender, message_id, claims)


def of_sent(
    connection: Connection, cipher: LocalCipher, own: str, message_id: str, created: int
) -> Claim | None:
    """The same of a message that this node, at the address `own`, sent."""
    return replaced_by(own, message_id, sent(connection, cipher, own=own, since=created))


def received(
    connection: Connection, cipher: LocalCipher, messages: Iterable[tuple[str, str, int]]
) -> list[Claim]:
    """The claims of received messages that name one of these, or are of one of these, oldest first.

    `messages`: each as its sender, its id and when it was written (ms). What came in doubt replaces nothing
    (docs/taxii.md), whatever it says.
    """
    wanted = {(sender, id_): created for sender, id_, created in messages}
    keys, found = list(wanted), dict[int, Claim]()
    for start in range(0, len(keys), _AT_ONCE):
        for statement in (_NAMING, _THEIR_OWN):
            for n, marks, *claim in looked_up(connection, statement, keys[start : start + _AT_ONCE]):
                if not DOUBTS & set(marks.split()):
                    found[n] = Claim(*claim)
    for sender in {sender for sender, _ in keys}:
        since = min(created for (whose, _), created in wanted.items() if whose == sender)
        found |= _unsaid(connection, cipher, sender, since - _SLACK_MS)
    return [found[n] for n in sorted(found)]


def _unsaid(connection: Connection, cipher: LocalCipher, sender: str, since: int) -> dict[int, Claim]:
    """The claims of that sender's messages since then of which no column says what they replace, by row."""
    rows = sql(
        connection,
        "SELECT n, message_id, created, marks, env FROM inbox"
        " WHERE supersedes IS NULL AND type = 'stix' AND sender = :sender AND created >= :since",
        sender=sender,
        since=since,
    )
    claims = {}
    for row in rows:
        if not DOUBTS & set(row.marks.split()):
            replaces = _said(connection, cipher, row.n, bytes(row.env))
            if replaces is not None:
                claims[row.n] = Claim(row.message_id, sender, replaces, row.created)
    return claims


def sent(connection: Connection, cipher: LocalCipher, *, own: str, since: int) -> list[Claim]:
    """What this node, at the address `own`, sent since then (ms) and says that it replaces something, oldest first."""
    rows = sql(connection, _SENT, since=since - _SLACK_MS).all()
    claims = []
    for row in rows:
        replaces = row.supersedes
        if replaces is None:
            replaces = supersedes_of(store_outbox.get(connection, cipher, row.n).payload)
        if replaces:
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
    return supersedes_of(store_inbox.payload(connection, cipher, n))
