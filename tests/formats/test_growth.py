"""What is made of a file or message stays within a few times what it may have, whatever it says once and repeats."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.making import MAX_GROWTH, Room
from exchange.formats.objects import Loaded, Loss
from exchange.formats.registry import dump, load
from exchange.formats.stix.cover import compose
from exchange.formats.stix.patterns import MAX_CHECKED
from exchange.formats.stix.read import read_object
from exchange.formats.stix.spans import Limits
from exchange.limits import MAX_STIX
from exchange.message import Author, Draft, Kind, Message
from exchange.tlp import Tlp
from tests.foreign_samples import advisory
from tests.misp_samples import attribute, event

LONG = "x" * 100_000


def uuid(number: int) -> str:
    return f"30000000-0000-4000-8000-{number:012x}"


def size(loaded: Loaded) -> int:
    return sum(len(each.data) for each in loaded.accepted)


def addresses(count: int) -> list[dict[str, Any]]:
    """So many attributes for detection."""
    return [attribute("ip-dst", f"203.0.113.{n % 256}", uuid(n), to_ids=True) for n in range(count)]


def test_room_is_what_is_left_of_a_few_times_the_most():
    room = Room(10)
    room.take(10 * MAX_GROWTH)
    room.take(0)
    assert not room.takes(1)
    assert not room.takes(0)
    with pytest.raises(Refused, match=r"json\.too-large"):
        room.take(0)


def test_a_long_tag_of_an_event_is_not_copied_onto_all_of_it():
    data = orjson.dumps(event(*addresses(400), Tag=[{"name": f"PAP:{LONG}"}]))
    loaded = load("e.json", data)
    assert size(loaded) <= 3 * len(data)
    indicators = [orjson.loads(each.data) for each in loaded.accepted if each.type == "indicator"]
    assert len(indicators) == 400
    assert {tuple(each["labels"]) for each in indicators} == {
        ("PAP:RED",)
    }  # no word that is known: the strictest


def test_an_event_of_which_too_much_would_be_made_is_refused_whole():
    short = [{"type": "domain", "value": f"a{n}.example.com", "to_ids": True} for n in range(500)]
    data = orjson.dumps(event(*short))
    assert size(load("e.json", data)) > MAX_GROWTH * len(data)
    with pytest.raises(Refused, match=r"json\.too-large"):
        load("e.json", data, Limits(max_bytes=len(data)))


def test_no_more_patterns_are_checked_than_take_a_few_seconds():
    long = "[" + " OR ".join(f"a:b{n} = {n}" for n in range(700)) + "]"
    rules = [
        attribute("stix2-pattern", long, uuid(n), to_ids=True) for n in range(MAX_CHECKED // len(long) + 2)
    ]
    loaded = load("e.json", orjson.dumps(event(*rules)))
    types = [each.type for each in loaded.accepted if each.type in ("indicator", "note")]
    assert types.count("indicator") == MAX_CHECKED // len(long)
    assert types.count("note") == 2
    assert [loss.what for loss in loaded.losses if loss.place != "everywhere"] == ["to_ids", "to_ids"]


@pytest.mark.parametrize("different", [True, False])
def test_a_long_branch_is_not_copied_into_every_product(different):
    leaves = [
        {
            "category": "product_version",
            "name": "1",
            "product": {"product_id": f"p{n * different}", "name": "p"},
        }
        for n in range(1_000)
    ]
    tree = {"branches": [{"category": "vendor", "name": LONG, "branches": leaves}]}
    data = orjson.dumps(advisory() | {"product_tree": tree})
    assert len(data) * MAX_GROWTH < MAX_STIX
    with pytest.raises(Refused, match=r"json\.too-large"):
        load("a.json", data)


def message(draft: Draft, author: Author, *values: dict[str, Any]) -> Message:
    given = {each.name: getattr(draft, each.name) for each in fields(draft)}
    carried = [read_object(orjson.dumps(value)) for value in values]
    return compose(Draft(**given | {"kind": Kind.ALERT, "tlp": Tlp.RED}), author, carried)


def looking_for(*paths: str, **more: Any) -> dict[str, Any]:
    """An indicator of any of these."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid(1)}",
        "created": "2026-11-03T06:40:00.000Z",
        "modified": "2026-11-03T06:40:00.000Z",
        "pattern": f"[{' OR '.join(paths)}]",
        "pattern_type": "stix",
        "valid_from": "2026-11-03T06:40:00.000Z",
        **more,
    }


def test_a_long_description_does_not_stand_on_every_line_of_a_list(draft, author):
    paths = [f"ipv4-addr:value = '203.0.113.{n}'" for n in range(256)] * 4
    sent = message(draft, author, looking_for(*paths, name="n", description=LONG))
    written = dump(sent, "csv-live")
    assert len(written.data) < (MAX_GROWTH + 1) * MAX_STIX
    lines = written.data.decode("utf-8-sig").splitlines()
    assert len(lines) == 1 + len(paths)  # every value stands there
    assert lines[-1].rstrip(",").endswith("TLP:RED")
    bare = len(paths) - 1 - MAX_GROWTH * MAX_STIX // (len(LONG) + 100)
    assert (
        Loss(f"indicator--{uuid(1)}", f"all but the value on {bare} lines", "it stands on its first line")
        in written.losses
    )


def test_a_list_for_people_has_no_live_address_in_any_column(draft, author):
    value = looking_for(
        "ipv4-addr:value = '203.0.113.7'", name="203.0.113.7", description="at http://evil.example/a"
    )
    (_, line) = dump(message(draft, author, value), "csv").data.decode("utf-8-sig").splitlines()
    assert line.count("203[.]0[.]113[.]7") == 2
    assert "hxxp://evil[.]example/a" in line
