"""The network as the log's effective statements have made it: members, officers, hub, their keys and prekeys.

Owns these tables and the questions about keys that need no rule. What changes them is in `rules`, in which order leaves
are judged in `state`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from exchange.directory.bodies_base import Genesis
from exchange.directory.contacts import Constituency, Contact, Record
from exchange.directory.members import HubIdentity, Member, Officer, Unit
from exchange.directory.prekeys import PrekeyRef
from exchange.directory.statements import HUB, RECOVERY
from exchange.errors import Rejected
from exchange.keys import PublicKey, PublicKeys


def member_of(address: str) -> str:
    """The handle of the member that an address belongs to."""
    return address.partition("/")[0]


@dataclass(frozen=True)
class Policy:
    """What the network has agreed on (docs/protocol.md §9.10)."""

    officers: int
    sponsors: int
    secretariat: str = ""
    agreement: bytes = b""


@dataclass(frozen=True)
class OldKey:
    """A signing key that is no longer current: whose, its public half, since when (leaf time), revoked since when.

    `revoked` is when the revocation was logged, 0 for one that was only rotated out; `since` is when it is believed
    to have been compromised. All UTC ms.
    """

    address: str
    key: PublicKey
    retired: int
    revoked: int = 0
    since: int = 0


@dataclass
class Network:
    """What the leaves so far add up to. Only `rules` changes it."""

    net: bytes
    genesis: Genesis
    policy: Policy
    hubs: list[HubIdentity] = field(default_factory=list)  # by term; the last one is the hub
    officers: dict[str, Officer] = field(default_factory=dict)  # by name
    members: dict[str, Member] = field(default_factory=dict)  # by handle
    units: dict[str, Unit] = field(default_factory=dict)  # by address
    old_keys: dict[bytes, OldKey] = field(default_factory=dict)  # by skid
    records: dict[str, Record] = field(default_factory=dict)  # by handle
    constituencies: dict[str, Constituency] = field(default_factory=dict)  # by handle
    contacts: dict[str, Contact] = field(default_factory=dict)  # by address
    emergencies: dict[str, int] = field(default_factory=dict)  # officer -> leaf time of its last one
    used: set[bytes] = field(default_factory=set)  # every skid and transport key there ever was
    prekeys: dict[str, tuple[PrekeyRef, ...]] = field(
        default_factory=dict
    )  # of an address's newest statement
    prekey_times: dict[str, deque[int]] = field(
        default_factory=dict
    )  # leaf times of an address's last statements

    @classmethod
    def begin(cls, net: bytes, genesis: Genesis) -> Network:
        """The network of a genesis, whose signatures are not verified here. Raises Rejected directory.key-reused."""
        network = cls(
            net,
            genesis,
            Policy(genesis.officers_threshold, genesis.sponsors_threshold),
            [genesis.hub],
            {officer.name: officer for officer in genesis.officers},
        )
        everyone = [genesis.hub.keys, *(officer.keys for officer in genesis.officers)]
        keys = [*(each.signing.skid(net) for each in everyone), *(each.transport for each in everyone)]
        network.check_unused(*keys, genesis.recovery.skid(net))
        network.used.update(keys, [genesis.recovery.skid(net)])
        return network

    def keys_of(self, signer: str) -> PublicKeys | None:
        """Of a member, a unit, `officer/NAME` or `hub`."""
        if signer == HUB:
            return self.hubs[-1].keys
        if signer.startswith("officer/"):
            officer = self.officers.get(signer.removeprefix("officer/"))
            return officer.keys if officer else None
        holder = self.members.get(signer) or self.units.get(signer)
        return holder.keys if holder else None

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
