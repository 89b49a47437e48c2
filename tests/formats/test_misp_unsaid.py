"""What an event of MISP doesn't say of a message is named, and what a stranger wrote for MISP alone goes nowhere."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from exchange.formats.misp.stix import identified
from exchange.formats.stix.read import read_object
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.misp_samples import (
    DOMAIN,
    EVENT,
    FILE,
    MD5,
    ORG,
    SAMPLE,
    STIX_TIME,
    TECHNIQUE,
    attribute,
    back,
    event,
    full_event,
    read,
    written,
)

_STATEMENT = "marking-definition--10000000-0000-4000-8000-0000000000b1"
_COMMON = {"spec_version": "2.1", "created": STIX_TIME, "modified": STIX_TIME}
_RICH = [
    {
        "type": "indicator",
        "id": f"indicator--{DOMAIN}",
        **_COMMON,
        "pattern": "[domain-name:value = 'a.example.com']",
        "pattern_type": "stix",
        "valid_from": "2026-09-01T00:00:00.000Z",
        "valid_until": "2026-12-01T00:00:00.000Z",
        "name": "Panel of a botnet",
        "description": "It answers.",
        "labels": ["PAP:RED", "botnet"],
        "confidence": 80,
        "lang": "pt",
        "indicator_types": ["malicious-activity"],
        "external_references": [{"source_name": "blog", "url": "https://blog.example.com"}],
        "kill_chain_phases": [{"kill_chain_name": "lockheed", "phase_name": "delivery"}],
        "created_by_ref": f"identity--{ORG}",
        "object_marking_refs": [_STATEMENT],
        "x_more": 1,
    },
    {
        "type": "observed-data",
        "id": f"observed-data--{SAMPLE}",
        **_COMMON,
        "first_observed": "2026-09-01T00:00:00.000Z",
        "last_observed": STIX_TIME,
        "number_observed": 3,
        "object_refs": [f"file--{FILE}", f"process--{TECHNIQUE}"],
    },
    {"type": "file", "id": f"file--{FILE}", "spec_version": "2.1", "name": "a.exe", "size": 12},
    {"type": "process", "id": f"process--{TECHNIQUE}", "spec_version": "2.1", "pid": 4},
    {
        "type": "identity",
        "id": f"identity--{ORG}",
        **_COMMON,
        "name": "A bank",
        "identity_class": "organization",
    },
    {
        "type": "marking-definition",
        "id": _STATEMENT,
        "spec_version": "2.1",
        "created": STIX_TIME,
        "definition_type": "statement",
        "definition": {"statement": "Ask before use"},
    },
]


def test_every_fact_of_a_message_is_in_its_event_or_named(draft, author):
    objects = tuple(read_object(orjson.dumps(value)) for value in _RICH)
    told = {"question": "Do you see it?", "reason": "Not ours.", "exercise_id": "EX1", "in_reply_to": EVENT}
    made_of = written(draft, author, objects, Tlp.AMBER, reply_by=draft.created + 1, text="Beware.", **told)
    now = orjson.loads(made_of.data)["Event"]
    assert now["info"] == f"EXERCISE EX1: {draft.subject}"
    assert now["Tag"] == [{"name": "tlp:amber"}, {"name": "PAP:RED"}]
    assert now["EventReport"][0]["content"] == "Beware.\n\nQuestion: Do you see it?\n\nReason: Not ours."
    domain, file = now["Attribute"]
    assert domain["Tag"] == [{"name": "botnet"}]
    assert (file["type"], file["value"]) == ("filename", "a.exe")
    assert {(each.place, each.what) for each in made_of.losses} == {
        ("message", "kind, case_id, urgency, in_reply_to, reply_by"),
        *(
            ("objects of type indicator", f"{name} of 1")
            for name in (
                "valid_from",
                "valid_until",
                "name",
                "confidence",
                "lang",
                "indicator_types",
                "external_references",
                "kill_chain_phases",
                "created_by_ref",
                "object_marking_refs",
                "x_more",
            )
        ),
        ("objects of type observed-data", "number_observed of 1"),
        ("objects of type observed-data", "first_observed of 1"),
        ("objects of type file", "size of 1"),
        (f"process--{TECHNIQUE}", "process"),
        (f"identity--{ORG}", "identity"),
        (_STATEMENT, "marking-definition"),
    }


def test_an_event_of_misp_leaves_with_the_pap_and_the_exercise_of_its_message(draft, author):
    made_of = written(draft, author, read(full_event()).accepted, pap=Pap.RED, exercise_id="EX1")
    now = orjson.loads(made_of.data)["Event"]
    assert now["info"] == "EXERCISE EX1: Phishing against a bank"
    assert [tag["name"] for tag in now["Tag"]] == ["osint", "tlp:amber", "PAP:RED"]
    assert {"its tag of PAP", "kind, case_id, urgency, subject, created, author"} <= {
        each.what for each in made_of.losses
    }


def test_what_is_added_to_an_object_of_misp_is_in_its_event_or_named(draft, author):
    objects = []
    for raw in read(full_event()).accepted:
        value = orjson.loads(raw.data) | {"x_more": 1}
        if raw.type == "indicator":
            value["labels"].append("botnet")
        objects.append(read_object(orjson.dumps(value)))
    made_of = written(draft, author, tuple(objects))
    now = orjson.loads(made_of.data)["Event"]
    assert [tag["name"] for tag in now["Attribute"][0]["Tag"]][-1] == "botnet"
    named = {each.place for each in made_of.losses if each.what.startswith("x_more of ")}
    assert named == {f"objects of type {raw.type}" for raw in objects}


_FIRST = "2026-09-20T00:00:00.123456+00:00"


@pytest.mark.parametrize("to_ids", [True, False])
def test_what_older_versions_made_of_an_attribute_is_still_the_same_attribute(draft, author, to_ids):
    came = attribute("domain", "Evil.Example.com", DOMAIN, to_ids=to_ids, first_seen=_FIRST, comment="seen")
    made_of = (raw.data for raw in read(event(came)).accepted)
    now_id, old_id = (
        identified({"type": "domain-name", "value": name})["id"]
        for name in ("evil.example.com", "Evil.Example.com")
    )
    older = [  # spelt as it was in MISP, and seen first when it was written
        read_object(
            data.replace(b"evil.example.com", b"Evil.Example.com")
            .replace(b"2026-09-20T00:00:00.123Z", STIX_TIME.encode())
            .replace(now_id.encode(), old_id.encode())
        )
        for data in made_of
    ]
    written_now = written(draft, author, tuple(older))
    (one,) = orjson.loads(written_now.data)["Event"]["Attribute"]
    assert came.items() <= one.items()
    assert not [each for each in written_now.losses if each.place.startswith("objects of type")]


def test_facts_of_misp_that_do_not_count_are_a_loss(draft, author):
    (raw,) = (
        raw
        for raw in read(
            event(attribute("snort", "alert tcp", DOMAIN, to_ids=True, first_seen=_FIRST))
        ).accepted
        if raw.type == "indicator"
    )
    other = raw.data.replace(b'"pattern_type":"snort"', b'"pattern_type":"suricata"')
    losses = written(draft, author, (read_object(other),)).losses
    assert ("objects of type indicator", "extensions of 1") in {(each.place, each.what) for each in losses}


def test_a_revoked_indicator_is_not_looked_for(draft, author):
    value = _RICH[0] | {"revoked": True}
    made_of = written(draft, author, (read_object(orjson.dumps(value)),), Tlp.AMBER)
    assert orjson.loads(made_of.data)["Event"]["Attribute"] == []
    assert (f"indicator--{DOMAIN}", "its author has revoked it") in {
        (each.place, each.why) for each in made_of.losses
    }


# -- strangers ---------------------------------------------------------------------------------------------------------


def test_a_stranger_who_writes_our_extension_can_hide_nothing_and_break_nothing(draft, author):
    source = "extension-definition--1d000da8-0523-41bb-a300-3da5fd6edfdf"
    hostile: list[Any] = [
        {"of": "indicator--x"},
        {"object": {"Attribute": [5, {"Tag": 5}], "uuid": []}},
        {"event": {"Tag": {"a": 1}, "within": [5], "date": [], "uuid": {}}},
        {"sighting": {"attribute_uuid": []}, "of": []},
        {"reference": {"x": 1}},
        {"report": {}},
        {"data_ref": {"a": 1}},
        {"cluster": 5},
        {"type": [], "value": {}},
        {"type": "domain", "value": "harmless.example.org"},
        {"type": "filename", "value": "x" * 20_000},
        [{"of": 1}],
        "text",
    ]
    objects = []
    for number, facts in enumerate(hostile):
        value = {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--10000000-0000-4000-8000-0000000000{number + 16}",
            "created": STIX_TIME,
            "modified": STIX_TIME,
            "pattern": f"[domain-name:value = 'n{number}.example.com']",
            "pattern_type": "stix",
            "valid_from": STIX_TIME,
            "extensions": {source: {"extension_type": "property-extension", "misp": facts}},
        }
        objects.append(read_object(orjson.dumps(value)))
    refs = [raw.id for raw in objects]
    report = {
        "type": "report",
        "spec_version": "2.1",
        "id": f"report--{EVENT}",
        "created": STIX_TIME,
        "modified": STIX_TIME,
        "name": "x",
        "published": STIX_TIME,
        "object_refs": refs,
        "extensions": {source: {"extension_type": "property-extension", "misp": {"event": {"info": "x"}}}},
    }
    for carried in (objects, [*objects, read_object(orjson.dumps(report))]):
        made_of = written(draft, author, tuple(carried), Tlp.GREEN)
        assert all(b"n%d.example.com" % number in made_of.data for number in range(len(hostile)))
        named = [each.what for each in made_of.losses if each.what.startswith("extensions")]
        assert len(named) == 1  # however many are: one line for each type of object


def test_what_a_stranger_writes_beside_the_facts_of_misp_goes_nowhere(draft, author):
    source = "extension-definition--1d000da8-0523-41bb-a300-3da5fd6edfdf"
    beside = {
        "published": True,
        "ShadowAttribute": [{"value": "hidden"}],
        "info": "hidden",
        "content": "hidden",
    }
    hostile, changed = [], 0
    for raw in read(full_event()).accepted:
        value = orjson.loads(raw.data)
        facts = value.get("extensions", {}).get(source, {}).get("misp", {})
        for name in {"event", "object", "report", "sighting", "reference"} & facts.keys():
            facts[name] |= beside
            changed += 1
        for galaxy in facts.get("event", {}).get("Galaxy", ()):
            galaxy["GalaxyCluster"][0]["GalaxyClusterRelation"] = galaxy["published"] = "hidden"
        hostile.append(read_object(orjson.dumps(value)))
    assert changed == 9
    made_of = written(draft, author, tuple(hostile))
    now = orjson.loads(made_of.data)["Event"]
    assert b"hidden" not in made_of.data
    assert (now["info"], now["published"]) == ("Phishing against a bank", False)
    assert now == back(draft, author, read(full_event()).accepted) | {"published": False}
    assert "published" in {each.what for each in made_of.losses}


@pytest.mark.parametrize(
    ("type_", "was", "now"),
    [
        ("relationship", b'"relationship_type":"connects_to"', b'"relationship_type":"blocks"'),
        ("relationship", DOMAIN.encode(), FILE.encode()),
        ("opinion", b'"type":"1"', b'"type":"0"'),
        ("opinion", b'"date_sighting":"1790', b'"date_sighting":"1690'),
    ],
)
def test_a_reference_or_sighting_of_misp_counts_only_where_stix_says_the_same(type_, was, now, draft, author):
    head = b'"misp":{'
    lying = []
    for raw in read(full_event()).accepted:
        before, mark, after = raw.data.partition(head)
        hit = raw.type == type_ and (b'"reference"' in after or type_ == "opinion")
        lying.append(read_object(before + mark + after.replace(was, now)) if hit else raw)
    assert [each.data for each in lying] != [each.data for each in read(full_event()).accepted]
    made_of = written(draft, author, tuple(lying))
    event_now = orjson.loads(made_of.data)["Event"]
    sightings = [one["type"] for one in event_now["Attribute"][0].get("Sighting", ())]
    references = event_now["Object"][0]["ObjectReference"]
    assert (sightings, len(references)) == ((["0", "2"], 1) if type_ == "opinion" else (["0", "1", "2"], 0))
    assert type_ in {each.what for each in made_of.losses}


@pytest.mark.parametrize("odd", [[], {}, 5, None, [{"name": []}], {"a": [1]}])
def test_no_value_that_a_stranger_writes_for_a_fact_of_misp_breaks_the_export(odd, draft, author):
    source = "extension-definition--1d000da8-0523-41bb-a300-3da5fd6edfdf"
    strange = []
    for raw in read(full_event()).accepted:
        value = orjson.loads(raw.data)
        facts = value.get("extensions", {}).get(source, {}).get("misp", {})
        for part in (facts, *(each for each in facts.values() if isinstance(each, dict))):
            part |= {
                name: odd
                for name in part
                if name not in ("event", "object", "report", "sighting", "reference")
            }
        for each in orjson.loads(raw.data).get("extensions", {}).get(source, {}).get("misp", {}).values():
            inner = each.get("Attribute", ()) if isinstance(each, dict) else ()
            if inner:  # an object that still says what STIX says, but for what STIX doesn't tell
                kept = ("type", "value", "object_relation")
                facts["object"]["name"] = "file"
                facts["object"]["Attribute"] = [
                    {name: fact if name in kept else odd for name, fact in one.items()} for one in inner
                ]
        strange.append(read_object(orjson.dumps(value)))
    made_of = written(draft, author, tuple(strange), Tlp.RED)
    assert all(
        each in made_of.data for each in (b"phish.example.com", MD5.encode(), b"They write in Portuguese.")
    )


def test_an_object_of_misp_counts_only_where_stix_says_the_same(draft, author):
    objects = read(full_event()).accepted
    lying = [
        read_object(raw.data.replace(b'"value":"invoice.exe"', b'"value":"harmless"'))
        if raw.type == "observed-data"
        else raw
        for raw in objects
    ]
    assert lying != list(objects)
    now = back(draft, author, tuple(lying))
    assert now["Object"] == []
    assert b"harmless" not in orjson.dumps(now)
    values = [one["value"] for one in now["Attribute"]]
    assert f"invoice.exe|{MD5}" in values
