"""From what a person types to an address that can be sealed to: a member, a unit, a named person, a country's function.

Owns the spellings of an addressee. Which contact answers for a function is `find`'s business, who may be sent what
`policy`'s; whether a person agrees to write to another community is asked by the command.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from exchange.canonical import ADDRESS
from exchange.directory.bodies_contacts import PERSON
from exchange.directory.network import member_of
from exchange.directory.state import Directory
from exchange.errors import Refused

_FUNCTION = re.compile(r"[A-Za-z]{2}:[a-z0-9_-]{2,32}\Z")


@dataclass(frozen=True)
class Target:
    """One addressee as it was typed and the address it stands for.

    `function` is the contact's, where mail for it goes to the member's node and has to say whom it is meant for.
    """

    typed: str
    address: str
    function: str = ""


def asks_for_function(typed: str) -> bool:
    """Whether this is `CC:function`, which the address book resolves."""
    return _FUNCTION.match(typed) is not None


def names_person(typed: str) -> bool:
    """Whether this is `member/A Name`: more than an address can be."""
    return "/" in typed and ADDRESS.match(typed) is None and not asks_for_function(typed)


def contact_target(directory: Directory, typed: str, contact: str) -> Target:
    """Where mail for the contact point at address `contact` goes: its unit, or its member's node where it has none.

    Never to the node of the member that hosts a unit: it isn't to read what was meant for the unit. Raises Refused
    contact.unknown, unit.unknown.
    """
    point = directory.contacts.get(contact)
    if point is None or point.ended:
        raise Refused("contact.unknown", f"{contact} is no contact point now")
    if not point.unit:
        return Target(typed, point.member, point.function)
    unit = directory.units.get(contact)
    if unit is None or unit.keys.signing.skid(directory.net) != point.unit:
        raise Refused("unit.unknown", f"the contact {contact} names keys that aren't its unit's now")
    return Target(typed, contact)


def check_unit(directory: Directory, typed: str) -> None:
    """An address of a unit of a member must be one. Raises Refused unit.unknown."""
    if (
        member_of(typed) in directory.members
        and typed not in directory.members
        and typed not in directory.units
    ):
        raise Refused("unit.unknown", f"{typed} has no keys of its own in this node's copy of the directory")


def is_contact_of_node(directory: Directory, typed: str) -> bool:
    """Whether this is the address of a contact point that has no keys of its own."""
    return typed in directory.contacts and typed not in directory.units


def person_target(directory: Directory, typed: str, named: Iterable[tuple[str, str]]) -> Target:
    """The person of `member/A Name`; `named` are the (address, name) that the records of this node hold.

    Case, accents and white space don't count. Raises Refused directory.unknown-member, unit.unknown, contact.ambiguous.
    """
    member, _, name = typed.partition("/")
    directory.member(member)
    found = sorted(
        {
            address
            for address, full in named
            if address.startswith(f"{member}/")
            and folded(full) == folded(name)
            and is_person(directory, address)
        }
    )
    if not found:
        raise Refused("unit.unknown", f"nobody of that name at {member} has keys of their own")
    if len(found) > 1:
        raise Refused(
            "contact.ambiguous", f"{len(found)} persons at {member} have that name: {', '.join(found)}"
        )
    return Target(typed, found[0])


def is_person(directory: Directory, address: str) -> bool:
    """Whether the address is a named person's, with keys that nobody else at its member holds."""
    unit = directory.units.get(address)
    return unit is not None and unit.kind == PERSON


def folded(text: str) -> str:
    """`text` without case, accents and spare white space, to compare names by."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(plain.casefold().split())
