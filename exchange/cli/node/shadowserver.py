"""`exchange node shadowserver`: daily reports sorted by the owners of their addresses; each owner is sent its own rows.

Owns the verb and what it prints. How a report is read and grouped is `formats/shadowserver`'s, whose an address is
`directory/owners`' business. Rows of nobody, of several claimants, or of this member itself are listed and never sent.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.errors import REFUSED
from exchange.cli.losses import as_json, tell_doubts
from exchange.cli.output import safe, table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.compose import Composed
    from exchange.cli.draft_files import Draft
    from exchange.cli.node.home import Opened
    from exchange.formats.objects import SetAside
    from exchange.formats.shadowserver import Groups, Report, Row
    from exchange.node.doors.constituents import Served
    from exchange.tlp import Tlp

MAX_REPORTS: Final = 200
MAX_TOTAL: Final = 67_108_864  # bytes of all reports of one call: their rows are held at once
MOST_SHOWN: Final = 20  # rows without an owner, by name
SEVERITIES: Final = ("critical", "high", "medium", "low", "info")
NOT_SENT: Final = {
    "": "nobody in the directory claims the address",
    "own": "this member's own",
    "disputed": "claimed alike: officers must settle it",
}


@dataclass(frozen=True)
class Sorted:
    """One report, sorted."""

    path: Path
    digest: str
    report: Report
    groups: Groups


@dataclass(frozen=True)
class Ready:
    """What goes to one owner. `file`: its name as a draft; `key`: the same for the same rows of the same report."""

    member: str
    draft: Draft
    file: str
    key: str


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "shadowserver", role="node", unlocks=True)(shadowserver)


def shadowserver(
    call: Call,
    *,
    file: Annotated[list[Path], typer.Argument(help="Daily reports as they came, CSV.")],
    drafts: Annotated[
        Path | None,
        typer.Option(help="Folder to write one file for each owner to, for `exchange node send`."),
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="Send each owner its rows.")] = False,
    tlp: Annotated[
        str, typer.Option(help="Label of the rows. A stricter one in a report's comments wins.")
    ] = "amber",
    urgency: Annotated[str, typer.Option(help="flash, immediate, priority or routine.")] = "routine",
) -> None:
    """Sort Shadowserver's reports by the owners of their addresses. Nothing leaves without --drafts or --send."""
    from exchange import tlp as labels
    from exchange.cli.directory.book import view_of
    from exchange.cli.node.home import opened, wake
    from exchange.directory.network import member_of
    from exchange.directory.owners import Owners
    from exchange.formats.shadowserver import grouped
    from exchange.node.doors.constituents import Served

    if len(file) > MAX_REPORTS or (drafts and send):
        raise Refused("cli.usage", f"at most {MAX_REPORTS} reports, and --drafts or --send")
    label = labels.parse(tlp)
    reports = list(_read(file))
    for path, _, report in reports:
        tell_doubts(call, report.said.doubts(over=label), file=path.name)
    with opened(call) as home:
        owners = Owners.build(view_of(home).book)
        own = member_of(home.home.identity().address)
        found = [Sorted(*read, grouped(read[2].rows, owners)) for read in reports]
        value = _value(found, own, Served(home.constituents.listed()), label)
        lines = _lines(value)
        if not drafts and not send:
            step = "the same with --drafts FOLDER, or --send" if value["owners"] else ""
            call.out.result(value, lines, next_step=step)
            return
        for line in lines:
            call.out.note(line)
        if not value["owners"]:
            raise Refused("cli.nothing-to-send", "no row has an owner to send it to")
        ready = [each for one in found for each in _ready(one, own, label)]
        if drafts is None:
            _send(call, home, value, ready, tlp=tlp, urgency=urgency)
            wake(call, home.home)
            done = [f"sent {each['id']} to {each['to']}: {each['subject']}" for each in value["sent"]]
            call.out.result(value, done, next_step="exchange node status")
            if value["refused"]:
                raise typer.Exit(REFUSED)
            return
    _write(call, value, drafts, ready)


