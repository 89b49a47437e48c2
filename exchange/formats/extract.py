"""What of a message concerns one constituent's assets, and nothing of anybody else's (docs/policy.md).

An object goes when it mentions those assets and nothing beside them, and so does all that it refers to. What else
explains it (malware, attack patterns...) goes along where a relationship ties it. In doubt an object stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exchange.directory.assets import Asset
from exchange.formats.mentions import UNREADABLE, Assets, mentions
from exchange.formats.objects import RawObject
from exchange.formats.stix.handing_on import objects_of
from exchange.formats.stix.markings import granular_refs, marking_refs
from exchange.formats.stix.spans import parse
from exchange.message import Message

# Facts about machines and networks; victims' accounts and devices (user-account, mac-addr) and files whole (artifact)
# aren't among them: nobody can tell whose they are.
_OBSERVABLES: Final = frozenset(  # such a block reads better than a list
    """
    autonomous-system directory domain-name email-addr email-message file ipv4-addr ipv6-addr mutex
    network-traffic process software url windows-registry-key x509-certificate
    """.split()  # noqa: SIM905 - as above
)
_CONCERNING: Final = _OBSERVABLES | {"indicator", "observed-data"}
# What explains an object. Never identities, locations, incidents, sightings, notes: they tell of others.
_EXPLAINING: Final = frozenset(
    """
    attack-pattern campaign course-of-action intrusion-set malware malware-analysis threat-actor tool
    vulnerability
    """.split()  # noqa: SIM905 - as above
)
_CARRIED: Final = _CONCERNING | _EXPLAINING | {"relationship"}
_BY_RIGHT: Final = ("created_by_ref", "object_marking_refs")  # which may point to what doesn't travel
_ID = re.compile(r"[a-z][a-z0-9-]+--[0-9a-fA-F-]{36}\Z")


@dataclass(frozen=True)
class Extract:
    """The objects that go, in their order, and those that mention the assets and stay: their ids, and why."""

    objects: tuple[RawObject, ...]
    withheld: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Found:
    """One object of the message: what it mentions, which others it needs, which markings it has."""

    raw: RawObject
    mentions: frozenset[Asset]
    needs: frozenset[str]
    markings: frozenset[str]


def extract(message: Message, assets: Assets, *, besides: Assets | None = None) -> Extract:
    """What of the message may go to whoever has `assets`. `besides`: values that are nobody's asset, such as an
    attacker's addresses, as a person decided: objects may mention them.
    """
    found = [_look(raw) for raw in objects_of(message)]
    own = [assets, *([besides] if besides else [])]
    sound, causes = _sound(found, own)
    concerned = _concerned(found, sound, assets)
    going = concerned | _explained(found, sound, concerned)
    going |= _needed(found, going, sound)
    wanted = {marking for place in going for marking in found[place].markings}
    going |= {
        place
        for place, each in enumerate(found)
        if each.raw.type == "marking-definition" and each.raw.id in wanted
    }
    objects = tuple(found[place].raw for place in sorted(going))
    stays = {each.raw.id: each for place, each in enumerate(found) if place not in sound}
    withheld = tuple(
        (each.raw.id, _why(each, own) or _because_of(causes.get(each.raw.id, ""), stays, own))
        for place, each in enumerate(found)
        if place not in going and any(assets.covers(one) for one in each.mentions if one is not UNREADABLE)
    )
    return Extract(objects if concerned else (), withheld)


def _look(raw: RawObject) -> _Found:
    value = parse(raw.data)
    plain: Mapping[str, Any] = value if isinstance(value, dict) else {}
    refs = [(name, ref) for name, each in _ref_members(plain) for ref in _refs(each)]
    needs = frozenset(ref for name, ref in refs if name not in _BY_RIGHT)
    markings = frozenset([*marking_refs(plain), *granular_refs(plain)])
    return _Found(raw, mentions(plain), needs, markings)


def _ref_members(value: object) -> Iterable[tuple[str, object]]:
    """Members that refer to other objects, at any depth."""
    if isinstance(value, list):
        for each in value:
            yield from _ref_members(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name.endswith(("_ref", "_refs")) and name != "marking_ref":
                yield name, each
            yield from _ref_members(each)


def _refs(value: object) -> Iterable[str]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and _ID.match(each):
            yield each


def _sound(found: Sequence[_Found], own: Sequence[Assets]) -> tuple[set[int], dict[str, str]]:
    """Places of objects that mention nothing foreign and need nothing but such objects. Of each other that only needs
    something else: its id, and what it needs in the end that can't go by itself, or isn't there.
    """
    causes: dict[str, str] = {}
    sound = {
        place
        for place, each in enumerate(found)
        if each.raw.type in _CARRIED and all(any(one.covers(asset) for one in own) for asset in each.mentions)
    }
    there = {found[place].raw.id for place in sound}
    there -= {each.raw.id for place, each in enumerate(found) if place not in sound}  # of every version
    needing = _needing(found, sound)
    lost = {place for place in sound if not found[place].needs <= there}
    while lost:
        for place in lost:
            needed = min(found[place].needs - there)
            causes[found[place].raw.id] = causes.get(needed, needed)
        sound -= lost
        there -= (gone := {found[place].raw.id for place in lost})
        lost = {place for one in gone for place in needing.get(one, ())} & sound
    return sound, causes


def _needing(found: Sequence[_Found], places: Iterable[int]) -> dict[str, list[int]]:
    """Which of the places need an object, by its id: a chain of 20,000 must not be gone through for each link of it."""
    needing: dict[str, list[int]] = {}
    for place in places:
        for one in found[place].needs:
            needing.setdefault(one, []).append(place)
    return needing


def _of_ids(found: Sequence[_Found], places: Iterable[int]) -> dict[str, list[int]]:
    """The places by the id that stands there, in every version."""
    of_ids: dict[str, list[int]] = {}
    for place in places:
        of_ids.setdefault(found[place].raw.id, []).append(place)
    return of_ids


def _concerned(found: Sequence[_Found], sound: set[int], assets: Assets) -> set[int]:
    """Places of objects that mention the assets themselves, or observe something that does."""
    able = {place for place in sound if found[place].raw.type in _CONCERNING}
    concerned = {place for place in able if any(assets.covers(one) for one in found[place].mentions)}
    needing, more = _needing(found, able), concerned
    while more:
        ids = {found[place].raw.id for place in more}
        more = {place for one in ids for place in needing.get(one, ())} - concerned
        concerned |= more
    return concerned


def _explained(found: Sequence[_Found], sound: set[int], concerned: set[int]) -> set[int]:
    """Places of relationships between what goes and what explains it, and of the latter."""
    theirs = {found[place].raw.id for place in concerned}
    explaining = {found[place].raw.id for place in sound if found[place].raw.type in _EXPLAINING}
    going, of_ids = set[int](), _of_ids(found, sound)
    for place in sound:
        ends = found[place].needs
        if found[place].raw.type == "relationship" and ends & theirs and ends <= theirs | explaining:
            going.add(place)
            going.update(other for end in ends for other in of_ids.get(end, ()))
    return going


def _needed(found: Sequence[_Found], going: set[int], sound: set[int]) -> set[int]:
    """Places of everything that what goes refers to, and so on."""
    needed, of_ids, more = set[int](), _of_ids(found, sound - going), going
    while more:
        wanted = {one for place in more for one in found[place].needs}
        more = {place for one in wanted for place in of_ids.get(one, ())} - needed
        needed |= more
    return needed


def _why(each: _Found, own: Sequence[Assets]) -> str:
    """Why it can't go by itself, without naming what is others'; "" where it could."""
    if each.raw.type not in _CARRIED:
        return f"a {each.raw.type} tells of others too"
    if UNREADABLE in each.mentions:
        return "it can't be read value by value"
    foreign = _foreign(each, own)
    return f"it mentions {len(foreign)} more beside those assets" if foreign else ""


def _because_of(needed: str, stays: Mapping[str, _Found], own: Sequence[Assets]) -> str:
    """Why it can't go although nothing in it is others': by what it refers to, with how a person can let that go."""
    if not needed:
        return "it explains nothing that goes"
    cause = stays.get(needed)
    if cause is None:
        return f"it refers to {needed}, which isn't in the message"
    foreign = _foreign(cause, own)
    number = foreign[0].text if len(foreign) == 1 and foreign[0].kind == "asn" else ""
    if number and cause.raw.type == "autonomous-system":
        return f"it refers to {number}, which isn't among those assets: --also {number} lets it go"
    return f"it refers to {needed}: {_why(cause, own) or 'another version of it stays'}"


def _foreign(each: _Found, own: Sequence[Assets]) -> list[Asset]:
    return [asset for asset in each.mentions if not any(one.covers(asset) for one in own)]
