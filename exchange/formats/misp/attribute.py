"""A MISP attribute as STIX: an indicator where it is for detection, else what was observed, a vulnerability or a note.

What STIX says of it is read back by `misp/back`; only where that finds something else does our extension say it too.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from exchange.errors import Refused
from exchange.formats.indicators.indicator import doubt_of_match
from exchange.formats.making import reference
from exchange.formats.misp.back import attributes_of
from exchange.formats.misp.labels import tag_names
from exchange.formats.misp.made import Event, first_and_last, known_uuid, moment, time_of
from exchange.formats.misp.sightings import make_sightings
from exchange.formats.misp.stix import identified, observables, pattern
from exchange.formats.misp.types import RULES, comparisons
from exchange.formats.stix.time import to_stix
from exchange.tlp import Tlp

MAX_NAME: Final = 250  # characters
CARRIED: Final = (
    "type",
    "category",
    "to_ids",
    "value",
    "comment",
    "timestamp",
    "distribution",
    "disable_correlation",
    "object_relation",
    "first_seen",
    "last_seen",
    "Tag",
)
_READ: Final = ("uuid", "data", "Galaxy", "Sighting", "SharingGroup", "ShadowAttribute", "RelatedAttribute")
_DERIVED: Final = "MISP finds it again by itself"
_CVE: Final = re.compile(r"CVE-[0-9]{4}-(?:0[0-9]{3}|[1-9][0-9]{3,18})")
_SAMPLE: Final = "malware-sample"


def facts_of(event: Event, value: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What an attribute says, without numbers of the MISP it comes from. Raises Refused `format.bad-entry`."""
    for name, kind in (("type", str), ("value", str | int | float)):
        if not isinstance(value.get(name), kind) or value[name] == "":
            raise Refused("format.bad-entry", f"it has no {name}")
    if is_true(value.get("deleted")):
        raise Refused("format.bad-entry", "it is deleted in MISP")
    for name, why in (
        ("ShadowAttribute", "a proposal isn't what the event says"),
        ("RelatedAttribute", _DERIVED),
        ("SharingGroup", "who is in a sharing group is its MISP's own"),
    ):
        if value.get(name):
            event.losses.add(f"{place}/{name}", name, why)
    return event.facts(value, place, CARRIED, _READ)


def is_true(value: object) -> bool:
    """MISP writes its switches as `true`, `1` and `"1"`."""
    return value in (True, 1, "1", "true")


def make_attribute(
    event: Event, value: Mapping[str, Any], place: str, facts: Mapping[str, Any], *, of: str = ""
) -> str:
    """Make what stands for an attribute whose `facts_of` are given; its id.

    `of`: the MISP object it is part of, which holds all its facts already; it becomes an indicator then, or nothing at
    all (the empty text). Raises Refused `format.bad-entry`, `stix.*`.
    """
    its_uuid, tlp = event.uuid_of(value, place), event.label_of(value)
    made_of = _looked_for(event, facts) if is_true(facts.get("to_ids")) else None
    if made_of is None and is_true(facts.get("to_ids")):
        event.losses.add(
            f"{place}/to_ids", "to_ids", "it is for detection in MISP, and has no pattern in STIX"
        )
    if of and made_of is None:
        return ""
    common: dict[str, Any] = {"tlp": tlp, "labels": tag_names(facts.get("Tag"))}
    at = moment(facts.get("timestamp"))
    common["at"] = event.at if at is None else at
    kept = {"of": of} if of else beside(event, value, place, facts, tlp)
    if made_of is None:
        made_of = _no_indicator(event, facts, common["at"], tlp)
    elif facts.get("comment"):
        made_of["description"] = facts["comment"]
    type_ = made_of.pop("type")
    if type_ == "indicator":
        made_of["valid_from"] = to_stix(first_and_last(facts, common["at"])[0])
    if not of:
        stated = {"id": f"{type_}--{its_uuid}", "type": type_, "modified": to_stix(common["at"]), **made_of}
        kept |= _unsaid(event, facts, stated)
    object_id = event.add(f"{type_}--{its_uuid}", facts=kept, **common, **made_of)
    if type_ == "indicator":
        _doubt(event, place, facts)
    if not of:
        event.ids[its_uuid] = object_id
    make_sightings(event, value, place, object_id, tlp)
    return object_id


