"""A TAXII server as a feed: pages, positions, and what dishonest servers do."""

from __future__ import annotations

import orjson
from aiohttp import web

from exchange.tlp import Tlp
from tests.feeds.places import Home
from tests.feeds.servers import TLP_GREEN, Server, indicator, page


async def test_all_pages_come_byte_for_byte_and_the_next_run_begins_where_this_one_ended(
    home: Home, server: Server
) -> None:
    odd = (
        b'{"objects":[ {"type" : "indicator","spec_version":"2.1","id":"indicator--%b",'
        % (b"10000000-0000-4000-8000-000000000001")
        + b'"created":"2026-09-01T00:00:00.000Z","modified":"2026-09-01T00:00:00.000Z","pattern":"[ipv4-addr:value = '
    )
    odd += b'\'203.0.113.57\']","pattern_type":"stix","valid_from":"2026-09-01T00:00:00.000Z"  } ],'
    odd += b'"more":true,"next":"two"}'
    second = indicator("second", TLP_GREEN)

    def answer(request: web.Request) -> web.Response:
        if request.query.get("added_after"):
            return page()
        if request.query.get("next") == "two":
            return page([second], last="2026-10-02T00:00:00.5Z")
        return page(raw=odd, last="2026-10-01T00:00:00.000001Z")

    server.answer = answer
    home.add("cert", server.url, floor=Tlp.AMBER)
    progress = await home.poll("cert")
    assert (progress.code, progress.objects, progress.new) == ("", 2, 2)
    first = home.listed("cert")[-1]
    assert first.data == odd[odd.index(b'{"type') : odd.index(b" ],")]
    assert (first.thing.tlp, home.thing(second["id"]).tlp) == (Tlp.AMBER, Tlp.GREEN)
    assert home.feed("cert").position["after"] == "2026-10-02T00:00:00.500000Z"
    assert home.feed("cert").due_at > home.now

    again = await home.poll("cert")
    assert (again.code, again.objects) == ("", 0)
    assert server.asked("added_after") == ["", "", "2026-10-02T00:00:00.500000Z"]
    assert server.asked("next") == ["", "two", ""]
    assert home.feed("cert").position["after"] == "2026-10-02T00:00:00.500000Z"


async def test_a_run_that_was_cut_goes_on_at_its_next(home: Home, server: Server) -> None:
    """What the server names as `next` is kept with the page, so that equal dates are not skipped."""
    pages = [[indicator(str(n))] for n in range(4)]
    down = [2]

    def answer(request: web.Request) -> web.Response:
        place = int(request.query.get("next") or 0)
        if place in down:
            return page(status=503)
        more = place < 3
        return page(
            pages[place],
            more=more,
            next_=str(place + 1) if more else None,
            last="2026-10-01T00:00:00.000000Z",
        )

    server.answer = answer
    home.add("cert", server.url)
    progress = await home.poll("cert")
    assert (progress.code, progress.new) == ("feed.busy", 2)
    await home.close()
    home.open()
    down.clear()
    progress = await home.poll("cert")
    assert (progress.code, progress.new) == ("", 2)
    assert server.asked("next") == ["", "1", "2", "2", "3"]
    assert server.asked("added_after") == ["", "", "", "", ""]
    assert {one["id"] for one in home.objects("cert")} == {one["id"] for each in pages for one in each}


async def test_a_next_that_the_server_forgot_begins_the_run_anew(home: Home, server: Server) -> None:
    first, second = indicator("1"), indicator("2")
    known = {""}

    def answer(request: web.Request) -> web.Response:
        asked = request.query.get("next", "")
        if asked not in known:
            return page(status=404 if asked == "old" else 503)
        return page([first], more=True, next_="new") if asked == "" else page([second])

    server.answer = answer
    home.add("cert", server.url)
    await home.poll("cert")
    known.add("new")
    cipher = home.store.cipher
    from exchange.node.store import feeds as store_feeds

    forgotten = {"after": "", "next": "old", "last": "", "asked": ""}
    n = home.feed("cert").n
    home.store.db.write_sync(lambda c: store_feeds.set_position(c, cipher, n, forgotten))
    progress = await home.poll("cert")
    assert (progress.code, progress.objects, progress.new) == ("", 2, 1)


