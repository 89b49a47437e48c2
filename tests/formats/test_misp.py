"""MISP events: what of them becomes which object, what label it has, and what is lost."""

from __future__ import annotations

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.registry import load
from exchange.formats.stix.markings import effective_tlp
from exchange.formats.stix.permissions import pap_of_all
from exchange.formats.stix.spans import Limits
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.misp_samples import (
    ACTOR,
    DOMAIN,
    EVENT,
    FILE,
    FILE_HASH,
    FILE_NAME,
    MD5,
    ORG,
    SAMPLE,
    SECONDS,
    STIX_TIME,
    TECHNIQUE,
    TEXT,
    attribute,
    event,
    full_event,
    made,
    read,
    sighting,
)

DAY = "2026-09-21T00:00:00.000Z"


# -- in ----------------------------------------------------------------------------------------------------------------


def test_an_attribute_for_detection_becomes_an_indicator_with_its_own_uuid():
    one = made(read(full_event()))[f"indicator--{DOMAIN}"]
    assert one["pattern"] == "[domain-name:value = 'phish.example.com']"
    assert (one["created"], one["modified"], one["valid_from"]) == (
        DAY,
        STIX_TIME,
        "2026-09-20T00:00:00.000Z",
    )
    assert (one["description"], one["created_by_ref"]) == ("landing page", f"identity--{ORG}")


def test_an_event_becomes_a_report_that_refers_to_everything_of_it():
    objects = made(read(full_event()))
    report = objects.pop(f"report--{EVENT}")
    assert (report["name"], report["modified"], report["created"]) == (
        "Phishing against a bank",
        STIX_TIME,
        "2026-09-21T00:00:00.000Z",
    )
    assert set(report["object_refs"]) == set(objects)


def test_what_stix_can_say_is_not_said_a_second_time_in_the_extension():
    objects = made(read(event(attribute("domain", "example.com", DOMAIN, to_ids=True, comment="x"))))
    assert "extensions" not in objects[f"indicator--{DOMAIN}"]


def test_what_is_not_for_detection_is_what_was_observed_or_a_note():
    objects = made(read(event(attribute("ip-src", "203.0.113.7", DOMAIN), attribute("text", "Words.", TEXT))))
    (address,) = objects[f"observed-data--{DOMAIN}"]["object_refs"]
    assert objects[address]["value"] == "203.0.113.7"
    assert objects[f"note--{TEXT}"]["content"] == "Words."


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ("2026-09-01T00:00:00.000000+00:00", "2026-09-02T00:00:00Z", ("2026-09-01", "2026-09-02")),
        ("2026-09-01", None, ("2026-09-01", "2026-09-21")),
        (None, "2026-09-01", ("2026-09-01", "2026-09-01")),
        (None, "2026-12-01", ("2026-09-21", "2026-12-01")),
        ("2026-09-02", "2026-09-01", ("2026-09-21", "2026-09-21")),
        ("yesterday", None, ("2026-09-21", "2026-09-21")),
    ],
)
def test_what_was_observed_is_dated_when_it_was_seen(first, last, told):
    said = {name: at for name, at in (("first_seen", first), ("last_seen", last)) if at}
    whole = {"name": "file", "uuid": FILE, "timestamp": SECONDS, **said}
    whole["Attribute"] = [attribute("filename", "invoice.exe")]
    loaded = read(event(attribute("ip-src", "203.0.113.7", DOMAIN, **said), Object=[whole]))
    for each in (made(loaded)[f"observed-data--{uuid}"] for uuid in (DOMAIN, FILE)):
        assert (each["first_observed"][:10], each["last_observed"][:10]) == told


def test_an_edit_makes_a_newer_version_of_the_same_object():
    whole = full_event()
    before = made(read(whole))
    for entry in (whole["Event"], *whole["Event"]["Attribute"], *whole["Event"]["Object"]):
        entry["timestamp"] = str(int(SECONDS) + 86_400)
    after = made(read(whole))
    assert before.keys() == after.keys()
    assert [each.get("created") for each in after.values()] == [
        each.get("created") for each in before.values()
    ]
    changed = {name for name, each in after.items() if each.get("modified") != before[name].get("modified")}
    assert {f"report--{EVENT}", f"indicator--{DOMAIN}", f"observed-data--{FILE}"} <= changed