def _read(files: Sequence[Path]) -> Iterator[tuple[Path, str, Report]]:
    """Each file with the hash of its bytes. Raises Refused cli.bad-file, cli.usage, format.bad-file."""
    from exchange.formats.shadowserver import read_report

    left = MAX_TOTAL
    for path in files:
        try:
            with path.open("rb") as stream:
                data = stream.read(left + 1)
        except OSError as error:
            raise Refused("cli.bad-file", f"can't read {path}: {error.strerror}") from error
        left -= len(data)
        if left < 0:
            raise Refused("cli.usage", f"reports of more than {MAX_TOTAL} bytes together: give fewer at once")
        yield path, hashlib.sha256(data).hexdigest(), read_report(path.name, data)


def _ready(one: Sorted, own: str, label: Tlp) -> Iterator[Ready]:
    """What goes to each owner: a draft, or several where one message can't hold all."""
    from exchange.cli.draft_files import Draft
    from exchange.formats.shadowserver import parts
    from exchange.tlp import strictest

    day, said = utc(max(row.at for row in one.report.rows))[:10], one.report.said
    for member, owned in sorted(one.groups.owned.items()):
        if member == own:
            continue
        all_parts = list(parts(one.report.kind, owned, strictest([label, said.tlp]), said.pap_or_none))
        for number, objects in enumerate(all_parts, 1):
            several = len(all_parts) > 1
            of = f" ({number} of {len(all_parts)})" if several else ""
            draft = Draft(f"Shadowserver {one.report.kind} {day}{of}", objects)
            file = f"{member}-{one.path.stem}{f'-{number}' if several else ''}.json"
            rows = hashlib.sha256(b"".join(each.data for each in objects)).hexdigest()
            yield Ready(member, draft, file, f"{one.digest}/{member}/{rows}")


def _send(
    call: Call, home: Opened, value: dict[str, Any], ready: Sequence[Ready], *, tlp: str, urgency: str
) -> None:
    """Everything is composed and judged before anything is sent; what was sent before isn't sent again.

    Raises Refused, the first refusal where none may be sent anything.
    """
    from exchange.cli.node.send import submit

    composed: list[tuple[Ready, Composed]] = []
    refusals: list[Refused] = []
    for one in ready:
        try:
            composed.append((one, _composed(home, one, tlp, urgency)))
        except Refused as refusal:
            refusals.append(refusal)
            call.out.warn(f"not sent to {one.member}: {refusal.code}: {safe(refusal.detail)}")
            value["refused"].append(
                {"to": one.member, "subject": one.draft.name, "code": refusal.code, "reason": refusal.detail}
            )
    if not composed:
        raise refusals[0]
    call.confirm(f"Send {len(composed)} messages to {len({one.member for one, _ in composed})} owners?")
    for one, each in composed:
        row = {"id": each.message.id, "to": one.member, "subject": one.draft.name}
        if submit(home, each, [one.member], separate=False):
            value["sent"].append(row)
        else:
            call.out.warn(f"sent before, as {row['id']}, to {one.member}: {one.draft.name}")
            value["sent_before"].append(row)


def _composed(home: Opened, one: Ready, tlp: str, urgency: str) -> Composed:
    """The message under an id made of the report and its owner, so that a second run sends it once."""
    from exchange.cli.compose import Flags
    from exchange.cli.draft_files import composed_draft

    network, ids = uuid.UUID(bytes=home.home.identity().net[:16]), itertools.count()
    flags = Flags(kind="alert", tlp=tlp, urgency=urgency, subject=one.draft.name)
    return composed_draft(
        home,
        one.draft,
        flags,
        [one.member],
        new_uuid=lambda: uuid.uuid5(network, f"shadowserver/{one.key}/{next(ids)}"),
    )


