"""Contact points as vCard 4.0 (RFC 6350), for telephones and address books. Written only, never read.

Owns which field becomes which property. What of a contact a reader of a level may have is the same as in the other
exports: nothing above the level is asked for here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from exchange.directory.book import READERS, ContactEntry

_LINE: Final = 75  # octets of a line, after which it is folded
_TYPES: Final = {"phone_office": "work", "phone_247": "work"}
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def write_vcards(entries: Iterable[ContactEntry], level: str) -> bytes:
    """One card for each contact point as a reader of that level (`book.READERS`) may have it: UTF-8, CRLF."""
    place = READERS.index(level)
    listed = sorted(entries, key=lambda entry: entry.address)
    lines = (line for entry in listed for line in _card(entry, place))
    return "".join(f"{_folded(line)}\r\n" for line in lines).encode("utf-8")


def _card(entry: ContactEntry, place: int) -> Iterator[str]:
    contact, home = entry.contact, entry.home
    role = contact.function.replace("_", " ")
    member = (home.public.name_short if home.public else "") or contact.member
    yield "BEGIN:VCARD"
    yield "VERSION:4.0"
    yield "KIND:org"
    yield f"UID:urn:exchange:{contact.address}"
    yield f"FN:{_text(f'{member}: {role}')}"
    yield f"ORG:{_text(member)}"
    yield f"ROLE:{_text(role)}"
    yield f"CATEGORIES:{','.join(map(_text, contact.topics))}"
    if entry.country:
        yield f"ADR:;;;;;;{_text(entry.country)}"
    if place >= READERS.index("members") and entry.record:
        record = entry.record
        if record.email_role:
            yield f"EMAIL:{_text(record.email_role)}"
        yield from (f"LANG:{each.lang}" for each in record.languages)
        if record.hours:
            yield f"TZ:{_text(record.hours.zone)}"
        yield from (f"RELATED;VALUE=text:{_text(person.name)}" for person in record.persons)
        yield f"NOTE:{_text('; '.join(record.role_name.values()))}"
    shown = ("phone_office",) if place < READERS.index("holders") else ("phone_office", "phone_247")
    for kind, number in entry.phones if place >= READERS.index("members") else ():
        if kind in shown:
            yield f'TEL;VALUE=uri;TYPE="{_TYPES[kind]},voice":tel:{number}'
    yield "END:VCARD"


def _text(value: str) -> str:
    """A value in which nothing ends a property, a list or a line."""
    plain = _UNSAFE.sub("", value.replace("\r\n", "\n"))
    return re.sub(r"([\\,;])", r"\\\1", plain).replace("\n", "\\n")


def _folded(line: str) -> str:
    """At most 75 octets a line; no character is cut in two."""
    rows, row = [], ""
    for character in line:
        if len((row + character).encode("utf-8")) > _LINE:
            rows.append(row)
            row = " "
        row += character
    return "\r\n".join([*rows, row])
