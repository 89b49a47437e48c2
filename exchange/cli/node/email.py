"""`exchange node email`: a message by mail to this member's own people or a constituent, as its label permits.

Owns the verb. Whose a mailbox is, is `node/doors/constituents`', whether mail may go there `exchange.release`'s, how it
looks `mail_letter`'s business. A mail leaves the network's encryption: the mail server sees it.
"""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.losses import as_json, tell
from exchange.cli.node.doors import ForExercise, replaced_lines, warn_of_doubts, warn_of_exercise
from exchange.cli.node.mail import From, MessageId, marks_of
from exchange.cli.node.send import words
from exchange.errors import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.message import EmailMessage

    from exchange.alarm import AlarmSettings
    from exchange.formats.objects import Loss
    from exchange.message import Message
    from exchange.node.doors.doors import Passed

MAX_TO = 64


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "email", role="node", unlocks=True)(email)


def email(
    call: Call,
    message: MessageId,
    *,
    to: Annotated[
        list[str], typer.Option(help="Mailboxes of own people (own_mail) or of constituents; one mail each.")
    ],
    format_: Annotated[
        str, typer.Option("--format", help="Also enclose it in this format: see exchange formats.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write the mails to (.eml) for a mailer of the team's; else they are sent."
        ),
    ] = None,
    exercise: ForExercise = False,
    sender: From = "",
) -> None:
    """Mail a message, its label in subject and text, by the mail server of [alarm] in config.toml."""
    from exchange.cli.left_behind import lines_of_copy, losses_of
    from exchange.cli.mail_letter import Enclosed, letter
    from exchange.cli.message_view import message_lines
    from exchange.cli.node.home import opened, wake
    from exchange.formats.registry import dump
    from exchange.node.doors.constituents import reader_of_mail
    from exchange.release import Door

    mailboxes = [each.lower() for each in words(to)]
    if len(mailboxes) > MAX_TO:
        raise Refused("cli.usage", f"at most {MAX_TO} mailboxes")
    with opened(call) as home:
        settings = home.home.settings
        _check(settings.alarm, sends=output is None)
        kept, confirmed = home.constituents.listed(), home.anchor_confirmed()
        readers = [reader_of_mail(each, settings.own_mail, kept, exercise=exercise) for each in mailboxes]

        def make(passed: Passed) -> tuple[Message, list[EmailMessage], tuple[Loss, ...]]:
            warn_of_doubts(call, passed)
            content, came = passed.message, passed.received
            written = dump(content, format_) if format_ else None
            warn_of_exercise(call, passed, format_)
            enclosed = Enclosed(format_, written.data) if written else None
            lines = message_lines(
                content,
                sender=passed.sender,
                received_at=came.received_at if came else None,
                marks=marks_of(came, confirmed=confirmed) if came else [],
                replaced=replaced_lines(passed),
            )
            lines = lines_of_copy(lines, passed, settings.member)
            mails = [
                letter(content, lines, enclosed, sender=settings.alarm.mail_from, to=each, now=now_ms())
                for each in mailboxes
            ]
            return content, mails, (*(written.losses if written else ()), *losses_of(passed))

        whole = home.whole_id(message)
        content, mails, losses = home.doors.let_out(Door.EMAIL, whole, readers, make, sender=sender)
        wake(call, home.home)
        root = home.home.paths.root
    tell(call, losses)
    if output is None:
        send(call, settings.alarm, root, mails)
        files, line = [], f"mailed {whole} to {', '.join(mailboxes)}: {content.tlp.label}"
    else:
        files = [_write(output, whole, mail) for mail in mails]
        line = f"wrote {', '.join(files)}: {content.tlp.label}, for {', '.join(mailboxes)} and nobody else"
    value = {"id": whole, "tlp": content.tlp.label, "to": mailboxes, "files": files}
    call.out.result({**value, "losses": as_json(losses)}, [line])


def _check(settings: AlarmSettings, *, sends: bool) -> None:
    """Before anything is logged. Raises Refused settings.invalid."""
    if not settings.mail_from or (sends and not settings.mail_server):
        raise Refused("settings.invalid", "alarm.mail_from and alarm.mail_server: mail needs them")


def send(call: Call, settings: AlarmSettings, root: Path, mails: Sequence[EmailMessage]) -> None:
    """One try for each. Raises Unavailable alarm.mail after the last, if any didn't go."""
    from exchange.notify import deliver

    failed: list[str] = []
    for mail in mails:
        try:
            asyncio.run(deliver(settings, root, mail))
        except Unavailable as fault:
            failed.append(str(mail["To"]))
            call.out.warn(f"not mailed to {mail['To']}: {fault.detail}")
        else:
            call.out.note(f"mailed to {mail['To']}")
    if failed:
        raise Unavailable("alarm.mail", f"not mailed to {', '.join(failed)}; the others have it")


def _write(folder: Path, message_id: str, mail: EmailMessage) -> str:
    """Under the first number that is free: what an earlier call wrote may still wait for the team's mailer."""
    from exchange.storage.files import write_private

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = (folder / f"{message_id}-{number}.eml" for number in count(1))
    path = next(path for path in paths if not path.exists())
    write_private(path, mail.as_bytes())
    return str(path)
