"""`exchange node feed add`: from flags to the settings and the secret of a feed from outside.

Owns this verb. What each setting may be is `feed_settings`' business.
"""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.feed_settings import Proof

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the feed is called, e.g. cert-bund.")]
Text = typer.Option


def register(verbs: typer.Typer) -> None:
    """Add the verb to the group."""
    command(verbs, "add", role="node", unlocks=True)(add)


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
    from exchange.cli.node.home import opened
    from exchange.cli.node.send import words
    from exchange.feed_settings import FeedKind, FeedSettings, parse_span
    from exchange.node.store import access as store_access, feeds as store_feeds
    from exchange.node.store.store import Transaction

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
        wake(home.home.paths.socket)
    value = {"name": name, "kind": kind.value, "url": settings.url, "collection": collection}
    line = f"{name}: {kind.value} at {settings.url}, every {every}; what has no label counts as {settings.floor.label}"
    call.out.result(value, [line], next_step=f"exchange node feed poll {name}")


def wake(socket: Path) -> None:
    """Let a server know, if there is one; it looks by itself too."""
    import contextlib

    from exchange.errors import Unavailable
    from exchange.node.control import channel as control

    with contextlib.suppress(Unavailable):
        control.ask(socket, "poke")


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
