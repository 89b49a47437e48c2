"""`exchange directory import FILE.csv | export`: contact points as lists, in and out.

Owns the preview and what an import then states; `directory/files` sends other files elsewhere. Columns, cells and what
differs are formats/contacts/table's business, the cards formats/contacts/vcard's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.directory.options import TopicOption
from exchange.cli.output import one_line, safe
from exchange.errors import ExchangeError, Refused

if TYPE_CHECKING:
    from exchange.cli.contact_form import Said
    from exchange.cli.directory.book import View
    from exchange.cli.registering import Change, Register
    from exchange.directory.book import Book, ContactEntry
    from exchange.directory.contacts import Part
    from exchange.directory.submission import Submission
    from exchange.formats.contacts.preview import Change as Laid
    from exchange.formats.contacts.table import Table
    from exchange.node.directory.registration import Function
    from exchange.node.identity import Identity


_WRITTEN_ONLY: Final = ("country", "standing")  # columns of an export that nobody states by a list


class ExportFormat(Enum):
    """What a list is written as."""

    CSV = "csv"
    JSON = "json"
    VCARD = "vcard"


class ExportLevel(Enum):
    """Whom a list is for: each reads what those before it do."""

    PUBLIC = "public"
    MEMBERS = "members"
    HOLDERS = "holders"


@dataclass(frozen=True)
class Wish:
    """How to take a list in: in earnest, ending what it leaves out, on a note verbale, its texts in `language`."""

    apply: bool = False
    end_dropped: bool = False
    note: Path | None = None
    language: str = "es"


@dataclass(frozen=True)
class Step:
    """A contact point that an import would state, and what would be another than now."""

    address: str
    function: Function
    said: Said
    changes: list[Change]
    new: bool


@dataclass
class Plan:
    """What an import would do. `faults`: (line, why) of the lines that can't be used."""

    steps: list[Step] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    not_ours: list[str] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As docs/cli.md promises it."""
        rows = [
            {"contact": one.address, "new": one.new, "changes": [each.to_json() for each in one.changes]}
            for one in self.steps
        ]
        return {
            "added": [row for row in rows if row["new"]],
            "changed": [row for row in rows if not row["new"]],
            "unchanged": self.unchanged,
            "dropped": self.dropped,
            "not_ours": self.not_ours,
            "faults": [{"line": line, "why": why} for line, why in self.faults],
            "ignored_columns": self.ignored,
        }


def register(group: typer.Typer) -> None:
    """Add the verb to the group; `import` is one verb for all kinds of files, in `directory/files`."""
    command(group, "export", role="node", unlocks=True)(export)


# -- import ----------------------------------------------------------------------------------------------------------


def import_table(call: Call, file: Path, data: bytes, wish: Wish) -> None:
    """Compare a list with the directory; with `apply` state what this home's own contact points are to be.

    Raises Refused cli.bad-file.
    """
    from exchange.cli.directory.book import view_of
    from exchange.cli.node.home import opened
    from exchange.cli.registering import own_parts, run

    with opened(call) as home:
        view, identity = view_of(home), home.home.identity()
        parts = home.store.db.read_sync(lambda c: own_parts(c, home.store.cipher))
    table = _read(data, identity, wish)
    if not wish.apply:
        plan = _plan(view.book, identity, parts, table, wish)
        then = f"exchange directory import {file} --apply" if plan.steps else ""
        call.out.result(
            {"file": str(file), **plan.to_json(), "submitted": []},
            _lines(plan) + ([] if plan.steps else ["nothing to change"]),
            next_step=then,
        )
        return
    run(call, lambda register: _apply(call, register, file, table, wish))


def _read(data: bytes, identity: Identity, wish: Wish) -> Table:
    from exchange.directory.network import member_of
    from exchange.formats.contacts.table import read_table

    return read_table(data, member=member_of(identity.address), language=wish.language)


async def _apply(call: Call, register: Register, file: Path, table: Table, wish: Wish) -> list[Submission]:
    from exchange.cli.own_contacts import hand_in
    from exchange.cli.registering import outcome_value

    parts = await register.own_parts()
    plan = _plan(await register.book(), register.identity, parts, table, wish)
    ending = plan.dropped if wish.end_dropped else []
    for line in _lines(plan):
        call.out.note(line)
    done: list[Submission] = []
    rows: list[dict[str, Any]] = []
    next_steps = []
    if plan.steps or ending:
        call.confirm(f"State {len(plan.steps)} contact points and end {len(ending)}, as {register.address}?")
    for step in plan.steps:
        try:
            submission = await hand_in(register, step.address, step.function, step.said)
        except ExchangeError as fault:
            if not fault.code.startswith(("directory.", "pending.")):
                raise
            rows.append(
                {"contact": step.address, "outcome": fault.code, "detail": fault.detail, "missing": []}
            )
            continue
        value, then = await outcome_value(register, submission)
        done.append(submission)
        rows.append({"contact": step.address, **value})
        next_steps += [then] if then else []
    for address in ending:
        submission = await register.registration.end_contact(register.hub, address)
        done.append(submission)
        rows.append({"contact": address, "outcome": submission.outcome, "ended": True, "missing": []})
    lines = [f"{row['contact']}: {row['outcome']} {row.get('detail', '')}".rstrip() for row in rows]
    call.out.result(
        {"file": str(file), **plan.to_json(), "submitted": rows},
        lines or ["nothing to change"],
        next_step="\n      ".join(next_steps),
    )
    return done


def _plan(book: Book, identity: Identity, parts: Iterable[Part], table: Table, wish: Wish) -> Plan:
    """Compare the list with what stands, of this home's own contact points."""
    from exchange.cli.contact_form import known_persons
    from exchange.cli.own_contacts import own
    from exchange.formats.contacts.preview import preview
    from exchange.node.app import real_sources
    from exchange.node.units import person_handle

    sources, plan = real_sources(), Plan()
    plan.ignored += [column for column in table.ignored if column not in _WRITTEN_ONLY]
    plan.faults += [(fault.line, fault.why) for fault in table.faults]
    seen = preview(book, table.rows, lambda: person_handle(sources))
    mine = {entry.address for entry in own(book, identity.address)}
    plan.unchanged += [address for address in seen.unchanged if address in mine]
    plan.not_ours += [address for address in seen.unchanged if address not in mine]
    plan.not_ours += [one.address for one in (*seen.added, *seen.changed) if not _mine(identity, one.address)]
    plan.dropped += [address for address in seen.dropped if address in mine]
    drafts, lines = list(parts), {row.address: row.line for row in table.rows}
    for laid in (*seen.added, *seen.changed):
        if not _mine(identity, laid.address):
            continue
        known = known_persons(part for part in drafts if part.address == laid.address)
        try:
            step = _step(book, identity, laid, known, wish)
        except Refused as fault:
            plan.faults.append((lines[laid.address], f"{laid.address}: {fault.detail}"))
            continue
        if step.changes:
            plan.steps.append(step)
        else:
            plan.unchanged.append(laid.address)
    plan.faults.sort()
    return plan


