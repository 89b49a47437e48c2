"""`exchange node feed add | list | show | poll | pause | resume | remove`: the feeds from outside, and what they bring.

Owns these verbs. They work beside a running server. Adding one is node/feed_add.py's; what may go on from there
node/feed_decide.py's; how a feed is asked is node/feeds/feeds.py's business.
"""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.node import feed_add, feed_decide
from exchange.cli.node.feed_add import Name, wake
from exchange.cli.output import one_line, pairs, table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exchange.canonical import Json
    from exchange.node.store.feeds import Feed

SHOWN: Final = 50
WATCH_SECONDS: Final = 1.0  # between two looks at how far a poll is
Text = typer.Option


def register(group: typer.Typer) -> None:
    """Add the verbs to the group, under `feed`."""
    verbs = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Feeds from outside: TAXII servers, a MISP."
    )
    feed_add.register(verbs)
    command(verbs, "list", role="node", unlocks=True)(list_)
    command(verbs, "show", role="node", unlocks=True)(show)
    command(verbs, "poll", role="node", unlocks=True)(poll)
    command(verbs, "pause", role="node", unlocks=True)(pause)
    command(verbs, "resume", role="node", unlocks=True)(resume)
    command(verbs, "remove", role="node", unlocks=True)(remove)
    feed_decide.register(verbs)
    group.add_typer(verbs, name="feed")


def list_(call: Call) -> None:
    """The feeds, and how each does: its last success, its last error, what it brought, when it is asked next."""
    from exchange.cli.node.home import opened
    from exchange.node.store import bringers as store_bringers, feeds as store_feeds

    with opened(call) as home:
        cipher = home.store.cipher
        found = home.store.db.read_sync(lambda c: store_feeds.listed(c, cipher))
        counts = home.store.db.read_sync(store_bringers.counts)
    value = [as_json(one, counts.get(one.n, 0)) for one in found]
    rows = [
        [
            one.name,
            one.settings.kind.value,
            one.state,
            utc(one.succeeded_at),
            str(counts.get(one.n, 0)),
            "-" if one.paused else utc(one.due_at),
            one.code or "-",
        ]
        for one in found
    ]
    head = ["name", "kind", "state", "last success", "objects", "next", "last error"]
    call.out.result({"feeds": value}, table(head, rows) if rows else ["no feeds"])


def show(
    call: Call,
    name: Name,
    *,
    objects: Annotated[bool, typer.Option("--objects", help="What it brought, newest first.")] = False,
    refused: Annotated[bool, typer.Option("--refused", help="What was not taken, and why.")] = False,
    losses: Annotated[
        bool, typer.Option("--losses", help="What of its events could not be carried.")
    ] = False,
    type_: Annotated[str, typer.Option("--type", help="With --objects: of this STIX type.")] = "",
    text: Annotated[str, Text(help="With --objects: that have this text in them.")] = "",
    limit: Annotated[int, Text(help="At most so many.", min=1, max=100_000)] = SHOWN,
) -> None:
    """One feed: its settings, its health; what it brought, and what of it was not taken or not carried."""
    from exchange.cli.node.home import opened
    from exchange.node.store import (
        bringers as store_bringers,
        decisions as store_decisions,
        feeds as store_feeds,
        outside as store_outside,
    )

    with opened(call) as home:
        db, cipher = home.store.db, home.store.cipher
        feed = db.read_sync(lambda c: find(c, cipher, name))
        count = db.read_sync(store_bringers.counts).get(feed.n, 0)
        rules = db.read_sync(lambda c: store_decisions.rules(c, cipher, feed.n))
        value: dict[str, Any] = as_json(feed, count)
        value["rules"] = [
            {"upto": one.upto.label, "why": one.why, "at": one.at, "by": one.by} for one in rules
        ]
        lines = _about(feed, count)
        lines += [
            f"rule: up to {one.upto.label}, {one.by} at {utc(one.at)}: {one_line(one.why)}" for one in rules
        ]
        if objects:
            found = db.read_sync(
                lambda c: store_outside.of_feed(c, cipher, feed.n, type_=type_, text=text, limit=limit)
            )
            value["objects"] = [feed_decide.as_json(one) for one in found]
            lines += ["", *feed_decide.shown(found)]
        if refused:
            aside = db.read_sync(lambda c: store_feeds.refused(c, cipher, feed.n, limit=limit))
            value["refused"] = [
                {"at": one.at, "code": one.code, "object": one.object, "reason": one.reason} for one in aside
            ]
            rows = [[utc(one.at), one.code, one.object, one.reason] for one in aside]
            lines += ["", *table(["at", "code", "object", "reason"], rows)]
        if losses:
            lost = db.read_sync(lambda c: store_feeds.losses(c, cipher, feed.n, limit=limit))
            value["losses"] = [
                {"event": event, "place": one.place, "what": one.what, "why": one.why}
                for event, each in lost
                for one in each
            ]
            rows = [[event[:8], one.place, one.what, one.why] for event, each in lost for one in each]
            lines += ["", *table(["event", "place", "what", "why"], rows)]
    call.out.result(value, lines)


