"""A live MISP as a feed: what is new, what has changed, what fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from exchange.feed_settings import FeedKind, Proof
from exchange.node.feeds import misp as misp_feed
from exchange.node.store import feeds as store_feeds
from exchange.tlp import Tlp
from tests import misp_samples as samples
from tests.feeds.misps import Misp
from tests.feeds.places import Home
from tests.feeds.servers import Server

MISP = FeedKind.MISP


def event(n: int, *, at: int = 1_790_000_000, tag: str = "tlp:green", **members: Any) -> dict[str, Any]:
    value = f"host{n}.example.com"
    attribute = samples.attribute("domain", value, f"10000000-0000-4000-8000-{n:012x}", to_ids=True)
    uuid = f"20000000-0000-4000-8000-{n:012x}"
    return samples.event(attribute, uuid=uuid, timestamp=str(at), Tag=[{"name": tag}], **members)


async def test_events_come_once_in_the_order_of_their_edits_and_again_when_they_change(
    home: Home, server: Server
) -> None:
    misp = Misp(key="k" * 40)
    server.answer = misp.answer
    late, early = misp.put(event(1, at=1_790_000_200)), misp.put(event(2, at=1_790_000_100))
    home.add("misp", server.url, kind=MISP, credential="k" * 40, proof=Proof.KEY)
    progress = await home.poll("misp")
    assert (progress.code, progress.new > 2) == ("", True)
    assert misp.viewed == [early, late]
    assert home.feed("misp").position == {"timestamp": 1_790_000_200, "uuid": late}
    assert {one["id"] for one in home.objects("misp", type_="report")} == {
        f"report--{early}",
        f"report--{late}",
    }
    assert home.thing(f"report--{late}").tlp is Tlp.GREEN

    assert (await home.poll("misp")).objects == 0
    assert misp.viewed == [early, late]
    misp.put(event(2, at=1_790_000_300, info="More is known", tag="tlp:amber"))
    await home.poll("misp")
    assert misp.viewed == [early, late, early]
    assert home.thing(f"report--{early}").tlp is Tlp.AMBER


async def test_an_event_that_is_published_late_is_not_missed(home: Home, server: Server) -> None:
    misp = Misp()
    server.answer = misp.answer
    draft = misp.put(event(1, at=1_790_000_100, published=False))
    misp.put(event(2, at=1_790_000_200))
    home.add("misp", server.url, kind=MISP)
    await home.poll("misp")
    misp.put(event(1, at=1_790_000_100))
    await home.poll("misp")
    assert misp.viewed[-1] == draft
    assert home.thing(f"report--{draft}")
    assert int(misp.asked[-1]["timestamp"]) == 1_790_000_200 - 30 * 86_400


async def test_a_server_that_lists_more_than_it_was_asked_for_is_come_to_the_end_of(
    home: Home, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it lists from before the look back is remembered no longer, and isn't asked for again."""
    monkeypatch.setattr(misp_feed, "RUN_EVENTS", 2)
    misp = Misp(filters=False)
    server.answer = misp.answer
    made = [misp.put(event(n, at=1_790_000_000 - (5 - n) * 40 * 86_400)) for n in range(6)]
    home.add("misp", server.url, kind=MISP)
    for _ in range(4):
        assert (await home.poll("misp")).code == ""
    assert misp.viewed == made
    assert not (await home.poll("misp")).more


async def test_an_event_that_cannot_be_read_holds_up_no_other(home: Home, server: Server) -> None:
    misp = Misp()
    server.answer = misp.answer
    bad, gone, good = (misp.put(event(n, at=1_790_000_000 + n)) for n in (1, 2, 3))
    misp.events[bad]["Event"]["info"] = 7
    misp.failing[gone] = 404
    home.add("misp", server.url, kind=MISP)
    progress = await home.poll("misp")
    assert (progress.code, progress.refused) == ("", 2)
    assert set(home.refused("misp")) == {("feed.bad-answer", bad), ("feed.not-there", gone)}
    assert home.thing(f"report--{good}")


async def test_an_event_that_its_misp_fails_to_give_is_tried_and_then_set_aside(
    home: Home, server: Server
) -> None:
    misp = Misp()
    server.answer = misp.answer
    first, sick, last = (misp.put(event(n, at=1_790_000_000 + n)) for n in (1, 2, 3))
    misp.failing[sick] = 500
    home.add("misp", server.url, kind=MISP)
    for _ in range(4):
        assert (await home.poll("misp")).code == "feed.busy"
        assert home.refused("misp") == []
    assert (await home.poll("misp")).code == ""
    assert home.refused("misp") == [("feed.busy", sick)]
    assert misp.viewed.count(first) == 1
    assert home.thing(f"report--{last}")


async def test_what_could_not_be_carried_is_kept_with_the_event(home: Home, server: Server) -> None:
    misp = Misp()
    server.answer = misp.answer
    uuid = misp.put(event(1, ShadowAttribute=[{"value": "a proposal"}]))
    home.add("misp", server.url, kind=MISP)
    await home.poll("misp")
    n, cipher = home.feed("misp").n, home.store.cipher
    [(named, lost)] = home.store.db.read_sync(lambda c: store_feeds.losses(c, cipher, n, limit=10))
    assert (named, "ShadowAttribute" in {one.what for one in lost}) == (uuid, True)


async def test_an_index_of_another_kind(home: Home, server: Server) -> None:
    answers = [b'"no"', b"{}", b"[", b'{"response":7}', b"<html>"]
    for place, body in enumerate(answers):
        server.answer = lambda _, body=body: web.Response(body=body)
        home.add(f"misp{place}", server.url, kind=MISP)
        assert (await home.poll(f"misp{place}")).code == "feed.bad-answer", body
    odd = [
        7,
        {"uuid": "no"},
        {"uuid": samples.EVENT, "timestamp": "-1"},
        {"uuid": samples.EVENT, "timestamp": "9" * 30},
    ]
    server.answer = lambda _: web.Response(body=orjson.dumps(odd))
    home.add("odd", server.url, kind=MISP)
    assert (await home.poll("odd")).code == ""


async def test_a_wrong_key(home: Home, server: Server) -> None:
    misp = Misp(key="right")
    server.answer = misp.answer
    home.add("misp", server.url, kind=MISP, credential="wrong", proof=Proof.KEY)
    assert (await home.poll("misp")).code == "feed.denied"


def events_in(folder: Path) -> list[dict[str, Any]]:
    """Of files that hold one event, a list of them, or a response."""
    found = []
    for path in sorted(folder.glob("*.json")):
        value = json.loads(path.read_bytes())
        listed = value.get("response", value) if isinstance(value, dict) else value
        for one in listed if isinstance(listed, list) else [listed]:
            event = one.get("Event", one)
            found += [{"Event": event}] if "info" in event and "uuid" in event else []
    return found


async def test_real_events_come_whole(home: Home, server: Server, data_dir: Path) -> None:
    """Every event of a public MISP feed; they are read, and nothing in them is contacted."""
    misp = Misp()
    server.answer = misp.answer
    for value in events_in(data_dir / "eset_misp"):
        value["Event"]["published"] = True  # as they are where they come from
        misp.put(value)
    home.add("eset", server.url, kind=MISP)
    progress = await home.poll("eset")
    assert (progress.code, len(misp.viewed)) == ("", len(misp.events))
    assert len(misp.events) == 48
    reports = {one["id"].partition("--")[2] for one in home.objects("eset", type_="report")}
    assert reports >= misp.events.keys()
