"""The hub's own log read back from its store: what it has judged itself isn't verified again at every start.

Owns how far the store is believed, and which leaves are urgent. A log of years would keep the hub, and each command
beside it, busy for minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.directory.bodies_network import HUB_CHANGE
from exchange.directory.state import Directory
from exchange.directory.statements import Statement, parse_head
from exchange.errors import Rejected

# what takes trust from somebody: announced before all mail (docs/protocol.md §8.1)
URGENT: Final = frozenset({"suspend", "revoke", "veto", HUB_CHANGE})

# a leaf, and whether this hub judged that it took effect
Row = tuple[bytes, bool]


def read_back(rows: Sequence[Row]) -> tuple[Directory, int]:
    """The directory after all leaves, the first being the genesis, and how many of them are known to have had effect.

    From the first leaf on that this hub hasn't judged (a restore's), or that had no effect (an upgrade may know
    better), every signature is verified. Raises as `Directory.replay`.
    """
    known = 1 + next((n for n, (_, judged) in enumerate(rows[1:]) if not judged), len(rows) - 1)
    directory = Directory.resume((leaf, "") for leaf, _ in rows[:known])
    unbroken = True
    for leaf, _ in rows[known:]:
        unbroken = directory.apply(leaf, now=None).effective and unbroken
        known += unbroken
    return directory, known


def type_of(statement: Statement, net: bytes) -> str:
    """A statement's type; empty for one that can't be read."""
    try:
        return parse_head(statement.body, net)[0].type
    except Rejected:
        return ""  # the genesis, or a leaf without effect
