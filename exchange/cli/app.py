"""The command `exchange`: puts the groups of commands together, and turns what they raise into exit codes.

Owns the tree of verbs and the top of every run. What a verb does stands in its group's file. Nothing slow is imported
here: `--help` must answer within 300 ms, so commands import what they need when they run, and a run imports only the
group that it names: a server keeps for months what it was started with.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import typer

from exchange.cli.errors import INTERRUPTED, OK, USAGE
from exchange.cli.output import Output, reader_left
from exchange.errors import ExchangeError, Refused

Register = Callable[[typer.Typer], None]


def _node() -> Sequence[Register]:
    from exchange.cli import (
        node,
        node_attachments,
        node_backup,
        node_collections,
        node_constituents,
        node_disclosure,
        node_doors,
        node_drafts,
        node_email,
        node_exposure,
        node_extract,
        node_feed,
        node_keys,
        node_mail,
        node_onboarding,
        node_paste,
        node_retention,
        node_send,
        node_shadowserver,
        node_token,
        node_units,
    )

    return (
        node.register,
        node_onboarding.register,
        node_send.register,
        node_paste.register,
        node_shadowserver.register,
        node_mail.register,
        node_doors.register,
        node_extract.register,
        node_email.register,
        node_constituents.register,
        node_attachments.register,
        node_disclosure.register,
        node_units.register,
        node_keys.register,
        node_exposure.register,
        node_retention.register,
        node_backup.register,
        node_token.register,
        node_collections.register,
        node_drafts.register,
        node_feed.register,
    )


def _directory() -> Sequence[Register]:
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
    )

    return (
        directory.register,
        directory_files.register,
        directory_find.register,
        directory_sheet.register,
        directory_record.register,
        directory_contact.register,
        directory_nominate.register,
        directory_table.register,
        directory_secretariat.register,
        directory_counterpart.register,
    )


def _hub() -> Sequence[Register]:
    from exchange.cli import hub, hub_backup

    return (hub.register, hub_backup.register)


def _officer() -> Sequence[Register]:
    from exchange.cli import officer, officer_moves, officer_network

    return (officer.register, officer_moves.register, officer_network.register)


def _single() -> Sequence[Register]:
    """Verbs that stand beside the groups."""
    from exchange.cli import doctor, formats

    return (formats.register, doctor.register)


# Each group's help, and what imports its files and adds its verbs.
GROUPS: Final[Mapping[str, tuple[str, Callable[[], Sequence[Register]]]]] = {
    "node": ("A member's node: send, read, answer.", _node),
    "directory": ("Who is in the network, as this node holds it.", _directory),
    "hub": ("The hub that routes, for its administrator.", _hub),
    "officer": ("An officer, who admits members with keys of their own.", _officer),
}


def build(further: Sequence[Register] = (), *, only: str | None = None) -> typer.Typer:
    """The tree of commands; `further` adds those that stand above this one (the demo).

    `only` names a group: the tree has its verbs alone, and nothing else was imported.
    """
    app = typer.Typer(
        name="exchange",
        help="Secure information exchange for national CSIRTs: each member runs a node, a hub passes sealed mail on.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for name in GROUPS if only is None else (only,):
        text, registers = GROUPS[name]
        group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=text)
        for register in registers():
            register(group)
        app.add_typer(group, name=name)
    if only is None:
        for register in (*_single(), *further):
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
        return reader_left()
    return code if isinstance(code, int) else OK


def _main(arguments: list[str], further: Sequence[Register]) -> object:
    only = arguments[0] if arguments and arguments[0] in GROUPS else None
    command = typer.main.get_command(build(further, only=only))
    return command.main(arguments, prog_name="exchange", standalone_mode=False)
