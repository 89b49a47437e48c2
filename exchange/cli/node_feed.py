"""`exchange node feed add | list | show | poll | pause | resume | remove`: the feeds from outside, and what they bring.

Owns these verbs. They work beside a running server. What may go on from there is node_feed_decide.py's; how a feed is
asked is node/feeds.py's business.
"""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli import node_feed_decide
from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.output import one_line, pairs, table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exchange.canonical import Json
    from exchange.feed_settings import Proof
    from exchange.node.store_feeds import Feed

SHOWN: Final = 50
WATCH_SECONDS: Final = 1.0  # between two looks at how far a poll is
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the feed is called, e.g. cert-bund.")]
Text = typer.Option


def register(group: typer.Typer) -> None:
    """Add the verbs to the group, under `feed`."""
    verbs = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Feeds from outside: TAXII servers, a MISP."
    )
    command(verbs, "add", role="node", unlocks=True)(add)
    command(verbs, "list", role="node", unlocks=True)(list_)
    command(verbs, "show", role="node", unlocks=True)(show)
    command(verbs, "poll", role="node", unlocks=True)(poll)
    command(verbs, "pause", role="node", unlocks=True)(pause)
    command(verbs, "resume", role="node", unlocks=True)(resume)
    command(verbs, "remove", role="node", unlocks=True)(remove)
    node_feed_decide.register(verbs)
    group.add_typer(verbs, name="feed")


def add(
    call: Call,
    name: Name,
    *,
    taxii: Annotated[str | None, Text(help="URL of a TAXII 2.1 API root.")] = None,
    collection: Annotated[str, Text(help="Id of the collection there.")] = "",
    misp: Annotated[str | None, Text(help="URL of a MISP.")] = None,
    credential_file: Annotated[
        Path | None, Text(help="File whose first line is the token, API key or password.")
    ] = None,
    credential: Annotated[bool, typer.Option("--credential", help="Ask for it.")] = False,
    user: Annotated[str, Text(help="Name that goes with a password.")] = "",
    scheme: Annotated[
        str, Text(help="How a TAXII server wants the token: bearer, token or key (bare).")
    ] = "bearer",
    ca: Annotated[Path | None, Text(help="PEM file of an authority to trust for this feed too.")] = None,
    tlp_floor: Annotated[str, Text(help="Label of what carries none.")] = "amber+strict",
    every: Annotated[str, Text(help="How often it is asked: 15m, 4h, 1d.")] = "15m",
    keep: Annotated[str, Text(help="How long its objects stay after they came last.")] = "365d",
    reader: Annotated[
        list[str] | None,
        Text(
            help="Names under which the same system reads here: rights of entry, members. It gets nothing back."
        ),
    ] = None,
) -> None:
    """Subscribe to a TAXII collection or a MISP outside. What it brings stays apart until somebody decides."""
    from exchange import tlp
    from exchange.access import check_name
    from exchange.cli.call import first_line
    from exchange.cli.node_home import opened
    from exchange.cli.node_send import words
    from exchange.feed_settings import FeedKind, FeedSettings, parse_span
    from exchange.node import store_access, store_feeds
    from exchange.node.store import Transaction

    if (taxii is None) == (misp is None):
        raise Refused("cli.usage", "one of --taxii and --misp")
    if credential and credential_file is not None:
        raise Refused("cli.usage", "one of --credential and --credential-file")
    check_name(name)
    secret = first_line(credential_file) if credential_file else ""
    if credential:
        secret = getpass.getpass("Token, API key or password: ")
    kind = FeedKind.MISP if taxii is None else FeedKind.TAXII
    settings = FeedSettings(
        kind=kind,
        url=taxii or misp or "",
        collection=collection,
        proof=_proof(kind, scheme, user=user, secret=secret),
        user=user,
        ca=_pem(ca),
        floor=tlp.parse(tlp_floor),
        every=parse_span(every),
        keep=parse_span(keep),
        readers=tuple(words(reader)),
    ).check()
    with opened(call) as home:
        if home.home.settings.member in (name, *settings.readers):
            raise Refused("feed.bad-setting", "a feed that is this node itself could be shown nothing here")
        store, now, who = home.store, now_ms(), getpass.getuser()

        def write(connection: Transaction) -> None:
            if store_feeds.count(connection) >= store_feeds.MOST:
                raise Refused("feed.too-many", f"at most {store_feeds.MOST}")
            added = store_feeds.add(connection, store.cipher, name, settings, secret, now=now, who=who)
            if added is None:
                raise Refused("feed.taken")
            store_access.append(connection, at=now, who=who, action="feed-add", what=f"{name} {settings.url}")

        store.db.write_sync(write)
        _wake(home.home.paths.socket)
    value = {"name": name, "kind": kind.value, "url": settings.url, "collection": collection}
    line = f"{name}: {kind.value} at {settings.url}, every {every}; what has no label counts as {settings.floor.label}"
    call.out.result(value, [line], next_step=f"exchange node feed poll {name}")


