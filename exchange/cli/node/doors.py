"""`exchange node export | print | forward`: what leaves the node by a person's hand.

Owns these verbs. Whether it may leave is `exchange.release`'s, that each decision is logged
`node/doors/doors`' business.
"""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.losses import as_json, tell
from exchange.cli.node.mail import SHORT, From, MessageId
from exchange.cli.node.send import To, submit, wait_for_all, words
from exchange.cli.output import safe
from exchange.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.cli.compose import Composed
    from exchange.cli.node.home import Opened
    from exchange.formats.objects import Loss
    from exchange.message import Message
    from exchange.node.doors.doors import Passed

ForExercise = Annotated[
    bool,
    typer.Option("--exercise", help="This copy is for an exercise: gets what is of one, and nothing real."),
]
FormatName = Annotated[
    str,
    typer.Option("--format", help="stix (the exact bytes that were signed), text ...: see exchange formats."),
]
SIGNED: Final = ("stix", "csaf")  # formats in which a message leaves as it was signed
UNTOLD: Final = ("csaf",)  # of these, those that say nothing of the message around it
OutputFile = Annotated[Path | None, typer.Option("--output", help="File to make; else standard output.")]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "export", role="node", unlocks=True)(export)
    command(group, "print", role="node", unlocks=True)(print_)
    command(group, "forward", role="node", unlocks=True)(forward)


def export(
    call: Call,
    message: MessageId,
    *,
    format_: FormatName = "stix",
    output: OutputFile = None,
    exercise: ForExercise = False,
    sender: From = "",
) -> None:
    """Write a message out, as it was signed or as text. It leaves this node's protection: mind its label."""
    from exchange.cli.left_behind import losses_of
    from exchange.cli.node.home import opened, wake
    from exchange.formats.registry import dump
    from exchange.formats.text import banner
    from exchange.node.doors.doors import own_reader
    from exchange.release import Door

    check_output(call, output)

    def make(passed: Passed) -> tuple[Message, bytes, tuple[Loss, ...]]:
        warn_of_doubts(call, passed)
        if passed.relabelled and format_ in SIGNED:
            call.out.warn(
                f"the label in the file is weaker: a feed's is stricter, treat it as {banner(passed.message)}"
            )
        written = dump(passed.message, format_)
        warn_of_exercise(call, passed, format_)
        return passed.message, written.data, (*written.losses, *losses_of(passed))

    with opened(call) as home:
        whole = home.whole_id(message)
        reader = own_reader(home.home.settings.member, exercise=exercise)
        content, data, losses = home.doors.let_out(Door.EXPORT, whole, [reader], make, sender=sender)
        wake(call, home.home)
    tell(call, losses)
    call.out.warn(f"{content.tlp.label}: what you do with this copy is yours to answer for")
    value = {"id": whole, "format": format_, "tlp": content.tlp.label, "bytes": len(data)}
    hand_over(call, data, output, value | {"losses": as_json(losses)})


def print_(
    call: Call,
    message: MessageId,
    output: OutputFile = None,
    exercise: ForExercise = False,
    sender: From = "",
) -> None:
    """Write a message as pages for a printer, its label at the head and foot of each. The printing is logged."""
    import getpass

    from exchange.cli.left_behind import lines_of_copy, losses_of
    from exchange.cli.message_view import message_lines
    from exchange.cli.node.home import opened, wake
    from exchange.cli.paper import pages
    from exchange.formats.text import banner
    from exchange.node.doors.doors import own_reader
    from exchange.release import Door

    check_output(call, output)
    with opened(call) as home:
        member, confirmed, now = home.home.settings.member, home.anchor_confirmed(), now_ms()

        def make(passed: Passed) -> tuple[Message, bytes, tuple[Loss, ...]]:
            from exchange.cli.node.mail import marks_of

            content, came = passed.message, passed.received
            marks = marks_of(came, confirmed=confirmed) if came else []
            at = came.received_at if came else None
            replaced = replaced_lines(passed)
            lines = message_lines(
                content, sender=passed.sender, received_at=at, marks=marks, replaced=replaced
            )
            for line in replaced:
                call.out.warn(line)
            lines = lines_of_copy(lines, passed, member)
            by = f"{getpass.getuser()} at {member}"
            data = pages(lines, label=banner(content), message=content.id, by=by, now=now)
            return content, data, losses_of(passed)

        whole = home.whole_id(message)
        reader = own_reader(member, exercise=exercise)
        content, data, losses = home.doors.let_out(Door.PRINT, whole, [reader], make, sender=sender)
        wake(call, home.home)
    tell(call, losses)
    call.out.warn(f"{content.tlp.label}: count the pages, and see that none stays in the printer")
    value = {"id": whole, "tlp": content.tlp.label, "bytes": len(data), "losses": as_json(losses)}
    hand_over(call, data, output, value)


