"""MISP's galaxy clusters as STIX objects: techniques, malware, tools, groups, courses of action.

A cluster keeps its UUID, which for those of ATT&CK is that of ATT&CK's own object; its version is older than any of
theirs, so it never takes the place of the true one. Clusters of other kinds stay with the event's facts, as all do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from exchange.errors import Refused
from exchange.formats.making import Room, reference
from exchange.formats.misp.made import EPOCH, Event, known_uuid

# The last words of a galaxy's type that make its clusters such objects.
_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "attack-pattern": ("attack-pattern",),
    "course-of-action": ("course-of-action",),
    "intrusion-set": ("intrusion-set",),
    "malware": (
        "malware",
        "malpedia",
        "ransomware",
        "rat",
        "banker",
        "backdoor",
        "botnet",
        "stealer",
        "exploit-kit",
    ),
    "threat-actor": ("threat-actor", "activity-group"),
    "tool": ("tool",),
}
CLUSTERS: Final = frozenset(_TYPES)
_NUMBERS: Final = {
    "mitre-attack": re.compile(r"[TSGM][0-9]{4}(?:\.[0-9]{3})?"),
    "capec": re.compile(r"CAPEC-[0-9]+"),
}
_INDICATED: Final = frozenset({"attack-pattern", "intrusion-set", "malware", "threat-actor", "tool"})
GALAXY: Final = ("uuid", "name", "type", "description", "version", "icon", "namespace", "kill_chain_order")
CLUSTER: Final = (
    "uuid",
    "type",
    "value",
    "tag_name",
    "description",
    "source",
    "authors",
    "version",
    "meta",
    "distribution",
    "extends_uuid",
    "extends_version",
)


def make_galaxies(
    event: Event, value: Mapping[str, Any], place: str
) -> tuple[list[str], list[dict[str, Any]]]:
    """Make the clusters that an event or attribute names: their STIX ids, and the galaxies as MISP has them."""
    listed = value.get("Galaxy")
    ids, galaxies = [], []
    for number, galaxy in enumerate(listed if isinstance(listed, list) else ()):
        here = f"{place}/Galaxy/{number}"
        if not isinstance(galaxy, dict):
            event.losses.add(here, "Galaxy", "it should be an object")
            continue
        facts = event.facts(galaxy, here, GALAXY, ("GalaxyCluster",))
        clusters = galaxy.get("GalaxyCluster")
        facts["GalaxyCluster"] = []
        for place_of, cluster in enumerate(clusters if isinstance(clusters, list) else ()):
            within = f"{here}/GalaxyCluster/{place_of}"
            if not isinstance(cluster, dict):
                event.losses.add(within, "GalaxyCluster", "it should be an object")
                continue
            facts["GalaxyCluster"].append(_cluster_facts(event, cluster, within))
            made = _make(event, str(galaxy.get("type", "")), cluster, within)
            ids += [made] if made else []
        galaxies.append(facts)
    return ids, galaxies


def indicate(event: Event, source: str, targets: Iterable[str], **marked: Any) -> None:
    """Relate what an attribute became to its clusters."""
    for target in targets:
        says = source.startswith("indicator--") and target.partition("--")[0] in _INDICATED
        event.relate(source, "indicates" if says else "related-to", target, facts={"of": source}, **marked)


def _cluster_facts(event: Event, cluster: Mapping[str, Any], place: str) -> dict[str, Any]:
    for name in ("GalaxyClusterRelation", "Org", "Orgc", "SharingGroup", "published"):
        if cluster.get(name):
            event.losses.add(f"{place}/{name}", name, "it belongs to the cluster and not to the event")
    return event.facts(
        cluster, place, CLUSTER, ("GalaxyClusterRelation", "Org", "Orgc", "SharingGroup", "published")
    )


def _make(event: Event, galaxy: str, cluster: Mapping[str, Any], place: str) -> str:
    type_ = next(
        (name for name, parts in _TYPES.items() if any(f"-{galaxy}".endswith(f"-{part}") for part in parts)),
        None,
    )
    name, its_uuid = cluster.get("value"), known_uuid(cluster.get("uuid"))
    if type_ is None or its_uuid is None or not isinstance(name, str) or not name:
        return ""
    members: dict[str, Any] = {"is_family": True} if type_ == "malware" else {}
    try:
        return event.once(
            f"{type_}--{its_uuid}",
            name=name,
            description=cluster.get("description"),
            external_references=_references(galaxy, cluster.get("meta")),
            created=EPOCH,
            modified=EPOCH,
            facts={"cluster": str(cluster.get("tag_name", "")) or name},
            **members,
        )
    except Refused as refusal:
        event.reject(place, refusal)
        return ""


def _references(galaxy: str, meta: object) -> list[dict[str, str]]:
    """The numbers that ATT&CK and CAPEC gave a cluster of theirs."""
    numbers = meta.get("external_id", ()) if isinstance(meta, dict) and "mitre" in galaxy else ()
    listed = numbers if isinstance(numbers, list) else [numbers]
    return [
        reference(name, external_id=each)
        for each in listed
        for name, spelling in _NUMBERS.items()
        if isinstance(each, str) and spelling.fullmatch(each)
    ]


class Clusters:
    """The clusters of an event that its attributes name by their tags, each once however often it stands there."""

    def __init__(self, galaxies: Iterable[Mapping[str, Any]]) -> None:
        """The clusters of these galaxies, with what is said of their galaxy."""
        self._by_tag: dict[str, dict[tuple[bytes, bytes], Mapping[str, Any]]] = {}
        self._about: dict[bytes, dict[str, Any]] = {}
        for galaxy in galaxies:
            about = {name: each for name, each in galaxy.items() if name != "GalaxyCluster"}
            key = orjson.dumps(about, option=orjson.OPT_SORT_KEYS)
            self._about[key] = about
            for cluster in galaxy["GalaxyCluster"]:
                one = (key, orjson.dumps(cluster, option=orjson.OPT_SORT_KEYS))
                self._by_tag.setdefault(str(cluster.get("tag_name")), {})[one] = cluster

    def named(self, tags: Iterable[str], room: Room) -> list[dict[str, Any]] | None:
        """The galaxies with the clusters of these tags; None where there is no room for them."""
        found: dict[bytes, dict[str, Any]] = {}
        for tag in dict.fromkeys(tags):
            for (key, said), cluster in self._by_tag.get(tag, {}).items():
                if not room.takes(len(said) + (0 if key in found else len(key))):
                    return None
                whole = found.setdefault(key, {**self._about[key], "GalaxyCluster": []})
                whole["GalaxyCluster"].append(cluster)
        return list(found.values())
