"""The hub's first schema: mail, receipts for senders, the directory log. store/tables.py says what for."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_TABLES = (
    """CREATE TABLE envelopes (
        n INTEGER PRIMARY KEY,
        env BLOB NOT NULL UNIQUE,
        sender TEXT NOT NULL,
        header BLOB NOT NULL,
        signatures BLOB NOT NULL,
        lane INTEGER NOT NULL,
        exp INTEGER NOT NULL,
        size INTEGER NOT NULL,
        delivery INTEGER NOT NULL,
        waiting INTEGER NOT NULL,
        accepted_at INTEGER NOT NULL
    )""",
    # what expires next: only envelopes that still have their body
    "CREATE INDEX envelopes_live ON envelopes (exp) WHERE waiting > 0",
    "CREATE INDEX envelopes_old ON envelopes (exp)",
    "CREATE TABLE bodies (envelope INTEGER PRIMARY KEY REFERENCES envelopes (n), body BLOB NOT NULL)",
    """CREATE TABLE mailbox (
        n INTEGER PRIMARY KEY,
        recipient TEXT NOT NULL,
        lane INTEGER NOT NULL,
        envelope INTEGER NOT NULL REFERENCES envelopes (n),
        slot BLOB NOT NULL,
        expired INTEGER NOT NULL DEFAULT 0,
        held INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX mailbox_feed ON mailbox (recipient, lane, n)",
    "CREATE INDEX mailbox_envelope ON mailbox (envelope, recipient)",
    """CREATE TABLE senders (
        address TEXT PRIMARY KEY,
        envelopes INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        rows INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE TABLE signers (address TEXT PRIMARY KEY, batch INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE proofs (n INTEGER PRIMARY KEY AUTOINCREMENT, proof BLOB NOT NULL, keep_until INTEGER NOT NULL)",
    "CREATE INDEX proofs_old ON proofs (keep_until)",
    """CREATE TABLE proof_links (
        envelope INTEGER NOT NULL REFERENCES envelopes (n) ON DELETE CASCADE,
        proof INTEGER NOT NULL REFERENCES proofs (n) ON DELETE CASCADE,
        PRIMARY KEY (envelope, proof)
    ) WITHOUT ROWID""",
    "CREATE INDEX proof_links_proof ON proof_links (proof)",
    """CREATE TABLE proof_feed (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        sender TEXT NOT NULL,
        proof INTEGER NOT NULL REFERENCES proofs (n) ON DELETE CASCADE
    )""",
    "CREATE INDEX proof_feed_sender ON proof_feed (sender, n)",
    "CREATE INDEX proof_feed_proof ON proof_feed (proof)",
    "CREATE TABLE leaves (position INTEGER PRIMARY KEY, leaf BLOB NOT NULL, statement BLOB NOT NULL)",
    # no UNIQUE: a statement logged without effect may stand in the log again
    "CREATE INDEX leaves_statement ON leaves (statement)",
    """CREATE TABLE checkpoints (
        ref BLOB PRIMARY KEY,
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        at INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE TABLE prekey_records (kid BLOB PRIMARY KEY, record BLOB NOT NULL, destroy INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX prekey_records_destroy ON prekey_records (destroy)",
    """CREATE TABLE applications (
        member TEXT PRIMARY KEY,
        body BLOB NOT NULL,
        signatures BLOB NOT NULL,
        since INTEGER NOT NULL,
        until INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE invitations (
        token_hash BLOB PRIMARY KEY,
        member TEXT NOT NULL,
        class TEXT NOT NULL,
        country TEXT NOT NULL,
        expires INTEGER NOT NULL
    ) WITHOUT ROWID""",
)


def upgrade() -> None:
    """Create every table of the first version."""
    for statement in _TABLES:
        op.execute(statement)
