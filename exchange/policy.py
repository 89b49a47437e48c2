"""Every "may X send, see or forward Y" (docs/protocol.md §4.4 steps 3-7): returns None or raises, never a flag.

Facts come as arguments: the directory, the clock, what the caller parsed. TLP's own order is tlp.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.directory.addressing import is_person
from exchange.directory.members import Member, Status
from exchange.directory.network import RETIRED, REVOKED, member_of
from exchange.directory.prekeys import PrekeyRef
from exchange.directory.state import Directory
from exchange.errors import Hold, Refused, Rejected
from exchange.header import Header
from exchange.limits import IAT_AHEAD_MS, PREKEY_MARGIN_MS
from exchange.tlp import Tlp

# The table of docs/protocol.md §9.8, a line each: who calls the hub for what, who sends, who is sent to.
_MAY_CALL: Final = frozenset({Status.PROVISIONAL, Status.ACTIVE, Status.RESTRICTED, Status.OFFBOARDING})
_MAY_READ: Final = _MAY_CALL | {Status.SUSPENDED}
_MAY_SEND: Final = _MAY_CALL
_URGENT_ONLY: Final = frozenset({Status.RESTRICTED, Status.OFFBOARDING})
_MAY_RECEIVE: Final = _MAY_READ

_URGENT: Final = ("flash", "immediate")


def check_member_call(directory: Directory, issuer: str, *, reading: bool = False) -> None:
    """May this address use the hub's calls for members? A unit may what its member may.

    `reading`: the call only reads the directory or the mailbox, or brings receipts. Raises Rejected auth.forbidden.
    """
    member = directory.members.get(member_of(issuer))
    known = issuer in directory.members or issuer in directory.units
    if member is None or not known or member.status not in (_MAY_READ if reading else _MAY_CALL):
        status = member.status.value if member and known else "not a member"
        raise Rejected("auth.forbidden", f"{issuer} is {status}")


def check_statement_call(directory: Directory, issuer: str, subject: str) -> None:
    """May this address bring a statement about `subject`? A suspended one may about itself, so that it can leave and
    be warned under its prekeys. Raises Rejected auth.forbidden."""
    check_member_call(directory, issuer, reading=member_of(subject) == member_of(issuer))


def mail_since(directory: Directory, address: str) -> int:
    """From when on (UTC ms) the hub hands out what it accepted for this address: while suspended, since then."""
    member = directory.members.get(member_of(address))
    return member.suspension.since if member is not None and member.suspension is not None else 0


def check_send(
    *,
    tlp: Tlp,
    lane: str,
    sender: str,
    recipients: Sequence[str],
    anchor_confirmed: bool,
    directory: Directory,
) -> None:
    """May `sender` send content of that TLP to `recipients` in that lane? Raises Refused naming what to change."""
    if not recipients:
        raise Refused("policy.no-recipient")
    if all(recipient == sender for recipient in recipients):
        raise Refused("policy.self-only")
    to_persons = all(is_person(directory, recipient) for recipient in recipients)
    check_tlp_to_node(tlp, anchor_confirmed=anchor_confirmed, to_persons=to_persons)
    own = directory.member(member_of(sender))
    addressees = [_addressee(directory, recipient) for recipient in recipients]
    _check_standing(directory, own, lane, [member.handle for member in addressees], Refused)
    for member in addressees:
        if member.handle != own.handle:
            _check_sent_to(member, tlp)


def _addressee(directory: Directory, address: str) -> Member:
    """The member an address belongs to. Raises Refused directory.unknown-member, unit.unknown."""
    member = directory.member(member_of(address))
    if address not in directory.members and address not in directory.units:
        raise Refused("unit.unknown", f"{address} has no keys of its own")
    return member


def _check_sent_to(member: Member, tlp: Tlp) -> None:
    """Raises Refused policy.recipient-status, policy.provisional-tlp, policy.suspended-clear-only."""
    if member.status not in _MAY_RECEIVE:
        raise Refused("policy.recipient-status", f"{member.handle} is {member.status.value}")
    if member.status is Status.PROVISIONAL and tlp > Tlp.GREEN:
        raise Refused("policy.provisional-tlp", f"{member.handle} is provisional")
    if member.status is Status.SUSPENDED and tlp > Tlp.CLEAR:
        raise Refused("policy.suspended-clear-only", f"{member.handle} is suspended")


def is_suspended(directory: Directory, address: str) -> bool:
    """Whether the address's member is suspended by the log; a node may know of it by a notice as well (overlay.py)."""
    member = directory.members.get(member_of(address))
    return member is not None and member.status is Status.SUSPENDED


def check_to_suspended(tlp: Tlp | None) -> None:
    """May content of that TLP, None for a control message, be sealed to a suspended member?

    Raises Refused policy.suspended-clear-only.
    """
    if tlp is not Tlp.CLEAR:
        raise Refused("policy.suspended-clear-only")


