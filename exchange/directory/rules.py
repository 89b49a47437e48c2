"""What each type of statement needs beyond the common rules, and what it then changes: `RULES`, one row per type.

Owns docs/protocol.md §9.4 and §9.5. The common rules and their order are in `state`, statuses and thresholds in
`onboarding`. A new type is a parser in `statements.PARSERS`, a row here and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from exchange.directory import onboarding
from exchange.directory.bodies_base import Add, Prekeys
from exchange.directory.network import Network
from exchange.directory.prekeys import check_times
from exchange.directory.rule import Rule
from exchange.errors import Rejected
from exchange.keys import PublicKey
from exchange.limits import DAY_MS

PREKEYS_A_DAY: Final = 4


def _known_key(network: Network, _body: object, signer: str) -> PublicKey | None:
    return network.key_of(signer)


def _add_key(network: Network, body: Add, signer: str) -> PublicKey | None:
    # the new member's signature proves that it holds the key that is to become its own
    return body.member.keys.signing if signer == body.member.handle else network.key_of(signer)


def _add_keys_used(network: Network, body: Add) -> tuple[bytes, bytes, bytes]:
    new = body.member
    return new.keys.signing.skid(network.net), new.revoke.skid(network.net), new.keys.transport


def _check_add(network: Network, body: Add, signers: frozenset[str], at: int) -> None:
    new = body.member
    onboarding.moved("add", network.members.get(new.handle), new, at=at)
    network.check_unused(*_add_keys_used(network, body))
    if new.handle not in signers:
        raise Rejected("directory.no-possession")
    sponsors = [network.members[signer] for signer in signers & network.members.keys()]
    countries = onboarding.sponsor_countries(new.country, sponsors)
    needed = onboarding.sponsors_needed(new.country, network.members.values(), network.policy.sponsors)
    officers = sum(officer.address in signers for officer in network.officers.values())
    onboarding.check_signatures(
        officers=(officers, network.policy.officers), sponsors=(len(countries), needed)
    )


def _take_add(network: Network, body: Add, at: int, _hash: bytes, signers: frozenset[str]) -> None:
    sponsors = tuple(sorted(signers & network.members.keys()))
    admitted = onboarding.moved("add", None, body.member, at=at)
    network.members[body.member.handle] = replace(admitted, sponsors=sponsors)
    network.used.update(_add_keys_used(network, body))


def _check_prekeys(network: Network, body: Prekeys, signers: frozenset[str], at: int) -> None:
    address = body.head.subject[0]
    if signers != {address}:
        raise Rejected("directory.not-own")
    check_times(body.refs, at)
    times = network.prekey_times.get(address, deque())
    if len(times) == PREKEYS_A_DAY and times[0] > at - DAY_MS:
        raise Rejected("directory.too-often", retry_after=(times[0] + DAY_MS - at) // 1000 + 1)


def _take_prekeys(network: Network, body: Prekeys, at: int, _hash: bytes, _signers: frozenset[str]) -> None:
    address = body.head.subject[0]
    network.prekeys[address] = body.refs
    network.prekey_times.setdefault(address, deque(maxlen=PREKEYS_A_DAY)).append(at)


# Any: a row's type is that of its parser in `statements.PARSERS`, under the same name. A genesis has no row:
# its own schema forbids it to be a later leaf.
RULES: Final[Mapping[str, Rule[Any]]] = {
    "add": Rule[Add](_add_key, _check_add, _take_add),
    "prekeys": Rule[Prekeys](_known_key, _check_prekeys, _take_prekeys),
}
