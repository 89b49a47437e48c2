"""`exchange node paste`: the indicators of a pasted text as a table; a draft or a message of those confirmed.

Owns the verb: which rows are taken, and what is asked. What is found is `formats/indicators/paste`'s business.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.losses import as_json, tell_doubts
from exchange.cli.output import one_line, safe, table
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.compose import Flags
    from exchange.cli.draft_files import Draft
    from exchange.formats.indicators.paste import Found
    from exchange.pap import Pap
    from exchange.tlp import Tlp

MAX_SHOWN: Final = 300  # characters of a value
_ROW: Final = re.compile(r"[0-9]{1,9}")
Text = typer.Option


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "paste", role="node", unlocks=True)(paste)


def paste(
    call: Call,
    *,
    source: Annotated[
        str, typer.Argument(metavar="FILE|-", help="The text; - is standard input, which needs --yes.")
    ] = "-",
    exclude: Annotated[list[str] | None, Text(help="Rows that aren't taken: 3,5-7.")] = None,
    include: Annotated[list[str] | None, Text(help="Rows that are taken in spite of a doubt.")] = None,
    draft: Annotated[Path | None, Text(help="File to write them to, for `exchange node send`.")] = None,
    to: Annotated[list[str] | None, Text(help="Addressees, as of `send`: send them at once.")] = None,
    kind: Annotated[str, Text(help="Kind of the message.")] = "alert",
    tlp: Annotated[
        str,
        Text(
            help="Label of the indicators: clear, green, amber, amber+strict. A stricter one in the text wins."
        ),
    ] = "amber+strict",
    urgency: Annotated[str | None, Text(help="flash, immediate, priority or routine.")] = None,
    case: Annotated[str | None, Text(help="Case id; else a new one.")] = None,
    exercise: Annotated[str | None, Text(help="Id of the exercise that the message is of.")] = None,
    subject: Annotated[str, Text(help="Subject; else the file's name.")] = "",
    text: Annotated[str, Text(help="Text of the message.")] = "",
) -> None:
    """Find the indicators in a text. Nothing leaves without --draft or --to, and a yes."""
    from exchange.cli.compose import Flags
    from exchange.cli.draft_files import write_draft
    from exchange.formats.indicators.paste import extract, said_in
    from exchange.tlp import parse, strictest

    if draft is not None and to:
        raise Refused("cli.usage", "--draft writes a file, --to sends at once: say one of them")
    asked = parse(tlp)
    pasted = _read(source)
    found = extract(pasted)
    said = said_in(pasted)
    label, pap = strictest([asked, said.tlp]), said.pap_or_none
    doubts = said.doubts(over=asked)
    taken = _taken(found, exclude, include)
    shown = _table(found, taken)
    value: dict[str, Any] = {
        "found": [_row(number, each, taken) for number, each in enumerate(found, 1)],
        "taken": len(taken),
        "tlp": label.label,
        "pap": pap.label if pap else None,
        "doubts": as_json(doubts),
        "draft": None,
        "sent": None,
    }
    tell_doubts(call, doubts, file="" if source == "-" else Path(source).name)
    if draft is None and not to:
        call.out.result(
            value, shown, next_step="the same with --draft FILE, or --to ADDRESS" if taken else ""
        )
        return
    if not taken:
        raise Refused("cli.nothing-to-send", "no row of the text is taken")
    for line in shown:
        call.out.note(line)
    ready = _draft(source, pasted, [found[number - 1] for number in sorted(taken)], label, pap)
    of = f"{len(taken)} of {len(found)} indicators"
    if draft is not None:
        call.confirm(f"Write {of} to {draft}, {label.label}?")
        write_draft(draft, ready)
        drill = f" --exercise {exercise}" if exercise else ""
        step = f"exchange node send {draft} --to ADDRESS --kind {kind}{drill}"
        call.out.result({**value, "draft": str(draft)}, [f"wrote {draft}: {of}"], next_step=step)
        return
    flags = Flags(
        kind=kind, tlp=tlp, urgency=urgency, case=case, exercise=exercise, subject=subject, text=text
    )
    sent, recipients = _send(call, ready, flags, to or (), of)
    lines = [f"sent {sent} to {', '.join(recipients)}: {of}"]
    call.out.result({**value, "sent": sent}, lines, next_step=f"exchange node report {sent[:8]}")


def _read(source: str) -> str:
    """The text of a file or of standard input. Raises Refused cli.bad-file, format.bad-file, json.too-large."""
    from exchange.cli.compose import read_bounded
    from exchange.formats.indicators.paste import MAX_TEXT
    from exchange.formats.spreadsheet import decoded

    if source != "-":
        return decoded(read_bounded(Path(source)))
    data = sys.stdin.buffer.read(4 * MAX_TEXT + 1)  # a character takes at most four bytes
    return decoded(data)


def _taken(found: Sequence[Found], exclude: list[str] | None, include: list[str] | None) -> set[int]:
    """The numbers of the rows that are taken, from 1. Raises Refused cli.usage."""
    sure = {number for number, each in enumerate(found, 1) if each.taken}
    return (sure | _numbers(include, len(found))) - _numbers(exclude, len(found))


def _numbers(given: list[str] | None, most: int) -> set[int]:
    """`3,5-7` as numbers of rows that there are."""
    from exchange.cli.node.send import words

    numbers: set[int] = set()
    for each in words(given):
        first, _, last = each.partition("-")
        if not _ROW.fullmatch(first) or not _ROW.fullmatch(last or first):
            raise Refused("cli.usage", f"rows are numbers such as 3,5-7; {safe(each)[:32]!r} is none")
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= most:
            raise Refused("cli.usage", f"the table has the rows 1 to {most}")
        numbers |= set(range(low, high + 1))
    return numbers


def _table(found: Sequence[Found], taken: set[int]) -> list[str]:
    from exchange.formats.indicators.defang import defang

    if not found:
        return ["no indicators found"]
    rows = [
        (
            str(number),
            "yes" if number in taken else "no",
            each.indicator.kind.value,
            str(each.line),
            str(each.times),
            each.indicator.doubt or "-",
        )
        for number, each in enumerate(found, 1)
    ]
    # The whole value, for it is what a person confirms.
    values = ["VALUE", *(one_line(defang(each.indicator.value), MAX_SHOWN) for each in found)]
    lines = table(("row", "taken", "type", "line", "times", "doubt"), rows)
    width = max(map(len, lines))
    return [f"{line:<{width}}  {value}" for line, value in zip(lines, values, strict=True)]


def _row(number: int, each: Found, taken: set[int]) -> dict[str, Any]:
    """A row as docs/cli.md promises it."""
    return {
        "row": number,
        "taken": number in taken,
        "type": each.indicator.kind.value,
        "value": each.indicator.value,
        "line": each.line,
        "times": each.times,
        "doubt": each.indicator.doubt,
    }


def _draft(source: str, pasted: str, kept: Sequence[Found], label: Tlp, pap: Pap | None) -> Draft:
    from exchange.cli.draft_files import Draft
    from exchange.formats.indicators.paste import objects
    from exchange.formats.stix.time import to_stix

    name = "Pasted indicators" if source == "-" else Path(source).name
    return Draft(name, objects(kept, pasted, at=to_stix(now_ms()), tlp=label, pap=pap))


def _send(call: Call, ready: Draft, flags: Flags, to: Sequence[str], of: str) -> tuple[str, list[str]]:
    """Send it; the message's id and its addressees. Who may not have it is refused before anybody is asked."""
    from dataclasses import replace

    from exchange.cli.addressees import audience_of, note_unsealed, resolved
    from exchange.cli.draft_files import composed_draft
    from exchange.cli.node.home import opened, wake
    from exchange.cli.node.send import submit, words

    with opened(call) as home:
        targets = resolved(call, home, words(to), cross_community=False)
        recipients = list(dict.fromkeys(target.address for target in targets))
        flags = replace(flags, audience_function=audience_of(targets))
        composed = composed_draft(home, ready, flags, recipients)
        call.confirm(f"Send {of} to {', '.join(recipients)}, {composed.message.tlp.label}?")
        submit(home, composed, recipients, separate=False)
        note_unsealed(call, home, recipients)
        wake(call, home.home)
    return composed.message.id, recipients
