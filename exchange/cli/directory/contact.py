"""`exchange directory contact add | edit | confirm | end | list`: the contact points that this home answers for.

Owns these verbs. A member's home states those whose mail its node answers, a unit's home (--as) its own one. How a
contact point is given is `contact_form`'s, what it must say directory/record_rules', who signs next `registering`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.directory.options import LangOption
from exchange.cli.output import table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.contact_form import Given, Said
    from exchange.cli.own_contacts import Wanted
    from exchange.cli.registering import Register
    from exchange.directory.book import Book, ContactEntry
    from exchange.directory.submission import Submission
    from exchange.node.directory.registration import Function

Handle = Annotated[str, typer.Argument(metavar="HANDLE", help="Its name in this member, such as duty.")]
Handles = Annotated[list[str] | None, typer.Argument(metavar="[HANDLE]...", help="Those to confirm.")]
File = Annotated[
    Path | None,
    typer.Argument(help="JSON with the levels members, holders, owner; `contact add --template` prints one."),
]
FunctionOption = Annotated[str | None, typer.Option(help="What for: technical_24x7, spoc, npc ...")]
CommunityOption = Annotated[str | None, typer.Option(help="csirt, police, prosecution ...")]
TopicsOption = Annotated[list[str] | None, typer.Option("--topic", help="A topic; may be repeated.")]
InstrumentsOption = Annotated[
    list[str] | None, typer.Option("--instrument", help="A treaty it acts under; may be repeated.")
]
NoteOption = Annotated[
    Path | None,
    typer.Option(
        help="The note verbale that names it, where nobody nominates; only its SHA-256 is published."
    ),
]
RoleOption = Annotated[str | None, typer.Option(help="What it is called.")]
OfficeOption = Annotated[str | None, typer.Option(help="The office it belongs to.")]
EmailOption = Annotated[str | None, typer.Option(help="E-mail of the function, not of a person.")]
PhoneOption = Annotated[str | None, typer.Option(help="Office telephone, +51 ...")]
NightOption = Annotated[
    str | None, typer.Option("--phone-247", help="Telephone for the night; only holders see it.")
]
HoursOption = Annotated[str | None, typer.Option(help="24x7, or mon-fri 08:00-17:00; sat 09:00-12:00")]
ZoneOption = Annotated[str | None, typer.Option(help="Time zone of the hours, such as America/Lima.")]
ChannelOption = Annotated[
    str | None, typer.Option(metavar="KIND=VALUE", help="When the phones are dead: satphone=+881 ...")
]
UrgentOption = Annotated[str | None, typer.Option(help="What to do when it is urgent.")]
LanguagesOption = Annotated[
    list[str] | None, typer.Option("--language", help="es, or fr:reads; may be repeated.")
]
PersonsOption = Annotated[
    list[str] | None,
    typer.Option("--person", metavar="'NAME, POSITION'", help="The first is primary, the second deputy."),
]
MobilesOption = Annotated[
    list[str] | None, typer.Option("--mobile", metavar="'NAME=PHONE'", help="Only holders see it.")
]
EscalateOption = Annotated[
    list[str] | None,
    typer.Option("--escalate", metavar="CONTACT=MINUTES", help="Who is called next, after how long."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Any field of docs/directory.md; empty takes it away."),
]
TextOption = Annotated[
    str,
    typer.Option("--text-language", help="Language of --role, --office, --urgent; else the contact's first."),
]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group, in one of their own."""
    contact = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="The contact points this home answers for."
    )
    command(contact, "add", role="node", unlocks=True)(add)
    command(contact, "edit", role="node", unlocks=True)(edit)
    command(contact, "confirm", role="node", unlocks=True)(confirm)
    command(contact, "end", role="node", unlocks=True)(end)
    command(contact, "list", role="node", unlocks=True)(list_)
    group.add_typer(contact, name="contact")


