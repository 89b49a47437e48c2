"""Notices: what was heard of a key or a member by another path than the hub's log, and what it takes away (§9.17).

Owns which statements are notices, when one is believed, and the trust that believing it removes. It never adds any, and
never changes what takes effect in the log. How a notice travels and is kept is the node's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exchange.canonical import Fields, Json, b64
from exchange.directory.bodies import Body
from exchange.directory.bodies_members import Revoke, Suspend, Veto
from exchange.directory.bodies_network import HUB_CHANGE
from exchange.directory.onboarding import EMERGENCY_MS
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.directory.succession import check_succession, read_change
from exchange.errors import Rejected

NOTICES: Final = frozenset({"suspend", "revoke", "veto", HUB_CHANGE})


@dataclass(frozen=True)
class Lost:
    """Trust that the statement with hash `named` takes away: of the key `skid` of `address`, or of all it does.

    `skid` is empty where it is the member that is suspended. `since` is when the key is believed to be another's, or
    the suspension was heard of; `until` when that ends by itself, 0 for never. UTC ms.
    """

    named: bytes
    address: str
    skid: bytes
    since: int
    until: int = 0

    def to_json(self) -> Json:
        return {
            "address": self.address,
            "named": b64(self.named),
            "since": self.since,
            "skid": b64(self.skid),
            "until": self.until,
        }

    @classmethod
    def from_json(cls, value: Json) -> Lost:
        """Inverse of `to_json`. Raises Rejected json.bad-schema."""
        fields = Fields(value, ("address", "named", "since", "skid", "until"), what="notice")
        return cls(
            named=fields.binary("named", 32),
            address=fields.address("address"),
            skid=fields.hash_or_none("skid"),
            since=fields.integer("since"),
            until=fields.integer("until"),
        )


def read_notice(directory: Directory, statement: Statement, now: int) -> Body:
    """What a statement says that may act at once: it would take effect in the log at `now` (UTC ms).

    A change of hub would elsewhere: where it takes up the log. Raises Rejected with the code of the rule against it:
    directory.not-own for a type that is no notice, directory.repeated for one that the log has taken in.
    """
    word = directory.read_head(statement).type
    if word not in NOTICES:
        raise Rejected(
            "directory.not-own", "only a suspend, revoke, veto or hub-change acts outside of the log"
        )
    if word == HUB_CHANGE:
        check_succession(directory, statement)
        return read_change(statement, directory.net)
    return directory.judge(statement, max(now, directory.at))


def lost_by(directory: Directory, statement: Statement, body: Body, now: int) -> Lost | None:
    """The trust that a notice takes away, read by `read_notice` at `now`; None for a change of hub."""
    named, address = statement.hash(directory.net), body.head.subject[0]
    match body:
        case Revoke():
            return Lost(named, address, body.skid, body.since)
        case Suspend():
            emergency = len(statement.signers) < directory.officers_threshold
            until = min(body.until, now + EMERGENCY_MS) if emergency else body.until
            return Lost(named, address, b"", now, until)
        case Veto():
            # should the hub keep the veto out of the log until the recovery is due, the new key gets no trust here
            recovery = directory.members[address].recovery
            return Lost(named, address, recovery.keys.signing.skid(directory.net), now) if recovery else None
    return None


@dataclass(frozen=True)
class Overlay:
    """What the notices held so far take away."""

    lost: frozenset[Lost] = frozenset()

    def merge(self, more: Iterable[Lost]) -> Overlay:
        """This and `more`."""
        return Overlay(self.lost.union(more))

    def without_logged(self, directory: Directory, now: int) -> Overlay:
        """What the log hasn't taken in meanwhile, and what hasn't ended by itself at `now` (UTC ms)."""
        return Overlay(
            frozenset(
                one for one in self.lost if not directory.took_effect(one.named) and not 0 < one.until <= now
            )
        )

    def distrusted(self, address: str, skid: bytes) -> int | None:
        """Since when (UTC ms) this signing key isn't to be believed; None when nothing speaks against it."""
        return min(
            (one.since for one in self.lost if (one.address, one.skid) == (address, skid)), default=None
        )

    def suspended(self, handle: str) -> bool:
        """Has this member been suspended?"""
        return any(one.address == handle and not one.skid for one in self.lost)
