"""A contact point as a person gives it: a file, flags, or both over what it said before (docs/directory.md §2.4-2.6).

Owns that choice and the template. What a contact point must say is directory/record_rules' business; persons get their
random handles here, so that nobody has to make one up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import orjson

from exchange.canonical import Json
from exchange.cli.record_form import read_json_object, set_fields, without_nothing
from exchange.directory.addressing import folded
from exchange.directory.contacts import Part
from exchange.directory.network import member_of
from exchange.directory.record_rules import part_bytes, write
from exchange.directory.records import ContactRecord, Form, HoldersRecord, OwnerRecord, read
from exchange.errors import Refused
from exchange.formats.contacts.table import read_hours

FORMS: Final[Mapping[str, type[Form]]] = {
    "holders": HoldersRecord,
    "members": ContactRecord,
    "owner": OwnerRecord,
}
_ROLES: Final = ("primary", "deputy")
_PERSON = re.compile(r"(?P<name>[^,;=]+)(?:[,;]\s*(?P<position>.+))?\Z")
TEMPLATE: Final[dict[str, Any]] = {
    "members": {
        "role_name": {"es": "Guardia", "en": "Duty desk"},
        "org_unit": {"es": "Centro de operaciones"},
        "email_role": "guardia@csirt.example",
        "phone_office": "+51 1 555 0100",
        "hours": {"zone": "America/Lima", "always": True},
        "languages": [{"lang": "es"}, {"lang": "en", "level": "reads"}],
        "persons": [
            {"name": "Ana Quispe", "position": "Head of duty", "role": "primary"},
            {"name": "Pedro Rojas", "position": "Analyst", "role": "deputy"},
        ],
        "escalation": [{"address": "XX-CSIRT/npc", "minutes": 20}],
    },
    "holders": {
        "phone_247": "+51 1 555 0199",
        "emergency_channel": {"kind": "satphone", "value": "+881 6 5550 1000"},
        "urgent_procedure": {"en": "Call; if nobody answers in 5 minutes, call the deputy"},
        "persons": {"Ana Quispe": {"phone_mobile": "+51 955 501 000"}},
    },
    "owner": {"notes": ""},
}


@dataclass
class Flags:
    """What flags said of a contact point; texts are in `text_language`."""

    role: str | None = None
    office: str | None = None
    email: str | None = None
    phone: str | None = None
    phone_247: str | None = None
    hours: str | None = None
    zone: str | None = None
    channel: str | None = None
    urgent: str | None = None
    languages: list[str] = field(default_factory=list)
    persons: list[str] = field(default_factory=list)
    mobiles: list[str] = field(default_factory=list)
    escalation: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)

    @property
    def any_given(self) -> bool:
        """Whether a flag said something."""
        return any(getattr(self, one.name) for one in fields(self))


@dataclass(frozen=True)
class Given:
    """What a person gave: a file, flags on top of it, and the language of the flags' texts."""

    file: Path | None
    flags: Flags
    language: str


@dataclass(frozen=True)
class Said:
    """What a contact point says, by level, checked form by form; a level that says nothing isn't there."""

    record: ContactRecord
    holders: HoldersRecord
    owner: OwnerRecord

    def bodies(self) -> dict[str, bytes]:
        """The parts. Raises Refused record.bad-field for one that is too long."""
        forms: dict[str, Form] = {"holders": self.holders, "members": self.record, "owner": self.owner}
        return {
            level: part_bytes(form)
            for level, form in forms.items()
            if form != type(form)() or level == "members"
        }


def template(address: str) -> str:
    """A file to fill in, for a contact point of the member that `address` belongs to."""
    text = orjson.dumps(TEMPLATE, option=orjson.OPT_INDENT_2).decode("utf-8")
    return text.replace("XX-CSIRT", member_of(address))


def compose(
    before: Mapping[str, Mapping[str, Any]],
    given: Given,
    *,
    known: Mapping[str, str],
    new_handle: Callable[[], str],
) -> Said:
    """What the contact point is to say: `before` by level, the file's levels in their place, the flags on top.

    `known`: handles of persons by folded name, drafts among them, so that saying it again says the same.
    Raises Refused cli.bad-file, cli.usage, record.bad-field.
    """
    levels: dict[str, dict[str, Any]] = {level: dict(before.get(level, {})) for level in FORMS}
    if given.file is not None:
        said = read_json_object(given.file, "a contact point")
        if not said.keys() <= levels.keys():
            raise Refused("record.bad-field", f"{given.file}: its members are {', '.join(FORMS)}")
        levels |= {level: dict(_object(level, value)) for level, value in said.items()}
    members, holders = levels["members"], levels["holders"]
    _lay_over(members, holders, given.flags, given.language or _first_language(members, given.flags))
    set_fields(levels, FORMS, given.flags.settings)
    held = {folded(each["name"]): each["handle"] for each in before.get("members", {}).get("persons", [])}
    handles = _name_persons(members, {**held, **known}, new_handle)
    holders |= _by_handle(holders, handles, given.flags.mobiles)
    return Said(
        record=write(ContactRecord, without_nothing(members)),
        holders=write(HoldersRecord, without_nothing(holders)),
        owner=write(OwnerRecord, without_nothing(levels["owner"])),
    )


