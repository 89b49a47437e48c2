"""Lists of indicators: columns of many teams, what each line becomes, what is set aside, and the list written again."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from exchange.errors import Refused
from exchange.formats.objects import Loaded
from exchange.formats.registry import dump, load
from exchange.formats.spreadsheet import guarded, unguarded
from exchange.formats.stix.cover import compose
from exchange.formats.stix.patterns import alternatives, checked, literal
from exchange.formats.stix.spans import Limits
from exchange.message import Kind, Message
from exchange.tlp import Tlp
from tests.foreign_samples import LIST

NOW = 1_795_000_000_000


def values(loaded: Loaded) -> list[dict[str, Any]]:
    return [orjson.loads(each.data) for each in loaded.accepted]


def patterns(text: str | bytes, **said: str) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    return [each.get("pattern") or each["name"] for each in values(load("l.csv", data, at=NOW, columns=said))]


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load("lista.csv", LIST.encode("cp1252"), at=NOW)


def test_each_kind_of_value_becomes_its_pattern(loaded):
    assert [each.get("pattern") or each["name"] for each in values(loaded)] == [
        "[ipv4-addr:value = '203.0.113.7']",
        "[domain-name:value = 'evil.example.com']",
        "[url:value = 'http://evil.example.com/a\\'b']",
        "[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427f']",
        "[ipv4-addr:value ISSUBSET '198.51.100.0/24']",
        "CVE-2026-12345",
        "[autonomous-system:number = 64496]",
        "[email-addr:value = 'phish@example.com']",
        "[file:name = 'invoice.exe']",
    ]


def test_the_columns_become_properties(loaded):
    first, second, third, *_ = values(loaded)
    assert first["valid_from"] == first["created"] == "2026-11-20T00:00:00.000Z"
    assert (first["labels"], first["description"], first["confidence"]) == (["botnet", "c2"], "Panel", 85)
    assert first["external_references"] == [{"source_name": "list", "url": "https://example.org/r"}]
    assert second["valid_from"] == "2026-11-20T13:30:00.000Z"
    assert third["created"] == "2026-11-18T11:06:40.000Z"  # the line tells no time: when it was read
    assert values(loaded)[5]["description"] == "=1+1"


def test_labels_are_those_of_the_lines_and_amber_is_read_strictly(loaded):
    assert [each.tlp for each in loaded.accepted][:3] == [Tlp.GREEN, None, Tlp.AMBER_STRICT]
    assert loaded.accepted[8].tlp is Tlp.RED


def test_a_label_counts_however_it_is_written_and_a_line_that_names_none_waits():
    cells_of = ("TLP: RED", "TLP RED", "RED - only you", "TLP:RED!", "GREEN", "ask first")
    data = "ip,tlp\n" + "".join(f"203.0.113.{place},{cell}\n" for place, cell in enumerate(cells_of))
    found = load("l.csv", data.encode(), at=NOW)
    assert [each.tlp for each in found.accepted] == [*[Tlp.RED] * 4, Tlp.GREEN]
    assert [(each.object, each.reason[:10]) for each in found.set_aside] == [("line 7", "tlp is CLE")]


def test_what_would_match_what_is_harmless_is_taken_and_named_as_doubtful():
    cells_of = (
        "203.0.113.7",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "0.0.0.0/0",
        "128.0.0.0/1",
        "192.0.0.0/8",
        "co.uk",
    )
    found = load("l.csv", "\n".join(["indicator", *cells_of]).encode(), at=NOW)
    assert len(found.accepted) == 6
    assert [each.reason for each in found.set_aside] == ["the same value stands on line 3"]
    assert [(each.place, each.what, each.why) for each in found.doubts] == [
        ("line 3", "ip", "a private address"),
        ("line 5", "cidr", "a large part of all addresses"),
        ("line 6", "cidr", "a large part of all addresses"),
        ("line 7", "cidr", "a private address is in it"),
        ("line 8", "domain", "anybody may register names below it"),
    ]
    said = load("l.csv", b"type,value\ndomain,run.sh\nfile,run.sh\nasn,64496\n", at=NOW)
    assert (len(said.accepted), said.doubts) == (3, ())


@pytest.mark.parametrize("value", ["fe80::1%eth0", "1::1%x' y", "fe80::%eth0/64"])
def test_an_address_with_a_zone_is_no_indicator(value):
    found = load("l.csv", f"ip\n203.0.113.7\n{value}\n".encode(), at=NOW)
    assert [each.object for each in found.set_aside] == ["line 3"]


def test_each_bad_line_is_set_aside_with_its_number_and_the_rest_goes_on(loaded):
    assert [(each.object, each.reason) for each in loaded.set_aside] == [
        ("line 11", "no IP address"),
        ("line 12", "the same value stands on line 2"),
        (
            "line 13",
            "the type isn't one of ip, cidr, domain, url, email, md5, sha1, sha256, sha512, file, asn, cve",
        ),
        ("line 14", "a time is written 2026-11-20 or 2026-11-20T08:30:00Z"),
    ]
    assert {each.code for each in loaded.set_aside} == {"format.bad-line"}


def test_a_column_nobody_knows_is_a_loss(loaded):
    assert [(loss.place, loss.what) for loss in loaded.losses] == [("header", "columna_rara")]


def test_the_same_list_gives_the_same_objects(loaded):
    again = load("otra.csv", LIST.encode("cp1252"), at=NOW)
    assert again.accepted == loaded.accepted


@pytest.mark.parametrize(
    "text",
    [
        "indicator,type\n203.0.113.7,ipv4-addr\n",
        "Valor\tTipo\n203.0.113.7\tIP\n",
        "VALEUR|adresse\n203.0.113.7|\n",
        "IPv4\n203[.]0[.]113[.]7\n",
        "ip,port\n203.0.113.7,80\n",
        "203.0.113.7\n",
        "2026-11-20,203.0.113.7,x\n2026-11-21,203.0.113.7,y\n",
        '"ioc"\n"203.0.113.7"\n\n',
    ],
)
def test_the_column_of_values_is_found(text):
    assert patterns(text) == ["[ipv4-addr:value = '203.0.113.7']"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encodings_of_spreadsheets_are_read(encoding):
    text = "descripción,indicador\nañejo,evil.example.com\n"
    (value,) = values(load("l.csv", text.encode(encoding), at=NOW))
    assert value["description"] == "añejo"


def test_columns_can_be_said_by_number_and_by_header():
    text = "who,what\nip,203.0.113.7\n"
    for said in ({"value": "2", "type": "1"}, {"value": "what", "type": "who"}):
        assert patterns(text, **said) == ["[ipv4-addr:value = '203.0.113.7']"]


@pytest.mark.parametrize("said", [{"value": "0"}, {"nothing": "1"}, {"value": "nowhere"}, {"type": "1"}])
def test_columns_said_wrongly_are_refused(said):
    with pytest.raises(Refused) as refused:
        load("l.csv", b"who,what\nip,203.0.113.7\n", at=NOW, columns=said)
    assert refused.value.code == "format.bad-file"


def test_several_columns_of_values_make_several_objects():
    text = "ip,domain,md5\n203.0.113.7,evil.example.com,\n,,d41d8cd98f00b204e9800998ecf8427f\n"
    assert len(patterns(text)) == 3


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"Dear all,\nplease find\n", b"one,two\n1,2\n", b"\x00\x01\x02", b"%PDF-1.7\n1 0 obj\n"],
)
def test_what_holds_no_indicator_is_no_list(data):
    with pytest.raises(Refused) as refused:
        load("x.csv", data, at=NOW)
    assert refused.value.code == "format.bad-file"
    with pytest.raises(Refused) as refused:  # and whoever doesn't call it one is told what JSON says
        load("x", data, at=NOW)
    assert refused.value.code in ("json.bad-syntax", "json.not-utf8")


def test_a_list_that_tells_no_time_needs_that_of_reading():
    found = load("l.csv", b"indicator\n203.0.113.7\n")
    assert [each.reason for each in found.set_aside] == ["the line tells no time"]


def test_a_table_over_the_limits_is_refused():
    for data in (
        b"ip\n" + b"203.0.113.7\n" * 20_001,
        b"ip\n203.0.113.7,'" + b"x" * 20_000,
        b"ip" + b",a" * 300,
    ):
        with pytest.raises(Refused) as refused:
            load("l.csv", data + b"\n", at=NOW)
        assert refused.value.code in ("format.bad-file", "json.bad-syntax")


def message(loaded: Loaded, draft: Any, author: Any) -> Message:
    fields = {name: getattr(draft, name) for name in type(draft).__slots__}
    return compose(type(draft)(**fields | {"kind": Kind.ALERT, "tlp": Tlp.RED}), author, loaded.accepted)


def cells(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def test_a_list_is_written_harmless_or_live(loaded, draft, author):
    sent = message(loaded, draft, author)
    harmless, live = dump(sent, "csv"), dump(sent, "csv-live")
    assert [each["value"] for each in cells(harmless.data)][:3] == [
        "203[.]0[.]113[.]7",
        "evil[.]example[.]com",
        "hxxp://evil[.]example[.]com/a'b",
    ]
    assert [each["value"] for each in cells(live.data)][:2] == ["203.0.113.7", "evil.example.com"]
    assert {each["tlp"] for each in cells(live.data)} == {"TLP:RED"}  # the message's own label, the strictest
    assert [each["type"] for each in cells(live.data)] == [
        "ip",
        "domain",
        "url",
        "md5",
        "cidr",
        "cve",
        "asn",
        "email",
        "file",
    ]
    assert [loss.place for loss in live.losses] == ["message"]
    for written in (harmless, live):
        again = load("again.csv", written.data, at=NOW)
        assert (again.set_aside, len(again.accepted)) == ((), len(loaded.accepted))


def test_what_a_list_cannot_hold_is_a_loss(draft, author, demo_objects):
    both = orjson.dumps(
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": "indicator--24f585ab-fdde-4ee9-871b-15fca2063a19",
            "created": "2026-11-03T06:40:00.000Z",
            "modified": "2026-11-03T06:40:00.000Z",
            "pattern": "[file:name = 'a' AND file:size = 3]",
            "pattern_type": "stix",
            "valid_from": "2026-11-03T06:40:00.000Z",
        }
    )
    carried = [*load("x.json", both).accepted, *demo_objects]
    fields = {name: getattr(draft, name) for name in type(draft).__slots__}
    losses = dump(compose(type(draft)(**fields), author, carried), "csv").losses
    assert ("pattern", "it looks for more than single values") in [(loss.what, loss.why) for loss in losses]
    assert any(loss.place == "objects of type incident" for loss in losses)


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", '"=1', "' =1", " \u201c=1", "\uff1d1", "|calc", "%x"]
)
def test_a_cell_that_a_spreadsheet_would_run_is_guarded(cell):
    assert guarded(cell) == "'" + cell
    assert unguarded(guarded(cell)) == cell


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("x;=1", "x;'=1"),
        ("x\n=1", "x\n'=1"),
        ("x;'=1", "x;''=1"),
        ('http://a.example/;"@SUM(1)', "http://a.example/;\"'@SUM(1)"),
        ("=1;=2", "'=1;'=2"),
        ("x\t =1", "x\t '=1"),
        (";=1", ";'=1"),
        ("\t=1", "'\t'=1"),
        ("\r\n=1", "'\r\n'=1"),
    ],
)
def test_what_would_begin_a_cell_of_its_own_where_semicolons_part_them_is_guarded_too(cell, written):
    assert guarded(cell) == written
    assert unguarded(written) == cell


@pytest.mark.parametrize("cell", ["", "a=1", "a; b", "a, -b", "a\nb", "203.0.113.7", "it's", "'quoted'"])
def test_other_cells_stay(cell):
    assert guarded(cell) == cell
    assert unguarded(cell) == cell


@settings(max_examples=300, deadline=None, derandomize=True)
@given(cell=st.text(alphabet="a;\t\n\r'\"=+ ,", max_size=14))
def test_reading_takes_every_guard_away(cell):
    assert unguarded(guarded(cell)) == cell
    assert not re.search(r"(^|[;\t\r\n])[=+]", guarded(cell))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=st.text(max_size=60))
def test_any_value_in_a_pattern_parses_and_reads_back(text):
    made = checked(f"[url:value = {literal(text)}]")
    assert alternatives(made) == [("url:value", text)]


@pytest.mark.parametrize(
    "pattern",
    [
        "[a:b = 'x' AND a:c = 'y']",
        "[a:b = 'x'] FOLLOWEDBY [a:c = 'y']",
        "[a:b LIKE 'x%']",
        "[a:b != 'x']",
        "[a:b = 'x'] WITHIN 5 SECONDS",
        "[a:b = 'x",
        "[a:b = 'x']]",
    ],
)
def test_patterns_that_say_more_than_single_values_have_no_alternatives(pattern):
    assert alternatives(pattern) is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"ip,domain\n" + b"1.2.3.4,a.example.com\n" * 60, "json.too-many-objects"),
        (b"ip\n1.2.3.4\n" + b"\n" * 200, "format.bad-file"),
    ],
)
def test_a_list_stops_costing_where_it_is_too_long(data, code):
    with pytest.raises(Refused) as refused:
        load("l.csv", data, Limits(max_objects=100), at=NOW)
    assert refused.value.code == code
