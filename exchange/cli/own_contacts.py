"""Contact points that a home answers for: which they are, what they say, and stating one once however often it is said.

Owns these rules for the commands that add, change and import contact points. Who must sign, the directory judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchange.canonical import ADDRESS, ZERO32, Json
from exchange.cli.contact_form import FORMS, Said
from exchange.cli.record_form import plain
from exchange.cli.registering import Change, Register, changes
from exchange.cli.waiting import paper_hash
from exchange.directory.bodies_contacts import ContactPoint
from exchange.directory.contacts import NPC
from exchange.directory.network import member_of
from exchange.directory.record_rules import check_contact, check_words
from exchange.directory.statements import Head
from exchange.directory.submission import Submission
from exchange.directory.vocabulary import FUNCTIONS
from exchange.errors import Refused
from exchange.node.directory.registration import Function
from exchange.node.identity import Identity
from exchange.node.store import parts as store_parts
from exchange.zones import zones

if TYPE_CHECKING:
    from exchange.directory.book import Book, ContactEntry
    from exchange.directory.contacts import Contact
    from exchange.directory.state import Directory

_WORDS = ("function", "community", "topics", "instruments")


@dataclass(frozen=True)
class Wanted:
    """What somebody said of a contact point's function; None: as before. `note`: the note verbale that names it."""

    function: str | None
    community: str | None
    topics: Sequence[str] | None
    instruments: Sequence[str] | None
    note: Path | None = None


def own(book: Book, me: str) -> list[ContactEntry]:
    """The contact points that stand and that the home of `me` signs for: a unit's own, a member's but its units'."""
    return [entry for entry in book.living() if _is_own(entry.contact, me)]


def _is_own(contact: Contact, me: str) -> bool:
    return contact.address == me if "/" in me else contact.member == me and not contact.unit


def address_here(me: str, typed: str) -> str:
    """The address that a handle means in this home. Raises Refused cli.usage for one of somebody else's."""
    address = typed if "/" in typed else f"{member_of(me)}/{typed}"
    if not ADDRESS.match(address):
        raise Refused("cli.usage", "a handle is 2 to 32 of a-z, 0-9 and -")
    if member_of(address) != member_of(me) or ("/" in me and address != me):
        raise Refused("cli.usage", f"{address} isn't a contact point of {me}")
    return address


def standing(book: Book, me: str, typed: str) -> ContactEntry:
    """The contact point that stands at a handle or address, of whomever. Raises Refused directory.unknown-contact."""
    address = typed if "/" in typed else f"{member_of(me)}/{typed}"
    entry = book.contacts.get(address)
    if entry is None or entry.ended:
        raise Refused("directory.unknown-contact", f"no contact point stands at {address[:65]}")
    return entry


def standing_here(book: Book, me: str, typed: str) -> ContactEntry:
    """As `standing`, one that this home answers for. Raises Refused also cli.usage."""
    entry = standing(book, me, address_here(me, typed))
    if not _is_own(entry.contact, me):
        handle = entry.address.partition("/")[2]
        raise Refused("cli.usage", f"{entry.address} answers for itself: add --as {handle}, in its own home")
    return entry


def said_of(entry: ContactEntry, *, given: bool = False) -> dict[str, dict[str, Any]]:
    """What a contact point says now, by level.

    `given`: all of it is said anew. Else Refused directory.bad-part where this home lacks a part of its own (it was
    restored from an old copy): a change would take that part away.
    """
    forms = {"members": entry.record, "holders": entry.holders, "owner": entry.owner}
    lost = [level for level, form in forms.items() if form is None and level in entry.contact.parts]
    if lost and not given:
        raise Refused(
            "directory.bad-part",
            f"this home no longer holds what {entry.address} says to {', '.join(lost)}: give a FILE that says it all",
        )
    return {level: plain(form) for level, form in forms.items()}


