"""Every "may X send, see or forward Y" (docs/protocol.md §4.4 steps 3-7): returns None or raises, never a flag.

Facts come as arguments: the directory, the clock, what the caller parsed. TLP's own order is tlp.py's.
"""

from __future__ import annotations

from collections.abc import Sequence

from exchange.directory.members import Status
from exchange.directory.prekeys import PrekeyRef
from exchange.directory.state import Directory
from exchange.errors import Hold, Refused, Rejected
from exchange.header import Header
from exchange.limits import IAT_AHEAD_MS, PREKEY_MARGIN_MS
from exchange.tlp import Tlp

_MAY_SEND = frozenset({Status.ACTIVE})
_MAY_RECEIVE = frozenset({Status.ACTIVE})


def check_member_call(directory: Directory, issuer: str) -> None:
    """May this address use the hub's calls for members? Raises Rejected auth.forbidden."""
    member = directory.members.get(issuer)
    if member is None or member.status not in _MAY_RECEIVE:
        raise Rejected("auth.forbidden", f"{issuer} is not an active member")


def check_send(
    *,
    tlp: Tlp,
    sender: str,
    recipients: Sequence[str],
    anchor_confirmed: bool,
    directory: Directory,
) -> None:
    """May `sender` send content of that TLP to `recipients`? Raises Refused naming what to change."""
    if not recipients:
        raise Refused("policy.no-recipient")
    if all(recipient == sender for recipient in recipients):
        raise Refused("policy.self-only")
    check_tlp_to_node(tlp, anchor_confirmed=anchor_confirmed)
    if directory.member(sender).status not in _MAY_SEND:
        raise Refused("policy.sender-status", f"{sender} is {directory.member(sender).status.value}")
    for recipient in recipients:
        if directory.member(recipient).status not in _MAY_RECEIVE:
            raise Refused(
                "policy.recipient-status", f"{recipient} is {directory.member(recipient).status.value}"
            )


def check_tlp_to_node(tlp: Tlp, *, anchor_confirmed: bool) -> None:
    """May content of that TLP be sealed to nodes' keys from here?

    RED names persons, and persons have no keys in this version. Raises Refused tlp.red-needs-persons,
    policy.anchor-unconfirmed.
    """
    if tlp is Tlp.RED:
        raise Refused("tlp.red-needs-persons")
    if not anchor_confirmed and tlp > Tlp.GREEN:
        raise Refused("policy.anchor-unconfirmed", f"{tlp.label} is above TLP:GREEN")


def check_accept(header: Header, *, issuer: str, directory: Directory, now: int) -> None:
    """Steps 3-7 of docs/protocol.md §4.4: may the hub take this envelope? `now` in ms. Raises Rejected."""
    check_origin(header, issuer=issuer, directory=directory)
    sender = directory.members.get(header.sender)  # 5
    if sender is None:
        raise Rejected("envelope.unknown-sender")
    try:
        directory.signing_key(header.sender, header.skid)
    except Hold as fault:
        raise Rejected("envelope.unknown-key") from fault
    if sender.status not in _MAY_SEND:
        raise Rejected("policy.sender-status", f"{header.sender} is {sender.status.value}")
    prekeys = [(address, _recipients_prekey(directory, address, kid)) for address, kid in header.to]  # 6
    if header.iat > now + IAT_AHEAD_MS:  # 7
        raise Rejected("envelope.future", now=now)
    if header.exp <= now:
        raise Rejected("envelope.expired", now=now)
    for address, prekey in prekeys:
        if header.exp > prekey.destroy - PREKEY_MARGIN_MS:
            raise Rejected("envelope.outlives-prekey", address=address)


def check_origin(header: Header, *, issuer: str, directory: Directory) -> None:
    """Steps 3 and 4 of docs/protocol.md §4.4: is it of this network, and by whoever brings it? Raises Rejected."""
    if header.net != directory.net:
        raise Rejected("envelope.other-network")
    if header.sender != issuer:
        raise Rejected("envelope.not-sender")


def _recipients_prekey(directory: Directory, address: str, kid: bytes) -> PrekeyRef:
    member = directory.members.get(address)
    if member is None:
        raise Rejected("envelope.unknown-recipient", f"{address} is not a member", address=address)
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


def check_release(*, tlp: Tlp, export: bool) -> None:
    """May opened content be shown at this node, or leave it as a copy (`export`)? The caller logs what it lets out.

    Who reads at the node of a recipient may see what was sealed to the node. RED is for named persons: a peer that
    sealed it to a node all the same is read there, and no copy leaves. Raises Refused tlp.red-needs-persons.
    """
    if export and tlp is Tlp.RED:
        raise Refused(
            "tlp.red-needs-persons", "TLP:RED is for the persons it names: no copy of it leaves the node"
        )
