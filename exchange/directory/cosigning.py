"""What whoever signs a pending statement must have seen of it (docs/protocol.md §11.6).

Owns reading what it claims. A module of its own: the hub, which also knows what waits, reads no part, and keeps for
months what it imports.
"""

from __future__ import annotations

from exchange.directory.bodies_contacts import ConstituencyClaim
from exchange.directory.record_rules import bad, check_claims, write_bytes
from exchange.directory.records import Claims
from exchange.directory.waiting import Pending
from exchange.errors import Refused


def check_seen(pending: Pending) -> None:
    """Whoever signs it can see what it names, and a constituency is the claims it says, in order.

    Raises Refused directory.bad-part, record.bad-field.
    """
    if pending.unseen:
        levels = " and ".join(pending.unseen)
        raise Refused(
            "directory.bad-part",
            f"the hub doesn't show what {pending.about} says at level {levels}, or it isn't what the statement names",
        )
    if isinstance(pending.body, ConstituencyClaim):
        claims = claims_of(pending)
        count = check_claims(claims).count
        if count != pending.body.entries:
            raise bad("entries", f"the statement says {pending.body.entries}, its part lists {count}")


def claims_of(pending: Pending) -> Claims:
    """What a pending constituency claims. Raises Refused record.bad-field."""
    return write_bytes(Claims, pending.parts[0].body)