async def test_a_server_without_dates_is_asked_from_its_own_time(home: Home, server: Server) -> None:
    one = indicator()
    server.answer = lambda _: page([one], headers={"Date": "Thu, 01 Oct 2026 12:00:00 GMT"})
    home.add("cert", server.url)
    assert (await home.poll("cert")).new == 1
    assert home.feed("cert").position["after"] == "2026-10-01T11:00:00.000000Z"
    assert (await home.poll("cert")).new == 0


async def test_dates_of_other_zones_are_read(home: Home, server: Server) -> None:
    server.answer = lambda _: page([indicator()], last="2026-10-01T14:00:00.123456789+02:00")
    home.add("cert", server.url)
    await home.poll("cert")
    assert home.feed("cert").position["after"] == "2026-10-01T12:00:00.123456Z"


async def test_a_server_without_next_is_followed_by_its_dates(home: Home, server: Server) -> None:
    objects = {f"2026-10-0{n}T00:00:00.000000Z": indicator(str(n)) for n in (1, 2, 3)}

    def answer(request: web.Request) -> web.Response:
        left = [date for date in objects if date > request.query.get("added_after", "")]
        return page([objects[left[0]]], more=len(left) > 1, last=left[0])

    server.answer = answer
    home.add("cert", server.url)
    assert (await home.poll("cert")).new == 3


async def test_pages_that_never_end_are_noticed(home: Home, server: Server) -> None:
    one, calls = indicator(), []

    def same(request: web.Request) -> web.Response:
        return page([one], more=True, next_="again", last="2026-10-01T00:00:00.000000Z")

    def fresh(request: web.Request) -> web.Response:
        calls.append(1)
        return page([one], more=True, next_=str(len(calls)))

    def empty(request: web.Request) -> web.Response:
        calls.append(1)
        return page(more=True, next_=str(len(calls)))

    def nowhere(request: web.Request) -> web.Response:
        return page([one], more=True)

    for name, answer in (("same", same), ("fresh", fresh), ("empty", empty), ("nowhere", nowhere)):
        server.answer = answer
        server.requests.clear()
        home.add(name, server.url)
        progress = await home.poll(name)
        assert progress.code == "feed.loops", name
        assert len(server.requests) < 12
        assert home.feed(name).position["next"] == ""
    assert home.feed("same").position["after"] == "2026-10-01T00:00:00.000000Z"


async def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(home: Home, server: Server) -> None:
    one = indicator()

    def answer(request: web.Request) -> web.Response:
        large = int(request.query["limit"]) > 100
        return page(raw=b'{"x":"' + b"a" * 11_000_000 + b'"}') if large else page([one])

    server.answer = answer
    home.add("cert", server.url)
    assert (await home.poll("cert")).new == 1
    assert server.asked("limit") == ["1000", "100"]
    server.answer = lambda _: page(raw=b'{"x":"' + b"a" * 11_000_000 + b'"}')
    assert (await home.poll("cert")).code == "feed.too-large"


async def test_answers_of_another_kind(home: Home, server: Server) -> None:
    deep = b'{"objects":' + b"[" * 200 + b"]" * 200 + b"}"
    answers = {
        "html": page(raw=b"<html>", headers={"Content-Type": "text/html"}),
        "list": page(raw=b"[]"),
        "text": page(raw=b'{"objects":"none"}'),
        "more": page(raw=b'{"more":"yes"}'),
        "next": page(raw=b'{"more":true,"next":["a"]}'),
        "twice": page(raw=b'{"objects":[],"objects":[]}'),
        "deep": page(raw=deep),
        "cut": page(raw=b'{"objects":['),
        "teapot": page(status=418),
        "zipped": page(raw=b"{}", headers={"Content-Encoding": "br"}),
    }
    for name, answer in answers.items():
        server.answer = lambda _, answer=answer: answer
        home.add(name, server.url)
        assert (await home.poll(name)).code == "feed.bad-answer", name