def _step(book: Book, identity: Identity, laid: Laid, known: dict[str, str], wish: Wish) -> Step:
    """Raises Refused record.bad-field, cli.usage for a unit's own, directory.bad-part."""
    from exchange.cli.contact_form import Said, named_as_before, reachable
    from exchange.cli.own_contacts import Wanted, check, differing, function_of, said_of, standing_here
    from exchange.directory.records import OwnerRecord

    held = book.contacts.get(laid.address)
    entry = None if held is None or held.ended else standing_here(book, identity.address, laid.address)
    if entry is not None:
        said_of(entry)  # a part of its own that was lost must not be taken away unseen
    wanted = Wanted(laid.function, laid.community, laid.topics, laid.instruments, wish.note)
    function = function_of(identity, wanted, entry.contact if entry else None)
    record = named_as_before(laid.record, known)
    owner = entry.owner if entry and entry.owner else OwnerRecord()
    said = Said(record, reachable(laid.holders, record), owner)
    check(function, said)
    return Step(laid.address, function, said, differing(function, said, entry), new=entry is None)


def _mine(identity: Identity, address: str) -> bool:
    me = identity.address
    return address == me if "/" in me else address.partition("/")[0] == me


def _lines(plan: Plan) -> list[str]:
    from exchange.cli.registering import change_lines

    lines: list[str] = []
    for step in plan.steps:
        lines.append(f"{step.address}: {'new' if step.new else 'changed'}")
        lines += [f"  {line}" for line in change_lines(step.changes)]
    lines += [f"{address}: not in the file; it stays, unless --end-dropped" for address in plan.dropped]
    lines += [f"{address}: not ours" for address in plan.not_ours]
    lines += [f"line {line} can't be used: {safe(why)}" for line, why in plan.faults]
    if plan.ignored:
        lines.append(f"columns nobody knows: {one_line(', '.join(plan.ignored), 200)}")
    if plan.unchanged:
        lines.append(f"unchanged: {len(plan.unchanged)}")
    return lines


# -- export ----------------------------------------------------------------------------------------------------------


def export(
    call: Call,
    *,
    file: Annotated[
        Path | None, typer.Argument(help="File to write (only you may read it); else stdout.")
    ] = None,
    level: Annotated[
        ExportLevel, typer.Option(help="Whom it is for. Never more than this node holds.")
    ] = ExportLevel.MEMBERS,
    as_format: Annotated[
        ExportFormat, typer.Option("--format", help="csv, json, or vcard for telephones.")
    ] = ExportFormat.CSV,
    topic: TopicOption = None,
) -> None:
    """Write the contact points as a list for readers of a level. Noted in the access log."""
    from exchange.cli.directory.book import log_reads, look

    view = look(call)
    entries = [entry for entry in view.book.living() if not topic or topic.lower() in entry.contact.topics]
    levels = ("holders",) if level is ExportLevel.HOLDERS else ()
    data = _written(view, entries, level.value, as_format)
    log_reads(view, entries, levels, action="export", besides=f"contacts {level.value} {len(entries)}")
    value = {
        "contacts": len(entries),
        "level": level.value,
        "format": as_format.value,
        "file": str(file) if file else None,
        "replica": view.replica(),
    }
    if file is not None:
        from exchange.storage.files import write_private

        write_private(file, data)
        call.out.result(value, [f"wrote {file}: {len(entries)} contact points for {level.value}"])
        return
    text = data.decode("utf-8-sig")
    call.out.result({**value, "text": text}, [safe(line) for line in text.splitlines()])


def _written(view: View, entries: Sequence[ContactEntry], level: str, as_format: ExportFormat) -> bytes:
    from exchange.formats.contacts.table import write_table
    from exchange.formats.contacts.vcard import write_vcards

    if as_format is ExportFormat.CSV:
        return write_table(entries, level)
    if as_format is ExportFormat.VCARD:
        return write_vcards(entries, level)
    cards = [view.book.card(entry.address, level) for entry in sorted(entries, key=lambda one: one.address)]
    value = {"contacts": cards, "level": level, "replica": view.replica()}
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"
