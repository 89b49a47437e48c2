"""Every MISP event of the real files: read as STIX, sent, and written as MISP again with the same values."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange.formats.objects import Loaded
from exchange.formats.registry import Written, dump, load
from exchange.formats.stix.cover import compose, read_message
from exchange.formats.stix.markings import effective_tlp
from exchange.message import Author, Draft, Kind

# What MISP takes as said where it isn't.
DEFAULTS = {"comment": "", "to_ids": False, "disable_correlation": False, "distribution": "5", "Tag": []}
ATTRIBUTE = [
    "uuid",
    "type",
    "category",
    "value",
    "to_ids",
    "comment",
    "timestamp",
    "distribution",
    "disable_correlation",
    "object_relation",
    "first_seen",
    "last_seen",
    "data",
]
EVENT = ("uuid", "info", "date", "timestamp", "threat_level_id", "analysis")
# What every event loses: what its message says beside, and what its message's label doesn't allow.
NAMED = {
    "kind, case_id, urgency, subject, created, author",
    "published",
    "its distribution",
    "its tag of TLP",
}
WITHOUT_UUIDS = "tools__curl__input__event.json"
TAG = ("name", "colour", "numerical_value", "exportable")


def events(data: bytes) -> list[dict[str, Any]]:
    value = orjson.loads(data)
    return [each["Event"] for each in value.get("response", [value])]


def tags(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: tag[name] for name in TAG if name in tag} for tag in value.get("Tag", [])]


def attribute(value: dict[str, Any]) -> dict[str, Any]:
    """What must come back of an attribute, a value that isn't there as MISP takes it."""
    stated = {name: value.get(name) for name in ATTRIBUTE}
    facts = {name: DEFAULTS.get(name) if each in (None, "") else each for name, each in stated.items()}
    sightings = sorted(
        (one["uuid"], one["type"], one["date_sighting"], one["Organisation"]["name"])
        for one in value.get("Sighting", [])
    )
    return {**facts, "Tag": tags(value), "clusters": clusters(value), "sightings": sightings}


def attributes(value: dict[str, Any]) -> list[dict[str, Any]]:
    living = (each for each in value.get("Attribute", []) if not each.get("deleted"))
    return sorted(map(attribute, living), key=lambda each: str(each["uuid"]))


def objects(event: dict[str, Any]) -> list[dict[str, Any]]:
    names = [
        "uuid",
        "name",
        "meta-category",
        "template_uuid",
        "template_version",
        "timestamp",
        "distribution",
        "comment",
    ]
    found = [
        {
            **{name: each.get(name) or "" for name in names},
            "attributes": attributes(each),
            "references": sorted(
                (one["referenced_uuid"], one["relationship_type"]) for one in each.get("ObjectReference", [])
            ),
        }
        for each in event.get("Object", [])
    ]
    return sorted(found, key=lambda each: each["uuid"])


def clusters(value: dict[str, Any]) -> list[str]:
    return sorted(
        str(one.get("uuid") or one["value"])
        for each in value.get("Galaxy", [])
        for one in each.get("GalaxyCluster", [])
    )


def other_tags(event: dict[str, Any]) -> list[dict[str, Any]]:
    return [tag for tag in tags(event) if not tag["name"].startswith("tlp:")]


def misp_files(data_dir: Path, folder: str) -> list[tuple[str, bytes]]:
    found = [(path.name, path.read_bytes()) for path in sorted((data_dir / folder).iterdir())]
    return [(name, data) for name, data in found if load(name, data).format == "misp"]


@pytest.mark.parametrize(
    ("folder", "files"), [("eset_misp", 48), ("misp_core_tests", 3), ("misp_stix_tests", 2)]
)
def test_every_event_comes_back_with_the_values_it_had(data_dir, draft, author, folder, files):
    listed = [(name, data) for name, data in misp_files(data_dir, folder) if name != WITHOUT_UUIDS]
    assert len(listed) == files
    for name, data in listed:
        loaded = load(name, data)
        assert loaded.set_aside == ()
        assert all(each.what and each.why for each in loaded.losses)
        written = there_and_back(loaded, draft, author)
        assert {each.what for each in written.losses} <= NAMED
        before, after = events(data), events(written.data)
        assert len(before) == len(after), name
        for was, now in zip(before, after, strict=True):
            for fact in EVENT:
                assert now.get(fact) == was.get(fact), (name, fact)
            assert other_tags(now) == other_tags(was)
            assert attributes(now) == attributes(was), name
            assert objects(now) == objects(was), name
            assert clusters(now) == clusters(was)


def test_an_event_without_uuids_or_times_is_read_all_the_same_and_gets_its_own(data_dir, draft, author):
    data = (data_dir / "misp_core_tests" / WITHOUT_UUIDS).read_bytes()
    loaded = load(WITHOUT_UUIDS, data)
    ((was,), (now,)) = events(data), events(there_and_back(loaded, draft, author).data)
    assert (now["info"], now["date"]) == (was["info"], was["date"])
    (ours,), (theirs,) = now["Attribute"], was["Attribute"]
    assert {name: ours.get(name) for name in theirs if name != "id"} == {
        name: each for name, each in theirs.items() if name != "id"
    }
    assert load(WITHOUT_UUIDS, data).accepted == loaded.accepted
    assert uuid.UUID(ours["uuid"]).version == 5


def test_the_label_of_an_event_is_that_of_its_tag_or_of_how_far_misp_hands_it_on(data_dir):
    labels = Counter()
    for name, data in misp_files(data_dir, "eset_misp"):
        (event,) = events(data)
        labels[str(event["distribution"]), effective_tlp(load(name, data).accepted, None).label] += 1
    # one event has a tag, and two an attribute that MISP hands on less far than their event
    assert labels == {
        ("3", "TLP:GREEN"): 37,
        ("3", "TLP:CLEAR"): 1,
        ("3", "TLP:AMBER+STRICT"): 2,
        ("1", "TLP:AMBER+STRICT"): 1,
        ("0", "TLP:AMBER+STRICT"): 7,
    }


def there_and_back(loaded: Loaded, draft: Draft, author: Author) -> Written:
    """What is read, sent as a message, and written as MISP again by its recipient."""
    alert = replace(draft, kind=Kind.ALERT, tlp=effective_tlp(loaded.accepted, None))
    return dump(read_message(compose(alert, author, loaded.accepted).bundle), "misp")
