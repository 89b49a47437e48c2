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
from exchange.formats.stix.patterns import alternatives
from exchange.limits import MAX_STIX
from exchange.message import Message

_COLUMNS: Final = ("type", "value", "tlp", "valid_from", "valid_until", "name", "description", "labels", "id")
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
    for data in carried_objects(message):
        value: dict[str, Any] = orjson.loads(data)
        found = list(_indicators_of(value))
        if not found and value.get("type") == "indicator":
            losses.add(str(value.get("id"))[:100], "pattern", "it looks for more than single values")
        elif not found:
            others[str(value.get("type"))[:64]] += 1
        about = _about(value, live=live)
        size, bare = sum(map(len, about.values())), 0
        for number, (kind, each) in enumerate(found):
            repeats = number == 0 or room.takes(size)
            bare += not repeats
            facts = {"type": kind, "value": each if live else defang(each), "tlp": message.tlp.label}
            lines.append([(facts | about if repeats else facts).get(name, "") for name in _COLUMNS])
        if bare:
            losses.add(
                str(value.get("id"))[:100],
                f"all but the value on {bare} lines",
                "it stands on its first line",
            )
    losses.add("message", "subject, text and case", "a list has its indicators only")
    for name, count in sorted(others.items()):
        losses.add(f"objects of type {name}", f"{count} objects", "a list has indicators only")
    return Written(written(_COLUMNS, lines), losses.all())


def _about(value: Mapping[str, Any], *, live: bool) -> dict[str, str]:
    """What stands on the line of each value of an object."""
    texts = {name: str(value.get(name) or "") for name in ("valid_from", "valid_until", "id")}
    for name in ("name", "description"):
        text = str(value.get(name) or "")
        texts[name] = text if live else defang(text)
    labels = value.get("labels")
    texts["labels"] = "; ".join(map(str, labels)) if isinstance(labels, list) else ""
    return texts


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
