"""Feeds from outside, and attachments.

Columns marked `sealed` are encrypted under the home's local key (storage/local_cipher); a `_key` is a keyed hash, which
tells equal from other and nothing else. Times are UTC ms but where microseconds are named. A released step is never
edited: the next one changes what it made.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

# ruff: noqa: E501 - a table's columns read better in few lines
STEPS: tuple[str, ...] = (
    # What goes with messages that are sent: hash and size of its sealed blob, which lies in the folder `attachments`. facts:
    # sealed, what meta says of it. state: waiting to go to the hub, there, or dropped here; sent: bytes there so far.
    """CREATE TABLE attachments_out (message_n INTEGER NOT NULL REFERENCES messages (n), place INTEGER NOT NULL, hash BLOB NOT NULL,
        size INTEGER NOT NULL, facts BLOB NOT NULL, state TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0, code TEXT NOT NULL DEFAULT '',
        PRIMARY KEY (message_n, place)) WITHOUT ROWID""",
    "CREATE INDEX attachments_out_hash ON attachments_out (hash)",
    "CREATE INDEX attachments_out_kept ON attachments_out (state, message_n) WHERE state <> 'dropped'",
    # What came with messages. state: offered, wanted, kept (its blob lies in the folder, verified), gone or bad; code: why.
    """CREATE TABLE attachments_in (env BLOB NOT NULL, place INTEGER NOT NULL, sender TEXT NOT NULL, hash BLOB NOT NULL,
        size INTEGER NOT NULL, facts BLOB NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL DEFAULT '', tries INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (env, place)) WITHOUT ROWID""",
    "CREATE INDEX attachments_in_hash ON attachments_in (hash)",
    "CREATE INDEX attachments_in_wanted ON attachments_in (state, env) WHERE state = 'wanted'",
    # Blobs whose file is to go, unless a row above still has a use for it. Filled with the message's end, in its transaction.
    "CREATE TABLE attachments_over (hash BLOB PRIMARY KEY) WITHOUT ROWID",
    """CREATE TRIGGER attachments_inbox_gone AFTER DELETE ON inbox BEGIN
        DELETE FROM attachments_in WHERE env = OLD.env; END""",
    """CREATE TRIGGER attachments_message_erased AFTER UPDATE OF erased_at ON messages WHEN NEW.erased_at IS NOT NULL BEGIN
        DELETE FROM attachments_out WHERE message_n = NEW.n; END""",
    """CREATE TRIGGER attachments_in_gone AFTER DELETE ON attachments_in BEGIN
        INSERT OR IGNORE INTO attachments_over VALUES (OLD.hash); END""",
    """CREATE TRIGGER attachments_out_gone AFTER DELETE ON attachments_out BEGIN
        INSERT OR IGNORE INTO attachments_over VALUES (OLD.hash); END""",
)


def upgrade() -> None:
    """Add to the tables of the versions before."""
    for statement in STEPS:
        op.execute(statement)
