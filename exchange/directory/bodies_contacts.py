"""The statements about units, records and contact points (docs/protocol.md §9.12-9.14).

Owns the values of unit, record, constituency, contact, confirm, contact-end and test, their closed schemas and
builders. Whether one takes effect is `rules_contacts`' business, what the parts beside the log say `records`'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from exchange.canonical import Fields, Json, b64, is_member_handle, unb64
from exchange.directory.contacts import LEVELS, MEMBERS
from exchange.directory.statements import Head, check_subject, closed, write_body
from exchange.errors import Rejected
from exchange.keys import PublicKeys

UNIT: Final = "unit"
PERSON: Final = "person"
UNIT_KINDS: Final = (PERSON, UNIT)
CONTACT_END: Final = "contact-end"
TEST_KINDS: Final = ("call", "ping")
TEST_RESULTS: Final = ("late", "none", "ok")
MAX_TOPICS: Final = 32
MAX_INSTRUMENTS: Final = 32
MAX_ENTRIES: Final = 262_144  # of a constituency
MAX_MINUTES: Final = 7 * 24 * 60

# Open lists: functions, topics and instruments grow, and an older node must still read what newer ones state.
_WORD = re.compile(r"[a-z0-9_-]{2,32}\Z")
PERSON_HANDLE = re.compile(r"p-[a-z2-7]{10}\Z")


@dataclass(frozen=True)
class UnitKeys:
    """The address of the subject has these keys from now on; `kind` is `unit` or `person` (§9.12)."""

    head: Head
    kind: str
    keys: PublicKeys


@dataclass(frozen=True)
class RecordParts:
    """What a member says of itself: the hash of each part by level (§9.13)."""

    head: Head
    parts: dict[str, bytes]


@dataclass(frozen=True)
class ConstituencyClaim:
    """The networks and domains a member answers for: how many, and the hash of the part that lists them (§9.13)."""

    head: Head
    entries: int
    part: bytes


@dataclass(frozen=True)
class ContactPoint:
    """A function at the subject's address (§9.14).

    `nomination` is the SHA-256 of a note verbale, `unit` the skid of the address's own signing key; empty for none.
    """

    head: Head
    function: str
    community: str
    topics: tuple[str, ...]
    instruments: tuple[str, ...]
    unit: bytes
    nomination: bytes
    parts: dict[str, bytes]


@dataclass(frozen=True)
class Confirm:
    """All that the contact point says is still true (§9.14)."""

    head: Head


@dataclass(frozen=True)
class ContactEnd:
    """The function is vacant (§9.14)."""

    head: Head


@dataclass(frozen=True)
class TestResult:
    """What came of a test call or ping: minutes to the answer, and `ok`, `late` or `none` (§9.14)."""

    head: Head
    kind: str
    minutes: int
    result: str


def read_unit(head: Head, value: Json) -> UnitKeys:
    """The schema of §9.12. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "keys", "kind")
    handle = _check_owned(head, "unit")
    kind = fields.one_of("kind", UNIT_KINDS)
    if (kind == PERSON) != bool(PERSON_HANDLE.match(handle)):
        raise Rejected("json.bad-schema", "unit: a person's handle is `p-` and 10 of a-z2-7, a unit's isn't")
    return UnitKeys(head, kind, PublicKeys.from_json(fields.raw("keys"), what="unit.keys"))


def read_record(head: Head, value: Json) -> RecordParts:
    """The schema of §9.13. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "parts")
    _check_member(head, "record")
    return RecordParts(head, _read_parts(fields))


def read_constituency(head: Head, value: Json) -> ConstituencyClaim:
    """The schema of §9.13. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "entries", "part")
    _check_member(head, "constituency")
    return ConstituencyClaim(head, fields.integer("entries", most=MAX_ENTRIES), fields.binary("part", 32))


def read_contact(head: Head, value: Json) -> ContactPoint:
    """The schema of §9.14. Raises Rejected json.bad-schema."""
    names = ("community", "function", "instruments", "nomination", "parts", "topics", "unit")
    fields = Fields(closed(head, value, "contact").raw("contact"), names, what="contact")
    _check_owned(head, "contact")
    return ContactPoint(
        head=head,
        function=fields.matching("function", _WORD),
        community=fields.matching("community", _WORD),
        topics=_read_words(fields, "topics", least=1, most=MAX_TOPICS),
        instruments=_read_words(fields, "instruments", most=MAX_INSTRUMENTS),
        unit=fields.hash_or_none("unit"),
        nomination=fields.hash_or_none("nomination"),
        parts=_read_parts(fields),
    )


def read_confirm(head: Head, value: Json) -> Confirm:
    """The schema of §9.14. Raises Rejected json.bad-schema."""
    closed(head, value)
    _check_owned(head, "contact")
    return Confirm(head)


def read_contact_end(head: Head, value: Json) -> ContactEnd:
    """The schema of §9.14. Raises Rejected json.bad-schema."""
    closed(head, value)
    _check_owned(head, "contact")
    return ContactEnd(head)


def read_test(head: Head, value: Json) -> TestResult:
    """The schema of §9.14. Raises Rejected json.bad-schema."""
    fields = closed(head, value, "kind", "minutes", "result")
    _check_owned(head, "test")
    return TestResult(
        head,
        kind=fields.one_of("kind", TEST_KINDS),
        minutes=fields.integer("minutes", most=MAX_MINUTES),
        result=fields.one_of("result", TEST_RESULTS),
    )


