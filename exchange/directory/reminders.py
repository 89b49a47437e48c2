"""When contact points are reminded to confirm themselves, and how every member stands in that (docs/directory.md).

Owns the days, the grouping by nominating authority, and the percentages that all members see. Pure: what was reminded
already comes as an argument. Who is written to in which words is the secretariat's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from exchange.directory.contacts import NPC, Contact
from exchange.directory.onboarding import is_silent
from exchange.directory.state import Directory
from exchange.limits import DAY_MS

STEPS: Final = (-60, -30, -7, 0, 7, 14, 30)  # days from the day a contact must be confirmed by
WEEK: Final = 7  # days between two messages to one authority
OVERDUE: Final = frozenset({"overdue", "lapsed"})
STANDINGS: Final = ("validated", "due", "overdue", "lapsed", "archived")
_IN_TIME: Final = frozenset({"validated", "due"})


@dataclass(frozen=True)
class Told:
    """The newest step a contact was reminded at, for the `validate_by` (UTC ms) that it had then."""

    validate_by: int
    step: int


@dataclass(frozen=True)
class Item:
    """A contact point that must be confirmed, how it stands, and the newest step (days) it has reached."""

    contact: Contact
    standing: str
    step: int

    @property
    def told(self) -> Told:
        """What to remember once it was reminded."""
        return Told(self.contact.validate_by, self.step)


@dataclass(frozen=True)
class Reminder:
    """One message: the contact points of one nominating authority, soonest first.

    `group` is the authority's address; a member's handle where nobody nominates.
    """

    group: str
    items: tuple[Item, ...]

    @property
    def copied(self) -> bool:
        """Does the authority get a copy? From the first overdue contact on."""
        return any(item.standing in OVERDUE for item in self.items)

    @property
    def validate_by(self) -> int:
        """Until when the first of them must be confirmed, UTC ms."""
        return self.items[0].contact.validate_by


@dataclass(frozen=True)
class Score:
    """How many of a member's contact points stand how; `percent` of them are confirmed in time, 100 for none."""

    member: str
    country: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def percent(self) -> int:
        in_time = sum(count for word, count in self.counts.items() if word in _IN_TIME)
        return 100 * in_time // self.total if self.total else 100


def group_of(directory: Directory, contact: Contact) -> str:
    """Who is written to about the contact: its nominating authority, or its member where there is none.

    Of several, that of its first topic in order of the alphabet; an authority's own is itself.
    """
    country = directory.members[contact.member].country
    if contact.function == NPC:
        nominates = any(directory.nominating(country, topic) == contact.address for topic in contact.topics)
        return contact.address if nominates else contact.member
    found = (directory.nominating(country, topic) for topic in contact.topics)
    return next((authority for authority in found if authority), contact.member)


def due(
    directory: Directory, now: int, *, told: Mapping[str, Told], last: Mapping[str, int]
) -> tuple[Reminder, ...]:
    """The messages to send at `now` (UTC ms), by group; what is not confirmed by then stands in one of its group's.

    `told`: by contact, what it was reminded of. `last`: by group, when it was written to last (UTC ms). A group is
    written to when one of its contacts has reached a step that it wasn't reminded of, at most once in 7 days.
    """
    groups: dict[str, list[Item]] = {}
    for item in open_items(directory, now):
        groups.setdefault(group_of(directory, item.contact), []).append(item)
    today = now // DAY_MS
    return tuple(
        Reminder(group, tuple(items))
        for group, items in sorted(groups.items())
        if any(_is_new(item, told.get(item.contact.address)) for item in items)
        and (group not in last or today - last[group] // DAY_MS >= WEEK)
    )


def open_items(directory: Directory, now: int) -> list[Item]:
    """Every contact point that has reached a step at `now` (UTC ms) and isn't archived, soonest first."""
    found = []
    for contact in _living(directory):
        step, standing = _step(contact, now), contact.standing(now)
        if step is not None and standing != "archived":
            found.append(Item(contact, standing, step))
    return sorted(found, key=lambda item: (item.contact.validate_by, item.contact.address))


def lapsed(directory: Directory, now: int) -> dict[str, list[Item]]:
    """The lapsed contact points by country: what the secretariat writes to its Permanent Mission about."""
    found: dict[str, list[Item]] = {}
    for item in open_items(directory, now):
        if item.standing == "lapsed":
            found.setdefault(directory.members[item.contact.member].country, []).append(item)
    return found


def scores(directory: Directory, now: int) -> tuple[Score, ...]:
    """How every member stands at `now` (UTC ms), best first."""
    counts: dict[str, dict[str, int]] = {
        handle: dict.fromkeys(STANDINGS, 0)
        for handle, member in directory.members.items()
        if not is_silent(member)
    }
    for contact in _living(directory):
        counts[contact.member][contact.standing(now)] += 1
    found = [Score(handle, directory.members[handle].country, count) for handle, count in counts.items()]
    return tuple(sorted(found, key=lambda one: (-one.percent, one.member)))


def _living(directory: Directory) -> Iterable[Contact]:
    return (
        contact
        for contact in directory.contacts.values()
        if not contact.ended and not is_silent(directory.members[contact.member])
    )


def _step(contact: Contact, now: int) -> int | None:
    """The last step whose day has come; None before the first."""
    days = now // DAY_MS - contact.validate_by // DAY_MS
    return max((step for step in STEPS if step <= days), default=None)


def _is_new(item: Item, told: Told | None) -> bool:
    return told is None or told.validate_by != item.contact.validate_by or told.step < item.step
