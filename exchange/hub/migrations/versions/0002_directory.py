"""What lies beside the log: parts, statements that collect signatures, applicants' documents and how it ended."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_STEPS = (
    "ALTER TABLE applications ADD COLUMN document BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE applications ADD COLUMN salt BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE applications ADD COLUMN invitation BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE applications ADD COLUMN ended TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE applications ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE checkpoints ADD COLUMN term INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE leaves ADD COLUMN judged INTEGER NOT NULL DEFAULT 0",
    # AUTOINCREMENT: a number is never given twice, so that nobody who reads on after one misses a part
    """CREATE TABLE parts (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        hash BLOB NOT NULL UNIQUE,
        address TEXT NOT NULL,
        level TEXT NOT NULL,
        salt BLOB NOT NULL,
        body BLOB NOT NULL
    )""",
    """CREATE TABLE pending (
        statement BLOB PRIMARY KEY,
        body BLOB NOT NULL,
        signatures BLOB NOT NULL,
        parts BLOB NOT NULL,
        submitter TEXT NOT NULL,
        since INTEGER NOT NULL,
        until INTEGER NOT NULL
    ) WITHOUT ROWID""",
)


def upgrade() -> None:
    """Add to the tables of the first version."""
    for step in _STEPS:
        op.execute(step)