def nominators(directory: Directory, contact: Contact) -> list[str]:
    """Who nominates for a contact's topics; `officers` where that is vacant, and for an npc."""
    country = directory.members[contact.member].country
    found = {directory.nominating(country, topic) for topic in contact.topics}
    if contact.function == NPC:
        return ["officers"]
    return sorted(address or "officers" for address in found)


def function_of(identity: Identity, wanted: Wanted, old: Contact | None) -> Function:
    """The function as it would be stated; of what nobody said the one before counts. Raises Refused cli.bad-file."""
    function = wanted.function or (old.function if old else "")
    at_home = old.community if old and not wanted.function else FUNCTIONS.get(function, "")
    topics, instruments, nomination = (old.topics, old.instruments, old.nomination) if old else ((), (), b"")
    return Function(
        function=function,
        community=wanted.community or at_home,
        topics=tuple(sorted(set(wanted.topics))) if wanted.topics else topics,
        instruments=instruments if wanted.instruments is None else tuple(sorted(set(wanted.instruments))),
        unit=identity.skid if "/" in identity.address else b"",  # else the member's node answers
        nomination=paper_hash(wanted.note) if wanted.note else nomination,
    )


def check(function: Function, said: Said) -> None:
    """All that a contact point must say is there. Raises Refused record.bad-field naming the field."""
    check_words(function.function, function.community, function.topics, function.instruments)
    check_contact(function.function, said.record, said.holders, zones)


def check_note(directory: Directory, address: str, function: Function) -> None:
    """A note verbale is given where nobody nominates. Raises Refused directory.no-document."""
    head = Head("contact", (address, "contact"), ZERO32, 0)
    body = ContactPoint(head, **{one.name: getattr(function, one.name) for one in fields(function)}, parts={})
    if directory.who_nominates(body).by_officers and not function.nomination:
        raise Refused(
            "directory.no-document",
            "nobody nominates for it yet: give the note verbale that names it with --note FILE (its SHA-256 counts)",
        )


def differing(function: Function, said: Said, entry: ContactEntry | None) -> list[Change]:
    """What would be another than what the log and its parts say now."""
    contact = entry.contact if entry else None
    before = {name: _plain(getattr(contact, name)) for name in _WORDS} if contact else {}
    after = {name: _plain(getattr(function, name)) for name in _WORDS}
    after = {name: value for name, value in after.items() if value or name in before}
    found = changes("log", before, after)
    for name in ("unit", "nomination"):
        was, now = (getattr(one, name).hex() or None for one in (contact or Function("", "", ()), function))
        found += [Change("log", name, was, now)] if was != now else []
    held = said_of(entry, given=True) if entry else {}
    forms = {"members": said.record, "holders": said.holders, "owner": said.owner}
    for level in FORMS:
        found += changes(level, held.get(level, {}), plain(forms[level]))
    return found


async def hand_in(register: Register, address: str, function: Function, said: Said) -> Submission:
    """State a contact point; one that waits for signatures already is signed again, not stated twice.

    Raises Refused directory.no-document where nobody nominates and no note verbale was given; what the hub refuses.
    """
    bodies = said.bodies()
    for one in await register.membership.pending(register.hub):
        body = one.body
        if not isinstance(body, ContactPoint) or body.head.subject[0] != address:
            continue
        if _states(body, function) and await _names(register, body, bodies):
            return await register.membership.vote(register.hub, one)
    return await register.registration.publish_contact(register.hub, address, function, bodies)


def _states(body: ContactPoint, function: Function) -> bool:
    return all(getattr(body, name) == getattr(function, name) for name in (*_WORDS, "unit", "nomination"))


async def _names(register: Register, body: ContactPoint, bodies: dict[str, bytes]) -> bool:
    """Are the parts that a statement names these?"""
    if body.parts.keys() != bodies.keys():
        return False
    store = register.store
    for level, digest in body.parts.items():
        part = await store.db.read(partial(store_parts.content, cipher=store.cipher, digest=digest))
        if part is None or part.body != bodies[level]:
            return False
    return True


def _plain(value: str | tuple[str, ...]) -> Json:
    return list(value) if isinstance(value, tuple) else value
