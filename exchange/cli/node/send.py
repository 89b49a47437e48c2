"""`exchange node send`: from files and flags to the outbox, and on to the hub.

Owns the verb and what it prints. What the flags mean is `compose`'s, who may be sent what is `policy`'s business.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.losses import as_json, tell, tell_doubts
from exchange.cli.output import safe
from exchange.errors import Refused, Unavailable
from exchange.limits import MAX_ATTACHMENTS

if TYPE_CHECKING:
    from exchange.attachment import Attachment
    from exchange.cli.compose import Aside, Composed, Flags, ReadFiles
    from exchange.cli.node.home import Opened

CONTENT_LIFE_MS: Final = (
    30 * 86_400_000
)  # of a message that names no end: so long it is sealed again if need be

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Files in a format that is read (exchange formats), if any."),
]
To = Annotated[
    list[str],
    typer.Option(
        help="Addressees: MEMBER, MEMBER/UNIT, 'MEMBER/Name of a person', CC:FUNCTION; commas between."
    ),
]
Text = typer.Option


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "send", role="node", unlocks=True)(send)


def send(
    call: Call,
    *,
    to: To,
    kind: Annotated[
        str, Text(help="alert, incident-report, incident-update, request-information, response.")
    ],
    file: Files = None,
    cross_community: Annotated[
        bool,
        typer.Option("--cross-community", help="Yes, also to police, prosecution or another community."),
    ] = False,
    tlp: Annotated[
        str | None,
        Text(help="Label of what carries none: clear, green, amber, amber+strict; red to persons only."),
    ] = None,
    pap: Annotated[
        str | None,
        Text(help="What may be done with it, beside what its parts say: clear, green, amber, red."),
    ] = None,
    urgency: Annotated[
        str | None,
        Text(help="flash, immediate, priority or routine; unsaid: that of what is answered, else routine."),
    ] = None,
    case: Annotated[str | None, Text(help="Case id; else that of --reply-to, or a new one.")] = None,
    reply_to: Annotated[str | None, Text(help="Message that this one answers.")] = None,
    sender: Annotated[
        str,
        typer.Option(
            "--from", metavar="MEMBER", help="Whose --reply-to is, where more than one has used that id."
        ),
    ] = "",
    supersedes: Annotated[
        str | None, Text(metavar="ID", help="Message of this node's own whose place this one takes.")
    ] = None,
    exercise: Annotated[
        str | None, Text(help="Id of the exercise that this is of: nobody may take it for real.")
    ] = None,
    attach: Annotated[
        list[Path] | None, Text(help="File that goes beside the message, sealed; may be repeated.")
    ] = None,
    malware: Annotated[
        bool, typer.Option("--malware", help="What is attached may do harm where it is opened.")
    ] = False,
    separate: Annotated[
        bool, typer.Option("--separate", help="Seal one envelope for each addressee.")
    ] = False,
    wait: Annotated[float | None, Text(help="Seconds to wait until every addressee has it.", min=0)] = None,
    subject: Annotated[str, Text(help="Subject; else --name, or the first file's name.")] = "",
    text: Annotated[str, Text(help="Text of the message.")] = "",
    lang: Annotated[str, Text(help="Language of the text (RFC 5646).")] = "en",
    expires: Annotated[
        str | None, Text(help="Not to be delivered after: 2026-12-01T12:00Z, or 4h, 2d.")
    ] = None,
    ack_by: Annotated[str | None, Text(help="When an acknowledgement is wanted by.")] = None,
    reply_by: Annotated[str | None, Text(help="When a reply is wanted by (request-information).")] = None,
    question: Annotated[str, Text(help="What is asked (request-information).")] = "",
    outcome: Annotated[
        str | None, Text(help="full, partial, negative, declined, interim or forwarded (response).")
    ] = None,
    reason: Annotated[str, Text(help="Why, for an outcome that needs one.")] = "",
    name: Annotated[str, Text(help="Incident: its name.")] = "",
    determination: Annotated[str | None, Text(help="Incident: suspected, confirmed, blocked ...")] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Incident: its types, e.g. ransomware.")
    ] = None,
    criticality: Annotated[int | None, Text(help="Incident: 0 to 100.", min=0, max=100)] = None,
    detection: Annotated[list[str] | None, Text(help="Incident: how it was found.")] = None,
    description: Annotated[str, Text(help="Incident: what happened.")] = "",
    first_seen: Annotated[str | None, Text(help="Incident: when it began.")] = None,
    columns: Annotated[
        list[str] | None, Text(help="Columns of a CSV list, by number or header: value=2,type=1.")
    ] = None,
) -> None:
    """Send a message. Done once it is safely in the outbox; --wait waits until everybody has it."""
    from exchange.cli.addressees import audience_of, note_unsealed, resolved
    from exchange.cli.compose import Flags, read_files
    from exchange.cli.node.home import opened, wake
    from exchange.cli.replacing import before_of, following, warn_of_keepers
    from exchange.directory.addressing import is_person

    flags = Flags(
        kind=kind,
        tlp=tlp,
        pap=pap,
        urgency=urgency,
        case=case,
        reply_to=reply_to,
        reply_to_sender=sender,
        exercise=exercise,
        subject=subject,
        text=text,
        lang=lang,
        expires=expires,
        ack_by=ack_by,
        reply_by=reply_by,
        outcome=outcome,
        question=question,
        reason=reason,
        name=name,
        determination=determination,
        types=words(type_),
        criticality=criticality,
        detection=words(detection),
        description=description,
        first_seen=first_seen,
    )
    _check_use(flags, file=bool(file), columns=bool(columns))
    with opened(call) as home:
        if not home.is_member():
            wake(call, home.home)  # it may have been admitted while no server ran
        targets = resolved(call, home, words(to), cross_community=cross_community)
        recipients = list(dict.fromkeys(target.address for target in targets))
        flags = replace(flags, audience_function=audience_of(targets))
        read = read_files(
            file or [],
            at=now_ms(),
            to_persons=all(is_person(home.directory, one) for one in recipients),
            columns=columns_said(columns),
        )
        before = before_of(home, supersedes) if supersedes else None
        if before is not None:
            flags = following(flags, before, read.objects)
        composed = _composed(call, home, flags, read, recipients)
        keeping = warn_of_keepers(call, before, recipients) if before is not None else []
        note_unsealed(call, home, recipients)
        attachments = _attached(call, home, composed, attach or [], malware=malware)
        if before is not None and before.separate:
            separate = True  # whom the old one named to nobody, this one doesn't either
        submit(home, composed, recipients, separate=separate, attachments=attachments)
        if wait is None:
            wake(call, home.home)
        else:
            wait_for_all(call, home, composed.message.id, wait)
    _report(call, composed, recipients, keeping)


def _check_use(flags: Flags, *, file: bool, columns: bool) -> None:
    """Refuse what would be left unused. Raises Refused cli.usage."""
    if columns and not file:
        raise Refused("cli.usage", "--columns says something of a CSV list: name its FILE")
    if flags.question and flags.kind != "request-information":
        raise Refused("cli.usage", "--question belongs to --kind request-information")
    if flags.reply_to_sender and not flags.reply_to:
        raise Refused("cli.usage", "--from says whose the message of --reply-to is: name that")
    if flags.reason and flags.kind != "response":
        raise Refused("cli.usage", "--reason belongs to --kind response")


def words(given: Sequence[str] | None) -> list[str]:
    """The words of an option that may be repeated and may hold several, separated by commas; each once."""
    parts = (part.strip() for text in given or [] for part in text.split(","))
    return list(dict.fromkeys(part for part in parts if part))


def columns_said(given: Sequence[str] | None) -> dict[str, str]:
    """What --columns says, by column: `value=2,type=1`. Raises Refused cli.usage."""
    pairs = [each.partition("=") for each in words(given)]
    if not all(column and where for column, _, where in pairs):
        raise Refused("cli.usage", "--columns takes COLUMN=NUMBER or COLUMN=HEADER, such as value=2,type=1")
    return {column: where for column, _, where in pairs}


def compose_for(
    home: Opened,
    flags: Flags,
    read: ReadFiles,
    recipients: Sequence[str],
    *,
    now: int,
    new_uuid: Callable[[], uuid.UUID] = uuid.uuid4,
) -> Composed:
    """The message, with everything that only this home knows filled in, and allowed by policy.

    The first of `new_uuid` is the message's id. Raises Refused as `compose` and `policy.check_send` do.
    """
    from exchange import policy
    from exchange.cli.compose import compose, with_thread
    from exchange.directory.network import member_of
    from exchange.message import Author, member_identity_id

    directory = home.directory
    identity = home.home.identity()
    if identity.address not in directory.members and identity.address not in directory.units:
        raise Refused("policy.sender-status", f"{identity.address} is not admitted yet")
    if flags.reply_to:
        whole = home.whole_id(flags.reply_to)
        case, urgency = home.desk.thread(whole, flags.reply_to_sender, own=identity.address)
        flags = with_thread(flags, reply_to=whole, case=case, urgency=urgency)
    network = uuid.UUID(bytes=identity.net[:16])
    handle = member_of(identity.address)  # a unit writes as its member; the envelope says which unit
    author = Author(
        id=member_identity_id(network, handle), name=handle, created=directory.member(handle).since
    )
    composed = compose(flags, read, author=author, handle=handle, now=now, new_uuid=new_uuid)
    policy.check_send(
        tlp=composed.message.tlp,
        lane=composed.message.urgency,
        sender=identity.address,
        recipients=recipients,
        anchor_confirmed=home.anchor_confirmed(),
        directory=directory,
    )
    _check_outside(home, composed, recipients)
    return composed


def _check_outside(home: Opened, composed: Composed, recipients: Sequence[str]) -> None:
    """What it carries of what came from outside must be decided on. Raises Refused as outside.Judged.check."""
    import getpass

    from exchange.node.doors.doors import reader_at
    from exchange.node.feeds.outside import judge

    message, store = composed.message, home.store
    readers = [reader_at(home.directory, home.home.settings.member, one) for one in recipients]
    judged = store.db.read_sync(lambda c: judge(c, store.cipher, message.bundle, message.tlp, readers))
    if judged.decisions:
        who, now = getpass.getuser(), now_ms()
        store.db.write_sync(lambda c: judged.note(c, message.id, who=who, now=now))
    judged.check()


def submit(
    home: Opened,
    composed: Composed,
    recipients: Sequence[str],
    *,
    separate: bool,
    attachments: Sequence[Attachment] = (),
) -> bool:
    """Put the message into the outbox, durably; False when it was there before."""
    from exchange.node.store.outbox import Outgoing

    message = composed.message
    outgoing = Outgoing(
        id=message.id,
        type="stix",
        lane=message.urgency.value,
        created=message.created,
        expires=message.expires or message.created + CONTENT_LIFE_MS,
        payload=message.bundle,
        separate=separate,
        # Compression tells by its length how alike two parts are: only where one hand wrote them all, and never of
        # TLP:RED (§4.2).
        compress=not message.tlp.names_persons
        and (composed.files == 0 or (composed.files == 1 and not message.text)),
    )
    return home.desk.submit(outgoing, recipients, attachments)


def _attached(
    call: Call, home: Opened, composed: Composed, files: Sequence[Path], *, malware: bool
) -> list[Attachment]:
    """The files, sealed into the home.

    Raises Refused cli.usage, attachment.too-many, attachment.for-persons, and as attaching.attach.
    """
    if malware and not files:
        raise Refused("cli.usage", "--malware says something of what --attach FILE names")
    if len(files) > MAX_ATTACHMENTS:
        raise Refused("attachment.too-many")
    if files and composed.message.tlp.names_persons:
        raise Refused("attachment.for-persons")  # its reader could not save it (docs/policy.md)
    if files and composed.message.urgency.value == "flash":
        call.out.warn("it waits until its attachments are at the hub: better send it first without them")
    return [home.attachments.attach(file, malware=malware) for file in files]


def _composed(call: Call, home: Opened, flags: Flags, read: ReadFiles, recipients: Sequence[str]) -> Composed:
    try:
        composed = compose_for(home, flags, read, recipients, now=now_ms())
    except Refused as refusal:
        _say_aside(call, refusal.facts.get("set_aside", ()))
        for file, doubts in read.doubts:  # the label that it was refused for may be one of them
            tell_doubts(call, doubts, file=file)
        raise
    _say_aside(call, composed.set_aside)
    for file, losses in composed.losses:
        tell(call, losses, file=file)
    for file, doubts in composed.doubts:
        tell_doubts(call, doubts, file=file)
    if flags.tlp is None:
        call.out.note(f"labelled {composed.message.tlp.label}")
    return composed


def _say_aside(call: Call, set_aside: Sequence[Aside]) -> None:
    for one in set_aside:
        is_text = one.code == "json.bad-syntax" and not one.file.lower().endswith(".json")
        way = f"; indicators in a text: exchange node paste {safe(one.file)}" if is_text else ""
        call.out.warn(f"set aside: {safe(one.file)} {safe(one.object)}: {one.code}: {safe(one.reason)}{way}")


def wait_for_all(call: Call, home: Opened, message_id: str, seconds: float) -> None:
    """Until every addressee has it. Raises Unavailable cli.timeout, Refused message.not-taken."""
    from exchange.cli.attachment_view import tell_progress
    from exchange.cli.node.home import attend, wait

    call.out.note(f"sent {message_id}; waiting up to {seconds:g} s for receipts")
    tell = tell_progress(call)

    def is_done() -> bool:
        tell(home.attachments.sent(message_id))
        return all(
            copy.state in ("stored", "rejected", "lost") for copy in home.desk.sent(message_id).addressees
        )

    if home.attachments.sent(message_id):
        done = attend(call, home.home, is_done, seconds)
    else:
        done = wait(call, home.home, [message_id], seconds)
    if not done:
        raise Unavailable("cli.timeout", id=message_id)
    lost = [copy for copy in home.desk.sent(message_id).addressees if copy.state != "stored"]
    if lost:
        first = lost[0]
        raise Refused(
            "message.not-taken", f"{first.recipient}: {first.state}, {first.code}", reason=first.code
        )


def _report(call: Call, composed: Composed, recipients: Sequence[str], keeping: Sequence[str]) -> None:
    message = composed.message
    value: dict[str, Any] = {
        "id": message.id,
        "case": message.case_id,
        "kind": message.kind,
        "tlp": message.tlp.label,
        "urgency": message.urgency.value,
        "to": list(recipients),
        "supersedes": message.supersedes,
        "keeping": list(keeping),
        "objects": message.object_count,
        "set_aside": [
            {"file": one.file, "object": one.object, "code": one.code, "reason": one.reason}
            for one in composed.set_aside
        ],
        "losses": [row for file, losses in composed.losses for row in as_json(losses, file=file)],
        "doubts": [row for file, doubts in composed.doubts for row in as_json(doubts, file=file)],
    }
    line = f"sent {message.id} to {', '.join(recipients)}: {message.kind}, {message.tlp.label}, {message.urgency.value}"
    short = message.id[:8]
    call.out.result(value, [line, f"case {message.case_id}"], next_step=f"exchange node report {short}")
