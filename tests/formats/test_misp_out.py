"""Messages as MISP events: values come back as they were, labels hold, strangers hide nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from stix2patterns.v21.pattern import Pattern

from exchange.formats.misp.types import TYPES, comparisons
from exchange.formats.objects import Loss, RawObject
from exchange.formats.registry import dump
from exchange.formats.stix.cover import compose
from exchange.formats.stix.markings import effective_tlp
from exchange.formats.stix.read import read_object
from exchange.message import Kind
from exchange.tlp import Tlp
from tests.misp_samples import (
    ACTOR,
    DOMAIN,
    EVENT,
    FILE,
    MD5,
    ORG,
    SAMPLE,
    TECHNIQUE,
    TEXT,
    attribute,
    event,
    full_event,
    made,
    read,
)

STIX_TIME = "2026-09-21T14:13:20.000Z"
VALUES = {
    "md5": MD5,
    "sha1": "a" * 40,
    "sha224": "a" * 56,
    "sha256": "a" * 64,
    "sha384": "a" * 96,
    "sha512": "a" * 128,
    "sha3-256": "a" * 64,
    "sha3-512": "a" * 128,
    "ssdeep": "3:AXGBicFlgVNhBGcL6wCrFQEv:AXGHsNhxLsr2C",
    "tlsh": "T1" + "A" * 70,
    "ip-dst": "203.0.113.7",
    "ip-src": "2001:db8::7",
    "ip": "203.0.113.7",
    "port": "8443",
    "AS": "AS64496",
    "mac-address": "00:00:5e:00:53:01",
    "hostname": "www.example.com",
    "domain": "example.com",
    "uri": "https://example.com/x",
    "url": "https://example.com/o'clock\\now",
    "regkey": "HKLM\\Software\\Example",
    "value": "1",
    "x509-fingerprint-md5": MD5,
    "x509-fingerprint-sha1": "a" * 40,
    "x509-fingerprint-sha256": "a" * 64,
    "malware-sample": f"invoice.exe|{MD5}",
}
ANY_TEXT = "it's \\ a [text]"


def written(draft, author, objects: tuple[RawObject, ...], tlp: Tlp | None = None, **more: Any) -> Any:
    alert = replace(draft, kind=Kind.ALERT, tlp=tlp or effective_tlp(objects, None), **more)
    return dump(compose(alert, author, objects), "misp")


def back(
    draft, author, objects: tuple[RawObject, ...], tlp: Tlp | None = None, **more: Any
) -> dict[str, Any]:
    return orjson.loads(written(draft, author, objects, tlp, **more).data)["Event"]


@pytest.mark.parametrize("type_", [name for name in TYPES if TYPES[name][1]])
def test_the_pattern_of_every_type_passes_the_parser_and_reads_back_as_it_was(type_, draft, author):
    value = "|".join(VALUES.get(part, ANY_TEXT) for part in type_.split("|"))
    loaded = read(event(attribute(type_, value, DOMAIN, to_ids=True, category="Other")))
    pattern = made(loaded)[f"indicator--{DOMAIN}"]["pattern"]
    Pattern(pattern)
    (one,) = back(draft, author, loaded.accepted)["Attribute"]
    assert (one["type"], one["value"], one["category"], one["to_ids"]) == (type_, value, "Other", True)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("ip-dst", "not an address"),
        ("md5", "abc"),
        ("AS", "x"),
        ("ip-dst|port", "203.0.113.7|99999"),
        ("domain|ip", "a"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_carried_as_a_note(type_, value, draft, author):
    assert comparisons(type_, value) is None
    loaded = read(event(attribute(type_, value, DOMAIN, to_ids=True)))
    assert made(loaded)[f"note--{DOMAIN}"]["content"] == value
    (one,) = back(draft, author, loaded.accepted)["Attribute"]
    assert (one["type"], one["value"], one["to_ids"]) == (type_, value, True)


@pytest.mark.parametrize(
    ("type_", "rule", "language"),
    [("yara", "rule x { condition: true }", "yara"), ("stix2-pattern", "[url:value = 'x']", "stix")],
)
def test_a_rule_is_an_indicator_in_its_own_language(type_, rule, language, draft, author):
    loaded = read(event(attribute(type_, rule, DOMAIN, to_ids=True)))
    one = made(loaded)[f"indicator--{DOMAIN}"]
    assert (one["pattern"], one["pattern_type"]) == (rule, language)
    assert back(draft, author, loaded.accepted)["Attribute"][0]["value"] == rule


# -- out ---------------------------------------------------------------------------------------------------------------


def test_everything_of_an_event_comes_back(draft, author):
    value = full_event()["Event"]
    now = back(draft, author, read(full_event()).accepted)
    assert [one["value"] for one in now["Attribute"]] == [one["value"] for one in value["Attribute"]]
    domain, _, sample = now["Attribute"]
    assert domain["first_seen"] == value["Attribute"][0]["first_seen"]
    assert domain["Tag"] == value["Attribute"][0]["Tag"]
    assert domain["Galaxy"][0]["GalaxyCluster"][0]["uuid"] == TECHNIQUE
    assert [one["type"] for one in domain["Sighting"]] == ["0", "1", "2"]
    assert sample["data"] == value["Attribute"][2]["data"]
    (file,) = now["Object"]
    assert [one["value"] for one in file["Attribute"]] == [MD5, "invoice.exe", "12"]
    assert [len(one.get("Sighting", ())) for one in file["Attribute"]] == [1, 1, 0]
    assert file["ObjectReference"][0]["relationship_type"] == "connects_to"
    assert now["EventReport"][0]["content"] == "# All of it"
    assert now["Galaxy"][0]["GalaxyCluster"][0]["uuid"] == ACTOR
    assert now["Orgc"] == {"name": "Example CSIRT", "uuid": ORG}


def test_what_was_for_a_sharing_group_stays_with_who_reads_it(draft, author):
    loaded = read(event(attribute("domain", "example.com"), distribution="4", Tag=[{"name": "tlp:green"}]))
    plain = written(draft, author, loaded.accepted)
    assert orjson.loads(plain.data)["Event"]["distribution"] == "0"
    assert "its distribution" in {each.what for each in plain.losses}


def test_no_event_leaves_with_a_weaker_label_or_a_wider_distribution_than_its_message(draft, author):
    loaded = read(event(attribute("domain", "example.com"), distribution="3", Tag=[{"name": "tlp:clear"}]))
    plain = written(draft, author, loaded.accepted)
    assert orjson.loads(plain.data)["Event"]["Tag"] == [{"name": "tlp:clear"}]
    strict = written(draft, author, loaded.accepted, Tlp.AMBER)
    now = orjson.loads(strict.data)["Event"]
    assert (now["Tag"], now["distribution"]) == ([{"name": "tlp:amber"}], "0")
    assert {each.what for each in strict.losses} > {each.what for each in plain.losses}


def test_a_message_that_never_was_in_misp_becomes_an_event_and_what_it_cannot_say_is_named(draft, author):
    common = {"spec_version": "2.1", "created": STIX_TIME, "modified": STIX_TIME}
    values = [
        {
            "type": "indicator",
            "id": f"indicator--{DOMAIN}",
            **common,
            "pattern": "[domain-name:value = 'a.example.com' OR ipv4-addr:value = '203.0.113.7']",
            "pattern_type": "stix",
            "valid_from": STIX_TIME,
            "description": "seen",
        },
        {
            "type": "indicator",
            "id": f"indicator--{TEXT}",
            **common,
            "pattern": "[url:value LIKE 'x%'] FOLLOWEDBY [url:value = 'y']",
            "pattern_type": "stix",
            "valid_from": STIX_TIME,
        },
        {"type": "malware", "id": f"malware--{SAMPLE}", **common, "name": "Examplebot", "is_family": True},
        {"type": "tool", "id": f"tool--{FILE}", **common, "name": "Tool"},
    ]
    objects = tuple(read_object(orjson.dumps(value)) for value in values)
    made_of = written(draft, author, objects, Tlp.AMBER, subject="Phishing", text="Beware.")
    now = orjson.loads(made_of.data)["Event"]
    assert [(one["type"], one["value"], one["to_ids"]) for one in now["Attribute"]] == [
        ("domain", "a.example.com", True),
        ("ip-dst", "203.0.113.7", True),
        ("stix2-pattern", values[1]["pattern"], True),
        ("malware-type", "Examplebot", False),
    ]
    assert (now["uuid"], now["info"], now["Orgc"]["name"]) == (draft.id, "Phishing", "PE-CSIRT")
    assert (now["Tag"], now["timestamp"]) == ([{"name": "tlp:amber"}], str(draft.created // 1_000))
    assert now["EventReport"][0]["content"] == "Beware."
    assert made_of.losses == (Loss(f"tool--{FILE}", "tool", "MISP has no attribute that says it"),)


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
