"""MISP's tags and distribution levels as labels of TLP, and a label as what MISP may do with an event.

What a label is and which is stricter is `exchange.tlp`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from exchange import tlp as labels
from exchange.pap import Pap, pap_of_tag
from exchange.tlp import DEFAULT, Tlp

_TLP2_SINCE: Final = "2022-08-01"  # FIRST published TLP 2.0; amber could mean AMBER+STRICT before
ALL_COMMUNITIES: Final = "3"
INHERIT: Final = "5"
_SHARING_GROUP: Final = "4"
_OWN_ORGANISATION: Final = "0"
# How far MISP may hand on by itself what is labelled so; any other label stays with the organisation that reads it.
_FARTHEST: Final[Mapping[Tlp, str]] = {Tlp.CLEAR: ALL_COMMUNITIES, Tlp.GREEN: "1"}


def tag_names(tags: object) -> list[str]:
    """The names of a list of tags; what is none is left out."""
    listed = tags if isinstance(tags, list) else []
    names = (each.get("name") for each in listed if isinstance(each, dict))
    return [name for name in names if isinstance(name, str) and name.strip()]


def is_tlp(name: str) -> bool:
    """Whether a tag is a label of TLP."""
    return labels.is_tag(name)


def tlp_of_tags(names: Iterable[str], date: str) -> Tlp | None:
    """The strictest TLP tag of an event of that day; None without one. An unknown word is AMBER+STRICT."""
    before_tlp2 = date < _TLP2_SINCE
    found = [labels.read_label(name, tlp1=before_tlp2) or DEFAULT for name in names if is_tlp(name)]
    return labels.strictest(found) if found else None


def tlp_of_distribution(distribution: object) -> Tlp:
    """Whom MISP would have handed it to: only all communities are as many as GREEN allows."""
    return Tlp.GREEN if str(distribution) == ALL_COMMUNITIES else DEFAULT


def distribution_of(tlp: Tlp, stated: object) -> str:
    """How far MISP may hand on an event with that label: as its author said, but never farther than the label.

    Who is in a sharing group isn't carried, so what was for one stays with the organisation that reads it.
    """
    if str(stated) == _SHARING_GROUP:
        return _OWN_ORGANISATION
    farthest = _FARTHEST.get(tlp, _OWN_ORGANISATION)
    return min(str(stated), farthest) if str(stated) in ("0", "1", "2", "3") else farthest


def tag_of(tlp: Tlp) -> str:
    """A label as MISP's taxonomy spells it: `tlp:amber+strict`."""
    return tlp.label.lower()


def tags_of(value: Mapping[str, Any], stated: object, paps: Collection[Pap | None]) -> list[dict[str, Any]]:
    """The labels of an object as tags, each as MISP `stated` it; without those of PAP that its event says itself."""
    labels = value.get("labels")
    labels = dict.fromkeys(labels if isinstance(labels, list) else [])
    listed = stated if isinstance(stated, list) else []
    kept = [tag for tag in listed if not labels.keys().isdisjoint(tag_names([tag]))]
    said = set(tag_names(kept))
    known = {*paps, *map(pap_of_tag, said)} - {None}
    return [*kept, *({"name": each} for each in labels if each not in said and pap_of_tag(each) not in known)]
