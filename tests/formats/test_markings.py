"""Labels read out of markings, well formed and as tools really write them."""

from __future__ import annotations

import json

import pytest

from exchange.formats.objects import RawObject
from exchange.formats.registry import load
from exchange.formats.stix.markings import effective_tlp, tlp2_definition, tlp_of_definition
from exchange.formats.stix.read import read_object
from exchange.tlp import Tlp

OTHER_ID = "marking-definition--0ee0838b-d40a-4c01-bde5-d0e502691764"
TLP1_GREEN = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"
TIME = "2026-01-01T00:00:00.000Z"


def campaign(number: int = 1, **more) -> dict:
    return {
        "type": "campaign",
        "spec_version": "2.1",
        "id": f"campaign--00000000-0000-4000-8000-{number:012}",
        "created": TIME,
        "modified": TIME,
        "name": "a campaign",
        **more,
    }


def definition(object_id: str = OTHER_ID, **more) -> dict:
    return {"type": "marking-definition", "spec_version": "2.1", "id": object_id, "created": TIME, **more}


def accepted(*objects: dict, **bundle) -> tuple[RawObject, ...]:
    text = json.dumps({"type": "bundle", "id": "bundle--1", **bundle, "objects": objects})
    return load("a.json", text.encode()).accepted


@pytest.mark.parametrize(
    ("value", "label"),
    [
        *((tlp2_definition(tlp), tlp) for tlp in Tlp),
        (definition(TLP1_GREEN, definition_type="statement", definition={"statement": "x"}), Tlp.GREEN),
        (definition(definition_type="tlp", definition={"tlp": "white"}), Tlp.CLEAR),
        (definition(definition_type="tlp", definition={"tlp": "amber"}), Tlp.AMBER_STRICT),
        (definition(definition_type="tlp", definition={"tlp": "amber+strict"}), Tlp.AMBER_STRICT),
        (definition(definition_type="tlp", definition={"tlp": "purple"}), Tlp.AMBER_STRICT),
        (definition(definition_type="tlp", definition="red"), Tlp.AMBER_STRICT),
        (definition(definition_type="TLP:GREEN"), Tlp.GREEN),
        (definition(definition_type="TLP : RED"), Tlp.RED),
        (definition(definition_type="tlp", definition={"tlp": "red: board only"}), Tlp.RED),
        (definition(definition_type="TLP:AMBER"), Tlp.AMBER_STRICT),
        (tlp2_definition(Tlp.AMBER) | {"id": OTHER_ID, "definition_type": "TLP:GREEN"}, Tlp.AMBER),
        (tlp2_definition(Tlp.RED) | {"id": TLP1_GREEN}, Tlp.RED),
        (definition(definition_type="statement", definition={"statement": "TLP:RED"}), Tlp.RED),
        (
            definition(
                definition_type="statement", definition={"statement": "tlp: amber strict, clear later"}
            ),
            Tlp.AMBER_STRICT,
        ),
        (definition(definition_type="statement", definition={"statement": "TLP:AMBER"}), Tlp.AMBER_STRICT),
        (definition(definition_type="statement", definition={"statement": "Copyright Redmond"}), None),
        (definition(name="TLP:RED", definition_type="x", definition={}), Tlp.RED),
        (definition(name="TLP:RED", definition_type="tlp", definition={"tlp": "green"}), Tlp.GREEN),
        (definition(name=5, definition_type="statement", definition={"statement": 5}), None),
        (definition(extensions=3, definition=4, definition_type=5), None),
    ],
)
def test_a_definition_stands_for_its_strictest_reading(value, label):
    assert tlp_of_definition(value) is label


