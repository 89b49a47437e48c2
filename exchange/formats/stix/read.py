"""Reads STIX files, 2.0 and 2.1: a bundle, a bare object or a list of objects, each object's bytes kept as they are.

A bad object is set aside with its reason and the rest goes on; only a file that can't be read as a whole is refused.
`stix/spans` finds the objects, `validation` judges them, `markings` reads their labels; this file puts them together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from exchange.errors import Refused
from exchange.formats.objects import Loaded, RawObject, SetAside, Version
from exchange.formats.source import Source, Written
from exchange.formats.stix import markings, permissions, validation
from exchange.formats.stix.spans import Document, Limits, Span, parse, scan
from exchange.message import Message
from exchange.pap import Pap
from exchange.tlp import Tlp, strictest

FORMAT = "stix"
# Within a bundle an object stands two levels deep, and the whole bundle has Limits.max_depth.
_LEVELS_AROUND_AN_OBJECT = 2
_ID = re.compile(r"[A-Za-z0-9-]{3,250}--[0-9A-Fa-f-]{36}")


class _Checked(NamedTuple):
    """A valid object whose markings aren't resolved yet: a definition may stand later in the file."""

    id: str
    type: str
    version: Version
    data: bytes
    is_core_incident: bool
    refs: list[str]
    granular: list[str]
    tags: list[Tlp]


def recognise(source: Source) -> bool:
    """Whether the file is meant as STIX: a bundle, an object with type and id, or a list of such objects."""
    document = source.document
    if document is None:
        return False
    if document.is_object:
        return {"type", "id"} <= document.members.keys() or _text(document, "type") == "bundle"
    if document.is_list and document.items:
        first = parse(document.bytes_of(document.items[0]))
        return isinstance(first, dict) and {"type", "id"} <= first.keys()
    return False


def read(source: Source, limits: Limits) -> Loaded:
    """Read every object of a recognised file; each stands once in the result, in the file's order.

    Objects with the same id, versions or repeats, are all kept: messages are never deduplicated by STIX id.

    Raises: Refused `stix.ambiguous-file`, `stix.bad-bundle`, `json.too-deep`.
    """
    document = source.scanned()
    is_bundle = _text(document, "type") == "bundle"
    around = _LEVELS_AROUND_AN_OBJECT if not document.is_list else 1
    if not is_bundle and document.depth + around > limits.max_depth:
        raise Refused("json.too-deep", f"more than {limits.max_depth} levels in a bundle")
    bundle_refs: list[str] = []
    spans, values = document.items, document.values()
    if is_bundle:
        if document.repeated is not None:
            raise Refused("stix.ambiguous-file")
        objects = document.members.get("objects")
        if objects is None or not document.bytes_of(objects).startswith(b"["):
            raise Refused("stix.bad-bundle")
        bundle_refs = markings.marking_refs(_bundle_properties(document))
    elif not document.is_list:
        spans, values = (document.root,), (parse(document.bytes_of(document.root)),)

    checked: list[_Checked] = []
    aside: list[SetAside] = []
    definitions: dict[str, Tlp] = {}
    paps: dict[str, Pap] = {}
    for place, (span, value) in enumerate(zip(spans, values, strict=True)):
        try:
            checked.append(_check(document.bytes_of(span), value, span))
        except Refused as refusal:
            aside.append(SetAside(_name_of(value, place), refusal.code, refusal.detail))
        markings.collect_definition(value, definitions)
        if bundle_refs:
            permissions.collect_definition(value, paps)
    on_all = markings.resolve(bundle_refs, definitions)
    accepted = tuple(_mark(each, on_all, definitions) for each in checked)
    pap = permissions.pap_of({"object_marking_refs": bundle_refs}, paps)
    return Loaded(source.name, FORMAT, accepted=accepted, set_aside=tuple(aside), pap=pap)


def write(message: Message) -> Written:
    """The exact bundle that was signed."""
    return Written(message.bundle)


def read_object(data: bytes) -> RawObject:
    """Read one object on its own, as this program builds them.

    Raises: Refused `json.*` or `stix.*`.
    """
    span = scan(data, Limits()).root
    value = parse(data[span.start : span.end])
    definitions: dict[str, Tlp] = {}
    markings.collect_definition(value, definitions)
    return _mark(_check(data[span.start : span.end], value, span), [], definitions)


def object_of(value: dict[str, Any]) -> RawObject:
    """An object made here, as `read_object` would read it; made of a dictionary, it has no key twice.

    Raises: Refused `stix.*`.
    """
    data = orjson.dumps(value)
    definitions: dict[str, Tlp] = {}
    markings.collect_definition(value, definitions)
    return _mark(_check(data, value, Span(0, len(data))), [], definitions)


def _check(data: bytes, value: object, span: Span) -> _Checked:
    if span.repeated is not None:
        raise Refused("stix.duplicate-key")
    if value is None:
        raise Refused("stix.bad-value" if data.startswith(b"{") else "stix.not-an-object")
    if not isinstance(value, dict):
        raise Refused("stix.not-an-object")
    version = validation.check_object(value)
    return _Checked(
        value["id"],
        value["type"],
        version,
        data,
        validation.carries_incident_core(value),
        markings.marking_refs(value),
        markings.granular_refs(value),
        markings.tags(value),
    )


def _mark(checked: _Checked, on_all: list[Tlp], definitions: Mapping[str, Tlp]) -> RawObject:
    object_id, object_type, version, data, is_core_incident, refs, granular, tags = checked
    whole = on_all + markings.resolve(refs, definitions) if refs else on_all
    found = whole + markings.resolve(granular, definitions) + tags if granular or tags else whole
    tlp = strictest(found) if found else None
    return RawObject(object_id, object_type, version, data, tlp, bool(whole), is_core_incident)


def _name_of(value: object, place: int) -> str:
    object_id = value.get("id") if isinstance(value, dict) else None
    return object_id if isinstance(object_id, str) and _ID.fullmatch(object_id) else f"#{place}"


def _text(document: Document, key: str) -> str | None:
    span = document.members.get(key)
    value = parse(document.bytes_of(span)) if span else None
    return value if isinstance(value, str) else None


def _bundle_properties(document: Document) -> dict[str, Any]:
    span = document.members.get("object_marking_refs")
    return {"object_marking_refs": parse(document.bytes_of(span))} if span else {}
