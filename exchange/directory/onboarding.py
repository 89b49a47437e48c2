"""How a member's standing comes about: the table of moves, and who signs for a move (docs/protocol.md §9.4, §9.8).

The one place that says which statement moves a member from which status to which, and who signs for it. What a status
permits beyond that is `policy`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from exchange.directory.members import Member, Move, Status, Suspension
from exchange.errors import Rejected
from exchange.limits import DAY_MS

MAX_PERIOD_MS: Final = 366 * DAY_MS  # of a suspension, and of the notice of an offboarding
FOUNDING_MS: Final = 90 * DAY_MS  # after the genesis, in which members are admitted as active at once
EMERGENCY_MS: Final = (
    DAY_MS  # how long one officer's suspension holds unconfirmed, and how often it may make one
)
EMERGENCY_AGAIN_MS: Final = 30 * DAY_MS  # of the same member: else one officer could suspend it for good
LEAVE_MS: Final = 7 * DAY_MS  # least notice by a member's own key: a thief's must leave time to object

# whose signature helps a new member in; and who counts when a threshold is computed, so that it can't be lowered by
# suspending the possible sponsors
_MAY_SPONSOR: Final = frozenset({Status.ACTIVE})
_COUNTS: Final = frozenset({Status.ACTIVE, Status.RESTRICTED, Status.SUSPENDED})
_SILENT: Final = frozenset({Status.SUSPENDED, Status.REMOVED})
_NEWCOMERS: Final = frozenset({Status.PROVISIONAL, Status.ACTIVE})


@dataclass(frozen=True)
class Transition:
    """A row of the table: from where to where (None: back to what it was), and who may sign.

    `officers`: their threshold; `sponsor`: one of the member's sponsors besides; `member`: its own key and no other.
    `document`: a document's hash must say why; `notice`: the time that it names ends the membership, `least` ms from
    now or later.
    """

    start: frozenset[Status]
    end: Status | None
    officers: bool = True
    sponsor: bool = False
    member: bool = False
    document: bool = True
    notice: bool = False
    least: int = 0


_IN_SERVICE: Final = frozenset({Status.PROVISIONAL, Status.ACTIVE, Status.RESTRICTED})
_EVERYBODY: Final = frozenset(Status) - {Status.REMOVED}

# An `add` isn't a move: it makes a member where there was none.
TRANSITIONS: Final[Mapping[Move, Transition]] = {
    Move.ACTIVATE: Transition(frozenset({Status.PROVISIONAL}), Status.ACTIVE, sponsor=True),
    Move.RESTRICT: Transition(_NEWCOMERS, Status.RESTRICTED),
    Move.SUSPEND: Transition(_IN_SERVICE | {Status.OFFBOARDING}, Status.SUSPENDED),
    Move.CONFIRM: Transition(frozenset({Status.SUSPENDED}), Status.SUSPENDED, document=False),
    Move.REINSTATE: Transition(
        frozenset({Status.RESTRICTED, Status.SUSPENDED, Status.OFFBOARDING}), None, document=False
    ),
    Move.LEAVE: Transition(
        _IN_SERVICE | {Status.SUSPENDED},
        Status.OFFBOARDING,
        officers=False,
        member=True,
        document=False,
        notice=True,
        least=LEAVE_MS,
    ),
    Move.OFFBOARD: Transition(_IN_SERVICE | {Status.SUSPENDED}, Status.OFFBOARDING, notice=True),
    Move.REMOVE: Transition(_EVERYBODY, Status.REMOVED),
}


def check_move(move: Move, member: Member) -> None:
    """Does the table have this move from where the member stands? Raises Rejected directory.wrong-status."""
    leaving_already = member.until and TRANSITIONS[move].notice
    if member.status not in TRANSITIONS[move].start or leaving_already:
        raise Rejected("directory.wrong-status", f"{move.value}: {member.handle} is {member.status.value}")


def named_by(move: Move, member: Member) -> bytes:
    """The hash of the statement that `confirm` and `reinstate` must name; empty for the other moves.

    Raises Rejected directory.wrong-status for a confirm of what isn't an unconfirmed emergency.
    """
    suspension = member.suspension
    if move is Move.CONFIRM:
        if suspension is None or not suspension.confirm_by:
            raise Rejected("directory.wrong-status", f"{member.handle} isn't suspended in an emergency")
        return suspension.named
    if move is Move.REINSTATE:
        return suspension.named if suspension else member.lifts
    return b""


def moved(move: Move, member: Member, *, at: int, named: bytes, until: int) -> Member:
    """`member` after a move that was checked, by the statement with hash `named`, logged at `at` (UTC ms)."""
    if move is Move.CONFIRM and member.suspension:
        return replace(member, suspension=replace(member.suspension, confirm_by=0))
    if move is Move.REINSTATE:
        lifted = replace(member, status=member.before, since=at, lifts=b"", until=0)
        return unsuspended(member, at=at) if member.suspension else lifted
    if move is Move.REMOVE:
        return removed(member, at=at)
    stood = member.suspension.before if member.suspension else member.status
    if until or move is Move.RESTRICT:
        # taking back the end of a membership lifts a restriction as well: the officers do both
        before = member.before if stood is Status.RESTRICTED else stood
        member = replace(member, before=before, lifts=named)
    if until and member.suspension:
        # it stays suspended: leaving must not give back what the suspension took
        ending = replace(member.suspension, before=Status.OFFBOARDING)
        return replace(member, suspension=ending, until=until)
    return replace(member, status=TRANSITIONS[move].end or member.status, since=at, until=until)


def suspended(member: Member, suspension: Suspension) -> Member:
    """`member` under a suspension that was checked."""
    return replace(member, status=Status.SUSPENDED, since=suspension.since, suspension=suspension)


def unsuspended(member: Member, *, at: int) -> Member:
    """`member` as it stood before its suspension; without one, unchanged."""
    if member.suspension is None:
        return member
    return replace(member, status=member.suspension.before, since=at, suspension=None)


def removed(member: Member, *, at: int) -> Member:
    """`member` as a name that is never used again; its keys stay, so that old messages resolve."""
    return replace(
        member, status=Status.REMOVED, since=at, suspension=None, recovery=None, until=0, lifts=b""
    )


def has_a_say(member: Member) -> bool:
    """Is it of those of whom more than half decide? A suspended one is: nobody can suspend a majority away."""
    return member.status in _COUNTS


def is_removed(member: Member) -> bool:
    """Nothing moves any more, nor do its keys."""
    return member.status is Status.REMOVED


def is_silent(member: Member) -> bool:
    """Suspended or gone: it states nothing of its contact points, and nobody is nominated in its name."""
    return member.status in _SILENT


def is_founding(member: Member) -> bool:
    """Is it admitted as active at once?"""
    return member.status is Status.ACTIVE


def is_provisional(member: Member) -> bool:
    """Does its checklist still stand before it (docs/protocol.md §9.16)?"""
    return member.status is Status.PROVISIONAL


def may_sponsor(member: Member) -> bool:
    """May this member's signature help another one in? One without a country can't: countries are counted."""
    return member.status in _MAY_SPONSOR and member.country != ""


def counts(member: Member) -> bool:
    """Is it one of those whose number thresholds and majorities are computed from?"""
    return member.status in _COUNTS


def sponsors_needed(country: str, members: Iterable[Member], threshold: int) -> int:
    """How many sponsors of distinct other countries a member of `country` needs.

    The network's threshold, or as many as there are other countries; 0 only when there is none.
    """
    others = {m.country for m in members if m.country not in ("", country) and counts(m)}
    return min(threshold, len(others))


def sponsors_among(country: str, members: Iterable[Member]) -> tuple[Member, ...]:
    """Those of `members` whose signature counts for a member of `country`, in order of handle."""
    fit = (m for m in members if may_sponsor(m) and m.country != country)
    return tuple(sorted(fit, key=lambda m: m.handle))


def check_signatures(*, officers: tuple[int, int], sponsors: tuple[int, int]) -> None:
    """Enough of both? Each is (signed, needed); both are in the facts, so that people see what is still missing.

    Raises Rejected directory.too-few-officers, directory.too-few-sponsors.
    """
    for word, (signed, needed) in (("officers", officers), ("sponsors", sponsors)):
        if signed < needed:
            detail = f"{signed} of the {needed} {word} needed signed"
            raise Rejected(f"directory.too-few-{word}", detail, officers=officers, sponsors=sponsors)