def beside(
    event: Event, value: Mapping[str, Any], place: str, facts: Mapping[str, Any], tlp: Tlp
) -> dict[str, Any]:
    """The facts of an attribute that no member of STIX holds: a strange UUID, and where its file is."""
    kept: dict[str, Any] = {}
    stated = value.get("uuid")
    if stated and known_uuid(stated) != stated:
        kept["uuid"] = stated
    data = value.get("data")
    if data:
        try:
            base64.b64decode(data, validate=True)
        except (TypeError, ValueError, binascii.Error):
            event.losses.add(f"{place}/data", "data", "it is not base64")
            return kept
        artifact: dict[str, Any] = {"type": "artifact", "payload_bin": data}
        if facts["type"] == _SAMPLE:  # MISP keeps samples in zip files with this password
            artifact |= {
                "mime_type": "application/zip",
                "encryption_algorithm": "mime-type-indicated",
                "decryption_key": "infected",
            }
        (kept["data_ref"],) = event.observe([identified(artifact)], tlp)
    return kept


def _looked_for(event: Event, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """The members of an indicator; None where the value can't be looked for in STIX, or its pattern isn't checked."""
    if RULES.get(facts["type"]) == "stix":
        try:
            event.file.patterns.checked(str(facts["value"]))
        except Refused:
            return None
    return _indicator(facts)


def _doubt(event: Event, place: str, facts: Mapping[str, Any]) -> None:
    """Say what an indicator looks for and may be harmless: each address, name, URL and hash."""
    for path, text in comparisons(facts["type"], str(facts["value"])) or ():
        why = doubt_of_match(str(text)) if path.endswith((":value", ".value")) or "hashes." in path else ""
        if why:
            event.file.doubts.add(f"{place}/value", facts["type"], why)


def _indicator(facts: Mapping[str, Any], *, spelt: bool = False) -> dict[str, Any] | None:
    """The members of an indicator; None where the value can't be looked for in STIX. A pattern is taken as it is."""
    type_, text = facts["type"], str(facts["value"])
    if type_ in RULES:
        return {"type": "indicator", "pattern": text, "pattern_type": RULES[type_], "name": f"{type_} rule"}
    found = comparisons(type_, text, spelt=spelt)
    if found is None:
        return None
    return {"type": "indicator", "pattern": pattern(found), "pattern_type": "stix", "name": text[:MAX_NAME]}


def _no_indicator(event: Event, facts: Mapping[str, Any], at: int, tlp: Tlp) -> dict[str, Any]:
    said, seen = _vulnerability(facts), observables(comparisons(facts["type"], str(facts["value"])) or ())
    if said:
        return {**said, "description": facts.get("comment")}
    try:
        refs = event.observe(seen, tlp)
    except Refused:
        refs = []
    if not refs:
        return {**_note(facts), "object_refs": [f"report--{event.uuid}"]}
    first, last = map(to_stix, first_and_last(facts, at))
    return {
        "type": "observed-data",
        "first_observed": first,
        "last_observed": last,
        "number_observed": 1,
        "object_refs": refs,
    }


def _vulnerability(facts: Mapping[str, Any]) -> dict[str, Any]:
    name = str(facts["value"])
    if facts["type"] != "vulnerability" or not _CVE.fullmatch(name):
        return {}
    return {
        "type": "vulnerability",
        "name": name,
        "external_references": [reference("cve", external_id=name)],
    }


def _note(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "note", "abstract": facts["type"], "content": str(facts["value"])}


def agrees(value: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether an object is what an attribute of that type and value becomes: our extension can't say another thing."""
    if not isinstance(facts.get("type"), str) or not isinstance(facts.get("value"), str | int | float):
        return False
    if not seen_agrees(value, facts):
        return False
    try:
        return _becomes(value, facts, spelt=False) or _becomes(value, facts, spelt=True)
    except Refused:  # no pattern can say it
        return False


def _becomes(value: Mapping[str, Any], facts: Mapping[str, Any], *, spelt: bool) -> bool:
    """The same, with the value as it stands on the wire or as it is `spelt`. Raises Refused `stix.bad-pattern`."""
    if value["type"] == "observed-data":
        seen = observables(comparisons(facts["type"], str(facts["value"]), spelt=spelt) or ())
        return {one["id"] for one in seen} == set(value.get("object_refs", ()))
    indicator = value["type"] == "indicator"
    said = _indicator(facts, spelt=spelt) if indicator else _vulnerability(facts) or _note(facts)
    return said is not None and all(value.get(name) == each for name, each in said.items())


def seen_agrees(value: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether an object begins when its facts say that it was seen first, if they say so and in order.

    Older versions let each begin when its entry was written last.
    """
    first, last = time_of(facts, "first_seen"), time_of(facts, "last_seen")
    begins = value.get("first_observed", value.get("valid_from"))
    if first is None or begins is None or (last is not None and last < first):
        return True
    return begins in (to_stix(first), value.get("modified"))


def _unsaid(event: Event, facts: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that reading the object back wouldn't find."""
    found = attributes_of(value, event.observed)
    back = found[0] if len(found) == 1 else {}
    return {name: each for name, each in facts.items() if back.get(name) != each}
