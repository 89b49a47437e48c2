"""Owns what those who follow this node are told, in order: mail that came, copies that came further, alarms.

Only that something happened: ids, labels, lanes, codes; never content. A position says how far somebody has followed;
it stays good when the node starts again, and tells where the node it came from was restored since.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from exchange.access import Access
from exchange.errors import Refused
from exchange.node.mail.facts import FactBook, Item, is_for
from exchange.node.mail.view import MailView
from exchange.node.store import api as store_api, inbox as store_inbox
from exchange.node.store.api import Change, Position, Raised
from exchange.node.store.store import Store, Transaction

MOST: Final = 100  # of each sort in one step
MOST_READ: Final = 4 * 1024 * 1024  # bytes of content read in one step
_POSITION = re.compile(r"([0-9]{1,15})-([0-9]{1,15})-([0-9]{1,15})\Z")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, and the position after it. None: something that is gone can't be told any more."""

    what: Item | Change | Raised | None
    position: Position


def position_of(text: str) -> Position:
    """A position as `written` spells it. Raises Refused api.bad-parameter."""
    match = _POSITION.match(text)
    if match is None:
        raise Refused("api.bad-parameter", "no position that this node gave", field="Last-Event-ID")
    return Position(*(int(number) for number in match.groups()))


def written(position: Position) -> str:
    """The position as text."""
    return f"{position.inbox}-{position.changes}-{position.alarms}"


class MailEvents:
    """What happened, for each right of entry."""

    def __init__(self, store: Store, facts: FactBook, view: MailView) -> None:
        self._store = store
        self._facts = facts
        self._view = view

    async def newest(self) -> Position:
        """The position of who has seen everything."""
        return await self._store.db.read(store_api.newest)

    async def after(self, access: Access, position: Position) -> tuple[list[Event], Position]:
        """The next that happened, and the position of who has seen that; the same position where nothing has."""
        if await self.newest() == position:
            return [], position
        return await self._view.read(lambda c: self._after(c, access, position))

    def _after(
        self, connection: Transaction, access: Access, position: Position
    ) -> tuple[list[Event], Position]:
        newest = store_api.newest(connection)
        if (
            position.inbox > newest.inbox
            or position.changes > newest.changes
            or position.alarms > newest.alarms
        ):
            return [Event(None, newest)], newest  # of a node that was restored since from an older copy
        at, events = position, list[Event]()
        oldest = store_api.oldest_change(connection)
        if at.changes < newest.changes and oldest > at.changes + 1:
            at = replace(at, changes=oldest - 1)
            events.append(Event(None, at))
        read = 0
        arrived = store_inbox.arrived_heads(connection, self._store.cipher, after=at.inbox, limit=MOST)
        for one in arrived:
            item, cost = self._facts.item_received(connection, one, access)
            at, read = replace(at, inbox=one.n), read + cost
            events.append(Event(item, at))
            if read >= MOST_READ:
                return events, at
        changes = store_api.changes(connection, after=at.changes, limit=MOST)
        for change in changes:
            facts, cost = self._facts.sent(connection, change.message_n)
            at, read = replace(at, changes=change.n), read + cost
            if is_for(facts, access):
                events.append(Event(change, at))
            if read >= MOST_READ:
                return events, at
        alarms = store_api.raised(connection, after=at.alarms, limit=MOST)
        for alarm in alarms:
            at = replace(at, alarms=alarm.n)
            if not access.exercise:
                events.append(Event(alarm, at))
        # past what was there and is gone
        return events, Position(
            newest.inbox if len(arrived) < MOST else at.inbox,
            newest.changes if len(changes) < MOST else at.changes,
            newest.alarms if len(alarms) < MOST else at.alarms,
        )
