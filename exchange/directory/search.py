"""Looking somebody up by what one happens to know: a word of a name or role, digits, a key, an e-mail domain.

Owns that matching, without accents and case, in every language a record is written in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from exchange.canonical import b64
from exchange.directory.addressing import folded
from exchange.directory.assets import read_domain
from exchange.directory.book import Book
from exchange.directory.onboarding import is_removed
from exchange.directory.state import Directory
from exchange.errors import Refused
from exchange.keys import PublicKeys, member_digits

MIN_SKID: Final = 6  # characters of a key's name that are hardly anybody else's
MIN_DIGITS: Final = 5  # the first group read aloud
MAX_QUERY: Final = 256  # characters
MAX_QUERY_WORDS: Final = 16

_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"[0-9][0-9 ]*\Z")


@dataclass(frozen=True)
class Found:
    """A member or contact point that fits: in which `field` (as docs/directory.md names it) and what stands there."""

    address: str
    field: str
    text: str


def search(book: Book, query: str) -> list[Found]:
    """Whoever has every word of `query` at the beginning of a word of one field; whole words and names first.

    Raises Refused cli.usage for a query without a word or too long.
    """
    words = _WORD.findall(folded(query)) if len(query) <= MAX_QUERY else []
    if not 0 < len(words) <= MAX_QUERY_WORDS:
        raise Refused("cli.usage", f"give 1 to {MAX_QUERY_WORDS} words, {MAX_QUERY} characters at most")
    best: dict[str, tuple[tuple[int, int], Found]] = {}
    for rank, (address, field, text) in _fields(book):
        inside = _WORD.findall(folded(text))
        if not all(any(each.startswith(word) for each in inside) for word in words):
            continue
        place = (sum(word not in inside for word in words), rank)
        if address not in best or place < best[address][0]:
            best[address] = (place, Found(address, field, text))
    return [found for _, found in sorted(best.values(), key=lambda pair: (pair[0], pair[1].address))]


def _fields(book: Book) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """Every text that is searched, with its rank: names before roles before prose."""
    for handle, member in book.members.items():
        if is_removed(member.member):
            continue
        yield 0, (handle, "address", handle)
        if member.public:
            yield 0, (handle, "name_short", member.public.name_short)
            yield from _each(1, handle, "name_official", member.public.name_official.values())
            yield from _each(4, handle, "constituency_text", member.public.constituency_text.values())
        if member.shared:
            yield 3, (handle, "parent_org", member.shared.parent_org)
    for contact in book.living():
        yield 1, (contact.address, "address", contact.address)
        yield 2, (contact.address, "function", contact.contact.function.replace("_", " "))
        yield from _each(2, contact.address, "topics", (t.replace("_", " ") for t in contact.contact.topics))
        if contact.record:
            yield from _each(2, contact.address, "role_name", contact.record.role_name.values())
            yield from _each(3, contact.address, "org_unit", contact.record.org_unit.values())
            yield from _each(2, contact.address, "persons", (each.name for each in contact.record.persons))
            yield from _each(
                3, contact.address, "persons", (each.position for each in contact.record.persons)
            )


def _each(
    rank: int, address: str, field: str, texts: Iterable[str]
) -> Iterator[tuple[int, tuple[str, str, str]]]:
    return ((rank, (address, field, text)) for text in texts)


def who(directory: Directory, book: Book, text: str) -> list[Found]:
    """Whose are these digits, this beginning of a key's name (skid), this e-mail address or domain?

    Raises Refused cli.usage when `text` is none of these.
    """
    asked = text.strip()
    if _DIGITS.match(asked) and len(asked.replace(" ", "")) >= MIN_DIGITS:
        return _by_digits(directory, asked.replace(" ", ""))
    if "@" in asked or "." in asked:
        return _by_mail(book, asked)
    if re.fullmatch(rf"[A-Za-z0-9_-]{{{MIN_SKID},43}}", asked):
        return _by_key(directory, asked)
    raise Refused(
        "cli.usage",
        f"give {MIN_DIGITS} digits or more, {MIN_SKID} characters or more of a key's name, or an e-mail address",
    )


def _by_digits(directory: Directory, digits: str) -> list[Found]:
    return [
        Found(address, "digits", shown)
        for address, keys in _holders(directory)
        if (shown := member_digits(directory.net, address, keys)).replace(" ", "").startswith(digits)
    ]


def _by_key(directory: Directory, beginning: str) -> list[Found]:
    return [
        Found(address, "skid", skid)
        for address, keys in _holders(directory)
        if (skid := b64(keys.signing.skid(directory.net))).startswith(beginning)
    ]


def _holders(directory: Directory) -> Iterator[tuple[str, PublicKeys]]:
    """Everybody with keys now."""
    yield "hub", directory.hub.keys
    for officer in directory.officers.values():
        yield officer.address, officer.keys
    for handle, member in sorted(directory.members.items()):
        yield handle, member.keys
    for address, unit in sorted(directory.units.items()):
        yield address, unit.keys


def _by_mail(book: Book, asked: str) -> list[Found]:
    """Whose mail domain it is: as the member says, as its contacts write, as its constituency claims; nearest first."""
    try:
        domain = read_domain(asked.rpartition("@")[2]).text
    except ValueError as fault:
        raise Refused("cli.usage", f"{asked[:64]} is {fault}") from None
    found: dict[str, tuple[int, Found]] = {}
    for rank, address, field, theirs in _domains(book):
        exact = "@" in asked and theirs == asked.lower()
        covers = domain == theirs.rpartition("@")[2] or domain.endswith("." + theirs.rpartition("@")[2])
        place = -1 if exact else rank
        if covers and (address not in found or place < found[address][0]):
            found[address] = (place, Found(address, field, theirs))
    return [each for _, each in sorted(found.values(), key=lambda pair: (pair[0], pair[1].address))]


def _domains(book: Book) -> Iterator[tuple[int, str, str, str]]:
    for handle, member in book.members.items():
        if is_removed(member.member):
            continue
        for text in member.shared.email_domains if member.shared else ():
            yield 0, handle, "email_domains", text.lower()
        for text in member.claims.domain if member.claims else ():
            yield 2, handle, "domain", text.lower()
    for contact in book.living():
        if contact.record and contact.record.email_role:
            yield 1, contact.address, "email_role", contact.record.email_role.lower()
