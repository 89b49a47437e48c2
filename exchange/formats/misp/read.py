"""Reads events of MISP as STIX 2.1: one event, or a list of them as MISP's search answers, and what can't be carried.

An event becomes a report that refers to everything of it. UUIDs are kept; what MISP says and STIX has no place for
stands in our extension (docs/messages.md), so that `misp/write` gives the same attributes back. Written of MISP's core
format; no code of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from exchange.errors import Refused
from exchange.formats.making import Room, made_id
from exchange.formats.misp.attribute import facts_of, is_true, make_attribute
from exchange.formats.misp.galaxies import indicate, make_galaxies
from exchange.formats.misp.labels import tag_names, tlp_of_distribution, tlp_of_tags
from exchange.formats.misp.made import FORMAT, Event, File, known_uuid, moment
from exchange.formats.misp.object import make_object, make_references
from exchange.formats.misp.sightings import make_organisation, organisation_facts
from exchange.formats.objects import Loaded, Loss, RawObject, SetAside
from exchange.formats.source import Source
from exchange.formats.stix.spans import Limits, parse
from exchange.formats.stix.time import from_iso, to_stix
from exchange.pap import pap_of_tag, strictest as strictest_pap
from exchange.tlp import DEFAULT, strictest

MAX_EVENTS: Final = 1_000
CARRIED: Final = (
    "info",
    "date",
    "threat_level_id",
    "analysis",
    "published",
    "timestamp",
    "publish_timestamp",
    "distribution",
    "disable_correlation",
    "extends_uuid",
    "Tag",
)
_READ: Final = (
    "uuid",
    "Org",
    "Orgc",
    "Attribute",
    "Object",
    "Galaxy",
    "EventReport",
    "ShadowAttribute",
    "RelatedEvent",
    "SharingGroup",
    "CryptographicKey",
)
_MANY: Final = ("Attribute", "Object", "EventReport")
REPORT: Final = ("uuid", "name", "content", "distribution", "timestamp")
_NEVER: Final = {
    "ShadowAttribute": "a proposal isn't what the event says",
    "RelatedEvent": "MISP finds it again by itself",
    "SharingGroup": "who is in a sharing group is its MISP's own",
    "CryptographicKey": "it signs the file, which changes; the message has its sender's signature",
}


def recognise(source: Source) -> bool:
    """Whether it is JSON with an event, a response, or a list of events."""
    document = source.document
    if document is None:
        return False
    if document.is_list and document.items:
        first = parse(document.bytes_of(document.items[0]))
        return isinstance(first, dict) and "Event" in first
    return not {"Event", "response"}.isdisjoint(document.members)


def read(source: Source, limits: Limits) -> Loaded:
    """Read every event of a file. The same file gives the same objects.

    Raises: Refused `format.bad-file` without an event in it, or where the file can be read in two ways; `json.*` over a
    limit.
    """
    value = source.value(limits)
    file = File(limits.max_objects, Room(limits.max_bytes))
    accepted: list[RawObject] = []
    shared: dict[str, int] = {}
    aside: list[SetAside] = []
    local: set[str] = set()
    for place, each in _events(value):
        event = _event(file, place, each)
        local |= event.local
        aside += event.set_aside
        _join(accepted, shared, event)
        event.check_count(len(accepted))
    own = Loss("everywhere", ", ".join(sorted(local)), "numbers and switches of the MISP it comes from")
    return Loaded(
        source.name,
        FORMAT,
        accepted=tuple(accepted),
        set_aside=tuple(aside),
        losses=(*file.losses.all(), *([own] if local else [])),
        doubts=file.doubts.all(),
    )


def _events(value: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every event with its place. Raises Refused `format.bad-file`."""
    place, listed = "", value
    if isinstance(value, dict) and "response" in value:
        place, listed = "/response", value["response"]
    entries = listed if isinstance(listed, list) else [listed]
    if not 0 < len(entries) <= MAX_EVENTS:
        raise Refused("format.bad-file", f"it has {len(entries)} events, not 1 to {MAX_EVENTS}")
    for number, each in enumerate(entries):
        here = f"{place}/{number}" if isinstance(listed, list) else place
        event = each.get("Event", each) if isinstance(each, dict) else None
        if not isinstance(event, dict) or not isinstance(event.get("info"), str):
            raise Refused("format.bad-file", f"{here}/Event: there is no event with an info")
        yield f"{here}/Event", event


def _join(accepted: list[RawObject], shared: dict[str, int], event: Event) -> None:
    """Add an event's objects; of one that another event made too, the version with the stricter label stays."""
    for raw in event.objects:
        at = shared.get(raw.id)
        if at is None:
            if raw.id in event.shared:
                shared[raw.id] = len(accepted)
            accepted.append(raw)
        elif strictest(each.tlp or DEFAULT for each in (accepted[at], raw)) is raw.tlp:
            accepted[at] = raw


