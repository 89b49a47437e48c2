"""A TAXII 2.1 server as a feed, asked through taxii2-client: its objects after a moment, page by page.

Owns how such a server is gone through. The library speaks the protocol, in a thread and on a session within limits
(feeds/threads.py, feeds/session.py): by itself it has no limits, gives neither bytes nor headers, and goes
round for ever where a server's pages do.

Position: `after`, what a run asks for; `next`, where it is within the run; `last`, the greatest date that a page of
the run named (X-TAXII-Date-Added-Last). The next run asks for what came after `last`. `asked`: the server's own time
when the run began, kept once a page with objects names no date, or one still to come. Then the next run asks for what
came since an hour before that, and gets some twice: the objects' own dates say nothing of when they were added.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import blake2b
from typing import Final, TypeVar

from taxii2client.common import _HTTPConnection
from taxii2client.exceptions import TAXIIServiceException
from taxii2client.v21 import Collection

from exchange.canonical import Json
from exchange.errors import Refused, Rejected
from exchange.feed_settings import FeedSettings, Proof
from exchange.formats.stix.spans import Limits, scan
from exchange.formats.taxii import PageRead, from_timestamp, lenient_timestamp, read_page, to_timestamp
from exchange.limits import DAY_MS, MAX_STIX
from exchange.node.feeds.answers import AGENT, ANSWER_SECONDS, CONNECT_SECONDS, Answer, Way, unread
from exchange.node.feeds.api import Batch, Unseen
from exchange.node.feeds.session import BoundedSession
from exchange.node.feeds.threads import FeedThreads

T = TypeVar("T")
PAGE: Final = 1_000  # objects asked for; fewer where a page is too large
LEAST_PAGE: Final = 10
RUN_OBJECTS: Final = 100_000  # in one run; the next one goes on from there
RUN_PAGES: Final = 10_000
IDLE_PAGES: Final = 5  # in a row that bring nothing new and promise more
OVERLAP: Final = 3_600_000_000  # microseconds
MOST_AHEAD: Final = DAY_MS * 1_000  # microseconds
_LAST: Final = "x-taxii-date-added-last"
_MEDIA: Final = "application/taxii+json;version=2.1"
_STALE: Final = frozenset(
    {"feed.bad-answer", "feed.not-there"}
)  # what servers say to a `next` they don't know
# What the library makes of an answer that isn't as the standard has it.
_ODD: Final = (TAXIIServiceException, KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True)
class _Position:
    after: str = ""
    next: str = ""
    last: str = ""
    asked: str = ""

    @classmethod
    def of(cls, value: Mapping[str, Json]) -> _Position:
        return cls(**{name: str(value.get(name, "")) for name in ("after", "next", "last", "asked")})

    def to_json(self) -> dict[str, Json]:
        return {"after": self.after, "next": self.next, "last": self.last, "asked": self.asked}

    @property
    def begun(self) -> _Position:
        """Where this run began."""
        return _Position(after=self.after)

    @property
    def ended(self) -> _Position:
        """Where the next run begins, once this one has brought all."""
        last = self.last
        if self.asked:
            last = to_timestamp(max(0, from_timestamp(self.asked) - OVERLAP))
        return _Position(after=_greatest(self.after, last))

    def moved(self, page: PageRead, answer: Answer, began: str) -> _Position:
        """Behind a page, in a run that began then. Without `next` a server is asked for what came after its date."""
        last, asked = self.last, self.asked
        if page.loaded.accepted or page.loaded.set_aside:
            named = _named(answer)
            last = _greatest(self.last, named)
            if not named:
                asked = asked or began
        after = last if page.more and not page.next and last else self.after
        return _Position(after, page.next, last, asked)


class TaxiiFeed:
    """One collection of one server. `clock`: UTC ms."""

    def __init__(
        self,
        name: str,
        settings: FeedSettings,
        credential: str,
        way: Way,
        threads: FeedThreads,
        *,
        clock: Callable[[], int],
        seconds: float = ANSWER_SECONDS,
        beyond: float = CONNECT_SECONDS,
    ) -> None:
        """`seconds`: for one answer; `beyond`: how long after them its thread is told to end."""
        self._name = name
        self._settings = settings
        self._credential = credential
        self._way = way
        self._threads = threads
        self._clock = clock
        self._seconds = seconds
        self._beyond = beyond

    async def run(self, position: Mapping[str, Json], unseen: Unseen) -> AsyncIterator[Batch]:
        """As FeedSource; `unseen` isn't asked: an object that came before is known by its bytes."""
        del unseen
        session = self._session()
        try:
            async for batch in self._pages(session, _Position.of(position)):
                yield batch
        finally:
            session.abort()
            session.close()

    async def _pages(self, session: BoundedSession, at: _Position) -> AsyncIterator[Batch]:
        url = f"{self._settings.url.rstrip('/')}/collections/{self._settings.collection}/"
        collection = await self._in_thread(session, partial(_collection, url, session))
        circles, objects, again, began = _Circles(), 0, False, ""
        for _ in range(RUN_PAGES):
            try:
                page, answer = await self._page(session, collection, at)
            except (Refused, Rejected) as fault:
                if again or not at.next or fault.code not in _STALE:
                    raise
                # a server may forget its `next`: the run begins anew, and what comes twice changes nothing
                at, circles, again = at.begun, _Circles(), True
                continue
            began = began or _date(answer.headers.get("date", ""))
            at = at.moved(page, answer, began)
            objects += len(page.loaded.accepted) + len(page.loaded.set_aside)
            closed = page.more and circles.closed(page, at)
            here = at if page.more and not closed else at.ended
            yield Batch(
                page.loaded, here.to_json(), f"up to {here.last or here.after or '-'}", more=page.more
            )
            if closed:
                raise Rejected("feed.loops")
            if not page.more or objects >= RUN_OBJECTS:
                return

    async def _page(
        self, session: BoundedSession, collection: Collection, at: _Position
    ) -> tuple[PageRead, Answer]:
        """The page at a position; one that is too large is asked for with fewer objects."""
        limit = PAGE
        while True:
            try:
                answer = await self._in_thread(session, partial(_objects, collection, session, at, limit))
                return await asyncio.to_thread(_read, answer.body), answer
            except Rejected as fault:
                if fault.code != "feed.too-large" or limit <= LEAST_PAGE:
                    raise
                limit //= 10

    async def _in_thread(self, session: BoundedSession, work: Callable[[], T]) -> T:
        # the session ends in time by itself, but for what it can't: looking a name up, headers that never end
        seconds = self._seconds + self._beyond
        return await self._threads.run(self._name, work, seconds=seconds, abort=session.abort)

    def _session(self) -> BoundedSession:
        settings, headers = self._settings, dict[str, str]()
        if settings.proof in (Proof.BEARER, Proof.TOKEN):
            headers["Authorization"] = f"{settings.proof.value.capitalize()} {self._credential}"
        elif settings.proof is Proof.KEY:
            headers["Authorization"] = self._credential
        login = (settings.user, self._credential) if settings.proof is Proof.BASIC else None
        return BoundedSession(
            self._way,
            headers=headers,
            login=login,
            most_bytes=MAX_STIX,
            seconds=self._seconds,
            media=_MEDIA,
            check=_check,
            clock=self._clock,
        )


