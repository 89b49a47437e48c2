"""A contact point as people give it: files, flags, fields; persons keep their handles; what is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.contact_form import Flags, Given, Said, compose, known_persons, reachable, template
from exchange.cli.own_contacts import check
from exchange.directory.contacts import Part
from exchange.directory.records import HoldersRecord, OwnerRecord
from exchange.errors import Refused
from exchange.node.directory.registration import Function

DUTY = Function("technical_24x7", "csirt", ("ransomware",))


def handles(letters: str = "abcdefgh") -> Callable[[], str]:
    made = iter(letters)
    return lambda: "p-" + next(made) * 10


def said(
    flags: Flags | None = None,
    file: Path | None = None,
    before: dict[str, Any] | None = None,
    known: dict[str, str] | None = None,
    language: str = "es",
) -> Said:
    given = Given(file, flags or Flags(), language)
    fresh = handles("stuvwxyz") if before else handles()
    return compose(before or {}, given, known=known or {}, new_handle=fresh)


@pytest.fixture
def duty(tmp_path: Path) -> Path:
    file = tmp_path / "duty.json"
    file.write_text(template("pe-csirt/duty"))
    return file


def test_the_template_is_a_contact_point_that_may_be_stated(duty: Path) -> None:
    found = said(file=duty)
    check(DUTY, found)
    assert [(each.handle, each.name) for each in found.record.persons] == [
        ("p-aaaaaaaaaa", "Ana Quispe"),
        ("p-bbbbbbbbbb", "Pedro Rojas"),
    ]
    assert found.holders.persons["p-aaaaaaaaaa"].phone_mobile == "+51955501000"
    assert found.record.escalation[0].address == "pe-csirt/npc"
    assert sorted(found.bodies()) == ["holders", "members"]  # the owner's part says nothing


def test_a_text_is_in_the_first_language_of_its_contact_unless_one_says(duty: Path) -> None:
    assert said(Flags(role="Bureau", languages=["fr", "en:reads"]), language="").record.role_name == {
        "fr": "Bureau"
    }
    assert said(Flags(role="Guardia"), file=duty, language="").record.role_name["es"] == "Guardia"
    assert said(Flags(role="Desk"), language="").record.role_name == {"en": "Desk"}


def test_saying_it_again_says_the_same_also_while_it_waits(duty: Path) -> None:
    first = said(file=duty).bodies()
    parts = [Part("pe-csirt/duty", level, bytes(16), body) for level, body in first.items()]
    known = known_persons(parts)
    assert known == {"ana quispe": "p-aaaaaaaaaa", "pedro rojas": "p-bbbbbbbbbb"}
    assert said(file=duty, known=known).bodies() == first


def test_flags_lie_over_what_was_said_and_change_nothing_else(duty: Path) -> None:
    before = {level: json.loads(body) for level, body in said(file=duty).bodies().items()}
    flags = Flags(
        phone="+51 1 555 0200",
        role="Turno",
        hours="mon-fri 08:00-17:00",
        languages=["es", "fr:reads"],
        mobiles=["Pedro Rojas=+51 955 501 001"],
        settings=["org_unit.pt=Centro", "holders.urgent_procedure.es=Llame", "email_role=x@y.example"],
    )
    found = said(flags, before=before)
    assert found.record.phone_office == "+5115550200"
    assert dict(found.record.role_name) == {"es": "Turno", "en": "Duty desk"}
    assert found.record.org_unit["pt"] == "Centro"
    assert found.record.hours is not None
    assert found.record.hours.zone == "America/Lima"  # as before
    assert [(each.lang, each.level) for each in found.record.languages] == [("es", "works"), ("fr", "reads")]
    assert found.holders.urgent_procedure["es"] == "Llame"
    assert set(found.holders.persons) == {"p-aaaaaaaaaa", "p-bbbbbbbbbb"}
    assert [each.handle for each in found.record.persons] == ["p-aaaaaaaaaa", "p-bbbbbbbbbb"]


def test_an_empty_setting_takes_a_field_away(duty: Path) -> None:
    before = {level: json.loads(body) for level, body in said(file=duty).bodies().items()}
    found = said(Flags(settings=["org_unit.es=", "phone_247="]), before=before)
    assert dict(found.record.org_unit) == {}
    assert found.holders.phone_247 is None


def test_who_is_no_longer_there_leaves_no_number_behind(duty: Path) -> None:
    before = {level: json.loads(body) for level, body in said(file=duty).bodies().items()}
    found = said(Flags(persons=["Pedro Rojas, Jefe", "Luz Mamani"]), before=before)
    assert [each.handle for each in found.record.persons] == ["p-bbbbbbbbbb", "p-ssssssssss"]
    assert dict(found.holders.persons) == {}
    held = HoldersRecord.model_validate(before["holders"])
    assert dict(reachable(held, found.record).persons) == {}
    assert found.owner == OwnerRecord()


@pytest.mark.parametrize(
    ("flags", "code", "field"),
    [
        (Flags(phone="555 0100"), "record.bad-field", "phone_office"),
        (Flags(hours="whenever", zone="America/Lima"), "record.bad-field", "hours"),
        (Flags(zone="America/Lima"), "cli.usage", "--zone"),
        (Flags(persons=["=HYPERLINK"]), "cli.usage", "--person"),
        (Flags(mobiles=["Nobody=+51 955 501 001"]), "cli.usage", "--mobile"),
        (Flags(escalation=["pe-csirt/npc"]), "cli.usage", "--escalate"),
        (Flags(channel="pigeon=coop 7"), "record.bad-field", "emergency_channel.kind"),
        (Flags(languages=["es:sings"]), "record.bad-field", "languages.0.level"),
        (Flags(settings=["phone"]), "cli.usage", "--set"),
        (Flags(settings=["shoe_size=43"]), "record.bad-field", "shoe_size"),
        (Flags(settings=["persons=x"]), "cli.usage", "persons stands in"),
        (Flags(settings=["members.persons=x"]), "record.bad-field", "persons"),
        (Flags(settings=["holders.persons=x"]), "record.bad-field", "holders.persons"),
        (Flags(settings=["holidays=[{"]), "record.bad-field", "holidays"),
        (Flags(settings=["email_role.es=x"]), "record.bad-field", "email_role"),
    ],
)
def test_what_is_wrong_is_named(flags: Flags, code: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        said(flags, before={"members": {"email_role": "a@b.example"}})
    assert (refused.value.code, refused.value.detail[: len(field)]) == (code, field)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[]", "cli.bad-file"),
        ("{", "cli.bad-file"),
        ("[" * 20 + "]" * 20, "cli.bad-file"),
        ('{"public": {}}', "record.bad-field"),
        ('{"members": []}', "record.bad-field"),
        ('{"members": {"persons": {}}}', "record.bad-field"),
        ('{"members": {"surname": "x"}}', "record.bad-field"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, code: str) -> None:
    file = tmp_path / "contact.json"
    file.write_text(text)
    with pytest.raises(Refused) as refused:
        said(file=file)
    assert refused.value.code == code
    with pytest.raises(Refused, match=r"cli\.bad-file"):
        said(file=tmp_path / "nothing")
