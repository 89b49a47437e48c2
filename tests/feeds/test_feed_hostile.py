"""Servers that mean harm, or are broken: they get no memory, disk or rest of a node, and nothing is lost by them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from exchange.canonical import Json
from exchange.feed_settings import FeedKind
from exchange.limits import DAY_MS
from exchange.node.feeds.api import Batch, Unseen
from exchange.node.feeds.feeds import Feeds
from exchange.node.feeds.misp import TRIES
from exchange.node.store.feeds import Feed
from exchange.node.store.store import sql
from tests.feeds.misps import Misp
from tests.feeds.places import Home
from tests.feeds.servers import Server, indicator, page
from tests.feeds.test_feed_misp import event

MIB = 1 << 20


async def test_the_body_of_a_redirect_is_not_read(home: Home, server: Server) -> None:
    """To follow it or not, the library would read all of it first."""
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        headers = {"Location": "https://other.example/", "Content-Type": "application/json"}
        answer = web.StreamResponse(status=302, headers=headers)
        await answer.prepare(request)
        while sent < 64 * MIB:
            await answer.write(bytes(MIB))
            sent += MIB
        return answer

    server.about = endless
    home.add("cert", server.url)
    assert (await home.poll("cert")).code == "feed.redirect"
    assert sent < 32 * MIB  # what lay between the two ends


async def test_cookies_are_not_taken(home: Home, server: Server) -> None:
    def about(_: web.Request) -> web.Response:
        facts = (
            b'{"id":"00000000-0000-4000-8000-00000000c011","title":"All","can_read":true,"can_write":false}'
        )
        return page(raw=facts, headers={"Set-Cookie": "a=" + "b" * 4_000})

    server.about, server.answer = about, lambda _: page([indicator()])
    home.add("cert", server.url)
    assert (await home.poll("cert")).new == 1
    assert [one.headers.get("Cookie") for one in server.requests] == [None, None]


@pytest.mark.parametrize("last", ["9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59"])
async def test_a_date_that_no_calendar_has_is_no_date(home: Home, server: Server, last: str) -> None:
    server.answer = lambda _: page(
        [indicator()], last=last, headers={"Date": "Mon, 01 Jan 0999 00:00:00 GMT"}
    )
    home.add("cert", server.url)
    progress = await home.poll("cert")
    assert (progress.code, progress.new) == ("", 1)


@dataclass
class Broken:
    """Servers of feeds that bring about a fault in this program."""

    asked: list[str] = field(default_factory=list)
    last: asyncio.Event = field(default_factory=asyncio.Event)  # "last" has been asked
    stuck: int = 0

    def open(self, feed: Feed, credential: str) -> Broken:
        self.asked.append(feed.name)
        if feed.name == "last":
            self.last.set()
        return self

    async def run(self, position: Mapping[str, Json], unseen: Unseen) -> AsyncIterator[Batch]:
        raise ZeroDivisionError
        yield


async def test_a_fault_is_told_and_not_asked_for_again_at_once(home: Home) -> None:
    broken = Broken()
    home.feeds = Feeds(home.store, home.sources, broken)
    home.add("cert", "https://cert.example/")
    await home.feeds.poll("cert")
    home.add("last", "https://last.example/")
    task = asyncio.create_task(home.feeds.run())
    await asyncio.wait_for(broken.last.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    feed = home.feed("cert")
    assert (broken.asked, feed.code, feed.failures) == (["cert", "last"], "internal.error", 1)
    assert feed.due_at > home.now


async def test_feeds_leave_room_on_the_disk_for_mail(home: Home, server: Server) -> None:
    server.answer = lambda _: page([indicator()])
    home.add("cert", server.url)
    home.feeds = Feeds(home.store, home.sources, home.feeds._servers, least_free=1 << 62)
    assert (await home.poll("cert")).code == "storage.full"
    assert home.objects("cert") == []
    assert server.requests == []


async def test_an_event_from_the_future_hides_no_other(home: Home, server: Server) -> None:
    misp = Misp()
    server.answer = misp.answer
    now = home.now // 1_000
    far = misp.put(event(1, at=now + 900 * 86_400))
    home.add("misp", server.url, kind=FeedKind.MISP)
    await home.poll("misp")
    new = misp.put(event(2, at=now + 60))
    await home.poll("misp")
    assert misp.viewed == [far, new]
    assert home.thing(f"report--{new}")


async def test_a_clock_that_is_years_ahead_lets_nothing_go(home: Home, server: Server) -> None:
    server.answer = lambda _: page([indicator()])
    home.add("cert", server.url, keep=90 * DAY_MS)
    await home.poll("cert")

    def sign(connection: Any) -> None:
        sql(
            connection,
            "INSERT INTO checkpoints (hash, size, at, body, signature) VALUES (x'00', 1, :at, x'00', x'00')",
            at=home.now,
        )

    home.store.db.write_sync(sign)
    home.now += 3_650 * DAY_MS
    await home.feeds._expire()
    assert len(home.objects("cert")) == 1


async def test_a_date_still_to_come_hides_nothing_that_comes_before_it(home: Home, server: Server) -> None:
    date = {"Date": "Thu, 01 Oct 2026 12:00:00 GMT"}
    server.answer = lambda _: page([indicator()], last="2036-10-01T12:00:00.000000Z", headers=date)
    home.add("cert", server.url)
    assert (await home.poll("cert")).code == ""
    assert home.feed("cert").position["after"] == "2026-10-01T11:00:00.000000Z"


async def test_pages_of_nothing_but_bad_objects_are_no_circle(home: Home, server: Server) -> None:
    def answer(request: web.Request) -> web.Response:
        n = int(request.query.get("next", "0"))
        return page(
            [indicator(pattern=7 if n < 8 else "[ipv4-addr:value = '203.0.113.57']")], more=n < 8, next_=n + 1
        )

    server.answer = answer
    home.add("cert", server.url)
    progress = await home.poll("cert")
    assert (progress.code, progress.new, progress.refused) == ("", 1, 8)


async def test_an_event_that_a_misp_never_lets_be_read_holds_up_no_other(home: Home, server: Server) -> None:
    misp = Misp()
    server.answer = misp.answer
    kept, good = (misp.put(event(n, at=1_790_000_000 + n)) for n in (1, 2))
    misp.failing[kept] = 403
    home.add("misp", server.url, kind=FeedKind.MISP)
    codes = [(await home.poll("misp")).code for _ in range(TRIES)]
    assert codes == ["feed.denied"] * (TRIES - 1) + [""]
    assert home.refused("misp") == [("feed.denied", kept)]
    assert home.thing(f"report--{good}")


async def test_events_that_bring_nothing_fill_a_feed_too(home: Home, server: Server) -> None:
    misp = Misp()
    server.answer = misp.answer
    misp.failing |= {misp.put(event(n)): 404 for n in range(3)}
    home.add("misp", server.url, kind=FeedKind.MISP)
    home.feeds = Feeds(home.store, home.sources, home.feeds._servers, most_things=3)
    assert (await home.poll("misp")).refused == 3
    assert (await home.poll("misp")).code == "feed.full"
