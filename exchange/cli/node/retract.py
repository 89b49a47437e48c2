"""`exchange node retract`: a message that was sent is taken back, wherever nothing has replaced it yet.

Owns the verb. It sends an incident-update that supersedes the message (docs/messages.md); what that does to the message
at its addressees is their nodes' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.node.mail import SHORT, MessageId
from exchange.cli.output import one_line, safe
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.compose import Flags
    from exchange.cli.node.home import Opened
    from exchange.node.replacing import Before


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "retract", role="node", unlocks=True)(retract)


def retract(
    call: Call,
    message: MessageId,
    *,
    reason: Annotated[str, typer.Option(help="Why, for those who have it.")] = "",
    urgency: Annotated[
        str | None, typer.Option(help="flash, immediate, priority or routine; else that of the message.")
    ] = None,
    wait: Annotated[
        float | None, typer.Option(help="Seconds to wait until every addressee has it.", min=0)
    ] = None,
) -> None:
    """Take back a message this node sent: it leaves the collections of everybody who got it."""
    from exchange.cli.addressees import note_unsealed
    from exchange.cli.compose import ReadFiles
    from exchange.cli.node.home import opened, wake
    from exchange.cli.node.send import compose_for, submit, wait_for_all
    from exchange.cli.replacing import before_of

    with opened(call) as home:
        before = before_of(home, message)
        old = before.message
        flags = _flags(before, reason=reason, urgency=urgency)
        recipients, left_out = _sorted(home, before, flags)
        _preview(call, before, flags, recipients, left_out)
        call.confirm(f"Retract {old.id[:SHORT]} at {', '.join(recipients)}?")
        composed = compose_for(home, flags, ReadFiles(), recipients, now=now_ms())
        note_unsealed(call, home, recipients)
        submit(home, composed, recipients, separate=before.separate)
        if wait is None:
            wake(call, home.home)
        else:
            wait_for_all(call, home, composed.message.id, wait)
    sent = composed.message
    value = {
        "id": sent.id,
        "supersedes": old.id,
        "case": sent.case_id,
        "kind": sent.kind,
        "tlp": sent.tlp.label,
        "urgency": sent.urgency.value,
        "exercise": sent.exercise_id,
        "to": recipients,
        "left_out": left_out,
    }
    line = f"sent {sent.id} to {', '.join(recipients)}: retracts {old.id}, {sent.tlp.label}, {sent.urgency.value}"
    call.out.result(value, [line], next_step=f"exchange node report {sent.id[:SHORT]}")


def _flags(before: Before, *, reason: str, urgency: str | None) -> Flags:
    """What takes the message back: labelled, and of the case and exercise, as it is."""
    from exchange.cli.compose import Flags, urgency_of
    from exchange.cli.replacing import following
    from exchange.formats.stix.time import to_stix
    from exchange.message import MAX_SUBJECT_CHARS, Kind
    from exchange.phrases.retraction import retraction

    old = before.message
    subject, text = retraction(
        old.lang, subject=old.subject, message_id=old.id, at=to_stix(old.created), most=MAX_SUBJECT_CHARS
    )
    flags = Flags(
        kind=Kind.INCIDENT_UPDATE.value,
        tlp=old.tlp.label,
        pap=old.pap.name.lower() if old.pap is not None else None,
        urgency=urgency,
        subject=subject,
        text=text,
        lang=old.lang,
        reason=reason,
        audience_function=old.audience_function,
    )
    taken = following(flags, before)
    urgency_of(taken.urgency or "")  # before anybody is asked
    return taken


def _sorted(home: Opened, before: Before, flags: Flags) -> tuple[list[str], list[dict[str, str]]]:
    """Who is sent it, and who may not be: a member that has left keeps nobody else from it.

    Raises Refused message.replaced where nobody has the message as it was, policy.*, tlp.* where nobody may be sent it.
    """
    from exchange import policy

    old, own = before.message, home.home.identity().address
    if not before.holding:
        raise Refused("message.replaced", f"{old.id[:SHORT]} was replaced by {before.claims[-1].id[:SHORT]}")
    confirmed, directory = home.anchor_confirmed(), home.directory
    refused: dict[str, Refused] = {}
    for address in before.holding:
        try:
            policy.check_send(
                tlp=old.tlp,
                lane=flags.urgency or old.urgency.value,
                sender=own,
                recipients=[address],
                anchor_confirmed=confirmed,
                directory=directory,
            )
        except Refused as refusal:
            refused[address] = refusal
    going = [address for address in before.holding if address not in refused]
    if not going:
        raise refused[before.holding[0]]
    return going, [{"to": to, "code": one.code, "detail": one.detail} for to, one in refused.items()]


def _preview(
    call: Call, before: Before, flags: Flags, recipients: Sequence[str], left_out: Sequence[dict[str, Any]]
) -> None:
    """What goes to whom, before it is asked."""
    from exchange.formats.indicators.defang import defang

    old = before.message
    drill = f", EXERCISE {old.exercise_id}" if old.exercise_id else ""
    call.out.note(f"{one_line(defang(flags.subject))} ({old.tlp.label}, {flags.urgency}{drill})")
    call.out.note(f"to {', '.join(recipients)}")
    if flags.reason:
        call.out.note(f"reason: {safe(flags.reason)}")
    for one in left_out:
        call.out.warn(f"not to {one['to']}, who keeps it: {one['code']}: {one['detail']}")
    for claim in before.claims:
        call.out.note(f"already replaced by {claim.id[:SHORT]} at {', '.join(sorted(claim.to)) or 'nobody'}")
    if old.supersedes:
        call.out.warn(f"what {old.id[:SHORT]} had replaced stays replaced: send it anew where it still holds")
