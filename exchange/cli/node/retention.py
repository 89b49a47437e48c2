"""`exchange node retention show | due | hold | release | erase`: what this node keeps, how long, and what stops that.

Owns these verbs. The days stand in config.toml, table [retention]; what is erased when is node/retention's business.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import one_line, pairs, safe, table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.node.home import Opened
    from exchange.node.retention import Records

MessageId = Annotated[str, typer.Argument(metavar="ID", help="The message's id, or the beginning of it.")]
MaybeId = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="The message's id, or the beginning of it.")
]
CaseOption = Annotated[str | None, typer.Option("--case", help="A whole case, by its id.")]
SHORT = 8  # characters of an id in lists


def register(group: typer.Typer) -> None:
    """Add the verbs to the group, under `retention`."""
    verbs = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="What this node keeps, how long, and legal holds."
    )
    command(verbs, "show", role="node", unlocks=True)(show)
    command(verbs, "due", role="node", unlocks=True)(due)
    command(verbs, "hold", role="node", unlocks=True)(hold)
    command(verbs, "release", role="node", unlocks=True)(release)
    command(verbs, "erase", role="node", unlocks=True)(erase)
    group.add_typer(verbs, name="retention")


@contextmanager
def _records(call: Call) -> Iterator[tuple[Opened, Records]]:
    from exchange.cli.node.home import opened
    from exchange.node.app import real_sources
    from exchange.node.retention import Records

    with opened(call) as home:
        policy = home.home.settings.retention
        yield home, Records(home.store, policy, real_sources(), who=getpass.getuser())


def show(call: Call) -> None:
    """Show for how many days this node keeps what, and the legal holds."""
    with _records(call) as (home, records):
        rules = home.home.settings.retention.rules()
        holds, counts = records.holds(), records.counts()
    value: dict[str, Any] = {
        "days": {rule.name: rule.days for rule in rules},
        "holds": [asdict(one) for one in holds],
        "held": counts.holds,
        "erased": counts.erased,
        "due": counts.due,
        "unjudged": counts.unjudged,
    }
    lines = table(("what", "days"), [(rule.name, str(rule.days)) for rule in rules])
    lines += pairs([("erased so far", str(counts.erased)), ("due now", str(counts.due))])
    lines += (
        f"hold {one.n} on {one.kind} {safe(one.subject)} since {utc(one.at)} by {safe(one.who)}: "
        + one_line(one.reason)
        + (f"; released {utc(one.released_at)} by {safe(one.released_by)}" if one.released_at else "")
        for one in holds
    )
    call.out.result(value, lines, next_step="exchange node retention due")


def due(
    call: Call,
    days: Annotated[int, typer.Option(help="How far ahead to look.", min=0, max=36_500)] = 30,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=1000)] = 50,
) -> None:
    """List the messages that will be erased soon, the soonest first, and by which rule."""
    with _records(call) as (_, records):
        found = asyncio.run(records.due(days=days, limit=limit))
    rows: list[dict[str, Any]] = [
        {
            "id": one.id,
            "box": one.box,
            "from": one.peer,
            "kind": one.label.kind,
            "tlp": one.label.tlp.label,
            "case": one.label.case,
            "at": one.at,
            "rule": one.rule,
            "unacknowledged": one.unanswered,
        }
        for one in found
    ]
    cells = [
        (
            row["id"][:SHORT],
            row["box"],
            row["from"] or "-",
            row["kind"],
            row["tlp"],
            row["case"] or "-",
            utc(row["at"]),
            row["rule"] + (" !unacknowledged flash: reported first" if row["unacknowledged"] else ""),
        )
        for row in rows
    ]
    head = ("id", "box", "from", "kind", "tlp", "case", "goes", "rule")
    lines = table(head, cells) if rows else [f"nothing goes within {days} days"]
    step = "to keep one: exchange node retention hold ID --reason TEXT" if rows else ""
    call.out.result({"messages": rows}, lines, next_step=step)


def hold(
    call: Call,
    message: MaybeId = None,
    case: CaseOption = None,
    reason: Annotated[str, typer.Option(help="Why, e.g. a court's order and its number.")] = "",
) -> None:
    """Put a legal hold on a message or a case: nothing of it is erased until it is released."""
    with _records(call) as (home, records):
        kind, subject = _subject(home, message, case)
        n = records.hold(kind, subject, reason)
        covers = asyncio.run(records.covered(kind, subject))
    line = f"hold {n} on {kind} {safe(subject)}" if n else f"{kind} {safe(subject)} is on hold already"
    line += f": {covers} {'message' if covers == 1 else 'messages'} here" if covers else ""
    value = {"hold": n, "kind": kind, "subject": subject, "new": n is not None, "covers": covers}
    call.out.result(value, [line] if covers else [line, f"! nothing here is of that {kind} yet"])


def release(call: Call, message: MaybeId = None, case: CaseOption = None) -> None:
    """End a legal hold: the rules count again, at once."""
    with _records(call) as (home, records):
        kind, subject = _subject(home, message, case)
        call.confirm(f"Release the hold on {kind} {subject}? What is over its time goes at once.")
        n = records.release(kind, subject)
    line = f"released hold {n} on {kind} {safe(subject)}"
    call.out.result({"hold": n, "kind": kind, "subject": subject}, [line])


def erase(call: Call, message: MessageId) -> None:
    """Erase a message here, for good and at once; whoever else has it keeps it."""
    from exchange.cli.node.home import wake

    with _records(call) as (home, records):
        whole = home.whole_id(message)
        call.confirm(f"Erase {whole} with its evidence? It can't be brought back.")
        count = asyncio.run(records.erase(whole))
    wake(call, home.home)
    call.out.result({"id": whole, "erased": count}, [f"erased {whole}"])


def _subject(home: Opened, message: str | None, case: str | None) -> tuple[str, str]:
    if bool(message) == bool(case):
        raise Refused("cli.usage", "name a message, or --case CASE")
    return ("message", home.whole_id(message)) if message else ("case", str(case))
