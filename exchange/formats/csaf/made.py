"""What the parts of a CSAF advisory put their objects into: common times, author, label and ids, and what failed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.errors import Refused
from exchange.formats.making import Room, made, made_id, reference, relationship, source_extension
from exchange.formats.members import Losses, Members
from exchange.formats.objects import RawObject, SetAside
from exchange.formats.stix.time import from_iso, to_stix
from exchange.tlp import Tlp

FORMAT: Final = "csaf"
# What the schema of STIX surely takes for a URL; any other stays as text.
_URL: Final = re.compile(
    r"https?://[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/?#-]*)?"
)


@dataclass
class Advisory:
    """The advisory being made. `key` names it in the world: its publisher's namespace and its tracking id."""

    key: tuple[str, str]
    author: str
    created: str
    modified: str
    tlp: Tlp | None
    losses: Losses
    most: int  # objects, those set aside included
    room: Room
    objects: list[RawObject] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)
    _relations: int = 0

    def add(self, place: str, object_type: str, *facts: str, **members: Any) -> str:
        """Make one object; its id, or the empty text where it is set aside. The same facts are one object.

        Observables have no times and no author (STIX 2.1 §3.2): give `observable=True`.

        Raises: Refused `json.too-many-objects`, `json.too-large`, before a long file has cost as much as it could.
        """
        self.room.take(sum(map(len, facts)))
        object_id = made_id(object_type, *self.key, *facts)
        if object_id in self._ids:
            return object_id
        if len(self.objects) + len(self.set_aside) >= self.most:
            raise Refused("json.too-many-objects", f"more than {self.most} objects")
        if not members.pop("observable", False):
            members = {
                "created_by_ref": self.author,
                "created": self.created,
                "modified": self.modified,
                **members,
            }
        try:
            raw = made(object_type, object_id, self.tlp, **members)
        except Refused as refusal:
            self.set_aside.append(SetAside(place, refusal.code, refusal.detail))
            return ""
        self.room.take(len(raw.data))
        self.objects.append(raw)
        self._ids.add(object_id)
        return object_id

    def has(self, object_type: str, *facts: str) -> bool:
        """Whether an object of these facts was made."""
        return made_id(object_type, *self.key, *facts) in self._ids

    def relate(self, place: str, source: str, kind: str, target: str) -> None:
        """Relate two objects, if both were made; beyond the most a message can hold, it is a loss."""
        if not source or not target:
            return
        self._relations += 1
        if self._relations > self.most // 2:
            self.losses.add(place, "relationship", "more than a message holds; the extension has the ids")
            return
        made_one = relationship(source, kind, target, tlp=self.tlp, at=self.modified, author=self.author)
        if made_one.id not in self._ids:
            self._ids.add(made_one.id)
            self.objects.append(made_one)


def extension(**facts: Any) -> dict[str, Any]:
    """Our extension with what the advisory says and STIX has no property for."""
    return source_extension(FORMAT, facts)


def stix_time(text: str, place: str) -> str:
    """A CSAF date (RFC 3339) as a STIX timestamp. Raises Refused `format.bad-file`."""
    try:
        return to_stix(from_iso(text))
    except (ValueError, OverflowError):
        raise Refused("format.bad-file", f"{place} is no date and time (RFC 3339)") from None


def references(of: Members, source_name: str) -> list[dict[str, str]]:
    """The member `references` as external references: summary as description, a URL that STIX takes, else as text."""
    found = []
    for each in of.objects("references"):
        summary, url, category = each.text("summary"), each.text("url"), each.text("category")
        each.end()
        name = f"{source_name} ({category})" if category else source_name
        if _URL.fullmatch(url):
            found.append(reference(name, url=url, description=summary))
        elif url or summary:
            found.append(reference(name, description=f"{summary} {url}".strip()))
        else:
            each.lost("category", "its reference has no link and no text")
    return found


def url_reference(url: str, source_name: str) -> list[dict[str, str]]:
    """One link as the external references of an object; none without it."""
    if not url:
        return []
    return [
        reference(source_name, url=url) if _URL.fullmatch(url) else reference(source_name, description=url)
    ]