def add(
    call: Call,
    *,
    handle: Annotated[str | None, typer.Argument(metavar="HANDLE", help="Its name, such as duty.")] = None,
    file: File = None,
    function: FunctionOption = None,
    community: CommunityOption = None,
    topic: TopicsOption = None,
    instrument: InstrumentsOption = None,
    note: NoteOption = None,
    role: RoleOption = None,
    office: OfficeOption = None,
    email: EmailOption = None,
    phone: PhoneOption = None,
    phone_247: NightOption = None,
    hours: HoursOption = None,
    zone: ZoneOption = None,
    channel: ChannelOption = None,
    urgent: UrgentOption = None,
    language: LanguagesOption = None,
    person: PersonsOption = None,
    mobile: MobilesOption = None,
    escalate: EscalateOption = None,
    setting: SetOption = None,
    text_language: TextOption = "",
    template: Annotated[bool, typer.Option("--template", help="Print a file to fill in.")] = False,
) -> None:
    """State a new contact point. With --as it is the unit's own: mail for it is sealed to the unit alone."""
    from exchange.cli.contact_form import Flags, Given, template as template_of
    from exchange.cli.own_contacts import Wanted
    from exchange.cli.registering import run
    from exchange.node.home import read_settings

    if template:
        text = template_of(read_settings(call.home).member)
        call.out.result({"contact": orjson.loads(text)}, [text])
        return
    if handle is None:
        raise Refused("cli.usage", "name the contact point: its handle, such as duty")
    if function is None or not topic:
        raise Refused("cli.usage", "--function and at least one --topic are missing")
    flags = Flags(
        role=role,
        office=office,
        email=email,
        phone=phone,
        phone_247=phone_247,
        hours=hours,
        zone=zone,
        channel=channel,
        urgent=urgent,
        languages=language or [],
        persons=person or [],
        mobiles=mobile or [],
        escalation=escalate or [],
        settings=setting or [],
    )
    wanted, given, typed = (
        Wanted(function, community, topic, instrument, note),
        Given(file, flags, text_language),
        handle,
    )
    run(call, lambda register: _add(call, register, typed, wanted, given))


def edit(
    call: Call,
    *,
    handle: Handle,
    file: File = None,
    function: FunctionOption = None,
    community: CommunityOption = None,
    topic: TopicsOption = None,
    instrument: InstrumentsOption = None,
    note: NoteOption = None,
    role: RoleOption = None,
    office: OfficeOption = None,
    email: EmailOption = None,
    phone: PhoneOption = None,
    phone_247: NightOption = None,
    hours: HoursOption = None,
    zone: ZoneOption = None,
    channel: ChannelOption = None,
    urgent: UrgentOption = None,
    language: LanguagesOption = None,
    person: PersonsOption = None,
    mobile: MobilesOption = None,
    escalate: EscalateOption = None,
    setting: SetOption = None,
    text_language: TextOption = "",
) -> None:
    """Change a contact point. Function, community, topics and instruments need who nominates; the rest is its own."""
    from exchange.cli.contact_form import Flags, Given
    from exchange.cli.own_contacts import Wanted
    from exchange.cli.registering import run

    flags = Flags(
        role=role,
        office=office,
        email=email,
        phone=phone,
        phone_247=phone_247,
        hours=hours,
        zone=zone,
        channel=channel,
        urgent=urgent,
        languages=language or [],
        persons=person or [],
        mobiles=mobile or [],
        escalation=escalate or [],
        settings=setting or [],
    )
    wanted, given = Wanted(function, community, topic, instrument, note), Given(file, flags, text_language)
    run(call, lambda register: _edit(call, register, handle, wanted, given))


def confirm(
    call: Call,
    *,
    handles: Handles = None,
    every: Annotated[bool, typer.Option("--all", help="All of this home's, also those not due yet.")] = False,
) -> None:
    """Say that contact points are still true, without any change. Without a name: those that are due."""
    from exchange.cli.registering import run

    run(call, lambda register: _confirm(call, register, handles or [], every=every))


def end(call: Call, *, handle: Handle) -> None:
    """Say that a function is vacant. What was said of its persons is deleted everywhere."""
    from exchange.cli.registering import run

    run(call, lambda register: _end(call, register, handle))


def list_(call: Call, *, lang: LangOption = None) -> None:
    """List this home's contact points: what they are for, who nominates, and until when they are to be confirmed."""
    from exchange.cli.directory.book import Speaker, tell, view_of
    from exchange.cli.node.home import opened
    from exchange.cli.own_contacts import nominators, own

    speaker = Speaker(lang)
    with opened(call) as home:
        view, me = view_of(home), home.home.identity().address
    rows: list[dict[str, Any]] = [
        {
            "contact": entry.address,
            "function": entry.contact.function,
            "community": entry.contact.community,
            "topics": list(entry.contact.topics),
            "standing": entry.standing,
            "validated": entry.contact.validated,
            "validate_by": entry.contact.validate_by,
            "nominated_by": nominators(view.directory, entry.contact),
        }
        for entry in own(view.book, me)
    ]
    cells = [
        (
            row["contact"],
            speaker.function(row["function"]),
            ", ".join(row["topics"]),
            speaker.standing(row["standing"]),
            utc(row["validate_by"])[:10],
            ", ".join(row["nominated_by"]) or "-",
        )
        for row in rows
    ]
    head = speaker.head("contact", "function", "topics", "standing", "confirm-by", "nominated-by")
    tell(call, view, speaker, {"contacts": rows}, table(head, cells) if cells else ["none yet"])


