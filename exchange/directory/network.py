"""The network as the log's effective statements have made it: members, officers, hub, their keys and prekeys.

Owns these tables and the questions about keys that need no rule. What changes them is in `rules`, in which order leaves
are judged in `state`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from exchange.directory.bodies_base import Genesis
from exchange.directory.contacts import Constituency, Contact, Record
from exchange.directory.log import Tree
from exchange.directory.members import HubIdentity, Member, Officer, Unit
from exchange.directory.prekeys import PrekeyRef
from exchange.directory.statements import HUB, RECOVERY
from exchange.errors import Hold, Rejected
from exchange.keys import PublicKey, PublicKeys
from exchange.limits import DAY_MS

CURRENT: Final = "current"
RETIRED: Final = "retired"
REVOKED: Final = "revoked"
RETIRED_KEY_MS: Final = 14 * DAY_MS  # how long mail sealed before a rotation is taken in under the old key


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


@dataclass(frozen=True)
class KeyStanding:
    """A signing key of an address: `state` CURRENT, RETIRED or REVOKED `at`; compromised `since`. UTC ms, 0 for none.

    A key that a pending recovery suspends stands as revoked, until a veto makes it current again.
    """

    key: PublicKey
    state: str
    at: int = 0
    since: int = 0

    def counts(self, now: int) -> bool:
        """Does what it signs count at `now` (UTC ms)? Mail that was under way is given 14 days after a rotation."""
        return self.state == CURRENT or (self.state == RETIRED and now - self.at <= RETIRED_KEY_MS)


@dataclass(frozen=True)
class HubTerm:
    """A hub that took another's place: the leaf that says so, and whether officers did it or the recovery key."""

    index: int
    named: bytes
    by_officers: bool

    def outranks(self, other: HubTerm) -> bool:
        """Of two that compete in one term the officers' beats the recovery key's; else the first stays."""
        return self.by_officers and not other.by_officers


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
    terms: list[HubTerm] = field(default_factory=list)  # of every hub but the genesis', from term 1 on
    log: Tree = field(default_factory=Tree)  # of the leaves so far
    emergencies: dict[tuple[str, str], int] = field(
        default_factory=dict
    )  # officer's address, member -> leaf time of its last one
    deadlines: dict[str, int] = field(default_factory=dict)  # member with something that falls due -> when
    fell_due: bool = False  # whether anything did before the leaf that is judged now
    used: set[bytes] = field(default_factory=set)  # every skid and transport key there ever was
    prekeys: dict[str, tuple[PrekeyRef, ...]] = field(
        default_factory=dict
    )  # of an address's newest statement
    prekey_times: dict[str, tuple[int, ...]] = field(
        default_factory=dict
    )  # leaf times of an address's last statements under the keys it has

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

    def fork(self) -> Network:
        """A copy of what settling changes: judging looks ahead on it, and nobody else sees it."""
        return replace(
            self,
            members=dict(self.members),
            old_keys=dict(self.old_keys),
            prekeys=dict(self.prekeys),
            prekey_times=dict(self.prekey_times),
            deadlines=dict(self.deadlines),
        )

    def put(self, member: Member) -> None:
        """Take in a member as it stands now."""
        self.members[member.handle] = member
        self.deadlines.pop(member.handle, None)
        if member.deadline is not None:
            self.deadlines[member.handle] = member.deadline

    def retire(self, address: str, key: PublicKey, at: int) -> None:
        """`key` of `address` is replaced at `at`; one that was revoked stays so."""
        self.old_keys.setdefault(key.skid(self.net), OldKey(address, key, at))

    def is_revoked(self, key: PublicKey) -> bool:
        """Does this key verify nothing any more?"""
        old = self.old_keys.get(key.skid(self.net))
        return old is not None and old.revoked != 0

    def key_standing(self, address: str, skid: bytes) -> KeyStanding:
        """As `Directory.key_standing`. Raises Hold hold.unknown-sender, hold.unknown-key."""
        member = self.members.get(address)
        holder = member or self.units.get(address)
        if holder is None:
            raise Hold("hold.unknown-sender")
        old = self.old_keys.get(skid)
        if old and old.address == address:
            return KeyStanding(
                old.key, REVOKED if old.revoked else RETIRED, old.revoked or old.retired, old.since
            )
        if holder.keys.signing.skid(self.net) != skid:
            raise Hold("hold.unknown-key")
        if member and member.recovery:
            made = member.recovery.since
            return KeyStanding(holder.keys.signing, REVOKED, made, made)
        return KeyStanding(holder.keys.signing, CURRENT)

    def officers_among(self, signers: frozenset[str]) -> frozenset[str]:
        """The addresses of those signers that are officers now."""
        return signers & {officer.address for officer in self.officers.values()}

    def standing_keys(self, address: str) -> PublicKeys | None:
        """The keys of a member or unit while they count: neither revoked nor suspended by a recovery; else None."""
        member = self.members.get(address)
        holder = member or self.units.get(address)
        if holder is None or (member and member.recovery) or self.is_revoked(holder.keys.signing):
            return None
        return holder.keys

    def keys_of(self, signer: str) -> PublicKeys | None:
        """Of a member, a unit, `officer/NAME` or `hub`: what it signs with now, None where that counts nowhere."""
        if signer == HUB:
            return self.hubs[-1].keys
        if signer.startswith("officer/"):
            officer = self.officers.get(signer.removeprefix("officer/"))
            return officer.keys if officer else None
        return self.standing_keys(signer)

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
