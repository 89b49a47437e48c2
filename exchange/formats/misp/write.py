"""Writes a message as events of MISP: those it carries as they came, everything else as one more event.

An attribute that came from MISP has the values it came with. No event leaves with a weaker label or a wider
distribution than its message allows. What MISP has no place for is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from exchange.errors import Refused
from exchange.formats.making import Room
from exchange.formats.members import Losses
from exchange.formats.misp.attribute import CARRIED, agrees as attribute_agrees, is_true
from exchange.formats.misp.back import OBSERVABLES, attributes_of, rule_of, seconds
from exchange.formats.misp.galaxies import CLUSTERS, Clusters
from exchange.formats.misp.labels import (
    INHERIT,
    distribution_of,
    is_tlp,
    tag_names,
    tag_of,
    tags_of,
    tlp_of_tags,
)
from exchange.formats.misp.object import reference_agrees
from exchange.formats.misp.remembered import dicts, facts_of_role, galaxies_of, remembered, uuid_of
from exchange.formats.misp.unsaid import told_by, unsaid, unsaid_of_misp, unsaid_of_observable
from exchange.formats.source import Written
from exchange.formats.stix.cover import carried_objects
from exchange.formats.stix.permissions import is_label, pap_of_message
from exchange.formats.stix.read import read_object
from exchange.formats.stix.time import to_stix
from exchange.limits import MAX_STIX
from exchange.message import Message
from exchange.pap import Pap, pap_of_tag, strictest

Value = Mapping[str, Any]
# What stands around the others: an event says it with its organisations and tags, or not at all.
_AROUND: Final = frozenset({"marking-definition", "extension-definition", "identity"})
# Relations that an event says by where things stand in it.
_MADE: Final = frozenset({"based-on", "indicates", "related-to"})
_NO_ROOM: Final = "there are too many that would repeat it"
_AN_ATTRIBUTE: Final = 400  # bytes, without its value
_NO_PLACE: Final = "an event of MISP has no place for it"
_ON_EVENTS: Final = ("pap", "exercise_id")  # what of a message every event says
_ON_MADE: Final = (*_ON_EVENTS, "subject", "text", "question", "reason", "created", "author")
_UNDEFINED, _COMPLETED = "4", "2"  # the threat level and the state of analysis of an event made here


def write(message: Message) -> Written:
    """The message as `{"Event": ...}`, or as `{"response": [...]}` where it is more than one event."""
    writer = _Writer(message)
    events = [
        writer.event(value) for value in writer.values.values() if facts_of_role(value, "event") is not None
    ]
    rest = writer.rest()
    if rest or not events:
        events.append(writer.made(rest))
    else:
        writer.losses.message(message, _ON_EVENTS, "its event has its own, or none")
    writer.around()
    listed = [{"Event": event} for event in events]
    whole = listed[0] if len(listed) == 1 else {"response": listed}
    return Written(orjson.dumps(whole, option=orjson.OPT_INDENT_2), writer.losses.all())


class _Writer:
    """The state of one writing: what the message carries, by id, and which of it has been written."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.values: dict[str, Value] = {}
        self.losses = Losses()
        self._room = Room(MAX_STIX)
        self._written: set[str] = set()
        # of the event being written: attributes and objects by the STIX id of what stands for them
        self._within: dict[str, dict[str, Any]] = {}
        self._inner: dict[str, dict[str, dict[str, Any]]] = {}  # of each object its attributes by UUID
        self._of = ("", "")  # the identity that it is of, and since when it is there
        self._paps: frozenset[Pap | None] = frozenset()  # that its own tags say
        self._clusters: set[tuple[str, str]] = (
            set()
        )  # that it names: their UUIDs, which old ones share, and names
        self._pap = pap_of_message(message)
        self._identities = {message.author}  # that events name, by id or name
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
        facts = facts_of_role(report, "event") or {}
        galaxies = galaxies_of(facts.pop("within", None))
        if is_true(facts.get("published")):
            self.losses.add(
                report["id"], "published", "whoever takes it into MISP decides when to publish it"
            )
        self._written.add(report["id"])
        self._within, self._inner = {}, {}
        self._of = (str(report.get("created_by_ref")), str(report.get("created")))
        self._identities.add(self._of[0])
        tags = tags_of(report, facts.get("Tag"), ())
        self._paps = frozenset(pap_of_tag(name) for name in tag_names(tags))
        own = galaxies_of(facts.get("Galaxy"))
        self._clusters = {
            (str(one.get("uuid")).lower(), str(one.get("value")))
            for each in (*own, *galaxies)
            for one in each["GalaxyCluster"]
        }
        self._name_unsaid_of_misp(report)
        refs = dict.fromkeys(report.get("object_refs", ()))
        parts = [self.values[ref] for ref in refs if ref in self.values and ref not in self._written]
        objects = [self._object(value) for value in parts if facts_of_role(value, "object") is not None]
        reports = [self._event_report(value) for value in parts if facts_of_role(value, "report") is not None]
        attributes = [one for value in parts if self._stands_alone(value) for one in self._attributes(value)]
        for value in parts:
            self._about(value)
        for value in parts:
            if value["id"] not in self._written and value["type"] not in _AROUND:
                attributes += self._attributes(value)
        named = Clusters(galaxies)
        for attribute in [*attributes, *(one for each in objects for one in each["Attribute"])]:
            self._restore_galaxies(attribute, named)
        event = {
            **facts,
            "uuid": uuid_of(report, facts),
            "info": report.get("name", ""),
            "published": False,
            "Tag": tags,
            "Galaxy": own,
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
        about = self._is_cluster(value) or facts_of_role(value, "sighting") is not None
        return not about and value["type"] not in (*OBSERVABLES, "relationship", "artifact")

    def _is_cluster(self, value: Value) -> bool:
        """Whether it is one of the clusters that the event names."""
        named = (value["id"].partition("--")[2], str(value.get("name"))) in self._clusters
        return named and value["type"] in CLUSTERS and "cluster" in remembered(value)

    def _is_of_object(self, value: Value) -> bool:
        """Whether it is the indicator of an attribute that an object has said already."""
        there = self._within.get(value["id"])
        return there is not None and value["type"] == "indicator" and attribute_agrees(value, there)

    def _attributes(self, value: Value) -> list[dict[str, Any]]:
        self._written.add(value["id"])
        found = attributes_of(value, self.values)
        plain = found[0] if len(found) == 1 else {"uuid": value["id"].partition("--")[2]}
        whole = plain | self._remembered(remembered(value))
        if attribute_agrees(value, whole):
            found = [whole]
        if value.get("revoked") is True:
            found = []
        if not self._room.takes(sum(_size(one, value.get("labels", ())) for one in found)):
            found = self._in_short(value)
        if not found:
            self._lose(value)
        for one in found:
            one["Tag"] = tags_of(value, one.get("Tag"), self._paps)
        if len(found) == 1:
            self._within[value["id"]] = found[0]
        if found:
            self._name_unsaid(value, found)
        self._written |= self._observed_by(value)
        return found

    def _in_short(self, value: Value) -> list[dict[str, Any]]:
        """What is written of an object where attributes that repeat themselves have taken all the room."""
        self.losses.members(value["type"], ["each value by itself"], _NO_ROOM)
        return rule_of(value) if value["type"] == "indicator" and value["pattern_type"] == "stix" else []

    def _observed_by(self, value: Value) -> set[str]:
        """What an observed-data refers to is said with it."""
        refs = value.get("object_refs", ()) if value["type"] == "observed-data" else ()
        return {ref for ref in refs if self.values.get(ref, value)["type"] in OBSERVABLES}

    def _remembered(self, facts: Value) -> dict[str, Any]:
        """What was remembered of an attribute, its file among it."""
        kept = {name: each for name, each in facts.items() if name in CARRIED or name == "uuid"}
        artifact = self.values.get(str(facts.get("data_ref")))
        if artifact is not None and "payload_bin" in artifact:
            if self._room.takes(len(artifact["payload_bin"])):
                kept["data"] = artifact["payload_bin"]
            else:
                self.losses.members("artifact", ["payload_bin"], _NO_ROOM)
            self._written.add(artifact["id"])
            self._name_unsaid(artifact, ())
        return kept

    def _object(self, value: Value) -> dict[str, Any]:
        facts = facts_of_role(value, "object") or {}
        attributes = [self._remembered(each) for each in dicts(facts.get("Attribute"))]
        tagged = [tag for each in attributes for tag in dicts(each.get("Tag"))]
        tags = tags_of(value, tagged, self._paps)
        names = set(tag_names(tags))
        for each in attributes:
            each["Tag"] = [tag for tag in dicts(each.get("Tag")) if names.intersection(tag_names([tag]))]
        if not names <= set(tag_names(tagged)):
            self.losses.members(value["type"], ["labels"], _NO_PLACE)
        self._name_unsaid_of_misp(value)
        self._name_unsaid_of_inner(value, attributes)
        self._written |= {value["id"], *self._observed_by(value)}
        made = {
            **facts,
            "uuid": uuid_of(value, facts),
            "ObjectReference": [],
            "Attribute": attributes,
        }
        self._within[value["id"]] = made
        self._within |= {f"indicator--{each.get('uuid')}": each for each in attributes}
        self._inner[value["id"]] = {str(each.get("uuid")): each for each in reversed(attributes)}
        return made

    def _event_report(self, value: Value) -> dict[str, Any]:
        self._written.add(value["id"])
        self._name_unsaid_of_misp(value)
        said = {"name": value.get("abstract", ""), "content": value.get("content", "")}
        facts = facts_of_role(value, "report") or {}
        return {**facts, "uuid": uuid_of(value, facts), **said}

    def _about(self, value: Value) -> None:
        """What says something about what was written: an indicator of an object, a reference, a sighting, a cluster."""
        own = remembered(value)
        reference, sighting = facts_of_role(value, "reference"), facts_of_role(value, "sighting")
        source = self._within.get(str(value.get("source_ref")), {})
        target = self._sighted(value, sighting) if sighting is not None else None
        if reference is not None and "ObjectReference" in source and self._refers(value, reference):
            source["ObjectReference"].append({"object_uuid": source.get("uuid"), **reference})
        elif sighting is not None and target is not None:
            target.setdefault("Sighting", []).append(sighting)
            self._identities |= {*value.get("where_sighted_refs", ()), _name_of(sighting.get("Organisation"))}
        elif not (
            self._is_of_object(value)
            or self._is_cluster(value)
            or ("of" in own and value.get("relationship_type") in _MADE)
        ):
            return
        self._name_unsaid_of_misp(value)
        self._written.add(value["id"])

    def _sighted(self, value: Value, facts: Value) -> dict[str, Any] | None:
        """What a sighting is of: what STIX says, or the attribute of that object which the facts name."""
        about = value.get("sighting_of_ref") or next(iter(value.get("object_refs", ())), "")
        inner = self._inner.get(str(about), {})
        return inner.get(str(facts.get("attribute_uuid")), self._within.get(str(about)))

    def _refers(self, value: Value, facts: Value) -> bool:
        """Whether a relationship is what a reference of these facts becomes."""
        target, named = str(value.get("target_ref")), str(facts.get("referenced_uuid")).lower()
        there = named == target.partition("--")[2] or named in self._inner.get(target, {})
        return there and reference_agrees(value, facts)

    def _restore_galaxies(self, attribute: dict[str, Any], named: Clusters) -> None:
        """Give an attribute the clusters whose tags it has."""
        found = named.named(tag_names(attribute.get("Tag")), self._room)
        if found is None:
            self.losses.members("attribute", ["Galaxy"], f"{_NO_ROOM}; its tags name the clusters")
        elif found:
            attribute["Galaxy"] = found

    # -- an event of what never was in MISP ----------------------------------------------------------------------------

    def made(self, rest: Iterable[Value]) -> dict[str, Any]:
        """An event of the message's own facts and of what of it no event has said."""
        message = self.message
        rest = tuple(rest)
        written = to_stix(message.created)
        self.losses.message(message, _ON_MADE, "an event of MISP has no place for them")
        self._of, self._paps = (message.author, written), frozenset((self._pap,))
        within = {ref for value in rest for ref in self._observed_by(value)}
        attributes = [one for value in rest if value["id"] not in within for one in self._attributes(value)]
        text = {
            "uuid": message.id,
            "name": message.subject,
            "content": _words(message),
            "distribution": INHERIT,
        }
        event: dict[str, Any] = {
            "uuid": message.id,
            "info": message.subject,
            "date": written[:10],
            "timestamp": seconds(written),
            "threat_level_id": _UNDEFINED,
            "analysis": _COMPLETED,
            "Orgc": {"uuid": message.author.partition("--")[2], "name": self._sender()},
            "Attribute": attributes,
            "EventReport": [text] if text["content"] else [],
        }
        self._label(event)
        return event

    def _sender(self) -> str:
        objects = orjson.loads(self.message.bundle)["objects"]
        return next(
            (str(one.get("name")) for one in objects if one.get("id") == self.message.author), "unknown"
        )

    # -- both ----------------------------------------------------------------------------------------------------------

    def _label(self, event: dict[str, Any]) -> None:
        """Give the event its message's labels, a distribution that keeps to them, and its exercise in the title."""
        tlp, place = self.message.tlp, f"event {event['uuid']}"
        tags = dicts(event.get("Tag"))
        if tlp_of_tags(tag_names(tags), str(event.get("date", ""))) is not tlp:
            kept = [tag for tag in tags if not is_tlp(str(tag.get("name", "")))]
            if len(kept) < len(tags):
                self.losses.add(place, "its tag of TLP", "the message has another label, and that counts")
            tags = [*kept, {"name": tag_of(tlp)}]
        event["Tag"] = self._with_pap(tags, place)
        if self.message.exercise_id:
            event["info"] = f"EXERCISE {self.message.exercise_id}: {event['info']}"
        stated = event.get("distribution")
        event["distribution"] = distribution_of(tlp, stated)
        if stated is not None and str(stated) != event["distribution"]:
            self.losses.add(place, "its distribution", "the message's label allows less")

    def _with_pap(self, tags: list[dict[str, Any]], place: str) -> list[dict[str, Any]]:
        """The tags with the strictest label of PAP that anything in the message has."""
        said = [each for each in map(pap_of_tag, tag_names(tags)) if each]
        if self._pap is None or strictest(said) is self._pap:
            return tags
        if said:
            self.losses.add(place, "its tag of PAP", "the message has another label, and that counts")
        return [*(tag for tag in tags if not pap_of_tag(str(tag.get("name")))), {"name": self._pap.label}]

    def around(self) -> None:
        """Name the identities and markings that no event says."""
        for value in self.values.values():
            if value["type"] == "identity" and not self._identities.isdisjoint(
                (value["id"], value.get("name"))
            ):
                self._name_unsaid(value, ())
            elif value["type"] in _AROUND and not is_label(value["id"]):
                self._lose(value)

    def _name_unsaid(self, value: Value, attributes: Sequence[Value]) -> None:
        """Name what of an object, and of what it observed, these attributes don't say."""
        missing = unsaid(value, attributes, self.values, of=self._of)
        self.losses.members(value["type"], missing, _NO_PLACE)
        self._name_unsaid_of_inner(value, attributes)

    def _name_unsaid_of_inner(self, value: Value, attributes: Sequence[Value]) -> None:
        told = told_by(attributes)
        for ref in self._observed_by(value) - self._written:
            missing = unsaid_of_observable(self.values[ref], told, self.values, of=self._of)
            self.losses.members(self.values[ref]["type"], missing, _NO_PLACE)

    def _name_unsaid_of_misp(self, value: Value) -> None:
        self.losses.members(value["type"], unsaid_of_misp(value, of=self._of), _NO_PLACE)

    def _lose(self, value: Value) -> None:
        revoked = value.get("revoked") is True
        why = "its author has revoked it" if revoked else "MISP has no attribute that says it"
        for each in (value, *(self.values[ref] for ref in sorted(self._observed_by(value)))):
            self.losses.add(each["id"], each["type"], why)


def _words(message: Message) -> str:
    """The texts of a message."""
    question = f"Question: {message.question}" if message.question else ""
    reason = f"Reason: {message.reason}" if message.reason else ""
    return "\n\n".join(filter(None, (message.text, question, reason)))


def _name_of(organisation: object) -> str:
    return str(organisation.get("name", "")) if isinstance(organisation, dict) else ""


def _size(attribute: Value, tags: Iterable[str]) -> int:
    """About how many bytes an attribute takes that says this much."""
    return _AN_ATTRIBUTE + sum(map(len, (str(attribute["value"]), str(attribute.get("comment", "")), *tags)))
