"""Owns what label each thing has that a feed brings: its own, those of the markings it names, else the feed's floor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange.formats.objects import Loaded, RawObject
from exchange.formats.stix import markings, permissions
from exchange.formats.stix.spans import parse
from exchange.formats.taxii import head_of
from exchange.node.store.outside import Brought
from exchange.pap import Pap, pap_of_marking_id
from exchange.tlp import Tlp, strictest, tlp_of_marking_id


class Definitions:
    """What markings stand for: all that is kept of their definitions, however long these are."""

    def __init__(self) -> None:
        self.tlps: dict[str, Tlp] = {}
        self.paps: dict[str, Pap] = {}
        self._known: set[str] = set()

    def add(self, value: object) -> None:
        """One more object, or version of one: the strictest label that a marking ever had counts."""
        markings.collect_definition(value, self.tlps)
        permissions.collect_definition(value, self.paps)
        if isinstance(value, dict):
            self._known.add(str(value.get("id")))

    def knows(self, ref: str) -> bool:
        """Whether that marking is defined here, or by the standards."""
        return ref in self._known or _is_standard(ref)


def undefined(loaded: Loaded) -> list[str]:
    """The markings that the objects of a batch have, and that neither it nor the standards define."""
    values = [value for raw in loaded.accepted if isinstance(value := parse(raw.data), dict)]
    refs = {ref for value in values for ref in _refs(value)}
    return sorted(ref for ref in refs - {value.get("id") for value in values} if not _is_standard(ref))


def labelled(loaded: Loaded, floor: Tlp, definitions: Definitions) -> list[Brought]:
    """The objects of a batch with their labels. What carries none, or one that nobody here knows, gets the floor.

    `definitions`: of markings, as the same feed has brought them before; those of the batch are added.
    """
    pairs = [(raw, value) for raw in loaded.accepted if isinstance(value := parse(raw.data), dict)]
    for _, value in pairs:
        definitions.add(value)
    found = []
    for raw, value in pairs:
        head = head_of(value)
        if head is not None:
            said = _said(raw, value, definitions.tlps)
            is_known = all(definitions.knows(ref) for ref in _refs(value))
            tlp = _label(value, said, floor, is_whole=is_known and _is_marked(value, definitions.tlps))
            found.append(Brought(head, tlp, said, permissions.pap_of(value, definitions.paps), raw.data))
    return found


def _said(raw: RawObject, value: Mapping[str, Any], definitions: Mapping[str, Tlp]) -> Tlp | None:
    labels = [*markings.resolve(_refs(value), definitions), *([] if raw.tlp is None else [raw.tlp])]
    return strictest(labels) if labels else None


def _label(value: Mapping[str, Any], said: Tlp | None, floor: Tlp, *, is_whole: bool) -> Tlp:
    """A definition of a label is no secret; what isn't labelled as a whole counts as the floor says at least."""
    if value.get("type") == "marking-definition" and markings.tlp_of_definition(value) is not None:
        return Tlp.CLEAR
    return strictest([*([] if said is None else [said]), *([] if is_whole else [floor])])


def _is_marked(value: Mapping[str, Any], definitions: Mapping[str, Tlp]) -> bool:
    return bool(markings.resolve(markings.marking_refs(value), definitions))


def _refs(value: Mapping[str, Any]) -> list[str]:
    return markings.marking_refs(value) + markings.granular_refs(value)


def _is_standard(ref: str) -> bool:
    return tlp_of_marking_id(ref) is not None or pap_of_marking_id(ref) is not None