def test_what_is_seen_together_in_an_object_is_one_observed_data_that_its_indicators_are_based_on():
    objects = made(read(full_event()))
    (file,) = objects[f"observed-data--{FILE}"]["object_refs"]
    assert (objects[file]["name"], objects[file]["hashes"]) == ("invoice.exe", {"MD5": MD5})
    assert objects[f"indicator--{FILE_HASH}"]["pattern"] == f"[file:hashes.MD5 = '{MD5}']"
    assert f"indicator--{FILE_NAME}" not in objects
    relations = {
        (one["source_ref"], one["relationship_type"], one["target_ref"])
        for one in objects.values()
        if one["type"] == "relationship"
    }
    assert relations == {
        (f"indicator--{FILE_HASH}", "based-on", f"observed-data--{FILE}"),
        (f"indicator--{DOMAIN}", "indicates", f"attack-pattern--{TECHNIQUE}"),
        (f"observed-data--{FILE}", "connects-to", f"indicator--{DOMAIN}"),
    }


def test_clusters_keep_their_uuid_and_are_older_than_whatever_their_owner_publishes():
    objects = made(read(full_event()))
    technique = objects[f"attack-pattern--{TECHNIQUE}"]
    assert technique["external_references"] == [{"source_name": "mitre-attack", "external_id": "T1566"}]
    assert technique["modified"] == "1970-01-01T00:00:00.000Z"
    assert objects[f"threat-actor--{ACTOR}"]["name"] == "Example Bear"


def test_a_false_positive_is_no_sighting():
    objects = made(read(full_event())).values()
    assert [one["sighting_of_ref"] for one in objects if one["type"] == "sighting"] == [
        f"indicator--{DOMAIN}",
        f"indicator--{FILE_HASH}",
        f"observed-data--{FILE}",
    ]
    (opinion,) = (one for one in objects if one["type"] == "opinion")
    assert (opinion["opinion"], opinion["object_refs"]) == ("strongly-disagree", [f"indicator--{DOMAIN}"])
    assert [one["object_refs"] for one in objects if one.get("abstract") == "expired"] == [
        [f"indicator--{DOMAIN}"]
    ]


def test_a_sample_is_an_artifact_in_its_password_zip():
    objects = made(read(full_event()))
    (sample,) = (one for one in objects.values() if one["type"] == "artifact")
    assert (sample["mime_type"], sample["decryption_key"]) == ("application/zip", "infected")
    assert objects[f"indicator--{SAMPLE}"]["pattern"] == (
        f"[file:name = 'invoice.exe' AND file:hashes.MD5 = '{MD5}']"
    )


@pytest.mark.parametrize(
    "pattern",
    [
        "[url:value =",
        "[" + "(" * 3_000 + "url:value = 'x'" + ")" * 3_000 + "]",
        "[" + " OR ".join(["url:value = 'x'"] * 3_000) + "]",
    ],
)
def test_a_pattern_that_does_not_parse_is_a_note_and_no_indicator(pattern):
    loaded = read(event(attribute("stix2-pattern", pattern, DOMAIN, to_ids=True)))
    assert made(loaded)[f"note--{DOMAIN}"]["content"] == pattern


def test_long_digits_in_a_text_are_no_number():
    (one,) = (raw for raw in read(event(attribute("text", "9" * 30, DOMAIN))).accepted if raw.type == "note")
    assert orjson.loads(one.data)["content"] == "9" * 30