def _check_standing(
    directory: Directory,
    sender: Member,
    lane: str,
    recipients: Sequence[str],
    error: type[Refused] | type[Rejected],
) -> None:
    """May a member that stands so send to these members in that lane? Raises `error`."""
    if sender.status not in _MAY_SEND:
        raise error("policy.sender-status", f"{sender.handle} is {sender.status.value}")
    if sender.status is Status.PROVISIONAL:
        near = {*sender.sponsors, directory.policy.secretariat, sender.handle}
        far = sorted(set(recipients) - near)
        if far:
            raise error("policy.provisional", f"{far[0]} is neither sponsor nor secretariat")
    if sender.status in _URGENT_ONLY and lane not in _URGENT:
        raise error("policy.restricted", f"{sender.handle} is {sender.status.value}")


def control_lane(directory: Directory, sender: str, lane: str) -> str:
    """The lane in which `sender`'s node answers or asks of itself, where `lane` would be the natural one.

    The hub can't tell such messages from others: those of a member that only sends urgent mail go as urgent.
    """
    member = directory.members.get(member_of(sender))
    urgent_only = member is not None and member.status in _URGENT_ONLY
    return _URGENT[-1] if urgent_only and lane not in _URGENT else lane


def check_tlp_to_node(tlp: Tlp, *, anchor_confirmed: bool, to_persons: bool = False) -> None:
    """May content of that TLP be sealed from here, `to_persons` by the keys of each or to the keys of nodes?

    RED names persons. Raises Refused tlp.red-needs-persons, policy.anchor-unconfirmed.
    """
    if tlp is Tlp.RED and not to_persons:
        raise Refused("tlp.red-needs-persons")
    if not anchor_confirmed and tlp > Tlp.GREEN:
        raise Refused("policy.anchor-unconfirmed", f"{tlp.label} is above TLP:GREEN")


def check_accept(header: Header, *, issuer: str, directory: Directory, now: int) -> None:
    """Steps 3-7 of docs/protocol.md §4.4: may the hub take this envelope? `now` in ms. Raises Rejected."""
    check_origin(header, issuer=issuer, directory=directory)
    _check_sender(header, directory=directory, now=now)  # 5
    prekeys = [(address, _recipients_prekey(directory, address, kid)) for address, kid in header.to]  # 6
    if header.iat > now + IAT_AHEAD_MS:  # 7
        raise Rejected("envelope.future", now=now)
    if header.exp <= now:
        raise Rejected("envelope.expired", now=now)
    for address, prekey in prekeys:
        if header.exp > prekey.destroy - PREKEY_MARGIN_MS:
            raise Rejected("envelope.outlives-prekey", address=address)


def check_origin(header: Header, *, issuer: str, directory: Directory) -> None:
    """Steps 3 and 4 of docs/protocol.md §4.4: is it of this network, and by whoever brings it? Raises Rejected.

    A member's node brings its units' mail too.
    """
    if header.net != directory.net:
        raise Rejected("envelope.other-network")
    if issuer not in (header.sender, member_of(header.sender)):
        raise Rejected("envelope.not-sender")


def _check_sender(header: Header, *, directory: Directory, now: int) -> None:
    member = directory.members.get(member_of(header.sender))
    if member is None or (header.sender != member.handle and header.sender not in directory.units):
        raise Rejected("envelope.unknown-sender")
    try:
        standing = directory.key_standing(header.sender, header.skid)
    except Hold as fault:
        raise Rejected("envelope.unknown-key") from fault
    if standing.state == RETIRED and not standing.counts(now):
        raise Rejected("envelope.retired-key", at=standing.at)
    if standing.state == REVOKED:
        raise Rejected("envelope.revoked-key", at=standing.at)
    recipients = [member_of(address) for address, _ in header.to]
    _check_standing(directory, member, header.lane, recipients, Rejected)


def _recipients_prekey(directory: Directory, address: str, kid: bytes) -> PrekeyRef:
    member = directory.members.get(member_of(address))
    if member is None or (address != member.handle and address not in directory.units):
        raise Rejected("envelope.unknown-recipient", f"{address} is not in the directory", address=address)
    if member.status not in _MAY_RECEIVE:
        raise Rejected("policy.recipient-status", f"{address} is {member.status.value}", address=address)
    prekey = directory.find_prekey(address, kid)
    if prekey is None:
        raise Rejected("envelope.unknown-prekey", f"not in {address}'s newest prekeys", address=address)
    return prekey


def check_open(*, urgency: str, lane: str) -> None:
    """What a recipient demands of a STIX message beyond its envelope. Raises Rejected message.urgency-mismatch."""
    if urgency != lane:
        raise Rejected("message.urgency-mismatch", f"urgency {urgency} came in lane {lane}")
