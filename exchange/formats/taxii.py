"""What TAXII 2.1 knows of a STIX object, and its timestamps and envelopes.

Owns how an object's id, version and specification are read out of it (TAXII 2.1 §3.4.1, §5.3.1), and how times are
spelt. Which objects stand in which collection is `node/taxii/collections`' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from exchange.errors import Refused
from exchange.formats.objects import Loaded
from exchange.formats.source import Source
from exchange.formats.stix import read as stix
from exchange.formats.stix.spans import Document, Limits, parse, scan
from exchange.formats.stix.validation import version_of

MEDIA_TYPES: Final = ("application/stix+json;version=2.1", "application/stix+json;version=2.0")
MAX_ID: Final = 300  # characters
MAX_NEXT: Final = 4_096  # characters of another server's `next`
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z\Z")
_FINER = re.compile(r"(\.[0-9]{6})[0-9]+")
_ID = re.compile(r"[\x21-\x7e]{1,300}\Z")


@dataclass(frozen=True, slots=True)
class Head:
    """An object's id, type, specification (20 or 21) and version: as it says it, and in microseconds since 1970.

    An object without `modified` and `created` has no version: empty, and None.
    """

    id: str
    type: str
    spec: int
    version: str
    moment: int | None


@dataclass(frozen=True, slots=True)
class Posted:
    """An envelope that was posted: what was read of it, and the version each id says it has, where it says one."""

    loaded: Loaded
    total: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PageRead:
    """An envelope of another server: its objects, whether more follow, and what it wants to be asked for then."""

    loaded: Loaded
    more: bool
    next: str


def head_of(value: object) -> Head | None:
    """What TAXII knows of an object; None for what can't be served: without id and type, or with odd ones."""
    if not isinstance(value, dict):
        return None
    id_, type_ = value.get("id"), value.get("type")
    if not isinstance(id_, str) or not isinstance(type_, str) or not _ID.match(id_) or not _ID.match(type_):
        return None
    version = said_version(value)
    spec = 20 if _says_20(value) else 21
    return Head(id_, type_, spec, version, from_timestamp(version) if version else None)


def said_version(value: Mapping[str, Any]) -> str:
    """`modified`, else `created`, as the object says it; empty without either, or where it is no time."""
    for name in ("modified", "created"):
        text = value.get(name)
        if isinstance(text, str) and _moment(text) is not None:
            return text
    return ""


def media_type(spec: int) -> str:
    """In which form an object of that specification is given out."""
    return MEDIA_TYPES[0] if spec == 21 else MEDIA_TYPES[1]


def to_timestamp(moment: int) -> str:
    """Microseconds since 1970 as TAXII spells them (§2): always with six decimals."""
    return f"{_EPOCH + moment * _MICROSECOND:%Y-%m-%dT%H:%M:%S}.{moment % 1_000_000:06}Z"


def lenient_timestamp(text: str) -> int | None:
    """Microseconds of a timestamp as others spell it: any zone, UTC without one; finer is cut off. None for none."""
    try:
        moment = datetime.fromisoformat(_FINER.sub(r"\1", text.strip()))
    except ValueError:
        return None
    try:  # in UTC it may be in the year 10000, or 0
        zoned = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return None
    return (zoned - _EPOCH) // _MICROSECOND


def from_timestamp(text: str) -> int:
    """Microseconds of a timestamp with any number of decimals. Raises Refused taxii.bad-filter."""
    moment = _moment(text)
    if moment is None:
        raise Refused("taxii.bad-filter", "a timestamp is of the form 2026-01-31T12:00:00.000000Z")
    return moment


def read_envelope(data: bytes, limits: Limits) -> Posted:
    """Read the envelope of a post (§3.7), each object by itself; what is bad is set aside.

    Raises Refused taxii.bad-envelope, json.*, stix.*
    """
    document = scan(data, limits)
    objects = document.members.get("objects") if document.is_object else None
    if objects is None or document.repeated is not None or not document.items:
        raise Refused("taxii.bad-envelope")
    loaded = stix.read(Source("envelope", document.bytes_of(objects), limits), limits)
    versions = {}
    for place, span in enumerate(document.items):
        value = parse(document.bytes_of(span))
        name = value.get("id") if isinstance(value, dict) else None
        version = said_version(value) if isinstance(value, dict) else ""
        versions[f"#{place}"] = version
        if isinstance(name, str):
            versions[name] = version
    return Posted(loaded, len(document.items), versions)


def read_page(data: bytes, limits: Limits) -> PageRead:
    """Read an envelope that another server gave (§3.7), each object by itself; what is bad is set aside.

    Raises Refused taxii.bad-envelope, json.*, stix.*
    """
    document = scan(data, limits)
    told = {
        name: parse(document.bytes_of(document.members[name]))
        for name in ("more", "next")
        if name in document.members
    }
    more, next_ = told.get("more") or False, told.get("next") or ""  # some servers say null
    if not document.is_object or document.repeated is not None or not isinstance(more, bool):
        raise Refused("taxii.bad-envelope")
    if not isinstance(next_, str | int) or len(str(next_)) > MAX_NEXT:
        raise Refused("taxii.bad-envelope", f"next: a text of at most {MAX_NEXT} characters")
    objects = document.members.get("objects")
    if objects is None:
        return PageRead(Loaded("page", stix.FORMAT), more, str(next_))
    listed = document.bytes_of(objects)
    if not listed.startswith(b"["):
        raise Refused("taxii.bad-envelope", "objects: a list")
    return PageRead(stix.read(Source("page", listed, limits), limits), more, str(next_))


def objects_of(document: Document) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The objects of a message's bundle, in order: their exact bytes, and their values."""
    for span in document.items:
        data = document.bytes_of(span)
        value = parse(data)
        if isinstance(value, dict):
            yield data, value


def _says_20(value: Mapping[str, Any]) -> bool:
    try:
        return version_of(value) == "2.0"
    except Refused:
        return False


def _moment(text: str) -> int | None:
    match = _TIME.match(text)
    if match is None:
        return None
    try:
        whole = datetime.fromisoformat(match[1] + "+00:00")
    except ValueError:
        return None
    return (whole - _EPOCH) // _MICROSECOND + int((match[2] or "").ljust(6, "0")[:6])