def forward(
    call: Call,
    message: MessageId,
    *,
    to: To,
    tlp: Annotated[str | None, typer.Option(help="A stricter label than the message has.")] = None,
    urgency: Annotated[str | None, typer.Option(help="Else that of the message.")] = None,
    subject: Annotated[str, typer.Option(help="Else that of the message, after 'Fwd: '.")] = "",
    text: Annotated[str, typer.Option(help="Why it is handed on.")] = "",
    cross_community: Annotated[
        bool,
        typer.Option("--cross-community", help="Yes, also to police, prosecution or another community."),
    ] = False,
    exercise: ForExercise = False,
    sender: From = "",
    seconds: Annotated[
        float | None, typer.Option("--wait", help="Seconds to wait until every addressee has it.", min=0)
    ] = None,
) -> None:
    """Seal a message onward as this member's own, the original unchanged inside it. Its label says to whom."""
    from exchange.cli.addressees import note_unsealed, resolved
    from exchange.cli.left_behind import counted, losses_of, text_handing_on
    from exchange.cli.node.home import opened, wake
    from exchange.node.doors.doors import reader_at
    from exchange.release import Door

    with opened(call) as home:
        whole, me = home.whole_id(message), home.home.settings.member
        targets = resolved(call, home, words(to), cross_community=cross_community)
        recipients = list(dict.fromkeys(target.address for target in targets))
        readers = [reader_at(home.directory, me, address, exercise=exercise) for address in recipients]

        def make(passed: Passed) -> tuple[Composed, tuple[Loss, ...]]:
            warn_of_doubts(call, passed)
            why = text_handing_on(text, passed, me)
            onward = _onward(
                home, passed.message, recipients, tlp=tlp, urgency=urgency, subject=subject, text=why
            )
            if passed.attachments:
                call.out.warn(
                    f"not handed on: {counted(passed)}; save what is to go, and send it with --attach"
                )
            return onward, losses_of(passed)

        onward, losses = home.doors.let_out(Door.FORWARD, whole, readers, make, sender=sender)
        note_unsealed(call, home, recipients)
        submit(home, onward, recipients, separate=False)
        if seconds is None:
            wake(call, home.home)
        else:
            wait_for_all(call, home, onward.message.id, seconds)
    sent = onward.message
    value = {
        "id": sent.id,
        "original": whole,
        "case": sent.case_id,
        "tlp": sent.tlp.label,
        "urgency": sent.urgency.value,
        "to": recipients,
        "losses": as_json(losses),
    }
    line = f"forwarded {whole} as {sent.id} to {', '.join(recipients)}: {sent.tlp.label}"
    call.out.result(value, [line], next_step=f"exchange node report {sent.id[:SHORT]}")


def _onward(
    home: Opened,
    original: Message,
    recipients: Sequence[str],
    *,
    tlp: str | None,
    urgency: str | None,
    subject: str,
    text: str,
) -> Composed:
    """The message that hands `original` on, allowed by policy. Raises Refused as `compose`, `policy.check_send` do."""
    from exchange import policy, tlp as labels
    from exchange.cli.compose import Composed, urgency_of
    from exchange.directory.network import member_of
    from exchange.formats.stix.cover import compose
    from exchange.formats.stix.handing_on import objects_of
    from exchange.message import MAX_SUBJECT_CHARS, Author, Draft, Kind, member_identity_id

    identity, now = home.home.identity(), now_ms()
    handle = member_of(identity.address)
    draft = Draft(
        id=str(uuid.uuid4()),
        kind=Kind.FORWARD,
        case_id=original.case_id,
        urgency=urgency_of(urgency or original.urgency.value),
        tlp=labels.parse(tlp) if tlp else original.tlp,
        subject=subject or f"Fwd: {original.subject}"[:MAX_SUBJECT_CHARS],
        created=now,
        lang=original.lang,
        text=text,
        exercise_id=original.exercise_id,
        pap=original.pap,
    )
    author = Author(
        id=member_identity_id(uuid.UUID(bytes=identity.net[:16]), handle),
        name=handle,
        created=home.directory.member(handle).since,
    )
    onward = compose(draft, author, objects_of(original))
    if labels.strictest([onward.tlp, original.tlp]) is not onward.tlp:
        raise Refused("tlp.weaker-than-content")  # also where the label stood on the bundle alone
    policy.check_send(
        tlp=onward.tlp,
        lane=onward.urgency,
        sender=identity.address,
        recipients=recipients,
        anchor_confirmed=home.anchor_confirmed(),
        directory=home.directory,
    )
    return Composed(onward, (), files=1)


def warn_of_doubts(call: Call, passed: Passed) -> None:
    """Say what whoever hands this message on must know of how it came, and of what came after it."""
    from exchange.cli.message_view import mark_lines

    for line in [*replaced_lines(passed), *mark_lines(passed.doubts)]:
        call.out.warn(line)


def replaced_lines(passed: Passed) -> list[str]:
    """The line that says which later message took its place, if one did."""
    from exchange.cli.replacing import replaced_line

    return [replaced_line(passed.replaced)] if passed.replaced else []


def warn_of_exercise(call: Call, passed: Passed, format_: str) -> None:
    """Say that a file which leaves as its publisher wrote it hides that it is of an exercise."""
    if format_ in UNTOLD and passed.message.exercise_id:
        call.out.warn(
            f"of exercise {passed.message.exercise_id}, which the file doesn't say: tell its reader"
        )


def check_output(call: Call, output: Path | None) -> None:
    """What leaves and JSON don't share standard output. Raises Refused cli.usage, before anything is logged."""
    if output is None and call.out.json:
        raise Refused("cli.usage", "--json needs --output FILE, so that both don't share standard output")


def hand_over(call: Call, data: bytes, output: Path | None, value: dict[str, Any]) -> None:
    """Write `data` to the file, or to standard output alone, made harmless where that is a terminal."""
    from exchange.storage.files import write_private

    if output is None:
        if sys.stdout.isatty():
            data = safe(data.decode("utf-8", errors="replace")).encode("utf-8")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    write_private(output, data)
    call.out.result({**value, "file": str(output)}, [f"wrote {output}"])
