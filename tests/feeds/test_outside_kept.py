"""How long what came from outside stays, and what goes with a feed that is forgotten."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from exchange.feed_settings import parse_span
from exchange.node.feeds.feeds import Feeds
from exchange.node.feeds.servers import FeedServers, straight
from exchange.node.store import decisions as store_decisions, feeds as store_feeds, outside as store_outside
from exchange.pap import Pap
from exchange.tlp import Tlp
from tests.feeds.places import Home
from tests.feeds.servers import TLP_GREEN, TLP_RED, Server, indicator
from tests.feeds.test_outside import OWN, brought, sent


async def test_what_no_feed_brings_any_more_goes(home: Home, server: Server) -> None:
    one, both = indicator("one"), indicator("both")
    await brought(home, server, "a", one, both, keep=parse_span("1d"))
    await brought(home, server, "b", both, keep=parse_span("30d"))
    feed = home.feed("a").n

    async def expire() -> bool:
        return await home.store.db.write(
            lambda c: store_outside.expire(c, home.store.cipher, feed, before=home.now - parse_span("1d"))
        )

    home.now += parse_span("1d")
    assert not await expire()
    assert len(home.objects("a")) == 2
    home.now += 1
    assert not await expire()
    assert home.objects("a") == []
    assert [each["id"] for each in home.objects("b")] == [both["id"]]
    count = home.store.db.read_sync(lambda c: c.exec_driver_sql("SELECT count(*) FROM taxii_data").scalar())
    assert count == 1


def forget(home: Home, name: str) -> None:
    """As `feed remove NAME --forget` does, killed before it has let go of anything."""
    cipher, feed = home.store.cipher, home.feed(name)

    def write(connection: Any) -> None:
        store_feeds.remove(connection, cipher, feed, now=home.now, forget=True)
        store_decisions.end_rules(connection, feed.n, now=home.now)

    home.store.db.write_sync(write)


async def test_what_a_forgotten_feed_said_counts_no_more(home: Home, server: Server) -> None:
    one = indicator("honest", TLP_GREEN)
    await brought(home, server, "good", one)
    home.outside.add_rule("good", Tlp.GREEN, "agreed with them")
    forged = {
        **one,
        "name": "forged",
        "modified": "2026-09-09T00:00:00.000Z",
        "object_marking_refs": [TLP_RED],
    }
    await brought(home, server, "bad", one, forged)
    assert (home.thing(one["id"]).tlp, sent(home, one)) == (Tlp.RED, "release.outside")
    forget(home, "bad")
    await home.feeds._expire()
    assert [each["name"] for each in home.objects("good")] == ["honest"]
    assert (home.thing(one["id"]).tlp, sent(home, one)) == (Tlp.GREEN, "")
    [listed] = orjson.loads(home.outside.export([one["id"]], OWN).bundle)["objects"]
    assert listed["name"] == "honest"


async def test_what_one_feed_alone_brought_goes_with_it_whatever_others_have(
    home: Home, server: Server
) -> None:
    """As long as two bring a version, it stays; what each has said of the thing counts until it goes."""
    one = indicator("one", TLP_GREEN)
    await brought(home, server, "a", one, {**one, "name": "two"})
    await brought(home, server, "b", {**one, "name": "two"}, {**one, "name": "three"})
    await brought(home, server, "c", {**one, "name": "three", "labels": ["PAP:RED"]})
    forget(home, "b")
    await home.feeds._expire()
    assert [(each["name"], each.get("labels")) for each in home.objects("a")] == [
        ("one", None),
        ("two", None),
        ("three", ["PAP:RED"]),
    ]
    assert (home.thing(one["id"]).pap, len(home.thing(one["id"]).feeds)) == (Pap.RED, 2)


async def test_a_feed_that_was_forgotten_is_another_one_when_it_is_added_again(
    home: Home, server: Server
) -> None:
    """A run of the old one may be under way, and would store its position behind what went."""
    await brought(home, server, "a", indicator())
    before = home.feed("a").n
    forget(home, "a")
    assert home.add("a", server.url).n != before
    await home.feeds._expire()
    assert home.objects("a") == []
    kept = home.feed("a")
    home.store.db.write_sync(lambda c: store_feeds.remove(c, home.store.cipher, kept, now=home.now))
    assert home.add("a", server.url).n == kept.n


async def test_much_to_let_go_of_one_feed_is_gone_on_with_whatever_the_others_have(
    home: Home, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_outside, "MOST_EXPIRED", 1)
    monkeypatch.setattr("exchange.node.feeds.feeds.EXPIRE_ROUNDS", 1)
    await brought(home, server, "a", indicator("one"), indicator("two"), keep=parse_span("1d"))
    home.add("z", server.url)
    home.now += parse_span("1d") + 1
    for left in (1, 0):
        await home.feeds._expire()  # the clock stands: it is done at once, not in an hour
        assert len(home.objects("a")) == left


async def test_one_thing_cannot_fill_the_disk_with_versions(home: Home, server: Server) -> None:
    one = indicator("0")
    versions = [{**one, "name": str(n)} for n in range(store_outside.MOST_VERSIONS + 5)]
    await brought(home, server, "a", *versions)
    assert [each["name"] for each in home.objects("a")] == [each["name"] for each in versions[5:]]
    count = home.store.db.read_sync(lambda c: c.exec_driver_sql("SELECT count(*) FROM taxii_data").scalar())
    assert count == store_outside.MOST_VERSIONS


async def test_a_feed_that_is_full_is_asked_no_more(home: Home, server: Server) -> None:
    await brought(home, server, "a", indicator(), indicator())
    few = Feeds(home.store, home.sources, FeedServers(straight, clock=home.sources.clock), most_things=2)
    server.requests.clear()
    progress, _ = await few.poll("a")
    assert (progress.code, server.requests) == ("feed.full", [])