def test_what_is_for_detection_and_may_be_harmless_is_named_as_doubtful():
    loaded = read(
        event(
            attribute("ip-dst", "10.0.0.1", DOMAIN, to_ids=True),
            attribute("ip-src", "0.0.0.0/0", FILE, to_ids=True),
            attribute("domain|ip", "example.com|127.0.0.1", TEXT, to_ids=True),
            attribute("filename|md5", f"10.0.0.1|{MD5}", SAMPLE, to_ids=True),  # the hash of an empty file
            attribute("domain", "readme.md", ACTOR, to_ids=True),
            attribute("ip-dst", "10.0.0.1", TECHNIQUE),
        )
    )
    assert [(each.place, each.what, each.why) for each in loaded.doubts] == [
        ("/Event/Attribute/0/value", "ip-dst", "a private address"),
        ("/Event/Attribute/1/value", "ip-src", "a large part of all addresses"),
        ("/Event/Attribute/2/value", "domain|ip", "an address of the machine itself"),
        ("/Event/Attribute/3/value", "filename|md5", "the hash of an empty file"),
    ]


# -- labels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "distribution", "date", "label"),
    [
        (["tlp:white"], "0", "2020-01-01", Tlp.CLEAR),
        (["tlp:clear"], "0", "2026-01-01", Tlp.CLEAR),
        (["tlp:green", "tlp:red"], "3", "2026-01-01", Tlp.RED),
        (["tlp:amber"], "3", "2026-01-01", Tlp.AMBER),
        (["tlp:amber"], "3", "2020-01-01", Tlp.AMBER_STRICT),
        (["tlp:amber"], "3", "", Tlp.AMBER_STRICT),
        (["tlp:amber"], "3", "no day", Tlp.AMBER_STRICT),
        (["tlp:amber+strict"], "3", "2026-01-01", Tlp.AMBER_STRICT),
        (["tlp:ex:chr"], "3", "2026-01-01", Tlp.AMBER_STRICT),
        *(([tag], "3", "2026-01-01", Tlp.RED) for tag in ("TLP: RED", "TLP:RED!", "tlp:red:recipients")),
        ([], "3", "2026-01-01", Tlp.GREEN),
        *(([], level, "2026-01-01", Tlp.AMBER_STRICT) for level in ("0", "1", "2", "4", "9", None)),
    ],
)
def test_the_label_is_that_of_the_tags_else_of_the_distribution(tags, distribution, date, label):
    given = {"Tag": [{"name": name} for name in tags], "distribution": distribution, "date": date}
    assert effective_tlp(read(event(attribute("domain", "example.com"), **given)).accepted, None) is label


@pytest.mark.parametrize(
    ("members", "label"),
    [
        ({}, Tlp.GREEN),
        ({"distribution": "5"}, Tlp.GREEN),
        ({"distribution": "0"}, Tlp.AMBER_STRICT),
        ({"Tag": [{"name": "tlp:red"}]}, Tlp.RED),
        ({"Tag": [{"name": "tlp:clear"}]}, Tlp.GREEN),
    ],
)
def test_an_attribute_is_never_labelled_weaker_than_its_event(members, label):
    loaded = read(event(attribute("domain", "example.com", DOMAIN, to_ids=True, **members), distribution="3"))
    (one,) = (raw for raw in loaded.accepted if raw.type == "indicator")
    assert one.tlp is label


def test_every_object_is_labelled_and_says_the_pap_of_its_event():
    loaded = read(full_event())
    assert all(raw.marked for raw in loaded.accepted)
    assert all(pap_of_all([orjson.loads(raw.data)]) is Pap.AMBER for raw in loaded.accepted)


# -- what doesn't go ---------------------------------------------------------------------------------------------------


def test_what_is_not_carried_is_named():
    value = event(
        attribute("domain", "example.com", RelatedAttribute=[{"id": "1"}], new_thing="x", event_id="4"),
        ShadowAttribute=[{"id": "1"}],
        SharingGroup={"name": "x"},
    )
    losses = read(value).losses
    assert {(each.place, each.what) for each in losses} == {
        ("/Event/ShadowAttribute", "ShadowAttribute"),
        ("/Event/SharingGroup", "SharingGroup"),
        ("/Event/Attribute/0/RelatedAttribute", "RelatedAttribute"),
        ("/Event/Attribute/0/new_thing", "new_thing"),
        ("everywhere", "event_id, id"),
    }


