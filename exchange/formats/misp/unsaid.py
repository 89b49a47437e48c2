"""Which members of a STIX object its form in MISP doesn't say: each of them is a loss, whoever wrote it.

What becomes which attribute is `misp/back`'s, what of our extension counts `misp/write`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from exchange.formats.making import SOURCE, reference
from exchange.formats.misp.attribute import MAX_NAME
from exchange.formats.misp.made import FORMAT, moment
from exchange.formats.misp.remembered import remembered
from exchange.formats.misp.stix import observed
from exchange.formats.misp.types import comparisons
from exchange.formats.stix.permissions import is_label
from exchange.formats.stix.time import from_iso

Value = Mapping[str, Any]
Of = tuple[str, str]  # the identity that an event is of, and the time since when it is there
# An event says these of everything in it: by its label, its tags, its timestamps.
_EVERYWHERE: Final = frozenset({"type", "spec_version", "id", "modified", "labels"})
# The members of a thing that came from MISP which its own facts say again (`misp/write` compares them).
_CAME: Final = frozenset(
    (
        "abstract",
        "content",
        "count",
        "created",
        "description",
        "explanation",
        "external_references",
        "first_observed",
        "first_seen",
        "is_family",
        "last_observed",
        "last_seen",
        "name",
        "number_observed",
        "object_refs",
        "opinion",
        "pattern",
        "pattern_type",
        "published",
        "relationship_type",
        "report_types",
        "sighting_of_ref",
        "source_ref",
        "target_ref",
        "valid_from",
        "where_sighted_refs",
    )
)


def unsaid(value: Value, attributes: Sequence[Value], others: Mapping[str, Value], *, of: Of) -> list[str]:
    """The members of an object that the attributes written for it don't say."""
    says = _SAID.get(value["type"])
    if says is None:
        return unsaid_of_observable(value, told_by(attributes), others, of=of)
    missing = [name for name in _rest(value, of) if name not in says or not says[name](value, attributes)]
    return missing if _facts_are_in(attributes, value) else [*missing, "extensions"]


def _facts_are_in(attributes: Sequence[Value], value: Value) -> bool:
    """Whether what our extension remembers is written; of labels and files is told elsewhere."""
    return all(
        any(each.get(name) == fact for each in attributes)
        for name, fact in remembered(value).items()
        if name not in ("of", "Tag", "data_ref")
    )


def told_by(attributes: Sequence[Value]) -> frozenset[str]:
    """The values that attributes tell of, each alone."""
    said_of = (
        comparisons(each["type"], str(each["value"]), spelt=spelt) or ()
        for each in attributes
        for spelt in (False, True)
    )
    return frozenset(str(text) for found in said_of for _, text in found)


def unsaid_of_observable(
    value: Value, told: frozenset[str], others: Mapping[str, Value], *, of: Of
) -> list[str]:
    """The members of an observable whose values aren't `told_by` attributes."""
    members: dict[str, bool] = {}
    for path, text in observed(value, others):
        member = path.partition(":")[2].partition(".")[0].removesuffix("[*]")
        members[member] = members.get(member, True) and str(text) in told
    said = {name for name, whole in members.items() if whole} | {"is_multipart"}
    if any(isinstance(each, dict) and each.keys() != {"data"} for each in value.get("values", ())):
        said.discard("values")
    said |= {"protocols"} if value.get("protocols") in (["ipv4"], ["ipv6"]) else set()
    return [name for name in _rest(value, of) if name not in said]


def unsaid_of_misp(value: Value, *, of: Of) -> list[str]:
    """The same of what stands for a thing of MISP whose facts are written."""
    return [name for name in _rest(value, of) if name not in _CAME]


def _rest(value: Value, of: Of) -> list[str]:
    """The members that aren't said by every event."""
    said = {
        "object_marking_refs": all(map(is_label, value.get("object_marking_refs", ()))),
        "created_by_ref": value.get("created_by_ref") == of[0],
        "extensions": _is_ours(value.get("extensions")),
        "created": value.get("created") in (value.get("modified"), of[1]),
    }
    return [name for name in value if name not in _EVERYWHERE and not said.get(name)]


def _is_ours(extensions: object) -> bool:
    own = extensions.get(SOURCE) if isinstance(extensions, dict) and len(extensions) == 1 else None
    return isinstance(own, dict) and own.keys() == {"extension_type", FORMAT}


# -- whether attributes say a member -----------------------------------------------------------------------------------

_Says = Callable[[Value, Sequence[Value]], bool]


def _whatever(_: Value, __: Sequence[Value]) -> bool:
    return True


def _name(value: Value, attributes: Sequence[Value]) -> bool:
    names = [str(each.get("value", ""))[:MAX_NAME] for each in attributes]
    return value["name"] in (*names, *(f"{each['type']} rule" for each in attributes))


def _number(value: Value, _: Sequence[Value]) -> bool:
    return bool(value["external_references"] == [reference("cve", external_id=str(value.get("name")))])


def _abstract(value: Value, attributes: Sequence[Value]) -> bool:
    return any(each["type"] == value["abstract"] for each in attributes)


def _language(value: Value, attributes: Sequence[Value]) -> bool:
    return all(each["type"] != "other" for each in attributes) and value["pattern_type"] != "suricata"


def _once(value: Value, _: Sequence[Value]) -> bool:
    return bool(value["number_observed"] == 1)


def _time(name: str, fact: str) -> _Says:
    """That the time is the attribute's own, or stands there as another fact."""

    def says(value: Value, attributes: Sequence[Value]) -> bool:
        at = _ms(value[name])
        own = (value.get("modified"), value.get("created"))
        stated = [_ms(each.get(fact)) for each in attributes]
        seconds = [moment(each.get("timestamp")) for each in attributes]
        return value[name] in own or (at is not None and at in (*stated, *seconds))

    return says


def _ms(time: object) -> int | None:
    try:
        return from_iso(str(time))
    except (ValueError, OverflowError):
        return None


_THING: Final[Mapping[str, _Says]] = {"name": _whatever, "description": _whatever}
_SAID: Final[Mapping[str, Mapping[str, _Says]]] = {
    "indicator": {
        "pattern": _whatever,
        "pattern_type": _language,
        "description": _whatever,
        "name": _name,
        "valid_from": _time("valid_from", "first_seen"),
    },
    "observed-data": {
        "object_refs": _whatever,
        "number_observed": _once,
        "first_observed": _time("first_observed", "first_seen"),
        "last_observed": _time("last_observed", "last_seen"),
    },
    "note": {"abstract": _abstract, "content": _whatever, "object_refs": _whatever},
    "vulnerability": {**_THING, "external_references": _number},
    "artifact": dict.fromkeys(
        ("payload_bin", "mime_type", "encryption_algorithm", "decryption_key"), _whatever
    ),
    "identity": {"name": _whatever, "identity_class": _whatever},
    **dict.fromkeys(("threat-actor", "intrusion-set", "campaign", "malware"), _THING),
}
