"""The address book: members and contact points with what this reader holds of their parts, at one moment.

Owns the joining of the log's facts with the parts beside it, and which level sees which of them (`card`). What is found
in it is `find`'s, `owners`' and `search`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from exchange.canonical import Json, b64
from exchange.directory.contacts import Contact, Part
from exchange.directory.members import Member
from exchange.directory.onboarding import is_removed
from exchange.directory.records import (
    Claims,
    ContactRecord,
    Form,
    HoldersRecord,
    Holidays,
    Hours,
    Languages,
    MembersRecord,
    OwnerRecord,
    PublicRecord,
    read,
    to_json,
)
from exchange.directory.state import Directory
from exchange.errors import Refused

READERS: Final = ("public", "members", "holders", "owner")  # each reads what those before it do

_F = TypeVar("_F", bound=Form)


@dataclass(frozen=True)
class MemberEntry:
    """A member; a record is None where none is named, held or readable."""

    member: Member
    public: PublicRecord | None
    shared: MembersRecord | None
    claims: Claims | None
    contacts: tuple[str, ...]  # addresses, those that ended left out

    @property
    def handle(self) -> str:
        return self.member.handle

    @property
    def names(self) -> Mapping[str, str]:
        """Official names by language."""
        return self.public.name_official if self.public else {}


@dataclass(frozen=True)
class ContactEntry:
    """A contact point, standing as it does at the book's time; records as in `MemberEntry`.

    `own_keys`: mail for it is sealed to a unit, not to the member's node. `ended` (leaf time, UTC ms) is 0 while it
    stands: one that ended is a tombstone without records, so that old messages still resolve.
    """

    contact: Contact
    home: MemberEntry
    standing: str
    record: ContactRecord | None
    holders: HoldersRecord | None
    owner: OwnerRecord | None

    @property
    def address(self) -> str:
        return self.contact.address

    @property
    def country(self) -> str:
        return self.home.member.country

    @property
    def own_keys(self) -> bool:
        return bool(self.contact.unit)

    @property
    def ended(self) -> int:
        return self.contact.ended

    @property
    def hours(self) -> Hours | None:
        """Its own, else the member's office hours."""
        if self.record and self.record.hours:
            return self.record.hours
        return self.home.public.office_hours if self.home.public else None

    @property
    def holidays(self) -> Holidays:
        """Its own, and those of the member."""
        own = self.record.holidays if self.record else ()
        return own + (self.home.public.holidays if self.home.public else ())

    @property
    def languages(self) -> Languages:
        """Its own, else the member's."""
        if self.record and self.record.languages:
            return self.record.languages
        return self.home.public.languages if self.home.public else ()

    @property
    def phones(self) -> tuple[tuple[str, str], ...]:
        """(which, number) of those this reader holds, the one that is answered at night first."""
        found = []
        if self.holders and self.holders.phone_247:
            found.append(("phone_247", self.holders.phone_247))
        if self.holders and self.holders.emergency_channel:
            channel = self.holders.emergency_channel
            found.append((channel.kind, channel.value))
        if self.record and self.record.phone_office:
            found.append(("phone_office", self.record.phone_office))
        return tuple(found)


