"""The loop that asks feeds when they are due: each by itself, at its time, and what a command asks of it."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest
from aiohttp import web

from exchange.errors import Refused
from exchange.feed_settings import Proof
from exchange.node.control.verbs import ask_feed
from exchange.node.feeds import feeds, taxii
from exchange.node.store import feeds as store_feeds
from tests.doors import Place
from tests.feeds.places import Home, add_feed
from tests.feeds.servers import Server, indicator, page, serving

MINUTE = 60_000


async def settled(home: Home, *names: str) -> None:
    """Each has been asked, and has ended."""
    for name in names:
        await home.feeds.watch(name, seconds=10)


async def running(home: Home) -> asyncio.Task[None]:
    task = asyncio.create_task(home.feeds.run())
    await asyncio.sleep(0)
    return task


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_feed_is_asked_when_it_is_due_and_not_while_it_is_paused(home: Home, server: Server) -> None:
    asked = {name: asyncio.Event() for name in ("now", "later")}
    loop = asyncio.get_running_loop()

    def answer(request: web.Request) -> web.Response:
        name = request.headers["Authorization"].removeprefix("Bearer ")
        loop.call_soon_threadsafe(asked[name].set)
        return page([indicator()])

    server.answer = answer
    for name in ("now", "later", "paused"):
        home.add(name, server.url, credential=name, proof=Proof.BEARER, every=10 * MINUTE)
    paused, later = home.feed("paused").n, home.feed("later").n
    home.store.db.write_sync(lambda c: store_feeds.set_paused(c, paused, paused=True, now=home.now))
    home.store.db.write_sync(
        lambda c: store_feeds.set_succeeded(c, later, now=home.now, due_at=home.now + MINUTE)
    )
    task = await running(home)
    await asyncio.wait_for(asked["now"].wait(), 10)
    await settled(home, "now")
    assert home.feed("now").state == "well"
    assert 9 * MINUTE < home.feed("now").due_at - home.now < 11 * MINUTE
    assert not asked["later"].is_set()
    home.now += MINUTE
    home.feeds.poke()
    await asyncio.wait_for(asked["later"].wait(), 10)
    await settled(home, "later")
    assert home.feed("paused").state == "paused"
    assert home.feed("paused").tried_at is None
    await stopped(task)


async def test_a_feed_that_hangs_holds_up_no_other(home: Home, server: Server) -> None:
    hangs, released = threading.Event(), asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        hangs.set()
        await released.wait()
        return page()

    server.answer = never
    home.add("a-hanging", server.url)
    with serving(lambda _: page([indicator()])) as other:
        home.add("b-quick", other.url)
        task = await running(home)
        await asyncio.to_thread(hangs.wait, 10)
        progress, _ = await home.feeds.poll("b-quick")
        assert (progress.code, progress.new) in (("", 1), ("", 0))
        assert home.feed("b-quick").state == "well"
        seen, ended = await home.feeds.watch("a-hanging", seconds=0)
        assert (seen.objects, ended) == (0, False)
        await stopped(task)
    assert home.feed("a-hanging").state == "new"  # it was told to end, and has not failed


async def test_a_feed_removed_while_it_is_read_stores_nothing_more(home: Home, server: Server) -> None:
    def answer(request: web.Request) -> web.Response:
        if request.query.get("next"):
            home.store.db.write_sync(lambda c: store_feeds.remove(c, home.store.cipher, feed, now=home.now))
        return page([indicator()], more=True, next_=f"{request.query.get('next', '')}x")

    server.answer = answer
    feed = home.add("cert", server.url)
    progress, _ = await home.feeds.poll("cert")
    assert (progress.code, progress.new) == ("feed.unknown", 1)
    with pytest.raises(Refused, match=r"feed\.unknown"):
        await home.feeds.poll("cert")


@pytest.mark.parametrize("back", [6 * 60 * MINUTE, 400 * 24 * 60 * MINUTE])
async def test_the_clock_set_back_does_not_keep_a_feed_waiting(home: Home, server: Server, back: int) -> None:
    asked, loop = asyncio.Event(), asyncio.get_running_loop()

    def answer(_: web.Request) -> web.Response:
        loop.call_soon_threadsafe(asked.set)
        return page()

    server.answer = answer
    n = home.add("cert", server.url).n
    ahead = home.now + back
    home.store.db.write_sync(lambda c: store_feeds.set_succeeded(c, n, now=ahead, due_at=ahead + 15 * MINUTE))
    task = await running(home)
    await asyncio.wait_for(asked.wait(), 10)
    await stopped(task)


async def test_a_server_that_always_has_more_waits_its_turn(
    home: Home, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New versions of one thing for ever: it is never full."""
    monkeypatch.setattr(taxii, "RUN_OBJECTS", 1)
    monkeypatch.setattr(feeds, "MOST_FULL", 2)
    one, rounds = indicator(), itertools.count()
    server.answer = lambda _: page([{**one, "name": str(n := next(rounds))}], more=True, next_=str(n))
    home.add("cert", server.url, every=10 * MINUTE)
    for code, wait in (("", feeds.SOON_MS), ("feed.endless", 10 * MINUTE)) * 2:
        progress = await home.poll("cert")
        assert (progress.code, progress.new, home.feed("cert").due_at - home.now) == (code, 1, wait)
    server.answer = lambda _: page([one])
    assert (await home.poll("cert")).code == ""
    assert home.feed("cert").state == "well"


def test_a_command_asks_the_serving_process(door: Place, server: Server) -> None:
    server.answer = lambda _: page([indicator()])
    add_feed(door, "asked", server.url)
    node = door.pe.up
    told = door.run(ask_feed(node, {"name": "asked", "begins": True, "seconds": 10}))
    assert (told["ended"], told["code"], told["new"]) == (True, "", 1)
    again = door.run(ask_feed(node, {"name": "asked", "begins": False, "seconds": 0}))
    assert again == told
    for value in ({"name": 7}, {"name": "asked", "begins": True, "seconds": -1}, {"name": "asked"}):
        with pytest.raises(Refused, match=r"request\.bad"):
            door.run(ask_feed(node, value))
