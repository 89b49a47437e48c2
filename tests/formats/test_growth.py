"""What is made of a file or message stays within a few times what it may have, whatever it says once and repeats."""

from __future__ import annotations

import base64
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.making import MAX_GROWTH, Room
from exchange.formats.objects import Loaded, Loss
from exchange.formats.registry import dump, load
from exchange.formats.source import Written
from exchange.formats.stix.cover import carried_objects, compose
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
    assert room.takes(0)
    with pytest.raises(Refused, match=r"json\.too-large"):
        room.take(1)
    with pytest.raises(Refused, match=r"json\.too-large"):
        room.take(0)


def test_what_finds_no_room_takes_none_from_what_comes_after_it():
    room = Room(10)
    assert not room.takes(11 * MAX_GROWTH)
    assert room.takes(10 * MAX_GROWTH)


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


def test_a_long_description_of_a_line_of_many_values_has_its_room():
    head = ["description", *["ip"] * 40]
    data = "\n".join(
        [",".join(head), ",".join(["x" * 16_000, *(f"203.0.113.{n}" for n in range(40))])]
    ).encode()
    assert size(load("l.csv", data, at=1_793_000_000_000)) > MAX_GROWTH * 100_000
    with pytest.raises(Refused, match=r"json\.too-large"):
        load("l.csv", data, Limits(max_bytes=100_000), at=1_793_000_000_000)


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


def carrying(draft: Draft, author: Author, *attributes: dict[str, Any], **members: Any) -> Message:
    """The message of an event of MISP."""
    loaded = load("e.json", orjson.dumps(event(*attributes, **members)))
    return message(draft, author, *(orjson.loads(each.data) for each in loaded.accepted))


def written_as_misp(sent: Message) -> tuple[list[dict[str, Any]], Written]:
    """The events, which keep to their room, and what was written."""
    written = dump(sent, "misp")
    assert len(written.data) < (MAX_GROWTH + 1) * MAX_STIX
    whole = orjson.loads(written.data)
    return [each["Event"] for each in whole.get("response", [whole])], written


def test_a_long_cluster_does_not_stand_on_every_attribute_that_names_it(draft, author):
    cluster = {"uuid": uuid(9_999), "value": "v", "tag_name": "g:x", "description": 2 * LONG}
    galaxy = [{"type": "rsit", "name": "x", "uuid": uuid(9_998), "GalaxyCluster": [cluster]}]
    texts = [
        attribute("text", f"v{n}", uuid(n), Tag=[{"name": "g:x"}], **({"Galaxy": galaxy} if n == 0 else {}))
        for n in range(400)
    ]
    (one,), written = written_as_misp(carrying(draft, author, *texts))
    assert [each["Tag"][0]["name"] for each in one["Attribute"]] == ["g:x"] * 400
    named = sum("Galaxy" in each for each in one["Attribute"])
    assert 0 < named == MAX_GROWTH * MAX_STIX // (2 * len(LONG) + 1_000)
    assert any(loss.what == f"Galaxy of {400 - named}" for loss in written.losses)


def test_a_long_description_does_not_stand_on_every_value_of_a_pattern(draft, author):
    paths = [f"ipv4-addr:value = '203.0.113.{n}'" for n in range(256)] * 4
    value = looking_for(*paths, description=LONG)
    (one,), written = written_as_misp(message(draft, author, value))
    assert [(each["type"], each["value"], each["to_ids"]) for each in one["Attribute"]] == [
        ("stix2-pattern", value["pattern"], True)
    ]
    assert any(loss.what == "each value by itself of 1" for loss in written.losses)


def test_what_reports_refer_to_again_and_again_is_written_once(draft, author):
    sent = carrying(
        draft, author, attribute("text", LONG, uuid(1)), EventReport=[{"uuid": uuid(2), "content": LONG}]
    )
    values = [orjson.loads(each) for each in carried_objects(sent)]
    (report,) = (each for each in values if each["type"] == "report")
    again = [
        report | {"id": f"report--{uuid(100 + n)}", "object_refs": 50 * report["object_refs"]}
        for n in range(300)
    ]
    events, _ = written_as_misp(message(draft, author, *values, *again))
    assert len(events) == 301
    assert [len(each["Attribute"]) + len(each["EventReport"]) for each in events] == [2] + [0] * 300


def test_a_file_does_not_go_with_every_attribute_that_says_it_is_its_own(draft, author):
    payload = base64.b64encode(10 * LONG.encode()).decode()
    sent = carrying(draft, author, attribute("attachment", "a", uuid(1), data=payload))
    values = {value["type"]: value for value in map(orjson.loads, carried_objects(sent))}
    again = [values["observed-data"] | {"id": f"observed-data--{uuid(100 + n)}"} for n in range(60)]
    (one,), written = written_as_misp(message(draft, author, values["artifact"], values["file"], *again))
    there = sum("data" in each for each in one["Attribute"])
    assert there == MAX_GROWTH * MAX_STIX // len(payload)
    assert any(loss.what == f"payload_bin of {60 - there}" for loss in written.losses)


def calls(made: Callable[[], object]) -> int:
    """How many functions of Python are called."""
    counted = Counter[str]()
    sys.setprofile(lambda _frame, happened, _of: counted.update((happened,)))
    try:
        made()
    finally:
        sys.setprofile(None)
    return counted["call"]


def test_an_object_of_many_attributes_takes_steps_linear_in_them(draft, author):
    def steps(count: int) -> int:
        names = [
            attribute("filename", f"f{n}.exe", uuid(n), object_relation="filename", Tag=[{"name": f"t:{n}"}])
            for n in range(count)
        ]
        sent = carrying(draft, author, Object=[{"uuid": uuid(9_999), "name": "file", "Attribute": names}])
        return calls(lambda: dump(sent, "misp"))

    steps(1)  # what is imported and compiled once
    assert steps(160) < 2.2 * steps(80)