def test_our_definitions_are_valid_and_travel_as_published():
    for tlp in Tlp:
        assert read_object(json.dumps(tlp2_definition(tlp)).encode()).type == "marking-definition"
    assert tlp2_definition(Tlp.AMBER_STRICT)["name"] == "TLP:AMBER+STRICT"


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        ("tlp:red", Tlp.RED),
        ("TLP: RED", Tlp.RED),
        ("TLP:RED!", Tlp.RED),
        ("tlp:red:recipients", Tlp.RED),
        ("tlp:green", Tlp.GREEN),
        ("tlp:green:mostly", Tlp.AMBER_STRICT),
        ("tlp:ex:chr", Tlp.AMBER_STRICT),
        ("red", None),
    ],
)
def test_a_tag_makes_its_object_as_strict_as_any_label_it_names(tag, label):
    (one,) = accepted(campaign(labels=["botnet", tag]))
    assert (one.tlp, one.marked) == (label, False)


def test_the_strictest_object_labels_the_file():
    objects = accepted(
        campaign(1, object_marking_refs=[Tlp.GREEN.marking_id]),
        campaign(2, object_marking_refs=[Tlp.GREEN.marking_id, Tlp.RED.marking_id]),
    )
    assert [each.tlp for each in objects] == [Tlp.GREEN, Tlp.RED]
    assert effective_tlp(objects, None) is Tlp.RED
    assert effective_tlp(objects[:1], None) is Tlp.GREEN


def test_unmarked_objects_mean_amber_strict_until_the_sender_labels_them():
    objects = accepted(campaign(1, object_marking_refs=[Tlp.CLEAR.marking_id]), campaign(2))
    assert effective_tlp(objects, None) is Tlp.AMBER_STRICT
    assert effective_tlp(objects, Tlp.GREEN) is Tlp.GREEN
    assert effective_tlp((), None) is Tlp.AMBER_STRICT
    assert effective_tlp((), Tlp.CLEAR) is Tlp.CLEAR


def test_the_senders_label_never_weakens_a_marking():
    objects = accepted(campaign(object_marking_refs=[Tlp.AMBER_STRICT.marking_id]))
    assert effective_tlp(objects, Tlp.CLEAR) is Tlp.AMBER_STRICT
    assert effective_tlp(objects, Tlp.RED) is Tlp.RED


def test_a_marking_on_a_part_counts_but_leaves_the_rest_unmarked():
    part = {"selectors": ["name"], "marking_ref": Tlp.AMBER.marking_id}
    objects = accepted(campaign(granular_markings=[part]))
    assert [(each.tlp, each.marked) for each in objects] == [(Tlp.AMBER, False)]
    assert effective_tlp(objects, None) is Tlp.AMBER_STRICT
    assert effective_tlp(objects, Tlp.CLEAR) is Tlp.AMBER


def test_a_definition_later_in_the_file_counts_also_when_it_is_set_aside():
    bad = {
        "type": "marking-definition",
        "id": OTHER_ID,
        "definition_type": "tlp",
        "definition": {"tlp": "red"},
    }
    loaded = load(
        "a.json",
        json.dumps(
            {"type": "bundle", "id": "bundle--1", "objects": [campaign(object_marking_refs=[OTHER_ID]), bad]}
        ).encode(),
    )
    assert [each.code for each in loaded.set_aside] == ["stix.invalid"]
    assert loaded.accepted[0].tlp is Tlp.RED


def test_a_marking_on_the_bundle_counts_for_every_object():
    objects = accepted(campaign(), object_marking_refs=[Tlp.GREEN.marking_id])
    assert effective_tlp(objects, None) is Tlp.GREEN


def test_a_marking_that_is_no_tlp_leaves_the_object_unmarked():
    objects = accepted(
        definition(definition_type="statement", definition={"statement": "(c)"}),
        campaign(object_marking_refs=[OTHER_ID]),
    )
    assert effective_tlp(objects, None) is Tlp.AMBER_STRICT


def test_definitions_themselves_need_no_label():
    objects = accepted(tlp2_definition(Tlp.GREEN), campaign(object_marking_refs=[Tlp.GREEN.marking_id]))
    assert effective_tlp(objects, None) is Tlp.GREEN
