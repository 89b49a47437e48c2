"""`exchange formats`: which files can be read and which are only recognised, and what a message can be written as."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import table

if TYPE_CHECKING:
    from exchange.formats.source import Format


def register(app: typer.Typer) -> None:
    """Add the command to the tree."""
    command(app, "formats", role="node")(formats)


def formats(call: Call) -> None:
    """List the formats that files are read in and messages are written in."""
    from exchange.formats import registry

    known = sorted(registry.formats(), key=lambda each: each.name)
    rows = [(each.name, each.title, _word(each), "written" if each.write else "-") for each in known]
    value = {
        "formats": [
            {
                "name": each.name,
                "title": each.title,
                "read": each.read is not None,
                "recognised": each.recognise is not None,
                "written": each.write is not None,
            }
            for each in known
        ]
    }
    call.out.result(value, table(("format", "is", "as a file", "of a message"), rows))


def _word(one: Format) -> str:
    if one.recognise is None:
        return "-"
    return "read" if one.read else "recognised, not read yet"
