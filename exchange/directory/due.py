"""What falls due by itself: unconfirmed emergencies, ends of suspensions, recoveries, ends of offboarding (§9.7).

Owns when and in which order. Time is the log's: `at` is a leaf's, never a clock's, when a network is settled for good.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from exchange.directory import onboarding
from exchange.directory.members import Member, Recovery
from exchange.directory.network import Network, OldKey
from exchange.limits import HOUR_MS

RECOVERY_MS: Final = 72 * HOUR_MS  # how long a recovery can be vetoed


def settle(network: Network, at: int) -> None:
    """Let what is due at `at` (UTC ms) take effect; then the next leaf is judged. `fell_due` says if anything was."""
    due = sorted((when, handle) for handle, when in network.deadlines.items() if when <= at)
    for _, handle in due:
        _settle_member(network, network.members[handle], at)
    network.fell_due = bool(due)


def settled(network: Network, at: int) -> Network:
    """The network as `settle` would leave it at `at`; the one given isn't changed."""
    if not any(when <= at for when in network.deadlines.values()):
        return replace(network, fell_due=False)
    fork = network.fork()
    settle(fork, at)
    return fork


def is_due(network: Network, at: int) -> bool:
    """Is anything due at `at` (UTC ms), or was, when the network was settled for the leaf that is judged now?"""
    return network.fell_due or any(when <= at for when in network.deadlines.values())


def next_due(network: Network) -> int | None:
    """When something falls due next (UTC ms); None when nothing is to come."""
    return min(network.deadlines.values(), default=None)


def _settle_member(network: Network, member: Member, at: int) -> None:
    if member.recovery and member.recovery.due <= at:
        member = _recovered(network, member, member.recovery, at)
    suspension = member.suspension
    if suspension and (suspension.until <= at or 0 < suspension.confirm_by <= at):
        member = onboarding.unsuspended(member, at=at)
    if 0 < member.until <= at:
        member = onboarding.removed(member, at=at)
        drop_prekeys(network, member.handle)
    network.put(member)


def _recovered(network: Network, member: Member, recovery: Recovery, at: int) -> Member:
    old, skid = member.keys.signing, member.keys.signing.skid(network.net)
    if not network.is_revoked(old):
        network.old_keys[skid] = OldKey(member.handle, old, at, revoked=at, since=recovery.since)
    network.prekeys.pop(member.handle, None)  # nothing more is sealed to what the old key vouched for
    network.prekey_times.pop(member.handle, None)
    return replace(
        member,
        keys=recovery.keys,
        next=recovery.next,
        revoke=recovery.revoke,
        recovery=None,
        vetoes=0,
    )


def drop_prekeys(network: Network, handle: str) -> None:
    """Nothing more is sealed to a member that is gone, nor to its units."""
    for address in [one for one in network.prekeys if one.partition("/")[0] == handle]:
        del network.prekeys[address]
