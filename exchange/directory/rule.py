"""What a type of statement's rule is made of (docs/protocol.md §9.2); the rows stand in `rules` and its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from exchange.directory.network import Network
from exchange.keys import PublicKey

_B = TypeVar("_B")


@dataclass(frozen=True)
class Rule(Generic[_B]):
    """A type's row.

    key: whose key a signer's is, when this body itself may bring one; None for an unknown signer.
    check: given the verified signers and the leaf's time (UTC ms), raises Rejected with the code of the rule broken.
    take: given also the statement's hash and its signers, changes the network; called after `check` only, never fails.
    outruns: `after` is 32 zero bytes and isn't compared, so that no other statement can get in its way.
    voids: it becomes its subject's last statement, so that what others signed before it is stale.
    """

    key: Callable[[Network, _B, str], PublicKey | None]
    check: Callable[[Network, _B, frozenset[str], int], None]
    take: Callable[[Network, _B, int, bytes, frozenset[str]], None]
    outruns: bool = False
    voids: bool = True