def build_unit(
    *, net: bytes, address: str, kind: str, keys: PublicKeys, after: bytes, not_after: int
) -> bytes:
    """Body that gives `address` keys of its own. Raises Refused directory.bad-statement."""
    head = Head("unit", (address, "unit"), after, not_after)
    return write_body(net, head, {"keys": keys.to_json(), "kind": kind}, read_unit)


def build_record(
    *, net: bytes, handle: str, parts: Mapping[str, bytes], after: bytes, not_after: int
) -> bytes:
    """Body that names the parts of a member's record, hash by level. Raises Refused directory.bad-statement."""
    head = Head("record", (handle, "record"), after, not_after)
    return write_body(net, head, {"parts": _parts_json(parts)}, read_record)


def build_constituency(
    *, net: bytes, handle: str, entries: int, part: bytes, after: bytes, not_after: int
) -> bytes:
    """Body that claims what the part with this hash lists. Raises Refused directory.bad-statement."""
    head = Head("constituency", (handle, "constituency"), after, not_after)
    return write_body(net, head, {"entries": entries, "part": b64(part)}, read_constituency)


def build_contact(
    *,
    net: bytes,
    address: str,
    function: str,
    community: str,
    topics: Sequence[str],
    parts: Mapping[str, bytes],
    after: bytes,
    not_after: int,
    instruments: Sequence[str] = (),
    unit: bytes = b"",
    nomination: bytes = b"",
) -> bytes:
    """Body that states a contact point whole; `parts` are hashes by level. Raises Refused directory.bad-statement."""
    contact: Json = {
        "community": community,
        "function": function,
        "instruments": sorted(instruments),
        "nomination": b64(nomination),
        "parts": _parts_json(parts),
        "topics": sorted(topics),
        "unit": b64(unit),
    }
    head = Head("contact", (address, "contact"), after, not_after)
    return write_body(net, head, {"contact": contact}, read_contact)


def build_confirm(*, net: bytes, address: str, after: bytes, not_after: int) -> bytes:
    """Body that says it is all still true. Raises Refused directory.bad-statement."""
    return write_body(net, Head("confirm", (address, "contact"), after, not_after), {}, read_confirm)


def build_contact_end(*, net: bytes, address: str, after: bytes, not_after: int) -> bytes:
    """Body that makes the function vacant. Raises Refused directory.bad-statement."""
    return write_body(net, Head(CONTACT_END, (address, "contact"), after, not_after), {}, read_contact_end)


def build_test(
    *, net: bytes, address: str, kind: str, minutes: int, result: str, after: bytes, not_after: int
) -> bytes:
    """Body that logs a test of the contact point at `address`. Raises Refused directory.bad-statement."""
    rest: dict[str, Json] = {"kind": kind, "minutes": minutes, "result": result}
    return write_body(net, Head("test", (address, "test"), after, not_after), rest, read_test)


def named_by(body: object) -> Mapping[str, bytes]:
    """The hash of each part that a statement names, by level; none for a type that names no parts."""
    match body:
        case RecordParts(parts=parts) | ContactPoint(parts=parts):
            return parts
        case ConstituencyClaim(part=part):
            return {MEMBERS: part}
    return {}


def _check_member(head: Head, word: str) -> None:
    check_subject(head, head.subject[0], word)
    if not is_member_handle(head.subject[0]):
        raise Rejected("json.bad-schema", f"{head.type}: the subject must be a member")


def _check_owned(head: Head, word: str) -> str:
    """The subject is something of a member's; its own handle, after the slash. Raises Rejected json.bad-schema."""
    check_subject(head, head.subject[0], word)
    member, _, handle = head.subject[0].partition("/")
    if not handle or not is_member_handle(member):
        raise Rejected(
            "json.bad-schema", f"{head.type}: the subject must be a member's address member/handle"
        )
    return handle


def _read_parts(fields: Fields) -> dict[str, bytes]:
    parts: dict[str, bytes] = {}
    last = ""
    for level, digest in fields.rows("parts", 2, most=len(LEVELS)):
        if level not in LEVELS or level <= last:
            raise Rejected("json.bad-schema", "parts: known levels in order, each at most once")
        parts[level], last = unb64(digest, size=32, field="parts"), level
    return parts


def _parts_json(parts: Mapping[str, bytes]) -> Json:
    return [[level, b64(digest)] for level, digest in sorted(parts.items())]


def _read_words(fields: Fields, name: str, *, most: int, least: int = 0) -> tuple[str, ...]:
    words = fields.items(name, least=least, most=most)
    if not all(isinstance(word, str) and _WORD.match(word) for word in words):
        raise Rejected("json.bad-schema", f"contact.{name}: words of 2..32 of a-z, 0-9, _ and -")
    if any(first >= second for first, second in pairwise(words)):
        raise Rejected("json.bad-schema", f"contact.{name}: not sorted, each once")
    return tuple(words)


# Any: the values have no common class but what `bodies.Body` asks of them.
CONTACT_PARSERS: Final[Mapping[str, Callable[[Head, Json], Any]]] = {
    "unit": read_unit,
    "record": read_record,
    "constituency": read_constituency,
    "contact": read_contact,
    "confirm": read_confirm,
    CONTACT_END: read_contact_end,
    "test": read_test,
}
