"""`exchange node disclosure-inquiry`: who at each recipient opened, exported or handed on a message of ours.

Owns the verb and how answers look. Asking, answering and what is wrong with an answer are `node/doors/disclosures`'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.node.mail import SHORT, MessageId
from exchange.cli.output import safe, table, utc

if TYPE_CHECKING:
    from exchange.node.doors.disclosures import Judged
    from exchange.node.store.outbox import Addressee


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "disclosure-inquiry", role="node", unlocks=True)(disclosure_inquiry)


def disclosure_inquiry(
    call: Call,
    message: MessageId,
    again: Annotated[
        bool, typer.Option("--again", help="Ask those that have answered once more, and compare.")
    ] = False,
) -> None:
    """Ask each recipient's node who opened, exported or forwarded a message; run again, shows the signed answers."""
    from exchange.cli.node.home import opened, wake

    with opened(call) as home:
        whole = home.whole_id(message)
        asked = home.inquirer.ask(whole, again=again)
        if asked:
            wake(call, home.home)
        copies = home.desk.sent(whole).addressees
        answers = home.inquirer.answers(whole)
    rows = [row for copy in copies for row in _of(copy, answers)]
    head = ("member", "asked", "answered", "record")
    lines = table(
        head, [(row["member"], _time(row["asked"]), _time(row["answered"]), _word(row)) for row in rows]
    )
    for row in rows:
        if row["rows"]:
            lines += ["", f"{row['member']}, as it answered {utc(row['answered'])}:"]
            lines += [
                f"  {utc(each['at'])}  {safe(each['who'])}  {safe(each['action'])}  {safe(each['what'])}"
                for each in row["rows"]
            ]
    waiting = [row for row in rows if row["asked"] and not row["answered"]]
    next_step = (
        f"exchange node disclosure-inquiry {whole[:SHORT]}, when they have answered" if waiting else ""
    )
    call.out.result({"id": whole, "asked_now": asked, "answers": rows}, lines, next_step=next_step)


def _of(copy: Addressee, answers: list[Judged]) -> list[dict[str, Any]]:
    """A row for each question put to an addressee; one without times where nobody asked."""
    mine = [one for one in answers if one.inquiry.recipient == copy.recipient]
    if not mine:
        return [_row(copy, None)]
    return [_row(copy, one) for one in mine]


def _row(copy: Addressee, one: Judged | None) -> dict[str, Any]:
    record = one.inquiry.record if one else None
    return {
        "member": copy.recipient,
        "stored": copy.stored_at,
        "asked": one.inquiry.asked_at if one else None,
        "answered": one.inquiry.answered_at if one else None,
        "envelope": one.inquiry.env.hex() if one and one.inquiry.env else "",
        "state": record.state if record else "",
        "total": record.total if record else 0,
        "head": record.head.hex() if record else "",
        "holds": record is not None and one is not None and not one.fault,
        "fault": one.fault if one else "",
        "gone": one.gone if one else 0,
        "forgotten": one.forgotten if one else 0,
        "rows": [
            {
                "at": row.at,
                "who": row.who,
                "action": row.action,
                "what": _after(row.what),
                "hash": row.hash.hex(),
            }
            for row in (record.rows if record else ())
        ],
    }


def _after(what: str) -> str:
    """What of a row follows the message it is about."""
    return " ".join(what.split(" ")[2:])


def _time(at: int | None) -> str:
    return utc(at) if at else "-"


def _word(row: dict[str, Any]) -> str:
    if not row["asked"]:
        return "not asked" if row["stored"] else "not asked: it hasn't the message yet"
    if not row["answered"]:
        return "no answer yet"
    if row["fault"]:
        return f"DOESN'T HOLD: {row['fault']}"
    known = f"{row['total']} row{'' if row['total'] == 1 else 's'}, {row['state']}"
    if row["forgotten"]:
        known += f"; {row['forgotten']} of an earlier answer forgotten"
    return f"{known}; {row['gone']} ROWS OF AN EARLIER ANSWER ARE GONE" if row["gone"] else known
