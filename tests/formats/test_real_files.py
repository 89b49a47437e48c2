"""The real files of publishers, with the figures measured: none of this is ours, so it may be absent."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field

import orjson
import pytest

from exchange.formats.objects import Loaded
from exchange.formats.registry import load
from exchange.formats.stix.cover import carried_objects, compose, read_message
from exchange.formats.stix.markings import effective_tlp
from exchange.message import Kind
from exchange.tlp import Tlp


@dataclass
class Corpus:
    """Every real file: its bytes and what reading it gave."""

    loaded: dict[str, Loaded] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture(scope="module")
def corpus(data_dir) -> Corpus:
    result = Corpus()
    for entry in json.loads((data_dir / "INDEX.json").read_bytes()):
        data = (data_dir / entry["file"]).read_bytes()
        result.data[entry["file"]] = data
        result.loaded[entry["file"]] = load(entry["file"], data)
    return result


def test_all_310_files_are_accounted_for(corpus):
    formats = Counter(loaded.format for loaded in corpus.loaded.values())
    assert formats == {"stix": 196, "misp": 54, "csaf": 60}


def test_of_8686_objects_8620_go_on_and_66_are_set_aside_with_a_reason(corpus):
    stix = [loaded for loaded in corpus.loaded.values() if loaded.format == "stix"]
    assert sum(bool(loaded.accepted) for loaded in stix) == 196
    assert sum(len(loaded.accepted) for loaded in stix) == 8_620
    assert sum(len(loaded.set_aside) for loaded in stix) == 66
    assert all(aside.code and aside.reason for loaded in stix for aside in loaded.set_aside)


def test_the_values_are_those_another_parser_finds_and_the_bytes_those_of_the_file(corpus):
    for name, loaded in corpus.loaded.items():
        if loaded.format != "stix":
            continue
        theirs = orjson.loads(corpus.data[name])["objects"]
        ours = [orjson.loads(raw.data) for raw in loaded.accepted]
        assert len(theirs) == len(ours) + len(loaded.set_aside)
        rest = iter(theirs)
        assert all(any(value == each for each in rest) for value in ours)  # the same values in the same order
        assert all(raw.data in corpus.data[name] for raw in loaded.accepted)


def test_three_files_of_stix_are_red_and_the_others_amber_strict(corpus):
    stix = [loaded for loaded in corpus.loaded.values() if loaded.format == "stix"]
    labels = Counter(effective_tlp(loaded.accepted, None) for loaded in stix)
    assert labels == {Tlp.AMBER_STRICT: 193, Tlp.RED: 3}


def test_every_file_travels_in_a_bundle_byte_for_byte(corpus, draft, author):
    for loaded in corpus.loaded.values():
        tlp = effective_tlp(loaded.accepted, Tlp.GREEN)
        alert = {**vars_of(draft), "kind": Kind.ALERT, "tlp": tlp}
        sent = compose(type(draft)(**alert), author, loaded.accepted)
        received = read_message(sent.bundle)
        assert received == sent
        assert carried_objects(received) == [raw.data for raw in loaded.accepted]


def vars_of(draft) -> dict:
    return {name: getattr(draft, name) for name in type(draft).__slots__}


def test_the_largest_file_is_read_in_well_under_a_second(corpus):
    name = max(corpus.data, key=lambda each: len(corpus.data[each]))
    start = time.process_time()
    loaded = load(name, corpus.data[name])
    assert time.process_time() - start < 1
    assert len(loaded.accepted) == 829
