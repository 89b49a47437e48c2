"""Makes STIX objects out of what other formats say: ids that repeat, TLP markings, the extension for what is left over.

The same facts give the same id wherever they are read, so a file that is read twice makes no second object. What the
objects say is each format's own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from exchange.errors import Refused
from exchange.formats.objects import RawObject
from exchange.formats.stix.read import object_of
from exchange.tlp import Tlp

# UUIDv5 namespace of everything that is made of another format (docs/messages.md).
NAMESPACE: Final = uuid.UUID("559393a0-6a66-4d35-bd89-dbe31fd1ecc8")
_OASIS: Final = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")  # of observables, STIX 2.1 §2.9
_PUBLISHERS_SINCE: Final = "2021-06-10T00:00:00.000Z"
# What a source says and STIX has no property for: a property-extension with one member, named after the format.
SOURCE: Final = "extension-definition--1d000da8-0523-41bb-a300-3da5fd6edfdf"

MAX_GROWTH: Final = 4  # bytes that are made at most, for each byte that a file may have


class Room:
    """How many bytes may still be made of one file, or one message.

    What a file says once and its objects repeat, such as a long name that stands on every product, could make gigabytes
    of a few pages otherwise.
    """

    def __init__(self, most: int) -> None:
        """Room for MAX_GROWTH times the `most` bytes that what is read may have."""
        self._most = self._left = MAX_GROWTH * most

    def takes(self, size: int) -> bool:
        """Whether `size` bytes more still have room; they have taken it then. What has none takes none from others."""
        fits = size <= self._left
        self._left -= size if fits else 0
        return fits

    def take(self, size: int) -> None:
        """Take room for `size` bytes. Raises Refused `json.too-large` where there is none."""
        if not self.takes(size):
            self._left = -1  # whoever goes on in spite of that is refused too
            raise Refused("json.too-large", f"what is made of it has more than {self._most} bytes")


def made_id(object_type: str, *facts: str) -> str:
    """The id of an object of that type made of these facts; others give another."""
    return f"{object_type}--{uuid.uuid5(NAMESPACE, orjson.dumps([object_type, *facts]).decode())}"


def observable_id(object_type: str, **contributing: Any) -> str:
    """The id of an observable that every tool gives it (STIX 2.1 §2.9): of the members that make it what it is."""
    said = orjson.dumps(contributing, option=orjson.OPT_SORT_KEYS).decode()
    return f"{object_type}--{uuid.uuid5(_OASIS, said)}"


def made(object_type: str, object_id: str, tlp: Tlp | None, **members: Any) -> RawObject:
    """A valid STIX 2.1 object; members that are None, or empty texts and lists, stay out.

    Raises: Refused `stix.*` for what the schemas don't take.
    """
    value: dict[str, Any] = {"type": object_type, "spec_version": "2.1", "id": object_id}
    value |= {name: each for name, each in members.items() if each not in (None, "", [], {})}
    if tlp is not None:
        value["object_marking_refs"] = [tlp.marking_id]
    return object_of(value)


def tagged(raw: RawObject, tags: Iterable[str]) -> RawObject:
    """The same object with these tags among its labels. Raises: Refused `stix.*`."""
    value = orjson.loads(raw.data)
    value["labels"] = list(dict.fromkeys([*value.get("labels", ()), *tags]))
    return object_of(value)


def made_publisher(name: str, *facts: str, **members: Any) -> RawObject:
    """The identity of who published what is read; the same facts are the same object wherever they are read.

    It can't have the times of one file then, and has those of STIX 2.1 itself. That somebody publishes is no secret:
    it is CLEAR, and no file's label is made stricter by it.
    """
    return made(
        "identity",
        made_id("identity", *facts),
        Tlp.CLEAR,
        created=_PUBLISHERS_SINCE,
        modified=_PUBLISHERS_SINCE,
        name=name,
        identity_class="organization",
        **members,
    )


def source_extension(source_format: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The member `extensions` that keeps what a source said beside STIX; nothing where it said nothing."""
    kept = {name: each for name, each in facts.items() if each not in (None, "", [], {})}
    if not kept:
        return {}
    return {SOURCE: {"extension_type": "property-extension", source_format: kept}}


def reference(
    source_name: str, *, external_id: str = "", url: str = "", description: str = ""
) -> dict[str, str]:
    """An external reference (STIX 2.1 §2.5), its empty members left out."""
    value = {
        "source_name": source_name,
        "external_id": external_id,
        "url": url,
        "description": description,
    }
    return {name: each for name, each in value.items() if each}


def relationship(source: str, kind: str, target: str, *, tlp: Tlp | None, at: str, author: str) -> RawObject:
    """`source` stands in the relation `kind` to `target`, as the identity `author` said at the STIX time `at`."""
    return made(
        "relationship",
        made_id("relationship", source, kind, target, at),
        tlp,
        created_by_ref=author,
        created=at,
        modified=at,
        relationship_type=kind,
        source_ref=source,
        target_ref=target,
    )


def as_bundle(objects: Sequence[RawObject]) -> bytes:
    """The objects as a file: one STIX bundle, each of them byte for byte."""
    bundle_id = made_id("bundle", *(each.id for each in objects))
    parts = b",".join(each.data for each in objects)
    return b'{"type":"bundle","id":"%b","objects":[%b]}' % (bundle_id.encode("ascii"), parts)
