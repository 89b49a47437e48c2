"""`exchange node feed decide | export`: what came from outside goes on only when somebody has decided so.

Owns these verbs, and how things from outside are listed. What a decision holds for is node/feeds/outside.py's business.
"""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.cli.node.home import Opened
    from exchange.node.feeds.outside import Outside
    from exchange.node.store.outside import Listed

Objects = Annotated[list[str], typer.Argument(metavar="OBJECT", help="Whole ids of STIX objects.")]


def register(verbs: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(verbs, "decide", role="node", unlocks=True)(decide)
    command(verbs, "export", role="node", unlocks=True)(export)


def decide(
    call: Call,
    object_: Annotated[
        str | None,
        typer.Argument(metavar="[OBJECT]", help="Whole id of a STIX object; a report: all it refers to."),
    ] = None,
    *,
    rule: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead: all that this feed brings.")
    ] = None,
    upto: Annotated[str, typer.Option(help="With --rule: up to this label.")] = "green",
    reason: Annotated[str, typer.Option(help="Why; it stands in the access log.")] = "",
    take_back: Annotated[bool, typer.Option("--take-back", help="It may go on no longer.")] = False,
) -> None:
    """Say that a thing from outside may go on to others, as it is now and by its label; or all of a feed, by rule."""
    from exchange import tlp
    from exchange.cli.node.home import opened

    if (object_ is None) == (rule is None):
        raise Refused("cli.usage", "one of OBJECT and --rule NAME")
    what, value = object_ or f"the feed {rule}", {"object": object_, "rule": rule}
    with opened(call) as home:
        outside = _outside(home)
        if take_back:
            ended = outside.take_back(object_) if object_ is not None else outside.end_rules(str(rule))
            call.out.result({**value, "ended": ended}, [f"{what}: {ended} decisions taken back"])
            return
        call.confirm(f"May {what} go on to others, as its label says?")
        if object_ is not None:
            things = outside.decide(object_, reason)
            lines = [f"{things} things may go on, as they are now"]
            value["things"] = str(things)
        else:
            label = tlp.parse(upto)
            outside.add_rule(str(rule), label, reason)
            lines = [f"what {rule} brings may go on, up to {label.label}"]
            value["upto"] = label.label
    next_step = f"exchange node feed export {object_} --output FILE" if object_ else ""
    call.out.result(value, lines, next_step=next_step)


def export(
    call: Call,
    objects: Objects,
    *,
    output: Annotated[Path, typer.Option(help="File to make.")],
) -> None:
    """Write things from outside, each with what it refers to, as a STIX bundle; `send` takes it from there."""
    from exchange.cli.node.home import opened
    from exchange.node.doors.doors import own_reader
    from exchange.storage.files import write_private

    if output.exists():
        raise Refused("cli.bad-file", f"{output} is there already")
    with opened(call) as home:
        made = _outside(home).export(objects, own_reader(home.home.settings.member))
    write_private(output, made.bundle)
    call.out.warn(f"{made.tlp.label}: what you do with this copy is yours to answer for")
    value = {"objects": made.objects, "tlp": made.tlp.label, "file": str(output)}
    next_step = f"exchange node send {output} --to ADDRESS --kind alert --tlp {made.tlp.word}"
    call.out.result(value, [f"wrote {made.objects} objects to {output}"], next_step=next_step)


def as_json(one: Listed) -> dict[str, Any]:
    """A version of something from outside."""
    return {
        "id": one.id,
        "version": one.version,
        "added_at": one.added // 1_000,
        "tlp": one.thing.tlp.label,
        "pap": None if one.thing.pap is None else one.thing.pap.label,
        "feeds": len(one.thing.feeds),
        "decided": one.thing.decided,
    }


def shown(found: Sequence[Listed]) -> list[str]:
    """Them as a table."""
    rows = [
        [
            utc(one.added // 1_000),
            one.thing.tlp.label,
            str(len(one.thing.feeds)),
            "yes" if one.thing.decided else "no",
            one.id,
        ]
        for one in found
    ]
    return table(["added", "tlp", "feeds", "decided", "id"], rows)


def _outside(home: Opened) -> Outside:
    from exchange.node.app import real_sources
    from exchange.node.feeds.outside import Outside

    return Outside(home.store, real_sources(), who=getpass.getuser())
