"""Labels that people write beside indicators bind what is read there: a list, an advisory, a pasted text."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from exchange.formats.indicators.paste import extract, objects, said_in
from exchange.formats.objects import Loaded
from exchange.formats.registry import load
from exchange.formats.stix.markings import effective_tlp
from exchange.formats.stix.permissions import pap_of_all
from exchange.pap import Pap
from exchange.tlp import DEFAULT, Tlp
from tests.foreign_samples import advisory

NOW = 1_795_000_000_000


def read(text: str, **said: str) -> Loaded:
    return load("l.csv", text.encode(), at=NOW, columns=said)


def doubts(loaded: Loaded) -> list[tuple[str, str]]:
    return [(each.place, each.what) for each in loaded.doubts]


def sent_as(loaded: Loaded, asked: Tlp | None) -> Tlp:
    """The label of a message that carries it."""
    return effective_tlp(loaded.accepted, asked)


# -- lists -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("ip\n203.0.113.7\nTLP:RED\n", {}, 3),
        ("203.0.113.7\nTLP:RED\n", {}, 2),
        ("203.0.113.7,x\nTLP,RED\n", {}, 2),
        ("ip,tlp\n203.0.113.7,green\n,TLP:RED\nof TLP:RED,\n", {}, 4),
        ("TLP:RED\n203.0.113.7\n", {"value": "1"}, 1),
        ("# TLP:RED internal only\n203.0.113.7\n", {"value": "1"}, 1),
        ("# list\n# TLP:RED\nip\n203.0.113.7\n", {}, 2),
        ("ip\n203.0.113.7\n# TLP: RED\n", {}, 3),
        ('"# TLP:RED"\nip\n203.0.113.7\n', {}, 1),
        ("ip,TLP:RED\n203.0.113.7,x\n", {}, 1),
        ("# ip,comment (TLP:RED)\n203.0.113.7,x\n", {}, 1),
        ("ip,c\n203.0.113.7,x,of TLP:RED\n203.0.113.8,x\n", {}, 2),
        ("file\nTLP:RED - no more\nTLP red.exe\nreport-TLP:RED.pdf\n", {}, 2),
    ],
)
def test_a_label_beside_the_rows_of_a_list_is_held_to_by_all_of_them(text, said, line):
    loaded = read(text, **said)
    assert loaded.accepted
    assert {each.tlp for each in loaded.accepted} == {Tlp.RED}
    assert sent_as(loaded, Tlp.GREEN) is Tlp.RED
    assert doubts(loaded) == [(f"line {line}", "TLP:RED")]


def test_a_label_never_makes_a_list_weaker_and_marks_nothing():
    for word, label in (("CLEAR", Tlp.CLEAR), ("GREEN", Tlp.GREEN)):
        loaded = read(f"# TLP:{word}\nip,tlp\n203.0.113.7,\n203.0.113.8,amber\n")
        assert [each.marked for each in loaded.accepted] == [False, True]
        assert sent_as(loaded, None) is DEFAULT
        assert sent_as(read(f"# TLP:{word}\nip\n203.0.113.7\n"), Tlp.CLEAR) is label
        assert doubts(loaded) == ([] if label is Tlp.CLEAR else [("line 1", "TLP:GREEN")])


def test_a_label_that_nobody_knows_is_amber_strict():
    loaded = read("# TLP:ROJO\nip\n203.0.113.7\n")
    assert (sent_as(loaded, Tlp.GREEN), doubts(loaded)) == (DEFAULT, [("line 1", "TLP:AMBER+STRICT")])


@pytest.mark.parametrize(
    "line",
    [
        "203.0.113.7,green,mail of TLP:RED,x",
        "203.0.113.7,green,,TLP:RED",
        "203.0.113.7,green,,x\n203.0.113.7,red,,x",
        "203.0.113.7,,,x\n203[.]0[.]113[.]7,,tlp: red,x",
    ],
)
def test_a_label_within_a_row_binds_its_own_indicator_alone(line):
    loaded = read(f"ip,tlp,comment,sharing\n{line}\n203.0.113.8,green,,x\n")
    assert [each.tlp for each in loaded.accepted] == [Tlp.RED, Tlp.GREEN]
    assert [what for _, what in doubts(loaded)] == ["TLP:RED"]


def test_a_label_where_a_value_should_stand_binds_the_other_values_of_its_row():
    loaded = read("ip,domain\n203.0.113.7,TLP:RED\n203.0.113.8,a.example.com\n")
    assert [each.tlp for each in loaded.accepted] == [Tlp.RED, None, None]
    assert doubts(loaded) == [("line 2", "TLP:RED")]


def test_the_label_of_a_row_that_does_not_go_is_its_own():
    loaded = read("ip,tlp\n203.0.113.7,green\n999.1.1.1,TLP:RED\n203.0.113.8,ask TLP:RED first\n")
    assert [each.tlp for each in loaded.accepted] == [Tlp.GREEN, Tlp.RED]
    loaded = read("ip,tlp\n203.0.113.7,green\n999.1.1.1,TLP:RED\n")
    assert (sent_as(loaded, Tlp.GREEN), doubts(loaded)) == (Tlp.GREEN, [])


def test_columns_of_labels_are_known_by_the_name_of_the_protocol():
    loaded = read("ip,TLP level\n203.0.113.7,RED\n")
    assert [each.tlp for each in loaded.accepted] == [Tlp.RED]


def test_pap_beside_the_rows_is_that_of_the_list_and_within_a_row_of_the_row():
    loaded = read("# PAP:AMBER\nip\n203.0.113.7\n")
    assert (loaded.pap, doubts(loaded)) == (Pap.AMBER, [("line 1", "PAP:AMBER")])
    loaded = read("ip,pap,comment\n203.0.113.7,,PAP:RED\n203.0.113.8,red,PAP:AMBER\n203.0.113.8,,x\n")
    values = [orjson.loads(each.data) for each in loaded.accepted]
    assert ([pap_of_all([each]) for each in values], loaded.pap) == ([Pap.RED, Pap.RED], None)
    assert doubts(loaded) == [("line 2", "PAP:RED")]


def test_an_address_that_looks_like_a_label_is_none():
    loaded = read("url\nhttp://example.com/?tlp=red\nhttp://example.com/tlp-red-team\n")
    assert (sent_as(loaded, Tlp.GREEN), doubts(loaded)) == (Tlp.GREEN, [])


# -- advisories --------------------------------------------------------------------------------------------------------


def advised(text: object, label: str | None = None) -> Loaded:
    whole: dict[str, Any] = advisory()
    tlp = {"tlp": {"label": label}} if label else {}
    whole["document"]["distribution"] = {"text": text, **tlp}
    return load("a.json", orjson.dumps(whole))


@pytest.mark.parametrize(
    ("text", "label", "asked", "sent", "told"),
    [
        ("TLP:RED only for named", None, Tlp.CLEAR, Tlp.RED, ["TLP:RED"]),
        ("TLP:RED only for named", "WHITE", Tlp.CLEAR, Tlp.RED, ["TLP:RED"]),
        ("TLP:AMBER", "WHITE", Tlp.CLEAR, DEFAULT, ["TLP:AMBER+STRICT"]),
        ("TLP:GREEN", "WHITE", Tlp.CLEAR, Tlp.GREEN, ["TLP:GREEN"]),
        ("TLP:GREEN", None, Tlp.CLEAR, Tlp.GREEN, ["TLP:GREEN"]),
        ("TLP:GREEN", None, None, DEFAULT, ["TLP:GREEN"]),
        ("TLP:CLEAR", None, None, DEFAULT, []),
        ("TLP:CLEAR", "GREEN", None, Tlp.GREEN, []),
        ("TLP:CLEAR", None, Tlp.CLEAR, Tlp.CLEAR, []),
        ("TLP:RED", "RED", None, Tlp.RED, []),
    ],
)
def test_the_terms_of_an_advisory_make_its_label_stricter_and_never_weaker(text, label, asked, sent, told):
    loaded = advised(text, label)
    assert (loaded.set_aside, sent_as(loaded, asked)) == ((), sent)
    assert [(each.place, each.what) for each in loaded.doubts] == [
        ("/document/distribution/text", each) for each in told
    ]


def test_terms_that_are_no_text_are_named_once_and_pap_in_terms_counts():
    assert [each.place for each in advised(["TLP:RED"]).losses] == ["/document/distribution/text"]
    assert (advised("PAP:RED").pap, advised("Free").pap) == (Pap.RED, None)


# -- pasted text -------------------------------------------------------------------------------------------------------


def test_a_pasted_text_says_its_strictest_label_and_on_which_line():
    said = said_in(
        "TLP:GREEN\r\nsee\x0b203.0.113.7\u2028T\u200bLP:\u00adRED, and TLP:RED\nPAP:GREEN\nPAP:AMBER\n"
    )
    assert (said.tlp, said.pap) == (Tlp.RED, Pap.AMBER)
    assert [(each.place, each.what) for each in said.doubts(over=Tlp.GREEN)] == [
        ("line 4", "TLP:RED"),
        ("line 6", "PAP:AMBER"),
    ]
    assert said_in("TLP:AMBER").doubts(over=DEFAULT) == ()
    assert said_in('as "TLP:CLEAR", PAP:CLEAR').doubts() == ()


def test_the_lines_of_labels_are_counted_as_those_of_indicators():
    text = "a\x0cb\x85c\r\nd\u2029TLP:RED 203.0.113.7"
    (found,) = extract(text)
    assert said_in(text).doubts()[0].place == f"line {found.line}" == "line 5"


def test_pap_of_a_pasted_text_is_on_its_objects():
    text = "203.0.113.7 CVE-2026-12345"
    made = objects(extract(text), text, at="2026-11-22T08:00:00.000Z", tlp=Tlp.GREEN, pap=Pap.AMBER)
    assert [pap_of_all([orjson.loads(each.data)]) for each in made] == [Pap.AMBER, Pap.AMBER]
