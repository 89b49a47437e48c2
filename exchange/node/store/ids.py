"""Owns the look-up of message ids by their beginning: people type no whole UUID."""

from __future__ import annotations

from typing import Final

from exchange.node.store.store import Transaction, sql

MAX_BEGINNING: Final = 36  # characters: a whole id


def beginning(connection: Transaction, text: str, *, limit: int) -> list[str]:
    """Ids, in order and each once, of messages that people read or wrote and that begin with `text`."""
    rows = sql(
        connection,
        "SELECT id FROM (SELECT message_id AS id FROM inbox UNION SELECT id FROM messages WHERE type = 'stix'"
        " AND erased_at IS NULL)"
        " WHERE substr(id, 1, :length) = :text ORDER BY id LIMIT :limit",
        text=text[:MAX_BEGINNING],
        length=len(text[:MAX_BEGINNING]),
        limit=limit,
    )
    return [row.id for row in rows]
