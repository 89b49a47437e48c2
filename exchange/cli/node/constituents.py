"""`exchange node constituent add | list | remove`: whom this member serves, and what is theirs.

Owns these verbs. What is kept, and how, is `node/doors/constituents`' business.
"""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.node.send import words
from exchange.cli.output import safe, table

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called, e.g. 'Water works'.")]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group, under `constituent`."""
    verbs = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Whom this member serves.")
    command(verbs, "add", role="node", unlocks=True)(add)
    command(verbs, "list", role="node", unlocks=True)(list_)
    command(verbs, "remove", role="node", unlocks=True)(remove)
    group.add_typer(verbs, name="constituent")


def add(
    call: Call,
    name: Name,
    *,
    assets: Annotated[
        list[str], typer.Option(help="Its prefixes, AS numbers and domain names; commas between, or again.")
    ],
    mail: Annotated[
        list[str] | None, typer.Option(help="Where mail for it goes: duty@water.example; commas between.")
    ] = None,
) -> None:
    """Keep a constituent with its assets, in place of any of that name; only this home's key reads them."""
    from exchange.cli.node.home import opened

    with opened(call) as home:
        kept = home.constituents.put(name, words(assets), words(mail))
    value = {"name": kept.name, "assets": list(kept.assets), "mail": list(kept.mail)}
    line = f"{kept.name}: {len(kept.assets)} assets, {len(kept.mail)} mailboxes"
    call.out.result(value, [line], next_step=f"exchange node extract ID --for '{kept.name}'")


def list_(call: Call) -> None:
    """The constituents, by name."""
    from exchange.cli.node.home import opened

    with opened(call) as home:
        found = home.constituents.listed()
    value = [{"name": one.name, "assets": list(one.assets), "mail": list(one.mail)} for one in found]
    rows = [(one.name, ", ".join(one.mail) or "-", ", ".join(one.assets)) for one in found]
    lines = table(("name", "mail", "assets"), rows) if rows else ["no constituent is kept"]
    call.out.result({"constituents": value}, lines)


def remove(call: Call, name: Name) -> None:
    """Forget a constituent and its assets."""
    from exchange.cli.node.home import opened

    with opened(call) as home:
        home.constituents.remove(name)
    call.out.result({"name": name, "removed": True}, [f"{safe(name)} is forgotten"])
