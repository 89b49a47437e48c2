"""Makes of an object type's schema a flat one that says yes sooner, and never to an object that the schema refuses.

The schemas of STIX hold for an object through several files at once, and one of them matches each name of an object
against regular expressions. The flat form has the names that the schemas spell out, each with all its rules put
together, and the common kind of custom names. It is stricter than the schema, so its yes is an answer and its no is
none: `validation` then asks the schema itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urljoin

Schema = Mapping[str, Any]

_ANNOTATIONS: Final = frozenset({"$id", "$schema", "title", "description", "definitions"})
# What a part says about names, and what is said anew for all parts together.
_NAMES: Final = frozenset({"type", "required", "properties", "patternProperties", "additionalProperties"})
# Keywords whose meaning doesn't depend on what stands beside them.
_ALONE: Final = frozenset(
    {
        "type",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "not",
        "anyOf",
    }
)
# Custom names that the flat forms take. The patterns of names treat them all as they treat the sample: the shortest
# has 6 characters and the longest 66, none ends in _bin or _hex.
_CUSTOM: Final = r"^x_[a-z0-9_]{0,60}(?:_id|_ref|[a-z0-9]{4})$"
_CUSTOM_SAMPLE: Final = "x_custom"
_PATTERNS_OF_NAMES: Final = frozenset(
    {
        r"^[a-z0-9_]{3,250}$",
        r"^([a-z][a-z0-9_]{2,249})|id$",
        r"^[a-z][a-z0-9_]{0,245}_bin$",
        r"^[a-z][a-z0-9_]{0,245}_hex$",
    }
)
_SECONDS: Final = (
    r"^[0-9]{4}-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)"
)
# Two patterns that the schemas want together, and the one that wants as much.
_BOTH: Final = {
    (rf"{_SECONDS}(\.[0-9]+)?Z$", rf"T\d{{2}}:\d{{2}}:\d{{2}}\.\d{digits}Z$"): rf"{_SECONDS}\.[0-9]{digits}Z$"
    for digits in ("{3}", "{3,}")
}


def flatten(
    object_type: str,
    schema: Schema,
    named: Mapping[str, Schema],
    holds: Callable[[Schema, object], bool],
    *,
    without: str,
) -> dict[str, Any] | None:
    """The flat form of an object type's `schema`; None for a schema that speaks of names in other ways than STIX's do.

    `named` are all schemas by their ids, `holds` judges a value by a schema whose references are absolute. The flat
    form takes only objects whose id begins with the type, and none with the property `without`.
    """
    parts = [*_parts(_absolute(schema, schema["$id"]), named), _own_id(object_type)]
    closed = [part for part in parts if part.get("additionalProperties") is False]
    others = [part for part in parts if part not in closed]
    if any("additionalProperties" in part or "patternProperties" in part for part in others):
        return None
    names = dict.fromkeys(name for part in parts for name in part.get("properties", ()))
    names.pop(without, None)
    flat: dict[str, Any] = {
        "type": "object",
        "required": sorted({name for part in parts for name in part.get("required", ())}),
        "properties": {
            name: _together([leaf for rule in _rules(name, parts) for leaf in _parts(rule, named)], holds)
            for name in names
            if all(_rules(name, [part]) for part in closed)
        },
        "additionalProperties": False,
    }
    if closed and all(
        _rules(_CUSTOM_SAMPLE, [part]) and part.get("patternProperties", {}).keys() <= _PATTERNS_OF_NAMES
        for part in closed
    ):
        flat["patternProperties"] = {_CUSTOM: {"allOf": _rules(_CUSTOM_SAMPLE, parts)}}
    rest = [_without_idle_bans(_but(part, _NAMES), flat["properties"]) for part in parts]
    return {**flat, "allOf": [part for part in rest if part]} if any(rest) else flat


def _own_id(object_type: str) -> Schema:
    ids = {"pattern": f"^{object_type}--"}
    return {"required": ["type", "id"], "properties": {"type": {"enum": [object_type]}, "id": ids}}


def _parts(schema: Schema, named: Mapping[str, Schema]) -> Iterator[Schema]:
    """The schemas that must all hold where this one does, none with a reference or `allOf` beside other keywords."""
    if "$ref" in schema:
        reference = schema["$ref"]
        if reference in named:
            yield from _parts(_absolute(named[reference], reference), named)
        else:  # into the middle of a file
            yield {"$ref": reference}
    for each in schema.get("allOf", ()):
        yield from _parts(each, named)
    own = _but(schema, _ANNOTATIONS | {"$ref", "allOf"})
    if own:
        yield own


def _rules(name: str, parts: Iterable[Schema]) -> list[Schema]:
    """What the parts want of the value of one property."""
    found = []
    for part in parts:
        if name in part.get("properties", ()):
            found.append(part["properties"][name])
        patterns = part.get("patternProperties", {})
        found += [rule for pattern, rule in patterns.items() if re.search(pattern, name)]
    return found


def _together(rules: list[Schema], holds: Callable[[Schema, object], bool]) -> Schema:
    """One schema that says what all the rules say."""
    for rule in rules:
        if "enum" in rule:
            return {"enum": [value for value in rule["enum"] if all(holds(each, value) for each in rules)]}
    needed = [rule for rule in rules if not any(_is_implied(rule, by) for by in rules)]
    first, *others = [rule for place, rule in enumerate(needed) if rule not in needed[:place]]
    merged, apart = dict(first), []
    for rule in others:
        both = (merged.get("pattern"), rule.get("pattern"))
        if rule.keys() == {"pattern"} and both in _BOTH:
            merged["pattern"] = _BOTH[both]
        elif rule.keys() <= _ALONE and merged.keys().isdisjoint(rule):
            merged |= rule
        else:
            apart.append(rule)
    return {**merged, "allOf": apart} if apart else merged


def _is_implied(rule: Schema, by: Schema) -> bool:
    """Whether `rule` is a choice, and `by` says all that one of its choices says."""
    return rule.keys() == {"anyOf"} and any(
        choice.keys() <= _ALONE and choice.items() <= by.items() for choice in rule["anyOf"]
    )


def _without_idle_bans(part: Schema, properties: Iterable[str]) -> Schema:
    """The part without its bans on properties that the flat form has no name for."""
    bans = part.get("not", {})
    if bans.keys() != {"anyOf"} or any(ban.keys() != {"required"} for ban in bans["anyOf"]):
        return part
    possible = [
        ban
        for ban in bans["anyOf"]
        if all(name in properties or re.search(_CUSTOM, name) for name in ban["required"])
    ]
    return {**part, "not": {"anyOf": possible}} if possible else _but(part, {"not"})


def _but(schema: Schema, keywords: Iterable[str]) -> Schema:
    return {key: value for key, value in schema.items() if key not in keywords}


def _absolute(schema: Schema, base: str) -> Schema:
    """The schema with every reference in full, so that its parts may stand elsewhere."""
    return {
        key: urljoin(base, value) if key == "$ref" else _absolute_within(value, base)
        for key, value in schema.items()
    }


def _absolute_within(value: object, base: str) -> object:
    if isinstance(value, list):
        return [_absolute_within(each, base) for each in value]
    return _absolute(value, base) if isinstance(value, dict) else value