def poll(call: Call, name: Name) -> None:
    """Ask a feed now, paused or not, and wait for its end. Ends with the error that it ended with, if any."""
    import asyncio

    from exchange.cli.node.home import opened
    from exchange.errors import Unavailable
    from exchange.node.app import real_sources, running
    from exchange.node.control import channel as control
    from exchange.node.feeds.feeds import as_json as progress_json
    from exchange.node.home import Home

    async def alone(home: Home) -> Mapping[str, Json]:
        async with running(home, real_sources()) as node:
            begins = True
            while True:
                look = node.feeds.poll if begins else node.feeds.watch
                progress, ended = await look(name, seconds=WATCH_SECONDS)
                begins, value = False, progress_json(progress, ended=ended)
                if ended:
                    return value
                _tell(call, value)

    with opened(call) as opened_:
        home, cipher = opened_.home, opened_.store.cipher
        opened_.store.db.read_sync(lambda c: find(c, cipher, name))
    patience = WATCH_SECONDS + control.REQUEST_SECONDS
    socket = home.paths.socket
    try:
        value = control.ask(socket, "feed", patience=patience, name=name, begins=True, seconds=WATCH_SECONDS)
    except Unavailable:
        value = asyncio.run(alone(home))
    while not value["ended"]:
        _tell(call, value)
        value = control.ask(socket, "feed", patience=patience, name=name, begins=False, seconds=WATCH_SECONDS)
    if value["code"]:
        raise Refused(str(value["code"]), str(value["detail"]))
    lines = [f"{name}: {value['objects']} objects, {value['new']} of them new, {value['refused']} not taken"]
    next_step = f"exchange node feed show {name} --objects" if value["new"] else ""
    if value["refused"]:
        next_step = f"exchange node feed show {name} --refused"
    call.out.result({"name": name, **value}, lines, next_step=next_step)


def pause(call: Call, name: Name) -> None:
    """Leave a feed alone until `resume`."""
    _set_paused(call, name, paused=True)
    call.out.result({"name": name, "paused": True}, [f"{name} is paused"])


def resume(call: Call, name: Name) -> None:
    """Ask a paused feed again."""
    _set_paused(call, name, paused=False)
    call.out.result({"name": name, "paused": False}, [f"{name} is asked again"])


def remove(
    call: Call,
    name: Name,
    *,
    forget: Annotated[bool, typer.Option("--forget", help="Delete what no other feed brought, too.")] = False,
) -> None:
    """End a feed and its rules, and forget its credential. What it brought stays for as long as it was to be kept."""
    from exchange.cli.node.home import opened
    from exchange.node.store import (
        access as store_access,
        decisions as store_decisions,
        feeds as store_feeds,
        outside as store_outside,
    )
    from exchange.node.store.store import Transaction

    call.confirm(f"End the feed {name}" + (" and delete what it brought?" if forget else "?"))
    with opened(call) as home:
        cipher, now, who = home.store.cipher, now_ms(), getpass.getuser()

        def write(connection: Transaction) -> int:
            feed = find(connection, cipher, name)
            store_feeds.remove(connection, cipher, feed, now=now, forget=forget)
            store_decisions.end_rules(connection, feed.n, now=now)
            what = f"{name} and what it brought" if forget else name
            store_access.append(connection, at=now, who=who, action="feed-remove", what=what)
            return feed.n

        n = home.store.db.write_sync(write)
        # where this is ended, the serving node goes on with it
        before = store_outside.EVER
        while forget and home.store.db.write_sync(
            lambda c: store_outside.expire(c, cipher, n, before=before)
        ):
            pass
    call.out.result({"name": name, "removed": True}, [f"{name} is removed"])


def find(connection: Any, cipher: Any, name: str) -> Feed:  # noqa: ANN401 - types that only the layers below name
    """The feed of that name. Raises Refused feed.unknown."""
    from exchange.node.store import feeds as store_feeds

    feed = store_feeds.find(connection, cipher, name)
    if feed is None:
        raise Refused("feed.unknown")
    return feed


def as_json(feed: Feed, count: int) -> dict[str, Any]:
    """docs/cli.md promises it."""
    settings = feed.settings
    return {
        "name": feed.name,
        "kind": settings.kind.value,
        "url": settings.url,
        "collection": settings.collection,
        "state": feed.state,
        "floor": settings.floor.label,
        "every": settings.every,
        "keep": settings.keep,
        "readers": list(settings.readers),
        "objects": count,
        "position": feed.position,
        "tried_at": feed.tried_at,
        "succeeded_at": feed.succeeded_at,
        "failures": feed.failures,
        "error": {"code": feed.code, "detail": feed.detail} if feed.code else None,
        "due_at": None if feed.paused else feed.due_at,
        "created_at": feed.created_at,
        "created_by": feed.created_by,
    }


def _about(feed: Feed, count: int) -> list[str]:
    settings = feed.settings
    place = f"{settings.url} {settings.collection}".rstrip()
    failed = f"{feed.code}: {feed.detail}, {feed.failures} in a row" if feed.code else ""
    return pairs(
        [
            ("feed", f"{feed.name}, {settings.kind.value} at {place}"),
            ("state", feed.state),
            ("last success", utc(feed.succeeded_at)),
            ("last try", utc(feed.tried_at)),
            ("last error", failed),
            ("next", "" if feed.paused else utc(feed.due_at)),
            ("position", ", ".join(f"{key} {value}" for key, value in feed.position.items() if value)),
            ("objects", str(count)),
            ("no label", f"counts as {settings.floor.label}"),
            ("own readers", ", ".join(settings.readers)),
        ]
    )


def _set_paused(call: Call, name: str, *, paused: bool) -> None:
    from exchange.cli.node.home import opened
    from exchange.node.store import feeds as store_feeds

    with opened(call) as home:
        cipher, now = home.store.cipher, now_ms()
        home.store.db.write_sync(
            lambda c: store_feeds.set_paused(c, find(c, cipher, name).n, paused=paused, now=now)
        )
        wake(home.home.paths.socket)


def _tell(call: Call, value: Mapping[str, Json]) -> None:
    call.out.note(f"{value['objects']} objects, {value['new']} new; {value['done']}")
