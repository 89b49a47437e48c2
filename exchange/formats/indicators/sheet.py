"""Writes the indicators of a message as CSV: for people with their addresses made harmless, for machines as they are.

Reading such a list is `indicators/table`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from exchange.formats.indicators.defang import defang
from exchange.formats.indicators.indicator import Kind
from exchange.formats.making import Room
from exchange.formats.members import Losses
from exchange.formats.source import Written
from exchange.formats.spreadsheet import written
from exchange.formats.stix.cover import carried_objects
from exchange.formats.stix.markings import marking_refs
from exchange.formats.stix.patterns import alternatives
from exchange.formats.stix.permissions import is_label, pap_of_message
from exchange.limits import MAX_STIX
from exchange.message import Message

_COLUMNS: Final = (
    "type",
    "value",
    "tlp",
    "pap",
    "exercise",
    "valid_from",
    "valid_until",
    "confidence",
    "name",
    "description",
    "labels",
    "reference",
    "id",
)
_NO_COLUMN: Final = "a list has no column for it"
# What a line tells by its value, its label or its columns, whatever it says.
_TOLD: Final = frozenset(
    (
        "type",
        "spec_version",
        "id",
        "pattern",
        "pattern_type",
        "value",
        "hashes",
        "valid_from",
        "valid_until",
        "confidence",
        "name",
        "description",
        "labels",
        "external_references",
    )
)
_OBSERVABLES: Final = {
    "ipv4-addr": "value",
    "ipv6-addr": "value",
    "domain-name": "value",
    "url": "value",
    "email-addr": "value",
    "autonomous-system": "number",
}


def write(message: Message) -> Written:
    """The indicators of a message, their addresses made harmless: what people open in a spreadsheet."""
    return _write(message, live=False)


def write_live(message: Message) -> Written:
    """The indicators of a message as they are, for a machine that is to look for them."""
    return _write(message, live=True)


def _write(message: Message, *, live: bool) -> Written:
    losses, lines, others, room = Losses(), list[list[str]](), Counter[str](), Room(MAX_STIX)
    pap = pap_of_message(message)
    every = {"tlp": message.tlp.label, "pap": pap.label if pap else "", "exercise": message.exercise_id or ""}
    for data in carried_objects(message):
        value: dict[str, Any] = orjson.loads(data)
        revoked = value.get("revoked") is True
        found = [] if revoked else list(_indicators_of(value))
        if revoked:
            losses.add(str(value.get("id"))[:100], str(value.get("type"))[:64], "its author has revoked it")
        elif not found and value.get("type") == "indicator":
            losses.add(str(value.get("id"))[:100], "pattern", "it looks for more than single values")
        elif not found:
            others[str(value.get("type"))[:64]] += 1
        about = _about(value, live=live)
        size, bare = sum(map(len, about.values())), 0
        for number, (kind, each) in enumerate(found):
            repeats = number == 0 or room.takes(size)
            bare += not repeats
            facts = every | {"type": kind, "value": each if live else defang(each)}
            lines.append([(facts | about if repeats else facts).get(name, "") for name in _COLUMNS])
        if found:
            _name_untold(losses, value, message.author)
        if bare:
            losses.add(
                str(value.get("id"))[:100],
                f"all but the value on {bare} lines",
                "it stands on its first line",
            )
    losses.message(message, ("pap", "exercise_id"), "a list has its indicators only")
    for name, count in sorted(others.items()):
        losses.add(f"objects of type {name}", f"{count} objects", "a list has indicators only")
    return Written(written(_COLUMNS, lines), losses.all())


def _about(value: Mapping[str, Any], *, live: bool) -> dict[str, str]:
    """What stands on the line of each value of an object."""
    texts = {name: str(value.get(name) or "") for name in ("valid_from", "valid_until", "id")}
    texts["confidence"] = str(value.get("confidence", ""))
    links = (str(each["url"]) for each in _references(value) if each.get("url"))
    said = {"name": value.get("name"), "description": value.get("description"), "reference": " ".join(links)}
    for name, each in said.items():
        text = str(each or "")
        texts[name] = text if live else defang(text)
    labels = value.get("labels")
    texts["labels"] = "; ".join(map(str, labels)) if isinstance(labels, list) else ""
    return texts


def _name_untold(losses: Losses, value: Mapping[str, Any], author: str) -> None:
    """Name the members of an object that its lines don't tell."""
    number = _OBSERVABLES.get(str(value.get("type")))
    told = {
        number: True,
        "created": value.get("created") == value.get("valid_from", value.get("created")),
        "modified": value.get("modified") == value.get("created"),
        "created_by_ref": value.get("created_by_ref") == author,
        "object_marking_refs": all(map(is_label, marking_refs(value))),
    }
    object_type = str(value.get("type"))
    losses.members(
        object_type, [each for each in value if each not in _TOLD and not told.get(each)], _NO_COLUMN
    )
    plain = ({"source_name": "list", "url": each.get("url")} for each in _references(value))
    if any(each != told_of for each, told_of in zip(_references(value), plain, strict=True)):
        losses.members(object_type, ["external_references"], "a list has nothing but their links")


def _references(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The external references of an object, but for the number of a vulnerability: that is its value."""
    listed = value.get("external_references")
    found = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [
        each
        for each in found
        if each.keys() != {"source_name", "external_id"} or each["source_name"] != "cve"
    ]


def _indicators_of(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and value of everything in an object that a list can hold."""
    object_type = str(value.get("type"))
    if object_type == "indicator" and value.get("pattern_type", "stix") == "stix":
        for path, text in alternatives(str(value.get("pattern"))) or ():
            yield _kind_of_path(path, text), text
    elif object_type == "vulnerability":
        for each in value.get("external_references") or ():
            if isinstance(each, dict) and each.get("source_name") == "cve" and each.get("external_id"):
                yield Kind.CVE, str(each["external_id"])
    elif object_type == "file":
        hashes = value.get("hashes")
        for name, digest in hashes.items() if isinstance(hashes, dict) else ():
            yield _kind_of_path(f"file:hashes.{name}", str(digest)), str(digest)
        if not hashes and value.get("name"):
            yield Kind.FILE, str(value["name"])
    elif object_type in _OBSERVABLES and value.get(_OBSERVABLES[object_type]) is not None:
        member = _OBSERVABLES[object_type]
        text = str(value[member])
        yield _kind_of_path(f"{object_type}:{member}", text), text


def _kind_of_path(path: str, text: str) -> str:
    """What a list calls it: one of `Kind`, or the path itself."""
    object_type, _, rest = path.partition(":")
    if path in ("ipv4-addr:value", "ipv6-addr:value"):
        return Kind.NETWORK if "/" in text else Kind.IP
    if rest.startswith("hashes."):
        name = rest.removeprefix("hashes.").strip("'").lower().replace("-", "")
        return name if name in tuple(Kind) else path
    named = {
        "domain-name:value": Kind.DOMAIN,
        "url:value": Kind.URL,
        "email-addr:value": Kind.EMAIL,
        "file:name": Kind.FILE,
        "autonomous-system:number": Kind.ASN,
    }
    return named.get(path, f"{object_type}:{rest}")
