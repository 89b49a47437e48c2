"""The command `exchange`: puts the groups of commands together, and turns what they raise into exit codes.

Owns the tree of verbs and the top of every run. What a verb does stands in its group's file. Nothing slow is imported
here: `--help` must answer within 300 ms, so commands import what they need when they run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import typer

from exchange.cli import (
    directory,
    directory_contact,
    directory_counterpart,
    directory_files,
    directory_find,
    directory_nominate,
    directory_record,
    directory_secretariat,
    directory_sheet,
    directory_table,
    doctor,
    formats,
    hub,
    hub_backup,
    node,
    node_backup,
    node_exposure,
    node_keys,
    node_mail,
    node_onboarding,
    node_retention,
    node_send,
    node_units,
    officer,
    officer_moves,
    officer_network,
)
from exchange.cli.errors import FAILED, INTERRUPTED, OK, USAGE
from exchange.cli.output import Output
from exchange.errors import ExchangeError, Refused

Register = Callable[[typer.Typer], None]


def build(further: Sequence[Register] = ()) -> typer.Typer:
    """The tree of commands; `further` adds those that stand above this one (the demo)."""
    app = typer.Typer(
        name="exchange",
        help="Secure information exchange for national CSIRTs: each member runs a node, a hub passes sealed mail on.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    groups = (
        (
            "node",
            "A member's node: send, read, answer.",
            (
                node,
                node_onboarding,
                node_send,
                node_mail,
                node_units,
                node_keys,
                node_exposure,
                node_retention,
                node_backup,
            ),
        ),
        (
            "directory",
            "Who is in the network, as this node holds it.",
            (
                directory,
                directory_files,
                directory_find,
                directory_sheet,
                directory_record,
                directory_contact,
                directory_nominate,
                directory_table,
                directory_secretariat,
                directory_counterpart,
            ),
        ),
        ("hub", "The hub that routes, for its administrator.", (hub, hub_backup)),
        (
            "officer",
            "An officer, who admits members with keys of their own.",
            (officer, officer_moves, officer_network),
        ),
    )
    for name, text, modules in groups:
        group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=text)
        for module in modules:
            module.register(group)
        app.add_typer(group, name=name)
    for register in (formats.register, doctor.register, *further):
        register(app)
    return app


def run(arguments: Sequence[str], further: Sequence[Register] = ()) -> int:
    """Run one command line; returns the exit code (docs/cli.md)."""
    out = Output(json="--json" in arguments, quiet="--quiet" in arguments)
    try:
        code = _main(list(arguments), further)
    except typer.TyperException as wrong:
        if wrong.format_message().startswith("Usage:"):  # a group without a command: its help is the answer
            sys.stderr.write(wrong.format_message() + "\n")
            return USAGE
        return out.error(Refused("cli.usage", wrong.format_message()))
    except ExchangeError as error:
        return out.error(error)
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        # whoever read us went away: no second complaint when Python flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code if isinstance(code, int) else OK


def _main(arguments: list[str], further: Sequence[Register]) -> object:
    return typer.main.get_command(build(further)).main(arguments, prog_name="exchange", standalone_mode=False)
