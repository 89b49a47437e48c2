"""Feeds from outside, and attachments.

Columns marked `sealed` are encrypted under the home's local key (storage/local_cipher); a `_key` is a keyed hash, which
tells equal from other and nothing else. Times are UTC ms but where microseconds are named. A released step is never
edited: the next one changes what it made.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


STEPS: tuple[str, ...] = ()


def upgrade() -> None:
    """Add to the tables of the versions before."""
    for statement in STEPS:
        op.execute(statement)
