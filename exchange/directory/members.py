"""Who is in the network: members, officers and the hub, as the directory log says (docs/protocol.md §1, §9.3, §9.4).

Owns these records and their signed JSON. Who may change a status is `onboarding`'s business, what it permits
`policy`'s, how the records come about `rules`'.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from exchange.canonical import COUNTRY, HANDLE, ORIGIN, Fields, Json, b64, is_member_handle, unb64
from exchange.errors import Rejected
from exchange.keys import PublicKey, PublicKeys

MEMBER_CLASSES: Final = (
    "national_csirt",
    "sectoral_csirt",
    "police",
    "military",
    "government_authority",
    "international_org",
    "observer",
)
MAX_CA: Final = 4_096  # bytes of DER


class Status(Enum):
    """How a member stands; what each permits is `policy`'s business (docs/protocol.md §9.8)."""

    PROVISIONAL = "provisional"
    ACTIVE = "active"
    RESTRICTED = "restricted"
    SUSPENDED = "suspended"
    OFFBOARDING = "offboarding"
    REMOVED = "removed"


class Move(Enum):
    """What changes a member's standing: SUSPEND is a statement of its own, the others are those of `status` (§9.8).

    Who may make which from where is `onboarding`'s business.
    """

    ACTIVATE = "activate"
    RESTRICT = "restrict"
    SUSPEND = "suspend"
    CONFIRM = "confirm"
    REINSTATE = "reinstate"
    LEAVE = "leave"
    OFFBOARD = "offboard"
    REMOVE = "remove"


ADMITTED_AS: Final = (Status.ACTIVE.value, Status.PROVISIONAL.value)


@dataclass(frozen=True)
class Suspension:
    """Why and until when (UTC ms) a member is suspended; `confirm_by` is 0 once the officers' threshold signed.

    `named` is the hash of the suspend statement, which reinstating and confirming name; `before` the status that the
    end of the suspension leads back to; `officers` the addresses that signed it.
    """

    named: bytes
    before: Status
    ground: str
    document: bytes
    since: int
    until: int
    confirm_by: int
    officers: tuple[str, ...]


@dataclass(frozen=True)
class Recovery:
    """New keys, asked for at `since`, that become a member's at `due` (leaf times, UTC ms) unless vetoed.

    `named` is the recover statement's hash.
    """

    named: bytes
    keys: PublicKeys
    next: bytes
    revoke: PublicKey
    since: int
    due: int
    next_only: bool  # only the committed next key can veto it


@dataclass(frozen=True, slots=True)
class Member:
    """A member: its keys, what it committed to for later, and its standing `since` (leaf time, UTC ms).

    `before` is the status that taking back a restriction or an offboarding leads to, `lifts` the statement to name for
    it; `until` the end of an offboarding, 0 for none; `rotations` how often it rotated; `vetoes` how many recoveries of
    the keys it has now it vetoed.
    """

    handle: str
    member_class: str
    country: str  # ISO 3166-1 alpha-2; empty for one without a country
    keys: PublicKeys
    revoke: PublicKey
    next: bytes
    status: Status = Status.ACTIVE
    since: int = 0
    agreement: bytes = b""  # SHA-256 of the accession agreement
    application: bytes = b""  # salted hash of the application document
    sponsors: tuple[str, ...] = ()
    before: Status = Status.ACTIVE
    lifts: bytes = b""
    until: int = 0
    suspension: Suspension | None = None
    recovery: Recovery | None = None
    rotations: int = 0
    vetoes: int = 0

    @property
    def deadline(self) -> int | None:
        """When the next thing falls due for it by itself (UTC ms): see `due`."""
        times = [self.recovery.due] if self.recovery else []
        if self.suspension:
            times.append(self.suspension.until)
            if self.suspension.confirm_by:
                times.append(self.suspension.confirm_by)
        if self.until:
            times.append(self.until)
        return min(times, default=None)

    def to_json(self) -> Json:
        """The `member` of an add body; the rest comes from the leaves."""
        return {
            "agreement": b64(self.agreement),
            "application": b64(self.application),
            "class": self.member_class,
            "country": self.country,
            "handle": self.handle,
            "keys": self.keys.to_json(),
            "next": b64(self.next),
            "revoke": self.revoke.to_json(),
            "status": self.status.value,
        }

    @classmethod
    def from_json(cls, value: Json) -> Member:
        """Inverse of `to_json`. Raises Rejected json.bad-schema."""
        names = (
            "agreement",
            "application",
            "class",
            "country",
            "handle",
            "keys",
            "next",
            "revoke",
            "status",
        )
        fields = Fields(value, names, what="member")
        handle = fields.matching("handle", HANDLE)
        if not is_member_handle(handle):
            raise Rejected("json.bad-schema", f"member.handle: {handle} is reserved")
        return cls(
            handle=handle,
            member_class=fields.one_of("class", MEMBER_CLASSES),
            country=fields.matching("country", COUNTRY),
            keys=PublicKeys.from_json(fields.raw("keys"), what="member.keys"),
            revoke=PublicKey.from_json(fields.raw("revoke"), what="member.revoke"),
            next=fields.binary("next", 32),
            status=Status(fields.one_of("status", ADMITTED_AS)),
            agreement=fields.hash_or_none("agreement"),
            application=fields.hash_or_none("application"),
        )


@dataclass(frozen=True)
class Unit:
    """An address `member/unit` with keys of its own; `kind` is `unit` or `person`, `since` the leaf's time (UTC ms)."""

    address: str
    kind: str
    keys: PublicKeys
    since: int

    @property
    def member(self) -> str:
        return self.address.partition("/")[0]


@dataclass(frozen=True)
class Officer:
    """Who signs for the network; its address is `officer/NAME`."""

    name: str
    keys: PublicKeys

    @property
    def address(self) -> str:
        return f"officer/{self.name}"

    def to_json(self) -> Json:
        return {"name": self.name, "keys": self.keys.to_json()}

    @classmethod
    def from_json(cls, value: Json) -> Officer:
        """Inverse of `to_json`. Raises Rejected json.bad-schema."""
        fields = Fields(value, ("name", "keys"), what="officer")
        return cls(
            fields.matching("name", HANDLE), PublicKeys.from_json(fields.raw("keys"), what="officer.keys")
        )


@dataclass(frozen=True)
class HubIdentity:
    """The hub: origin (`https://host[:port]`), the CA of its certificate (DER; empty: a public one) and keys."""

    address: str
    ca: bytes
    keys: PublicKeys

    def to_json(self) -> Json:
        return {"address": self.address, "ca": b64(self.ca), "keys": self.keys.to_json()}

    @classmethod
    def from_json(cls, value: Json) -> HubIdentity:
        """Inverse of `to_json`. Raises Rejected json.bad-schema."""
        fields = Fields(value, ("address", "ca", "keys"), what="hub")
        address = fields.matching("address", ORIGIN)
        if address.endswith(":443"):
            raise Rejected("json.bad-schema", "hub.address: the default port is left out")
        ca = unb64(fields.raw("ca"), field="hub.ca")
        if len(ca) > MAX_CA:
            raise Rejected("json.bad-schema", f"hub.ca: more than {MAX_CA} bytes")
        return cls(address, ca, PublicKeys.from_json(fields.raw("keys"), what="hub.keys"))
