"""What the officer's commands share: their arguments, the home of a call, and signing what waits at the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.call import Call, now_ms
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.officer.home import OfficerHome
    from exchange.cli.officer.view import View
    from exchange.directory.waiting import Pending

Member = Annotated[str, typer.Argument(help="Handle of the member.")]
Heard = Annotated[str | None, typer.Option(help="The digits as you heard them; refused if they differ.")]
Document = Annotated[
    Path | None, typer.Option(help="The document that says why; its SHA-256 goes into the log.")
]


def opened(call: Call) -> OfficerHome:
    """The officer's home of this call. Raises Refused home.missing, keystore.*."""
    from exchange.cli.officer.home import OfficerHome

    return OfficerHome.open(call.home, call.unlock())


async def sign_pending(call: Call, view: View, one: Pending, document: Path | None = None) -> None:
    """Show a pending statement, ask, sign it, and say what comes next; with `document` only if it names that one.

    Raises Refused cli.other-document.
    """
    from exchange.cli.waiting import lacks, pending_lines, pending_value
    from exchange.directory.cosigning import check_seen

    net = view.directory.net
    value = pending_value(one, view.lack(one.statement), net)
    for line in pending_lines(one, value, now_ms()):
        call.out.note(line)
    check_seen(one)
    if document is not None:
        _check_document(one, document)
    call.confirm("Sign this?")
    outcome = (await view.sign(one)).outcome
    digest = one.statement.hash(net)
    still = [each for each in await view.pending() if each.statement.hash(net) == digest]
    missing = lacks(view.lack(still[0].statement)) if still else ""
    next_step = f"still missing: {missing}; the others see it with `officer applications`" if missing else ""
    call.out.result(
        {**value, "outcome": outcome, "lacks": missing or "nothing"},
        [f"signed {value['what']} of {value['about']}: {outcome}"],
        next_step=next_step,
    )


def _check_document(one: Pending, document: Path) -> None:
    """The statement names this document: the note verbale of a contact point, what a member's move is grounded on."""
    from exchange.cli.waiting import paper_hash
    from exchange.directory.bodies_contacts import ContactPoint
    from exchange.directory.bodies_members import StatusMove

    body = one.body
    named = body.nomination if isinstance(body, ContactPoint) else b""
    named = body.document if isinstance(body, StatusMove) else named
    if paper_hash(document) != named:
        raise Refused("cli.other-document", f"{document} isn't the document that this statement names")
