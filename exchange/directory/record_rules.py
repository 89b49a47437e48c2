"""What a writer must say in the parts beside the log, and in which form (docs/directory.md).

Owns the required fields and the checks that a lenient reader doesn't make: every refusal is `record.bad-field` and
names the field, never what was written there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, Final

from pydantic import ValidationError

from exchange.canonical import Json
from exchange.directory.assets import Asset, claimed_domain, claimed_prefix, read_asn
from exchange.directory.contacts import MAX_PART, ROUND_THE_CLOCK
from exchange.directory.hours import Zones
from exchange.directory.records import (
    MAX_DOCUMENT,
    AnyForm,
    Application,
    Claims,
    ContactRecord,
    Form,
    HoldersRecord,
    Holidays,
    Hours,
    PublicRecord,
    load,
    to_bytes,
)
from exchange.directory.vocabulary import COMMUNITIES, FUNCTIONS, INSTRUMENTS, MLA, NEEDS_INSTRUMENT, TOPICS
from exchange.errors import Refused

_PERSONS_24X7: Final = 2


def bad(field: str, rule: str) -> Refused:
    """A field that isn't as it must be."""
    return Refused("record.bad-field", f"{field}: {rule}", field=field)


def write(form: type[AnyForm], value: Json) -> AnyForm:
    """`value` as a form of that kind, unknown members refused. Raises Refused record.bad-field."""
    try:
        return form.model_validate(value, extra="forbid")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise bad(field, first["msg"].removeprefix("Value error, ")) from None


def write_bytes(form: type[AnyForm], data: bytes) -> AnyForm:
    """As `write`, from JSON. Raises Refused record.bad-field."""
    try:
        value = load(data, most=MAX_PART)
    except ValueError as error:
        raise bad("document", f"not JSON that can be read ({error})") from None
    return write(form, value)


def part_bytes(form: Form, *, most: int = MAX_PART) -> bytes:
    """The bytes to hash and hand out. Raises Refused record.bad-field when they are more than a part may have."""
    data = to_bytes(form)
    if len(data) > most:
        raise bad(type(form).__name__, f"{len(data)} bytes, at most {most}")
    return data


def check_public(record: PublicRecord, zones: Zones) -> None:
    """What every member says to everybody. Raises Refused record.bad-field."""
    required = ("name_official", "name_short", "constituency_text", "languages", "timezone", "office_hours")
    _require(record, required, why="every member has one")
    _check_zone("timezone", record.timezone, zones)
    _check_hours("office_hours", record.office_hours, zones)
    _check_holidays(record.holidays)


def check_words(function: str, community: str, topics: Iterable[str], instruments: Iterable[str]) -> None:
    """The words of a contact point are ones this version knows. Raises Refused record.bad-field."""
    for field, words, known in (
        ("function", (function,), FUNCTIONS),
        ("community", (community,), COMMUNITIES),
        ("topics", tuple(topics), TOPICS),
        ("instruments", tuple(instruments), INSTRUMENTS),
    ):
        for word in words:
            if word not in known:
                raise bad(field, f"{word[:64]} isn't one of {', '.join(known)}")
    if not tuple(topics):
        raise bad("topics", "at least one")
    if function in NEEDS_INSTRUMENT and not tuple(instruments):
        raise bad("instruments", f"a {function} names the treaty it acts under")


def check_contact(function: str, record: ContactRecord, holders: HoldersRecord | None, zones: Zones) -> None:
    """What a contact of that function must say; `holders` None: nothing there is to change.

    Raises Refused record.bad-field.
    """
    _require(
        record, ("role_name", "email_role", "hours", "languages", "persons"), why="every contact has one"
    )
    if not any(person.role == "primary" for person in record.persons):
        raise bad("persons", "one of them is primary")
    handles = [person.handle for person in record.persons]
    if len(set(handles)) != len(handles):
        raise bad("persons", "each has a handle of its own")
    _check_hours("hours", record.hours, zones)
    _check_holidays(record.holidays)
    if function == MLA:
        _require(record, ("formal_requests",), why=f"a {function} says how it takes formal requests")
    if function in ROUND_THE_CLOCK:
        _check_round_the_clock(function, record)
    if holders is not None:
        _check_holders(function, handles, holders)


