"""What each type of statement needs beyond the common rules, and what it then changes: `RULES`, one row per type.

Owns docs/protocol.md §9.4 and §9.5. The common rules and their order are in `state`, statuses and thresholds in
`onboarding`. A new type is a parser in `statements.PARSERS`, a row here and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from exchange.directory import onboarding
from exchange.directory.network import Network, member_of
from exchange.directory.prekeys import check_times
from exchange.directory.statements import Add, Prekeys
from exchange.errors import Rejected
from exchange.keys import PublicKey
from exchange.limits import DAY_MS

PREKEYS_A_DAY: Final = 4

_B = TypeVar("_B")


@dataclass(frozen=True)
class Rule(Generic[_B]):
    """A type's row.

    key: whose key a signer's is, when this body itself may bring one; None for an unknown signer.
    check: given the verified signers and the leaf's time (UTC ms), raises Rejected with the code of the rule broken.
    take: changes the network; called after `check` only, and never fails.
    """

    key: Callable[[Network, _B, str], PublicKey | None]
    check: Callable[[Network, _B, frozenset[str], int], None]
    take: Callable[[Network, _B, int], None]


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
    needed = onboarding.sponsors_needed(
        new.country, network.members.values(), network.genesis.sponsors_threshold
    )
    officers = sum(officer.address in signers for officer in network.officers.values())
    onboarding.check_signatures(
        officers=(officers, network.genesis.officers_threshold), sponsors=(len(countries), needed)
    )


def _take_add(network: Network, body: Add, at: int) -> None:
    network.members[body.member.handle] = onboarding.moved("add", None, body.member, at=at)
    network.used.update(_add_keys_used(network, body))


def _check_prekeys(network: Network, body: Prekeys, signers: frozenset[str], at: int) -> None:
    address = body.head.subject[0]
    if signers != {address}:
        raise Rejected("directory.not-own")
    check_times(body.refs, at)
    times = network.prekey_times.get(member_of(address), deque())
    if len(times) == PREKEYS_A_DAY and times[0] > at - DAY_MS:
        raise Rejected("directory.too-often", retry_after=(times[0] + DAY_MS - at) // 1000 + 1)


def _take_prekeys(network: Network, body: Prekeys, at: int) -> None:
    address = body.head.subject[0]
    network.prekeys[address] = body.refs
    network.prekey_times.setdefault(member_of(address), deque(maxlen=PREKEYS_A_DAY)).append(at)


# Any: a row's type is that of its parser in `statements.PARSERS`, under the same name. A genesis has no row:
# its own schema forbids it to be a later leaf.
RULES: Final[Mapping[str, Rule[Any]]] = {
    "add": Rule[Add](_add_key, _check_add, _take_add),
    "prekeys": Rule[Prekeys](_known_key, _check_prekeys, _take_prekeys),
}
