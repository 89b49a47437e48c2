"""Builds an incident with the incident core extension from the few facts an analyst gives.

The vocabulary offered is `vocabulary`'s, the schema that must hold is `schemas/incident-core.json`. Reading the
incidents of others is `stix`'s business. Only this file uses the library stix2, and imports it when it builds:
that import takes longer than a whole `--help` may.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from exchange.errors import Refused
from exchange.formats.objects import RawObject
from exchange.formats.stix.read import read_object
from exchange.formats.stix.time import to_stix
from exchange.formats.stix.validation import EVENT, INCIDENT_CORE
from exchange.formats.stix.vocabulary import (
    DETECTION_METHODS,
    DETERMINATIONS,
    INCIDENT_TYPES,
    INVESTIGATION_STATUSES,
)
from exchange.message import MAX_SUBJECT_CHARS, MAX_TEXT_CHARS, MAX_TIME_MS
from exchange.tlp import Tlp

# What a determination says about whether the thing happened (event status, a closed list of the extension).
_EVENT_STATUS = {
    "blocked": "occurred",
    "confirmed": "occurred",
    "failed-attempt": "occurred",
    "false-positive": "not-occurred",
    "suspected": "undetermined",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFacts:
    """What is known. `first_seen` is in ms; `criticality` is 0 (false positive) to 100 (90 and more: extreme)."""

    name: str
    determination: str
    incident_types: Sequence[str]
    investigation_status: str = "open"
    criticality: int | None = None
    detection_methods: Sequence[str] = ()
    description: str = ""
    first_seen: int | None = None


def build_incident(
    facts: IncidentFacts, *, incident_id: uuid.UUID, event_id: uuid.UUID, author: str, tlp: Tlp, now: int
) -> tuple[RawObject, ...]:
    """The incident, then, when `first_seen` is known, the event that says so: STIX keeps that time on an event.

    `author` is the identity id of the member that reports, `now` the time of creation in ms. Both objects are
    marked with `tlp`, so that they keep their label where they stand alone.

    Raises: Refused `incident.unknown-word` for a word outside the vocabulary, `message.text-too-long`,
    `message.missing-subject` without a name, `message.bad-time`, `stix.invalid` for a number out of range.
    """
    _check(facts)
    import stix2.v21  # noqa: PLC0415 - slow to import, see the module's docstring

    seen = facts.first_seen
    core: dict[str, object] = {
        "extension_type": "property-extension",
        "determination": facts.determination,
        "investigation_status": facts.investigation_status,
        "incident_types": list(facts.incident_types),
    }
    if facts.criticality is not None:
        core["criticality"] = facts.criticality
    if facts.detection_methods:
        core["detection_methods"] = list(facts.detection_methods)
    if seen is not None:
        core["events"] = [{"event_ref": f"event--{event_id}"}]
    incident = stix2.v21.Incident(
        id=f"incident--{incident_id}",
        created=to_stix(now),
        modified=to_stix(now),
        created_by_ref=author,
        object_marking_refs=[tlp.marking_id],
        name=facts.name,
        extensions={INCIDENT_CORE: core},
        **({"description": facts.description} if facts.description else {}),
    )
    built = [read_object(incident.serialize().encode())]
    if seen is not None:
        event = _event(facts, event_id=f"event--{event_id}", author=author, tlp=tlp, seen=seen, now=now)
        built.append(read_object(orjson.dumps(event)))
    return tuple(built)


def _event(
    facts: IncidentFacts, *, event_id: str, author: str, tlp: Tlp, seen: int, now: int
) -> dict[str, object]:
    """The event object; stix2 knows no such type."""
    return {
        "type": "event",
        "spec_version": "2.1",
        "id": event_id,
        "created": to_stix(now),
        "modified": to_stix(now),
        "created_by_ref": author,
        "object_marking_refs": [tlp.marking_id],
        "name": facts.name,
        "status": _EVENT_STATUS[facts.determination],
        "event_types": list(facts.incident_types),
        "start_time": to_stix(seen),
        "extensions": {EVENT: {"extension_type": "new-sdo"}},
    }


def _check(facts: IncidentFacts) -> None:
    if not facts.name.strip():
        raise Refused("message.missing-subject", "an incident needs a name")
    if len(facts.name) > MAX_SUBJECT_CHARS or len(facts.description) > MAX_TEXT_CHARS:
        raise Refused("message.text-too-long")
    if facts.first_seen is not None and not 0 <= facts.first_seen <= MAX_TIME_MS:
        raise Refused("message.bad-time", "first seen is out of range")
    if not facts.incident_types:
        raise Refused("incident.unknown-word", "an incident needs at least one type")
    vocabularies = (
        ("determination", (facts.determination,), DETERMINATIONS),
        ("investigation status", (facts.investigation_status,), INVESTIGATION_STATUSES),
        ("type", facts.incident_types, INCIDENT_TYPES),
        ("detection method", facts.detection_methods, DETECTION_METHODS),
    )
    for name, given, known in vocabularies:
        for word in given:
            if word not in known:
                raise Refused(
                    "incident.unknown-word", f"{name} {word[:60]!r} is not in the incident vocabulary"
                )
