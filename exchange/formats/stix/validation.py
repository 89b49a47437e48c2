"""Validates one parsed STIX object against the OASIS schemas of its own version, 2.0 or 2.1.

The schemas are found as data of the installed package stix2-validator 3.2.0, which is never imported (that takes
two seconds); ours for the incident core extension stand in `schemas/`. Validators are compiled once, when first
needed, and references are looked up among these files only, never on a network. Custom properties and custom object
types are allowed (docs/decisions/0011).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from typing import Any, NamedTuple

import jsonschema_rs
import orjson

from exchange.errors import Refused
from exchange.formats.objects import Version
from exchange.formats.stix.flat_schemas import Schema, flatten

INCIDENT_CORE = "extension-definition--ef765651-680c-498d-9894-99799f2fa126"
EVENT = "extension-definition--4ca6de00-5b0d-45ef-a1dc-ea7279ea910e"
IMPACT = "extension-definition--7cc33dd6-f6a1-489b-98ea-522d351d71b9"

# An extension and the schema (in schemas/) that holds where an object carries it.
_EXTENSIONS = {
    INCIDENT_CORE: "incident-core",
    EVENT: "event",
    IMPACT: "impact",
    "extension-definition--2074a052-8be4-4932-849e-f5e7798e0030": "task",
}
# Objects that the schemas keep under common/ rather than beside the others.
_META_OBJECTS = ("marking-definition", "language-content", "extension-definition")
_SCHEMA_FILE = re.compile(r"stix2validator/schemas-(2\.[01])/schemas/(\w+)/([\w-]+)\.json")
# A URL of a few kB can't cost more than milliseconds; the schemas' longest pattern backtracks.
_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=20_000)
MAX_REASON_CHARS = 160


class _Quick(NamedTuple):
    """Says true of most good objects of a known type, and of nothing that `_check_thoroughly` would refuse."""

    takes: Callable[[object], bool]
    version: Version


# By the type and spec_version that objects claim; only those that the schemas know, so strangers can't add to it.
_quick: dict[tuple[object, object], _Quick] = {}


class _Schemas(NamedTuple):
    named: dict[str, Schema]
    registry: jsonschema_rs.Registry
    by_type: dict[tuple[str, str], str]  # (version, object type) -> schema id
    cores: dict[str, tuple[str, ...]]  # version -> ids of the schemas a custom type must satisfy one of
    observables: frozenset[str]


def check_object(value: Mapping[str, Any]) -> Version:
    """Validate one object and return the STIX version it was judged by.

    Raises: Refused `stix.*` whose detail is the place (a JSON pointer) and the rule, never a value.
    """
    try:
        quick = _quick.get((value.get("type"), value.get("spec_version")))
    except TypeError:  # one of them is a list or a dictionary
        quick = None
    if quick is not None and quick.takes(value):
        return quick.version
    return _check_thoroughly(value)


def _check_thoroughly(value: Mapping[str, Any]) -> Version:
    object_type, object_id = value.get("type"), value.get("id")
    if not isinstance(object_type, str) or not isinstance(object_id, str):
        raise Refused("stix.not-an-object")
    if object_type == "bundle":
        raise Refused("stix.nested-bundle")
    if not object_id.startswith(object_type + "--"):
        raise Refused("stix.id-mismatch")
    version = version_of(value)
    schema_id = _schemas().by_type.get((version, object_type))
    if schema_id is None:
        _check_by(_schemas().cores[version], value)
    else:
        _check_by((schema_id,), value)
        claim = object_type, value.get("spec_version")
        if claim not in _quick and "extensions" not in value:
            _quick[claim] = _Quick(_flat(object_type, schema_id), version)
    if version == "2.1":
        _check_extensions(value)
    return version


def _check_by(schema_ids: tuple[str, ...], value: Mapping[str, Any]) -> None:
    """Raises Refused `stix.invalid` unless one of the schemas takes it."""
    judged = _without_impact_category(value)
    if not any(_validator(each).is_valid(judged) for each in schema_ids):
        raise _refusal(_validator(schema_ids[0]), judged)


def version_of(value: Mapping[str, Any]) -> Version:
    """The STIX version an object claims (STIX 2.1 §3.2: without spec_version observables are 2.1, others 2.0).

    Raises: Refused `stix.unknown-version`.
    """
    match value.get("spec_version"):
        case "2.1":
            return "2.1"
        case "2.0":
            return "2.0"
        case None:
            if value["type"] in _schemas().observables:
                return "2.1"
            return "2.1" if "extensions" in value and _is_new_observable(value) else "2.0"
        case _:
            raise Refused("stix.unknown-version")


def check_against(schema: str, value: Mapping[str, Any]) -> None:
    """Validate `value` against our own schema file `schemas/<schema>.json`.

    Raises: Refused `stix.invalid`.
    """
    validator = _validator(_own_id(schema))
    if not validator.is_valid(value):
        raise _refusal(validator, value)


def carries_incident_core(value: Mapping[str, Any]) -> bool:
    """Whether the object is an incident with the incident core extension."""
    return value.get("type") == "incident" and INCIDENT_CORE in extensions_of(value)


def _check_extensions(value: Mapping[str, Any]) -> None:
    for extension_id, schema in _EXTENSIONS.items():
        if extension_id in extensions_of(value):
            check_against(schema, value)


def extensions_of(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The extensions of an object, by their ids; empty when there are none or they are no dictionary."""
    extensions = value.get("extensions")
    return extensions if isinstance(extensions, dict) else {}


