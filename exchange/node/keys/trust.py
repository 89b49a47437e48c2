"""Owns the question whether a key is known and believed: by the log, and by notices that it lacks (§9.9, §9.17)."""

from __future__ import annotations

from exchange.errors import Hold
from exchange.node.directory.replica import Replica


def counts(replica: Replica, address: str, skid: bytes, now: int) -> bool:
    """Does what this signing key of the address signs count at `now` (UTC ms)? Not for a key the log doesn't have."""
    try:
        standing = replica.directory.key_standing(address, skid)
    except Hold:
        return False
    return standing.counts(now) and replica.overlay.distrusted(address, skid) is None


def is_listed(replica: Replica, address: str, skid: bytes) -> bool:
    """Whether the log has this signing key of the address at all, whatever it counts for."""
    try:
        replica.directory.key_standing(address, skid)
    except Hold:
        return False
    return True
