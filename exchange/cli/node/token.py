"""`exchange node token add | list | revoke`: who may come in at the node's HTTP door, and what for.

Owns these verbs. They work beside a running server, and count for its next request. A token is shown once.
"""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.node.send import words
from exchange.cli.output import table, utc
from exchange.errors import ExchangeError, Refused

if TYPE_CHECKING:
    from exchange.cli.node.home import Opened
    from exchange.node.doors.doorkeeper import Grant

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called, e.g. siem.")]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group, under `token`."""
    verbs = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Rights of entry at the HTTP door.")
    command(verbs, "add", role="node", unlocks=True)(add)
    command(verbs, "list", role="node", unlocks=True)(list_)
    command(verbs, "revoke", role="node", unlocks=True)(revoke)
    group.add_typer(verbs, name="token")


def add(
    call: Call,
    name: Name,
    *,
    scope: Annotated[
        list[str],
        typer.Option(
            help="What for: taxii:read, taxii:write, metrics:read, api:read, api:send, api:ack, api:directory;"
            " commas between."
        ),
    ],
    collections: Annotated[
        list[str] | None, typer.Option(help="Aliases of the collections it is for; unsaid: all.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Its end: 2026-12-01, or 90d.")] = None,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password instead of making a token (Basic).")
    ] = False,
    password_file: Annotated[Path | None, typer.Option(help="Read the password from its first line.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="A client's certificate (PEM) instead of a token.")
    ] = None,
    exercise: Annotated[
        bool, typer.Option("--exercise", help="For exercises: sees these, and nothing real.")
    ] = False,
    passive: Annotated[
        bool, typer.Option("--passive", help="It only watches and acts on nothing it gets (PAP:AMBER).")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write the token into this file (mode 0600) and don't show it.")
    ] = None,
) -> None:
    """Let a tool or person in at the HTTP door. The token is shown once and kept nowhere."""
    from exchange.access import parse_collections, parse_scopes
    from exchange.cli.call import first_line
    from exchange.cli.node.home import opened
    from exchange.cli.when import parse_when
    from exchange.node.app import real_sources
    from exchange.node.doors.doorkeeper import Grant, give, take
    from exchange.storage.files import write_private

    if sum((password, password_file is not None, certificate is not None)) > 1:
        raise Refused("cli.usage", "one of --password, --password-file and --certificate")
    if output is not None and (password or password_file or certificate):
        raise Refused("cli.usage", "--output is for a token")
    if output is not None and not output.parent.is_dir():
        raise Refused("cli.bad-file", f"{output.parent} is no folder")
    grant = Grant(
        name=name,
        scopes=parse_scopes(words(scope)),
        collections=parse_collections(words(collections)),
        exercise=exercise,
        passive=passive,
        until=None if until is None else parse_when(until, now=now_ms()),
        password=_typed() if password else first_line(password_file) if password_file else None,
        certificate=None if certificate is None else _der(certificate),
    )
    with opened(call) as home:
        doubts = _doubts(home, grant)
        access, token = give(home.store, real_sources(), grant, who=getpass.getuser())
        if output is not None:
            try:
                write_private(output, f"{token}\n".encode("ascii"))
            except (ExchangeError, OSError):
                take(home.store, real_sources(), name, who=getpass.getuser())  # nobody has its token
                raise
        settings = home.home.settings.http
        for doubt in doubts:
            call.out.warn(doubt)
    value: dict[str, Any] = {
        "name": access.name,
        "kind": access.kind.value,
        "scopes": sorted(access.scopes),
        "collections": sorted(access.collections),
        "until": access.until,
        "token": "" if output else token,
    }
    lines = [f"{access.name} may come in, for {', '.join(sorted(access.scopes))}"]
    if output is not None:
        value["file"] = str(output)
        lines += [f"wrote {output}: whoever has this file comes in by it"]
    elif token:
        lines += ["", "Give it to the tool now; it is shown once and kept nowhere:", f"  {token}"]
    next_step = (
        "" if settings.open else "open the door: [http] open = true in config.toml, then exchange node serve"
    )
    call.out.result(value, lines, next_step=next_step)


def list_(call: Call) -> None:
    """Who may come in at the HTTP door, newest first; after them who might until it was revoked."""
    from exchange.cli.node.home import opened
    from exchange.node.store import rights as store_rights

    with opened(call) as home:
        found = home.store.db.read_sync(store_rights.listed)
    value = [
        {
            "name": one.name,
            "kind": one.kind.value,
            "scopes": sorted(one.scopes),
            "collections": sorted(one.collections),
            "exercise": one.exercise,
            "passive": one.passive,
            "until": one.until,
            "created_at": one.created_at,
            "created_by": one.created_by,
            "revoked_at": one.revoked_at,
        }
        for one in found
    ]
    rows = [
        [
            one.name,
            one.kind.value,
            " ".join(sorted(one.scopes)),
            " ".join(sorted(one.collections)) or "all",
            "revoked"
            if one.revoked_at
            else "over"
            if not one.stands(now_ms())
            else utc(one.until)
            if one.until
            else "",
        ]
        for one in found
    ]
    call.out.result({"tokens": value}, table(["name", "kind", "for", "collections", "until"], rows))


def revoke(call: Call, name: Name) -> None:
    """End a right of entry, at once."""
    from exchange.cli.node.home import opened
    from exchange.node.app import real_sources
    from exchange.node.doors.doorkeeper import take

    with opened(call) as home:
        take(home.store, real_sources(), name, who=getpass.getuser())
    call.out.result({"name": name, "revoked": True}, [f"{name} may not come in any more"])


def _typed() -> str:
    phrase = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != phrase:
        raise Refused("cli.usage", "the two passwords differ")
    return phrase


def _der(path: Path) -> bytes:
    """The first certificate of a PEM file, while it lasts. Raises Refused cli.bad-file."""
    from exchange.tls import client_certificate

    try:
        return client_certificate(path, now=now_ms())
    except Refused as refusal:
        detail = f"no certificate that lets anybody in: {refusal.detail}"
        raise Refused("cli.bad-file", detail) from refusal


def _doubts(home: Opened, grant: Grant) -> list[str]:
    """What keeps the right from what it was given for, as things are now."""
    from exchange.node.app import real_sources
    from exchange.node.taxii.collections import Collections

    known = Collections(home.store, home.home.identity(), home.loaded, real_sources()).every()
    unknown = sorted(grant.collections - {one.alias for one in known})
    doubts = (
        [f"no collection is called {', '.join(unknown)} now: exchange node collections"] if unknown else []
    )
    if grant.certificate is not None and not home.home.settings.http.client_ca:
        doubts.append("no client's certificate is asked for: client_ca in [http] of config.toml")
    return doubts