def _without_impact_category(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """An impact as the OASIS core schema takes it.

    The impact's draft puts the category's details under a plain word beside the extension ids; the core schema
    allows no such key there.
    """
    extensions = extensions_of(value)
    if IMPACT not in extensions:
        return value
    category = value.get("impact_category")
    return {**value, "extensions": {key: each for key, each in extensions.items() if key != category}}


def _is_new_observable(value: Mapping[str, Any]) -> bool:
    """Whether an extension declares the object's custom type to be an observable (STIX 2.1 §7.3)."""
    return any(
        isinstance(extension, dict) and extension.get("extension_type") == "new-sco"
        for extension in extensions_of(value).values()
    )


def _refusal(validator: jsonschema_rs.Validator, value: Mapping[str, Any]) -> Refused:
    """The first rule that doesn't hold: its place and its keyword. Values stay out: they may be confidential."""
    error = next(iter(validator.iter_errors(value)), None)
    if error is None:  # can't happen: the validator has just found the value invalid
        return Refused("stix.invalid")
    place = "".join(f"/{step}" for step in error.instance_path) or "the object"
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        rule = f"{kind.property} is missing"
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
        rule = f"{kind.unexpected[0]} is not an allowed name"
    else:
        rule = f"breaks the schema's {kind.name}"
    return Refused("stix.invalid", f"{place}: {rule}"[:MAX_REASON_CHARS])


@cache
def _validator(schema_id: str) -> jsonschema_rs.Validator:
    return _compile({"$ref": schema_id})


def _compile(schema: dict[str, Any] | bool) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(
        schema, registry=_schemas().registry, offline=True, pattern_options=_PATTERNS
    )


@cache
def _flat(object_type: str, schema_id: str) -> Callable[[object], bool]:
    """What judges by the flat form of a type's schema. Extensions have schemas of their own: those it leaves alone."""
    named = _schemas().named
    flat = flatten(
        object_type,
        named[schema_id],
        named,
        lambda schema, value: _compile(dict(schema)).is_valid(value),
        without="extensions",
    )
    return _compile(flat or False).is_valid


def _own_id(schema: str) -> str:
    return f"urn:exchange:schema:{schema}"


@cache
def _schemas() -> _Schemas:
    resources: list[tuple[str, Any]] = []
    ids: dict[tuple[str, str], str] = {}
    objects: set[tuple[str, str]] = set()
    observables: set[str] = set()
    for version, folder, stem, text in _oasis_files():
        schema = orjson.loads(text)
        # The 2.0 files name a draft that doesn't exist; all are read as 2020-12, which they are written in.
        schema.pop("$schema", None)
        resources.append((schema["$id"], schema))
        ids[version, stem] = schema["$id"]
        # In 2.0 an observable lives only within observed-data: it is no object of its own.
        if (
            folder in ("sdos", "sros")
            or stem in _META_OBJECTS
            or (folder == "observables" and version == "2.1")
        ):
            objects.add((version, stem))
        if folder == "observables" and version == "2.1":
            observables.add(stem)
    resources.extend(
        (_own_id(path.name.removesuffix(".json")), orjson.loads(path.read_bytes()))
        for path in files("exchange.formats").joinpath("schemas").iterdir()
        if path.name.endswith(".json")
    )
    return _Schemas(
        named=dict(resources),
        registry=jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft202012),
        by_type={key: ids[key] for key in objects},
        cores={
            "2.0": (ids["2.0", "core"],),
            "2.1": (ids["2.1", "core"], ids["2.1", "cyber-observable-core"]),
        },
        observables=frozenset(observables),
    )


def _oasis_files() -> list[tuple[str, str, str, bytes]]:
    """Every schema file of the package: version, folder, name without ending, text.

    Raises: Refused `stix.no-schemas` when the package or its schemas are not there.
    """
    found = []
    try:
        package = distribution("stix2-validator")
    except PackageNotFoundError:
        raise Refused("stix.no-schemas") from None
    for path in package.files or ():
        match = _SCHEMA_FILE.fullmatch(path.as_posix())
        if match:
            version, folder, stem = match.groups()
            found.append((version, folder, stem, path.read_binary()))
    if not found:
        raise Refused("stix.no-schemas")
    return found
