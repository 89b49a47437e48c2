"""Attachments beside the mail: which blobs a hub keeps, and for whom."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


STEPS = (
    # A blob of one member, in the file of that number. `have` bytes of `size` are durable there; `whole`: all of them,
    # and their SHA-256 is `hash`. `at`: of the last byte, or when the last envelope that names it was over (UTC ms).
    # AUTOINCREMENT: a number is a file's name, and must never come again.
    """CREATE TABLE blobs (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        member TEXT NOT NULL,
        hash BLOB NOT NULL,
        size INTEGER NOT NULL,
        have INTEGER NOT NULL,
        whole INTEGER NOT NULL,
        at INTEGER NOT NULL,
        UNIQUE (member, hash)
    )""",
    "CREATE INDEX blobs_hash ON blobs (hash)",
    "CREATE INDEX blobs_at ON blobs (at)",
    # Who may have the blobs of one accepted envelope, until when: recipients as a JSON list.
    """CREATE TABLE audiences (
        n INTEGER PRIMARY KEY,
        exp INTEGER NOT NULL,
        at INTEGER NOT NULL,
        recipients TEXT NOT NULL
    )""",
    "CREATE INDEX audiences_exp ON audiences (exp)",
    """CREATE TABLE blob_uses (
        blob INTEGER NOT NULL REFERENCES blobs (n) ON DELETE CASCADE,
        audience INTEGER NOT NULL REFERENCES audiences (n) ON DELETE CASCADE,
        PRIMARY KEY (blob, audience)
    ) WITHOUT ROWID""",
    "CREATE INDEX blob_uses_audience ON blob_uses (audience)",
)


def upgrade() -> None:
    """Add to the tables of the versions before."""
    for statement in STEPS:
        op.execute(statement)
