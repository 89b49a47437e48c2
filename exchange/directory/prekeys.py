"""Prekeys as the directory knows them: the published reference, the record beside the log, and which one is used when.

Owns the record's form, the rules of docs/protocol.md §9.5 about times, and the choice among several. Does not hold
private halves (storage/keystore) nor wrap to a prekey (keys, envelope).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from exchange.canonical import Fields, Json, b64, dumps, h, loads, unb64
from exchange.errors import Refused, Rejected
from exchange.keys import MLKEM_PUBLIC_BYTES, PrekeyPublic
from exchange.limits import DAY_MS, MAX_PREKEY_RECORD

EPOCH_MS: Final = 7 * DAY_MS  # how long an epoch is normally used
GRACE_MS: Final = 14 * DAY_MS  # how much longer its prekey normally opens mail
EPOCHS_AHEAD: Final = 8  # how many epochs are normally published
MAX_REFS: Final = 16  # in one statement
_MAX_USE_MS: Final = 8 * DAY_MS
_MAX_GRACE_MS: Final = 15 * DAY_MS
_MAX_AHEAD_MS: Final = 120 * DAY_MS  # 16 epochs of 7 days, and some
_LAST_USE_MS: Final = 2 * DAY_MS  # a lapsed prekey is a sender's last resort until this long before destroy


@dataclass(frozen=True, slots=True)
class PrekeyRef:
    """A prekey as a statement names it: 32-byte kid, and the times (UTC ms) it is used from, until, and destroyed."""

    kid: bytes
    start: int
    until: int
    destroy: int

    def to_json(self) -> Json:
        return [b64(self.kid), self.start, self.until, self.destroy]


@dataclass(frozen=True)
class PrekeyRecord:
    """A prekey's public half with its owner and times, as it lies beside the log (docs/protocol.md §9.5)."""

    address: str
    start: int
    until: int
    destroy: int
    public: PrekeyPublic

    def to_bytes(self, net: bytes) -> bytes:
        """Signed JSON of the record; its hash is the kid."""
        return dumps(
            {
                "address": self.address,
                "destroy": self.destroy,
                "from": self.start,
                "mlkem768": b64(self.public.mlkem768),
                "net": b64(net),
                "until": self.until,
                "v": 1,
                "x25519": b64(self.public.x25519),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, net: bytes) -> PrekeyRecord:
        """Inverse of `to_bytes`. Raises Rejected directory.bad-prekeys, also for another network's record."""
        names = ("address", "destroy", "from", "mlkem768", "net", "until", "v", "x25519")
        try:
            fields = Fields(loads(data, most=MAX_PREKEY_RECORD, field="record"), names, what="record")
            fields.exactly("v", 1)
            fields.exactly("net", b64(net))
            return cls(
                address=fields.address("address"),
                start=fields.integer("from"),
                until=fields.integer("until"),
                destroy=fields.integer("destroy"),
                public=PrekeyPublic(
                    fields.binary("mlkem768", MLKEM_PUBLIC_BYTES), fields.binary("x25519", 32)
                ),
            )
        except Rejected as fault:
            raise Rejected("directory.bad-prekeys", fault.detail) from None

    def kid(self, net: bytes) -> bytes:
        """H("prekey", record), 32 bytes."""
        return h(net, "prekey", self.to_bytes(net))

    def ref(self, net: bytes) -> PrekeyRef:
        """What a prekeys statement says of this record."""
        return PrekeyRef(self.kid(net), self.start, self.until, self.destroy)


def verified_record(data: bytes, *, net: bytes, address: str, ref: PrekeyRef) -> PrekeyRecord:
    """The record that `ref`, published by `address`, stands for, fit to seal to. Raises Rejected directory.bad-prekeys.

    The hub hands out records but vouches for none: kid, owner and times must all be those of the signed statement.
    """
    record = PrekeyRecord.from_bytes(data, net)
    if record.address != address or record.ref(net) != ref:
        raise Rejected("directory.bad-prekeys", f"the record isn't the one {address} published")
    record.public.check_usable()  # else one member's bad key would stop the sealing to all the others
    return record


def read_refs(fields: Fields, name: str) -> tuple[PrekeyRef, ...]:
    """The prekeys of a statement's body, in order of start. Raises Rejected json.bad-schema."""
    refs = []
    for kid, *times in fields.rows(name, 4, least=1, most=MAX_REFS):
        if any(type(time) is not int for time in times):
            raise Rejected("json.bad-schema", f"{name}: times are integers")
        refs.append(PrekeyRef(unb64(kid, size=32, field=name), *times))
    return tuple(refs)


def check_times(refs: Sequence[PrekeyRef], at: int) -> None:
    """The rules of docs/protocol.md §9.5 on the prekeys of a statement logged at `at` (UTC ms).

    Raises Rejected directory.bad-prekeys.
    """
    for ref in refs:
        if ref.start > at + _MAX_AHEAD_MS:  # the hub keeps mail and records as long as a prekey allows
            raise Rejected("directory.bad-prekeys", "a prekey is used from more than 120 days ahead")
        if not ref.start < ref.until <= ref.start + _MAX_USE_MS:
            raise Rejected("directory.bad-prekeys", "a prekey is used for more than 8 days, or for none")
        if not ref.until < ref.destroy <= ref.until + _MAX_GRACE_MS:
            raise Rejected(
                "directory.bad-prekeys", "a prekey is destroyed 15 days after its use at the latest"
            )
    if any(first.start >= second.start for first, second in pairwise(refs)):
        raise Rejected("directory.bad-prekeys", "the prekeys aren't in order of their start")
    if len({ref.kid for ref in refs}) != len(refs):
        raise Rejected("directory.bad-prekeys", "a prekey is listed twice")


def choose(refs: Sequence[PrekeyRef], now: int) -> PrekeyRef:
    """The one of an address's current prekeys to seal to at `now`. Raises Refused directory.no-prekey.

    The newest in use; for a peer that stayed away so long that none is, the last one, while it still opens 2 days.
    """
    current = [ref for ref in refs if ref.start <= now < ref.until]
    if current:
        return current[-1]
    lapsed = [ref for ref in refs if ref.until <= now < ref.destroy - _LAST_USE_MS]
    if lapsed:
        return max(lapsed, key=lambda ref: ref.until)
    raise Refused("directory.no-prekey")
