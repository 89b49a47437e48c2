"""STIX objects as MISP attributes: what each says by itself, without what our extension remembers of an origin.

`misp/attribute` asks it what must be remembered, `misp/write` what to write of objects that never were in MISP.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from exchange.formats.making import NAMESPACE
from exchange.formats.misp.labels import INHERIT
from exchange.formats.misp.stix import compared, observed
from exchange.formats.misp.types import RULES, Comparison, attribute_of, category_of
from exchange.formats.stix.patterns import alternatives
from exchange.formats.stix.time import from_iso

Value = Mapping[str, Any]
# MISP keeps the rules of Suricata as Snort's; a language that it knows nothing of is no rule there.
_RULE_TYPES: Final = {language: type_ for type_, language in RULES.items()} | {"suricata": "snort"}
_OTHER: Final = "other"
# Names that MISP has an attribute for, by the STIX type that they are the name of.
_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "threat-actor": ("threat-actor", "Attribution"),
    "intrusion-set": ("threat-actor", "Attribution"),
    "campaign": ("campaign-name", "Attribution"),
    "malware": ("malware-type", "Payload delivery"),
    "vulnerability": ("vulnerability", "External analysis"),
}

_Found = list[tuple[str, str, str]]  # type, category, value


def attributes_of(value: Value, others: Mapping[str, Value]) -> list[dict[str, Any]]:
    """The attributes that say what an object says; none where MISP has none for it. `others`: objects it refers to."""
    reader = _READERS.get(value["type"])
    found = reader(value, others) if reader else []
    return _attributes(value, found)


def rule_of(value: Value) -> list[dict[str, Any]]:
    """An indicator's pattern as one attribute, however many values it looks for."""
    return _attributes(value, [("stix2-pattern", category_of("stix2-pattern"), str(value["pattern"]))])


def _attributes(value: Value, found: _Found) -> list[dict[str, Any]]:
    if value["type"] in _NAMES and isinstance(value.get("name"), str):
        type_, category = _NAMES[value["type"]]
        found = [(type_, category, value["name"])]
    its_uuid = str(value["id"]).partition("--")[2]
    return [
        {
            "uuid": its_uuid if len(found) == 1 else str(uuid.uuid5(NAMESPACE, f"{its_uuid} {number}")),
            "type": type_,
            "category": category,
            "value": text,
            "to_ids": value["type"] == "indicator" and type_ != _OTHER,
            "comment": _comment(value),
            "timestamp": seconds(value.get("modified")),
            "distribution": INHERIT,
            "disable_correlation": False,
        }
        for number, (type_, category, text) in enumerate(found)
    ]


def seconds(time: object) -> str:
    """A STIX time as MISP's timestamp; an observable has none, and is as old as can be."""
    try:
        return str(from_iso(str(time)) // 1_000)
    except ValueError:
        return "0"


def _comment(value: Value) -> str:
    text = value.get("description") if value["type"] in ("indicator", *_NAMES) else ""
    return text if isinstance(text, str) else ""


def _of_indicator(value: Value, _: Mapping[str, Value]) -> _Found:
    text, language = str(value.get("pattern", "")), value.get("pattern_type", "stix")
    if language != "stix":
        type_ = _RULE_TYPES.get(str(language), _OTHER)
        return [(type_, category_of(type_), text)]
    together = compared(text)
    whole = _said(together) if together else []
    if whole:
        return whole
    each_alone = [_said([one]) for one in alternatives(text) or ()]
    if each_alone and all(each_alone):
        return [one for found in each_alone for one in found]
    return [("stix2-pattern", category_of("stix2-pattern"), text)]


def _of_observable(value: Value, others: Mapping[str, Value]) -> _Found:
    found = observed(value, others)
    return _said(found) or [one for each in found for one in _said([each])]


def _of_observed_data(value: Value, others: Mapping[str, Value]) -> _Found:
    refs = value.get("object_refs")
    there = [others[ref] for ref in refs if ref in others] if isinstance(refs, list) else []
    within = {ref for each in there for ref in _referred(each)}
    return [one for each in there if each["id"] not in within for one in _of_observable(each, others)]


def _referred(value: Value) -> list[str]:
    refs = [value.get("src_ref"), value.get("dst_ref"), *value.get("resolves_to_refs", ())]
    return [ref for ref in refs if isinstance(ref, str)]


def _of_note(value: Value, _: Mapping[str, Value]) -> _Found:
    return [("text", "Other", str(value.get("content", "")))]


def _said(found: Sequence[Comparison]) -> _Found:
    said = attribute_of(found)
    return [(said[0], category_of(said[0]), said[1])] if said else []


_READERS: Final[Mapping[str, Callable[[Value, Mapping[str, Value]], _Found]]] = {
    "indicator": _of_indicator,
    "observed-data": _of_observed_data,
    "note": _of_note,
    **dict.fromkeys(
        (
            "autonomous-system",
            "domain-name",
            "email-addr",
            "email-message",
            "file",
            "ipv4-addr",
            "ipv6-addr",
            "mac-addr",
            "mutex",
            "network-traffic",
            "url",
            "windows-registry-key",
            "x509-certificate",
        ),
        _of_observable,
    ),
}
OBSERVABLES: Final = frozenset(type_ for type_, reader in _READERS.items() if reader is _of_observable)
