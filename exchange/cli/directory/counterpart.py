"""`exchange directory ask | requests | introduce | accept | decline`: when the directory isn't enough.

Owns what is typed and printed on the three sides. What the third side is sent is made by
node/directory/counterparts, from nothing that the requester wrote.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.directory.options import LangOption, country_code
from exchange.cli.directory.secretariat import hands, require_secretariat
from exchange.cli.output import one_line, table, utc
from exchange.errors import Refused
from exchange.limits import SECOND_MS

if TYPE_CHECKING:
    from exchange.cli.node.home import Opened
    from exchange.node.directory.counterparts import Standing

Question = Annotated[str, typer.Argument(metavar="ID", help="The message that asked, or its beginning.")]
_SHORT: Final = 8


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "ask", role="node", unlocks=True)(ask)
    command(group, "requests", role="node", unlocks=True, for_units=False)(requests)
    command(group, "introduce", role="node", unlocks=True, for_units=False)(introduce)
    command(group, "accept", role="node", unlocks=True)(accept)
    command(group, "decline", role="node", unlocks=True)(decline)


def ask(
    call: Call,
    *,
    country: Annotated[str, typer.Option(help="Where, in two letters, such as PE.")],
    topic: Annotated[str, typer.Option(help="What for, such as firearms (docs/directory.md).")],
    purpose: Annotated[str, typer.Option(help="What it is about; the other side reads it once it accepted.")],
    reply_by: Annotated[str, typer.Option(help="2026-12-01T12:00Z, or 4h, 2d from now.")],
    case: Annotated[str | None, typer.Option(help="Case id; else a new one.")] = None,
    lang: LangOption = None,
) -> None:
    """Ask the secretariat to find a counterpart. Whom it asks learns of you and the case only by accepting."""
    from exchange.cli.directory.book import Speaker
    from exchange.cli.node.home import opened, wake
    from exchange.cli.when import parse_when
    from exchange.message import Kind, Urgency
    from exchange.phrases.languages import say
    from exchange.phrases.letters import Letter
    from exchange.phrases.secretariat import COUNTERPART
    from exchange.tlp import Tlp

    speaker, where, when = Speaker(lang), country_code(country), parse_when(reply_by, now=now_ms())
    words = {"topic": speaker.topics([topic]), "country": where}
    with opened(call) as home:
        writer, _ = hands(home)
        secretariat = home.directory.policy.secretariat
        if not secretariat:
            raise Refused("counterpart.no-secretariat")
        message = writer.message(
            Kind.COUNTERPART_REQUEST,
            Letter(speaker.language, say(COUNTERPART, "ask-subject", speaker.language, **words), ""),
            urgency=Urgency.PRIORITY,
            tlp=Tlp.AMBER,
            case=case,
            country=where,
            topic=topic,
            question=purpose,
            reply_by=when,
        )
        confirmed = home.anchor_confirmed()
        writer.check_send([secretariat], tlp=Tlp.AMBER, lane=message.lane, anchor_confirmed=confirmed)
        home.desk.submit(message, [secretariat])
        wake(call, home.home)
    value = {"id": message.id, "to": secretariat, "country": where, "topic": topic, "reply_by": when}
    call.out.result(
        value,
        [f"asked {secretariat} for a counterpart: {topic}, {where}, by {utc(when)}", f"id {message.id}"],
        next_step="the secretariat's introduction comes to your inbox: exchange node inbox",
    )


def requests(call: Call) -> None:
    """List who looks for a counterpart, the nearest deadline first, and how many did each year. For the secretariat."""
    from exchange.cli.node.home import opened

    with opened(call) as home:
        require_secretariat(home)
        found = _taken_in(home)
    years = Counter(_year(one.request.at) for one in found)
    cells = [
        (
            one.request.id[:_SHORT],
            one.request.requester,
            one.request.country,
            one_line(one.request.topic),
            utc(one.request.reply_by) + (" OVERDUE" if one.overdue else ""),
            _state(one),
            one_line(one.request.purpose),
        )
        for one in found
    ]
    head = ("ID", "FROM", "COUNTRY", "TOPIC", "REPLY BY", "STATE", "PURPOSE")
    lines = table(head, cells) if cells else ["nobody has asked yet"]
    lines += [f"{year}: {count} requests" for year, count in sorted(years.items())]
    value = {"requests": [_json(one) for one in found], "years": dict(years)}
    open_ = next((one for one in found if one.state in ("open", "declined") and not one.overdue), None)
    next_step = ""
    if open_:
        wanted = f"--country {open_.request.country} --topic {one_line(open_.request.topic)}"
        introducing = f"exchange directory introduce {open_.request.id[:_SHORT]} --ask CONTACT"
        next_step = f"exchange directory find {wanted}; then: {introducing}"
    call.out.result(value, lines, next_step=next_step)


def introduce(
    call: Call,
    request: Annotated[str, typer.Argument(metavar="ID", help="The request, or its beginning.")],
    *,
    ask: Annotated[
        list[str], typer.Option("--ask", metavar="MEMBER|CONTACT", help="Whom to ask; may be repeated.")
    ],
) -> None:
    """Ask a third side whether it may be introduced; it is told neither who looks for it nor the case."""
    from exchange.cli.node.home import opened, wake
    from exchange.node.directory import counterparts

    with opened(call) as home:
        require_secretariat(home)
        whole = home.whole_id(request)
        found = next((one for one in _taken_in(home) if one.request.id == whole), None)
        if found is None:
            raise Refused("counterpart.unknown")
        if found.request.introduced_at:
            raise Refused("counterpart.introduced")
        writer, book = hands(home)
        made = [counterparts.question(writer, book, found.request, contact) for contact in dict.fromkeys(ask)]
        home.store.db.write_sync(lambda c: counterparts.ask(c, home.store, made))
        asked = [{"contact": third.contact, "to": third.address, "id": third.id} for _, third in made]
        wake(call, home.home)
    value = {"request": whole, "asked": asked, "reply_by": found.request.reply_by}
    lines = [f"asked {one['contact']}, sealed to {one['to']}: {one['id']}" for one in asked]
    call.out.result(
        value, lines, next_step="when one accepts, this node introduces both: exchange directory requests"
    )


def accept(call: Call, question: Question) -> None:
    """Yes, introduce us: the secretariat then sends each side the other's card."""
    _answer(call, question, outcome="full", reason="")