@pytest.mark.parametrize(
    "bad",
    [
        attribute("domain", ""),
        attribute("", "example.com"),
        attribute("domain", {"a": 1}),
        attribute("domain", "example.com", deleted=True),
        attribute("domain", "example.com", comment=5, to_ids=True),
    ],
)
def test_a_bad_or_deleted_attribute_is_set_aside_and_the_rest_goes_on(bad):
    loaded = read(event(bad, attribute("domain", "other.example.com", DOMAIN, to_ids=True)))
    (aside,) = loaded.set_aside
    assert (aside.object, aside.code in ("format.bad-entry", "stix.invalid")) == ("/Event/Attribute/0", True)
    assert f"indicator--{DOMAIN}" in {raw.id for raw in loaded.accepted}


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("ja3-fingerprint-md5", MD5),
        ("imphash", MD5),
        ("filename|imphash", f"a|{MD5}"),
        ("pattern-in-file", "x"),
        ("sha256", MD5),
        ("stix2-pattern", "[url:value ="),
    ],
)
def test_what_was_for_detection_and_has_no_pattern_is_named(type_, value):
    plain = read(event(attribute(type_, value, TEXT)))
    assert "to_ids" not in {each.what for each in plain.losses}
    for where in (
        {"Attribute": [attribute(type_, value, TEXT, to_ids=True)]},
        {"Object": [{"name": "file", "Attribute": [attribute(type_, value, TEXT, to_ids="1")]}]},
    ):
        loss, _ = read(event(**where)).losses
        assert (loss.place.endswith("/Attribute/0/to_ids"), loss.what) == (True, "to_ids")


def test_a_reference_that_is_deleted_in_misp_is_set_aside():
    whole = full_event()
    whole["Event"]["Object"][0]["ObjectReference"][0]["deleted"] = True
    loaded = read(whole)
    assert [(each.object, each.code) for each in loaded.set_aside] == [
        ("/Event/Object/0/ObjectReference/0", "format.bad-entry")
    ]
    assert not any(b"connects-to" in raw.data for raw in loaded.accepted)


def test_of_two_entries_with_one_uuid_the_second_is_set_aside():
    first, second = (attribute("domain", f"{name}.example.com", DOMAIN, to_ids=True) for name in "ab")
    loaded = read(event(first, second))
    assert [(each.object, each.code) for each in loaded.set_aside] == [
        ("/Event/Attribute/1", "format.bad-entry")
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"Event":{"info":"a","info":"b"}}', "format.bad-file"),
        (b'{"response":[]}', "format.bad-file"),
        (b'{"response":[{"Event":{"Attribute":[]}}]}', "format.bad-file"),
        (b'{"Event":{"info":"\\ud800"}}', "format.bad-file"),
        (b'{"Event":{"info":"a","x":123456789012345678901}}', "format.bad-file"),
        (b'{"Event":{"info":"a","x":' + b"9" * 5_000 + b"}}", "format.bad-file"),
        (b'{"Event":{"info":"a","x":' + b"[" * 60 + b"]" * 60 + b"}}", "json.too-deep"),
        (b'{"response":[' + b",".join([b'{"Event":{"info":"a"}}'] * 1_001) + b"]}", "format.bad-file"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_is_refused(data, code):
    with pytest.raises(Refused) as caught:
        load("event.json", data)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "members",
    [
        {"Attribute": [attribute("text", f"word {number}") for number in range(10)]},
        {"Attribute": [5, *({} for _ in range(9))]},
        {"Attribute": [attribute("text", "x", Sighting=[sighting("0", number) for number in range(10)])]},
        {"Object": [{"name": "file", "Attribute": [{}] * 10}]},
        {"Object": [{"name": "file", "Attribute": [attribute("md5", f"{n:032x}") for n in range(10)]}]},
    ],
)
def test_more_objects_than_a_message_takes_are_refused(members):
    with pytest.raises(Refused) as caught:
        load("event.json", orjson.dumps(event(**members)), Limits(max_objects=9))
    assert caught.value.code == "json.too-many-objects"


def test_an_object_of_too_many_attributes_is_set_aside():
    one = {"name": "file", "Attribute": [attribute("filename", "x")] * 5_001}
    (aside,) = read(event(Object=[one])).set_aside
    assert (aside.object, aside.code) == ("/Event/Object/0", "format.bad-entry")
