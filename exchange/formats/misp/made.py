"""What the parts of a MISP event put their objects into: its label, author and time, ids given out, and what failed.

Owns which facts of MISP are carried beside STIX, and which are numbers of one MISP that mean nothing elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.errors import Refused
from exchange.formats.making import Room, made, made_id, source_extension
from exchange.formats.members import Losses
from exchange.formats.misp.labels import ALL_COMMUNITIES, INHERIT, tag_names, tlp_of_tags
from exchange.formats.objects import RawObject, SetAside
from exchange.formats.stix.patterns import Checking
from exchange.formats.stix.time import from_iso, to_stix
from exchange.message import MAX_TIME_MS
from exchange.tlp import DEFAULT, Tlp, strictest

FORMAT: Final = "misp"
# Organisations and clusters are the same in every event, and never newer than what their owners publish themselves.
EPOCH: Final = "1970-01-01T00:00:00.000Z"
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
# The numbers and switches of the MISP that a file comes from.
_LOCAL: Final = frozenset(
    [
        "id",
        "event_id",
        "org_id",
        "orgc_id",
        "object_id",
        "attribute_id",
        "referenced_id",
        "source_id",
        "tag_id",
        "user_id",
        "galaxy_id",
        "attribute_count",
        "sharing_group_id",
        "proposal_email_lock",
        "locked",
        "event_creator_email",
        "local",
        "local_only",
        "org",
        "orgc",
        "validationIssue",
        "old_id",
        "source_uuid",
        "Object",
        "inherited",
        "collection_uuid",
        "protected",
        "deleted",
        "default",
    ]
)


def known_uuid(value: object) -> str | None:
    """A UUID as STIX takes one in an id; None for anything else."""
    text = value.lower() if isinstance(value, str) else ""
    return text if _UUID.fullmatch(text) else None


def moment(seconds: object) -> int | None:
    """MISP's timestamps, seconds since 1970 as text or number, in ms; None for anything else."""
    text = str(seconds) if isinstance(seconds, str | int) else ""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(MAX_TIME_MS)):
        return None
    ms = int(text) * 1_000
    return ms if ms <= MAX_TIME_MS else None


def first_and_last(facts: Mapping[str, Any], at: int) -> tuple[int, int]:
    """When MISP says that something was seen first and last, in ms; for what it doesn't say, or not in order, `at`."""
    first, last = (time_of(facts, name) for name in ("first_seen", "last_seen"))
    begin = first if first is not None else min(at, at if last is None else last)
    end = last if last is not None else max(at, begin)
    return (begin, end) if begin <= end else (at, at)


def time_of(facts: Mapping[str, Any], name: str) -> int | None:
    """A time that MISP writes as ISO 8601, in ms; None without one that STIX can say."""
    try:
        return from_iso(str(facts.get(name) or ""))
    except (ValueError, OverflowError):
        return None


@dataclass
class File:
    """What the events of a file share: what is lost of it or in doubt, and how much may be made of it."""

    most: int  # objects, and of each event entries set aside
    room: Room
    patterns: Checking = field(default_factory=Checking)
    losses: Losses = field(default_factory=Losses)
    doubts: Losses = field(default_factory=Losses)  # what is looked for and may be harmless