# -- what they do ------------------------------------------------------------------------------------------------------


async def _add(call: Call, register: Register, typed: str, wanted: Wanted, given: Given) -> list[Submission]:
    from exchange.cli.own_contacts import address_here, function_of

    address = address_here(register.address, typed)
    book = await register.book()
    standing = book.contacts.get(address)
    if standing is not None and not standing.ended:
        raise Refused("cli.usage", f"{address} stands already: exchange directory contact edit {typed}")
    said = await _composed(register, address, {}, given)
    return await _state(call, register, address, (function_of(register.identity, wanted, None), said), None)


async def _edit(call: Call, register: Register, typed: str, wanted: Wanted, given: Given) -> list[Submission]:
    from exchange.cli.own_contacts import function_of, said_of, standing_here

    entry = standing_here(await register.book(), register.address, typed)
    before = said_of(entry, given=given.file is not None)
    said = await _composed(register, entry.address, before, given)
    stated = (function_of(register.identity, wanted, entry.contact), said)
    return await _state(call, register, entry.address, stated, entry)


async def _composed(
    register: Register,
    address: str,
    before: dict[str, dict[str, Any]],
    given: Given,
) -> Said:
    from exchange.cli.contact_form import compose, known_persons
    from exchange.node.app import real_sources
    from exchange.node.units import person_handle

    sources = real_sources()
    return compose(
        before,
        given,
        known=known_persons(part for part in await register.own_parts() if part.address == address),
        new_handle=lambda: person_handle(sources),
    )


async def _state(
    call: Call,
    register: Register,
    address: str,
    stated: tuple[Function, Said],
    entry: ContactEntry | None,
) -> list[Submission]:
    """Check, show, ask, hand in, and say who signs next."""
    from exchange.cli.own_contacts import check, check_note, differing, hand_in
    from exchange.cli.registering import change_lines, outcome_value

    check(*stated)
    check_note(register.replica.directory, address, stated[0])
    found = differing(*stated, entry)
    if not found:
        call.out.result(
            {"contact": address, "outcome": "unchanged", "id": "", "missing": [], "changes": []},
            ["nothing to change"],
            next_step=f"if it is all still true: exchange directory contact confirm {address}",
        )
        return []
    for line in change_lines(found):
        call.out.note(line)
    call.confirm(f"State this of {address} as {register.address}?")
    submission = await hand_in(register, address, *stated)
    value, next_step = await outcome_value(register, submission)
    call.out.result(
        {"contact": address, **value, "changes": [one.to_json() for one in found]},
        [f"contact {address}: {submission.outcome}"],
        next_step=next_step,
    )
    return [submission]


async def _confirm(call: Call, register: Register, typed: list[str], *, every: bool) -> list[Submission]:
    from exchange.cli.own_contacts import own, standing

    book = await register.book()
    chosen = _chosen(book, register.address, every=every)
    if typed:
        chosen = [standing(book, register.address, each) for each in typed]
    if not chosen:
        mine = own(book, register.address)
        until = min((entry.contact.validate_by for entry in mine), default=0)
        line = f"nothing is due until {utc(until)[:10]}" if mine else "no contact points here"
        call.out.result({"confirmed": []}, [line])
        return []
    done = [await register.registration.confirm(register.hub, entry.address) for entry in chosen]
    rows = [
        {"contact": entry.address, "outcome": one.outcome} for entry, one in zip(chosen, done, strict=True)
    ]
    call.out.result({"confirmed": rows}, [f"confirmed {row['contact']}: {row['outcome']}" for row in rows])
    return done


def _chosen(book: Book, me: str, *, every: bool) -> list[ContactEntry]:
    from exchange.cli.own_contacts import own

    return [entry for entry in own(book, me) if every or entry.standing != "validated"]


async def _end(call: Call, register: Register, typed: str) -> list[Submission]:
    from exchange.cli.own_contacts import standing

    entry = standing(await register.book(), register.address, typed)
    call.confirm(f"Say that {entry.address} ({entry.contact.function}) is vacant, and delete what it said?")
    submission = await register.registration.end_contact(register.hub, entry.address)
    call.out.result(
        {"contact": entry.address, "outcome": submission.outcome},
        [f"ended {entry.address}: {submission.outcome}"],
    )
    return [submission]
