"""The hub's own log read back from its store: what it has judged itself isn't verified again at every start.

Owns how far the store is believed. A log of years would keep the hub, and each command beside it, busy for minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

from exchange.directory.state import Directory

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
