"""What a feed's server is to the service that asks it: a run of batches from a position on. The edges implement it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from exchange.canonical import Json
from exchange.formats.objects import Loaded
from exchange.node.store.feeds import Feed

Event: TypeAlias = tuple[str, int]  # its UUID, and the moment (seconds) that tells its version
Unseen: TypeAlias = Callable[[Sequence[Event]], Awaitable[list[Event]]]


@dataclass(frozen=True, slots=True)
class Batch:
    """What came at once, and where to go on when it is stored: both are, or neither is.

    `event`: the one that `loaded` was made of, at a feed of events; `since`: how far back (seconds) these are looked
    for again from now on, 0 where an earlier batch of the run has said so. `done`: in words for people, how far it is.
    `more`: it goes on.
    """

    loaded: Loaded
    position: Mapping[str, Json]
    done: str = ""
    event: Event | None = None
    since: int = 0
    more: bool = True


class FeedSource(Protocol):
    """One feed's server."""

    def run(self, position: Mapping[str, Json], unseen: Unseen) -> AsyncIterator[Batch]:
        """Batches from a position on, `{}` from the beginning; the last one has no `more`, unless a run's limit came.

        `unseen`: which of some events this node has not stored in that version.

        Raises Unavailable feed.unreachable, feed.certificate, feed.late, feed.stuck, feed.busy; Refused feed.denied,
        feed.not-there; Rejected feed.redirect, feed.bad-answer, feed.too-large, feed.loops.
        """


OpenSource: TypeAlias = Callable[[Feed, str], FeedSource]  # of a feed, with its credential
