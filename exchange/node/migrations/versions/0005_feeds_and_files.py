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
    "CREATE INDEX attachments_out_state ON attachments_out (state, message_n)",
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
    # What rights of entry sent through the REST API, by the message's id: a keyed hash of what was asked, so that the same
    # again is told from something else under that id.
    """CREATE TABLE api_sends (message_id TEXT PRIMARY KEY, access INTEGER NOT NULL, asked_key BLOB NOT NULL) WITHOUT ROWID""",
    # Each receipt of the hub asks whose newest sealing an envelope is.
    "CREATE INDEX addressees_env ON addressees (env) WHERE env IS NOT NULL",
    # How far copies of mail came, in the order of commits, for those who follow it; the newest hundred thousand. level: a
    # state, or what people did.
    """CREATE TABLE mail_changes (n INTEGER PRIMARY KEY AUTOINCREMENT, message_n INTEGER NOT NULL, recipient TEXT NOT NULL,
        level TEXT NOT NULL, at INTEGER NOT NULL)""",
    """CREATE TRIGGER mail_changes_state AFTER UPDATE OF state ON addressees WHEN NEW.state <> OLD.state AND
        NEW.state IN ('accepted', 'stored', 'rejected', 'lost') BEGIN
        INSERT INTO mail_changes (message_n, recipient, level, at) SELECT NEW.message_n, NEW.recipient, NEW.state,
        coalesce(CASE NEW.state WHEN 'accepted' THEN NEW.accepted_at ELSE NEW.ended_at END, NEW.queued_at)
        FROM messages WHERE n = NEW.message_n AND type = 'stix'; END""",
    *(
        f"""CREATE TRIGGER mail_changes_{level} AFTER UPDATE OF {level}_at ON addressees
            WHEN NEW.{level}_at IS NOT NULL AND OLD.{level}_at IS NULL BEGIN
            INSERT INTO mail_changes (message_n, recipient, level, at)
            VALUES (NEW.message_n, NEW.recipient, '{level}', NEW.{level}_at); END"""  # noqa: S608 - fixed words
        for level in ("opened", "acknowledged", "working", "declined")
    ),
    """CREATE TRIGGER mail_changes_many AFTER INSERT ON mail_changes WHEN NEW.n % 1000 = 0 BEGIN
        DELETE FROM mail_changes WHERE n <= NEW.n - 100000; END""",
    # Whom this member serves. facts: sealed JSON of the name, the assets, the mailboxes.
    "CREATE TABLE constituents (n INTEGER PRIMARY KEY AUTOINCREMENT, facts BLOB NOT NULL)",
    # Feeds from outside. settings, credential: sealed; position: sealed, where to go on, in the words of its kind. due_at: when
    # it is asked next. readers: names, between spaces, under which the same system reads here. Kept when removed.
    """CREATE TABLE feeds (n INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, kind TEXT NOT NULL, readers TEXT NOT NULL,
        settings BLOB NOT NULL, credential BLOB NOT NULL, position BLOB NOT NULL, paused INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL, created_by TEXT NOT NULL, removed_at INTEGER, due_at INTEGER NOT NULL,
        tried_at INTEGER, succeeded_at INTEGER, failures INTEGER NOT NULL DEFAULT 0, code TEXT NOT NULL DEFAULT '',
        detail TEXT NOT NULL DEFAULT '')""",
    "CREATE UNIQUE INDEX feeds_name ON feeds (name) WHERE removed_at IS NULL",
    # What a feed brought and was not taken: the newest of each feed. what: sealed JSON of the object and the reason.
    "CREATE TABLE feed_refused (n INTEGER PRIMARY KEY AUTOINCREMENT, feed INTEGER NOT NULL, at INTEGER NOT NULL, code TEXT NOT NULL, what BLOB NOT NULL)",
    "CREATE INDEX feed_refused_feed ON feed_refused (feed, n)",
    # What of an event could not be carried, as of its newest reading. losses: sealed JSON.
    """CREATE TABLE feed_losses (feed INTEGER NOT NULL, event_key BLOB NOT NULL, at INTEGER NOT NULL, losses BLOB NOT NULL,
        PRIMARY KEY (feed, event_key)) WITHOUT ROWID""",
    # Which versions of events a feed has brought lately, so that a look back brings none twice. moment: the event's, seconds.
    """CREATE TABLE feed_seen (feed INTEGER NOT NULL, event_key BLOB NOT NULL, moment INTEGER NOT NULL,
        PRIMARY KEY (feed, event_key)) WITHOUT ROWID""",
    # Things from outside: one for each UUID, through however many feeds. tlp: the strictest of all; said: the strictest that
    # an object itself said; pap: the same.
    "CREATE TABLE outside_things (thing_key INTEGER PRIMARY KEY, tlp INTEGER NOT NULL, said INTEGER, pap INTEGER)",
    "CREATE TABLE outside_origins (thing_key INTEGER NOT NULL, feed INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (thing_key, feed)) WITHOUT ROWID",
    "CREATE INDEX outside_origins_feed ON outside_origins (feed, at)",
    # Their versions, each with the object of the TAXII collections that has its bytes.
    """CREATE TABLE outside_objects (n INTEGER PRIMARY KEY AUTOINCREMENT, thing_key INTEGER NOT NULL, bytes_key INTEGER NOT NULL,
        added INTEGER NOT NULL UNIQUE, UNIQUE (thing_key, bytes_key))""",
    # What people decided may go on: a thing as far as version `upto_n`, or by rule all of a feed; up to the label `upto`.
    # why: sealed.
    """CREATE TABLE outside_decisions (n INTEGER PRIMARY KEY AUTOINCREMENT, thing_key INTEGER, upto_n INTEGER, feed INTEGER,
        upto INTEGER NOT NULL, why BLOB NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL, ended_at INTEGER)""",
    "CREATE INDEX outside_decisions_thing ON outside_decisions (thing_key) WHERE ended_at IS NULL",
    "CREATE INDEX outside_decisions_feed ON outside_decisions (feed) WHERE ended_at IS NULL",
    # What was posted here and went as a message is erased with that message, whichever part of the node did it.
    "CREATE INDEX taxii_posts_message ON taxii_posts (message_id) WHERE message_id IS NOT NULL",
    """CREATE TRIGGER taxii_post_erased AFTER UPDATE OF erased_at ON messages WHEN NEW.erased_at IS NOT NULL BEGIN
        DELETE FROM taxii_sources WHERE source IN (SELECT -n FROM taxii_posts WHERE message_id = NEW.id); END""",
)


def upgrade() -> None:
    """Add to the tables of the versions before."""
    for statement in STEPS:
        op.execute(statement)
