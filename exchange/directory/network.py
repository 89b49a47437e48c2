"""The network as the log's effective statements have made it: members, officers, hub, their keys and prekeys.

Owns these tables and the questions about keys that need no rule. What changes them is in `rules`, in which order leaves
are judged in `state`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from exchange.directory.members import Member, Officer
from exchange.directory.prekeys import PrekeyRef
from exchange.directory.statements import HUB, RECOVERY, Genesis
from exchange.errors import Rejected
from exchange.keys import PublicKey, PublicKeys


def member_of(address: str) -> str:
    """The handle of the member that an address belongs to."""
    return address.partition("/")[0]


@dataclass
class Network:
    """What the leaves so far add up to. Only `rules` changes it."""

    net: bytes
    genesis: Genesis
    officers: dict[str, Officer] = field(default_factory=dict)  # by name
    members: dict[str, Member] = field(default_factory=dict)  # by handle
    used: set[bytes] = field(default_factory=set)  # every skid and transport key there ever was
    prekeys: dict[str, tuple[PrekeyRef, ...]] = field(
        default_factory=dict
    )  # of an address's newest statement
    prekey_times: dict[str, deque[int]] = field(
        default_factory=dict
    )  # leaf times of a member's last statements

    @classmethod
    def begin(cls, net: bytes, genesis: Genesis) -> Network:
        """The network of a genesis, whose signatures are not verified here. Raises Rejected directory.key-reused."""
        network = cls(net, genesis, {officer.name: officer for officer in genesis.officers})
        everyone = [genesis.hub.keys, *(officer.keys for officer in genesis.officers)]
        keys = [*(each.signing.skid(net) for each in everyone), *(each.transport for each in everyone)]
        network.check_unused(*keys, genesis.recovery.skid(net))
        network.used.update(keys, [genesis.recovery.skid(net)])
        return network

    def keys_of(self, signer: str) -> PublicKeys | None:
        """Of a member, `officer/NAME` or `hub`."""
        if signer == HUB:
            return self.genesis.hub.keys
        if signer.startswith("officer/"):
            officer = self.officers.get(signer.removeprefix("officer/"))
            return officer.keys if officer else None
        member = self.members.get(signer)
        return member.keys if member else None

    def key_of(self, signer: str) -> PublicKey | None:
        """What a signer of statements signs with: as `keys_of`, and the genesis' recovery key."""
        if signer == RECOVERY:
            return self.genesis.recovery
        keys = self.keys_of(signer)
        return keys.signing if keys else None

    def check_unused(self, *keys: bytes) -> None:
        """None of these skids and transport keys was ever used, and none is twice among them.

        Raises Rejected directory.key-reused.
        """
        if len(set(keys)) != len(keys) or not self.used.isdisjoint(keys):
            raise Rejected("directory.key-reused")
