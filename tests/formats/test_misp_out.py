"""Messages as MISP events: values come back as they were, labels hold, strangers hide nothing."""

from __future__ import annotations

import orjson
import pytest
from stix2patterns.v21.pattern import Pattern

from exchange.formats.misp.types import TYPES, comparisons
from exchange.formats.objects import Loss
from exchange.formats.stix.read import read_object
from exchange.tlp import Tlp
from tests.misp_samples import (
    ACTOR,
    DOMAIN,
    FILE,
    MD5,
    ORG,
    SAMPLE,
    STIX_TIME,
    TECHNIQUE,
    TEXT,
    attribute,
    back,
    event,
    full_event,
    made,
    read,
    written,
)

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


@pytest.mark.parametrize(
    ("type_", "value", "pattern"),
    [
        ("domain", "Evil[.]Example[.]com", "[domain-name:value = 'evil.example.com']"),
        ("hostname", "WWW.example.com", "[domain-name:value = 'www.example.com']"),
        ("ip-dst", "203.0.113[.]7", "[ipv4-addr:value = '203.0.113.7']"),
        ("url", "hxxp://evil[.]example[.]com/a[.]b", "[url:value = 'http://evil.example.com/a[.]b']"),
        ("email-src", "a[at]example[.]com", "[email-addr:value = 'a@example.com']"),
        (
            "hostname|port",
            "Evil[.]example.com|443",
            "[network-traffic:dst_ref.value = 'evil.example.com' AND network-traffic:dst_port = 443]",
        ),
    ],
)
def test_an_address_that_was_made_harmless_is_looked_for_as_it_is_and_comes_back_as_it_was(
    type_, value, pattern, draft, author
):
    loaded = read(event(attribute(type_, value, DOMAIN, to_ids=True)))
    assert made(loaded)[f"indicator--{DOMAIN}"]["pattern"] == pattern
    assert "to_ids" not in {each.what for each in loaded.losses}
    (one,) = back(draft, author, loaded.accepted)["Attribute"]
    assert (one["type"], one["value"], one["to_ids"]) == (type_, value, True)


# The categories that MISP takes for a type (its describeTypes.json), of the types that are written for rules.
MISP_TAKES = {
    "yara": {"Payload delivery", "Artifacts dropped", "Payload installation"},
    "sigma": {"Payload delivery", "Artifacts dropped", "Payload installation"},
    "snort": {"Network activity", "External analysis"},
    "stix2-pattern": {"Payload delivery", "Artifacts dropped", "Payload installation", "Network activity"},
    "other": {"Other", "Network activity", "Payload delivery", "Payload installation"},
}


@pytest.mark.parametrize(
    ("language", "type_", "detects"),
    [
        ("yara", "yara", True),
        ("sigma", "sigma", True),
        ("snort", "snort", True),
        ("suricata", "snort", True),
        ("stix", "stix2-pattern", True),
        ("pcre", "other", False),
        ("example", "other", False),
    ],
)
def test_a_rule_is_written_in_a_type_and_category_that_misp_takes(language, type_, detects, draft, author):
    rule = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{DOMAIN}",
        "created": STIX_TIME,
        "modified": STIX_TIME,
        "pattern": "[url:value MATCHES 'x']",
        "pattern_type": language,
        "valid_from": STIX_TIME,
    }
    (one,) = back(draft, author, (read_object(orjson.dumps(rule)),), Tlp.AMBER)["Attribute"]
    assert (one["type"], one["to_ids"], one["value"]) == (type_, detects, rule["pattern"])
    assert one["category"] in MISP_TAKES[type_]


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
    why = "an event of MISP has no place for it"
    assert made_of.losses == (
        Loss("message", "kind, case_id, urgency", f"{why[:-2]}them"),
        Loss(f"tool--{FILE}", "tool", "MISP has no attribute that says it"),
        Loss("objects of type malware", "is_family of 1", why),
    )
