"""Who may hold which restricted part: the levels `holders` and `owner` (docs/protocol.md §9.13).

Owns that question for both sides: the owner's node sends by it, the reader's node forgets by it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

from exchange.directory.contacts import REPLICATED, Contact
from exchange.directory.members import Status
from exchange.directory.network import member_of
from exchange.directory.state import Directory

# A provisional member is sent no more than GREEN, a suspended one CLEAR, a removed one nothing.
_STANDING: Final = frozenset({Status.ACTIVE, Status.RESTRICTED, Status.OFFBOARDING})


class Entitlements:
    """Who may hold what, by the directory as it is now: made anew for each look, quick for thousands of parts."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def readers(self, address: str, level: str) -> frozenset[str]:
        """The addresses that the owner of a part at `address` sends it to; never its own member's."""
        owner = member_of(address)
        if level == "owner":
            wanted = {self._directory.policy.secretariat}
        elif level == "holders":
            wanted = self._holders(address)
        else:
            return frozenset()
        return frozenset(one for one in wanted if member_of(one) != owner and _stands(self._directory, one))

    def may_hold(self, reader: str, address: str, level: str) -> bool:
        """May `reader` keep the part of that level at `address`?"""
        if level in REPLICATED or member_of(reader) == member_of(address):
            return True
        return reader in self.readers(address, level)

    def _holders(self, address: str) -> set[str]:
        # A contact's own topics and function; a member's record counts as all of its contacts.
        owned = self._contacts.get(address, [])
        shared = {("topic", topic) for one in owned for topic in one.topics}
        shared |= {("function", one.function) for one in owned}
        return {reader for one in shared for reader in self._answering[one]}

    @cached_property
    def _contacts(self) -> dict[str, list[Contact]]:
        """Those that stand, by their own address and by their member's."""
        found: dict[str, list[Contact]] = {}
        for one in self._directory.contacts.values():
            if not one.ended:
                found.setdefault(one.address, []).append(one)
                found.setdefault(one.member, []).append(one)
        return found

    @cached_property
    def _answering(self) -> dict[tuple[str, str], set[str]]:
        """Where contacts that stand are answered, by topic and by function."""
        found: dict[tuple[str, str], set[str]] = {}
        for one in self._directory.contacts.values():
            if not one.ended:
                reader = _reads_at(self._directory, one)
                for word in (*(("topic", topic) for topic in one.topics), ("function", one.function)):
                    found.setdefault(word, set()).add(reader)
        return found


def _reads_at(directory: Directory, contact: Contact) -> str:
    """Where the contact's mail is opened: its unit, where it has keys of its own, else its member's node."""
    return contact.address if contact.unit and contact.address in directory.units else contact.member


def _stands(directory: Directory, reader: str) -> bool:
    member = directory.members.get(member_of(reader))
    return member is not None and member.status in _STANDING
