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
    from exchange.cli.node import (
        attachments as node_attachments,
        backup as node_backup,
        collections as node_collections,
        commands as node,
        constituents as node_constituents,
        disclosure as node_disclosure,
        doors as node_doors,
        drafts as node_drafts,
        email as node_email,
        exposure as node_exposure,
        extract as node_extract,
        feed as node_feed,
        keys as node_keys,
        mail as node_mail,
        onboarding as node_onboarding,
        paste as node_paste,
        retention as node_retention,
        retract as node_retract,
        send as node_send,
        shadowserver as node_shadowserver,
        token as node_token,
        units as node_units,
    )

    return (
        node.register,
        node_onboarding.register,
        node_send.register,
        node_retract.register,
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
    from exchange.cli.directory import (
        commands as directory,
        contact as directory_contact,
        counterpart as directory_counterpart,
        files as directory_files,
        find as directory_find,
        nominate as directory_nominate,
        record as directory_record,
        secretariat as directory_secretariat,
        sheet as directory_sheet,
        table as directory_table,
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
    from exchange.cli.hub import backup as hub_backup, commands as hub

    return (hub.register, hub_backup.register)


def _officer() -> Sequence[Register]:
    from exchange.cli.officer import commands as officer, moves as officer_moves, network as officer_network

    return (officer.register, officer_moves.register, officer_network.register)


def _single() -> Sequence[Register]:
    """Verbs that stand beside the groups."""
    from exchange.cli import formats
    from exchange.cli.doctor import commands as doctor

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
