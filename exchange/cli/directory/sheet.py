"""`exchange directory duty-sheet`: whom to call, on paper, for the hour when nothing else works.

Owns the sheet's looks, as text and as one self-contained HTML page. It is dated by the copy of the directory it was
made from and carries the digits of that checkpoint, so that two people can see whether they hold the same.
"""

from __future__ import annotations

from enum import Enum
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.directory.options import CountryOption, LangOption, TopicOption, country_code
from exchange.cli.output import one_line, safe, utc

if TYPE_CHECKING:
    from exchange.cli.directory.book import Speaker, View
    from exchange.directory.book import ContactEntry

_NO_LONGER: Final = "archived"
_WIDTH: Final = 400  # characters of a cell; what is longer is looked up in the directory

# No colour carries meaning, a box is never cut by a page's end, and no address outside the page is named.
_STYLE: Final = """
@page { size: A4; margin: 12mm }
body { font: 10pt/1.35 sans-serif; color: #000; background: #fff }
h1 { font-size: 15pt; margin: 0 } h2 { font-size: 12pt; margin: 4mm 0 1mm; border-bottom: 1px solid #000 }
.box { border: 1px solid #000; padding: 1.5mm 2mm; margin: 0 0 2mm; break-inside: avoid }
.phones { font-size: 13pt; font-weight: bold }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 3mm; margin: 1mm 0 0 }
dt { font-weight: bold } dd { margin: 0; overflow-wrap: anywhere }
.caution { border: 2px solid #000; padding: 1mm 2mm; font-weight: bold }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


class SheetFormat(Enum):
    """What the sheet is made as."""

    TEXT = "text"
    HTML = "html"


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "duty-sheet", role="node", unlocks=True)(duty_sheet)


def duty_sheet(
    call: Call,
    *,
    topic: TopicOption = None,
    country: CountryOption = None,
    lang: LangOption = None,
    as_format: Annotated[
        SheetFormat, typer.Option("--format", help="Text, or a page to print.")
    ] = SheetFormat.TEXT,
    output: Annotated[Path | None, typer.Option(help="File to write (only you may read it).")] = None,
) -> None:
    """Print whom to call: every contact with its phones, hours, languages and last test."""
    from exchange.cli.directory.book import Speaker, log_reads, look
    from exchange.storage.files import write_private

    view, speaker = look(call), Speaker(lang)
    wanted = country_code(country)
    entries = sorted(
        (
            entry
            for entry in view.book.living()
            if (not wanted or entry.country == wanted)
            and (not topic or topic.lower() in entry.contact.topics)
            and entry.standing != _NO_LONGER
        ),
        key=lambda entry: (entry.country, entry.address),
    )
    make = page if as_format is SheetFormat.HTML else sheet
    log_reads(view, entries)
    text = make(view, entries, speaker)
    value = {
        "contacts": [entry.address for entry in entries],
        "digits": view.digits,
        "file": str(output) if output else None,
        "replica": view.replica(),
    }
    if output:
        write_private(output, text.encode("utf-8"))
        call.out.result(value, [f"{output}: {len(entries)}"])
    else:
        call.out.result({**value, "sheet": text}, text.splitlines())


def _boxes(entry: ContactEntry, speaker: Speaker) -> list[tuple[str, str]]:
    """(label, text) of what a contact's box holds below its phones; empty ones are left out."""
    record, holders = entry.record, entry.holders
    people = []
    for person in record.persons if record else ():
        reach = holders.persons.get(person.handle) if holders else None
        known = (person.position, reach.phone_mobile if reach else "", reach.email if reach else "")
        people.append(" ".join([person.name, *(f"({each})" for each in known if each)]))
    channel = holders.emergency_channel if holders else None
    standing = speaker.standing(entry.standing)
    if entry.contact.suspect:
        standing += f"; {speaker.reason_word('suspect')}"
    facts = [
        ("topics", speaker.topics(entry.contact.topics)),
        ("hours", speaker.hours(entry.hours)),
        ("languages", speaker.languages(entry)),
        ("e-mail", (record.email_role or "") if record else ""),
        ("persons", "; ".join(people)),
        ("urgent", speaker.text(holders.urgent_procedure) if holders else ""),
        ("other", channel.instructions if channel else ""),
        ("standing", f"{standing}, {utc(entry.contact.validated)[:10]}"),
        ("last-test", speaker.test(entry)),
    ]
    return [(speaker.label(label), one_line(text, _WIDTH)) for label, text in facts if text]


def _head(entry: ContactEntry, speaker: Speaker) -> str:
    function = speaker.function(entry.contact.function)
    return f"{entry.address}: {function} ({speaker.community(entry.contact.community)})"


def _dated(view: View, speaker: Speaker) -> list[str]:
    made = {"at": utc(view.book.now), "size": view.directory.size, "known": utc(view.known)}
    return [speaker.label("printed", **made), f"{speaker.label('digits')}: {view.digits}"]


def sheet(view: View, entries: list[ContactEntry], speaker: Speaker) -> str:
    """The sheet as plain text of any width."""
    lines = [
        f"{speaker.label('sheet')}: {safe(view.directory.name)}",
        *_dated(view, speaker),
        speaker.label("caution"),
    ]
    country = None
    for entry in entries:
        if entry.country != country:
            country = entry.country
            lines += ["", f"== {country or '-'} =="]
        lines += ["", _head(entry, speaker), f"  {speaker.phones(entry) or speaker.label('none')}"]
        lines += [f"  {label}: {text}" for label, text in _boxes(entry, speaker)]
    return "\n".join(lines) + "\n"


def page(view: View, entries: list[ContactEntry], speaker: Speaker) -> str:
    """The sheet as an HTML page that asks nothing of any network."""
    title = escape(f"{speaker.label('sheet')}: {safe(view.directory.name)}")
    parts = [
        f'<!doctype html>\n<html lang="{speaker.language}">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>",
        *(f"<p>{escape(line)}</p>" for line in _dated(view, speaker)),
        f'<p class="caution">{escape(speaker.label("caution"))}</p>',
    ]
    country = None
    for entry in entries:
        if entry.country != country:
            country = entry.country
            parts.append(f"<h2>{escape(country or '-')}</h2>")
        phones = escape(speaker.phones(entry) or speaker.label("none"))
        facts = "".join(
            f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in _boxes(entry, speaker)
        )
        parts.append(
            f'<div class="box"><div>{escape(_head(entry, speaker))}</div>'
            f'<div class="phones">{phones}</div><dl>{facts}</dl></div>'
        )
    return "\n".join([*parts, "</body>\n</html>\n"])
