"""Which message another takes the place of, where it can be looked up: of those that came, and of those that went.

A released step is never edited: the next one changes what it made.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

STEPS: tuple[str, ...] = (
    # The id of what a message supersedes, "" for nothing. NULL where nobody has looked: an older version kept it, or
    # this one couldn't read it.
    "ALTER TABLE inbox ADD COLUMN supersedes TEXT",
    "CREATE INDEX inbox_supersedes ON inbox (supersedes, sender) WHERE supersedes <> ''",
    "CREATE INDEX inbox_unsaid ON inbox (sender, created) WHERE supersedes IS NULL AND type = 'stix'",
    "ALTER TABLE messages ADD COLUMN supersedes TEXT",
    "CREATE INDEX messages_supersedes ON messages (created) WHERE supersedes <> ''",
    "CREATE INDEX messages_unsaid ON messages (created) WHERE supersedes IS NULL AND type = 'stix'",
)


def upgrade() -> None:
    """Add to the tables of the versions before."""
    for statement in STEPS:
        op.execute(statement)
