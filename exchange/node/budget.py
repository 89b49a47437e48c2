"""Owns how much one peer can make this node do in a day: counted by purpose, from nought each UTC day.

What a peer asks for and what it costs stand in no proportion: a question of 200 bytes may name a thousand numbers.
"""

from __future__ import annotations

from exchange.limits import DAY_MS
from exchange.node.store.store import Transaction, fact, set_fact


def spend(connection: Transaction, purpose: str, peer: str, *, now: int, most: int) -> bool:
    """Whether `peer` may have one more of `purpose` on the day of `now` (ms), of `most` a day; counts it if so."""
    name, day = f"budget/{purpose}/{peer}", now // DAY_MS
    # One row a peer and purpose, whatever the number of days.
    then, _, spent = (fact(connection, name) or b"").partition(b"/")
    count = int(spent) if then == b"%d" % day else 0
    if count >= most:
        return False
    set_fact(connection, name, f"{day}/{count + 1}")
    return True
