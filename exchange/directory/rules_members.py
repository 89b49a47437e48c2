"""The rules of a member's life: status, suspend, rotate, recover, veto, revoke (docs/protocol.md §9.8, §9.9).

Owns their rows of `RULES`. Who may move whom from where to where is `onboarding`'s table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from exchange.canonical import ZERO32
from exchange.directory import onboarding
from exchange.directory.bodies_members import (
    BY_NETWORK,
    OWN,
    PRINTED,
    Recover,
    Revoke,
    Rotate,
    StatusMove,
    Suspend,
    Veto,
)
from exchange.directory.due import RECOVERY_MS, drop_prekeys
from exchange.directory.members import Member, Move, Recovery, Suspension
from exchange.directory.network import Network, OldKey, member_of
from exchange.directory.rule import Rule
from exchange.errors import Rejected
from exchange.keys import PublicKey, PublicKeys
from exchange.limits import DAY_MS

SINCE_MS: Final = 30 * DAY_MS  # how far back a revocation reaches without the officers' threshold


def known_key(network: Network, _body: object, signer: str) -> PublicKey | None:
    """The key that a signer has in the log, for bodies that bring none."""
    return network.key_of(signer)


def _subject(network: Network, handle: str) -> Member:
    """Raises Rejected directory.unknown-member; directory.wrong-status for one whose name is never used again."""
    member = network.members.get(handle)
    if member is None:
        raise Rejected("directory.unknown-member", f"{handle} isn't a member")
    if onboarding.is_removed(member):
        raise Rejected("directory.wrong-status", f"{handle} is removed")
    return member


def _check_only(signers: frozenset[str], allowed: frozenset[str]) -> None:
    """Raises Rejected directory.not-own for a signer that the statement has no place for."""
    if not signers <= allowed:
        raise Rejected("directory.not-own", f"{min(signers - allowed)} has no say in this statement")


def _officers(network: Network) -> frozenset[str]:
    return frozenset(officer.address for officer in network.officers.values())


def check_sponsored(
    network: Network, signers: frozenset[str], country: str, *, subject: str, more: int = 0
) -> None:
    """The officers' threshold, and sponsors as for admitting a member of `country`, `more` beyond the policy's number.

    Raises Rejected directory.too-few-officers, directory.too-few-sponsors.
    """
    others = [member for member in network.members.values() if member.handle != subject]
    signed = onboarding.sponsors_among(country, (one for one in others if one.handle in signers))
    needed = onboarding.sponsors_needed(country, others, network.policy.sponsors + more)
    onboarding.check_signatures(
        officers=(len(network.officers_among(signers)), network.policy.officers),
        sponsors=(len({one.country for one in signed}), needed),
    )


# -- status -------------------------------------------------------------------------------------------------------


def _check_status(network: Network, body: StatusMove, signers: frozenset[str], at: int) -> None:
    member, move = _subject(network, body.head.subject[0]), body.move
    onboarding.check_move(move, member)
    if body.names != onboarding.named_by(move, member):
        raise Rejected("directory.wrong-reference")
    row = onboarding.TRANSITIONS[move]
    _check_document(body.document, needed=row.document)
    if row.notice and not at + row.least <= body.until <= at + onboarding.MAX_PERIOD_MS:
        detail = f"a notice ends {row.least // DAY_MS} to 366 days from now"
        raise Rejected("directory.bad-time", detail)
    if move is Move.ACTIVATE and not member.rotations:
        raise Rejected("directory.no-drill")
    own = frozenset({member.handle}) if row.member else frozenset()
    sponsors = frozenset(member.sponsors) if row.sponsor else frozenset()
    _check_only(signers, (_officers(network) if row.officers else own) | sponsors)
    if not own <= signers:
        raise Rejected("directory.not-own", f"only {member.handle} itself leaves")
    if move is Move.CONFIRM:
        _check_confirmed(network, member, signers)
    elif row.officers:
        vouching = [one for one in signers & sponsors if onboarding.may_sponsor(network.members[one])]
        onboarding.check_signatures(
            officers=(len(network.officers_among(signers)), network.policy.officers),
            sponsors=(len(vouching), min(1, len(sponsors))),
        )


def _check_confirmed(network: Network, member: Member, signers: frozenset[str]) -> None:
    first = frozenset(member.suspension.officers) if member.suspension else frozenset()
    together = len(network.officers_among(signers | first))
    if signers <= first:
        together = min(together, network.policy.officers - 1)  # whoever suspended can't confirm it alone
    onboarding.check_signatures(officers=(together, network.policy.officers), sponsors=(0, 0))


def _check_document(document: bytes, *, needed: bool) -> None:
    if needed and document == ZERO32:
        raise Rejected("directory.no-document")


def _take_status(network: Network, body: StatusMove, at: int, named: bytes, _signers: frozenset[str]) -> None:
    member = network.members[body.head.subject[0]]
    network.put(onboarding.moved(body.move, member, at=at, named=named, until=body.until))
    if body.move is Move.REMOVE:
        drop_prekeys(network, member.handle)


# -- suspend ------------------------------------------------------------------------------------------------------


def _check_suspend(network: Network, body: Suspend, signers: frozenset[str], at: int) -> None:
    member = _subject(network, body.head.subject[0])
    onboarding.check_move(Move.SUSPEND, member)
    _check_document(body.document, needed=True)
    if not at <= body.until <= at + onboarding.MAX_PERIOD_MS:
        raise Rejected("directory.bad-time", "a suspension ends 366 days from now at the latest")
    _check_only(signers, _officers(network))
    if not signers:
        onboarding.check_signatures(officers=(0, network.policy.officers), sponsors=(0, 0))
    if len(signers) < network.policy.officers:
        # several below the threshold are as good as the one that is free to act
        free = min(_free_at(network, officer, member.handle) for officer in signers)
        if free > at:
            raise Rejected("directory.too-often", retry_after=(free - at) // 1000 + 1)


def _free_at(network: Network, officer: str, handle: str) -> int:
    """From when on (UTC ms) an officer may suspend a member in an emergency."""
    made = [at for (who, _), at in network.emergencies.items() if who == officer]
    free = max(made) + onboarding.EMERGENCY_MS if made else 0
    same = network.emergencies.get((officer, handle))
    return free if same is None else max(free, same + onboarding.EMERGENCY_AGAIN_MS)


def _take_suspend(network: Network, body: Suspend, at: int, named: bytes, signers: frozenset[str]) -> None:
    member = network.members[body.head.subject[0]]
    emergency = len(signers) < network.policy.officers
    if emergency:
        network.emergencies.update(dict.fromkeys(((officer, member.handle) for officer in signers), at))
    suspension = Suspension(
        named=named,
        before=member.status,
        ground=body.ground,
        document=body.document,
        since=at,
        until=body.until,
        confirm_by=at + onboarding.EMERGENCY_MS if emergency else 0,
        officers=tuple(sorted(signers)),
    )
    network.put(onboarding.suspended(member, suspension))


# -- keys ---------------------------------------------------------------------------------------------------------


def _brought_key(network: Network, body: Rotate | Recover, signer: str) -> PublicKey | None:
    # the new key's signature proves that the member holds it
    return body.keys.signing if signer == body.head.subject[0] else network.key_of(signer)


def keys_used(network: Network, keys: PublicKeys) -> tuple[bytes, bytes]:
    """What keys that are used once, ever, are known by."""
    return keys.signing.skid(network.net), keys.transport


def _check_rotate(network: Network, body: Rotate, signers: frozenset[str], _at: int) -> None:
    member = _subject(network, body.head.subject[0])
    if signers != {member.handle}:
        raise Rejected("directory.not-own")
    if member.recovery:
        raise Rejected("directory.wrong-status", "a recovery of these keys is pending")
    if body.keys.next_commitment(network.net) != member.next:
        raise Rejected("directory.not-next")
    # Not the transport key: `next` has named it before anybody else could, and no proof is asked of who took it since.
    network.check_unused(body.keys.signing.skid(network.net))


def _take_rotate(network: Network, body: Rotate, at: int, _hash: bytes, _signers: frozenset[str]) -> None:
    member = network.members[body.head.subject[0]]
    network.retire(member.handle, member.keys.signing, at)
    network.used.update(keys_used(network, body.keys))
    network.prekey_times.pop(member.handle, None)  # a thief may have spent what the owner needs now
    rotations = member.rotations + 1
    network.put(replace(member, keys=body.keys, next=body.next, rotations=rotations, vetoes=0))


def _recover_keys_used(network: Network, body: Recover) -> tuple[bytes, ...]:
    return *keys_used(network, body.keys), body.revoke.skid(network.net)


def _check_recover(network: Network, body: Recover, signers: frozenset[str], _at: int) -> None:
    member = _subject(network, body.head.subject[0])
    if member.recovery:
        raise Rejected("directory.wrong-status", "a recovery of these keys is pending already")
    network.check_unused(*_recover_keys_used(network, body))
    if member.handle not in signers:
        raise Rejected("directory.no-possession")
    more = min(1, member.vetoes)
    check_sponsored(network, signers, member.country, subject=member.handle, more=more)


def _take_recover(network: Network, body: Recover, at: int, named: bytes, _signers: frozenset[str]) -> None:
    member = network.members[body.head.subject[0]]
    network.used.update(_recover_keys_used(network, body))
    recovery = Recovery(
        named=named,
        keys=body.keys,
        next=body.next,
        revoke=body.revoke,
        since=at,
        due=at + RECOVERY_MS,
        next_only=member.vetoes > 0,
    )
    network.put(replace(member, recovery=recovery))


def _veto_key(network: Network, body: Veto, signer: str) -> PublicKey | None:
    member = network.members.get(body.head.subject[0])
    if member is None or signer != member.handle:
        return network.key_of(signer)
    if body.keys:
        return body.keys.signing
    # the one thing that a key suspended by a recovery still signs
    return None if network.is_revoked(member.keys.signing) else member.keys.signing


def _check_veto(network: Network, body: Veto, signers: frozenset[str], _at: int) -> None:
    member = _subject(network, body.head.subject[0])
    if signers != {member.handle}:
        raise Rejected("directory.not-own")
    if member.recovery is None or member.recovery.named != body.names:
        raise Rejected("directory.wrong-reference", "no such recovery is pending")
    if body.keys and body.keys.next_commitment(network.net) != member.next:
        raise Rejected("directory.not-next")
    if body.keys is None and member.recovery.next_only:
        raise Rejected("directory.no-veto", "the next key vetoes a second recovery")


def _take_veto(network: Network, body: Veto, _at: int, _hash: bytes, _signers: frozenset[str]) -> None:
    member = network.members[body.head.subject[0]]
    network.put(replace(member, recovery=None, vetoes=member.vetoes + 1))


# -- revoke -------------------------------------------------------------------------------------------------------


def _revoke_key(network: Network, body: Revoke, signer: str) -> PublicKey | None:
    member = network.members.get(member_of(body.head.subject[0]))
    if body.by == PRINTED and member and signer == member.handle:
        return member.revoke
    return network.key_of(signer)


def _key_to_revoke(network: Network, body: Revoke) -> PublicKey:
    """Raises Rejected directory.unknown-key."""
    address = body.head.subject[0]
    holder = network.members.get(address) or network.units.get(address)
    if holder and holder.keys.signing.skid(network.net) == body.skid:
        return holder.keys.signing
    old = network.old_keys.get(body.skid)
    if old is None or old.address != address:
        raise Rejected("directory.unknown-key")
    return old.key


def _check_revoke(network: Network, body: Revoke, signers: frozenset[str], at: int) -> None:
    address = body.head.subject[0]
    _key_to_revoke(network, body)
    old = network.old_keys.get(body.skid)
    if body.since > at or (old and old.revoked and body.since >= old.since):
        raise Rejected(
            "directory.bad-time", "compromised since: not in the future, and it only moves earlier"
        )
    member = network.members[member_of(address)]
    if body.by == BY_NETWORK:
        check_sponsored(network, signers, member.country, subject=member.handle)
        return
    speaker = address if body.by == OWN else member.handle
    _check_only(signers, _officers(network) | {speaker})
    if speaker not in signers:
        raise Rejected("directory.not-own", f"{speaker} itself must sign")
    if body.since < at - SINCE_MS:
        onboarding.check_signatures(
            officers=(len(network.officers_among(signers)), network.policy.officers), sponsors=(0, 0)
        )


def _take_revoke(network: Network, body: Revoke, at: int, _hash: bytes, _signers: frozenset[str]) -> None:
    address, key = body.head.subject[0], _key_to_revoke(network, body)
    before = network.old_keys.get(body.skid, OldKey(address, key, at))
    network.old_keys[body.skid] = replace(before, revoked=before.revoked or at, since=body.since)
    holder = network.members.get(address) or network.units.get(address)
    if holder and holder.keys.signing == key:
        network.prekeys.pop(address, None)  # what the key vouched for is void


MEMBER_RULES: Final[Mapping[str, Rule[Any]]] = {
    "status": Rule[StatusMove](known_key, _check_status, _take_status),
    "suspend": Rule[Suspend](known_key, _check_suspend, _take_suspend, outruns=True),
    "rotate": Rule[Rotate](_brought_key, _check_rotate, _take_rotate),
    "recover": Rule[Recover](_brought_key, _check_recover, _take_recover),
    "veto": Rule[Veto](_veto_key, _check_veto, _take_veto, outruns=True),
    "revoke": Rule[Revoke](_revoke_key, _check_revoke, _take_revoke, outruns=True, voids=False),
}
