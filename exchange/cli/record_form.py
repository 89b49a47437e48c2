"""Records as people give them: JSON files, and single fields as FIELD=VALUE.

Owns these two readings and what a record says that nothing was ever said in. What must stand in a record is
directory/record_rules' business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from exchange.canonical import Json
from exchange.directory.contacts import MAX_PART
from exchange.directory.records import Form, MembersRecord, PublicRecord, load, to_json
from exchange.errors import Refused

FORMS: Final[Mapping[str, type[Form]]] = {"members": MembersRecord, "public": PublicRecord}
_MOST: Final = 2 * MAX_PART  # bytes of a file: two levels
TEMPLATE: Final[dict[str, Any]] = {
    "public": {
        "name_official": {"es": "Centro Nacional de Seguridad Digital", "en": "National CSIRT"},
        "name_short": "XX-CSIRT",
        "constituency_text": {"en": "Government and critical infrastructure of the country"},
        "languages": [{"lang": "es"}, {"lang": "en", "level": "reads"}],
        "timezone": "America/Lima",
        "office_hours": {
            "zone": "America/Lima",
            "weekly": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "17:00"}],
        },
        "holidays": [{"date": "07-28", "name": "Independence"}],
    },
    "members": {
        "legal_basis": {"text": "Decree 1/2026 of the President, article 3"},
        "nominating_authority": "Ministry of Foreign Affairs",
        "email_domains": ["csirt.example"],
        "max_tlp_automated": "amber",
    },
}

CLAIMS: Final[dict[str, Any]] = {
    "asn": [64496],
    "prefix": ["192.0.2.0/24", "2001:db8::/32"],
    "domain": ["gob.example"],
    "sector": ["energy"],
    "country": [],
}


def read_json_object(file: Path, what: str) -> dict[str, Any]:
    """A file with one JSON object. Raises Refused cli.bad-file."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST + 1)
        value = load(data, most=_MOST)
    except OSError as error:
        raise Refused("cli.bad-file", f"can't read {file}") from error
    except ValueError as error:
        raise Refused("cli.bad-file", f"{file} is not JSON that can be read ({error})") from None
    if not isinstance(value, dict):
        raise Refused("cli.bad-file", f"{file} isn't {what}: a JSON object is")
    return value


def set_fields(
    levels: dict[str, dict[str, Any]], forms: Mapping[str, type[Form]], settings: Sequence[str]
) -> None:
    """Lay `FIELD=VALUE`s over the levels; `LEVEL.FIELD` where two levels have the name, `FIELD.es` inside an object.

    A value that begins like JSON is read as JSON; an empty one takes the field away. Raises Refused cli.usage,
    record.bad-field.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        names = path.strip().split(".")
        if not equals or not all(names):
            raise Refused("cli.usage", "--set FIELD=VALUE")
        if len(names) > 1 and names[0] in forms:
            level, names = names[0], names[1:]
        else:
            level = _level_of(names[0], forms)
        _set(levels[level], names, _value(path, text.strip()))


def plain(form: Form | None) -> dict[str, Any]:
    """A form as the JSON object it is; an empty one for none."""
    value = None if form is None else to_json(form)
    return value if isinstance(value, dict) else {}


def without_nothing(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without what was taken away: an absent field, not an empty one."""
    return {name: value for name, value in record.items() if value not in (None, "", [], {})}


def _level_of(name: str, forms: Mapping[str, type[Form]]) -> str:
    found = [level for level, form in forms.items() if name in form.model_fields]
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused("cli.usage", f"{name} stands in {' and '.join(found)}: write LEVEL.{name}=VALUE")
    raise Refused("record.bad-field", f"{name[:64]}: no such field", field=name)


def _value(path: str, text: str) -> Json:
    if text.startswith(("{", "[", '"')) or text in ("true", "false"):
        try:
            value: Json = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise Refused("record.bad-field", f"{path}: begins as JSON, and isn't", field=path) from None
        return value
    return text


def _set(record: dict[str, Any], names: Sequence[str], value: Json) -> None:
    for name in names[:-1]:
        inner = record.get(name, {})
        if not isinstance(inner, dict):
            raise Refused("record.bad-field", f"{name}: has no members of its own", field=name)
        record[name] = inner = dict(inner)
        record = inner
    if value == "":
        record.pop(names[-1], None)
    else:
        record[names[-1]] = value
