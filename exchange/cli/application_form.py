"""The application document as a person gives it: a file, flags, or answers at the terminal (docs/directory.md).

Owns that choice and the template. What a document must say is directory/record_rules' business.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import orjson

from exchange.canonical import b64
from exchange.cli.call import Call
from exchange.cli.waiting import paper_hash
from exchange.directory.record_rules import check_application, write, write_bytes
from exchange.directory.records import Application, to_bytes
from exchange.directory.waiting import MAX_DOCUMENT
from exchange.errors import Refused
from exchange.zones import zones

LANGUAGE: Final = "en"
TEMPLATE: Final[dict[str, Any]] = {
    "name_official": {"es": "Centro Nacional de Respuesta a Incidentes", "en": "National CSIRT"},
    "name_short": "XX-CSIRT",
    "legal_basis": {"text": "Decree 1/2026 of the President, article 3"},
    "nominating_authority": "Ministry of Foreign Affairs",
    "constituency_text": {"en": "Government and critical infrastructure of the country"},
    "claims": {
        "asn": [64500],
        "prefix": ["192.0.2.0/24", "2001:db8::/32"],
        "domain": ["gob.example"],
        "country": ["XX"],
    },
    "languages": [{"lang": "es", "level": "works"}, {"lang": "en", "level": "reads"}],
    "timezone": "America/Montevideo",
    "contacts": [
        {
            "handle": "duty",
            "function": "technical_office",
            "community": "csirt",
            "topics": ["ransomware", "phishing"],
            "record": {
                "role_name": {"en": "Duty desk"},
                "email_role": "duty@csirt.example",
                "phone_office": "+598 2000 0000",
                "hours": {
                    "zone": "America/Montevideo",
                    "weekly": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}],
                },
                "languages": [{"lang": "es", "level": "works"}],
                "persons": [
                    {"handle": "head", "name": "Name Surname", "position": "Head", "role": "primary"}
                ],
            },
        }
    ],
}


@dataclass
class Answers:
    """What flags said of the applicant; texts are in the first of the languages."""

    name: str | None = None
    short_name: str | None = None
    legal_basis: str | None = None
    legal_document: Path | None = None
    authority: str | None = None
    constituency: str | None = None
    timezone: str | None = None
    languages: list[str] = field(default_factory=list)
    asn: list[int] = field(default_factory=list)
    prefix: list[str] = field(default_factory=list)
    domain: list[str] = field(default_factory=list)

    @property
    def any_given(self) -> bool:
        """Whether a flag said something."""
        return any(getattr(self, one.name) for one in fields(self))


def template() -> str:
    """A document to fill in."""
    return orjson.dumps(TEMPLATE, option=orjson.OPT_INDENT_2).decode("utf-8")


def read_document(call: Call, file: Path | None, answers: Answers, *, optional: bool) -> bytes:
    """The document's bytes, checked; none where it is `optional` and nobody gave or can be asked for one.

    Raises Refused cli.usage, cli.bad-file, record.bad-field.
    """
    if file is not None:
        if answers.any_given:
            raise Refused("cli.usage", "give --application FILE, or what stands in it by flags, not both")
        return _checked(write_bytes(Application, _read(file)))
    if optional and not answers.any_given:
        return b""
    return _checked(write(Application, _asked(call, answers)))


def _checked(application: Application) -> bytes:
    return to_bytes(check_application(application, zones))


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise Refused("cli.bad-file", f"can't read the application {file}") from error
    if len(data) > MAX_DOCUMENT:
        raise Refused("cli.bad-file", f"the application {file} has more than {MAX_DOCUMENT} bytes")
    return data


def _asked(call: Call, given: Answers) -> dict[str, Any]:
    """The flags as a document; a person is asked for what no flag said."""
    languages = given.languages or [LANGUAGE]
    name = call.ask("Official name", given.name, "--name, or --application FILE (`node join --template`),")
    legal: dict[str, Any] = {
        "text": call.ask("Legal basis, e.g. the decree and its article", given.legal_basis, "--legal-basis")
    }
    if given.legal_document:
        legal["document"] = b64(paper_hash(given.legal_document))
    return {
        "name_official": {languages[0]: name},
        "name_short": call.ask("Short name", given.short_name, "--short-name"),
        "legal_basis": legal,
        "nominating_authority": call.ask("Who nominates you", given.authority, "--authority"),
        "constituency_text": {
            languages[0]: call.ask("For whom you work", given.constituency, "--constituency")
        },
        "claims": {"asn": given.asn, "prefix": given.prefix, "domain": given.domain},
        "languages": [{"lang": lang, "level": "works"} for lang in languages],
        "timezone": call.ask("Time zone, e.g. America/Lima", given.timezone, "--timezone"),
    }
