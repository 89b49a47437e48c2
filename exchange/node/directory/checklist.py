"""The checklist of a provisional member, as a sponsor's node has seen it (docs/protocol.md §9.16). Pure.

Every time in it stands under a signature: the hub's receipt, the newcomer's receipt, its person's sealed status. There
is no switch that makes a period shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exchange.canonical import Json, b64, dumps
from exchange.directory.members import Member
from exchange.errors import Refused
from exchange.limits import DAY_MS, MINUTE_MS
from exchange.node.store.drills import Copy

FLASH: Final = "flash"
OFFLINE: Final = "offline"
ROTATION: Final = "rotation"
FLASH_MS: Final = 15 * MINUTE_MS
OFFLINE_MS: Final = DAY_MS


@dataclass(frozen=True)
class Item:
    """One item: done or open, by which message, and from when till when (UTC ms; 0 where none is known)."""

    word: str
    done: bool
    message_id: str = ""
    began: int = 0
    ended: int = 0


def check(member: Member, copies: Sequence[Copy]) -> tuple[Item, ...]:
    """Every item, in the order they are usually done. `copies`: this node's mail to `member` since its admission."""
    return (
        _first(FLASH, [(c, c.acknowledged_at) for c in copies if c.lane == FLASH], most=FLASH_MS),
        _first(OFFLINE, [(c, c.stored_at) for c in copies], least=OFFLINE_MS),
        Item(ROTATION, member.rotations > 0),
    )


def require(items: Sequence[Item]) -> None:
    """All must be done. Raises Refused onboarding.checklist with the open ones' words as the fact `open`."""
    still = [item.word for item in items if not item.done]
    if still:
        raise Refused("onboarding.checklist", f"still open: {', '.join(still)}", open=still)


def paper(member: Member, sponsor: str, items: Sequence[Item], net: bytes) -> bytes:
    """The checklist as a document for the file: signed JSON, whose SHA-256 the `activate` statement carries."""
    rows: list[Json] = [
        {"began": item.began, "ended": item.ended, "item": item.word, "message": item.message_id}
        for item in items
        if item.done
    ]
    return dumps({"items": rows, "member": member.handle, "net": b64(net), "sponsor": sponsor, "v": 1})


def _first(
    word: str, tries: Sequence[tuple[Copy, int | None]], *, least: int = 0, most: int | None = None
) -> Item:
    """The first copy that was answered `least` to `most` ms after the hub had it."""
    for copy, answered in tries:
        took = -1 if answered is None else answered - copy.accepted_at
        if answered is not None and took >= least and (most is None or took <= most):
            return Item(word, True, copy.message_id, copy.accepted_at, answered)
    return Item(word, False)
