"""The labels: order, spellings, marking ids."""

from __future__ import annotations

import time

import pytest

from exchange import pap
from exchange.errors import Refused
from exchange.pap import Pap
from exchange.tlp import (
    DEFAULT,
    Tlp,
    is_tag,
    labels_in,
    parse,
    read_label,
    strictest,
    tlp_of_marking_id,
    written_in,
)


def test_labels_are_ordered_from_clear_to_red():
    assert sorted(set(Tlp)) == [Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER, Tlp.AMBER_STRICT, Tlp.RED]
    assert Tlp.AMBER < Tlp.AMBER_STRICT
    assert Tlp.RED >= Tlp.RED


def test_a_label_does_not_compare_with_anything_else():
    with pytest.raises(TypeError):
        _ = Tlp.AMBER < 3


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("amber", Tlp.AMBER),
        ("TLP:AMBER", Tlp.AMBER),
        ("amber+strict", Tlp.AMBER_STRICT),
        ("AMBER_STRICT", Tlp.AMBER_STRICT),
        ("tlp:amber-strict", Tlp.AMBER_STRICT),
        (" Red ", Tlp.RED),
        ("white", Tlp.CLEAR),
        ("green", Tlp.GREEN),
        ("TLP:CLEAR", Tlp.CLEAR),
        ("TLP: RED", Tlp.RED),
        ("TLP RED", Tlp.RED),
        ("tlp : amber strict", Tlp.AMBER_STRICT),
        ("\uff34\uff2c\uff30\uff1a\uff32\uff25\uff24", Tlp.RED),
    ],
)
def test_spellings_people_use_are_read(text, label):
    assert parse(text) is label


@pytest.mark.parametrize("text", ["", "tlp:", "purple", "TLP:EX:CHR", "tlpred", "4"])
def test_other_words_are_refused(text):
    with pytest.raises(Refused) as caught:
        parse(text)
    assert caught.value.code == "tlp.unknown"
    assert read_label(text, tlp1=False) is None


def test_every_label_reads_back_from_its_own_spellings_and_id():
    for tlp in Tlp:
        assert parse(tlp.label) is tlp
        assert parse(tlp.word) is tlp
        assert tlp_of_marking_id(tlp.marking_id) is tlp
    assert Tlp.AMBER_STRICT.label == "TLP:AMBER+STRICT"


def test_tlp_1_markings_are_read_and_its_amber_as_the_stricter():
    read = {
        "613f2e26-407d-48c7-9eca-b8e91df99dc9": Tlp.CLEAR,
        "34098fce-860f-48ae-8e50-ebd3cc5e41da": Tlp.GREEN,
        "f88d31f6-486f-44da-b317-01333bde0b82": Tlp.AMBER_STRICT,
        "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": Tlp.RED,
    }
    assert {key: tlp_of_marking_id(f"marking-definition--{key}") for key in read} == read
    assert read_label("amber", tlp1=True) is Tlp.AMBER_STRICT
    assert read_label("amber", tlp1=False) is Tlp.AMBER
    assert read_label("amber+strict", tlp1=True) is Tlp.AMBER_STRICT
    assert tlp_of_marking_id("marking-definition--fa42a846-8d90-4e51-bc29-71d5b4802168") is None


# A label with something about it, as people write it into tags and cells.
MORE_THAN_RED = (
    "TLP:RED!",
    "tlp:red:recipients",
    "TLP:RED - only you",
    "tlp:red_team",
    "TLP:AMBER, annex RED",
)


@pytest.mark.parametrize("text", MORE_THAN_RED)
def test_a_text_that_is_more_than_a_label_is_the_strictest_that_it_names(text):
    assert is_tag(text)
    assert read_label(text, tlp1=False) is Tlp.RED


def test_a_text_that_is_more_than_a_weak_label_counts_as_unmarked_data():
    assert read_label("TLP:GREEN, but not yet", tlp1=False) is DEFAULT
    assert read_label("tlp:ex:clear", tlp1=False) is DEFAULT


@pytest.mark.parametrize("text", ["tlp:amber+\u017ftrict", "tlp:wh\u0131te", "TLP:WH\u0130TE"])
def test_letters_that_match_ours_where_case_does_not_count_make_no_label_weaker(text):
    assert read_label(text, tlp1=False) in (DEFAULT, None)
    assert labels_in(f"shared as {text}") in ([DEFAULT], [])


@pytest.mark.parametrize("tag", ["tlphone", "a tlp:red", "tlp", "tlp-related", "", "tlp redirect"])
def test_a_tag_of_anything_else_says_no_label(tag):
    assert not is_tag(tag)