def known_persons(parts: Iterable[Part]) -> dict[str, str]:
    """Handles of the persons that these parts name, by folded name."""
    found: dict[str, str] = {}
    for part in parts:
        record = read(ContactRecord, part.body) if part.level == "members" else None
        for person in record.persons if record else ():
            found.setdefault(folded(person.name), person.handle)
    return found


def named_as_before(record: ContactRecord, known: Mapping[str, str]) -> ContactRecord:
    """The record with persons under the handles they are known by."""
    persons = (
        person.model_copy(update={"handle": known.get(folded(person.name), person.handle)})
        for person in record.persons
    )
    return record.model_copy(update={"persons": tuple(persons)})


def reachable(holders: HoldersRecord, record: ContactRecord) -> HoldersRecord:
    """Without those who are no longer among the contact's persons."""
    handles = {person.handle for person in record.persons}
    kept = {handle: reach for handle, reach in holders.persons.items() if handle in handles}
    return holders.model_copy(update={"persons": kept})


def _object(level: str, value: Json) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused("record.bad-field", f"{level}: an object")
    return value


def _first_language(members: dict[str, Any], flags: Flags) -> str:
    """What a text is taken to be in, where nobody says: the first language that the contact point works in."""
    said = [_spoken(each) for each in flags.languages] or members.get("languages")
    first = said[0] if isinstance(said, list) and said else {}
    return str(first.get("lang", "en")) if isinstance(first, dict) else "en"


def _lay_over(members: dict[str, Any], holders: dict[str, Any], flags: Flags, language: str) -> None:
    hours = None
    if flags.hours is not None:
        held = members.get("hours") or {}
        hours = read_hours(flags.hours, flags.zone or held.get("zone", ""))
    elif flags.zone is not None:
        raise Refused("cli.usage", "--zone goes with --hours")
    kind, _, value = (flags.channel or "").partition("=")
    members |= _given(
        role_name=_text(members.get("role_name"), flags.role, language),
        org_unit=_text(members.get("org_unit"), flags.office, language),
        email_role=flags.email,
        phone_office=flags.phone,
        hours=hours,
        languages=[_spoken(each) for each in flags.languages] or None,
        persons=[_person(each, number) for number, each in enumerate(flags.persons)] or None,
        escalation=[_step(each) for each in flags.escalation] or None,
    )
    holders |= _given(
        phone_247=flags.phone_247,
        emergency_channel={"kind": kind, "value": value} if flags.channel else None,
        urgent_procedure=_text(holders.get("urgent_procedure"), flags.urgent, language),
    )


def _given(**fields: Json) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(held: dict[str, Json] | None, text: str | None, language: str) -> Json:
    """A text in one more language; None where no flag said one."""
    return None if text is None else {**(held or {}), language: text}


def _spoken(typed: str) -> dict[str, str]:
    lang, _, level = typed.strip().partition(":")
    return {"lang": lang, "level": level or "works"}


def _person(typed: str, number: int) -> dict[str, str]:
    match = _PERSON.match(typed.strip())
    if not match:
        raise Refused("cli.usage", "--person 'Name Surname, position'")
    role = _ROLES[number] if number < len(_ROLES) else "other"
    return {"name": match["name"].strip(), "position": (match["position"] or "").strip(), "role": role}


def _step(typed: str) -> dict[str, Any]:
    address, _, minutes = typed.partition("=")
    if not minutes.isdigit():
        raise Refused("cli.usage", "--escalate MEMBER/CONTACT=MINUTES")
    return {"address": address, "minutes": int(minutes)}


def _name_persons(
    members: dict[str, Any], known: Mapping[str, str], new_handle: Callable[[], str]
) -> dict[str, str]:
    """Give every person without a handle the one it has, or a new one; all of them by folded name."""
    persons = members.get("persons", [])
    if not isinstance(persons, list) or not all(isinstance(each, dict) for each in persons):
        raise Refused("record.bad-field", "persons: a list of objects", field="persons")
    named: dict[str, str] = {}
    for each in persons:
        name = folded(str(each.get("name", "")))
        named[name] = each.get("handle") or known.get(name) or new_handle()
    if persons:
        members["persons"] = [
            {**each, "handle": named[folded(str(each.get("name", "")))]} for each in persons
        ]
    return named


def _by_handle(
    holders: Mapping[str, Any], handles: Mapping[str, str], mobiles: Sequence[str]
) -> dict[str, Any]:
    """How to reach persons, by handle, though people give their names; those who are no longer there are left out."""
    persons = holders.get("persons", {})
    if not isinstance(persons, dict):
        raise Refused("record.bad-field", "holders.persons: an object by handle or name", field="persons")
    named = {handles.get(folded(typed), typed): how for typed, how in persons.items()}
    reach = {handle: how for handle, how in named.items() if handle in handles.values()}
    for typed in mobiles:
        name, _, number = typed.partition("=")
        handle = handles.get(folded(name.strip()), "")
        if not handle or not number:
            raise Refused("cli.usage", "--mobile 'Name Surname=+51 955 501 000', of one of its persons")
        reach[handle] = {**reach.get(handle, {}), "phone_mobile": number.strip()}
    return {"persons": reach} if reach or persons else {}
