"""Reading STIX files: what goes on byte for byte, and what is set aside and why."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from exchange.errors import Refused
from exchange.formats.registry import dump, load
from exchange.formats.stix.read import read_object
from exchange.formats.stix.spans import Limits
from exchange.formats.stix.validation import MAX_REASON_CHARS

UUID = "00000000-0000-4000-8000-000000000001"
TIME = "2026-01-01T00:00:00.000Z"
CORE = "extension-definition--ef765651-680c-498d-9894-99799f2fa126"
NEW_TYPE = "extension-definition--00000000-0000-4000-8000-00000000abcd"


def sdo(object_type: str, **more) -> dict:
    return {
        "type": object_type,
        "spec_version": "2.1",
        "id": f"{object_type}--{UUID}",
        "created": TIME,
        "modified": TIME,
        **more,
    }


def old(object_type: str, **more) -> dict:
    value = sdo(object_type, **more)
    del value["spec_version"]
    return value


def incident(**core) -> dict:
    extension = {
        "extension_type": "property-extension",
        "determination": "suspected",
        "investigation_status": "new",
    }
    return sdo("incident", name="x", extensions={CORE: extension | core})


def of_suite(object_type: str, extension: str, **more) -> dict:
    extensions = {
        f"extension-definition--{extension}": {"extension_type": "new-sdo"},
        **more.pop("extensions", {}),
    }
    return sdo(object_type, extensions=extensions, **more)


def event(**more) -> dict:
    return of_suite("event", "4ca6de00-5b0d-45ef-a1dc-ea7279ea910e", **more)


def impact(**more) -> dict:
    return of_suite("impact", "7cc33dd6-f6a1-489b-98ea-522d351d71b9", **more)


def task(**more) -> dict:
    return of_suite("task", "2074a052-8be4-4932-849e-f5e7798e0030", **more)


GOOD = [
    (sdo("campaign", name="x"), "2.1"),
    (sdo("campaign", name="x", x_ours={"a": 1}, some_vendor_field="y"), "2.1"),
    (old("campaign", name="x"), "2.0"),
    (old("campaign", name="x") | {"spec_version": "2.0"}, "2.0"),
    (old("campaign", name="x", x_misp_field=[1]), "2.0"),
    ({"type": "domain-name", "id": f"domain-name--{UUID}", "value": "example.com"}, "2.1"),
    (sdo("x-custom", anything="y"), "2.1"),
    (old("x-custom", anything="y"), "2.0"),
    (
        {
            "type": "x-thing",
            "id": f"x-thing--{UUID}",
            "extensions": {NEW_TYPE: {"extension_type": "new-sco"}},
        },
        "2.1",
    ),
    (sdo("incident", name="a stub"), "2.1"),
    (incident(), "2.1"),
    (incident(criticality=100, incident_types=["a-word-of-theirs"], unknown_property=1), "2.1"),
    (event(status="ongoing", start_time=TIME, start_time_fidelity="day", due_date=TIME), "2.1"),
    (impact(impact_category="availability", extensions={"availability": {"availability_impact": 50}}), "2.1"),
    (task(outcome="pending", priority=3), "2.1"),
    (sdo("task", anything="not of the suite"), "2.1"),
]

BAD = [
    (sdo("campaign"), "stix.invalid", "the object: name is missing"),
    (sdo("campaign", name=3), "stix.invalid", "/name: breaks the schema's type"),
    (
        sdo("indicator", name="x", pattern="y", valid_from=TIME),
        "stix.invalid",
        "the object: pattern_type is missing",
    ),
    (sdo("campaign", name="x") | {"id": f"tool--{UUID}"}, "stix.id-mismatch", None),
    (sdo("x-custom") | {"id": f"x-other--{UUID}"}, "stix.id-mismatch", None),
    (sdo("campaign", name="x") | {"spec_version": "2.2"}, "stix.unknown-version", None),
    (sdo("campaign", name="x") | {"spec_version": 2.1}, "stix.unknown-version", None),
    ({"type": "bundle", "id": f"bundle--{UUID}", "objects": []}, "stix.nested-bundle", None),
    ({"type": "campaign"}, "stix.not-an-object", None),
    ({"type": 3, "id": 4}, "stix.not-an-object", None),
    (old("incident", name="x"), "stix.invalid", "/type: breaks the schema's not"),
    (
        sdo("campaign", name="x", extensions={"x": {}}),
        "stix.invalid",
        "/extensions: x is not an allowed name",
    ),
    (
        incident(determination="maybe"),
        "stix.invalid",
        f"/extensions/{CORE}/determination: breaks the schema's enum",
    ),
    (
        incident(criticality=101),
        "stix.invalid",
        f"/extensions/{CORE}/criticality: breaks the schema's maximum",
    ),
    (
        incident(recoverability="never"),
        "stix.invalid",
        f"/extensions/{CORE}/recoverability: breaks the schema's enum",
    ),
    (
        sdo("incident", name="x", extensions={CORE: {"extension_type": "property-extension"}}),
        "stix.invalid",
        None,
    ),
    (event(), "stix.invalid", "the object: status is missing"),
    (event(status="over"), "stix.invalid", "/status: breaks the schema's enum"),
    (impact(impact_category="availability"), "stix.invalid", "/extensions: availability is missing"),
    (impact(impact_category="physical", extensions={"physical": {}}), "stix.invalid", None),
    (
        impact(
            impact_category="availability",
            extensions={"availability": {"availability_impact": 1}},
            superseded_by_ref=f"impact--{UUID}",
        ),
        "stix.invalid",
        None,
    ),
    (task(outcome="pending", priority=101), "stix.invalid", "/priority: breaks the schema's maximum"),
]


def bundle(*objects: bytes) -> bytes:
    return b'{"type":"bundle","id":"bundle--1","objects":[' + b",".join(objects) + b"]}"


@pytest.mark.parametrize(("value", "version"), GOOD)
def test_a_valid_object_is_judged_by_its_own_version(value, version):
    raw = read_object(json.dumps(value).encode())
    assert (raw.id, raw.type, raw.version) == (value["id"], value["type"], version)


@pytest.mark.parametrize(("value", "code", "reason"), BAD)
def test_a_bad_object_is_set_aside_and_the_rest_goes_on(value, code, reason):
    good = json.dumps(sdo("tool", name="x")).encode()
    loaded = load("a.json", bundle(good, json.dumps(value).encode(), good))
    assert [each.data for each in loaded.accepted] == [good, good]
    (aside,) = loaded.set_aside
    assert aside.code == code
    assert reason is None or aside.reason == reason
    assert aside.object == value.get("id") or (aside.object == "#1" and not isinstance(value.get("id"), str))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"type":"tool","type":"tool"}', "stix.duplicate-key"),
        (b'{"type":"tool","x":{"a":1,"a":1}}', "stix.duplicate-key"),
        (b'{"type":"tool","id":"\\ud800"}', "stix.bad-value"),
        (b'{"type":"tool","id":1e999}', "stix.bad-value"),
        (b'{"type":"tool","\\ud800":1}', "stix.bad-value"),
        (b"3", "stix.not-an-object"),
        (b"null", "stix.not-an-object"),
        (b'["type","id"]', "stix.not-an-object"),
        (b"{}", "stix.not-an-object"),
    ],
)
def test_nonsense_among_objects_is_set_aside_by_its_place(data, code):
    loaded = load("a.json", bundle(data, json.dumps(sdo("tool", name="x")).encode()))
    assert [(each.object, each.code) for each in loaded.set_aside] == [("#0", code)]
    assert len(loaded.accepted) == 1


def test_reasons_are_short_and_say_nothing_of_values():
    value = sdo("campaign", name=["canary"], extensions={"canary" * 100: {}})
    loaded = load(
        "a.json", bundle(json.dumps(value).encode(), json.dumps(sdo("tool", name={"canary": 1})).encode())
    )
    assert all(len(each.reason) <= MAX_REASON_CHARS for each in loaded.set_aside)
    assert "canary" not in loaded.set_aside[1].reason


def test_the_bytes_of_an_object_are_kept_as_they_stand():
    spelt = (
        f'{{ "type" : "tool",\n\t"id":"tool--{UUID}", "name":"\\u00e9\\/", "created":"{TIME}","modified":"{TIME}",'
        '"spec_version" :"2.1" }'
    ).encode()
    assert load("a", bundle(spelt)).accepted[0].data == spelt
    assert load("a", b" [ " + spelt + b" ] ").accepted[0].data == spelt
    assert load("a", b"\n" + spelt + b"\n").accepted[0].data == spelt


def test_versions_and_repeats_of_an_object_are_all_kept():
    first = json.dumps(sdo("tool", name="x")).encode()
    later = first.replace(b"2026", b"2027")
    assert [each.data for each in load("a", bundle(first, later, first)).accepted] == [first, later, first]


def test_an_empty_bundle_has_nothing_to_send():
    loaded = load("a", bundle())
    assert (loaded.format, loaded.accepted, loaded.set_aside) == ("stix", (), ())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"type":"bundle","id":"b","objects":[],"objects":[]}', "stix.ambiguous-file"),
        (b'{"type":"bundle","id":"b"}', "stix.bad-bundle"),
        (b'{"type":"bundle","id":"b","objects":{}}', "stix.bad-bundle"),
        (b'{"type":"tool","id":' + b"[" * 62 + b"]" * 62 + b"}", "json.too-deep"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_is_refused(data, code):
    with pytest.raises(Refused) as caught:
        load("a.json", data)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "data", [b"{}", b"[]", b"3", b'{"document":{}}', b'["type","id"]', b'{"type":"tool"}']
)
def test_json_of_no_known_format_is_refused(data):
    with pytest.raises(Refused) as caught:
        load("a.json", data)
    assert caught.value.code == "format.unknown"


def test_limits_are_arguments():
    with pytest.raises(Refused) as caught:
        load("a.json", bundle(b"{}", b"{}"), Limits(max_objects=1))
    assert caught.value.code == "json.too-many-objects"


def test_hostile_names_and_addresses_do_not_hold_up_validation():
    slow = [
        sdo("x-a", id="x-a--" + "a" * 100_000),
        sdo("a" * 200_000 + "!"),
        {"type": "url", "id": f"url--{UUID}", "value": "http://" + "a:" * 50_000 + "@["},
        sdo("tool", name="x", external_references=[{"source_name": "x", "url": "http://[" + "::a" * 50_000}]),
    ]
    start = time.process_time()
    load("a.json", bundle(*(json.dumps(value).encode() for value in slow * 5)))
    assert time.process_time() - start < 20  # backtracking without a limit would never end


def test_reading_formats_imports_neither_stix2_nor_its_validator():
    code = "import sys, exchange.formats.registry, exchange.formats.stix.incident, exchange.formats.stix.cover as c;"
    code += "print({'stix2', 'stix2validator', 'requests'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"


def test_an_unknown_format_to_write_is_refused():
    with pytest.raises(Refused) as caught:
        dump(None, "no-such")
    assert caught.value.code == "format.unknown"