def _write(call: Call, value: dict[str, Any], folder: Path, ready: Sequence[Ready]) -> None:
    """Every name is looked at first: all of them are written, or none."""
    from exchange.cli.draft_files import write_draft

    paths = [folder / one.file for one in ready]
    there = [path for path in paths if path.exists()]
    if there or len(set(paths)) < len(paths):
        raise Refused(
            "cli.bad-file",
            f"{there[0]} is there already; nothing was written" if there else "two reports have one name",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    for one, path in zip(ready, paths, strict=True):
        write_draft(path, one.draft)
        written.append({"to": one.member, "file": str(path)})
    value["drafts"] = written
    lines = [f"wrote {each['file']} for {each['to']}" for each in written]
    steps = [f"exchange node send {each['file']} --to {each['to']} --kind alert" for each in written[:3]]
    call.out.result(value, lines, next_step="\n      ".join(steps))


def _value(found: Sequence[Sorted], own: str, served: Served, label: Tlp) -> dict[str, Any]:
    """As docs/cli.md promises it; of this member's own rows, whose among its constituents each is."""
    owners: dict[str, list[Row]] = {}
    held: dict[str, list[tuple[Row, list[str]]]] = {why: [] for why in NOT_SENT}
    aside: list[tuple[Path, SetAside]] = []
    for one in found:
        for member, rows in one.groups.owned.items():
            if member == own:
                held["own"] += ((row, served.names(row.address, row.asn) or [own]) for row in rows)
            else:
                owners.setdefault(member, []).extend(rows)
        held[""] += ((row, []) for row in one.groups.unowned)
        held["disputed"] += (
            (row, list(names)) for names, rows in one.groups.disputed.items() for row in rows
        )
        aside += ((one.path, each) for each in one.report.set_aside)
    return {
        "owners": [_owner(member, rows) for member, rows in sorted(owners.items())],
        "not_sent": [
            {
                "address": row.address,
                "asn": row.asn or None,
                "country": row.country,
                "why": why,
                "claimed_by": by,
            }
            for reason, why in NOT_SENT.items()
            for row, by in held[reason]
        ],
        "set_aside": [
            {"file": str(path), "line": each.object, "code": each.code, "reason": each.reason}
            for path, each in aside
        ],
        "doubts": [
            row for one in found for row in as_json(one.report.said.doubts(over=label), file=str(one.path))
        ],
        "drafts": [],
        "sent": [],
        "sent_before": [],
        "refused": [],
    }


def _owner(member: str, rows: Sequence[Row]) -> dict[str, Any]:
    severities = Counter(row.cells.get("severity", "") for row in rows)
    return {
        "member": member,
        "rows": len(rows),
        "addresses": len({row.address for row in rows}),
        "severity": {name: severities[name] for name in SEVERITIES if severities[name]},
    }


def _lines(value: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            one["member"],
            str(one["rows"]),
            str(one["addresses"]),
            ", ".join(f"{count} {name}" for name, count in one["severity"].items()),
        )
        for one in value["owners"]
    ]
    lines = (
        table(("owner", "rows", "addresses", "severity"), rows)
        if rows
        else ["no row has an owner to send it to"]
    )
    reasons = Counter(one["why"] for one in value["not_sent"])
    for why, count in reasons.items():
        lines.append(f"not sent, {why}: {count} rows")
        shown = [one for one in value["not_sent"] if one["why"] == why][:MOST_SHOWN]
        for one in shown:
            system = f"AS{one['asn']}" if one["asn"] else "-"
            by = f"  {', '.join(one['claimed_by'])}" if one["claimed_by"] else ""
            lines.append(f"  {one['address']}  {system}  {one['country'] or '-'}{by}")
        if count > len(shown):
            lines.append(f"  and {count - len(shown)} more; --json has them all")
    lines += [
        f"set aside: {one['file']} {one['line']}: {one['reason']}" for one in value["set_aside"][:MOST_SHOWN]
    ]
    return lines