def test_labels_are_found_in_sentences():
    assert labels_in("TLP:RED, for us; the list is tlp: amber strict") == [Tlp.RED, Tlp.AMBER_STRICT]
    assert labels_in("a red light, and TLP:AMBER") == [Tlp.AMBER_STRICT]


@pytest.mark.parametrize(
    "text",
    [
        "TLP:RED - do not share",
        "[TLP: RED]",
        "CONFIDENTIAL//TLP:RED",
        "**TLP**: **RED**",
        "tlp red",
        "TLP \u2013 RED",
        "TLP (RED)",
        "TLP_RED",
        "[TLP-RED].",
        "TLP[:]RED",
        "TLP v2.0: RED",
        "TLPv2:RED",
        "TLP 2.0 RED",
        "TLP level = RED",
        '{"tlp": "red"}',
        '"tlp_2_0":"red"',
        "TLP:\nRED",
        "TLP:&nbsp;RED",
        "TLP:<b>RED</b>",
        "TLP:AMBER/RED",
        "TLP:GREEN|RED",
        "tlp:ex:red",
        "TLP:GREEN, but the annex is TLP:RED",
        "TLP: see below, TLP:RED",
        "TLP:RED: a green light",
        "TLP RED: green",
        "\uff34\uff2c\uff30\uff1a\uff32\uff25\uff24",
    ],
)
def test_a_label_written_into_a_text_is_found_however_it_stands_there(text):
    assert strictest((tlp for _, tlp in written_in(text)), Tlp.CLEAR) is Tlp.RED
    if not any(sign in text for sign in ("<b>", ":ex:", "see below", "\uff34")):
        its_pap = text.replace("TLP", "PAP").replace("tlp", "pap")
        assert pap.strictest(found for _, found in pap.written_in(its_pap)) is Pap.RED


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("TLP:CLEAR", Tlp.CLEAR),
        ('as "TLP:WHITE".', Tlp.CLEAR),
        ("TLP:GREEN,red.example.com", Tlp.GREEN),
        ("TLP:GREEN.", Tlp.GREEN),
        ("TLP:AMBER", DEFAULT),
        ("TLP:AMBER+STRICT", DEFAULT),
        ("TLP: AMBER strictly for you", DEFAULT),
        ("TLP:ROJO", DEFAULT),
        ("TLP:REDACTED", DEFAULT),
        ("tlp:wh\u0131te", DEFAULT),
    ],
)
def test_another_label_in_a_text_is_what_it_is_and_a_word_nobody_knows_amber_strict(text, label):
    assert [tlp for _, tlp in written_in(f"see: {text}")] == [label]


@pytest.mark.parametrize(
    "text",
    [
        "a red light for the green team",
        "tlphone: red",
        "atlp:red",
        "TLP:",
        "TLP: https://www.first.org/tlp/",
        "http://tlp:8080/red",
        "https://example.org/tlp-red-team",
        "tlp-red.example.com",
        '"tlp": "", "team": "red"',
        "TLP:\x00RED",
    ],
)
def test_words_that_are_no_label_say_none(text):
    assert list(written_in(text)) == []


def test_a_word_of_pap_that_is_none_says_nothing_in_a_text():
    assert list(pap.written_in("PAP: enabled, CHAP: disabled")) == []


@pytest.mark.parametrize(
    "text",
    [
        "tlp" * 300_000,
        "tlp_" * 250_000,
        "TLP:" + " " * 1_000_000,
        "TLP:" + "&nbsp;" * 200_000,
        "TLP:RED/" * 100_000,
        "TLP:" + "RED/" * 250_000,
        "tlp: x" * 200_000,
        "TLP:AMBER" + " " * 1_000_000,
    ],
)
def test_looking_for_labels_takes_time_linear_in_the_text(text):
    start = time.process_time()
    found = sum(1 for _ in written_in(text)) + sum(1 for _ in pap.written_in(text.replace("TLP", "PAP")))
    assert found <= len(text) // 3
    assert time.process_time() - start < 20  # anything but linear would take hours


def test_the_strictest_label_counts_and_nothing_means_the_default():
    assert strictest([Tlp.GREEN, Tlp.AMBER_STRICT, Tlp.CLEAR]) is Tlp.AMBER_STRICT
    assert strictest([]) is DEFAULT is Tlp.AMBER_STRICT
    assert strictest([], default=Tlp.GREEN) is Tlp.GREEN
