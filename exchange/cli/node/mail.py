"""`exchange node inbox | outbox | show | report | ack`: what a person does with mail.

Owns these verbs. Every open goes to the access log, in the service that hands the content out (node/mail/desk). What
leaves the node is `node/doors/doors`' business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import one_line, safe, table, utc

if TYPE_CHECKING:
    from exchange.cli.node.home import Opened
    from exchange.node.mail.desk import Desk, Sent
    from exchange.node.store.inbox import Received
    from exchange.node.store.outbox import Addressee
    from exchange.node.store.replacing import Claim

MessageId = Annotated[str, typer.Argument(metavar="ID", help="The message's id, or the beginning of it.")]
From = Annotated[
    str, typer.Option("--from", metavar="MEMBER", help="Whose, where more than one has used that id.")
]
SHORT = 8  # characters of an id in lists


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "inbox", role="node", unlocks=True)(inbox)
    command(group, "outbox", role="node", unlocks=True)(outbox)
    command(group, "show", role="node", unlocks=True)(show)
    command(group, "report", role="node", unlocks=True)(report)
    command(group, "ack", role="node", unlocks=True)(ack)


def inbox(
    call: Call,
    unopened: Annotated[bool, typer.Option("--unopened", help="Only what nobody has opened.")] = False,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=1000)] = 50,
) -> None:
    """List messages received, newest first."""
    from exchange.cli.message_view import state_of, subject_in_list
    from exchange.cli.node.home import opened

    with opened(call) as home:
        came = home.desk.inbox(unopened=unopened, limit=limit)
        files = home.attachments.counts([one.env for one in came])
        claims = _claims_received(home, came)
        rows = [
            _inbox_row(one, state_of(one.opened_at, one.answered), files.get(one.env, 0), claims)
            for one in came
        ]
    head = ("id", "received", "from", "kind", "tlp", "urgency", "state", "subject")
    cells = [
        (
            row["id"][:SHORT],
            utc(row["received_at"]),
            row["from"],
            row["kind"],
            row["tlp"],
            row["urgency"],
            _state(row),
            subject_in_list(row["subject"], row["exercise"]),
        )
        for row in rows
    ]
    lines = table(head, cells) if rows else ["nothing has come"]
    call.out.result({"messages": rows}, lines, next_step="exchange node show ID" if rows else "")


def outbox(
    call: Call,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only what somebody should have by now and has not.")
    ] = False,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=1000)] = 50,
) -> None:
    """List messages sent, newest first, with how far each addressee's copy has come."""
    from exchange.cli.message_view import subject_in_list
    from exchange.cli.node.home import opened

    with opened(call) as home:
        gone = home.desk.outbox(overdue=overdue, limit=limit)
        claims = _claims_sent(home, gone)
        rows = [_outbox_row(home.desk, one, claims) for one in gone]
    head = ("id", "created", "kind", "tlp", "urgency", "to", "subject")
    cells = [
        (
            row["id"][:SHORT],
            utc(row["created"]),
            row["kind"],
            row["tlp"],
            row["urgency"],
            ", ".join(_copy(one) for one in row["to"]),
            subject_in_list(row["subject"], row["exercise"]),
        )
        for row in rows
    ]
    lines = table(head, cells) if rows else ["nothing was sent" if not overdue else "nothing is overdue"]
    call.out.result({"messages": rows}, lines, next_step="exchange node report ID" if rows else "")


def show(call: Call, message: MessageId) -> None:
    """Show a message, addresses defanged; its sender learns that it was opened."""
    from exchange.cli.attachment_view import attachment_json, attachment_lines
    from exchange.cli.message_view import mark_lines, message_json, message_lines
    from exchange.cli.node.home import opened, wake
    from exchange.cli.replacing import replaced_line
    from exchange.formats.stix.cover import read_message
    from exchange.node.store.replacing import replaced_by

    lines: list[str] = []
    values: list[dict[str, Any]] = []
    with opened(call) as home:
        came = home.desk.open(home.whole_id(message))
        claims = _claims_received(home, came)
        for one in came:
            marks = marks_of(one, confirmed=home.anchor_confirmed())
            by = replaced_by(one.sender, one.message_id, claims)
            lines += [""] if lines else []
            value = {"from": one.sender, "received_at": one.received_at, "marks": marks}
            value["replaced_by"] = by.id if by else None
            if one.type == "stix":
                content = read_message(one.payload)
                lines += message_lines(
                    content,
                    sender=one.sender,
                    received_at=one.received_at,
                    marks=marks,
                    replaced=[replaced_line(by)] if by else [],
                )
                value |= message_json(content)
            else:
                lines += [f"message {one.message_id} from {one.sender}", *mark_lines(marks)]
                value |= {"id": one.message_id, "kind": one.type}
            attached = home.attachments.come_with(one.env)
            lines += attachment_lines(attached)
            values.append(value | {"attachments": [attachment_json(each) for each in attached]})
        wake(call, home.home)
        secretariat = home.directory.policy.secretariat
    call.out.result({"messages": values}, lines, next_step=_answer(values[-1], secretariat))


