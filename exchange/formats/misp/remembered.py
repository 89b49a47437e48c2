"""What our extension remembers of MISP, as far as it counts: where STIX says the same, and what MISP is carried by.

A stranger may have written anything there (docs/messages.md). What each part becomes in an event is `misp/write`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from exchange.formats.making import SOURCE
from exchange.formats.misp.galaxies import CLUSTER, GALAXY
from exchange.formats.misp.made import FORMAT, known_uuid
from exchange.formats.misp.object import CARRIED as OF_OBJECTS, REFERENCE, agrees as object_agrees
from exchange.formats.misp.read import CARRIED as OF_EVENTS, REPORT as OF_REPORTS
from exchange.formats.misp.sightings import CARRIED as OF_SIGHTINGS, agrees as sighting_agrees

Value = Mapping[str, Any]
# Which objects may stand for what of MISP, and which facts of it they remember beside STIX. An event's title is the
# report's name.
_ROLES: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "event": (
        frozenset({"report"}),
        frozenset(OF_EVENTS) - {"info", "publish_timestamp"} | {"uuid", "Orgc", "Galaxy", "within"},
    ),
    "object": (
        frozenset({"observed-data", "note", "vulnerability", "attack-pattern", "course-of-action"}),
        frozenset(OF_OBJECTS) | {"uuid", "Attribute"},
    ),
    "report": (frozenset({"note"}), frozenset(OF_REPORTS) - {"name", "content"}),
    "sighting": (frozenset({"sighting", "opinion", "note"}), frozenset(OF_SIGHTINGS) | {"Organisation"}),
    "reference": (frozenset({"relationship"}), frozenset(REFERENCE)),
}
_AGREES: Final = {"object": object_agrees, "sighting": sighting_agrees}


def remembered(value: Value) -> Mapping[str, Any]:
    """What our extension remembers of MISP; empty where there is none."""
    extensions = value.get("extensions")
    own = extensions.get(SOURCE) if isinstance(extensions, dict) else None
    facts = own.get(FORMAT) if isinstance(own, dict) else None
    return facts if isinstance(facts, dict) else {}


def facts_of_role(value: Value, name: str) -> dict[str, Any] | None:
    """What an object that stands for a thing of MISP remembers of it; None for any other object."""
    types, names = _ROLES[name]
    facts = remembered(value).get(name)
    if not isinstance(facts, dict) or value["type"] not in types:
        return None
    agrees = _AGREES.get(name)
    return _only(facts, names) if agrees is None or agrees(value, facts) else None


def _only(facts: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: each for name, each in facts.items() if name in names}


def uuid_of(value: Value, facts: Mapping[str, Any]) -> str:
    """The UUID that MISP had for what an object stands for: that of its id, or one that STIX wouldn't have taken."""
    own, stated = str(value["id"]).partition("--")[2], facts.get("uuid")
    return stated if isinstance(stated, str) and known_uuid(stated) in (None, own) else own


def galaxies_of(value: object) -> list[dict[str, Any]]:
    """Galaxies with their clusters, each with what is carried of one."""
    return [
        {
            **_only(galaxy, GALAXY),
            "GalaxyCluster": [_only(each, CLUSTER) for each in dicts(galaxy.get("GalaxyCluster"))],
        }
        for galaxy in dicts(value)
    ]


def dicts(value: object) -> list[dict[str, Any]]:
    """The objects of a list; none of anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
