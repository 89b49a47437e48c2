"""What a MISP value compares, as a STIX pattern and as STIX observables, and both read back.

The paths are `misp/types`'; which attribute becomes which object is `misp/attribute`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from exchange.formats.making import made_id, observable_id
from exchange.formats.misp.types import Comparison, is_network
from exchange.formats.stix.patterns import checked, literal

# The properties that an observable's id is made of (STIX 2.1 chapter 6).
_CONTRIBUTING: Final[Mapping[str, tuple[str, ...]]] = {
    "artifact": ("hashes", "payload_bin"),
    "autonomous-system": ("number",),
    "email-message": ("from_ref", "subject", "body"),
    "file": ("hashes", "name"),
    "mutex": ("name",),
    "network-traffic": ("src_ref", "dst_ref", "src_port", "dst_port", "protocols"),
    "windows-registry-key": ("key", "values"),
    "x509-certificate": ("hashes",),
}
_IDENTIFYING_HASHES: Final = frozenset({"MD5", "SHA-1", "SHA-256", "SHA-512"})
# Paths that are looked for and aren't the property of any one observable.
_ONLY_LOOKED_FOR: Final = (".extensions.", ":extensions.", "body_multipart", "additional_header_fields")
_COMPARISON: Final = re.compile(
    r"(?P<path>[a-z0-9-]+:[A-Za-z0-9_.'*\[\]-]+) (?:=|ISSUBSET) "
    r"(?:'(?P<text>(?:[^'\\]|\\['\\])*)'|(?P<number>[0-9]{1,10}))"
)
_AND: Final = " AND "


def pattern(found: Sequence[Comparison]) -> str:
    """One observation of which all comparisons hold. Raises Refused `stix.bad-pattern`."""
    terms = []
    for path, value in found:
        written = str(value) if isinstance(value, int) else literal(value)
        network = path.startswith("ipv") and is_network(str(value))
        terms.append(f"{path} {'ISSUBSET' if network else '='} {written}")
    return checked(f"[{_AND.join(terms)}]")


def compared(text: str) -> list[Comparison] | None:
    """The comparisons of a pattern as `pattern` writes it; None for every other one."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    found: list[Comparison] = []
    at, end = 1, len(text) - 1
    while True:
        match = _COMPARISON.match(text, at, end)
        if match is None:
            return None
        plain = re.sub(r"\\(['\\])", r"\1", match["text"] or "")
        found.append((match["path"], int(match["number"]) if match["number"] else plain))
        if match.end() == end:
            return found
        if not text.startswith(_AND, match.end()):
            return None
        at = match.end() + len(_AND)


def observables(found: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The observables that comparisons speak of, what is referred to first, ids included; none where they have none."""
    if any(mark in path for path, _ in found for mark in _ONLY_LOOKED_FOR):
        return []
    made: dict[str, dict[str, Any]] = {}
    referred: list[dict[str, Any]] = []
    for path, value in found:
        type_, _, name = path.partition(":")
        one = made.setdefault(type_, {"type": type_})
        if name.startswith("hashes."):
            one.setdefault("hashes", {})[name.removeprefix("hashes.").strip("'")] = value
        elif name.startswith("values[*]."):
            one.setdefault("values", []).append({name.partition(".")[2]: value})
        elif ".value" in name or name.startswith("resolves_to_refs"):
            target = identified(_address(str(value)))
            referred.append(target)
            many = name.startswith("resolves_to_refs")
            one[name.partition(".")[0].removesuffix("[*]")] = [target["id"]] if many else target["id"]
        else:
            one[name] = value
    for one in made.values():
        if one["type"] == "email-message":
            one["is_multipart"] = False
        if one["type"] == "network-traffic":
            one["protocols"] = ["ipv6" if any(each["type"] == "ipv6-addr" for each in referred) else "ipv4"]
    return [*referred, *map(identified, made.values())]


def _address(value: str) -> dict[str, Any]:
    if ":" in value:
        return {"type": "ipv6-addr", "value": value}
    numeric = value.replace(".", "").replace("/", "").isdigit()
    return {"type": "ipv4-addr" if numeric else "domain-name", "value": value}


def identified(value: dict[str, Any]) -> dict[str, Any]:
    """An observable with its id: the same facts have the same one in every tool.

    One that says more than the facts which STIX makes an id of has an id of its own: a domain alone isn't the same as
    with an address it resolved to.
    """
    names = _CONTRIBUTING.get(value["type"], ("value",))
    facts = {name: each for name, each in value.items() if name not in ("type", "is_multipart")}
    hashes = facts.get("hashes", {})
    ordinary = facts.keys() <= set(names) and len(hashes) < 2 and hashes.keys() <= _IDENTIFYING_HASHES
    said = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS).decode()
    made = observable_id(value["type"], **facts) if ordinary else made_id(value["type"], said)
    return {**value, "id": made}


def observed(value: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> list[Comparison]:
    """The comparisons that an observable stands for: what `observables` made it of. `others` by id."""
    type_ = value["type"]
    found: list[Comparison] = []
    for name, each in value.items():
        if name == "hashes" and isinstance(each, dict):
            found += [(f"{type_}:hashes.{_key(key)}", text) for key, text in each.items()]
        elif name == "values" and isinstance(each, list):
            found += [(f"{type_}:values[*].data", one["data"]) for one in each if "data" in one]
        elif name in ("src_ref", "dst_ref", "resolves_to_refs"):
            many = isinstance(each, list)
            for ref in each if many else [each]:
                target = others.get(ref, {}).get("value")
                if isinstance(target, str):
                    found.append((f"{type_}:{name}{'[*]' if many else ''}.value", target))
        elif name in _PROPERTIES.get(type_, ("value",)) and isinstance(each, str | int):
            found.append((f"{type_}:{name}", each))
    return found


_PROPERTIES: Final[Mapping[str, tuple[str, ...]]] = {
    "autonomous-system": ("number",),
    "email-message": ("subject", "body", "message_id"),
    "file": ("name",),
    "mutex": ("name",),
    "network-traffic": ("src_port", "dst_port"),
    "windows-registry-key": ("key",),
}


def _key(name: str) -> str:
    return name if name.isalnum() else f"'{name}'"