@dataclass
class Event:
    """The event being made. `ids` holds the STIX id of every MISP UUID, `refs` what the event holds, in order."""

    uuid: str
    place: str
    author: str
    at: int  # ms
    since: int | None  # ms; the day that the event is of, which edits of its entries don't change
    date: str
    tlp: Tlp
    file: File
    labels: tuple[str, ...] = ()  # that hold for all of it: PAP
    objects: list[RawObject] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    refs: list[str] = field(default_factory=list)
    observed: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # its observables by id
    shared: set[str] = field(default_factory=set)  # ids of what other events may make too
    local: set[str] = field(default_factory=set)
    _given: set[str] = field(default_factory=set)

    @property
    def losses(self) -> Losses:
        """What is lost of the file."""
        return self.file.losses

    def uuid_of(self, value: Mapping[str, Any], place: str) -> str:
        """The UUID of an entry, its own or one made of its place in the event."""
        return known_uuid(value.get("uuid")) or made_id("entry", self.uuid, place).partition("--")[2]

    def label_of(self, value: Mapping[str, Any]) -> Tlp:
        """The label of an attribute or object: never weaker than the event's."""
        own = tlp_of_tags(tag_names(value.get("Tag")), self.date)
        distribution = value.get("distribution")
        found = [self.tlp, *([own] if own else [])]
        if distribution is not None and str(distribution) not in (INHERIT, ALL_COMMUNITIES) and own is None:
            found.append(DEFAULT)
        return strictest(found)

    def facts(
        self, value: Mapping[str, Any], place: str, carried: Iterable[str], read: Iterable[str]
    ) -> dict[str, Any]:
        """The members that are carried beside STIX; one that nobody reads is a loss, or a number of that MISP's own."""
        wanted, taken = frozenset(carried), frozenset(read)
        for name, each in value.items():
            if name in wanted or name in taken or each in (None, "", [], {}, False):
                continue
            if name in _LOCAL:
                self.local.add(name)
            else:
                self.losses.add(f"{place}/{name}"[:200], name[:64], "no place for it is known")
        return {name: value[name] for name in carried if value.get(name) not in (None, "", [])}

    def add(
        self,
        object_id: str,
        *,
        tlp: Tlp | None = None,
        at: int | None = None,
        facts: Mapping[str, Any] | None = None,
        labels: Iterable[str] = (),
        **members: Any,
    ) -> str:
        """Make one object of the event; its id. `at` is in ms.

        Raises Refused `stix.*`, `format.bad-entry` for a repeat, `json.too-large`.
        """
        if object_id in self._given:
            raise Refused("format.bad-entry", "its uuid stands in the file before")
        moved = self.at if at is None else at
        when = to_stix(moved)
        raw = made(
            object_id.partition("--")[0],
            object_id,
            self.tlp if tlp is None else tlp,
            **{
                "created_by_ref": self.author,
                "created": when if self.since is None else to_stix(min(self.since, moved)),
                "modified": when,
                **members,
                "labels": list(dict.fromkeys([*labels, *self.labels])),
                "extensions": source_extension(FORMAT, facts or {}),
            },
        )
        self.file.room.take(len(raw.data))
        self._given.add(object_id)
        self.objects.append(raw)
        self.refs.append(object_id)
        return object_id

    def once(self, object_id: str, **members: Any) -> str:
        """Make what several entries name, for the first of them; its id. Raises Refused `stix.*`."""
        self.shared.add(object_id)
        return object_id if object_id in self._given else self.add(object_id, **members)

    def observe(self, values: Iterable[Mapping[str, Any]], tlp: Tlp) -> list[str]:
        """Make observables, each once in an event; their ids. Raises Refused `stix.*`, and then none is made."""
        found = []
        for value in values:
            members = {name: each for name, each in value.items() if name not in ("type", "id")}
            found.append(made(value["type"], value["id"], tlp, labels=list(self.labels), **members))
            self.observed[value["id"]] = value
            self.shared.add(value["id"])
        for raw in found:
            if raw.id not in self._given:
                self.file.room.take(len(raw.data))
                self._given.add(raw.id)
                self.objects.append(raw)
                self.refs.append(raw.id)
        return [raw.id for raw in found]

    def relate(self, source: str, kind: str, target: str, *, tlp: Tlp, facts: Mapping[str, Any]) -> None:
        """Relate two objects of the event, once. `facts` say that it was made of what stands elsewhere in MISP."""
        object_id = made_id("relationship", source, kind, target)
        if object_id not in self._given:
            self.add(
                object_id,
                tlp=tlp,
                relationship_type=kind,
                source_ref=source,
                target_ref=target,
                facts=facts,
            )

    def reject(self, place: str, refusal: Refused) -> None:
        """Set an entry aside. Raises Refused `json.too-many-objects`."""
        self.check_count(len(self.set_aside) + 1)
        self.set_aside.append(SetAside(place, refusal.code, refusal.detail))

    def check_count(self, count: int) -> None:
        """Stop before a file costs more than it could yield.

        Raises Refused `json.too-many-objects`, and `json.too-large` where that was the reason to set an entry aside.
        """
        self.file.room.take(0)
        if count > self.file.most:
            raise Refused("json.too-many-objects", f"more than {self.file.most} objects")