def _answer(value: dict[str, Any], secretariat: str) -> str:
    """What its reader does next."""
    short = value["id"][:SHORT]
    if value["kind"] == "counterpart-request":
        if value["from"] != secretariat:
            return "exchange directory requests"
        return f"exchange directory accept {short}, or exchange directory decline {short} --reason TEXT"
    if value["kind"] == "contact-verification" and value["validate_by"]:
        return "exchange directory contact confirm"
    return f"exchange node ack {short} --person NAME"


def report(call: Call, message: MessageId) -> None:
    """Say for every addressee how far its copy has come, or what is missing since when."""
    from exchange.cli.attachment_view import attachment_json, attachment_lines
    from exchange.cli.node.home import opened
    from exchange.formats.stix.cover import read_message

    with opened(call) as home:
        sent = home.desk.sent(home.whole_id(message))
        claims = _claims_sent(home, [sent])
        rows = [_report_row(home.desk, copy, sent.message.id, claims) for copy in sent.addressees]
        attached = home.attachments.sent(sent.message.id)
        supersedes = None if sent.message.erased else read_message(sent.message.payload).supersedes
    head = ("member", "accepted", "stored", "opened", "acknowledged", "missing")
    cells = [
        (
            row["member"],
            utc(row["accepted"]),
            utc(row["stored"]),
            utc(row["opened"]),
            _people(row),
            _missing(row),
        )
        for row in rows
    ]
    overdue = any(row["overdue"] for row in rows)
    next_step = "telephone those who are overdue: exchange directory show MEMBER" if overdue else ""
    value = {
        "id": sent.message.id,
        "supersedes": supersedes,
        "replaced_by": _newest(sent.message.id, claims),
        "addressees": rows,
        "attachments": [attachment_json(one) for one in attached],
    }
    lines = [*table(head, cells), *_said(rows, supersedes), *attachment_lines(attached)]
    call.out.result(value, lines, next_step=next_step)


def _said(rows: Sequence[dict[str, Any]], supersedes: str | None) -> list[str]:
    """What has no column: people's words, made harmless, and which message stands in which one's place."""
    from exchange.content import MAX_NOTE
    from exchange.formats.indicators.defang import defang

    lines = [
        f'{row["member"]}, {one_line(row["person"])}: "{one_line(defang(row["note"]), MAX_NOTE)}"'
        for row in rows
        if row["note"]
    ]
    lines += [f"replaced by {row['replaced_by']} at {row['member']}" for row in rows if row["replaced_by"]]
    return [*lines, *([f"supersedes {supersedes}"] if supersedes else [])]


def _claims_received(home: Opened, came: Sequence[Received]) -> list[Claim]:
    """Who says since that it takes the place of something."""
    from exchange.node.store import replacing

    wanted = [(one.sender, one.message_id, one.created) for one in came]
    return home.store.db.read_sync(lambda c: replacing.received(c, home.store.cipher, wanted))


def _claims_sent(home: Opened, gone: Sequence[Sent]) -> list[Claim]:
    """The same of what this node sent."""
    from exchange.node.store import replacing

    own, since = home.home.settings.member, min((one.message.created for one in gone), default=None)
    if since is None:
        return []
    return home.store.db.read_sync(lambda c: replacing.sent(c, home.store.cipher, own=own, since=since))


def ack(
    call: Call,
    message: MessageId,
    *,
    person: Annotated[str | None, typer.Option(help="Who acknowledges; else your login name.")] = None,
    status: Annotated[str, typer.Option(help="acknowledged, working or declined.")] = "acknowledged",
    note: Annotated[str, typer.Option(help="A word to the sender.")] = "",
    sender: From = "",
) -> None:
    """Acknowledge a message in a person's name; the sender gets a signed receipt."""
    import getpass

    from exchange.cli.node.home import opened, wake

    name = person or getpass.getuser()
    with opened(call) as home:
        whole = home.whole_id(message)
        home.desk.answer(whole, status, person=name, note=note, sender=sender)
        wake(call, home.home)
    call.out.result({"id": whole, "status": status, "person": name}, [f"{status} {whole} as {safe(name)}"])


