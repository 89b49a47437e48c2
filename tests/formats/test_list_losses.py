"""Lists of indicators lose nothing in silence: read, no column, cell or byte; written, no fact of the message."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import orjson
import pytest

from exchange.formats.objects import Loaded
from exchange.formats.registry import dump, load
from exchange.formats.stix.cover import compose
from exchange.formats.stix.permissions import pap_of_all
from exchange.formats.stix.read import read_object
from exchange.message import Kind
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.foreign_samples import LIST

NOW = 1_795_000_000_000
TIME = "2026-11-03T06:40:00.000Z"


def read(text: str | bytes, **said: str) -> Loaded:
    return load("l.csv", text if isinstance(text, bytes) else text.encode(), at=NOW, columns=said)


def lost(loaded: Loaded) -> list[tuple[str, str]]:
    return [(each.place, each.what) for each in loaded.losses]


def values(loaded: Loaded) -> list[dict[str, Any]]:
    return [orjson.loads(each.data) for each in loaded.accepted]


# -- in ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said", "losses"),
    [
        (
            "203.0.113.7,evil host,seen at a bank\n",
            {},
            [("every line", "column 2"), ("every line", "column 3")],
        ),
        ("203.0.113.7,,\n203.0.113.8,,x\n", {}, [("every line", "column 3")]),
        ("x,y,203.0.113.7\n", {"value": "3"}, [("every line", "column 1"), ("every line", "column 2")]),
        ("ip,port,,color\n203.0.113.7,80,x,\n", {}, [("header", "port"), ("every line", "column 3")]),
        ("ip,comment,notes\n203.0.113.7,a,b\n", {}, [("header", "notes")]),
        ("value,ip\n203.0.113.7,203.0.113.8\n", {}, [("header", "ip")]),
        ("ip,exercise\n203.0.113.7,EX1\n", {}, [("header", "exercise")]),
        ("ip,comment\n203.0.113.7,x\n", {}, []),
        ("ip,type\n203.0.113.7,c2\n", {}, [("header", "type")]),
        ("ip,type\n203.0.113.7,\n", {}, []),
        ("value,type\n203.0.113.7,ip\n", {}, []),
    ],
)
def test_every_column_that_is_not_read_is_a_loss(text, said, losses):
    loaded = read(text, **said)
    assert (len(loaded.accepted) > 0, lost(loaded)) == (True, losses)


@pytest.mark.parametrize(
    ("text", "said", "accepted"),
    [
        ("ip,comment\n203.0.113.7,seen, at a bank\n203.0.113.8,x,\n", {}, 1),
        ("# list\n203.0.113.7,x\n", {"value": "1"}, 1),
        ("http://evil.example.com/a,b,c\n", {}, 0),
        ("http://evil.example.com/a,2026-11-20\n203.0.113.7,2026-11-20\n", {}, 1),
        ("hxxp://evil[.]example[.]com/a,b\n", {"value": "1"}, 1),
        ('"http://evil.example.com/a,b,c"\n203.0.113.7\n', {}, 2),
        ("http://evil.example.com/a,at a bank\n", {}, 1),
        ('"http://evil.example.com/a","malware"\n"http://evil.example.com/a,b","malware"\n', {}, 2),
        ('"1";"http://evil.example.com/a";"online"\n', {}, 1),
        ("http://evil.example.com/a;malware\n", {}, 0),
        ("http://evil.example.com/a;malware\n", {"value": "1"}, 1),
        ("http://evil.example.com/a|malware\n", {}, 1),
        ('http://evil.example.com/a,b\n203.0.113.7,of 5" disks\n', {}, 1),
    ],
)
def test_a_line_that_can_be_read_in_two_ways_is_set_aside_until_somebody_says_which(text, said, accepted):
    loaded = read(text, **said)
    lines = len(text.splitlines()) - (0 if said.get("value") != "1" or "#" not in text else 1)
    lines -= text.startswith("ip")
    assert (len(loaded.accepted), len(loaded.set_aside)) == (accepted, lines - accepted)
    assert all("quote" in each.reason for each in loaded.set_aside)


def test_what_is_said_of_a_line_that_is_set_aside_makes_it_be_read():
    (aside,) = read("1,http://evil.example.com/a,b\n").set_aside
    column, _, number = aside.reason.rpartition("--columns ")[2].partition("=")
    (value,) = values(read("1,http://evil.example.com/a,b\n", **{column: number}))
    assert value["pattern"] == "[url:value = 'http://evil.example.com/a']"
    (value,) = values(read('1,"http://evil.example.com/a,b"\n'))
    assert value["pattern"] == "[url:value = 'http://evil.example.com/a,b']"


def test_a_name_that_is_cut_is_a_loss_and_labels_are_never_cut():
    many = ";".join(f"l{n}" for n in range(32))
    loaded = read(f"ip,name,tags\n203.0.113.7,{'n' * 251},{many}\n203.0.113.8,n,{many};tlp:red\n")
    assert lost(loaded) == [("line 2", "name")]
    assert [(each.object, each.reason) for each in loaded.set_aside] == [("line 3", "more than 32 labels")]


@pytest.mark.parametrize(
    ("cell", "name"),
    [("invoice(at)x.exe", "invoice(at)x.exe"), ("invoice[.]exe", "invoice.exe"), ("a[b].exe", "a[b].exe")],
)
def test_the_name_of_a_file_keeps_its_brackets(cell, name):
    assert values(read(f"file\n{cell}\n"))[0]["pattern"] == f"[file:name = '{name}']"


def test_a_stray_byte_is_named_and_changes_nothing_else():
    text = "ip,comment\n203.0.113.7,añejo\n203.0.113.8,São Paulo\n".encode() + b"203.0.113.9,x\xff\n"
    loaded = read(text + b"http://evil.example.com/\xff,x\n")
    assert [each["description"] for each in values(loaded)] == ["añejo", "São Paulo", "x\ufffd"]
    assert lost(loaded) == [("everywhere", "2 characters")]
    assert len(loaded.set_aside) == 1


def test_the_pap_of_a_line_is_read_and_a_word_that_is_none_is_the_strictest():
    loaded = read("ip,pap\n203.0.113.7,PAP:GREEN\n203.0.113.8,amber\n203.0.113.9,who knows\n203.0.113.10,\n")
    assert [pap_of_all([each]) for each in values(loaded)] == [Pap.GREEN, Pap.AMBER, Pap.RED, None]


# -- out ---------------------------------------------------------------------------------------------------------------


def test_every_fact_of_a_message_is_on_its_lines_or_named(draft, author):
    common = {"spec_version": "2.1", "created": TIME, "modified": TIME}
    indicator = {
        "type": "indicator",
        "id": "indicator--24f585ab-fdde-4ee9-871b-15fca2063a19",
        **common,
        "pattern": "[domain-name:value = 'a.example.com']",
        "pattern_type": "stix",
        "valid_from": TIME,
        "valid_until": "2026-12-01T00:00:00.000Z",
        "name": "Panel",
        "description": "It answers.",
        "labels": ["PAP:RED", "botnet"],
        "confidence": 80,
        "lang": "pt",
        "external_references": [
            {"source_name": "list", "url": "https://blog.example.com/a"},
            {"source_name": "blog", "description": "seen"},
        ],
        "kill_chain_phases": [{"kill_chain_name": "lockheed", "phase_name": "delivery"}],
    }
    file = {
        "type": "file",
        "id": "file--24f585ab-fdde-4ee9-871b-15fca2063a20",
        "spec_version": "2.1",
        "name": "a.exe",
        "size": 12,
        "hashes": {"MD5": "d41d8cd98f00b204e9800998ecf8427e"},
    }
    revoked = indicator | {"id": "indicator--24f585ab-fdde-4ee9-871b-15fca2063a21", "revoked": True}
    objects = [read_object(orjson.dumps(each)) for each in (indicator, file, revoked)]
    sent = replace(draft, kind=Kind.ALERT, tlp=Tlp.AMBER, text="Beware.", exercise_id="EX1")
    made_of = dump(compose(sent, author, objects), "csv-live")
    first, second = csv.DictReader(io.StringIO(made_of.data.decode("utf-8-sig")))
    for line in (first, second):
        assert (line["tlp"], line["pap"], line["exercise"]) == ("TLP:AMBER", "PAP:RED", "EX1")
    assert (first["confidence"], first["reference"]) == ("80", "https://blog.example.com/a")
    assert (first["labels"], first["valid_until"]) == ("PAP:RED; botnet", "2026-12-01T00:00:00.000Z")
    assert (second["value"], second["name"]) == ("d41d8cd98f00b204e9800998ecf8427e", "a.exe")
    assert [(each.place, each.what) for each in made_of.losses] == [
        (revoked["id"], "indicator"),
        ("message", "kind, case_id, urgency, subject, created, text, author"),
        ("objects of type file", "size of 1"),
        ("objects of type indicator", "external_references of 1"),
        ("objects of type indicator", "kill_chain_phases of 1"),
        ("objects of type indicator", "lang of 1"),
    ]


@pytest.mark.parametrize("odd", [5, None, {"a": []}, [[]], [{"url": {}}]])
def test_no_object_that_is_no_valid_stix_breaks_the_export(odd, draft, author):
    (raw,) = read("ip,reference\n203.0.113.7,https://example.org/r\n").accepted
    value = orjson.loads(raw.data)
    strange = {
        name: odd for name in value if name not in ("type", "id", "spec_version", "pattern", "pattern_type")
    }
    value |= strange | {"object_marking_refs": odd, "labels": odd, "confidence": odd, "created_by_ref": odd}
    sent = compose(
        replace(draft, kind=Kind.ALERT, tlp=Tlp.RED), author, [replace(raw, data=orjson.dumps(value))]
    )
    (line,) = csv.DictReader(io.StringIO(dump(sent, "csv-live").data.decode("utf-8-sig")))
    assert line["value"] == "203.0.113.7"


def test_a_list_that_is_read_again_has_lost_nothing_but_what_it_named(draft, author):
    loaded = load("lista.csv", LIST.encode("cp1252"), at=NOW)
    sent = compose(replace(draft, kind=Kind.ALERT, tlp=Tlp.RED, pap=Pap.AMBER), author, loaded.accepted)
    for name in ("csv", "csv-live"):
        again = load("again.csv", dump(sent, name).data, at=NOW)
        assert (again.set_aside, lost(again)) == ((), [("header", "id")])
        same = ("pattern", "valid_from", "confidence", "external_references")
        for was, now in zip(values(loaded), values(again), strict=True):
            assert {each: was.get(each) for each in same} == {each: now.get(each) for each in same}
            assert pap_of_all([now]) is Pap.AMBER
