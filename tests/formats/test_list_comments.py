"""Lists that begin with comments, as most published ones do, and have them in their midst: read, and each one named."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.objects import Loaded
from exchange.formats.registry import load
from exchange.formats.spreadsheet import without_comments
from exchange.formats.stix.spans import Limits

NOW = 1_795_000_000_000


def read(text: str, name: str = "l.csv", **said: str) -> Loaded:
    return load(name, text.encode(), at=NOW, columns=said)


def values(loaded: Loaded) -> list[dict[str, Any]]:
    return [orjson.loads(each.data) for each in loaded.accepted]


def comments(loaded: Loaded) -> list[str]:
    return [each.place.removeprefix("line ") for each in loaded.losses if each.what == "comment"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("# a comment\n# another\nvalue,type\n203.0.113.7,ip\n", ["1", "2"]),
        ('"# abuse.ch header"\nvalue,type\n203.0.113.7,ip\n', ["1"]),
        ('"# a header; of\ntwo lines"\nvalue\n203.0.113.7\n', ["2"]),
        ("# one; two; three\n\n  # four\nvalue,type\n203.0.113.7,ip\n", ["1", "3"]),
        ("# a comment\n203.0.113.7,x\n", ["1"]),
        ("# The list, of ours\n203.0.113.7,evil host\n", ["1"]),
        ("# IP, domain\nvalue,type\n203.0.113.7,ip\n", ["1"]),
        ("# 203.0.113.9\n203.0.113.7\n#203.0.113.8\n", ["1", "3"]),
        ("value\n203.0.113.7\n# END 1 entry\n", ["3"]),
        ('# say "x","y\nvalue,type\n203.0.113.7,ip\n# and "z","\n', ["1", "4"]),
        ("#\tvalue\n# x\n203.0.113.7\n", ["1", "2"]),
        ("#" * 20_000 + "\nvalue\n203.0.113.7\n", ["1"]),
        ("#ip,comment\n203.0.113.7,x\n", []),
        ("# ip\n203.0.113.7\n", []),
        ("#,ip,comment\n1,203.0.113.7,x\n", []),
        ("# of ours\n# ip;comment\n203.0.113.7;a, b, c, d\n", ["1"]),
    ],
)
def test_comments_are_named_and_the_rest_is_read(text, named):
    for name in ("l.csv", "l.txt"):
        loaded = read(text, name)
        assert [each["pattern"] for each in values(loaded)] == ["[ipv4-addr:value = '203.0.113.7']"]
        assert (comments(loaded), loaded.set_aside) == (named, ())


def test_a_header_in_a_comment_says_what_the_columns_are():
    head = "################\n# abuse.ch; a, b, c   #\n################\n#\n"
    text = (
        f'{head}# "first_seen_utc","dst_ip","dst_port"\n"2021-01-17 07:30:05","203.0.113.7","443"\n# END 1\n'
    )
    loaded = read(text)
    (value,) = values(loaded)
    assert value["valid_from"] == "2021-01-17T07:30:05.000Z"
    assert [(each.place, each.what) for each in loaded.losses if each.what != "comment"] == [
        ("header", "dst_port")
    ]
    assert comments(loaded) == ["1", "2", "3", "4", "7"]
    text = (
        f'{head}# id,dateadded,url,tags\n"1","2021-03-05 09:41:05","http://evil.example.com/a,b","elf,mozi"\n'
    )
    (value,) = values(read(text))
    assert value["pattern"] == "[url:value = 'http://evil.example.com/a,b']"
    assert (value["labels"], value["valid_from"]) == (["elf", "mozi"], "2021-03-05T09:41:05.000Z")


def test_a_header_in_a_comment_can_be_said_by_its_names():
    said = {"value": "DstIP", "first_seen": "Firstseen"}
    (value,) = values(read("# x\n# Firstseen,DstIP\n2021-01-17 07:30:05,203.0.113.7,443\n", **said))
    assert value["valid_from"] == "2021-01-17T07:30:05.000Z"


def test_a_line_within_a_cell_is_no_comment():
    loaded = read('ip,description\n203.0.113.7,"a\n# b\nc"\n# d\n203.0.113.8,"""x"""\n')
    assert [each["description"] for each in values(loaded)] == ["a\n# b\nc", '"x"']
    assert comments(loaded) == ["5"]


def test_blanks_between_a_comma_and_a_quotation_mark_are_no_part_of_a_cell():
    """As lists of ThreatFox have them, whose quoted commas part nothing."""
    loaded = read(
        '# "first_seen", "ioc_value"\n"value", "comment"\n"203.0.113.7", "one, two"\n  "203.0.113.8","x"\n'
    )
    assert [each["pattern"][-14:] for each in values(loaded)] == ["'203.0.113.7']", "'203.0.113.8']"]
    assert loaded.set_aside == ()
    assert values(loaded)[0]["description"] == "one, two"


def test_quotes_in_a_comment_say_nothing_of_the_rows():
    loaded = read('# by "x","y"\nhttp://evil.example.com/a,b\n')
    assert (loaded.accepted, len(loaded.set_aside)) == ((), 1)
    assert "quote it" in loaded.set_aside[0].reason


def test_comments_take_no_row_from_the_rest_and_hide_no_other_loss():
    text = "# x\n" * 1_500 + "ip,color\n203.0.113.7,x\n203.0.113.8,\n"
    loaded = load("l.csv", text.encode(), Limits(max_objects=2), at=NOW)
    assert len(loaded.accepted) == 2
    assert loaded.losses[0].what == "color"
    assert loaded.losses[-1].what == "500 more losses"
    for nothing in ("# a\n# b\n", "# see below\n\n"):
        with pytest.raises(Refused, match=r"format\.bad-file"):
            read(nothing)


def test_a_shadowserver_report_below_a_comment_is_one_all_the_same():
    text = "# from ours; a; b\ntimestamp,ip,protocol,asn,geo\n2026-11-20 04:12:33,203.0.113.7,tcp,64496,PE\n"
    with pytest.raises(Refused, match=r"format\.by-owner"):
        read(text, "report.csv")


def test_the_lines_stay_where_they_are_and_it_takes_time_linear_in_them():
    text = 'a\r\n# b"\r"# c"\n"x\n# y"\r\n#'
    table, found = without_comments(text)
    assert (table, found) == ('a\r\n \r \n"x\n# y"\r\n ', [(2, '# b"'), (3, '"# c"'), (6, "#")])
    assert [line for line, _ in without_comments("a\r#b\n#c\n\r#d")[1]] == [2, 3, 5]
    assert comments(read("203.0.113.7\r#b\n#c\n")) == ["2", "3"]
    start = time.process_time()
    for long in ("#\n" * 500_000, '"#\n' * 300_000, "#" * 1_000_000, '#"' * 500_000):
        without_comments(long)
    assert time.process_time() - start < 20  # anything but linear would take hours