def _files(count: int) -> list[str]:
    return [f"+{count} file{'s' if count > 1 else ''}"] if count else []


def _state(row: dict[str, Any]) -> str:
    """How far people are with a message that came, what lies beside it and what is unusual about it."""
    marks = [f"!{mark}" for mark in row["marks"]]
    return " ".join(
        [row["state"], *_files(row["attachments"]), *marks, *(["replaced"] if row["replaced_by"] else [])]
    )


def _copy(row: dict[str, Any]) -> str:
    """How far one addressee's copy is."""
    return f"{row['member']} {row['state']}" + (" replaced" if row["replaced_by"] else "")


def _inbox_row(one: Received, state: str, attachments: int, claims: Sequence[Claim]) -> dict[str, Any]:
    from exchange.formats.indicators.defang import defang
    from exchange.node.store.replacing import replaced_by

    summary, by = one.summary, replaced_by(one.sender, one.message_id, claims)
    said = (each.replaces for each in claims if (each.sender, each.id) == (one.sender, one.message_id))
    return {
        "id": one.message_id,
        "from": one.sender,
        "kind": summary.get("kind", one.type),
        "tlp": summary.get("tlp", ""),
        "urgency": one.lane,
        "case": summary.get("case", ""),
        "subject": defang(summary.get("subject", "")),
        "objects": summary.get("objects", 0),
        "attachments": attachments,
        "created": one.created,
        "received_at": one.received_at,
        "state": state,
        "marks": marks_of(one, confirmed=True),
        "exercise": summary.get("exercise"),
        "supersedes": next(said, None),
        "replaced_by": by.id if by else None,
    }


def marks_of(one: Received, *, confirmed: bool) -> list[str]:
    """What a person must know about how it came, in words of docs/protocol.md; `confirmed`: the anchor is."""
    own = ["conflict"] if one.conflict else []
    return sorted([*one.marks, *own, *([] if confirmed else ["anchor-unconfirmed"])])


def _newest(message_id: str, claims: Sequence[Claim], recipient: str = "") -> str | None:
    """What replaced a message that this node sent: at that addressee, or at any."""
    found = [
        one.id for one in claims if one.replaces == message_id and (not recipient or recipient in one.to)
    ]
    return found[-1] if found else None


def _outbox_row(desk: Desk, sent: Sent, claims: Sequence[Claim]) -> dict[str, Any]:
    from exchange.formats.indicators.defang import defang
    from exchange.formats.stix.cover import read_message

    message = read_message(desk.sent(sent.message.id).message.payload)
    return {
        "id": message.id,
        "kind": message.kind,
        "tlp": message.tlp.label,
        "urgency": message.urgency.value,
        "case": message.case_id,
        "subject": defang(message.subject),
        "created": message.created,
        "exercise": message.exercise_id,
        "supersedes": message.supersedes,
        "replaced_by": _newest(message.id, claims),
        "to": [_report_row(desk, copy, message.id, claims) for copy in sent.addressees],
    }


def _report_row(desk: Desk, copy: Addressee, message_id: str, claims: Sequence[Claim]) -> dict[str, Any]:
    lacks = desk.lacking(copy)
    human = (
        ("declined", copy.declined_at),
        ("working", copy.working_at),
        ("acknowledged", copy.acknowledged_at),
    )
    level = next((name for name, at in human if at), "opened" if copy.opened_at else copy.state)
    return {
        "member": copy.recipient,
        "state": level,
        "code": copy.code,
        "queued": copy.queued_at,
        "accepted": copy.accepted_at,
        "stored": copy.stored_at,
        "rejected": copy.rejected_at,
        "opened": copy.opened_at,
        "acknowledged": copy.acknowledged_at,
        "working": copy.working_at,
        "declined": copy.declined_at,
        "person": copy.person,
        "note": copy.note,
        "missing": lacks.rung if lacks else "",
        "missing_since": lacks.since if lacks else None,
        "overdue": bool(lacks and lacks.overdue),
        "replaced_by": _newest(message_id, claims, copy.recipient),
    }


def _people(row: dict[str, Any]) -> str:
    for level in ("declined", "working", "acknowledged"):
        if row[level]:
            word = "" if level == "acknowledged" else f"{level} "
            return f"{word}{utc(row[level])} {safe(row['person'])}".rstrip()
    return "-"


def _missing(row: dict[str, Any]) -> str:
    if not row["missing"]:
        return "-"
    why = f" ({row['code']})" if row["code"] else ""
    late = ", OVERDUE" if row["overdue"] else ""
    return f"{row['missing']} since {utc(row['missing_since'])}{why}{late}"
