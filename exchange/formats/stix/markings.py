"""Reads TLP out of STIX: markings of TLP 2.0 and TLP 1, on objects, on parts of them, on the bundle; tags in `labels`.

The labels and their order are `exchange.tlp`'s; what a label permits is `policy`'s. Here only: which label does this
object carry, and what is the label of them all (docs/messages.md, Labels).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from exchange import tlp as labels
from exchange.formats.objects import RawObject
from exchange.tlp import DEFAULT, Tlp, strictest, tlp_of_marking_id

TLP2_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
# Objects that say something about other objects' markings or shape, and nothing that needs a label of its own.
_UNLABELLED_TYPES = frozenset({"marking-definition", "extension-definition"})


def tlp_of_definition(value: Mapping[str, Any]) -> Tlp | None:
    """The label a marking-definition object stands for; None if it is no TLP marking.

    A well-known id counts whatever the object says; so does the TLP 2.0 extension. Otherwise `definition_type` `tlp`
    with its definition (TLP 1), the spelling `definition_type: "TLP:GREEN"` that some tools write, and a statement
    that says a label are read, their amber as AMBER+STRICT; where nothing else says one, also the name. A TLP marking
    with an unknown word counts as unmarked data does. The strictest wins.
    """
    found = []
    by_id = tlp_of_marking_id(str(value.get("id")))
    if by_id is not None:
        found.append(by_id)
    extensions = value.get("extensions")
    extension = extensions.get(TLP2_EXTENSION) if isinstance(extensions, dict) else None
    if isinstance(extension, dict):
        found.append(labels.read_label(str(extension.get("tlp_2_0")), tlp1=False) or DEFAULT)
    kind = str(value.get("definition_type", ""))
    definition = value.get("definition")
    if kind.lower() == "tlp":
        word = definition.get("tlp") if isinstance(definition, dict) else None
        found.append(labels.read_label(str(word), tlp1=True) or DEFAULT)
    elif labels.is_tag(kind):
        found.append(labels.read_label(kind, tlp1=True) or DEFAULT)
    elif kind.lower() == "statement" and isinstance(definition, dict):
        found += _in_words(definition.get("statement"))
    found = found or _in_words(value.get("name"))
    return strictest(found) if found else None


def _in_words(text: object) -> list[Tlp]:
    return labels.labels_in(text) if isinstance(text, str) else []


def collect_definition(value: object, definitions: dict[str, Tlp]) -> None:
    """Note in `definitions` what a marking-definition stands for; also one set aside, for others refer to it."""
    if not isinstance(value, dict) or value.get("type") != "marking-definition":
        return
    label = tlp_of_definition(value)
    if label is not None:
        object_id = str(value.get("id"))
        definitions[object_id] = strictest([label, definitions.get(object_id, label)])


def marking_refs(value: Mapping[str, Any]) -> list[str]:
    """The ids of the markings on the whole of an object or bundle."""
    refs = value.get("object_marking_refs")
    return [ref for ref in refs if isinstance(ref, str)] if isinstance(refs, list) else []


def granular_refs(value: Mapping[str, Any]) -> list[str]:
    """The ids of the markings on parts of an object."""
    parts = value.get("granular_markings")
    if not isinstance(parts, list):
        return []
    refs = (part.get("marking_ref") for part in parts if isinstance(part, dict))
    return [ref for ref in refs if isinstance(ref, str)]


def tags(value: Mapping[str, Any]) -> list[Tlp]:
    """The labels that an object's tags say: `tlp:red` among `labels`. An unknown word is AMBER+STRICT.

    A tag makes an object's label stricter; it doesn't make the object marked.
    """
    listed = value.get("labels")
    if not listed or not isinstance(listed, list):
        return []
    said = [tag for tag in listed if isinstance(tag, str) and labels.is_tag(tag)]
    return [labels.read_label(tag, tlp1=False) or DEFAULT for tag in said]


def resolve(refs: Iterable[str], definitions: Mapping[str, Tlp]) -> list[Tlp]:
    """The labels among marking ids: the well-known ones and those the file itself defines, the stricter of both."""
    return [label for ref in refs for label in _labels_of(ref, definitions)]


def _labels_of(ref: str, definitions: Mapping[str, Tlp]) -> Iterator[Tlp]:
    for label in (tlp_of_marking_id(ref), definitions.get(ref)):
        if label is not None:
            yield label


def effective_tlp(objects: Iterable[RawObject], label: Tlp | None) -> Tlp:
    """The label of a message that carries `objects`: the strictest of their markings and the sender's `label`.

    `label` is for whatever carries no marking; a stricter marking of an object wins. Without it, unmarked objects,
    and a message without objects, count as AMBER+STRICT.
    """
    objects = tuple(objects)
    found = [each.tlp for each in objects if each.tlp is not None]
    if label is not None:
        found.append(label)
    elif any(not each.marked and each.type not in _UNLABELLED_TYPES for each in objects):
        found.append(DEFAULT)
    return strictest(found)


def tlp2_definition(tlp: Tlp) -> dict[str, Any]:
    """The OASIS marking-definition object of a TLP 2.0 label: it is not predefined, so it travels in the bundle."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": tlp.marking_id,
        "created": "2022-10-01T00:00:00.000Z",
        "name": tlp.label,
        "extensions": {TLP2_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": tlp.word}},
    }