def list_(call: Call) -> None:
    """The feeds, and how each does: its last success, its last error, what it brought, when it is asked next."""
    from exchange.cli.node_home import opened
    from exchange.node import store_feeds, store_outside

    with opened(call) as home:
        cipher = home.store.cipher
        found = home.store.db.read_sync(lambda c: store_feeds.listed(c, cipher))
        counts = home.store.db.read_sync(store_outside.counts)
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
    from exchange.cli.node_home import opened
    from exchange.node import store_decisions, store_feeds, store_outside

    with opened(call) as home:
        db, cipher = home.store.db, home.store.cipher
        feed = db.read_sync(lambda c: find(c, cipher, name))
        count = db.read_sync(store_outside.counts).get(feed.n, 0)
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
            value["objects"] = [node_feed_decide.as_json(one) for one in found]
            lines += ["", *node_feed_decide.shown(found)]
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

    from exchange.cli.node_home import opened
    from exchange.errors import Unavailable
    from exchange.node import control
    from exchange.node.app import real_sources, running
    from exchange.node.feeds import as_json as progress_json
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
    from exchange.cli.node_home import opened
    from exchange.node import store_access, store_decisions, store_feeds, store_outside
    from exchange.node.store import Transaction

    call.confirm(f"End the feed {name}" + (" and delete what it brought?" if forget else "?"))
    with opened(call) as home:
        cipher, now, who = home.store.cipher, now_ms(), getpass.getuser()

        def write(connection: Transaction) -> int:
            feed = find(connection, cipher, name)
            store_feeds.remove(connection, cipher, feed.n, now=now)
            store_decisions.end(connection, now=now, feed=feed.n)
            if forget:
                store_feeds.set_position(connection, cipher, feed.n, {})
            what = f"{name} and what it brought" if forget else name
            store_access.append(connection, at=now, who=who, action="feed-remove", what=what)
            return feed.n

        n = home.store.db.write_sync(write)
        while forget and home.store.db.write_sync(lambda c: store_outside.expire(c, n, before=now + 1)):
            pass
    call.out.result({"name": name, "removed": True}, [f"{name} is removed"])


def find(connection: Any, cipher: Any, name: str) -> Feed:  # noqa: ANN401 - types that only the layers below name
    """The feed of that name. Raises Refused feed.unknown."""
    from exchange.node import store_feeds

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
    from exchange.cli.node_home import opened
    from exchange.node import store_feeds

    with opened(call) as home:
        cipher, now = home.store.cipher, now_ms()
        home.store.db.write_sync(
            lambda c: store_feeds.set_paused(c, find(c, cipher, name).n, paused=paused, now=now)
        )
        _wake(home.home.paths.socket)


def _wake(socket: Path) -> None:
    """Let a server know, if there is one; it looks by itself too."""
    import contextlib

    from exchange.errors import Unavailable
    from exchange.node import control

    with contextlib.suppress(Unavailable):
        control.ask(socket, "poke")


def _tell(call: Call, value: Mapping[str, Json]) -> None:
    call.out.note(f"{value['objects']} objects, {value['new']} new; {value['done']}")


def _proof(kind: Any, scheme: str, *, user: str, secret: str) -> Proof:  # noqa: ANN401 - a FeedKind
    from exchange.feed_settings import FeedKind, Proof

    if not secret:
        return Proof.NONE
    if kind is FeedKind.MISP:
        return Proof.KEY
    if user:
        return Proof.BASIC
    if scheme not in (Proof.BEARER, Proof.TOKEN, Proof.KEY):
        raise Refused("cli.usage", "--scheme: bearer, token or key")
    return Proof(scheme)


def _pem(path: Path | None) -> str:
    from exchange.feed_settings import MAX_CA

    if path is None:
        return ""
    try:
        with path.open(encoding="ascii") as file:
            return file.read(MAX_CA + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("cli.bad-file", f"{path}: not a certificate in PEM") from error
