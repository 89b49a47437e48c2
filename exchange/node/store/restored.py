"""Owns what the outbox takes back for an addressee that was restored from an old copy (docs/protocol.md §6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from exchange.header import LANES
from exchange.node.store.sealings import FORGOTTEN, SealedLink, link_in
from exchange.node.store.store import Transaction, fact, set_fact, sql

_OWED: Final = "restored.owed/"
# What is worth sealing again: mail, people's answers, and `restored`, which is said only once; not yet over.
_ALIVE: Final = "m.type IN ('stix', 'status', 'restored') AND m.expires > :alive AND m.erased_at IS NULL"
_IS_ALIVE: Final = f"SELECT 1 FROM messages m WHERE m.n = :n AND {_ALIVE}"  # noqa: S608 - fixed words
_AFTER: Final = (
    "SELECT max(s.n) AS newest, s.message_n, l.* FROM links_out l JOIN sealings s ON s.env = l.env"  # noqa: S608 - fixed words
    " JOIN messages m ON m.n = s.message_n WHERE l.recipient = :recipient AND l.lane = :lane AND s.n > :after"
    f" AND {_ALIVE} GROUP BY s.message_n ORDER BY newest"
)
MOST_TAKEN: Final = 64  # ids of `restored` kept for one peer


def take(connection: Transaction, peer: str, message_id: str) -> bool:
    """Note the id of a `restored` of `peer`; False if it is among the newest noted."""
    name = f"restored/{peer}"
    taken = (fact(connection, name) or b"").decode("ascii").split()
    if message_id in taken:
        return False
    set_fact(connection, name, " ".join([*taken, message_id][-MOST_TAKEN:]))
    return True


def sealed_as(connection: Connection, env: bytes | None) -> int:
    """The row number of that sealing; 0, before all, where there is none or it is unknown here."""
    row = sql(connection, "SELECT n FROM sealings WHERE env = :env", env=env).first()
    return 0 if row is None else int(row.n)


def owe(connection: Transaction, peer: str, after: Sequence[int]) -> None:
    """Note what a `restored` asks for and can't have today: by lane, everything after that row number.

    With what is owed already: the earlier of both.
    """
    name = f"{_OWED}{peer}"
    owed = fact(connection, name)
    if owed:
        after = [min(pair) for pair in zip(after, _numbers(owed), strict=True)]
    set_fact(connection, name, " ".join(map(str, after)))


def owed(connection: Connection) -> list[tuple[str, list[int]]]:
    """All that is owed: the peer, and by lane the row number after which."""
    rows = sql(
        connection,
        "SELECT name, value FROM facts WHERE name >= :first AND name < :end AND length(value) > 0",
        first=_OWED,
        end=f"{_OWED}~",
    )
    return [(row.name.removeprefix(_OWED), _numbers(bytes(row.value))) for row in rows]


def settle(connection: Transaction, peer: str) -> None:
    """Nothing is owed to `peer` any more."""
    set_fact(connection, f"{_OWED}{peer}", b"")


def _numbers(value: bytes) -> list[int]:
    return [int(number) for number in value.split()]


def messages_after(
    connection: Connection, recipient: str, lane: str, after: int, *, alive: int
) -> list[tuple[int, SealedLink]]:
    """What was sealed for `recipient` in `lane` after that row number of a sealing, oldest first.

    Row numbers of messages, each with its newest link: those that `is_alive`.
    """
    rows = sql(
        connection,
        _AFTER,
        recipient=recipient,
        lane=LANES.index(lane),
        after=after,
        alive=alive,
    )
    return [(row.message_n, link_in(row)) for row in rows]


def is_alive(connection: Connection, message_n: int, *, at: int) -> bool:
    """Whether that message is mail, an answer or a `restored`, has not expired at `at` (ms) and wasn't erased."""
    return sql(connection, _IS_ALIVE, n=message_n, alive=at).first() is not None


def reopen(connection: Connection, message_n: int, recipient: str) -> None:
    """Take back `stored`, and believe no receipt for what was sealed before: the run that gave it is lost.

    Nor for a sealing that was voided, which that run may have stored all the same.
    """
    sql(
        connection,
        "UPDATE addressees SET state = 'accepted', stored_at = NULL, ended_at = NULL"
        " WHERE message_n = :n AND recipient = :recipient AND state = 'stored'",
        n=message_n,
        recipient=recipient,
    )
    sql(
        connection,
        "UPDATE links_out SET state = :forgotten WHERE recipient = :recipient"
        " AND env IN (SELECT env FROM sealings WHERE message_n = :n)",
        forgotten=FORGOTTEN,
        n=message_n,
        recipient=recipient,
    )
    sql(
        connection,
        "UPDATE sealings SET state = 'done', body = NULL WHERE message_n = :n AND state IN ('sealed', 'accepted')"
        " AND NOT EXISTS (SELECT 1 FROM links_out l WHERE l.env = sealings.env AND l.state = 'open')",
        n=message_n,
    )
