"""Owns the one list of all that came and was not taken into the inbox, as people look at it: ids, codes and times only.

How an item gets there and leaves again is inbox.py's business; the bytes are store/inbox.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange.node.store.store import Transaction, sql


@dataclass(frozen=True)
class SetAside:
    """One item. `what`: rejected (its sender's fault), damaged (asked for again), held (waits for the directory).

    `id`: the envelope's, else a hash of the item. `sender`: "" where nobody is proved. `at` in ms.
    """

    id: bytes
    what: str
    sender: str
    code: str
    at: int


def set_aside(connection: Transaction, *, limit: int) -> list[SetAside]:
    """The newest first."""
    rows = sql(
        connection,
        "SELECT env AS id, 'rejected' AS what, sender, code, at FROM quarantine"
        " UNION ALL SELECT key, 'damaged', '', code, since FROM damaged"
        " UNION ALL SELECT key, 'held', '', code, since FROM held ORDER BY at DESC LIMIT :limit",
        limit=limit,
    )
    return [SetAside(bytes(row.id), row.what, row.sender, row.code, row.at) for row in rows]