def decline(
    call: Call,
    question: Question,
    *,
    reason: Annotated[str, typer.Option(help="Why; the secretariat reads it.")],
) -> None:
    """No; the secretariat reads why, and may ask somebody else."""
    _answer(call, question, outcome="declined", reason=reason)


def _answer(call: Call, question: str, *, outcome: str, reason: str) -> None:
    from exchange.cli.compose import Flags, ReadFiles
    from exchange.cli.node.home import opened, wake
    from exchange.cli.node.send import compose_for, submit
    from exchange.message import Kind
    from exchange.phrases import letters
    from exchange.phrases.languages import language_of

    with opened(call) as home:
        whole = home.whole_id(question)
        secretariat = home.directory.policy.secretariat
        try:
            asked = home.desk.find(whole, secretariat)[-1]  # whatever others have sent under its id
        except Refused as refusal:
            raise Refused("counterpart.no-question") from refusal
        if asked.summary.get("kind") != Kind.COUNTERPART_REQUEST or asked.sender != secretariat:
            raise Refused("counterpart.no-question")
        subject = letters.answer(language_of(), accepted=outcome == "full")
        flags = Flags(
            kind=Kind.RESPONSE,
            tlp="green",
            reply_to=whole,
            reply_to_sender=secretariat,
            subject=subject,
            outcome=outcome,
            reason=reason,
        )
        composed = compose_for(home, flags, ReadFiles(), [secretariat], now=now_ms())
        submit(home, composed, [secretariat], separate=False)
        wake(call, home.home)
    value = {"id": composed.message.id, "question": whole, "to": secretariat, "outcome": outcome}
    said = "accepted" if outcome == "full" else "declined"
    call.out.result(value, [f"{said}: {secretariat} is told"])


def _taken_in(home: Opened) -> list[Standing]:
    """Every request, those included that came while no server ran."""
    from exchange.node.directory import counterparts

    store = home.store
    while store.db.write_sync(lambda c: counterparts.take_in(c, store)):
        pass
    return store.db.read_sync(lambda c: counterparts.standings(c, store, now=now_ms()))


def _state(one: Standing) -> str:
    asked = ", ".join(f"{ask.contact}{': no' if ask.answer == 'declined' else ''}" for ask in one.asks)
    return f"{one.state} ({asked})" if asked else one.state


def _json(one: Standing) -> dict[str, Any]:
    request = one.request
    return {
        "id": request.id,
        "from": request.requester,
        "at": request.at,
        "country": request.country,
        "topic": request.topic,
        "purpose": request.purpose,
        "case": request.case,
        "reply_by": request.reply_by,
        "overdue": one.overdue,
        "state": one.state,
        "introduced_at": request.introduced_at,
        "asked": [
            {"contact": ask.contact, "at": ask.at, "answer": ask.answer, "reason": ask.reason}
            for ask in one.asks
        ],
    }


def _year(at: int) -> str:
    return datetime.fromtimestamp(at / SECOND_MS, UTC).strftime("%Y")
