"""What text becomes before a terminal gets it: dead addresses, no control characters, UTC times."""

from __future__ import annotations

import io

import orjson
import pytest

from exchange.cli.message_view import MAX_VALUE_SHOWN, message_lines
from exchange.cli.output import Output, one_line, safe, table, utc
from exchange.cli.when import parse_when
from exchange.errors import Refused
from exchange.formats.indicators.defang import defang
from exchange.formats.registry import dump
from exchange.formats.stix.cover import compose, read_message
from exchange.formats.stix.read import read_object
from exchange.message import Author, Draft, Message, Urgency
from exchange.tlp import Tlp
from tests.stix_samples import SOMEBODY

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
        ("The C2 is 203.0.113.7.", "The C2 is 203[.]0[.]113[.]7."),
        ("...203.0.113.7-203.0.113.9", "...203[.]0[.]113[.]7-203[.]0[.]113[.]9"),
        ("::ffff:203.0.113.7", "[:][:]ffff[:]203[.]0[.]113[.]7"),
        ("*.evil.example .evil.example -evil.example", "*.evil[.]example .evil[.]example -evil[.]example"),
        ("evil.example\u2014bad, (evil.example).", "evil[.]example\u2014bad, (evil[.]example)."),
        ("m\xfcnchen.de, a@m\xfcnchen.de", "m\xfcnchen[.]de, a[@]m\xfcnchen[.]de"),
        ("\u043c\u0432\u0434.\u0440\u0444", "\u043c\u0432\u0434[.]\u0440\u0444"),
        ("evil\u3002com evil\uff0ecom", "evil[\u3002]com evil[\uff0e]com"),
        ("x.xn--p1ai and v1.2.3, U.S.A., 1.2.3.4.5", "x[.]xn--p1ai and v1.2.3, U.S.A., 1.2.3.4.5"),
        ("a@[203.0.113.7]", "a[@][203[.]0[.]113[.]7]"),
    ],
)
def test_addresses_are_defanged(text: str, expected: str) -> None:
    assert defang(text) == expected


def test_defanged_text_stays_so() -> None:
    once = defang("http://a.example.org 10.1.2.3")
    assert defang(once) == once


@pytest.mark.parametrize("part", ["a.b-", "1.1.1.", "a@", "1:", "a.", "-", "a\u3002", "0123"])
def test_a_long_text_takes_time_linear_in_it(part: str) -> None:
    text = part * (400_000 // len(part)) + "1"  # quadratic steps would take an hour
    assert len(defang(text)) >= len(text)


def carrying(value: dict[str, str]) -> Message:
    """A message that a peer made of an object as no program of ours would take it."""
    author = Author(id=SOMEBODY["id"], name="pe-csirt", created=NOW)
    draft = Draft(
        id="0f0f0f0f-0000-4000-8000-000000000001",
        kind="alert",
        case_id="pe-1",
        urgency=Urgency.ROUTINE,
        tlp=Tlp.RED,
        subject="s",
        created=NOW,
        reason="none\nreceived:  never",
    )
    bundle = compose(draft, author, [read_object(orjson.dumps(SOMEBODY))]).bundle
    before = bundle.rindex(b'{"type":"identity"')
    return read_message(bundle[:before] + orjson.dumps(value) + b"]}")


def test_what_a_peer_carries_cannot_forge_a_line_or_drive_the_terminal() -> None:
    hostile = {"type": "x\x1b]0;pwned\x07", "id": "y\x9b31m\r\nTLP:CLEAR\n! fork", "value": "evil.example"}
    message = carrying(hostile)
    lines = message_lines(message, sender="pe-csirt", received_at=NOW, marks=[])
    assert lines[-4:-2] == [
        "  x\ufffd]0;pwned\ufffd  y\ufffd31m\ufffd TLP:CLEAR ! fork",
        "    value: evil[.]example",
    ]
    assert "TLP:CLEAR" not in lines
    text = dump(message, "text")
    assert b"       1  unknown to STIX" in text.data
    assert text.losses[0].place == "objects of type unknown to STIX"
    everything = "".join([*lines, text.data.decode()])
    assert not {sign for sign in everything if sign < " " or "\x7f" <= sign <= "\x9f"} - {"\n"}


def test_a_long_value_is_cut_and_its_further_lines_are_no_facts() -> None:
    lines = message_lines(
        carrying({"type": "note", "id": "y", "content": "a.b-" * 100_000}),
        sender="pe-csirt",
        received_at=NOW,
        marks=[],
    )
    content = next(line for line in lines if line.startswith("    content: "))
    assert len(content) < 3 * MAX_VALUE_SHOWN
    assert content.endswith("\u2026")
    assert lines[lines.index("reason:   none") + 1] == "          received:  never"


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
