"""Writes a message as events of MISP: those it carries as they came, everything else as one more event.

An attribute that came from MISP has the values it came with. No event leaves with a weaker label or a wider
distribution than its message allows. What MISP has no place for is named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import orjson

from exchange.errors import Refused
from exchange.formats.making import SOURCE
from exchange.formats.members import Losses
from exchange.formats.misp.attribute import CARRIED, agrees as attribute_agrees
from exchange.formats.misp.back import OBSERVABLES, attributes_of, seconds
from exchange.formats.misp.galaxies import CLUSTER, CLUSTERS, GALAXY
from exchange.formats.misp.labels import INHERIT, distribution_of, is_tlp, tag_names, tag_of, tlp_of_tags
from exchange.formats.misp.made import FORMAT, known_uuid
from exchange.formats.misp.object import (
    CARRIED as OF_OBJECTS,
    REFERENCE,
    agrees as object_agrees,
    reference_agrees,
)
from exchange.formats.misp.read import CARRIED as OF_EVENTS, REPORT
from exchange.formats.misp.sightings import CARRIED as OF_SIGHTINGS, agrees as sighting_agrees
from exchange.formats.source import Written
from exchange.formats.stix.cover import carried_objects
from exchange.formats.stix.read import read_object
from exchange.formats.stix.time import to_stix
from exchange.message import Message

Value = Mapping[str, Any]
# Which objects may stand for what of MISP: a stranger may write our extension where it doesn't belong.
_ROLES: Final[Mapping[str, frozenset[str]]] = {
    "event": frozenset({"report"}),
    "object": frozenset({"observed-data", "note", "vulnerability", "attack-pattern", "course-of-action"}),
    "report": frozenset({"note"}),
    "sighting": frozenset({"sighting", "opinion", "note"}),
    "reference": frozenset({"relationship"}),
}
_AGREES: Final = {"object": object_agrees, "sighting": sighting_agrees}
# What of an event our extension says beside STIX. Its `info` is the report's name; whoever takes it in publishes it.
_OF_EVENTS: Final = frozenset(OF_EVENTS) - {"info", "published", "publish_timestamp"} | {"Orgc"}
_OF_REPORTS: Final = frozenset(REPORT) - {"uuid", "name", "content"}
# What every message has, and an event says with its organisation and tags.
_AROUND: Final = frozenset({"marking-definition", "extension-definition", "identity"})
_UNDEFINED, _COMPLETED = "4", "2"  # the threat level and the state of analysis of an event made here


def write(message: Message) -> Written:
    """The message as `{"Event": ...}`, or as `{"response": [...]}` where it is more than one event."""
    writer = _Writer(message)
    events = [writer.event(value) for value in writer.values.values() if _facts(value, "event") is not None]
    rest = writer.rest()
    if rest or not events:
        events.append(writer.made(rest))
    else:
        writer.losses.add("message", "subject, text and sender of the message", "its event has its own")
    listed = [{"Event": event} for event in events]
    whole = listed[0] if len(listed) == 1 else {"response": listed}
    return Written(orjson.dumps(whole, option=orjson.OPT_INDENT_2), writer.losses.all())


class _Writer:
    """The state of one writing: what the message carries, by id, and which of it has been written."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.values: dict[str, Value] = {}
        self.losses = Losses()
        self._written: set[str] = set()
        # of the event being written: attributes and objects by the STIX id of what stands for them
        self._within: dict[str, dict[str, Any]] = {}
        for place, data in enumerate(carried_objects(message)):
            try:
                read_object(data)  # a sender may have carried anything
            except Refused as refusal:
                self.losses.add(f"object {place}", refusal.code, "no valid STIX")
                continue
            value = orjson.loads(data)
            self.values[value["id"]] = value

    def rest(self) -> list[Value]:
        """What no event has said."""
        return [
            value
            for object_id, value in self.values.items()
            if object_id not in self._written and value["type"] not in _AROUND
        ]

    # -- an event that came from MISP ----------------------------------------------------------------------------------

    def event(self, report: Value) -> dict[str, Any]:
        """The event that a report stands for, with everything that it refers to."""
        facts = _facts(report, "event") or {}
        galaxies = _galaxies(facts.get("within"))
        if facts.get("published"):
            self.losses.add(
                report["id"], "published", "whoever takes it into MISP decides when to publish it"
            )
        self._written.add(report["id"])
        self._within = {}
        parts = [self.values[ref] for ref in report.get("object_refs", ()) if ref in self.values]
        objects = [self._object(value) for value in parts if _facts(value, "object") is not None]
        reports = [self._event_report(value) for value in parts if _facts(value, "report") is not None]
        attributes = [one for value in parts if self._stands_alone(value) for one in self._attributes(value)]
        for value in parts:
            self._about(value)
        for value in parts:
            if value["id"] not in self._written and value["type"] not in _AROUND:
                attributes += self._attributes(value)
        for attribute in [*attributes, *(one for each in objects for one in each["Attribute"])]:
            _restore_galaxies(attribute, galaxies)
        event = {
            "uuid": _uuid(report, facts),
            "info": report.get("name", ""),
            **_only(facts, _OF_EVENTS),
            "published": False,
            "Galaxy": _galaxies(facts.get("Galaxy")),
            "Attribute": attributes,
            "Object": objects,
            "EventReport": reports,
        }
        self._label(event)
        return event

    def _stands_alone(self, value: Value) -> bool:
        """Whether it is an attribute of the event itself: not one of an object, and nothing said about another."""
        if value["id"] in self._written or self._is_of_object(value) or value["type"] in _AROUND:
            return False
        about = _is_cluster(value) or _facts(value, "sighting") is not None
        return not about and value["type"] not in (*OBSERVABLES, "relationship", "artifact")

    def _is_of_object(self, value: Value) -> bool:
        """Whether it is the indicator of an attribute that an object has said already."""
        there = self._within.get(value["id"])
        return there is not None and value["type"] == "indicator" and attribute_agrees(value, there)

    def _attributes(self, value: Value) -> list[dict[str, Any]]:
        self._written.add(value["id"])
        found = attributes_of(value, self.values)
        plain = found[0] if len(found) == 1 else {"uuid": value["id"].partition("--")[2]}
        whole = plain | self._remembered(_extension(value))
        if attribute_agrees(value, whole):
            found = [whole]
        if len(found) == 1:
            self._within[value["id"]] = found[0]
        elif not found:
            self._lose(value)
        self._written |= _observed_by(value)
        return found

    def _remembered(self, facts: Value) -> dict[str, Any]:
        """What was remembered of an attribute, its file among it."""
        kept = {name: each for name, each in facts.items() if name in CARRIED or name == "uuid"}
        artifact = self.values.get(str(facts.get("data_ref")))
        if artifact is not None and "payload_bin" in artifact:
            kept["data"] = artifact["payload_bin"]
            self._written.add(artifact["id"])
        return kept

    def _object(self, value: Value) -> dict[str, Any]:
        facts = _facts(value, "object") or {}
        attributes = [self._remembered(each) for each in _dicts(facts.get("Attribute"))]
        self._written |= {value["id"], *_observed_by(value)}
        made = {
            "uuid": _uuid(value, facts),
            **_only(facts, OF_OBJECTS),
            "ObjectReference": [],
            "Attribute": attributes,
        }
        self._within[value["id"]] = made
        self._within |= {f"indicator--{each.get('uuid')}": each for each in attributes}
        return made

    def _event_report(self, value: Value) -> dict[str, Any]:
        self._written.add(value["id"])
        said = {"name": value.get("abstract", ""), "content": value.get("content", "")}
        facts = _facts(value, "report") or {}
        return {"uuid": _uuid(value, facts), **said, **_only(facts, _OF_REPORTS)}

    def _about(self, value: Value) -> None:
        """What says something about what was written: an indicator of an object, a reference, a sighting, a cluster."""
        own = _extension(value)
        reference, sighting = _facts(value, "reference"), _facts(value, "sighting")
        source = self._within.get(str(value.get("source_ref")), {})
        target = self._sighted(value, sighting) if sighting is not None else None
        if reference is not None and "ObjectReference" in source and self._refers(value, reference):
            source["ObjectReference"].append(
                {"object_uuid": source.get("uuid"), **_only(reference, REFERENCE)}
            )
        elif target is not None:
            seen = _only(sighting or {}, (*OF_SIGHTINGS, "Organisation"))
            target.setdefault("Sighting", []).append(seen)
        elif not (
            self._is_of_object(value)
            or _is_cluster(value)
            or ("of" in own and value["type"] == "relationship")
        ):
            return
        self._written.add(value["id"])

    def _sighted(self, value: Value, facts: Value) -> dict[str, Any] | None:
        """What a sighting is of: what STIX says, or the attribute of that object which the facts name."""
        about = value.get("sighting_of_ref") or next(iter(value.get("object_refs", ())), "")
        target = self._within.get(str(about))
        inner = _dicts(target.get("Attribute")) if target else []
        return next((each for each in inner if each.get("uuid") == facts.get("attribute_uuid")), target)

    def _refers(self, value: Value, facts: Value) -> bool:
        """Whether a relationship is what a reference of these facts becomes."""
        target = str(value.get("target_ref"))
        inner = _dicts(self._within.get(target, {}).get("Attribute"))
        there = {target.partition("--")[2], *(each.get("uuid") for each in inner)}
        return reference_agrees(value, facts) and str(facts.get("referenced_uuid")).lower() in there

    # -- an event of what never was in MISP ----------------------------------------------------------------------------

    def made(self, rest: Iterable[Value]) -> dict[str, Any]:
        """An event of the message's own facts and of what of it no event has said."""
        message = self.message
        rest = tuple(rest)
        written = to_stix(message.created)
        within = {ref for value in rest for ref in _observed_by(value)}
        attributes = [one for value in rest if value["id"] not in within for one in self._attributes(value)]
        text = {"uuid": message.id, "name": message.subject, "content": message.text, "distribution": INHERIT}
        event: dict[str, Any] = {
            "uuid": message.id,
            "info": message.subject,
            "date": written[:10],
            "timestamp": seconds(written),
            "threat_level_id": _UNDEFINED,
            "analysis": _COMPLETED,
            "Orgc": {"uuid": message.author.partition("--")[2], "name": self._author()},
            "Attribute": attributes,
            "EventReport": [text] if message.text else [],
        }
        self._label(event)
        return event

    def _author(self) -> str:
        objects = orjson.loads(self.message.bundle)["objects"]
        return next(
            (str(one.get("name")) for one in objects if one.get("id") == self.message.author), "unknown"
        )

    # -- both ----------------------------------------------------------------------------------------------------------

    def _label(self, event: dict[str, Any]) -> None:
        """Give the event its message's label, and a distribution that keeps to it."""
        tlp, place = self.message.tlp, f"event {event['uuid']}"
        tags = _dicts(event.get("Tag"))
        if tlp_of_tags(tag_names(tags), str(event.get("date", ""))) is not tlp:
            kept = [tag for tag in tags if not is_tlp(str(tag.get("name", "")))]
            if len(kept) < len(tags):
                self.losses.add(place, "its tag of TLP", "the message has another label, and that counts")
            tags = [*kept, {"name": tag_of(tlp)}]
        event["Tag"] = tags
        stated = event.get("distribution")
        event["distribution"] = distribution_of(tlp, stated)
        if stated is not None and str(stated) != event["distribution"]:
            self.losses.add(place, "its distribution", "the message's label allows less")

    def _lose(self, value: Value) -> None:
        self.losses.add(value["id"], value["type"], "MISP has no attribute that says it")


