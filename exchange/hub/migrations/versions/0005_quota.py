"""What an expired envelope leaves at the hub counts until its last recipient has receipted it, or it is forgotten."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

STEPS = (
    # `size` is what is still counted: of these everything was given back when they were released or expired.
    "UPDATE envelopes SET size = 0 WHERE waiting = 0",
)


def upgrade() -> None:
    """Take from those that are over what is counted no more."""
    for statement in STEPS:
        op.execute(statement)