class _Circles:
    """Whether a run goes round: to where it was before, or by pages that bring nothing that it hasn't had."""

    def __init__(self) -> None:
        self._been: set[str] = set()
        self._had: set[bytes] = set()
        self._idle = 0

    def closed(self, page: PageRead, at: _Position) -> bool:
        """Whether this page, which promises more, closes a circle."""
        had = [raw.data for raw in page.loaded.accepted]
        had += [f"{one.object} {one.code}".encode() for one in page.loaded.set_aside]
        marks = {blake2b(one, digest_size=8).digest() for one in had}
        self._idle = 0 if marks - self._had else self._idle + 1
        self._had |= marks
        where = f"{at.after} {at.next}"
        known = where in self._been
        self._been.add(where)
        return known or self._idle >= IDLE_PAGES


def _collection(url: str, session: BoundedSession) -> Collection:
    """The collection, which says that it can be read."""
    connection = _HTTPConnection(user_agent=AGENT, version="2.1")
    connection.session = session
    try:
        collection = Collection(url, conn=connection)
        readable = collection.can_read
    except _ODD as error:
        raise _bad(error) from error
    if not readable:
        raise Refused("feed.denied", "the collection says that this node may not read it")
    return collection


def _objects(collection: Collection, session: BoundedSession, at: _Position, limit: int) -> Answer:
    """One page, as it came."""
    try:
        collection.get_objects(added_after=at.after, limit=limit, next=at.next)
    except _ODD as error:
        raise _bad(error) from error
    return session.last


def _bad(error: Exception) -> Rejected:
    return Rejected("feed.bad-answer", f"not as TAXII 2.1 has it ({type(error).__name__})")


def _check(body: bytes) -> None:
    """JSON within limits, before the library reads it."""
    try:
        is_object = scan(body, Limits()).is_object
    except Refused as refusal:
        raise unread(refusal) from refusal
    if not is_object:
        raise Rejected("feed.bad-answer", "the answer isn't a JSON object")


def _read(body: bytes) -> PageRead:
    try:
        return read_page(body, Limits())
    except Refused as refusal:
        raise unread(refusal) from refusal


def _named(answer: Answer) -> str:
    """The date that a page names; "" for none, and for one that is still to come by the server's own clock: all that is
    added until then would be missed."""
    text, today = answer.headers.get(_LAST, ""), _date(answer.headers.get("date", ""))
    moment = lenient_timestamp(text)
    if moment is None or (today and moment > from_timestamp(today) + MOST_AHEAD):
        return ""
    return text


def _greatest(before: str, text: str) -> str:
    """The later of two dates; `before` where the other is none."""
    moment, known = lenient_timestamp(text), lenient_timestamp(before)
    if moment is None or moment < 0 or (known is not None and known >= moment):
        return before
    return to_timestamp(moment)


def _date(text: str) -> str:
    """An HTTP date (RFC 9110 §5.6.7) as TAXII spells times; "" for none."""
    try:
        return to_timestamp(max(0, int(parsedate_to_datetime(text).timestamp())) * 1_000_000)
    except (ValueError, OverflowError):
        return ""
