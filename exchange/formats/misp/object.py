"""A MISP object as STIX: one object for the whole with all its facts, and an indicator for each value to be detected.

MISP looks for each attribute that is for detection by itself; so do the indicators. What was seen together stands in
the observed-data that they are based on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from exchange.errors import Refused
from exchange.formats.making import reference
from exchange.formats.misp.attribute import beside, facts_of, is_true, make_attribute, seen_agrees
from exchange.formats.misp.galaxies import indicate, make_galaxies
from exchange.formats.misp.labels import tag_names
from exchange.formats.misp.made import Event, first_and_last, known_uuid, moment
from exchange.formats.misp.sightings import make_sightings
from exchange.formats.misp.stix import observables
from exchange.formats.misp.types import Comparison, comparisons
from exchange.formats.stix.time import to_stix
from exchange.message import MAX_TEXT_CHARS
from exchange.tlp import Tlp, strictest

MAX_ATTRIBUTES: Final = 5_000  # of one object
CARRIED: Final = (
    "name",
    "meta-category",
    "description",
    "template_uuid",
    "template_version",
    "timestamp",
    "distribution",
    "comment",
    "first_seen",
    "last_seen",
)
_READ: Final = ("uuid", "Attribute", "ObjectReference", "SharingGroup")
REFERENCE: Final = (
    "uuid",
    "timestamp",
    "referenced_uuid",
    "referenced_type",
    "relationship_type",
    "comment",
)
# Objects that are a thing of their own in STIX, and the relations that name and describe it.
_THINGS: Final[Mapping[str, tuple[str, str]]] = {
    "vulnerability": ("id", "summary"),
    "attack-pattern": ("name", "summary"),
    "course-of-action": ("name", "description"),
}
_CVE: Final = re.compile(r"CVE-[0-9]{4}-(?:0[0-9]{3}|[1-9][0-9]{3,18})")
_KIND: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,249}")
_Attribute = tuple[str, Mapping[str, Any], dict[str, Any]]  # place, as it stands, its facts


def make_object(event: Event, value: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """Make what stands for an object and its attributes; the galaxies that they name.

    Raises Refused `format.bad-entry`, `stix.*`.
    """
    name = value.get("name")
    if not isinstance(name, str) or not name:
        raise Refused("format.bad-entry", "it has no name")
    if is_true(value.get("deleted")):
        raise Refused("format.bad-entry", "it is deleted in MISP")
    if value.get("SharingGroup"):
        event.losses.add(f"{place}/SharingGroup", "SharingGroup", "who is in one is its MISP's own")
    facts = event.facts(value, place, CARRIED, _READ)
    its_uuid = event.uuid_of(value, place)
    if value.get("uuid") and known_uuid(value["uuid"]) != value["uuid"]:
        facts["uuid"] = value["uuid"]
    attributes = _attributes(event, value, place)
    tlp = strictest([event.label_of(value), *(event.label_of(each) for _, each, _ in attributes)])
    at = moment(value.get("timestamp"))
    when = event.at if at is None else at
    facts["Attribute"] = []
    for here, each, its_facts in attributes:
        kept = beside(event, each, here, its_facts, tlp)
        facts["Attribute"].append({"uuid": event.uuid_of(each, here), **its_facts, **kept})
    common: dict[str, Any] = {"tlp": tlp, "at": when, "facts": {"object": facts}}
    common["labels"] = [tag for _, _, each in attributes for tag in tag_names(each.get("Tag"))]
    of = _whole(event, f"{name}--{its_uuid}", [each for _, _, each in attributes], common)
    event.ids[its_uuid] = of
    return [galaxy for one in attributes for galaxy in _detected(event, one, of, tlp)]


def _attributes(event: Event, value: Mapping[str, Any], place: str) -> list[_Attribute]:
    found: list[_Attribute] = []
    listed = value.get("Attribute")
    attributes = listed if isinstance(listed, list) else []
    if len(attributes) > MAX_ATTRIBUTES:
        raise Refused("format.bad-entry", f"it has more than {MAX_ATTRIBUTES} attributes")
    for number, each in enumerate(attributes):
        here = f"{place}/Attribute/{number}"
        try:
            if not isinstance(each, dict):
                raise Refused("format.bad-entry", "an attribute should be an object")
            found.append((here, each, facts_of(event, each, here)))
        except Refused as refusal:
            event.reject(here, refusal)
    return found


def _detected(event: Event, attribute: _Attribute, of: str, tlp: Tlp) -> list[dict[str, Any]]:
    """The indicator of one attribute, and what relates it to the whole and to its clusters; the galaxies of these."""
    place, value, facts = attribute
    try:
        made = make_attribute(event, value, place, facts, of=of)
    except Refused as refusal:
        event.reject(place, refusal)
        return []
    its_uuid = event.uuid_of(value, place)
    event.ids[its_uuid] = made or of
    if not made:
        make_sightings(event, value, place, of, tlp)
    clusters, galaxies = make_galaxies(event, value, place)
    indicate(event, made or of, clusters, tlp=tlp)
    if made:
        kind = "based-on" if of.startswith("observed-data--") else "related-to"
        event.relate(made, kind, of, tlp=tlp, facts={"of": of})
    return galaxies


def _whole(
    event: Event, named: str, attributes: Sequence[Mapping[str, Any]], common: Mapping[str, Any]
) -> str:
    """The one object that holds all facts: a thing of its own, what was observed, else a note. `named`: NAME--UUID."""
    name, _, its_uuid = named.rpartition("--")
    thing = _thing(name, attributes)
    if thing:
        return event.add(named, **thing, **common)
    try:
        refs = event.observe(_together(attributes), common["tlp"])
    except Refused:
        refs = []
    if refs:
        first, last = map(to_stix, first_and_last(common["facts"]["object"], common["at"]))
        return event.add(
            f"observed-data--{its_uuid}",
            first_observed=first,
            last_observed=last,
            number_observed=1,
            object_refs=refs,
            **common,
        )
    about = [f"report--{event.uuid}"]
    return event.add(f"note--{its_uuid}", **_note(name, attributes), object_refs=about, **common)


def _thing(name: str, attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The members of a vulnerability, technique or course of action; none for any other object, or without a name."""
    said = {str(each.get("object_relation")): str(each["value"]) for each in attributes}
    naming, describing = _THINGS.get(name, ("", ""))
    called = said.get(naming, "")
    if not called:
        return {}
    numbers = [reference("cve", external_id=called)] if _CVE.fullmatch(called) else []
    found = {"name": called, "description": said.get(describing), "external_references": numbers}
    return {name: each for name, each in found.items() if each}