class Book:
    """What one reader knows of everybody at `now` (UTC ms), from the log up to `size`."""

    def __init__(
        self,
        *,
        members: dict[str, MemberEntry],
        contacts: dict[str, ContactEntry],
        set_aside: tuple[tuple[str, str], ...],
        secretariat: str,
        now: int,
        size: int,
    ) -> None:
        """Not to be called directly: `build` joins."""
        self.members: Mapping[str, MemberEntry] = MappingProxyType(members)
        self.contacts: Mapping[str, ContactEntry] = MappingProxyType(contacts)
        self.set_aside = set_aside  # (address, level) of parts that are held and can't be read
        self.secretariat = secretariat  # handle, or empty
        self.now = now
        self.size = size

    @classmethod
    def build(cls, directory: Directory, parts: Iterable[Part], now: int) -> Book:
        """Join the log with the `parts` held here; what the log doesn't name, or what can't be read, is left out."""
        shelf = _Shelf(directory.net, parts)
        addresses: dict[str, list[str]] = {}
        for address, contact in sorted(directory.contacts.items()):
            if not contact.ended:
                addresses.setdefault(contact.member, []).append(address)
        members = {}
        for handle, member in sorted(directory.members.items()):
            named = directory.records[handle].parts if handle in directory.records else {}
            claimed = directory.constituencies.get(handle)
            members[handle] = MemberEntry(
                member=member,
                public=shelf.take(named.get("public"), PublicRecord),
                shared=shelf.take(named.get("members"), MembersRecord),
                claims=shelf.take(claimed.part, Claims) if claimed else None,
                contacts=tuple(addresses.get(handle, ())),
            )
        contacts = {}
        for address, contact in sorted(directory.contacts.items()):
            named = {} if contact.ended else contact.parts
            contacts[address] = ContactEntry(
                contact=contact,
                home=members[contact.member],
                standing=contact.standing(now),
                record=shelf.take(named.get("members"), ContactRecord),
                holders=shelf.take(named.get("holders"), HoldersRecord),
                owner=shelf.take(named.get("owner"), OwnerRecord),
            )
        return cls(
            members=members,
            contacts=contacts,
            set_aside=tuple(shelf.unreadable),
            secretariat=directory.policy.secretariat,
            now=now,
            size=directory.size,
        )

    def living(self) -> Iterable[ContactEntry]:
        """The contacts that stand, of members that are still members."""
        return (
            entry for entry in self.contacts.values() if not entry.ended and not is_removed(entry.home.member)
        )

    def persons(self) -> Iterator[tuple[str, str]]:
        """(address, name) of everybody the records name."""
        for entry in self.living():
            for person in entry.record.persons if entry.record else ():
                yield f"{entry.contact.member}/{person.handle}", person.name

    def card(self, address: str, level: str) -> dict[str, Json]:
        """What a reader of that level (`READERS`) is shown of a member or contact point, as JSON of docs/directory.md.

        Raises Refused contact.unknown.
        """
        place = READERS.index(level)
        if address in self.members:
            return _member_card(self.members[address], place)
        if address in self.contacts:
            return _contact_card(self.contacts[address], place)
        raise Refused("contact.unknown", f"{address[:65]} is neither a member nor a contact point")


class _Shelf:
    """The parts that are held, by hash; notes which can't be read."""

    def __init__(self, net: bytes, parts: Iterable[Part]) -> None:
        self._parts = {part.hash(net): part for part in parts}
        self.unreadable: list[tuple[str, str]] = []

    def take(self, digest: bytes | None, form: type[_F]) -> _F | None:
        """What the part with that hash says, None if there is none that can be read."""
        part = self._parts.get(digest) if digest else None
        if part is None:
            return None
        found = read(form, part.body)
        if found is None:
            self.unreadable.append((part.address, part.level))
        return found


def _member_card(entry: MemberEntry, place: int) -> dict[str, Json]:
    member = entry.member
    card: dict[str, Json] = {
        "address": member.handle,
        "class": member.member_class,
        "country": member.country,
        "public": _json(entry.public),
    }
    if place >= READERS.index("members"):
        card |= {
            "claims": _json(entry.claims),
            "contacts": list(entry.contacts),
            "members": _json(entry.shared),
            "since": member.since,
            "sponsors": list(member.sponsors),
            "standing": member.status.value,
        }
    return card


def _contact_card(entry: ContactEntry, place: int) -> dict[str, Json]:
    contact = entry.contact
    card: dict[str, Json] = {
        "address": contact.address,
        "country": entry.country,
        "ended": contact.ended,
        "function": contact.function,
        "instruments": list(contact.instruments),
        "member": contact.member,
        "topics": list(contact.topics),
    }
    if place >= READERS.index("members"):
        tests = [
            {"at": test.at, "kind": test.kind, "minutes": test.minutes, "result": test.result}
            for test in contact.tests
        ]
        card |= {
            "community": contact.community,
            "members": _json(entry.record),
            "skid": b64(contact.unit),
            "standing": entry.standing,
            "suspect": contact.suspect,
            "tests": tests,
            "validate_by": contact.validate_by,
            "validated": contact.validated,
            "version": contact.version,
        }
    if place >= READERS.index("holders"):
        card["holders"] = _json(entry.holders)
    if place >= READERS.index("owner"):
        card["owner"] = _json(entry.owner)
    return card


def _json(form: Form | None) -> Json:
    return None if form is None else to_json(form)
