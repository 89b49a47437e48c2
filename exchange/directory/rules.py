"""What each type of statement needs beyond the common rules, and what it then changes: `RULES`, one row per type.

Owns docs/protocol.md §9.4 and §9.5. The common rules and their order are in `state`, statuses and thresholds in
`onboarding`, the other types' rows in the neighbours `rules_*`. A new type is a parser in `bodies.PARSERS`, a row here
and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from exchange.directory import onboarding
from exchange.directory.bodies_base import Add, Prekeys
from exchange.directory.network import Network, member_of
from exchange.directory.prekeys import check_times
from exchange.directory.rule import Rule
from exchange.directory.rules_contacts import CONTACT_RULES
from exchange.directory.rules_members import MEMBER_RULES, check_sponsored, keys_used, known_key
from exchange.directory.rules_network import NETWORK_RULES
from exchange.errors import Rejected
from exchange.keys import PublicKey
from exchange.limits import DAY_MS

PREKEYS_A_DAY: Final = 4


def _add_key(network: Network, body: Add, signer: str) -> PublicKey | None:
    # the new member's signature proves that it holds the key that is to become its own
    return body.member.keys.signing if signer == body.member.handle else network.key_of(signer)


def _add_keys_used(network: Network, body: Add) -> tuple[bytes, ...]:
    return *keys_used(network, body.member.keys), body.member.revoke.skid(network.net)


def _check_add(network: Network, body: Add, signers: frozenset[str], at: int) -> None:
    new = body.member
    if new.handle in network.members:
        raise Rejected("directory.handle-taken", f"{new.handle} was used before")
    network.check_unused(*_add_keys_used(network, body))
    if new.handle not in signers:
        raise Rejected("directory.no-possession")
    if onboarding.is_founding(new) and at > network.genesis.at + onboarding.FOUNDING_MS:
        raise Rejected("directory.not-founding")
    check_sponsored(network, signers, new.country, subject=new.handle)


def _take_add(network: Network, body: Add, at: int, _hash: bytes, signers: frozenset[str]) -> None:
    sponsors = onboarding.sponsors_among(
        body.member.country, (network.members[one] for one in signers & network.members.keys())
    )
    handles = tuple(sponsor.handle for sponsor in sponsors)
    network.put(replace(body.member, since=at, sponsors=handles))
    network.used.update(_add_keys_used(network, body))


def _check_prekeys(network: Network, body: Prekeys, signers: frozenset[str], at: int) -> None:
    address = body.head.subject[0]
    if signers != {address}:
        raise Rejected("directory.not-own")
    if onboarding.is_removed(network.members[member_of(address)]):
        raise Rejected("directory.wrong-status", f"{address} is removed")
    check_times(body.refs, at)
    times = network.prekey_times.get(address, ())
    if len(times) == PREKEYS_A_DAY and times[0] > at - DAY_MS:
        raise Rejected("directory.too-often", retry_after=(times[0] + DAY_MS - at) // 1000 + 1)


def _take_prekeys(network: Network, body: Prekeys, at: int, _hash: bytes, _signers: frozenset[str]) -> None:
    address = body.head.subject[0]
    network.prekeys[address] = body.refs
    times = network.prekey_times.get(address, ())
    network.prekey_times[address] = (*times, at)[-PREKEYS_A_DAY:]


# Any: a row's type is that of its parser in `bodies.PARSERS`, under the same name. A genesis has no row:
# its own schema forbids it to be a later leaf.
RULES: Final[Mapping[str, Rule[Any]]] = {
    "add": Rule[Add](_add_key, _check_add, _take_add),
    "prekeys": Rule[Prekeys](known_key, _check_prekeys, _take_prekeys),
    **MEMBER_RULES,
    **NETWORK_RULES,
    **CONTACT_RULES,
}
