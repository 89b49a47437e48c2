"""Looking after a hub: what it forgets, and when."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


STEPS = (
    # released_at: since when nobody waits for an envelope any more, as the hub's rounds have seen.
    "ALTER TABLE envelopes ADD COLUMN released_at INTEGER",
    "CREATE INDEX envelopes_done ON envelopes (n) WHERE waiting = 0 AND released_at IS NULL",
    "CREATE INDEX envelopes_released ON envelopes (released_at) WHERE released_at IS NOT NULL",
    # Uploads that come in pieces; `have` counts bytes from the beginning on, `at` is the last piece's time.
    """CREATE TABLE uploads (
        n INTEGER PRIMARY KEY,
        sender TEXT NOT NULL,
        env BLOB NOT NULL,
        size INTEGER NOT NULL,
        have INTEGER NOT NULL,
        at INTEGER NOT NULL,
        UNIQUE (sender, env)
    )""",
    """CREATE TABLE pieces (
        upload INTEGER NOT NULL REFERENCES uploads (n),
        start INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (upload, start)
    )""",
    # What the alarm hook owes people over which way, and how far it came (storage/calls.py).
    """CREATE TABLE calls (
        way TEXT NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        count INTEGER NOT NULL,
        since INTEGER NOT NULL,
        state TEXT NOT NULL,
        tries INTEGER NOT NULL,
        next_at INTEGER NOT NULL,
        code TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (way, kind, subject)
    ) WITHOUT ROWID""",
    # Whose flash waits too long and since when the oldest does, as the operator was told.
    "CREATE TABLE stalls (address TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX mailbox_flash ON mailbox (recipient, n) WHERE lane = 0 AND expired = 0",
)


# Rows that change with every receipt are small, what is large lies beside them: a page of 16 KiB is written whole.
_APART = (
    """CREATE TABLE heads (
        envelope INTEGER PRIMARY KEY REFERENCES envelopes (n) ON DELETE CASCADE,
        header BLOB NOT NULL,
        signatures BLOB NOT NULL
    )""",
    "INSERT INTO heads SELECT n, header, signatures FROM envelopes",
    "ALTER TABLE envelopes DROP COLUMN header",
    "ALTER TABLE envelopes DROP COLUMN signatures",
    """CREATE TABLE slots (
        envelope INTEGER PRIMARY KEY REFERENCES envelopes (n) ON DELETE CASCADE,
        slots BLOB NOT NULL
    )""",
    "ALTER TABLE mailbox ADD COLUMN place INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE mailbox ADD COLUMN lc BLOB NOT NULL DEFAULT x''",
    """UPDATE mailbox SET lc = substr(slot, -32), place = (
        SELECT count(*) FROM mailbox AS other WHERE other.envelope = mailbox.envelope AND other.n < mailbox.n
    )""",
)


def upgrade() -> None:
    """Add to the tables of the versions before, and lay apart what they held in one row."""
    for statement in (*STEPS, *_APART):
        op.execute(statement)
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("no connection to upgrade")
    for (envelope,) in connection.execute("SELECT DISTINCT envelope FROM mailbox").fetchall():
        slots = connection.execute("SELECT slot FROM mailbox WHERE envelope = ? ORDER BY n", (envelope,))
        whole = b"".join(slot for (slot,) in slots)
        connection.execute("INSERT INTO slots VALUES (?, ?)", (envelope, whole))
    op.execute("ALTER TABLE mailbox DROP COLUMN slot")