def _observed_by(value: Value) -> set[str]:
    """What an observed-data refers to is said with it."""
    return set(value.get("object_refs", ())) if value["type"] == "observed-data" else set()


def _extension(value: Value) -> Mapping[str, Any]:
    """What our extension remembers of MISP; empty where there is none."""
    extensions = value.get("extensions")
    own = extensions.get(SOURCE) if isinstance(extensions, dict) else None
    facts = own.get(FORMAT) if isinstance(own, dict) else None
    return facts if isinstance(facts, dict) else {}


def _facts(value: Value, name: str) -> Mapping[str, Any] | None:
    """What an object that stands for a thing of MISP remembers of it; None for any other object."""
    facts = _extension(value).get(name)
    if not isinstance(facts, dict) or value["type"] not in _ROLES[name]:
        return None
    agrees = _AGREES.get(name)
    return facts if agrees is None or agrees(value, facts) else None


def _is_cluster(value: Value) -> bool:
    return "cluster" in _extension(value) and value["type"] in CLUSTERS


def _only(facts: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The facts of these names: a stranger may have written any other beside them."""
    return {name: each for name, each in facts.items() if name in names}


def _uuid(value: Value, facts: Mapping[str, Any]) -> str:
    """The UUID that MISP had for what an object stands for: that of its id, or one that STIX wouldn't have taken."""
    own, stated = str(value["id"]).partition("--")[2], facts.get("uuid")
    return stated if isinstance(stated, str) and known_uuid(stated) in (None, own) else own


def _galaxies(value: object) -> list[dict[str, Any]]:
    """Galaxies with their clusters, each with what is carried of one."""
    return [
        {
            **_only(galaxy, GALAXY),
            "GalaxyCluster": [_only(each, CLUSTER) for each in _dicts(galaxy.get("GalaxyCluster"))],
        }
        for galaxy in _dicts(value)
    ]


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _restore_galaxies(attribute: dict[str, Any], galaxies: Iterable[Mapping[str, Any]]) -> None:
    """Give an attribute the clusters whose tags it has."""
    names = set(tag_names(attribute.get("Tag")))
    found: dict[bytes, dict[str, Any]] = {}
    for galaxy in galaxies:
        clusters = [one for one in _dicts(galaxy.get("GalaxyCluster")) if str(one.get("tag_name")) in names]
        if clusters:
            one = {**galaxy, "GalaxyCluster": clusters}
            found[orjson.dumps(one)] = one
    if found:
        attribute["Galaxy"] = list(found.values())