def _event(file: File, place: str, value: Mapping[str, Any]) -> Event:
    """Make one event; without any object where not even its report can be made.

    Raises: Refused `json.too-many-objects`, `json.too-large`.
    """
    tags, date = tag_names(value.get("Tag")), str(value.get("date") or "")
    known, stated = known_uuid(value.get("uuid")), str(value.get("uuid") or "")
    at, day = moment(value.get("timestamp")), _day(date)
    dated = date if day is not None else ""
    pap = strictest_pap(each for each in map(pap_of_tag, tags) if each)
    event = Event(
        uuid=known or made_id("report", FORMAT, stated, date, str(value["info"])).partition("--")[2],
        place=place,
        author="",
        at=at if at is not None else day or 0,
        since=day,
        date=dated,
        tlp=tlp_of_tags(tags, dated) or tlp_of_distribution(value.get("distribution")),
        file=file,
        labels=(pap.label,) if pap else (),
    )
    for name, why in _NEVER.items():
        if value.get(name):
            event.losses.add(f"{place}/{name}", name, why)
    facts = event.facts(value, place, CARRIED, _READ)
    if stated != known:
        facts["uuid"] = stated
    author = value.get("Orgc") or value.get("Org") or {"name": "unknown"}
    event.author = make_organisation(event, author if isinstance(author, dict) else {"name": "unknown"})
    facts["Orgc"] = organisation_facts(author)
    _, facts["Galaxy"] = make_galaxies(event, value, place)
    facts["within"] = _entries(event, value, place)
    _reports(event, value, place)
    try:
        _report(event, facts, tags, day)
    except Refused as refusal:
        event.reject(place, refusal)
        event.objects.clear()
    return event


def _entries(event: Event, value: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """Make the attributes and objects; the galaxies that attributes name, which the event itself doesn't."""
    event.check_count(sum(len(value.get(name) or ()) for name in _MANY if isinstance(value.get(name), list)))
    within: list[dict[str, Any]] = []
    for name, make in (("Attribute", _attribute), ("Object", _object)):
        for here, each in _listed(event, value, name, place):
            try:
                within += make(event, each, here)
            except Refused as refusal:
                event.reject(here, refusal)
            event.check_count(len(event.objects))
    for here, each in _listed(event, value, "Object", place):
        make_references(event, each, here)
        event.check_count(len(event.objects))
    return within


def _attribute(event: Event, value: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    made = make_attribute(event, value, place, facts_of(event, value, place))
    clusters, galaxies = make_galaxies(event, value, place)
    indicate(event, made, clusters, tlp=event.label_of(value))
    return galaxies


def _object(event: Event, value: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    return make_object(event, value, place)


def _reports(event: Event, value: Mapping[str, Any], place: str) -> None:
    for here, each in _listed(event, value, "EventReport", place):
        facts = event.facts(each, here, REPORT, ())
        name, content = str(each.get("name") or "report"), str(each.get("content") or "")
        at = moment(each.get("timestamp"))
        try:
            if is_true(each.get("deleted")):
                raise Refused("format.bad-entry", "it is deleted in MISP")
            event.add(
                f"note--{event.uuid_of(each, here)}",
                at=event.at if at is None else at,
                tlp=event.label_of(each),
                abstract=name,
                content=content or name,
                object_refs=[f"report--{event.uuid}"],
                facts={
                    "report": {name: fact for name, fact in facts.items() if name not in ("name", "content")}
                },
            )
        except Refused as refusal:
            event.reject(here, refusal)


def _report(event: Event, facts: Mapping[str, Any], tags: list[str], day: int | None) -> None:
    """The report itself, first of its objects."""
    published = moment(facts.get("publish_timestamp"))
    event.add(
        f"report--{event.uuid}",
        name=str(facts.get("info") or "MISP event"),
        report_types=["threat-report"],
        published=to_stix(published or (event.at if day is None else min(day, event.at))),
        object_refs=list(dict.fromkeys(event.refs)),
        labels=tags,
        facts={"event": facts},
    )
    event.objects.insert(0, event.objects.pop())


def _listed(
    event: Event, value: Mapping[str, Any], name: str, place: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    listed = value.get(name)
    if listed is not None and not isinstance(listed, list):
        event.losses.add(f"{place}/{name}", name, "it should be a list")
    for number, each in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(each, dict):
            yield f"{place}/{name}/{number}", each
        else:
            event.losses.add(f"{place}/{name}/{number}", name, "it should be an object")


def _day(date: str) -> int | None:
    try:
        return from_iso(date)
    except (ValueError, OverflowError):
        return None
