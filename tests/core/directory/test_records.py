"""The parts' JSON: what a writer must say, each refusal naming its field, and what a reader puts up with."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.directory.contacts import MAX_PART
from exchange.directory.record_rules import (
    check_application,
    check_claims,
    check_contact,
    check_public,
    check_words,
    part_bytes,
    write,
    write_bytes,
)
from exchange.directory.records import (
    Application,
    Claims,
    ContactRecord,
    HoldersRecord,
    MembersRecord,
    OwnerRecord,
    PublicRecord,
    read,
    to_bytes,
)
from exchange.errors import Refused
from tests.address_book import ALWAYS, LIMA, OFFICE, SPANISH, zones

PERSONS = [
    {"handle": "p-aaaaaaaaaa", "name": "Ana"},
    {"handle": "p-bbbbbbbbbb", "name": "Bo", "role": "deputy"},
]
DESK: dict[str, Any] = {
    "role_name": {"es": "Guardia"},
    "email_role": "guardia@csirt.example",
    "hours": ALWAYS,
    "languages": SPANISH,
    "persons": PERSONS,
    "escalation": [{"address": "pe-csirt/npc", "minutes": 20}],
}
NIGHT: dict[str, Any] = {
    "phone_247": "+51 1 555-0199",
    "emergency_channel": {"kind": "satphone", "value": "+8816 555 0100"},
    "urgent_procedure": {"es": "Llamar"},
}
MEMBER: dict[str, Any] = {
    "name_official": {"es": "Centro"},
    "name_short": "PECERT",
    "constituency_text": {"es": "Todos"},
    "languages": SPANISH,
    "timezone": LIMA,
    "office_hours": OFFICE,
}
APPLICATION: dict[str, Any] = {
    "name_official": {"es": "Centro"},
    "name_short": "PECERT",
    "legal_basis": {"text": "Decreto 1", "document": "A" * 43},
    "nominating_authority": "Cancillería",
    "constituency_text": {"es": "Todos"},
    "claims": {"asn": [64496], "domain": ["GOB.pe"]},
    "languages": SPANISH,
    "timezone": LIMA,
    "contacts": [
        {
            "handle": "duty",
            "function": "technical_24x7",
            "community": "csirt",
            "topics": ["ransomware"],
            "record": DESK,
        }
    ],
}


def without(value: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name != field}


def refused(call: Any, *arguments: Any) -> str:
    """The field that a refusal names."""
    with pytest.raises(Refused) as fault:
        call(*arguments)
    assert fault.value.code == "record.bad-field"
    return str(fault.value.facts.get("field", fault.value.detail))


def desk(function: str, record: dict[str, Any], holders: dict[str, Any] | None = None) -> None:
    check_contact(function, write(ContactRecord, record), write(HoldersRecord, holders or NIGHT), zones)


def test_what_is_complete_passes() -> None:
    check_public(write(PublicRecord, MEMBER), zones)
    desk("technical_24x7", DESK)
    check_contact("technical_24x7", write(ContactRecord, DESK), None, zones)
    check_application(write(Application, APPLICATION), zones)


def test_a_faulty_contact_in_an_application_is_numbered() -> None:
    contacts = [{**APPLICATION["contacts"][0], "topics": ["weather"]}]
    with pytest.raises(Refused, match=r"contacts\.0\.topics"):
        check_application(write(Application, {**APPLICATION, "contacts": contacts}), zones)


def test_a_legal_authority_says_how_it_takes_requests() -> None:
    record = {**DESK, "formal_requests": {"accepted": True, "via": ["diplomatic"]}}
    desk("central_authority_mla", record)
    assert (
        refused(desk, "central_authority_mla", record, without(NIGHT, "urgent_procedure"))
        == "urgent_procedure"
    )


@pytest.mark.parametrize("field", MEMBER)
def test_each_field_that_a_member_owes(field: str) -> None:
    assert refused(check_public, write(PublicRecord, without(MEMBER, field)), zones) == field


@pytest.mark.parametrize("field", DESK)
def test_each_field_that_a_night_desk_owes(field: str) -> None:
    assert refused(desk, "technical_24x7", without(DESK, field)) == field


@pytest.mark.parametrize("field", NIGHT)
def test_each_field_that_a_night_desk_owes_to_holders(field: str) -> None:
    assert refused(desk, "law_enforcement_24x7", DESK, without(NIGHT, field)) == field


@pytest.mark.parametrize("field", [name for name in APPLICATION if name not in ("claims", "contacts")])
def test_each_field_that_an_applicant_owes(field: str) -> None:
    assert refused(check_application, write(Application, without(APPLICATION, field)), zones) == field


@pytest.mark.parametrize(
    ("function", "record", "holders", "field"),
    [
        ("technical_24x7", {**DESK, "hours": OFFICE}, NIGHT, "hours.always"),
        ("technical_24x7", {**DESK, "persons": PERSONS[:1]}, NIGHT, "persons"),
        ("spoc", {**DESK, "persons": PERSONS[1:]}, NIGHT, "persons"),
        ("spoc", {**DESK, "persons": [PERSONS[0], PERSONS[0]]}, NIGHT, "persons"),
        ("spoc", DESK, {"persons": {"p-zzzzzzzzzz": {}}}, "persons.p-zzzzzzzzzz"),
        ("central_authority_mla", DESK, NIGHT, "formal_requests"),
        ("spoc", {**DESK, "hours": {"zone": LIMA}}, NIGHT, "hours.weekly"),
        ("spoc", {**DESK, "hours": {"zone": "Mars/Olympus", "always": True}}, NIGHT, "hours.zone"),
        ("spoc", {**DESK, "holidays": [{"date": "02-30"}]}, NIGHT, "holidays.0.date"),
        (
            "spoc",
            {**DESK, "hours": {"zone": LIMA, "weekly": [{"days": ["mon"], "from": "08:00", "to": "08:00"}]}},
            NIGHT,
            "hours.weekly.0",
        ),
    ],
)
def test_rules_between_fields(
    function: str, record: dict[str, Any], holders: dict[str, Any], field: str
) -> None:
    assert refused(desk, function, record, holders) == field


@pytest.mark.parametrize(
    ("form", "value", "field"),
    [
        (PublicRecord, {"colour": "red"}, "colour"),
        (PublicRecord, {"office_hours": {**OFFICE, "lunch": 1}}, "office_hours.lunch"),
        (PublicRecord, {"languages": [{"lang": "Spanish!"}]}, "languages.0.lang"),
        (PublicRecord, {"name_short": "a\x1b[2J"}, "name_short"),
        (PublicRecord, {"rfc2350_url": "javascript:alert(1)"}, "rfc2350_url"),
        (PublicRecord, {"holidays": [{"date": "13-01"}]}, "holidays.0.date"),
        (MembersRecord, {"max_tlp_automated": "white"}, "max_tlp_automated"),
        (ContactRecord, {"phone_office": "555 0100"}, "phone_office"),
        (ContactRecord, {"phone_office": "+0123456789"}, "phone_office"),
        (ContactRecord, {"email_role": "a@b"}, "email_role"),
        (ContactRecord, {"persons": [{"handle": "Ana!", "name": "Ana"}]}, "persons.0.handle"),
        (ContactRecord, {"email_role": "a b@c.example"}, "email_role"),
        (ContactRecord, {"escalation": [{"address": "Pe", "minutes": 1}]}, "escalation.0.address"),
        (ContactRecord, {"hours": {"zone": LIMA, "weekly": [{"days": ["mon"], "from": "8", "to": "17:00"}]}},
         "hours.weekly.0.from"),
        (OwnerRecord, {"nomination": {"document": "1", "date": "yesterday"}}, "nomination.date"),
        (HoldersRecord, {"emergency_channel": {"kind": "pigeon", "value": "x"}}, "emergency_channel.kind"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named_and_its_value_is_not(form: Any, value: Any, field: str) -> None:
    with pytest.raises(Refused) as fault:
        write(form, value)
    assert fault.value.facts["field"] == field
    assert "555 0100" not in fault.value.detail


def test_numbers_are_written_as_people_write_them_and_kept_as_e164() -> None:
    assert write(HoldersRecord, {"phone_247": "+51 (1) 555-01.99"}).phone_247 == "+5115550199"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"asn": [1, 0]}, "asn.1"),
        ({"prefix": ["10.0.0.0/7"]}, "prefix.0"),
        ({"prefix": ["10.0.0.1/8"]}, "prefix.0"),
        ({"prefix": ["2000::/3"]}, "prefix.0"),
        ({"domain": ["a..b"]}, "domain.0"),
        ({"domain": ["gob.pe", "com"]}, "domain.1"),
    ],
)
def test_claims_that_are_none(value: Any, field: str) -> None:
    assert refused(check_claims, write(Claims, value)) == field


def test_claims_have_one_spelling() -> None:
    claims = write(
        Claims, {"asn": [2, 1, 2], "domain": ["Ñandú.PE.", "xn--and-6ma2c.pe"], "prefix": ["2001:DB8::/32"]}
    )
    assert check_claims(claims) == Claims(asn=(1, 2), domain=("xn--and-6ma2c.pe",), prefix=("2001:db8::/32",))
    assert check_claims(claims).count == 4
    assert check_application(write(Application, APPLICATION), zones).claims.domain == ("gob.pe",)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("chief", "csirt", ["ransomware"], []), "function"),
        (("spoc", "army", ["ransomware"], []), "community"),
        (("spoc", "csirt", ["weather"], []), "topics"),
        (("spoc", "csirt", [], []), "topics"),
        (("spoc", "csirt", ["ransomware"], ["magna_carta"]), "instruments"),
        (("operational_tracing", "police", ["firearms"], []), "instruments"),
    ],
)
def test_words_that_are_not_in_the_lists(arguments: Any, field: str) -> None:
    assert refused(check_words, *arguments) == field
    check_words("operational_tracing", "police", ["firearms"], ["cifta"])


def test_a_part_has_one_spelling_and_a_limit() -> None:
    first = write(PublicRecord, {"name_short": "Nin\u0303o", "is_24x7": False})
    assert to_bytes(first) == '{"name_short":"Niño"}'.encode()
    assert read(PublicRecord, to_bytes(first)) == first
    texts = {f"a{chr(97 + number)}": "é" * 4_000 for number in range(16)}
    assert part_bytes(write(PublicRecord, {"name_official": texts}))
    assert (
        refused(part_bytes, write(PublicRecord, {"name_official": texts, "constituency_text": texts}))
        == "PublicRecord"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"name_short": 7}',
        b"\xff",
        b'{"x":' + b"[" * 9 + b"]" * 9 + b"}",
        b" " * (MAX_PART + 1),
    ],
)
def test_what_cannot_be_read_is_none_and_never_an_exception(data: bytes) -> None:
    assert read(PublicRecord, data) is None


def test_a_writer_is_told_what_a_reader_puts_up_with() -> None:
    data = b'{"name_short": "PECERT", "from_the_future": {"a": 1}}'
    assert read(PublicRecord, data) == PublicRecord(name_short="PECERT")
    assert refused(write_bytes, PublicRecord, data) == "from_the_future"
    assert refused(write_bytes, PublicRecord, b"{") == "document"
