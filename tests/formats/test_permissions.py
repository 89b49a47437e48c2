"""PAP read out of STIX, in each of the spellings in which tools write it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from exchange.formats.stix.cover import compose
from exchange.formats.stix.permissions import pap_of_all, pap_of_message
from exchange.formats.stix.read import read_object
from exchange.message import Author, Draft, Urgency
from exchange.pap import MARKING_EXTENSION, Pap
from exchange.tlp import Tlp
from tests.stix_samples import SOMEBODY

OWN_ID = "marking-definition--11111111-1111-4111-8111-111111111111"
AMBER_ID = "marking-definition--60f8932b-e51e-4458-b265-a2e8be9a80ab"


def definition(**says: Any) -> dict[str, Any]:
    own = {"type": "marking-definition", "spec_version": "2.1", "id": OWN_ID}
    return own | {"created": "2026-01-01T00:00:00.000Z"} | says


def statement(text: str) -> dict[str, Any]:
    return definition(definition_type="statement", definition={"statement": text})


MARKED = {"object_marking_refs": [OWN_ID]}
PURPLE = {MARKING_EXTENSION: {"extension_type": "property-extension", "pap": "purple"}}
WHITE = definition(definition_type="pap", definition={"pap": "white"})


@pytest.mark.parametrize(
    ("on_object", "definitions", "label"),
    [
        ({}, [], None),
        ({"labels": ["tlp:red", "PAP:GREEN", 7]}, [], Pap.GREEN),
        ({"labels": "PAP:RED"}, [], None),
        ({"object_marking_refs": [AMBER_ID]}, [], Pap.AMBER),
        ({"granular_markings": [{"marking_ref": AMBER_ID, "selectors": ["name"]}]}, [], Pap.AMBER),
        (MARKED, [statement("PAP:RED")], Pap.RED),
        (MARKED, [statement("Copyright")], None),
        (MARKED, [definition(definition_type="PAP:AMBER", definition={})], Pap.AMBER),
        (MARKED, [WHITE], Pap.CLEAR),
        (MARKED, [WHITE, statement("PAP:GREEN")], Pap.GREEN),
        (MARKED, [definition(extensions=PURPLE)], Pap.RED),
        ({}, [definition(definition_type="PAP:RED")], None),
        ({"labels": ["PAP:CLEAR"], "object_marking_refs": [AMBER_ID]}, [], Pap.AMBER),
    ],
)
def test_every_spelling(
    on_object: dict[str, Any], definitions: list[dict[str, Any]], label: Pap | None
) -> None:
    assert pap_of_all([SOMEBODY | on_object, *definitions]) is label


def test_of_a_message_the_strictest_counts_wherever_it_stands() -> None:
    marked = read_object(orjson.dumps(SOMEBODY | {"labels": ["PAP:AMBER"]}))
    draft = Draft(
        id="0f0f0f0f-0000-4000-8000-000000000001",
        kind="alert",
        case_id="pe-1",
        urgency=Urgency.ROUTINE,
        tlp=Tlp.GREEN,
        subject="Log-ins",
        created=1_790_000_000_000,
    )
    author = Author(
        id="identity--9c3ae1a5-66a4-5b11-9f6c-4c4bb4c2d6b1", name="pe-csirt", created=1_700_000_000_000
    )
    message = compose(draft, author, [marked])
    assert pap_of_message(message) is Pap.AMBER
    red = b'"object_marking_refs":["marking-definition--740d36e5-7714-4c30-961a-3ae632ceee0e"],'
    on_all = replace(message, bundle=message.bundle.replace(b"{", b"{" + red, 1))
    assert pap_of_message(on_all) is Pap.RED
