"""The doors of a node: who may come in over HTTP, and the collections of its TAXII server.

Columns marked `sealed` are encrypted under the home's local key (storage/local_cipher); a `_key` is a keyed hash, which
tells equal from other and nothing else. Times are UTC ms but where microseconds are named. A released step is never
edited: the next one changes what it made.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

# ruff: noqa: E501 - a table's columns read better in few lines
STEPS = (
    # Rights of entry. kind: token, password or certificate; secret: what proves it, hashed. scopes, collections: words
    # between spaces, collections empty for all. exercise, passive: what release.Reader asks. Kept when revoked.
    """CREATE TABLE accesses (n INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, kind TEXT NOT NULL, secret BLOB NOT NULL,
        scopes TEXT NOT NULL, collections TEXT NOT NULL, exercise INTEGER NOT NULL, passive INTEGER NOT NULL,
        until INTEGER, created_at INTEGER NOT NULL, created_by TEXT NOT NULL, revoked_at INTEGER)""",
    "CREATE UNIQUE INDEX accesses_name ON accesses (name) WHERE revoked_at IS NULL",
    "CREATE UNIQUE INDEX accesses_secret ON accesses (secret)",
    # What objects have in common that decides who may have them: sealed facts, few rows.
    "CREATE TABLE taxii_classes (n INTEGER PRIMARY KEY, facts_key BLOB NOT NULL UNIQUE, facts BLOB NOT NULL)",
    # Where objects came from: a row of inbox (its number), or a post (the negative of its number). ends: when they leave.
    "CREATE TABLE taxii_sources (source INTEGER PRIMARY KEY, ends INTEGER)",
    "CREATE INDEX taxii_sources_ends ON taxii_sources (ends) WHERE ends IS NOT NULL",
    # Objects by `added`: unique microseconds in the order of commits, TAXII's date_added. version: microseconds; spec: 20
    # or 21. What they hold stands apart, so that searching reads little.
    """CREATE TABLE taxii_objects (added INTEGER PRIMARY KEY, source INTEGER NOT NULL, class INTEGER NOT NULL, spec INTEGER NOT NULL,
        version INTEGER NOT NULL, id_key INTEGER NOT NULL, type_key INTEGER NOT NULL, bytes_key INTEGER NOT NULL)""",
    "CREATE INDEX taxii_objects_id ON taxii_objects (id_key, spec, version, added, class)",
    "CREATE INDEX taxii_objects_source ON taxii_objects (source)",
    # head: sealed JSON of id, version and specification as the object says them; data: sealed, its exact bytes.
    "CREATE TABLE taxii_data (added INTEGER PRIMARY KEY, head BLOB NOT NULL, data BLOB NOT NULL)",
    # To which right of entry something of a message was given (1) or refused (0): the access log has a row for each.
    """CREATE TABLE taxii_given (access INTEGER NOT NULL, source INTEGER NOT NULL, allowed INTEGER NOT NULL,
        PRIMARY KEY (access, source, allowed)) WITHOUT ROWID""",
    # Posts to the writable collection. status: sealed, the TAXII status as it was answered. state: draft, sent or dropped.
    """CREATE TABLE taxii_posts (n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, access INTEGER NOT NULL, at INTEGER NOT NULL,
        status BLOB NOT NULL, state TEXT NOT NULL, message_id TEXT)""",
    # What later messages replace, by a keyed hash of sender and id: the one that is replaced may come after them.
    "CREATE TABLE taxii_replaced (message_key BLOB PRIMARY KEY) WITHOUT ROWID",
    # What leaves the inbox, for whatever reason, leaves the collections in the same transaction.
    """CREATE TRIGGER taxii_inbox_gone AFTER DELETE ON inbox BEGIN
        DELETE FROM taxii_sources WHERE source = OLD.n; END""",
    # So does what turns out to be signed by a key that anybody may hold, and what its own sender takes back.
    """CREATE TRIGGER taxii_inbox_doubted AFTER UPDATE OF marks ON inbox
        WHEN ' ' || NEW.marks || ' ' LIKE '% unverified %' OR ' ' || NEW.marks || ' ' LIKE '% voided %' BEGIN
        DELETE FROM taxii_sources WHERE source = OLD.n; END""",
    """CREATE TRIGGER taxii_envelope_void AFTER INSERT ON voids_in BEGIN
        DELETE FROM taxii_sources WHERE source IN (SELECT n FROM inbox WHERE env = NEW.env AND sender = NEW.sender); END""",
    """CREATE TRIGGER taxii_source_gone AFTER DELETE ON taxii_sources BEGIN
        DELETE FROM taxii_data WHERE added IN (SELECT added FROM taxii_objects WHERE source = OLD.source);
        DELETE FROM taxii_objects WHERE source = OLD.source;
        DELETE FROM taxii_given WHERE source = OLD.source; END""",
    # What peers were asked about messages of this node, and what they answered. inquiry: the asking message's id. record:
    # sealed, the content as it was signed; env: the envelope that brought it.
    """CREATE TABLE disclosures (n INTEGER PRIMARY KEY AUTOINCREMENT, inquiry TEXT NOT NULL UNIQUE, message_id TEXT NOT NULL,
        recipient TEXT NOT NULL, asked_at INTEGER NOT NULL, answered_at INTEGER, env BLOB, record BLOB)""",
    "CREATE INDEX disclosures_message ON disclosures (message_id, recipient)",
    "CREATE INDEX disclosures_env ON disclosures (env) WHERE env IS NOT NULL",
    "CREATE INDEX disclosures_asked ON disclosures (asked_at)",
    "CREATE INDEX access_log_what ON access_log (what)",
)


def upgrade() -> None:
    """Add to the tables of the versions before."""
    for statement in STEPS:
        op.execute(statement)
