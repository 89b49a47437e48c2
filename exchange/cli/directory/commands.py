"""`exchange directory members | show`: who is in the network, from this node's own copy of the log; works offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.directory.options import LangOption
from exchange.cli.output import one_line, pairs, table, utc

if TYPE_CHECKING:
    from exchange.cli.directory.book import Speaker
    from exchange.directory.book import ContactEntry, MemberEntry
    from exchange.directory.members import Member
    from exchange.directory.records import Person, Reach
    from exchange.directory.state import Directory

_RESTRICTED: Final = ("holders", "owner")
READS_ALL: Final = "owner"  # what a node doesn't hold isn't there to be shown


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "members", role="node", unlocks=True)(members)
    command(group, "show", role="node", unlocks=True)(show)


def members(call: Call) -> None:
    """List the members."""
    from exchange.cli.node.home import opened

    with opened(call) as home:
        directory = home.directory
    rows = [_row(directory, one) for _, one in sorted(directory.members.items())]
    cells = [
        (row["member"], row["country"] or "-", row["class"], row["status"], utc(row["since"])) for row in rows
    ]
    lines = table(("member", "country", "class", "status", "since"), cells) if rows else ["no members yet"]
    call.out.result({"members": rows, "size": directory.size}, lines)


def show(
    call: Call,
    member: Annotated[
        str,
        typer.Argument(metavar="MEMBER|CONTACT", help="Handle of a member, or address of a contact point."),
    ],
    lang: LangOption = None,
) -> None:
    """Show a member with the digits of its keys to compare by voice, or a contact point: all that this node holds."""
    from exchange.cli.directory.book import Speaker, log_reads, look, tell

    view, speaker = look(call), Speaker(lang)
    if member in view.book.contacts:
        entry = view.book.contacts[member]
        log_reads(view, [entry], _RESTRICTED)
        card = {"contact": view.book.card(member, READS_ALL)}
        tell(call, view, speaker, card, pairs(_contact_facts(entry, speaker)))
        return
    row = _row(view.directory, view.directory.member(member))
    home = view.book.members[member]
    contacts = [view.book.contacts[address] for address in home.contacts]
    cells = [
        (
            each.address,
            speaker.function(each.contact.function),
            speaker.standing(each.standing),
            speaker.phones(each),
        )
        for each in contacts
    ]
    lines = [
        *pairs(_member_facts(row, home, speaker)),
        *(table(speaker.head("contact", "function", "standing", "phones"), cells) if cells else []),
    ]
    log_reads(view, contacts, _RESTRICTED)
    cards = [view.book.card(each.address, READS_ALL) for each in contacts]
    value = {**row, "card": view.book.card(member, READS_ALL), "contacts": cards}
    tell(call, view, speaker, value, lines)


def _member_facts(row: dict[str, Any], home: MemberEntry, speaker: Speaker) -> list[tuple[str, str]]:
    public, shared = home.public, home.shared
    facts = [
        ("member", row["member"]),
        ("name", speaker.text(home.names)),
        ("country", row["country"]),
        ("class", row["class"]),
        ("status", row["status"]),
        ("since", utc(row["since"])),
        ("digits", row["digits"]),
        ("key", _key_fact(row)),
        ("can be sealed to until", utc(row["prekeys_until"])),
    ]
    if public:
        facts += [
            ("constituency", speaker.text(public.constituency_text)),
            (speaker.label("languages"), ", ".join(each.lang for each in public.languages)),
            (speaker.label("hours"), speaker.hours(public.office_hours)),
            ("rfc 2350", public.rfc2350_url or ""),
        ]
    if shared:
        facts += [
            ("legal basis", shared.legal_basis.text if shared.legal_basis else ""),
            ("nominated by", shared.nominating_authority),
        ]
    if home.claims:
        claims = home.claims
        counted = f"{len(claims.asn)} AS, {len(claims.prefix)} prefixes, {len(claims.domain)} domains"
        facts.append(("approved claims", counted))
    return facts


def _key_fact(row: dict[str, Any]) -> str:
    """That the key can't be trusted any more, since when; else empty."""
    if not row["revoked_at"]:
        return ""
    return f"REVOKED {utc(row['revoked_at'])}: nothing is sealed to it, and what it signs counts no more"


def _contact_facts(entry: ContactEntry, speaker: Speaker) -> list[tuple[str, str]]:
    contact, record, holders = entry.contact, entry.record, entry.holders
    standing = speaker.standing("ended" if entry.ended else entry.standing)
    facts = [
        (speaker.label("contact"), entry.address),
        (speaker.label("function"), f"{contact.function}: {speaker.function(contact.function)}"),
        (speaker.label("country"), entry.country),
        (speaker.label("community"), speaker.community(contact.community)),
        (speaker.label("topics"), speaker.topics(contact.topics)),
        (speaker.label("instruments"), ", ".join(contact.instruments)),
        (speaker.label("standing"), f"{standing}, {utc(contact.ended or contact.validated)}"),
        (speaker.label("since"), utc(contact.since) if entry.ended else ""),
        (speaker.label("last-test"), speaker.test(entry)),
        (speaker.label("keys"), speaker.label("own-keys") if entry.own_keys else ""),
        (speaker.label("phones"), speaker.phones(entry)),
        (speaker.label("hours"), speaker.hours(entry.hours)),
        (speaker.label("languages"), speaker.languages(entry)),
    ]
    if record:
        reach = holders.persons if holders else {}
        people = (_person(each, reach.get(each.handle), speaker) for each in record.persons)
        facts += [
            (speaker.label("role"), speaker.text(record.role_name)),
            (speaker.label("e-mail"), record.email_role or ""),
            (speaker.label("persons"), one_line("; ".join(people), 400)),
        ]
    if holders:
        facts.append((speaker.label("urgent"), speaker.text(holders.urgent_procedure)))
    return facts


def _person(person: Person, reach: Reach | None, speaker: Speaker) -> str:
    """`Ana Quispe (Head of duty, deputy) +51955501000`; numbers only where this node holds them."""
    what = [person.position, speaker.label(person.role)]
    numbers = (reach.phone_mobile, reach.email) if reach else ()
    return " ".join([f"{person.name} ({', '.join(filter(None, what))})", *filter(None, numbers)])


def _row(directory: Directory, member: Member) -> dict[str, Any]:
    from exchange.keys import member_digits

    refs = directory.prekeys(member.handle)
    key = directory.key_standing(member.handle, member.keys.signing.skid(directory.net))
    return {
        "member": member.handle,
        "country": member.country,
        "class": member.member_class,
        "status": member.status.value,
        "since": member.since,
        "digits": member_digits(directory.net, member.handle, member.keys),
        "prekeys_until": max((ref.until for ref in refs), default=None),
        "revoked_at": key.at if key.state == "revoked" else 0,
    }
