"""`--sabotage`: one byte of one envelope is changed in the hub's database, as a fault of its disk would.

Owns which envelope and which byte. What the recipient makes of it is for the recipient to say.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from exchange.demo.network import DemoNetwork, DemoNode
from exchange.errors import Unavailable
from exchange.hub.store.store import FILE

# The stored parts of an envelope in the order of a delivery (docs/protocol.md §4.3), each with its table and row.
_PARTS: Final = (
    (
        "header",
        "SELECT h.rowid, h.header FROM heads h JOIN envelopes e ON e.n = h.envelope WHERE e.env = ?",
        "UPDATE heads SET header = ? WHERE rowid = ?",
    ),
    (
        "signatures",
        "SELECT h.rowid, h.signatures FROM heads h JOIN envelopes e ON e.n = h.envelope WHERE e.env = ?",
        "UPDATE heads SET signatures = ? WHERE rowid = ?",
    ),
    (
        "slot",  # of its one recipient
        "SELECT s.rowid, s.slots FROM slots s JOIN envelopes e ON e.n = s.envelope WHERE e.env = ?",
        "UPDATE slots SET slots = ? WHERE rowid = ?",
    ),
    (
        "body",
        "SELECT b.rowid, b.body FROM bodies b JOIN envelopes e ON e.n = b.envelope WHERE e.env = ?",
        "UPDATE bodies SET body = ? WHERE rowid = ?",
    ),
)


class Sabotage:
    """A flip of one byte in a message with one recipient that still waits at the hub."""

    def __init__(self, network: DemoNetwork, sender: DemoNode, message_id: str) -> None:
        self._network = network
        self._sender = sender
        self._message_id = message_id

    def flip(self, offset: int) -> str:
        """Stop the hub, flip the byte at `offset` modulo the envelope's length, start it again; where that was."""
        with self._sender.opened() as home:
            env = home.desk.sent(self._message_id).addressees[0].env
        self._network.stop_hub()  # what it keeps in memory is gone with it
        try:
            connection = sqlite3.connect(self._network.hub_path / FILE)
            try:
                return _flip(connection, env or b"", offset)
            finally:
                connection.close()
        finally:
            self._network.start_hub()


def _flip(connection: sqlite3.Connection, env: bytes, offset: int) -> str:
    rows = [(name, connection.execute(select, (env,)).fetchone(), update) for name, select, update in _PARTS]
    if any(row is None for _, row, _ in rows):
        raise Unavailable("internal.error", "the envelope to damage is not at the hub")
    at = offset % sum(len(row[1]) for _, row, _ in rows)
    for name, (rowid, data), update in rows:
        if at < len(data):
            changed = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
            connection.execute(update, (changed, rowid))
            connection.commit()
            return f"byte {at} of its {name}"
        at -= len(data)
    raise Unavailable("internal.error", "an offset beyond the envelope")
