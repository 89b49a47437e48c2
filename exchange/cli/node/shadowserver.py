"""`exchange node shadowserver`: daily reports sorted by the owners of their addresses; each owner is sent its own rows.

Owns the verb and what it prints. How a report is read and grouped is `formats/shadowserver`'s, whose an address is
`directory/owners`' business. Rows of nobody, of several claimants, or of this member itself are listed and never sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.draft_files import Draft
    from exchange.cli.node.home import Opened
    from exchange.formats.objects import SetAside
    from exchange.formats.shadowserver import Groups, Report, Row
    from exchange.node.doors.constituents import Served
    from exchange.tlp import Tlp

MAX_REPORTS: Final = 200
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
    report: Report
    groups: Groups


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
    tlp: Annotated[str, typer.Option(help="Label of the rows.")] = "amber",
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
    reports = [(path, _read(path)) for path in file]
    with opened(call) as home:
        owners = Owners.build(view_of(home).book)
        own = member_of(home.home.identity().address)
        found = [Sorted(path, report, grouped(report.rows, owners)) for path, report in reports]
        value = _value(found, own, Served(home.constituents.listed()))
        lines = _lines(value)
        if not drafts and not send:
            step = "the same with --drafts FOLDER, or --send" if value["owners"] else ""
            call.out.result(value, lines, next_step=step)
            return
        for line in lines:
            call.out.note(line)
        if not value["owners"]:
            raise Refused("cli.nothing-to-send", "no row has an owner to send it to")
        ready = [(member, one) for each in found for member, one in _drafts(each, own, label)]
        if drafts is None:
            call.confirm(f"Send {len(ready)} messages to {len(value['owners'])} owners?")
            value["sent"] = [_send(home, member, one, tlp, urgency) for member, one in ready]
            wake(call, home.home)
            done = [f"sent {each['id']} to {each['to']}: {each['subject']}" for each in value["sent"]]
            call.out.result(value, done, next_step="exchange node status")
            return
    _write(call, value, drafts, ready)


def _read(path: Path) -> Report:
    """Raises Refused cli.bad-file, format.bad-file."""
    from exchange.formats.shadowserver import MAX_BYTES, read_report

    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused("cli.bad-file", f"can't read {path}: {error.strerror}") from error
    return read_report(path.name, data)


def _drafts(one: Sorted, own: str, label: Tlp) -> Iterator[tuple[str, Draft]]:
    """What goes to each owner: a draft, or several where one message can't hold all."""
    from exchange.cli.draft_files import Draft
    from exchange.formats.shadowserver import parts

    day = utc(max(row.at for row in one.report.rows))[:10]
    for member, owned in sorted(one.groups.owned.items()):
        if member == own:
            continue
        all_parts = list(parts(one.report.kind, owned, label))
        for number, objects in enumerate(all_parts, 1):
            of = f" ({number} of {len(all_parts)})" if len(all_parts) > 1 else ""
            yield member, Draft(f"Shadowserver {one.report.kind} {day}{of}", objects)


def _send(home: Opened, member: str, one: Draft, tlp: str, urgency: str) -> dict[str, str]:
    from exchange.cli.compose import Flags
    from exchange.cli.draft_files import send_draft

    flags = Flags(kind="alert", tlp=tlp, urgency=urgency, subject=one.name)
    composed = send_draft(home, one, flags, [member])
    return {"id": composed.message.id, "to": member, "subject": one.name}


def _write(call: Call, value: dict[str, Any], folder: Path, ready: Sequence[tuple[str, Draft]]) -> None:
    from exchange.cli.draft_files import write_draft

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    for member, one in ready:
        name = one.name.removeprefix("Shadowserver ").replace(" ", "-").replace("(", "").replace(")", "")
        path = folder / f"{member}-{name}.json"
        write_draft(path, one)
        written.append({"to": member, "file": str(path)})
    value["drafts"] = written
    lines = [f"wrote {each['file']} for {each['to']}" for each in written]
    steps = [f"exchange node send {each['file']} --to {each['to']} --kind alert" for each in written[:3]]
    call.out.result(value, lines, next_step="\n      ".join(steps))


def _value(found: Sequence[Sorted], own: str, served: Served) -> dict[str, Any]:
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
        "drafts": [],
        "sent": [],
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
