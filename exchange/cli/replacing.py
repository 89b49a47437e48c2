"""How a command puts a message in the place of one that was sent: which one, what the new one has of it, who keeps it.

Owns what is taken over and what is warned of. What may be replaced at all is `node/replacing`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from exchange.cli.output import safe, utc

if TYPE_CHECKING:
    from exchange.cli.call import Call
    from exchange.cli.compose import Flags
    from exchange.cli.node.home import Opened
    from exchange.formats.objects import RawObject
    from exchange.node.replacing import Before
    from exchange.node.store.replacing import Claim

_SHORT: Final = 8  # characters of an id in lists


def before_of(home: Opened, typed: str) -> Before:
    """The one message that this home sent whose id begins as typed. Raises Refused as whole_id, message.not-sent."""
    from exchange.node.replacing import sent_before

    whole, own = home.whole_id(typed), home.home.settings.member
    return home.store.db.read_sync(lambda c: sent_before(c, home.store.cipher, whole, own=own))


def following(flags: Flags, before: Before, objects: Sequence[RawObject] = ()) -> Flags:
    """The flags of what takes its place: its case, urgency and exercise, unless others were given.

    Raises Refused message.other-exercise.
    """
    from exchange.formats.stix.cover import exercise_within
    from exchange.node.replacing import check_exercise

    old = before.message
    exercise = flags.exercise or old.exercise_id
    check_exercise(old.exercise_id, exercise or exercise_within(objects))
    return replace(
        flags,
        supersedes=old.id,
        case=flags.case or old.case_id,
        urgency=flags.urgency or old.urgency.value,
        exercise=exercise,
    )


def warn_of_keepers(call: Call, before: Before, recipients: Sequence[str]) -> list[str]:
    """Say who has the old message and doesn't get what replaces it, and what had replaced it before; the former."""
    from exchange.node.replacing import keeping

    short = before.message.id[:_SHORT]
    for claim in before.claims:
        call.out.warn(f"{short} was replaced by {claim.id[:_SHORT]} before, which stays as it is")
    left = list(keeping(before.holding, recipients))
    if left:
        call.out.warn(f"not sent to {', '.join(left)}: {short} stays there as it is")
    return left


def replaced_line(claim: Claim) -> str:
    """What whoever reads a replaced message must know first."""
    return f"! REPLACED by {claim.id[:_SHORT]} of {safe(claim.sender)}, {utc(claim.created)}: don't go by this one"
