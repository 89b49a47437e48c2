"""A live MISP as a feed, by its REST API: an index of published events, then each event that is new or has changed.

Owns how such a server is gone through. Position: the greatest (timestamp, UUID) of an event that is stored, and no
later than tomorrow. A timestamp is that of the last edit, and an event may be published later: so the index is looked
through from LOOK_BACK before the position, and `unseen` says which versions of events aren't here yet. An event that
can't be read, or that its MISP fails to give TRIES times, is set aside with the reason; the others go on.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, Final

import aiohttp
import orjson

from exchange.canonical import Json
from exchange.errors import Refused, Rejected, Unavailable
from exchange.feed_settings import FeedSettings
from exchange.formats.misp.made import FORMAT
from exchange.formats.objects import Loaded, SetAside
from exchange.formats.registry import load
from exchange.formats.stix.spans import Limits, scan
from exchange.limits import DAY_MS, SECOND_MS
from exchange.node.feeds.answers import (
    AGENT,
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    READ_SECONDS,
    Way,
    check_status,
    unread,
)
from exchange.node.feeds.api import Batch, Event, Unseen

LOOK_BACK: Final = 30 * DAY_MS // SECOND_MS  # seconds
MOST_AHEAD: Final = DAY_MS // SECOND_MS  # seconds that another clock may be before this one's
RUN_EVENTS: Final = 2_000  # in one run; the next one goes on from there
TRIES: Final = 5
INDEX: Final = Limits(max_bytes=64 * 1024 * 1024, max_objects=250_000, max_values=2_000_000)
EVENT: Final = Limits(max_bytes=32 * 1024 * 1024)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_MOST_SECONDS: Final = 1 << 40
_READING: Final = threading.Lock()  # an index may take some hundred MiB while it is read
# What is the matter with one event, and no reason not to go on to the next one.
_OF_ONE: Final = frozenset({"feed.not-there", "feed.bad-answer", "feed.too-large"})


class MispFeed:
    """One MISP. `clock`: UTC ms."""

    def __init__(
        self,
        settings: FeedSettings,
        credential: str,
        way: Way,
        *,
        clock: Callable[[], int],
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._origin = settings.url.rstrip("/")
        self._way = way
        self._clock = clock
        self._seconds = seconds
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": AGENT}
        if credential:
            self._headers["Authorization"] = credential

    async def run(self, position: Mapping[str, Json], unseen: Unseen) -> AsyncIterator[Batch]:
        """As FeedSource."""
        # an event edited in the year 3000, by its own clock, must not hide all that is edited before
        newest = self._clock() // SECOND_MS + MOST_AHEAD
        last, tried = min(_last(position), (newest, "")), _tried(position)
        since = max(0, last[0] - LOOK_BACK)
        async with self._session() as session:
            index = await self._index(session, since)
            events = await unseen(index)
            if not events:
                yield Batch(_nothing(), _position(last), _told(last), more=False)
            for place, (uuid, moment) in enumerate(events[:RUN_EVENTS]):
                try:
                    loaded = await self._event(session, uuid)
                except (Refused, Rejected, Unavailable) as fault:
                    count = tried[1] + 1 if tried[0] == uuid else 1
                    if fault.code not in _OF_ONE and count < TRIES:
                        yield Batch(_nothing(), _position(last, (uuid, count)), _told(last))
                        raise
                    loaded = _nothing(SetAside(uuid, fault.code, fault.detail))
                last = max(last, min((moment, uuid), (newest, "")))
                yield Batch(
                    loaded,
                    _position(last),
                    f"event {place + 1} of {len(events)}",
                    event=(uuid, moment),
                    since=since if place == 0 else 0,
                    more=place + 1 < len(events),
                )

    async def _index(self, session: aiohttp.ClientSession, since: int) -> list[Event]:
        """Published events edited since then (seconds), by (timestamp, UUID)."""
        asked = {
            "minimal": 1,
            "published": 1,
            "timestamp": str(since),
            "sort": "timestamp",
            "direction": "asc",
        }
        body = await self._ask(session, "POST", "/events/index", orjson.dumps(asked), most=INDEX.max_bytes)
        events = await asyncio.to_thread(_events, body)
        # A server may list more than it was asked for. What is that old is remembered no longer once it has come, and
        # would be asked for in every run.
        asked_for = (event for event in events if event[1] >= since)
        return sorted(asked_for, key=lambda event: (event[1], event[0]))

    async def _event(self, session: aiohttp.ClientSession, uuid: str) -> Loaded:
        body = await self._ask(session, "GET", f"/events/view/{uuid}", None, most=EVENT.max_bytes)
        read = partial(load, f"{uuid}.json", body, EVENT, at=self._clock())
        try:
            loaded = await asyncio.to_thread(read)
        except Refused as refusal:
            raise unread(refusal) from refusal
        if loaded.format != FORMAT:
            raise Rejected("feed.bad-answer", "it isn't an event of MISP")
        return loaded

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, path: str, body: bytes | None, *, most: int
    ) -> bytes:
        try:
            async with session.request(
                method,
                self._origin + path,
                data=body,
                headers={"Content-Type": "application/json"} if body is not None else {},
                proxy=self._way.proxy if self._origin.startswith("https:") and self._way.proxy else None,
                proxy_headers=self._login(),
                allow_redirects=False,
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                check_status(answer.status, headers, now=self._clock())
                if headers.get("content-encoding", "identity").lower() != "identity":
                    raise Rejected("feed.bad-answer", "the body is encoded, which was not asked for")
                return await _bounded(answer, most)
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise Unavailable("feed.certificate") from error
        except TimeoutError as error:
            raise Unavailable("feed.late", f"no answer within {self._seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable("feed.unreachable", type(error).__name__) from error

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(
            total=self._seconds, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
        )
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._way.tls, limit=1),
            headers=self._headers,
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _login(self) -> dict[str, str] | None:
        if self._way.login is None:
            return None
        return {"Proxy-Authorization": aiohttp.encode_basic_auth(*self._way.login)}


async def _bounded(answer: aiohttp.ClientResponse, most: int) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > most:
            raise Rejected("feed.too-large", f"the answer has more than {most} bytes")
        parts.append(part)
    return b"".join(parts)


def _events(body: bytes) -> list[Event]:
    """Of an index: a list, or one under `response`. Entries that aren't events are passed over.

    Raises Rejected feed.bad-answer, feed.too-large.
    """
    try:
        with _READING:
            return _entries(body)
    except Refused as refusal:
        raise unread(refusal) from refusal
    except orjson.JSONDecodeError as error:
        raise Rejected("feed.bad-answer", "the index isn't JSON") from error


def _entries(body: bytes) -> list[Event]:
    scan(body, INDEX)
    value = orjson.loads(body)
    listed = value.get("response") if isinstance(value, dict) else value
    if not isinstance(listed, list):
        raise Rejected("feed.bad-answer", "the index isn't a list of events")
    return [event for each in listed if (event := _entry(each)) is not None]


def _entry(value: Any) -> Event | None:  # noqa: ANN401 - as it came
    each = value.get("Event", value) if isinstance(value, dict) else None
    if not isinstance(each, dict):
        return None
    uuid, text = str(each.get("uuid", "")).lower(), str(each.get("timestamp", ""))
    if not _UUID.match(uuid) or not (text.isascii() and text.isdigit()) or int(text[:16]) >= _MOST_SECONDS:
        return None
    return uuid, int(text[:16])


def _last(position: Mapping[str, Json]) -> tuple[int, str]:
    return int(position.get("timestamp", 0)), str(position.get("uuid", ""))


def _tried(position: Mapping[str, Json]) -> tuple[str, int]:
    """The event that failed the last time, and how often in a row it has."""
    return str(position.get("failed", "")), int(position.get("times", 0))


def _position(last: tuple[int, str], tried: tuple[str, int] = ("", 0)) -> dict[str, Json]:
    found: dict[str, Json] = {"timestamp": last[0], "uuid": last[1]}
    return found | ({"failed": tried[0], "times": tried[1]} if tried[0] else {})


def _told(last: tuple[int, str]) -> str:
    return f"up to {last[0]}" if last[0] else ""


def _nothing(*aside: SetAside) -> Loaded:
    return Loaded("event", FORMAT, set_aside=aside)
