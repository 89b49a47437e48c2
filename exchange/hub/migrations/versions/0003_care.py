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
)


def upgrade() -> None:
    """Add to the tables of the versions before."""
    for statement in STEPS:
        op.execute(statement)
