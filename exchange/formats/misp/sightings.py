"""MISP's sightings as STIX: a sighting where something was seen, an opinion where it was a false alarm, else a note.

A false positive as a STIX sighting would be read by others as the very opposite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from exchange.errors import Refused
from exchange.formats.making import made_id
from exchange.formats.misp.made import EPOCH, FORMAT, Event, known_uuid, moment
from exchange.formats.stix.time import to_stix
from exchange.tlp import Tlp

CARRIED: Final = ("uuid", "source", "type", "date_sighting", "attribute_uuid")
_READ: Final = ("Organisation",)
_SEEN, _FALSE_POSITIVE = "0", "1"


def make_sightings(event: Event, value: Mapping[str, Any], place: str, of: str, tlp: Tlp) -> None:
    """Make every sighting of an attribute; `of` is the object that it became or that holds it."""
    listed = value.get("Sighting")
    for number, each in enumerate(listed if isinstance(listed, list) else ()):
        here = f"{place}/Sighting/{number}"
        if not isinstance(each, dict):
            event.losses.add(here, "Sighting", "it should be an object")
            continue
        try:
            stated = {**each, "attribute_uuid": event.uuid_of(value, place)}
            _make(event, stated, here, of, tlp)
        except Refused as refusal:
            event.reject(here, refusal)


def _make(event: Event, value: Mapping[str, Any], place: str, of: str, tlp: Tlp) -> None:
    facts = event.facts(value, place, CARRIED, _READ)
    at = moment(value.get("date_sighting"))
    when = event.at if at is None else at
    its_uuid, kind = event.uuid_of(value, place), str(value.get("type", _SEEN))
    organisation = value.get("Organisation")
    by = make_organisation(event, organisation) if isinstance(organisation, dict) else ""
    facts["Organisation"] = organisation_facts(organisation)
    common: dict[str, Any] = {"tlp": tlp, "at": when, "created": to_stix(when)}
    common["facts"] = {"sighting": facts, "of": of}
    if kind == _SEEN:
        event.add(
            f"sighting--{its_uuid}",
            sighting_of_ref=of,
            first_seen=to_stix(when),
            last_seen=to_stix(when),
            count=1,
            where_sighted_refs=[by] if by else None,
            **common,
        )
    elif kind == _FALSE_POSITIVE:
        common |= {"opinion": "strongly-disagree", "explanation": "reported as a false positive"}
        event.add(f"opinion--{its_uuid}", object_refs=[of], **common)
    else:
        common |= {"abstract": "expired", "content": "reported as no longer valid"}
        event.add(f"note--{its_uuid}", object_refs=[of], **common)


def agrees(value: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether an object of STIX is what a sighting of these facts becomes: our extension can't say another thing."""
    kinds = {_SEEN: "sighting", _FALSE_POSITIVE: "opinion"}
    at = moment(facts.get("date_sighting"))
    told = at is None or value.get("first_seen", value.get("modified")) == to_stix(at)
    return told and bool(value["type"] == kinds.get(str(facts.get("type", _SEEN)), "note"))


def make_organisation(event: Event, value: Mapping[str, Any]) -> str:
    """Make the identity of an organisation, once; its id. The empty text where it has no name."""
    name = event.facts(value, f"{event.place}/Orgc", ("name", "uuid"), ()).get("name")
    if not isinstance(name, str) or not name.strip():
        return ""
    its_uuid = known_uuid(value.get("uuid"))
    object_id = f"identity--{its_uuid}" if its_uuid else made_id("identity", FORMAT, name)
    return event.once(object_id, name=name, identity_class="organization", created=EPOCH, modified=EPOCH)


def organisation_facts(value: object) -> dict[str, Any]:
    """What an organisation is called in MISP."""
    source = value if isinstance(value, dict) else {}
    facts = {name: source[name] for name in ("name", "uuid") if isinstance(source.get(name), str)}
    return facts if known_uuid(facts.get("uuid")) or "uuid" not in facts else {"name": facts.get("name", "")}
