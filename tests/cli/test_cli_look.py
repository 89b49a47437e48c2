"""What text becomes before a terminal gets it: dead addresses, no control characters, UTC times."""

from __future__ import annotations

import io

import orjson
import pytest

from exchange.cli.output import Output, one_line, safe, table, utc
from exchange.cli.when import parse_when
from exchange.errors import Refused
from exchange.formats.indicators.defang import defang

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://evil.example.org/a?b=c", "hxxps://evil[.]example[.]org/a?b=c"),
        ("FTP://10.0.0.1/x", "FxP://10[.]0[.]0[.]1/x"),
        ("mail a.b@mal.example.net", "mail a.b[@]mal[.]example[.]net"),
        ("2001:db8::1 and ::1", "2001[:]db8[:][:]1 and [:][:]1"),
        ("at 12:30:45Z, v1.2, e.g. nothing", "at 12:30:45Z, v1.2, e.g. nothing"),
        ("[url:value = 'http://x.example/1']", "[url:value = 'hxxp://x[.]example/1']"),
    ],
)
def test_addresses_are_defanged(text: str, expected: str) -> None:
    assert defang(text) == expected


def test_defanged_text_stays_so() -> None:
    once = defang("http://a.example.org 10.1.2.3")
    assert defang(once) == once


def test_text_from_elsewhere_cannot_drive_the_terminal() -> None:
    shown = safe("a\x1b[31mb\x07c\u202ed\ne")
    assert shown == "a\ufffd[31mb\ufffdc\ufffdd\ne"
    assert one_line("a\n\tb   c", most=4) == "a b\u2026"


def test_table_columns_line_up() -> None:
    assert table(("id", "name"), [("1", "a"), ("22", "b\nc")]) == ["ID  NAME", "1   a", "22  b c"]


def test_times_are_utc() -> None:
    assert utc(0) == "1970-01-01 00:00:00Z"
    assert utc(None) == "-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4h", NOW + 4 * 3_600_000),
        ("2026-12-01T12:00Z", 1_796_126_400_000),
        ("2026-12-01", 1_796_083_200_000),
    ],
)
def test_times_are_read_as_people_type_them(text: str, expected: int) -> None:
    assert parse_when(text, now=NOW) == expected


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match=r"message\.bad-time"):
        parse_when("next week", now=NOW)


def test_an_error_is_one_line_a_hint_and_with_json_an_object() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    code = Output(json=True, stdout=stdout, stderr=stderr).error(Refused("tlp.unknown", "no \x1b such label"))
    assert code == 3
    assert stderr.getvalue().splitlines() == [
        "error: tlp.unknown: no \ufffd such label",
        "hint: --tlp clear, green, amber, amber+strict or red",
    ]
    value = orjson.loads(stdout.getvalue())
    assert (value["ok"], value["exit"], value["error"]["code"]) == (False, 3, "tlp.unknown")


def test_quiet_leaves_only_the_result() -> None:
    stdout, stderr = io.StringIO(), io.StringIO()
    out = Output(quiet=True, stdout=stdout, stderr=stderr)
    out.note("working")
    out.result({}, ["done"], next_step="more")
    assert (stdout.getvalue(), stderr.getvalue()) == ("done\n", "")
