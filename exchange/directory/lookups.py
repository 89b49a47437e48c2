"""Look-ups on the network that a log adds up to: who is in it, with which keys, and what stands beside the log.

Owns the questions that need nothing but the network as it stands. The log itself, and how it grows, is `state`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from exchange.directory import onboarding
from exchange.directory.bodies_contacts import ContactPoint
from exchange.directory.contacts import Constituency, Contact, Record, named_parts
from exchange.directory.due import next_due
from exchange.directory.members import HubIdentity, Member, Officer, Unit
from exchange.directory.network import HubTerm, KeyStanding, Network, Policy, member_of
from exchange.directory.prekeys import PrekeyRef, choose
from exchange.directory.rules_contacts import Nominators, nominating, who_nominates
from exchange.errors import Hold, Refused, Rejected
from exchange.keys import PublicKey, PublicKeys


class LookUps:
    """What may be asked of a network; nothing here changes it."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @property
    def net(self) -> bytes:
        return self._network.net

    @property
    def name(self) -> str:
        return self._network.genesis.name

    @property
    def hub(self) -> HubIdentity:
        return self._network.hubs[-1]

    @property
    def officers(self) -> Mapping[str, Officer]:
        """By name."""
        return MappingProxyType(self._network.officers)

    @property
    def members(self) -> Mapping[str, Member]:
        """By handle."""
        return MappingProxyType(self._network.members)

    @property
    def term(self) -> int:
        """Of the hub: 0 for the genesis', one more with each hub-change."""
        return len(self._network.hubs) - 1

    @property
    def terms(self) -> Sequence[HubTerm]:
        """The changes of hub, from term 1 on."""
        return tuple(self._network.terms)

    def hub_key(self, term: int) -> PublicKey:
        """What the hub of that term signs with. Raises Hold hold.directory-behind for a later term."""
        if term > self.term:
            raise Hold("hold.directory-behind", "a change of hub that this log doesn't have yet")
        return self._network.hubs[term].keys.signing

    @property
    def policy(self) -> Policy:
        """What the network has agreed on."""
        return self._network.policy

    @property
    def units(self) -> Mapping[str, Unit]:
        """By address."""
        return MappingProxyType(self._network.units)

    @property
    def contacts(self) -> Mapping[str, Contact]:
        """By address, ended ones among them."""
        return MappingProxyType(self._network.contacts)

    @property
    def records(self) -> Mapping[str, Record]:
        """What members say of themselves, by handle."""
        return MappingProxyType(self._network.records)

    @property
    def constituencies(self) -> Mapping[str, Constituency]:
        """Approved networks and domains, by handle."""
        return MappingProxyType(self._network.constituencies)

    def named_parts(self) -> frozenset[bytes]:
        """The hash of every part beside the log that is to be kept."""
        network = self._network
        removed = frozenset(one.handle for one in network.members.values() if onboarding.is_removed(one))
        return named_parts(
            network.records, network.constituencies, network.contacts.values(), removed=removed
        )

    def nominating(self, country: str, topic: str) -> str | None:
        """The contact point that nominates for the topic in that country, None where it is vacant (§9.14)."""
        return nominating(self._network, country, topic)

    def who_nominates(self, body: ContactPoint) -> Nominators:
        """Who besides its own address must sign a `contact` of a member that there is, as things stand (§9.14)."""
        return who_nominates(self._network, body)

    @property
    def officers_threshold(self) -> int:
        return self._network.policy.officers

    @property
    def sponsors_threshold(self) -> int:
        return self._network.policy.sponsors

    def due(self, now: int) -> bool:
        """Is there anything that a tick at `now` (UTC ms) would let take effect?"""
        due_at = self.next_due()
        return due_at is not None and due_at <= now

    def next_due(self) -> int | None:
        """When something falls due next (UTC ms); None when nothing is to come."""
        return next_due(self._network)

    def member(self, handle: str) -> Member:
        """Raises Refused directory.unknown-member."""
        try:
            return self._network.members[handle]
        except KeyError:
            raise Refused("directory.unknown-member", f"{handle[:32]} isn't a member") from None

    def identity(self, signer: str) -> PublicKeys:
        """The keys of a member, `officer/NAME` or `hub`. Raises Rejected auth.unknown-issuer."""
        keys = self._network.keys_of(signer)
        if keys is None:
            raise Rejected("auth.unknown-issuer")
        return keys

    def key_standing(self, address: str, skid: bytes) -> KeyStanding:
        """The signing key `skid` of a member or unit, and whether it still counts.

        Raises Hold hold.unknown-sender, hold.unknown-key.
        """
        return self._network.key_standing(address, skid)

    def prekeys(self, address: str) -> tuple[PrekeyRef, ...]:
        """The prekeys of its newest statement, in order of start.

        None for an address that published none, or whose key is revoked or suspended by a recovery.
        """
        refs = self._network.prekeys.get(address, ())
        return refs if refs and self._network.standing_keys(address) else ()

    def published_kids(self) -> frozenset[bytes]:
        """The prekeys of every address's newest statement."""
        return frozenset(ref.kid for refs in self._network.prekeys.values() for ref in refs)

    def prekey_for(self, address: str, now: int) -> PrekeyRef:
        """The prekey to seal to at `now` (UTC ms). Raises Refused directory.unknown-member, directory.no-prekey."""
        self.member(member_of(address))
        return choose(self.prekeys(address), now)

    def find_prekey(self, address: str, kid: bytes) -> PrekeyRef | None:
        """A prekey of its newest statement, by kid."""
        return next((ref for ref in self.prekeys(address) if ref.kid == kid), None)
