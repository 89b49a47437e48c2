"""Owns what the alarm hook asks of a hub's database: whose flash waits, since when, and whom the operator was told of.

One look in an index of the flash copies for each recipient that has any, however much mail there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection, text

Transaction: TypeAlias = Connection  # the hook names what it is handed without seeing the library

# Each asks with the very condition of the index `mailbox_flash`. Numbers rise with the time of acceptance, so the
# lowest one is the oldest.
_OLDEST = text(
    """
    WITH RECURSIVE who (address) AS (
        SELECT min(recipient) FROM mailbox INDEXED BY mailbox_flash WHERE lane = 0 AND expired = 0
        UNION ALL
        SELECT (
            SELECT min(recipient) FROM mailbox INDEXED BY mailbox_flash
            WHERE lane = 0 AND expired = 0 AND recipient > address
        ) FROM who WHERE address IS NOT NULL
    )
    SELECT address, e.accepted_at AS since FROM who
    JOIN mailbox AS m ON m.n = (
        SELECT min(n) FROM mailbox INDEXED BY mailbox_flash
        WHERE lane = 0 AND expired = 0 AND recipient = address
    )
    JOIN envelopes AS e ON e.n = m.envelope
    WHERE address IS NOT NULL ORDER BY address
    """
)
_FLASH_COPIES = text("SELECT count(*) FROM mailbox INDEXED BY mailbox_flash WHERE lane = 0 AND expired = 0")


@dataclass(frozen=True)
class Oldest:
    """The oldest flash copy that an address has not stored: when it was accepted (ms)."""

    address: str
    since: int


def oldest_flash(connection: Connection) -> list[Oldest]:
    """Of every address that has flash waiting, by address."""
    return [Oldest(row.address, row.since) for row in connection.execute(_OLDEST)]


def flash_copies(connection: Connection) -> int:
    """How many flash copies wait, of all addresses."""
    return int(connection.execute(_FLASH_COPIES).scalar_one())


def stalls(connection: Connection) -> dict[str, int]:
    """Whom the operator was told of: address, and since when its oldest waited (ms)."""
    return {row.address: row.since for row in connection.execute(text("SELECT address, since FROM stalls"))}


def add_stall(connection: Connection, one: Oldest) -> None:
    """The operator is told of it."""
    connection.execute(text("INSERT INTO stalls VALUES (:a, :s)"), {"a": one.address, "s": one.since})


def end_stall(connection: Connection, address: str) -> None:
    """Nothing of its flash waits too long any more."""
    connection.execute(text("DELETE FROM stalls WHERE address = :a"), {"a": address})
