"""`exchange directory find | owner | search | who`: look-ups on this node's own copy, offline, told to nobody."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.directory.options import CountryOption, LangOption, TopicOption, country_code
from exchange.cli.output import one_line, pairs, table
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.canonical import Json
    from exchange.cli.directory.book import Speaker, View
    from exchange.directory.find import Hit
    from exchange.directory.owners import Owned
    from exchange.directory.search import Found

MOST_FOUND: Final = 200
MAX_LIST: Final = 64 * 1024 * 1024  # bytes of a file of addresses
MOST_ASKED: Final = 1_000_000


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "find", role="node", unlocks=True)(find)
    command(group, "owner", role="node", unlocks=True)(owner)
    command(group, "search", role="node", unlocks=True)(search)
    command(group, "who", role="node", unlocks=True)(who)


def find(
    call: Call,
    *,
    country: CountryOption = None,
    topic: TopicOption = None,
    function: Annotated[
        str | None, typer.Option(help="Function, such as technical_24x7, spoc or operational_tracing.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language that is spoken there, such as es.")] = None,
    community: Annotated[str | None, typer.Option(help="csirt, police, prosecution, ...")] = None,
    now: Annotated[bool, typer.Option("--now", help="Who answers at this moment comes first.")] = False,
    at: Annotated[str | None, typer.Option(help="Who answers then: 2026-12-01T12:00Z, or 4h.")] = None,
    urgent: Annotated[bool, typer.Option("--urgent", help="As --now, night phones first.")] = False,
    lang: LangOption = None,
) -> None:
    """Find whom to turn to, the best first, with the reason of each."""
    from exchange.cli.call import now_ms
    from exchange.cli.directory.book import Speaker, log_reads, look, tell
    from exchange.cli.when import parse_when
    from exchange.directory.find import Need, find as found_in
    from exchange.zones import zones

    asked_at = parse_when(at, now=now_ms()) if at else 0
    view, speaker = look(call), Speaker(lang)
    need = Need(
        country=country_code(country),
        topic=(topic or "").lower(),
        function=(function or "").lower(),
        language=language or "",
        community=(community or "").lower(),
        at=asked_at or (view.book.now if now else 0),
        urgent=urgent,
    )
    hits = found_in(view.book, need, zones)[:MOST_FOUND]
    lines = [line for number, hit in enumerate(hits, 1) for line in _hit_lines(number, hit, speaker)]
    lines = lines or [speaker.label("nobody")]
    log_reads(view, [hit.entry for hit in hits])
    tell(call, view, speaker, {"hits": [hit_json(hit) for hit in hits]}, lines)


def hit_json(hit: Hit) -> dict[str, Json]:
    """A hit as docs/cli.md promises it; codes, not words."""
    entry = hit.entry
    answering = hit.answering
    return {
        "address": entry.address,
        "answering": None
        if answering is None
        else {"now": answering.now, "until": answering.until or None, "why": answering.why},
        "community": entry.contact.community,
        "country": entry.country,
        "email": entry.record.email_role if entry.record else None,
        "function": entry.contact.function,
        "languages": [{"lang": each.lang, "level": each.level} for each in entry.languages],
        "member": entry.home.handle,
        "member_status": entry.home.member.status.value,
        "own_keys": entry.own_keys,
        "phones": [{"kind": kind, "number": number} for kind, number in entry.phones],
        "reasons": [{"code": reason.code, "facts": reason.facts} for reason in hit.reasons],
        "rung": hit.rung,
        "standing": entry.standing,
        "suspect": entry.contact.suspect,
        "topics": list(entry.contact.topics),
    }


def _hit_lines(number: int, hit: Hit, speaker: Speaker) -> list[str]:
    entry = hit.entry
    community = speaker.community(entry.contact.community)
    head = f"{number}. {entry.address}  {speaker.function(entry.contact.function)}"
    head += f" ({', '.join(filter(None, (entry.country, community)))})"
    record = entry.record
    facts = [
        (speaker.label("phones"), speaker.phones(entry)),
        (speaker.label("e-mail"), (record.email_role or "") if record else ""),
    ]
    shown = [f"   {line}" for line in pairs(facts)]
    return [head, *shown, *(f"   - {speaker.reason(reason)}" for reason in hit.reasons)]


def owner(
    call: Call,
    asked: Annotated[
        list[str],
        typer.Argument(
            metavar="IP|PREFIX|ASN|DOMAIN|FILE|-",
            help="Addresses, AS numbers or names; or a file of them, one a line (- is standard input).",
        ),
    ],
    lang: LangOption = None,
) -> None:
    """Say which member answers for addresses, AS numbers or domain names; a list is grouped by owner."""
    from exchange.cli.directory.book import Speaker, look, tell
    from exchange.directory.owners import Owners

    texts = _listed(asked[0]) if len(asked) == 1 else None
    view, speaker = look(call), Speaker(lang)
    owners = Owners.build(view.book)
    if texts is not None:
        _grouped(call, view, speaker, owners.group(texts))
        return
    found = [owners.owner(each) for each in asked]
    lines = [line for each in found for line in _owned_lines(each, speaker)]
    tell(call, view, speaker, {"owners": [_owned_json(each) for each in found]}, lines)


def _listed(source: str) -> list[str] | None:
    """The lines of a file or of standard input; None where `source` is neither.

    Raises Refused cli.bad-file, json.too-large.
    """
    path = Path(source)
    if source == "-":
        data = sys.stdin.buffer.read(MAX_LIST + 1)
    elif path.is_file():
        with path.open("rb") as file:
            data = file.read(MAX_LIST + 1)
    else:
        return None
    if len(data) > MAX_LIST:
        raise Refused("json.too-large", f"a list of more than {MAX_LIST} bytes")
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise Refused("cli.bad-file", "the list isn't UTF-8 text") from None
    asked = [line for line in lines if line and not line.startswith("#")]
    if len(asked) > MOST_ASKED:
        raise Refused("cli.bad-file", f"more than {MOST_ASKED} lines")
    return asked


def _grouped(call: Call, view: View, speaker: Speaker, groups: dict[str, list[str]]) -> None:
    from exchange.cli.directory.book import tell

    lines = []
    for member, addresses in groups.items():
        known = view.book.members.get(member)
        head = f"{member} ({known.member.country})" if known else speaker.label("no-owner")
        lines += [f"{head}: {len(addresses)}", *(f"  {one_line(each, 100)}" for each in addresses)]
    rows = [{"addresses": each, "member": member or None} for member, each in groups.items()]
    tell(call, view, speaker, {"groups": rows}, lines)


def _owned_json(owned: Owned) -> dict[str, Json]:
    return {
        "asked": owned.asked,
        "conflict": owned.conflict,
        "fault": owned.fault,
        "kind": owned.kind,
        "matches": [{"by": each.by, "claim": each.claim, "member": each.member} for each in owned.matches],
        "overlap": owned.overlap,
    }


def _owned_lines(owned: Owned, speaker: Speaker) -> list[str]:
    asked = one_line(owned.asked, 100)
    if owned.fault:
        return [f"{asked}: {speaker.label('unreadable', fault=owned.fault)}"]
    if not owned.matches:
        return [f"{asked}: {speaker.label('no-owner')}"]
    lines = []
    for match in owned.matches:
        note = "" if match.member in owned.nearest else f"  ({speaker.label('overlap')})"
        lines.append(f"{asked}: {match.member}  {match.by} {match.claim}{note}")
    if owned.conflict:
        lines.append(f"  {speaker.label('conflict', members=', '.join(owned.nearest))}")
    return lines


def search(
    call: Call,
    text: Annotated[
        list[str], typer.Argument(help="Words of a name, role, person, topic; accents don't matter.")
    ],
    lang: LangOption = None,
) -> None:
    """Find members and contact points by any word of their names and roles."""
    from exchange.cli.directory.book import Speaker, look
    from exchange.directory.search import search as found_in

    view = look(call)
    _show_found(call, view, Speaker(lang), found_in(view.book, " ".join(text)))


def who(
    call: Call,
    text: Annotated[
        list[str],
        typer.Argument(help="Digits heard on the telephone, the beginning of a key, an e-mail address."),
    ],
    lang: LangOption = None,
) -> None:
    """Say whose digits, key or e-mail domain this is."""
    from exchange.cli.directory.book import Speaker, look
    from exchange.directory.search import who as found_in

    view = look(call)
    _show_found(call, view, Speaker(lang), found_in(view.directory, view.book, " ".join(text)))


def _show_found(call: Call, view: View, speaker: Speaker, found: list[Found]) -> None:
    from exchange.cli.directory.book import tell

    rows: list[dict[str, Any]] = [
        {"address": each.address, "field": each.field, "text": each.text} for each in found[:MOST_FOUND]
    ]
    cells = [
        (each.address, _name(view, each.address, speaker), each.field, each.text)
        for each in found[:MOST_FOUND]
    ]
    lines = table(("address", "name", "field", "text"), cells) if rows else [speaker.label("nobody")]
    tell(call, view, speaker, {"found": rows}, lines)


def _name(view: View, address: str, speaker: Speaker) -> str:
    if address in view.book.members:
        return speaker.text(view.book.members[address].names) or address
    contact = view.book.contacts.get(address)
    return speaker.function(contact.contact.function) if contact else address
