"""A message inside another: what was handed on stands among the carried objects, its own cover first.

Nothing is read anew and nothing left out: what came is what goes on, byte for byte, labels and all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.formats.objects import RawObject
from exchange.formats.stix import markings, validation
from exchange.formats.stix.cover import EXTENSION, carried_objects
from exchange.formats.stix.spans import Limits, parse, scan
from exchange.message import Message
from exchange.tlp import Tlp, strictest


@dataclass(frozen=True)
class Original:
    """A message found inside another, as whoever handed it on shows it: nobody signed for it but them.

    `author` is the STIX identity of its sender and `name` what that identity is called, empty where it doesn't travel.
    """

    id: str
    kind: str
    subject: str
    author: str
    name: str


def objects_of(message: Message) -> tuple[RawObject, ...]:
    """Every object of the message's bundle in order, its cover and its sender's identity too, as objects to carry."""
    document = scan(message.bundle, Limits())
    spans = [document.bytes_of(span) for span in document.items]
    values = [value if isinstance(value, dict) else {} for value in map(parse, spans)]
    definitions: dict[str, Tlp] = {}
    for value in values:
        markings.collect_definition(value, definitions)
    return tuple(_raw(data, value, definitions) for data, value in zip(spans, values, strict=True))


def original_of(message: Message) -> Original | None:
    """The message that this one hands on; None where it carries no other's cover."""
    values = [value for value in map(parse, carried_objects(message)) if isinstance(value, dict)]
    cover = next((value for value in values if is_cover(value)), None)
    if cover is None:
        return None
    extension, author = cover["extensions"][EXTENSION], str(cover.get("created_by_ref", ""))
    return Original(
        id=str(extension.get("message_id", "")),
        kind=str(extension.get("kind", "")),
        subject=str(cover.get("abstract" if cover.get("type") == "note" else "name", "")),
        author=author,
        name=_name_of(author, values),
    )


def is_cover(value: Mapping[str, Any]) -> bool:
    """Whether an object is the cover of a message."""
    return isinstance(validation.extensions_of(value).get(EXTENSION), dict)


def _name_of(author: str, values: Sequence[Mapping[str, Any]]) -> str:
    names = (value.get("name") for value in values if value.get("id") == author)
    return next((name for name in names if isinstance(name, str)), "")


def _raw(data: bytes, value: Mapping[str, Any], definitions: Mapping[str, Tlp]) -> RawObject:
    whole = markings.resolve(markings.marking_refs(value), definitions)
    found = whole + markings.resolve(markings.granular_refs(value), definitions) + markings.tags(value)
    return RawObject(
        id=str(value.get("id")),
        type=str(value.get("type")),
        version="2.1" if value.get("spec_version") == "2.1" else "2.0",
        data=data,
        tlp=strictest(found) if found else None,
        marked=bool(whole),
        is_core_incident=validation.carries_incident_core(value),
    )
