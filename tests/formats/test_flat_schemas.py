"""The flat forms of the schemas take most good objects, and none that the schemas refuse."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.stix import validation
from exchange.formats.stix.flat_schemas import flatten

UUID = "5a8e935e-5484-488c-852c-776f7c7cf985"
TIME = "2018-03-28T12:06:12.000Z"
OBJECTS = {
    "2.0": {
        "type": "malware",
        "id": f"malware--{UUID}",
        "created": TIME,
        "modified": TIME,
        "name": "m",
        "labels": ["worm"],
    },
    "2.1": {
        "type": "relationship",
        "spec_version": "2.1",
        "id": f"relationship--{UUID}",
        "created": TIME,
        "modified": TIME,
        "relationship_type": "uses",
        "source_ref": f"malware--{UUID}",
        "target_ref": f"tool--{UUID}",
    },
    "observable": {"type": "file", "id": f"file--{UUID}", "name": "f", "hashes": {"MD5": "0" * 32}},
}
NAMES = (
    "x_new x_new_bin x_new_hex x_new_ref x_ X_NEW title severity action username phone_numbers confidence a id type"
    " labels created modified spec_version extensions created_by_ref external_references object_marking_refs"
    " granular_markings hashes is_family hash_bin revoked source_ref defanged x_" + "a" * 300
).split()
VALUES: tuple[Any, ...] = (
    None,
    [],
    [None],
    [""],
    {},
    {"MD5": "0"},
    "",
    "+",
    "abcd",
    0,
    101,
    True,
    "2.0",
    "bundle",
    TIME,
    TIME.replace(".000", ""),
    TIME.replace(".000", ".0000"),
    TIME.replace("Z", "Z\n"),
    f"{TIME} {TIME}",
    f"malware--{UUID}",
    f"relationship--{UUID}",
    f"a--b--{UUID}",
    [f"marking-definition--{UUID}"],
    [{"source_name": "cve", "external_id": "CVE-1-1"}],
    [{"source_name": "s", "url": "u"}],
    [{"selectors": ["name"], "marking_ref": f"malware--{UUID}"}],
)


def spoilt(value: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The object with one thing changed: a property gone, there, or with another value, or a letter of its text."""
    name = chance.choice([*value, *NAMES])
    kind = chance.randrange(4)
    if kind == 0:
        return {key: each for key, each in value.items() if key != name}
    if kind == 1 and isinstance(value.get(name), str) and value[name]:
        text = value[name]
        place = chance.randrange(len(text))
        return {
            **value,
            name: text[:place] + chance.choice("aZ0-_.\n ñ") + text[place + chance.randrange(2) :],
        }
    if kind == 2:  # one name becomes another
        return {(chance.choice(NAMES) if key == name else key): each for key, each in value.items()}
    return {**value, name: chance.choice(VALUES)}


def judged(value: dict[str, Any]) -> tuple[str, bool, bool] | None:
    """The type of an object that the schemas know, whether its flat form takes it, whether the schema does."""
    object_type, object_id = value.get("type"), value.get("id")
    if not isinstance(object_type, str):
        return None
    try:
        known = validation._schemas().by_type.get((validation.version_of(value), object_type))
    except Refused:
        return None
    if known is None:
        return None
    good = validation._validator(known).is_valid(value)
    own_id = isinstance(object_id, str) and object_id.startswith(f"{object_type}--")
    return object_type, validation._flat(object_type, known)(value), good and own_id


def never_too_kind(values: Iterator[dict[str, Any]]) -> Counter[tuple[bool, bool]]:
    """How often each verdict was given, (flat form, schema)."""
    verdicts: Counter[tuple[bool, bool]] = Counter()
    for value in values:
        verdict = judged(value)
        if verdict is not None:
            assert verdict[2] or not verdict[1], value
            verdicts[verdict[1:]] += 1
    return verdicts


def all_spoilt(objects: list[dict[str, Any]], times: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(1)
    for value in objects:
        for _ in range(times):
            once = spoilt(value, chance)
            yield once
            yield spoilt(once, chance)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_good_object_is_taken_and_a_spoilt_one_only_when_the_schema_takes_it(name: str) -> None:
    assert judged(OBJECTS[name]) == (OBJECTS[name]["type"], True, True)
    verdicts = never_too_kind(all_spoilt([OBJECTS[name]], 4_000))
    assert verdicts[True, True] > 1_000
    assert verdicts[False, False] > 1_000


def test_custom_names_are_taken_unless_they_have_rules_of_their_own() -> None:
    value = OBJECTS["2.1"]
    assert judged({**value, "x_new_ref": "any"}) == ("relationship", True, True)
    assert judged({**value, "x_new": None}) == ("relationship", False, False)
    assert judged({**value, "x_new_hex": "not hex"}) == ("relationship", False, False)
    assert judged({**value, "x_new_hex": "00"}) == ("relationship", False, True)


def test_a_schema_that_speaks_of_names_in_other_ways_has_no_flat_form() -> None:
    for odd in (
        {"additionalProperties": {"type": "string"}},
        {"patternProperties": {"^a": {"type": "string"}}},
    ):
        assert flatten("a", {"$id": "urn:a", **odd}, {}, lambda _schema, _value: True, without="b") is None


def test_of_the_published_objects_most_are_taken_and_spoilt_ones_never_wrongly(data_dir) -> None:
    bundles = [orjson.loads(path.read_bytes()) for path in sorted(data_dir.glob("*/*.json"))]
    found = [
        value
        for bundle in bundles
        if isinstance(bundle, dict) and bundle.get("type") == "bundle"
        for value in bundle["objects"]
    ]
    verdicts = never_too_kind(iter(found))
    assert verdicts[True, True] > 15 * verdicts[False, True]
    never_too_kind(all_spoilt(found, 1))
