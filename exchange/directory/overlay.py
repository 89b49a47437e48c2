"""Notices: what was heard of a key or a member by another path than the hub's log, and what it takes away (§9.17).

Owns which statements are notices, when one is believed, and the trust that believing it removes. It never adds any, and
never changes what takes effect in the log. How a notice travels and is kept is the node's business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from exchange.canonical import Fields, Json, b64
from exchange.directory.bodies import Body
from exchange.directory.bodies_base import MAX_OFFICERS
from exchange.directory.bodies_members import Revoke, Suspend, Veto
from exchange.directory.bodies_network import HUB_CHANGE
from exchange.directory.network import REVOKED
from exchange.directory.onboarding import EMERGENCY_MS
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.directory.succession import check_succession, read_change
from exchange.errors import Hold, Rejected
from exchange.limits import HOUR_MS

NOTICES: Final = frozenset({"suspend", "revoke", "veto", HUB_CHANGE})
LOGGABLE_MS: Final = (
    HOUR_MS  # what a suspend or veto must have left of its not_after: so long may telling the hub take
)


@dataclass(frozen=True)
class Lost:
    """Trust that the statement with hash `named` takes away: of the key `skid` of `address`, or of all it does.

    `skid` is empty where it is the member that is suspended. `since` is when the key is believed to be another's, or
    the suspension was heard of; `until` when that ends by itself, 0 for never. UTC ms. `officers` made it, where it is
    an emergency.
    """

    named: bytes
    address: str
    skid: bytes
    since: int
    until: int = 0
    officers: tuple[str, ...] = ()

    def says_nothing(self, directory: Directory, now: int) -> bool:
        """Has it ended by itself at `now` (UTC ms), or does the log distrust the key at least as long by now?"""
        if 0 < self.until <= now:
            return True
        if not self.skid:
            return False
        try:
            standing = directory.key_standing(self.address, self.skid)
        except Hold:
            return False
        return standing.state == REVOKED and 0 < standing.since <= self.since

    def to_json(self) -> Json:
        return {
            "address": self.address,
            "named": b64(self.named),
            "officers": list(self.officers),
            "since": self.since,
            "skid": b64(self.skid),
            "until": self.until,
        }

    @classmethod
    def from_json(cls, value: Json) -> Lost:
        """Inverse of `to_json`. Raises Rejected json.bad-schema."""
        fields = Fields(value, ("address", "named", "officers", "since", "skid", "until"), what="notice")
        return cls(
            named=fields.binary("named", 32),
            address=fields.address("address"),
            skid=fields.hash_or_none("skid"),
            since=fields.integer("since"),
            until=fields.integer("until"),
            officers=tuple(str(officer) for officer in fields.items("officers", most=MAX_OFFICERS)),
        )


def read_notice(directory: Directory, statement: Statement, now: int, held: Overlay) -> Body:
    """What a statement says that may act at once: it would take effect in the log at `now` (UTC ms), beside `held`.

    A change of hub would elsewhere: where it takes up the log. Raises Rejected with the code of the rule against it:
    directory.not-own for a type that is no notice, directory.repeated for one that the log has taken in,
    directory.lapsed for a suspend or veto that has no time left to get there, directory.too-often for an emergency by
    officers who have made one that is held.
    """
    head = directory.read_head(statement)
    word = head.type
    if word not in NOTICES:
        raise Rejected(
            "directory.not-own", "only a suspend, revoke, veto or hub-change acts outside of the log"
        )
    if word == HUB_CHANGE:
        check_succession(directory, statement)
        return read_change(statement, directory.net)
    body = directory.judge(statement, max(now, directory.at))
    if isinstance(body, Suspend | Veto) and head.not_after < now + LOGGABLE_MS:
        raise Rejected("directory.lapsed", "too late for the log, where it would be seen and counted")
    if isinstance(body, Suspend) and _is_emergency(directory, statement):
        held.check_free(statement.signers, statement.hash(directory.net), now)
    return body


def _is_emergency(directory: Directory, statement: Statement) -> bool:
    return len(statement.signers) < directory.officers_threshold


def lost_by(directory: Directory, statement: Statement, body: Body, now: int) -> Lost | None:
    """The trust that a notice takes away, read by `read_notice` at `now`; None for a change of hub."""
    named, address = statement.hash(directory.net), body.head.subject[0]
    match body:
        case Revoke():
            return Lost(named, address, body.skid, body.since)
        case Suspend():
            if _is_emergency(directory, statement):
                until = min(body.until, now + EMERGENCY_MS)
                return Lost(named, address, b"", now, until, statement.signers)
            return Lost(named, address, b"", now, body.until)
        case Veto():
            # should the hub keep the veto out of the log until the recovery is due, the new key gets no trust here
            member = directory.members.get(address)
            recovery = member.recovery if member else None
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
                one
                for one in self.lost
                if not directory.took_effect(one.named) and not one.says_nothing(directory, now)
            )
        )

    def has(self, named: bytes) -> bool:
        """Is the statement with this hash one of them?"""
        return any(one.named == named for one in self.lost)

    def check_free(self, officers: Collection[str], named: bytes, now: int) -> None:
        """One of these officers has no emergency here but `named`: the log would take one of each in 24 h.

        Raises Rejected directory.too-often.
        """
        if not officers:
            return
        others = [one for one in self.lost if one.named != named and now < one.until]
        if {officer for one in others for officer in one.officers}.issuperset(officers):
            raise Rejected("directory.too-often", "they suspend another member already")

    def distrusted(self, address: str, skid: bytes) -> int | None:
        """Since when (UTC ms) this signing key isn't to be believed; None when nothing speaks against it."""
        return min(
            (one.since for one in self.lost if (one.address, one.skid) == (address, skid)), default=None
        )

    def suspended(self, handle: str) -> bool:
        """Has this member been suspended?"""
        return any(one.address == handle and not one.skid for one in self.lost)
