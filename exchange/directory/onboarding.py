"""How a member's standing comes about: the table of moves, and the officers and sponsors that a move takes (§9.4).

The one place that says which statement moves a member from which status to which, and who sponsors. What a status
permits beyond that is `policy`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from exchange.directory.members import Member, Status
from exchange.errors import Rejected

# whose signature helps a new member in; and who counts when the threshold is computed, so that it can't be lowered by
# suspending the possible sponsors (the statuses beyond ACTIVE are reached by statements of a later version)
_MAY_SPONSOR: Final = frozenset({Status.ACTIVE})
_COUNTS: Final = frozenset({Status.ACTIVE, Status.RESTRICTED, Status.SUSPENDED})

# type of statement -> from which status (None: no such handle yet) to which
TRANSITIONS: Final[Mapping[str, tuple[Status | None, Status | None]]] = {
    "add": (None, None),  # as the statement says: active for founders, else provisional
}


def may_sponsor(member: Member) -> bool:
    """May this member's signature help another one in? One without a country can't: countries are counted."""
    return member.status in _MAY_SPONSOR and member.country != ""


def moved(statement_type: str, before: Member | None, after: Member, *, at: int) -> Member:
    """`after` with the status that a statement of this type gives, since `at`.

    Raises Rejected directory.handle-taken when `before` doesn't stand where the table wants it.
    """
    start, end = TRANSITIONS[statement_type]
    if (before.status if before else None) is not start:
        raise Rejected("directory.handle-taken", f"{after.handle} was used before")
    return replace(after, status=end or after.status, since=at)


def sponsors_needed(country: str, members: Iterable[Member], threshold: int) -> int:
    """How many sponsors of distinct other countries a new member of `country` needs.

    The network's threshold, or as many as there are other countries; 0 only when there is none.
    """
    others = {m.country for m in members if m.country not in ("", country) and m.status in _COUNTS}
    return min(threshold, len(others))


def sponsor_countries(country: str, sponsors: Iterable[Member]) -> frozenset[str]:
    """The countries that count for a new member of `country`, of the members that signed for it."""
    return frozenset(m.country for m in sponsors if may_sponsor(m) and m.country != country)


def check_signatures(*, officers: tuple[int, int], sponsors: tuple[int, int]) -> None:
    """Enough of both? Each is (signed, needed); both are in the facts, so that people see what is still missing.

    Raises Rejected directory.too-few-officers, directory.too-few-sponsors.
    """
    for word, (signed, needed) in (("officers", officers), ("sponsors", sponsors)):
        if signed < needed:
            detail = f"{signed} of the {needed} {word} needed signed"
            raise Rejected(f"directory.too-few-{word}", detail, officers=officers, sponsors=sponsors)