def _note(name: str, attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    lines = [f"{each.get('object_relation', '')}: {each['value']}" for each in attributes]
    return {"abstract": name, "content": "\n".join(lines)[:MAX_TEXT_CHARS] or name}


def agrees(value: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether an object of STIX is what a MISP object of these facts becomes: our extension can't say another thing."""
    name, listed = facts.get("name"), facts.get("Attribute")
    attributes = listed if isinstance(listed, list) else []
    if not isinstance(name, str) or not all(map(_is_attribute, attributes)) or not seen_agrees(value, facts):
        return False
    if value["type"] == "observed-data":
        refs = set(value.get("object_refs", ()))
        return any({one["id"] for one in _together(attributes, spelt=how)} == refs for how in (False, True))
    said = _note(name, attributes) if value["type"] == "note" else _thing(value["type"], attributes)
    return bool(said) and all(value.get(member) == each for member, each in said.items())


def _is_attribute(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("type"), str)
        and isinstance(value.get("value"), str | int | float)
    )


def _together(attributes: Sequence[Mapping[str, Any]], *, spelt: bool = False) -> list[dict[str, Any]]:
    """The observables of an object: of each type one for as long as no two values are of the same path."""
    rows: dict[tuple[str, int], list[Comparison]] = {}
    taken = Counter[str]()
    for facts in attributes:
        found = comparisons(facts["type"], str(facts["value"]), spelt=spelt) or []
        if found:
            row = max(taken[path] for path, _ in found)
            taken |= {path: row + 1 for path, _ in found}
            rows.setdefault((found[0][0].partition(":")[0], row), []).extend(found)
    made = [one for found in rows.values() for one in observables(found)]
    return list({one["id"]: one for one in made}.values())


def make_references(event: Event, value: Mapping[str, Any], place: str) -> None:
    """Relate an object that was made to what it refers to, once everything has been made."""
    source = event.ids.get(event.uuid_of(value, place))
    listed = value.get("ObjectReference")
    for number, each in enumerate(listed if isinstance(listed, list) else ()):
        here = f"{place}/ObjectReference/{number}"
        if source is None or not isinstance(each, dict):
            event.losses.add(here, "ObjectReference", "its object isn't carried")
            continue
        if is_true(each.get("deleted")):
            event.reject(here, Refused("format.bad-entry", "it is deleted in MISP"))
            continue
        facts = event.facts(each, here, REFERENCE, ("object_uuid", "referenced_id"))
        target = event.ids.get(str(each.get("referenced_uuid")).lower())
        if target is None:
            event.losses.add(here, "ObjectReference", "what it refers to isn't carried")
            continue
        at = moment(each.get("timestamp"))
        try:
            event.add(
                f"relationship--{event.uuid_of(each, here)}",
                at=event.at if at is None else at,
                relationship_type=_kind(each),
                source_ref=source,
                target_ref=target,
                description=each.get("comment"),
                facts={"reference": facts},
            )
        except Refused as refusal:
            event.reject(here, refusal)


def _kind(value: Mapping[str, Any]) -> str:
    """A reference's kind as STIX spells kinds."""
    kind = str(value.get("relationship_type", "")).lower().replace("_", "-").replace(" ", "-")
    return kind if _KIND.fullmatch(kind) else "related-to"


def reference_agrees(value: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether a relationship is what a reference of these facts becomes, whatever it refers to."""
    said = str(facts.get("comment") or "")
    return value.get("relationship_type") == _kind(facts) and value.get("description", "") == said
