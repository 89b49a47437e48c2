"""The first tables of a node's database, each introduced by what a row is.

Columns marked `sealed` are encrypted under the home's local key (storage/local_cipher); the rest is what the hub
sees too, or numbers. Times are UTC ms. A released step is never edited: the next one changes what it made.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

# ruff: noqa: E501 - a table's columns read better in few lines
TABLES = (
    # Single values: the feed's cursor and epoch, the highest receipt batch, whether the anchor is confirmed...
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    # The directory log whole, with the outcome code of each leaf ('' took effect).
    "CREATE TABLE leaves (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, code TEXT NOT NULL)",
    # Checkpoints this node verified and took, by H("checkpoint", body, signature).
    """CREATE TABLE checkpoints (hash BLOB PRIMARY KEY, size INTEGER NOT NULL, at INTEGER NOT NULL,
        body BLOB NOT NULL, signature BLOB NOT NULL)""",
    # Statements this node made in its own name: any other in its name alarms.
    "CREATE TABLE own_statements (hash BLOB PRIMARY KEY, class TEXT NOT NULL, at INTEGER NOT NULL)",
    # Other members' prekeys, public halves, as the log's hash proved them.
    "CREATE TABLE prekey_records (kid BLOB PRIMARY KEY, destroy INTEGER NOT NULL, record BLOB NOT NULL)",
    # This node's prekeys; the private halves lie in the prekeys keystore. ran_past: ms of running time past destroy.
    """CREATE TABLE own_prekeys (kid BLOB PRIMARY KEY, start INTEGER NOT NULL, until INTEGER NOT NULL,
        destroy INTEGER NOT NULL, record BLOB NOT NULL, ran_past INTEGER NOT NULL DEFAULT 0, destroyed_at INTEGER)""",
    # What is to be sent: a message of this node, whatever its type. payload: sealed.
    """CREATE TABLE messages (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL,
        lane INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, separate INTEGER NOT NULL,
        compress INTEGER NOT NULL, payload BLOB NOT NULL, submitted_at INTEGER NOT NULL)""",
    # A message's copy for one addressee, and how far it has come. reason: the fine code the addressee gave, sealed. env: its newest sealing. tries: sealings that were
    # refused or not readable. old_*: the sealing that
    # the next one replaces. person, note: sealed.
    """CREATE TABLE addressees (message_n INTEGER NOT NULL REFERENCES messages (n), recipient TEXT NOT NULL,
        lane INTEGER NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', env BLOB, tries INTEGER NOT NULL DEFAULT 0,
        old_env BLOB, old_chain BLOB, old_seq INTEGER, queued_at INTEGER NOT NULL, sealed_at INTEGER,
        accepted_at INTEGER, stored_at INTEGER, rejected_at INTEGER, ended_at INTEGER, opened_at INTEGER,
        acknowledged_at INTEGER, working_at INTEGER, declined_at INTEGER, person BLOB, note BLOB,
        PRIMARY KEY (message_n, recipient))""",
    "CREATE INDEX addressees_queued ON addressees (lane, message_n) WHERE state = 'queued'",
    "CREATE INDEX addressees_unreadable ON addressees (recipient) WHERE state = 'rejected' AND code = 'unreadable'",
    # One envelope: what is uploaded, and the evidence kept with the content. body is dropped when nobody waits for it.
    # asked: a recipient misses it, so that it is offered once more.
    """CREATE TABLE sealings (n INTEGER PRIMARY KEY AUTOINCREMENT, env BLOB NOT NULL UNIQUE,
        message_n INTEGER NOT NULL REFERENCES messages (n), lane INTEGER NOT NULL, iat INTEGER NOT NULL,
        exp INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, code TEXT NOT NULL DEFAULT '',
        size INTEGER NOT NULL, asked INTEGER NOT NULL DEFAULT 0, salt BLOB NOT NULL, header BLOB NOT NULL,
        signatures BLOB NOT NULL, body BLOB)""",
    "CREATE INDEX sealings_waiting ON sealings (lane, n) WHERE state = 'sealed'",
    "CREATE INDEX sealings_asked ON sealings (lane, n) WHERE state = 'sealed' AND asked = 1",
    "CREATE INDEX sealings_open ON sealings (exp) WHERE state IN ('sealed', 'accepted')",
    # An envelope's link in one recipient's chain, with that recipient's slot.
    """CREATE TABLE links_out (env BLOB NOT NULL REFERENCES sealings (env), recipient TEXT NOT NULL, lane INTEGER NOT NULL,
        chain BLOB NOT NULL, seq INTEGER NOT NULL, prev BLOB NOT NULL, nonce BLOB NOT NULL, kid BLOB NOT NULL,
        until INTEGER NOT NULL, lc BLOB NOT NULL, slot BLOB NOT NULL, state TEXT NOT NULL, asked_at INTEGER,
        PRIMARY KEY (env, recipient))""",
    "CREATE INDEX links_out_place ON links_out (recipient, lane, seq)",
    "CREATE INDEX links_out_open ON links_out (recipient) WHERE state = 'open'",
    # Where each chain stands: the number and envelope the next link follows.
    """CREATE TABLE chains_out (lane INTEGER NOT NULL, recipient TEXT NOT NULL, seq INTEGER NOT NULL, prev BLOB NOT NULL,
        PRIMARY KEY (lane, recipient)) WITHOUT ROWID""",
    # Verified receipts, kept as evidence with the batch that signed them.
    """CREATE TABLE proof_batches (hash BLOB PRIMARY KEY, signer TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL,
        signatures BLOB NOT NULL)""",
    """CREATE TABLE proofs (env BLOB NOT NULL, recipient TEXT NOT NULL, status TEXT NOT NULL, code TEXT NOT NULL,
        at INTEGER NOT NULL, batch BLOB NOT NULL, leaf BLOB NOT NULL, PRIMARY KEY (env, recipient, status))""",
    # A message received. payload, summary: sealed. conflict: another payload came under the same id before.
    """CREATE TABLE inbox (n INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, message_id TEXT NOT NULL,
        type TEXT NOT NULL, lane INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,
        received_at INTEGER NOT NULL, marks TEXT NOT NULL, conflict INTEGER NOT NULL, env BLOB NOT NULL,
        payload_hash BLOB NOT NULL, payload BLOB NOT NULL, summary BLOB NOT NULL, opened_at INTEGER,
        answered TEXT NOT NULL DEFAULT '', answered_at INTEGER)""",
    "CREATE INDEX inbox_id ON inbox (message_id, sender)",
    # Each envelope received, with its place in its chain and the evidence kept as long as the content.
    """CREATE TABLE links_in (env BLOB PRIMARY KEY, sender TEXT NOT NULL, lane INTEGER NOT NULL, chain BLOB NOT NULL,
        seq INTEGER NOT NULL, prev BLOB NOT NULL, nonce BLOB NOT NULL, salt BLOB NOT NULL, lc BLOB NOT NULL,
        wrap_hash BLOB NOT NULL, header BLOB NOT NULL, signatures BLOB NOT NULL, mark TEXT NOT NULL,
        message_n INTEGER, at INTEGER NOT NULL)""",
    "CREATE INDEX links_in_place ON links_in (sender, lane, seq)",
    "CREATE INDEX links_in_chain ON links_in (sender, lane, chain)",
    # Per sender and lane: the newest link, and the numbers that are missing.
    """CREATE TABLE heads_in (sender TEXT NOT NULL, lane INTEGER NOT NULL, chain BLOB NOT NULL, seq INTEGER NOT NULL,
        env BLOB NOT NULL, prev BLOB NOT NULL, PRIMARY KEY (sender, lane)) WITHOUT ROWID""",
    """CREATE TABLE gaps_in (sender TEXT NOT NULL, lane INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        chain BLOB NOT NULL, seen_at INTEGER NOT NULL, asked_at INTEGER, PRIMARY KEY (sender, lane, first)) WITHOUT ROWID""",
    # Envelopes their sender has declared void.
    "CREATE TABLE voids_in (env BLOB, sender TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (env, sender)) WITHOUT ROWID",
    # Items that wait for a longer directory (docs/protocol.md §4.5, hold).
    """CREATE TABLE held (n INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, type INTEGER NOT NULL,
        payload BLOB NOT NULL, code TEXT NOT NULL, since INTEGER NOT NULL)""",
    # Items that came hurt (transport): how often, and when to ask for them again.
    """CREATE TABLE damaged (key BLOB PRIMARY KEY, code TEXT NOT NULL, detail TEXT NOT NULL, tries INTEGER NOT NULL,
        since INTEGER NOT NULL, retry_at INTEGER NOT NULL)""",
    # Bytes with a fault under a verified signature.
    """CREATE TABLE quarantine (env BLOB PRIMARY KEY, sender TEXT NOT NULL, code TEXT NOT NULL, at INTEGER NOT NULL,
        payload BLOB NOT NULL)""",
    # Receipts owed to senders, and the signed batches they went into. sent_at: the hub has answered the upload.
    """CREATE TABLE owed (env BLOB PRIMARY KEY, lc BLOB NOT NULL, status TEXT NOT NULL, code TEXT NOT NULL,
        salt BLOB NOT NULL, batch INTEGER)""",
    "CREATE INDEX owed_open ON owed (env) WHERE batch IS NULL",
    """CREATE TABLE batches_out (number INTEGER PRIMARY KEY, body BLOB NOT NULL, signatures BLOB NOT NULL,
        leaves BLOB NOT NULL, sent_at INTEGER)""",
    "CREATE INDEX batches_unsent ON batches_out (number) WHERE sent_at IS NULL",
    # What a person must be told. key keeps one fact from alarming twice; evidence: bytes for a verifier.
    """CREATE TABLE alarms (n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, at INTEGER NOT NULL,
        code TEXT NOT NULL, subject TEXT NOT NULL, evidence BLOB NOT NULL)""",
    # Who opened or exported what; each row's hash covers the one before.
    """CREATE TABLE access_log (n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL,
        action TEXT NOT NULL, what TEXT NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL)""",
)


def upgrade() -> None:
    """Create every table."""
    for statement in TABLES:
        op.execute(statement)
