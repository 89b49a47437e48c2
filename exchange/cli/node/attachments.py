"""`exchange node attachment list | fetch | save`: what came beside a message, on request only.

Owns these verbs. An attachment stays sealed in the home; `save` alone opens it, through the door of exports.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.attachment_view import attachment_json, attachment_table, tell_progress
from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.node.doors import ForExercise
from exchange.cli.node.mail import SHORT, From, MessageId
from exchange.cli.output import one_line, safe, table
from exchange.errors import Refused, Unavailable

if TYPE_CHECKING:
    from exchange.cli.node.home import Opened
    from exchange.node.attachments.desk import Shown

PATIENCE: Final = 3_600.0  # seconds
MaybeId = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="The message's id, or the beginning of it; else all.")
]
Which = Annotated[
    str | None,
    typer.Argument(metavar="[WHICH]", help="Its number in `list`, or its name; may be left out for all."),
]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group, under `attachment`."""
    verbs = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Files that came with messages.")
    command(verbs, "list", role="node", unlocks=True)(list_)
    command(verbs, "fetch", role="node", unlocks=True)(fetch)
    command(verbs, "save", role="node", unlocks=True)(save)
    group.add_typer(verbs, name="attachment")


def list_(
    call: Call,
    message: MaybeId = None,
    sender: From = "",
    limit: Annotated[int, typer.Option(help="How many messages to look into.", min=1, max=1000)] = 200,
) -> None:
    """List the attachments of a message, or of all that came; nothing is fetched."""
    from exchange.cli.node.home import opened

    with opened(call) as home:
        if message is None:
            _list_all(call, home, limit)
            return
        whole = home.whole_id(message)
        found = _of(home, whole, sender)
    lines = attachment_table(found) if found else ["nothing is attached"]
    next_step = f"exchange node attachment fetch {whole[:SHORT]}" if found else ""
    value = {"id": whole, "attachments": [attachment_json(one) for one in found]}
    call.out.result(value, lines, next_step=next_step)


def _list_all(call: Call, home: Opened, limit: int) -> None:
    came = home.desk.inbox(limit=limit)
    counts = home.attachments.counts([one.env for one in came])
    found = [
        (one, each) for one in came if counts.get(one.env) for each in home.attachments.come_with(one.env)
    ]
    value: dict[str, Any] = {
        "attachments": [
            {"id": one.message_id, "from": one.sender, **attachment_json(each)} for one, each in found
        ]
    }
    cells = [
        (
            one.message_id[:SHORT],
            one.sender,
            str(each.n),
            each.name,
            str(each.attachment.size),
            "MALWARE" if each.attachment.malware else "",
            each.state,
        )
        for one, each in found
    ]
    head = ("id", "from", "n", "name", "bytes", "", "state")
    lines = table(head, cells) if cells else ["nothing is attached to what came"]
    call.out.result(value, lines, next_step="exchange node attachment fetch ID" if cells else "")


def fetch(
    call: Call,
    message: MessageId,
    which: Which = None,
    sender: From = "",
    seconds: Annotated[
        float, typer.Option("--wait", help="Seconds to wait for it; it goes on without.", min=0)
    ] = PATIENCE,
) -> None:
    """Fetch attachments from the hub: into quarantine, checked, then kept here sealed. Goes on where it was cut."""
    from exchange.cli.node.home import attend, opened

    tell = tell_progress(call)
    with opened(call) as home:
        whole = home.whole_id(message)
        numbers = home.attachments.want(whole, which, sender)

        def asked() -> list[Shown]:
            return [one for one in home.attachments.come(whole, sender) if one.n in numbers]

        def is_done() -> bool:
            found = asked()
            tell(found)
            return all(one.is_settled for one in found)

        done = attend(call, home.home, is_done, seconds)
        found = asked()
    for one in found:
        if one.state == "gone":
            raise Refused(
                "attachment.gone", f"{one_line(one.name)} isn't at the hub any more; ask its sender"
            )
        if one.state == "bad":
            raise Refused(one.code, f"{one_line(one.name)}: refused, and not kept")
    if not done:
        raise Unavailable("cli.timeout", "not all has come yet; it goes on while `exchange node serve` runs")
    value = {"id": whole, "attachments": [attachment_json(one) for one in found]}
    next_step = f"exchange node attachment save {whole[:SHORT]} {numbers[0]} --output FILE"
    call.out.result(value, attachment_table(found), next_step=next_step)


def save(
    call: Call,
    message: MessageId,
    which: Which = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to make; else its own name, in this folder.")
    ] = None,
    infected_zip: Annotated[
        bool,
        typer.Option(
            "--infected-zip", help="In a zip with the password `infected`: the only way for malware."
        ),
    ] = False,
    exercise: ForExercise = False,
    sender: From = "",
) -> None:
    """Open an attachment into a file. It leaves this node's protection: mind its label, and what it may do."""
    from exchange.cli.node.doors import warn_of_doubts
    from exchange.cli.node.home import opened, wake
    from exchange.node.doors.doors import own_reader
    from exchange.storage.infected_zip import PASSWORD

    def target(one: Shown) -> Path:
        return output or Path(f"{one.name}.zip" if infected_zip else one.name)

    with opened(call) as home:
        whole = home.whole_id(message)
        reader = own_reader(home.home.settings.member, exercise=exercise)
        one, path, passed = home.attachments.save(
            whole, which, target, reader, infected_zip=infected_zip, sender=sender
        )
        warn_of_doubts(call, passed)
        wake(call, home.home)
    label = passed.message.tlp.label
    call.out.warn(f"{label}: what you do with this copy is yours to answer for")
    if infected_zip:
        call.out.warn(f"the zip's password is {PASSWORD.decode()}: open it on a machine that is meant for it")
    value = {"id": whole, "tlp": label, "file": str(path), "zip": infected_zip, **attachment_json(one)}
    call.out.result(value, [f"wrote {safe(str(path))}"])


def _of(home: Opened, whole: str, sender: str) -> Sequence[Shown]:
    try:
        return home.attachments.come(whole, sender)
    except Refused as refusal:
        if refusal.code != "message.unknown":
            raise
        return home.attachments.sent(whole)