def _check_round_the_clock(function: str, record: ContactRecord) -> None:
    if record.hours is None or not record.hours.always:
        raise bad("hours.always", f"a {function} answers round the clock")
    if len(record.persons) < _PERSONS_24X7 or not any(person.role == "deputy" for person in record.persons):
        raise bad("persons", f"behind a {function} stand two persons or more, one of them a deputy")
    _require(record, ("escalation",), why=f"a {function} says who is called next")


def _check_holders(function: str, handles: list[str], holders: HoldersRecord) -> None:
    if function in ROUND_THE_CLOCK:
        why = f"a {function} can be reached in the night"
        _require(holders, ("phone_247", "emergency_channel", "urgent_procedure"), why=why)
    if function == MLA:
        _require(holders, ("urgent_procedure",), why=f"a {function} says what it does with what is urgent")
    for handle in holders.persons:
        if handle not in handles:
            raise bad(f"persons.{handle}", "isn't one of the contact's persons")


def check_claims(claims: Claims) -> Claims:
    """A constituency in its one spelling: networks and names normal, sorted, each once.

    Raises Refused record.bad-field naming the entry's number, from 0.
    """
    numbers = {_asset(f"asn.{number}", read_asn, asn).first for number, asn in enumerate(claims.asn)}
    prefixes = {
        _asset(f"prefix.{number}", claimed_prefix, text).text for number, text in enumerate(claims.prefix)
    }
    domains = {
        _asset(f"domain.{number}", claimed_domain, text).text for number, text in enumerate(claims.domain)
    }
    return Claims(
        asn=tuple(sorted(numbers)),
        prefix=tuple(sorted(prefixes)),
        domain=tuple(sorted(domains)),
        sector=tuple(sorted(set(claims.sector))),
        country=tuple(sorted(set(claims.country))),
    )


def check_application(application: Application, zones: Zones) -> Application:
    """What an applicant must say, its claims in their one spelling; the bytes fit. Raises Refused record.bad-field."""
    required = ("name_official", "name_short", "legal_basis", "nominating_authority", "constituency_text")
    _require(application, (*required, "languages", "timezone"), why="the officers can't decide without it")
    _check_zone("timezone", application.timezone, zones)
    for number, contact in enumerate(application.contacts):
        try:
            check_words(contact.function, contact.community, contact.topics, contact.instruments)
            check_contact(contact.function, contact.record, None, zones)
        except Refused as fault:
            raise Refused(fault.code, f"contacts.{number}.{fault.detail}") from None
    checked = application.model_copy(update={"claims": check_claims(application.claims)})
    part_bytes(checked, most=MAX_DOCUMENT)
    return checked


def _require(form: Form, fields: Iterable[str], *, why: str) -> None:
    for field in fields:
        if not getattr(form, field):
            raise bad(field, f"is missing: {why}")


def _check_zone(field: str, zone: str | None, zones: Zones) -> None:
    if zone is not None and zones(zone) is None:
        raise bad(field, "not a time zone's IANA name, such as America/Lima")


def _check_hours(field: str, hours: Hours | None, zones: Zones) -> None:
    if hours is None:
        return
    _check_zone(f"{field}.zone", hours.zone, zones)
    if not hours.always and not hours.weekly:
        raise bad(f"{field}.weekly", "say when somebody is in, or always")
    for number, shift in enumerate(hours.weekly):
        if shift.start in (shift.end, "24:00"):
            raise bad(f"{field}.weekly.{number}", "a shift lasts some time, and begins before 24:00")


def _check_holidays(holidays: Holidays) -> None:
    for number, holiday in enumerate(holidays):
        year = holiday.date if len(holiday.date) > len("12-25") else f"2028-{holiday.date}"  # a leap year
        try:
            date.fromisoformat(year)
        except ValueError:
            raise bad(f"holidays.{number}.date", "there is no such day") from None


def _asset(field: str, read: Callable[[Any], Asset], value: str | int) -> Asset:
    try:
        return read(value)
    except ValueError as error:
        raise bad(field, str(error)) from None
