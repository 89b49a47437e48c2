"""An incident built from a few facts."""

from __future__ import annotations

import uuid
from dataclasses import replace

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.stix.incident import IncidentFacts, build_incident
from exchange.formats.stix.validation import INCIDENT_CORE
from exchange.tlp import Tlp

NOW = 1_793_000_000_123
AUTHOR = "identity--9c3ae1a5-66a4-5b11-9f6c-4c4bb4c2d6b1"
FACTS = IncidentFacts(name="Ransomware at a bank", determination="confirmed", incident_types=["ransomware"])


def build(facts: IncidentFacts):
    ids = {"incident_id": uuid.UUID(int=1, version=4), "event_id": uuid.UUID(int=2, version=4)}
    return build_incident(facts, **ids, author=AUTHOR, tlp=Tlp.AMBER, now=NOW)


def test_the_fewest_facts_make_a_valid_incident():
    (raw,) = build(FACTS)
    value = orjson.loads(raw.data)
    assert raw.is_core_incident
    assert (raw.version, raw.tlp, raw.marked) == ("2.1", Tlp.AMBER, True)
    assert value["created"] == value["modified"] == "2026-10-26T07:33:20.123Z"
    assert value["created_by_ref"] == AUTHOR
    assert value["extensions"][INCIDENT_CORE] == {
        "extension_type": "property-extension",
        "determination": "confirmed",
        "investigation_status": "open",
        "incident_types": ["ransomware"],
    }


def test_the_time_first_seen_stands_on_an_event():
    facts = replace(
        FACTS,
        first_seen=NOW - 1_000,
        criticality=70,
        description="Two sites",
        detection_methods=["human-review"],
    )
    incident, event = (orjson.loads(raw.data) for raw in build(facts))
    assert event["start_time"] == "2026-10-26T07:33:19.123Z"
    assert event["status"] == "occurred"
    core = incident["extensions"][INCIDENT_CORE]
    assert core["events"] == [{"event_ref": event["id"]}]
    assert (core["criticality"], core["detection_methods"]) == (70, ["human-review"])
    assert incident["description"] == "Two sites"


def test_the_same_facts_give_the_same_bytes():
    assert build(FACTS) == build(FACTS)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": " "}, "message.missing-subject"),
        ({"name": "x" * 251}, "message.text-too-long"),
        ({"description": "x" * 20_001}, "message.text-too-long"),
        ({"determination": "perhaps"}, "incident.unknown-word"),
        ({"investigation_status": "asleep"}, "incident.unknown-word"),
        ({"incident_types": []}, "incident.unknown-word"),
        ({"incident_types": ["ransomware", "ransom"]}, "incident.unknown-word"),
        ({"detection_methods": ["luck"]}, "incident.unknown-word"),
        ({"criticality": 101}, "stix.invalid"),
        ({"first_seen": -1}, "message.bad-time"),
    ],
)
def test_facts_outside_the_vocabulary_or_range_are_refused(change, code):
    with pytest.raises(Refused) as caught:
        build(replace(FACTS, **change))
    assert caught.value.code == code
