"""The directory beside the log: parts of records, notices, and what was sent to keys that were revoked.

Columns marked `sealed` are encrypted under the home's local key (storage/local_cipher). Times are UTC ms. A released
step is never edited: the next one changes what it made.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

# ruff: noqa: E501 - a table's columns read better in few lines
STEPS = (
    # Parts of records by the hash the log has of them (docs/protocol.md §9.13). content: salt and bytes, sealed.
    # own: this node is the owner's. named: the log has named it, so that it goes when it does so no longer.
    # at: when it came; one that the log never named waits for a while.
    """CREATE TABLE parts (hash BLOB PRIMARY KEY, address TEXT NOT NULL, level TEXT NOT NULL, content BLOB NOT NULL,
        own INTEGER NOT NULL, named INTEGER NOT NULL DEFAULT 0, at INTEGER NOT NULL)""",
    # In which messages this node has sent a restricted part of its own to whom, and when. current: the recipient is
    # to have it, by that message. The others stay, so that all that carried it is known when it is erased.
    """CREATE TABLE parts_sent (hash BLOB NOT NULL, recipient TEXT NOT NULL, message_id TEXT NOT NULL,
        at INTEGER NOT NULL, current INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (hash, recipient, message_id)) WITHOUT ROWID""",
    # Verified notices (§9.17), as signed, that the log lacks. lost: the trust each takes away, signed JSON, or nothing.
    # offered_at: when the hub was last given it.
    """CREATE TABLE notices (hash BLOB PRIMARY KEY, statement BLOB NOT NULL, type TEXT NOT NULL, address TEXT NOT NULL,
        lost BLOB NOT NULL, at INTEGER NOT NULL, offered_at INTEGER NOT NULL DEFAULT 0)""",
    # A revoked signing key, and what this node had sealed to its owner since it is believed to be compromised.
    """CREATE TABLE exposures (skid BLOB PRIMARY KEY, address TEXT NOT NULL, since INTEGER NOT NULL, at INTEGER NOT NULL)""",
    """CREATE TABLE exposed (skid BLOB NOT NULL REFERENCES exposures (skid), message_n INTEGER NOT NULL REFERENCES messages (n),
        sealed_at INTEGER NOT NULL, PRIMARY KEY (skid, message_n)) WITHOUT ROWID""",
    # The hub's term in a checkpoint (§9.6).
    "ALTER TABLE checkpoints ADD COLUMN term INTEGER NOT NULL DEFAULT 0",
    # Leaves of a lost hub beyond the point where another went on (§9.11), kept as evidence. open: this node made the
    # statement and has not submitted it again.
    """CREATE TABLE cut_leaves (n INTEGER PRIMARY KEY AUTOINCREMENT, idx INTEGER NOT NULL, leaf BLOB NOT NULL,
        code TEXT NOT NULL, open INTEGER NOT NULL)""",
    # Under which key a received envelope was signed: what came under a revoked one is marked.
    """ALTER TABLE links_in ADD COLUMN skid TEXT
        GENERATED ALWAYS AS (json_extract(CAST(header AS TEXT), '$.skid')) VIRTUAL""",
    "CREATE INDEX links_in_key ON links_in (sender, skid)",
    # Copies that wait until their recipient is reinstated.
    """CREATE INDEX addressees_barred ON addressees (recipient)
        WHERE state = 'queued' AND code = 'policy.suspended-clear-only'""",
    # The secretariat: the last step (days) that a contact point was reminded at, when an authority was written to last.
    "CREATE TABLE reminded (address TEXT PRIMARY KEY, validate_by INTEGER NOT NULL, step INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE reminder_groups (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",
    # Who looks for a counterpart, and who was asked. content: names, case, purpose and answer, sealed.
    """CREATE TABLE counterpart_requests (id TEXT PRIMARY KEY, at INTEGER NOT NULL, reply_by INTEGER NOT NULL,
        content BLOB NOT NULL, introduced_at INTEGER)""",
    """CREATE TABLE counterpart_asks (id TEXT PRIMARY KEY, request_id TEXT NOT NULL REFERENCES counterpart_requests (id),
        at INTEGER NOT NULL, content BLOB NOT NULL)""",
)


def upgrade() -> None:
    """Create the tables, and give received envelopes their key."""
    for statement in STEPS:
        op.execute(statement)
