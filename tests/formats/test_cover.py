"""A message as a bundle and back; and what a hostile or newer peer may send instead."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import orjson
import pytest
import stix2
from hypothesis import assume, given, settings, strategies as st

from exchange.errors import ExchangeError, Refused, Rejected
from exchange.formats.objects import Loss
from exchange.formats.registry import Written, dump
from exchange.formats.stix.cover import EXTENSION, carried_objects, compose, read_message
from exchange.formats.stix.markings import tlp2_definition
from exchange.formats.stix.read import read_object
from exchange.formats.stix.spans import Limits
from exchange.message import Author, Draft, Kind, Message, Outcome, Urgency
from exchange.tlp import Tlp

NOW = 1_793_000_000_000
OTHER = "1f0f0f0f-0000-4000-8000-000000000001"
AUTHOR = Author(id="identity--9c3ae1a5-66a4-5b11-9f6c-4c4bb4c2d6b1", name="PE-CSIRT", created=NOW - 1_000)
TEXTS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\x85"),
    min_size=1,
    max_size=40,
).filter(str.strip)
TIMES = st.none() | st.integers(NOW + 1, NOW + 10**12)


def object_of(name: str = "x", **more):
    value = {
        "type": "campaign",
        "spec_version": "2.1",
        "id": "campaign--00000000-0000-4000-8000-000000000001",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "name": name,
        **more,
    }
    return read_object(json.dumps(value).encode())


@st.composite
def drafts(draw) -> Draft:
    kind = draw(st.sampled_from([kind for kind in Kind if kind not in (Kind.INCIDENT_REPORT, Kind.FORWARD)]))
    draft = Draft(
        id=str(draw(st.uuids(version=4))),
        kind=kind,
        case_id=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)),
        urgency=draw(st.sampled_from(Urgency)),
        tlp=draw(st.sampled_from(Tlp)),
        subject=draw(TEXTS),
        created=draw(st.integers(0, NOW)),
        lang=draw(st.sampled_from(["es", "en", "pt-BR", "fr"])),
        text=draw(st.just("") | TEXTS),
        in_reply_to=str(draw(st.uuids(version=4))),
        supersedes=draw(st.none() | st.just(OTHER)),
        expires=draw(TIMES),
        ack_by=draw(TIMES),
        reply_by=draw(st.integers(NOW + 1, NOW + 10**12)),
        outcome=draw(st.sampled_from(Outcome)) if kind == Kind.RESPONSE else None,
        question=draw(TEXTS),
        reason=draw(TEXTS),
        legal_status=draw(st.sampled_from(["informal", "formal-copy"])),
        exercise_id=draw(st.none() | st.just("games-2027")),
        audience_function=draw(st.none() | st.just("operational_tracing")),
        contacts=draw(st.sampled_from([("pe",), ("pe/tracing", "co")])),
        validate_by=draw(st.none() | st.integers(0, NOW)),
        country="PE",
        topic="firearms",
    )
    assume(draft.text != draft.subject)
    return draft


@settings(deadline=None)  # the processor is shared
@given(drafts(), st.lists(TEXTS, max_size=3))
def test_what_is_composed_reads_back_as_the_same_message(draft, names):
    objects = [object_of(name) for name in names]
    sent = compose(draft, AUTHOR, objects)
    received = read_message(sent.bundle)
    assert received == sent
    assert carried_objects(received) == [each.data for each in objects]
    assert compose(draft, AUTHOR, objects).bundle == sent.bundle


def test_the_demo_incident_becomes_a_bundle_others_can_read(draft, author, demo_objects):
    message = compose(draft, author, demo_objects)
    bundle = orjson.loads(message.bundle)
    cover, identity, *carried = bundle["objects"]
    assert message.object_count == len(carried) == 19  # the file brings its own TLP definition
    assert (cover["type"], cover["name"], cover["created_by_ref"]) == ("grouping", draft.subject, author.id)
    assert cover["object_marking_refs"] == [Tlp.AMBER.marking_id]
    assert cover["object_refs"] == [each["id"] for each in carried if each["type"] != "marking-definition"]
    assert identity["id"] == author.id
    assert stix2.parse(bundle, allow_custom=True, version="2.1").id == f"bundle--{draft.id}"


def test_definitions_that_are_referred_to_travel_along(draft, author):
    alert = replace(draft, kind=Kind.ALERT, tlp=Tlp.AMBER)
    message = compose(alert, author, [object_of(object_marking_refs=[Tlp.GREEN.marking_id])])
    values = orjson.loads(message.bundle)["objects"]
    assert values[2:4] == [tlp2_definition(Tlp.GREEN), tlp2_definition(Tlp.AMBER)]


def test_a_cover_holds_before_the_strictest_reader_of_stix(draft, author):
    message = compose(replace(draft, kind=Kind.ALERT), author, [object_of()])
    cover = orjson.loads(message.bundle)["objects"][0]
    assert stix2.parse(cover, allow_custom=False, version="2.1").name == draft.subject


def test_a_response_is_a_note_and_may_have_no_objects(draft, author):
    response = replace(draft, kind=Kind.RESPONSE, in_reply_to=OTHER, outcome=Outcome.NEGATIVE)
    message = compose(response, author, [])
    cover = orjson.loads(message.bundle)["objects"][0]
    assert (cover["type"], cover["abstract"], cover["object_refs"]) == ("note", draft.subject, [author.id])
    assert read_message(message.bundle).outcome == "negative"
    assert stix2.parse(cover, allow_custom=False, version="2.1").content == draft.subject


def test_a_forwarded_message_keeps_the_cover_it_came_with(draft, author, demo_objects):
    first = compose(draft, author, demo_objects)
    inside = [read_object(orjson.dumps(value)) for value in orjson.loads(first.bundle)["objects"]]
    second = compose(replace(draft, id=OTHER), author, inside)
    assert read_message(second.bundle).id == OTHER
    assert carried_objects(second) == [each.data for each in inside]


def test_an_object_stricter_than_the_label_is_refused(draft, author):
    red = object_of(object_marking_refs=[Tlp.RED.marking_id])
    with pytest.raises(Refused) as caught:
        compose(replace(draft, kind=Kind.ALERT), author, [red])
    assert caught.value.code == "tlp.weaker-than-content"


def test_an_incident_report_without_an_incident_is_refused(draft, author):
    with pytest.raises(Refused) as caught:
        compose(draft, author, [object_of()])
    assert caught.value.code == "message.missing-incident"


@pytest.mark.parametrize(
    ("limits", "code"),
    [(Limits(max_bytes=1_000), "json.too-large"), (Limits(max_objects=3), "json.too-many-objects")],
)
def test_a_bundle_over_the_limits_is_refused_before_it_is_sealed(draft, author, limits, code):
    with pytest.raises(Refused) as caught:
        compose(replace(draft, kind=Kind.ALERT), author, [object_of()] * 2, limits)
    assert caught.value.code == code


def test_an_author_with_a_wrong_identity_is_refused(draft):
    with pytest.raises(Refused) as caught:
        compose(replace(draft, kind=Kind.ALERT), replace(AUTHOR, id="pe"), [])
    assert caught.value.code == "stix.invalid"


# --- what arrives


@pytest.fixture
def received(draft, author) -> dict:
    """The values of a good bundle, to be spoilt."""
    alert = replace(draft, kind=Kind.ALERT)
    return orjson.loads(compose(alert, author, [object_of(), object_of("y")]).bundle)


def code_of(value: object) -> str:
    with pytest.raises(Rejected) as caught:
        read_message(value if isinstance(value, bytes) else json.dumps(value).encode())
    return caught.value.code


def extension(bundle: dict) -> dict:
    return bundle["objects"][0]["extensions"][EXTENSION]


def test_a_kind_and_words_of_a_newer_peer_are_shown(received):
    extension(received).update(
        kind="early-warning", outcome="escalated", legal_status="court-order", brand_new=[1]
    )
    message = read_message(orjson.dumps(received))
    assert (message.kind, message.outcome, message.legal_status) == (
        "early-warning",
        "escalated",
        "court-order",
    )
    assert message.object_count == 2


def test_a_report_may_be_a_cover(received):
    received["objects"][0]["type"] = "report"
    assert read_message(orjson.dumps(received)).subject == "Ransomware at a bank"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("type",), "campaign"),
        (("spec_version",), "2.0"),
        (("created",), "2026-02-30T00:00:00.000Z"),
        (("created",), "1969-12-31T23:59:59.999Z"),
        (("created",), "2026-01-01T00:00:00Z"),
        (("created",), "0000-01-01T00:00:00.000Z"),
        (("created_by_ref",), "tool--9c3ae1a5-66a4-5b11-9f6c-4c4bb4c2d6b1"),
        (("name",), "a\x1b[2J"),
        (("name",), "x" * 251),
        (("name",), 3),
        (("description",), "x" * 20_001),
        (("lang",), "es\n"),
        (("object_marking_refs",), []),
        (("extensions", EXTENSION), []),
        (("extensions", EXTENSION, "extension_type"), "new-sdo"),
        (("extensions", EXTENSION, "kind"), "ALERT"),
        (("extensions", EXTENSION, "kind"), "alert\n"),
        (("extensions", EXTENSION, "message_id"), OTHER.upper()),
        (("extensions", EXTENSION, "case_id"), "../../etc"),
        (("extensions", EXTENSION, "urgency"), "yesterday"),
        (("extensions", EXTENSION, "carried"), 5),
        (("extensions", EXTENSION, "carried"), -1),
        (("extensions", EXTENSION, "carried"), 2.5),
        (("extensions", EXTENSION, "carried"), 10**30),
        (("extensions", EXTENSION, "expires"), NOW),
        (("extensions", EXTENSION, "reply_by"), "2026-13-01T00:00:00.000Z"),
        (("extensions", EXTENSION, "question"), "x" * 5_001),
        (("extensions", EXTENSION, "in_reply_to"), None),
    ],
)
def test_a_cover_that_breaks_a_rule_is_rejected(received, path, value):
    place = received["objects"][0]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert code_of(received) == "message.bad-cover"


@pytest.mark.parametrize("name", ["message_id", "kind", "case_id", "urgency", "legal_status", "carried"])
def test_a_cover_without_a_required_property_is_rejected(received, name):
    del extension(received)[name]
    assert code_of(received) == "message.bad-cover"


def test_a_bundle_that_does_not_begin_with_its_cover_is_rejected(received):
    received["objects"].reverse()
    assert code_of(received) == "message.no-cover"
    assert code_of({"type": "bundle", "id": "bundle--1", "objects": []}) == "message.no-cover"


def test_a_second_cover_beside_the_first_is_rejected(received):
    received["objects"].insert(1, received["objects"][0])
    assert code_of(received) == "message.two-covers"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"3",
        b"[]",
        b"{}",
        b'{"type":"tool","objects":[{}]}',
        b'{"type":"bundle","objects":[3]}',
        b'{"type":"bundle","objects":[{"a":"\\ud800"}]}',
        b'{"type":"bundle","objects":[{"a":1e999}]}',
        b'{"type":"bundle","objects":[{"a":1,"a":2}]}',
        b'{"type":"bundle","objects":[{}],"objects":[{}]}',
        b"[" * 100_000,
        b'{"type":"bundle","objects":[' + b"{}," * 20_000 + b"{}]}",
        b" " * 10_485_761,
    ],
)
def test_content_that_is_no_bundle_is_rejected(data):
    assert code_of(data) == "message.bad-bundle"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def outcome_of(bundle: bytes) -> str:
    """The code a bundle is rejected with, or an empty text."""
    try:
        read_message(bundle)
    except ExchangeError as error:
        return error.code
    return ""


@settings(deadline=None)  # the processor is shared
@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_our_errors(data):
    assert outcome_of(data) == "message.bad-bundle"


GOOD = compose(
    Draft(
        id=OTHER,
        kind=Kind.ALERT,
        case_id="c",
        urgency=Urgency.ROUTINE,
        tlp=Tlp.GREEN,
        subject="s",
        created=NOW,
        expires=NOW + 1,
    ),
    AUTHOR,
    [object_of(object_marking_refs=[Tlp.GREEN.marking_id])],
).bundle


@settings(deadline=None)  # the processor is shared
@given(st.data())
def test_nonsense_anywhere_in_a_bundle_raises_nothing_but_our_errors(data):
    bundle = orjson.loads(GOOD)
    place = bundle
    while data.draw(st.booleans()):
        inner = place.values() if isinstance(place, dict) else place
        containers = [each for each in inner if isinstance(each, dict | list)]
        if not containers:
            break
        place = data.draw(st.sampled_from(containers))
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    assume(keys)
    place[data.draw(st.sampled_from(keys))] = data.draw(JSON)
    code = outcome_of(json.dumps(bundle).encode())
    assert code == "" or code.startswith("message.")


@settings(deadline=None)  # the processor is shared
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_raises_nothing_but_our_errors(offset, byte):
    spoilt = GOOD[:offset] + bytes([byte]) + GOOD[offset + 1 :]
    code = outcome_of(spoilt)
    assert code == "" or code.startswith("message.")


# --- as text and as it is


def test_a_message_is_written_as_its_exact_bundle_or_as_text(draft, author, demo_objects):
    request = replace(
        draft, kind=Kind.REQUEST_INFORMATION, question="Seen it?", reply_by=NOW + 60_000, text="Two\nlines"
    )
    message = compose(request, author, demo_objects)
    assert dump(message, "stix") == Written(message.bundle, losses=())
    written = dump(message, "text")
    assert Loss("objects of type indicator", "3 objects", "text only counts them") in written.losses
    text = written.data.decode()
    assert text.startswith("TLP:AMBER\n")
    assert text.endswith("\nTLP:AMBER\n")
    for part in ("Seen it?", "Two\nlines", "2026-10-26T07:34:20.000Z", "     3  indicator", draft.case_id):
        assert part in text
    assert "203.0.113.57" not in text


def test_the_example_in_the_documentation_reads_as_it_says():
    text = (Path(__file__).resolve().parents[2] / "docs" / "messages.md").read_text(encoding="utf-8")
    message = read_message(text.split("```json\n")[1].split("```")[0].encode())
    assert (message.kind, message.tlp, message.object_count) == (Kind.REQUEST_INFORMATION, Tlp.AMBER, 1)
    assert read_object(carried_objects(message)[0]).type == "indicator"
    assert EXTENSION in text


def test_a_message_has_every_field_of_its_draft():
    assert {each.name for each in fields(Draft)} < {each.name for each in fields(Message)}
