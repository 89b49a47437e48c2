"""Who this node is, and where its services get time, chance and ids from. Both are handed to every service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.keys import PrivateKeys


@dataclass
class Identity:
    """The member this node speaks for: network id (32 bytes), address, signing and transport keys.

    One object for all services: its keys change when the log has a rotation (own_keys.py), and only then.
    """

    net: bytes
    address: str
    keys: PrivateKeys

    @property
    def skid(self) -> bytes:
        """Names the signing key in headers and receipts."""
        return self.keys.public.signing.skid(self.net)


@dataclass(frozen=True)
class Sources:
    """`clock`: UTC ms; `monotonic`: ms that never jump; `random(n)`: n random bytes; `new_id`: a UUID for a message."""

    clock: Callable[[], int]
    monotonic: Callable[[], int]
    random: Callable[[int], bytes]
    new_id: Callable[[], str]
