"""The label of a message: the strictest of all that stands in it, wherever that is."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from exchange.errors import Refused
from exchange.formats.objects import RawObject
from exchange.formats.registry import load
from exchange.formats.stix.cover import compose, read_message
from exchange.formats.stix.permissions import pap_of_message
from exchange.formats.stix.read import read_object
from exchange.message import Draft, Kind
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.stix_samples import SOMEBODY


def object_of(**more) -> RawObject:
    return read_object(orjson.dumps(SOMEBODY | more))


def orderly(draft: Draft, tlp: Tlp) -> Draft:
    return replace(draft, kind=Kind.ALERT, tlp=tlp)


@pytest.fixture
def received(draft, author) -> dict:
    """The values of a good bundle, to be spoilt."""
    alert = replace(draft, kind=Kind.ALERT)
    return orjson.loads(compose(alert, author, [object_of(), object_of(name="y")]).bundle)


def test_a_label_weaker_than_what_it_covers_is_corrected_by_the_reader(received):
    received["objects"][-1]["object_marking_refs"] = [Tlp.RED.marking_id]
    assert read_message(orjson.dumps(received)).tlp is Tlp.RED


def test_a_label_on_part_of_an_object_or_on_the_bundle_counts_too(received):
    assert read_message(orjson.dumps(received)).tlp is Tlp.AMBER
    part = [{"selectors": ["name"], "marking_ref": Tlp.AMBER_STRICT.marking_id}]
    received["objects"][-1]["granular_markings"] = part
    assert read_message(orjson.dumps(received)).tlp is Tlp.AMBER_STRICT
    received["object_marking_refs"] = [Tlp.RED.marking_id]
    assert read_message(orjson.dumps(received)).tlp is Tlp.RED


@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_tag_or_marking_counts_wherever_it_stands(received, place):
    received["objects"][place]["labels"] = ["phishing", "tlp:amber+strict", 5]
    assert read_message(orjson.dumps(received)).tlp is Tlp.AMBER_STRICT
    received["objects"][place]["object_marking_refs"] = [Tlp.RED.marking_id]
    assert read_message(orjson.dumps(received)).tlp is Tlp.RED


def test_a_tag_of_an_unknown_word_is_amber_strict_and_marks_no_object(draft, author):
    tagged = object_of(labels=["TLP:EX:CHR"])
    assert (tagged.tlp, tagged.marked) == (Tlp.AMBER_STRICT, False)
    with pytest.raises(Refused, match=r"tlp\.weaker-than-content"):
        compose(orderly(draft, Tlp.GREEN), author, [object_of(labels=["tlp:red"])])


@pytest.mark.parametrize("pap", [None, *Pap])
def test_a_label_of_pap_for_all_of_it_comes_back(draft, author, pap):
    message = compose(replace(orderly(draft, Tlp.GREEN), pap=pap), author, [object_of(labels=["PAP:CLEAR"])])
    assert read_message(message.bundle) == message
    assert pap_of_message(message) is (pap or Pap.CLEAR)


def test_pap_on_the_bundle_is_for_all_of_it(received):
    received["object_marking_refs"] = ["marking-definition--60f8932b-e51e-4458-b265-a2e8be9a80ab"]
    assert read_message(orjson.dumps(received)).pap is Pap.AMBER
    assert load("x.json", orjson.dumps(received)).pap is Pap.AMBER


def test_a_cover_whose_marking_is_no_tlp_counts_as_unmarked(received):
    received["objects"][0]["object_marking_refs"] = [
        "marking-definition--0ee0838b-d40a-4c01-bde5-d0e502691764"
    ]
    assert read_message(orjson.dumps(received)).tlp is Tlp.AMBER_STRICT