async def test_a_collection_that_is_none(home: Home, server: Server) -> None:
    server.answer = lambda _: page()
    for place, facts in enumerate((b"{}", b'{"id":7,"title":"x","can_read":true,"can_write":true}', b"[]")):
        server.about = lambda _, facts=facts: page(raw=facts)
        home.add(f"cert{place}", server.url)
        assert (await home.poll(f"cert{place}")).code == "feed.bad-answer"
    from tests.feeds.servers import COLLECTION

    closed = {"id": COLLECTION, "title": "x", "can_read": False, "can_write": True}
    server.about = lambda _: page(raw=orjson.dumps(closed))
    home.add("closed", server.url)
    assert (await home.poll("closed")).code == "feed.denied"


async def test_refusals_and_how_long_they_are_waited_for(home: Home, server: Server) -> None:
    cases: list[tuple[int, dict[str, str], str, int]] = [
        (401, {}, "feed.denied", 15 * 60_000),
        (404, {}, "feed.not-there", 15 * 60_000),
        (302, {"Location": "http://127.0.0.1:1/"}, "feed.redirect", 15 * 60_000),
        (429, {"Retry-After": "7200"}, "feed.busy", 7_200_000),
        (503, {"Retry-After": "soon"}, "feed.busy", 15_000),
        (503, {"Retry-After": "99999999"}, "feed.busy", 86_400_000),
    ]
    for place, (status, headers, code, least) in enumerate(cases):
        name = f"cert{place}"
        server.answer = lambda _, status=status, headers=headers: page(
            raw=b"{}", status=status, headers=headers
        )
        feed = home.add(name, server.url)
        assert (await home.poll(name)).code == code
        feed = home.feed(name)
        assert (feed.state, feed.failures, feed.code) == ("failing", 1, code)
        assert least <= feed.due_at - home.now <= max(least, 3_600_000), code


async def test_waits_grow_until_it_answers_again(home: Home, server: Server) -> None:
    server.answer = lambda _: page(status=500)
    home.add("cert", server.url)
    waits = []
    for _ in range(5):
        await home.poll("cert")
        waits.append(home.feed("cert").due_at - home.now)
    assert all(later > earlier for earlier, later in zip(waits[::2], waits[2::2], strict=False))
    server.answer = lambda _: page()
    await home.poll("cert")
    assert (home.feed("cert").state, home.feed("cert").failures) == ("well", 0)


async def test_nobody_there(home: Home) -> None:
    home.add("cert", "http://127.0.0.1:1/")
    assert (await home.poll("cert")).code == "feed.unreachable"


async def test_credentials_are_shown_as_the_server_wants_them(home: Home, server: Server) -> None:
    server.answer = lambda _: page()
    from exchange.feed_settings import Proof

    wanted = {
        "none": ({}, None),
        "bearer": ({"proof": Proof.BEARER}, "Bearer s3cret"),
        "token": ({"proof": Proof.TOKEN}, "Token s3cret"),
        "key": ({"proof": Proof.KEY}, "s3cret"),
        "basic": ({"proof": Proof.BASIC, "user": "ana"}, "Basic YW5hOnMzY3JldA=="),
    }
    for name, (settings, header) in wanted.items():
        home.add(name, server.url, credential="" if name == "none" else "s3cret", **settings)
        server.requests.clear()
        assert (await home.poll(name)).code == ""
        assert {one.headers.get("Authorization") for one in server.requests} == {header}
    assert b"s3cret" not in home.path.read_bytes()
    wal = home.path.with_name(home.path.name + "-wal")
    assert b"s3cret" not in wal.read_bytes()


async def test_bad_objects_are_set_aside_and_the_others_kept(home: Home, server: Server) -> None:
    good, bad = indicator(), indicator(pattern_type=7)
    server.answer = lambda _: page([bad, good, {"type": "indicator"}])  # type: ignore[list-item]  # it is bad
    home.add("cert", server.url)
    progress = await home.poll("cert")
    assert (progress.new, progress.refused) == (1, 2)
    assert [one["id"] for one in home.objects("cert")] == [good["id"]]
    assert {code.partition(".")[0] for code, _ in home.refused("cert")} == {"stix"}
    assert bad["id"] in {one for _, one in home.refused("cert")}
