"""Units' neighbours in the log: the parts beside it, members' records, constituencies, contact points, their tests.

Owns these values as the log states them: codes, times and salted hashes, never a name or a number of a person. What the
parts say is `records`' business, how a statement changes them `rules_contacts`'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from exchange.canonical import ADDRESS, Json, b64, h, unb64
from exchange.errors import Rejected
from exchange.limits import DAY_MS

PUBLIC: Final = "public"
MEMBERS: Final = "members"
LEVELS: Final = ("holders", MEMBERS, "owner", PUBLIC)  # in order, as the log lists them
REPLICATED: Final = frozenset({PUBLIC, MEMBERS})  # what the hub hands out; the others travel sealed
NPC: Final = "npc"
ROUND_THE_CLOCK: Final = frozenset({"technical_24x7", "law_enforcement_24x7"})
SALT_BYTES: Final = 16
MAX_PART: Final = 131_072  # bytes
_DUE_MS: Final = 60 * DAY_MS
_LAPSED_MS: Final = 30 * DAY_MS
_ARCHIVED_MS: Final = 210 * DAY_MS


def part_hash(net: bytes, address: str, level: str, salt: bytes, body: bytes) -> bytes:
    """What the log holds of a part: 32 bytes, bound to network, owner and level (docs/protocol.md §9.13)."""
    return h(net, "part", address.encode("ascii"), level.encode("ascii"), salt, body)


@dataclass(frozen=True)
class Part:
    """What lies beside the log: an owner's words for one level, with the salt that hides them from guessing."""

    address: str
    level: str
    salt: bytes
    body: bytes

    def hash(self, net: bytes) -> bytes:
        """As `part_hash`."""
        return part_hash(net, self.address, self.level, self.salt, self.body)

    def to_json(self) -> Json:
        """As it comes with a statement: [address, level, b64 salt, b64 bytes]."""
        return [self.address, self.level, b64(self.salt), b64(self.body)]

    @classmethod
    def from_json(cls, row: Json) -> Part:
        """Inverse of `to_json`. Raises Rejected json.bad-schema, directory.bad-part."""
        if type(row) is not list or len(row) != 4:
            raise Rejected("json.bad-schema", "parts: [address, level, salt, bytes]")
        address, level = row[0], row[1]
        if type(address) is not str or not ADDRESS.match(address) or level not in LEVELS:
            raise Rejected("directory.bad-part", "not an address and a level")
        body = unb64(row[3], field="parts")
        if len(body) > MAX_PART:
            raise Rejected("directory.bad-part", f"a part has at most {MAX_PART} bytes")
        return cls(address, level, unb64(row[2], size=SALT_BYTES, field="parts"), body)


@dataclass(frozen=True)
class Record:
    """What a member says of itself: the hash of each part by level, since when (leaf time, UTC ms)."""

    parts: dict[str, bytes]
    since: int


@dataclass(frozen=True)
class Constituency:
    """A member's approved networks and domains: the hash of the part at level `members`, and how many entries."""

    part: bytes
    entries: int
    since: int


@dataclass(frozen=True)
class Test:
    """A test call or ping as the secretariat logged it: leaf time, minutes to the answer, `ok`, `late` or `none`."""

    at: int
    kind: str
    minutes: int
    result: str


@dataclass(frozen=True)
class Contact:
    """A contact point: a function at `address`. Times are leaf times in UTC ms; `ended` is 0 while it stands.

    `unit` is the signing key that mail for the function is sealed under, empty where the member's node answers.
    """

    address: str
    function: str
    community: str
    topics: tuple[str, ...]
    instruments: tuple[str, ...]
    unit: bytes
    nomination: bytes
    parts: dict[str, bytes]
    version: int
    since: int
    validated: int
    ended: int = 0
    tests: tuple[Test, ...] = ()

    @property
    def member(self) -> str:
        return self.address.partition("/")[0]

    @property
    def period(self) -> int:
        """How long a validation holds, ms."""
        return (180 if self.function in ROUND_THE_CLOCK else 365) * DAY_MS

    @property
    def validate_by(self) -> int:
        return self.validated + self.period

    @property
    def suspect(self) -> bool:
        """Two tests in a row had no answer."""
        return [test.result for test in self.tests[-2:]] == ["none", "none"]

    def standing(self, now: int) -> str:
        """`validated`, `due`, `overdue`, `lapsed` or `archived` at `now` (UTC ms; docs/protocol.md §9.14)."""
        for word, end in (
            ("validated", self.validate_by - _DUE_MS),
            ("due", self.validate_by),
            ("overdue", self.validate_by + _LAPSED_MS),
            ("lapsed", self.validate_by + _ARCHIVED_MS),
        ):
            if now < end:
                return word
        return "archived"


def named_parts(
    records: Mapping[str, Record],
    constituencies: Mapping[str, Constituency],
    contacts: Iterable[Contact],
    *,
    removed: frozenset[str],
) -> frozenset[bytes]:
    """The hash of every part that the log names now: all others are to be deleted wherever they lie.

    Of the members `removed` only the public part of their records stays, so that old messages resolve.
    """
    hashes = {
        digest
        for handle, record in records.items()
        for level, digest in record.parts.items()
        if handle not in removed or level == PUBLIC
    }
    hashes |= {one.part for handle, one in constituencies.items() if handle not in removed}
    hashes |= {digest for one in contacts if one.member not in removed for digest in one.parts.values()}
    return frozenset(hashes)
