"""Who may hold which restricted part: the levels `holders` and `owner` (docs/protocol.md §9.13).

Owns that question for both sides: the owner's node sends by it, the reader's node forgets by it.
"""

from __future__ import annotations

from typing import Final

from exchange.directory.contacts import REPLICATED, Contact
from exchange.directory.members import Status
from exchange.directory.network import member_of
from exchange.directory.state import Directory

# A provisional member is sent no more than GREEN, a suspended one CLEAR, a removed one nothing.
_STANDING: Final = frozenset({Status.ACTIVE, Status.RESTRICTED, Status.OFFBOARDING})


def readers(directory: Directory, address: str, level: str) -> frozenset[str]:
    """The addresses that the owner of a part at `address` sends it to; never its own member's."""
    owner = member_of(address)
    if level == "owner":
        wanted = {directory.policy.secretariat}
    elif level == "holders":
        wanted = _holders(directory, address)
    else:
        return frozenset()
    return frozenset(reader for reader in wanted if member_of(reader) != owner and _stands(directory, reader))


def may_hold(directory: Directory, reader: str, address: str, level: str) -> bool:
    """May `reader` keep the part of that level at `address`?"""
    if level in REPLICATED or member_of(reader) == member_of(address):
        return True
    return reader in readers(directory, address, level)


def _holders(directory: Directory, address: str) -> set[str]:
    contacts = [one for one in directory.contacts.values() if not one.ended]
    # A contact's own topics and function; a member's record counts as all of its contacts.
    owned = [one for one in contacts if address in (one.address, one.member)]
    topics = {topic for one in owned for topic in one.topics}
    functions = {one.function for one in owned}
    return {
        _reads_at(directory, one)
        for one in contacts
        if one.function in functions or not topics.isdisjoint(one.topics)
    }


def _reads_at(directory: Directory, contact: Contact) -> str:
    """Where the contact's mail is opened: its unit, where it has keys of its own, else its member's node."""
    return contact.address if contact.unit and contact.address in directory.units else contact.member


def _stands(directory: Directory, reader: str) -> bool:
    member = directory.members.get(member_of(reader))
    return member is not None and member.status in _STANDING
