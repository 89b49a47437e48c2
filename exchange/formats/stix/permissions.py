"""Reads PAP out of STIX: `PAP:` tags among the labels, and markings that are or say one, on the whole or on parts.

The labels and their order are `exchange.pap`'s; what a label closes is `release`'s (docs/policy.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from exchange.formats.stix import markings
from exchange.formats.stix.spans import Limits, parse, scan
from exchange.message import Message
from exchange.pap import MARKING_EXTENSION, Pap, pap_of_marking_id, pap_of_tag, pap_of_word, strictest
from exchange.tlp import tlp_of_marking_id


def collect_definition(value: object, definitions: dict[str, Pap]) -> None:
    """Note in `definitions` the PAP label that a marking-definition stands for, by its id; other objects are passed."""
    if not isinstance(value, dict) or value.get("type") != "marking-definition":
        return
    object_id = str(value.get("id"))
    label = strictest([*_of_definition(value), *_known(definitions.get(object_id))])
    if label is not None:
        definitions[object_id] = label


def pap_of(value: Mapping[str, Any], definitions: Mapping[str, Pap]) -> Pap | None:
    """The strictest PAP label on an object or bundle, or on a part of it; None without one."""
    labels = value.get("labels")
    tags = labels if isinstance(labels, list) else []
    found = [label for tag in tags if isinstance(tag, str) for label in _known(pap_of_tag(tag))]
    for ref in markings.marking_refs(value) + markings.granular_refs(value):
        found += [*_known(pap_of_marking_id(ref)), *_known(definitions.get(ref))]
    return strictest(found)


def is_label(ref: str) -> bool:
    """Whether a marking is a well-known label of TLP or PAP."""
    return tlp_of_marking_id(ref) is not None or pap_of_marking_id(ref) is not None


def pap_of_all(values: Iterable[Mapping[str, Any]]) -> Pap | None:
    """The strictest label of objects that came together, which may define markings for each other."""
    values = tuple(values)
    definitions: dict[str, Pap] = {}
    for value in values:
        collect_definition(value, definitions)
    return strictest(label for value in values for label in _known(pap_of(value, definitions)))


def pap_of_message(message: Message) -> Pap | None:
    """The strictest label anywhere in a message: its own, on its bundle, its cover and what it carries."""
    document = scan(message.bundle, Limits())
    spans = [document.bytes_of(span) for span in document.items]
    around = document.members.get("object_marking_refs")
    if around is not None:
        spans.append(b'{"object_marking_refs":%b}' % document.bytes_of(around))
    carried = pap_of_all(value for value in map(parse, spans) if isinstance(value, dict))
    return strictest([*_known(message.pap), *_known(carried)])


def _of_definition(value: Mapping[str, Any]) -> Iterable[Pap]:
    """What a definition says of itself: by a well-known id, by the extension, as a statement, as a type of its own."""
    yield from _known(pap_of_marking_id(str(value.get("id"))))
    extensions = value.get("extensions")
    extension = extensions.get(MARKING_EXTENSION) if isinstance(extensions, dict) else None
    if isinstance(extension, dict):
        yield pap_of_word(str(extension.get("pap")))
    kind, definition = str(value.get("definition_type", "")), value.get("definition")
    yield from _known(pap_of_tag(kind))
    if not isinstance(definition, dict):
        return
    if kind.lower() == "pap":
        yield pap_of_word(str(definition.get("pap")))
    yield from _known(pap_of_tag(str(definition.get("statement", ""))))


def _known(label: Pap | None) -> tuple[Pap, ...]:
    return () if label is None else (label,)
