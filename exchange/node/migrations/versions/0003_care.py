"""Looking after a node: how long it keeps what, and legal holds.

Columns marked `sealed` are encrypted under the home's local key (storage/local_cipher). Times are UTC ms. A released
step is never edited: the next one changes what it made.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

# ruff: noqa: E501 - a table's columns read better in few lines
STEPS = (
    # When a message goes and by which rule, as last judged; NULL: under a hold, or not judged yet.
    # erase_told: people were told that a flash message goes which nobody has acknowledged.
    "ALTER TABLE inbox ADD COLUMN erase_at INTEGER",
    "ALTER TABLE inbox ADD COLUMN erase_rule TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE inbox ADD COLUMN erase_told INTEGER",
    "CREATE INDEX inbox_erase ON inbox (erase_at) WHERE erase_at IS NOT NULL",
    "CREATE INDEX inbox_env ON inbox (env)",
    # The same of what was sent. label: what the rules look at, sealed. erased_at: only the row is left of it.
    "ALTER TABLE messages ADD COLUMN label BLOB",
    "ALTER TABLE messages ADD COLUMN erase_at INTEGER",
    "ALTER TABLE messages ADD COLUMN erase_rule TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE messages ADD COLUMN erased_at INTEGER",
    "CREATE INDEX messages_erase ON messages (erase_at) WHERE erase_at IS NOT NULL",
    "CREATE INDEX sealings_message ON sealings (message_n)",
    "CREATE INDEX proofs_batch ON proofs (batch)",
    "CREATE INDEX quarantine_at ON quarantine (at)",
    "CREATE INDEX alarms_at ON alarms (at)",
    # What was erased, so that the same message coming again isn't shown as new. id_hash: SHA-256(sender || 0 || message
    # id), the sender empty for this node's own; payload_hash as in inbox. Forgotten when nobody can send it any more.
    """CREATE TABLE erased (id_hash BLOB NOT NULL, payload_hash BLOB NOT NULL, at INTEGER NOT NULL, rule TEXT NOT NULL,
        forget_at INTEGER NOT NULL, PRIMARY KEY (id_hash, payload_hash)) WITHOUT ROWID""",
    "CREATE INDEX erased_forget ON erased (forget_at)",
    # Legal holds on a message or a case. subject: SHA-256 of which. content: which, and why, sealed. Kept when released.
    """CREATE TABLE holds (n INTEGER PRIMARY KEY AUTOINCREMENT, subject BLOB NOT NULL, content BLOB NOT NULL, at INTEGER NOT NULL,
        who TEXT NOT NULL, released_at INTEGER, released_by TEXT NOT NULL DEFAULT '')""",
    "CREATE UNIQUE INDEX holds_standing ON holds (subject) WHERE released_at IS NULL",
    # What the alarm hook owes people over which way, and how far it came (storage/calls.py). called_at: when people were
    # last called for a message.
    """CREATE TABLE calls (way TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, count INTEGER NOT NULL,
        since INTEGER NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL, next_at INTEGER NOT NULL,
        code TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (way, kind, subject)) WITHOUT ROWID""",
    "ALTER TABLE inbox ADD COLUMN called_at INTEGER",
    "CREATE INDEX inbox_flash ON inbox (received_at) WHERE lane = 0 AND type = 'stix' AND answered = ''",
    # What is counted twice a minute is small, however much is kept.
    "CREATE INDEX inbox_unopened ON inbox (received_at) WHERE opened_at IS NULL",
    """CREATE INDEX addressees_open ON addressees (lane, state, queued_at)
        WHERE state NOT IN ('stored', 'rejected', 'lost')""",
)


def upgrade() -> None:
    """Add to the tables of the versions before."""
    for statement in STEPS:
        op.execute(statement)
