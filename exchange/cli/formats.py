"""`exchange formats`: which files can be read and which are only recognised, and what a message can be written as."""

from __future__ import annotations

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import table


def register(app: typer.Typer) -> None:
    """Add the command to the tree."""
    command(app, "formats", role="node")(formats)


def formats(call: Call) -> None:
    """List the formats that files are read in and messages are written in."""
    from exchange.formats.registry import READERS, WRITERS

    read = {reader.format: reader.read is not None for reader in READERS}
    names = sorted({*read, *WRITERS})
    rows = [(name, _word(read.get(name)), "written" if name in WRITERS else "-") for name in names]
    value = {
        "formats": [
            {
                "name": name,
                "read": read.get(name, False),
                "recognised": name in read,
                "written": name in WRITERS,
            }
            for name in names
        ]
    }
    call.out.result(value, table(("format", "as a file", "of a message"), rows))


def _word(is_read: bool | None) -> str:
    if is_read is None:
        return "-"
    return "read" if is_read else "recognised, not read yet"
