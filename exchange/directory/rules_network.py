"""The rules of the statements about the network itself: officers, policy, hub-change, tick (§9.7, §9.10, §9.11).

Owns their rows of `RULES`, what a majority of the members is, and which of two changes of hub counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from exchange.directory import onboarding
from exchange.directory.bodies_network import HUB_CHANGE, HubChange, Officers, PolicyChange, Tick
from exchange.directory.due import is_due
from exchange.directory.members import Officer
from exchange.directory.network import HubTerm, Network, Policy
from exchange.directory.rule import Rule
from exchange.directory.rules_members import known_key
from exchange.directory.statements import HUB, RECOVERY
from exchange.errors import Rejected
from exchange.keys import PublicKey

FEW: Final = 3  # members; before so many were admitted the officers alone set the policy


def _check_officers(signed: int, needed: int, members: tuple[int, int]) -> None:
    if signed < needed:
        detail = f"{signed} of the {needed} officers needed signed"
        raise Rejected("directory.too-few-officers", detail, officers=(signed, needed), members=members)


def _majority(network: Network, signers: frozenset[str]) -> tuple[int, int]:
    """How many members of those that have a say signed, and how many must: more than half; none where none are."""
    have_a_say = {one.handle for one in network.members.values() if onboarding.has_a_say(one)}
    return len(have_a_say & signers), len(have_a_say) // 2 + 1 if have_a_say else 0


def _check_majority(officers: tuple[int, int], members: tuple[int, int]) -> None:
    signed, needed = members
    if signed < needed:
        detail = f"{signed} of the {needed} members needed signed"
        raise Rejected("directory.too-few-members", detail, officers=officers, members=members)


# -- officers -------------------------------------------------------------------------------------------------------


def _new_officers(network: Network, body: Officers) -> dict[str, Officer]:
    """Those who are new, or have new keys, by address."""
    return {one.address: one for one in body.officers if network.officers.get(one.name) != one}


def _officers_key(network: Network, body: Officers, signer: str) -> PublicKey | None:
    # an officer with new keys proves that it holds them; its old ones don't count besides
    new = _new_officers(network, body).get(signer)
    return new.keys.signing if new else network.key_of(signer)


def _officers_keys_used(network: Network, body: Officers) -> list[bytes]:
    new = _new_officers(network, body).values()
    return [key for one in new for key in (one.keys.signing.skid(network.net), one.keys.transport)]


def _check_change_of_officers(network: Network, body: Officers, signers: frozenset[str], _at: int) -> None:
    new = _new_officers(network, body)
    network.check_unused(*_officers_keys_used(network, body))
    if not signers.issuperset(new):
        raise Rejected("directory.no-possession", "an officer that is new, or has new keys, hasn't signed")
    officers = len(network.officers_among(signers.difference(new))), network.policy.officers
    members = _majority(network, signers)
    _check_majority(officers, members)
    _check_officers(*officers, members)


def _take_change_of_officers(
    network: Network, body: Officers, _at: int, _hash: bytes, _signers: frozenset[str]
) -> None:
    network.used.update(_officers_keys_used(network, body))
    network.officers = {officer.name: officer for officer in body.officers}
    network.policy = replace(network.policy, officers=body.threshold)


# -- policy ---------------------------------------------------------------------------------------------------------


def _check_policy(network: Network, body: PolicyChange, signers: frozenset[str], _at: int) -> None:
    if body.officers > len(network.officers):
        raise Rejected("directory.bad-statement", "it wants more officers than there are")
    secretariat = network.members.get(body.secretariat)
    if body.secretariat and (secretariat is None or onboarding.is_removed(secretariat)):
        raise Rejected("directory.unknown-member")
    officers = len(network.officers_among(signers)), network.policy.officers
    members = (0, 0) if len(network.members) < FEW else _majority(network, signers)
    _check_majority(officers, members)
    _check_officers(*officers, members)


def _take_policy(
    network: Network, body: PolicyChange, _at: int, _hash: bytes, _signers: frozenset[str]
) -> None:
    network.policy = Policy(body.officers, body.sponsors, body.secretariat, body.agreement)


# -- hub-change -----------------------------------------------------------------------------------------------------


def _hub_key(network: Network, body: HubChange, signer: str) -> PublicKey | None:
    # the old hub has no say: it is what is lost
    return body.hub.keys.signing if signer == HUB else network.key_of(signer)


def _hub_keys_used(network: Network, body: HubChange) -> tuple[bytes, bytes]:
    return body.hub.keys.signing.skid(network.net), body.hub.keys.transport


def _check_hub_change(network: Network, body: HubChange, signers: frozenset[str], _at: int) -> None:
    follows = body.term == len(network.hubs) and body.size == network.log.size
    if not follows or network.log.root(body.size) != body.root:
        raise Rejected("directory.wrong-from")
    network.check_unused(*_hub_keys_used(network, body))
    if HUB not in signers:
        raise Rejected("directory.no-possession", "the new hub hasn't signed")
    if RECOVERY not in signers:
        _check_officers(len(network.officers_among(signers)), network.policy.officers, (0, 0))


def _take_hub_change(
    network: Network, body: HubChange, _at: int, statement_hash: bytes, signers: frozenset[str]
) -> None:
    network.used.update(_hub_keys_used(network, body))
    network.hubs.append(body.hub)
    by_officers = len(network.officers_among(signers)) >= network.policy.officers
    network.terms.append(HubTerm(body.size, statement_hash, by_officers))


# -- tick -----------------------------------------------------------------------------------------------------------


def _check_tick(network: Network, _body: Tick, signers: frozenset[str], at: int) -> None:
    if signers != {HUB}:
        raise Rejected("directory.not-own", "only the hub, and nobody besides, says what time it is")
    if not is_due(network, at):
        raise Rejected("directory.not-due")


def _take_tick(_network: Network, _body: Tick, _at: int, _hash: bytes, _signers: frozenset[str]) -> None:
    """What was due took effect before this leaf was judged."""


NETWORK_RULES: Final[Mapping[str, Rule[Any]]] = {
    "officers": Rule[Officers](_officers_key, _check_change_of_officers, _take_change_of_officers),
    "policy": Rule[PolicyChange](known_key, _check_policy, _take_policy),
    HUB_CHANGE: Rule[HubChange](_hub_key, _check_hub_change, _take_hub_change),
    "tick": Rule[Tick](known_key, _check_tick, _take_tick),
}
