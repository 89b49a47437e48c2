"""`exchange directory record | constituency`: what a member says of itself, and which networks it answers for.

Owns these verbs. The forms are directory/records', what must stand in them record_rules'; how a statement is handed in
and who signs next is shown by `registering`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.registering import Register
    from exchange.directory.book import MemberEntry
    from exchange.directory.submission import Submission

_MOST_LISTED = 20  # entries of a constituency that a preview names


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "record", role="node", unlocks=True, for_units=False)(record)
    command(group, "constituency", role="node", unlocks=True, for_units=False)(constituency)


def record(
    call: Call,
    *,
    file: Annotated[
        Path | None, typer.Argument(help="JSON with the levels public and members; --template prints one.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change one field; empty takes it away."),
    ] = None,
    template: Annotated[
        bool, typer.Option("--template", help="Print a record to fill in, with what is known already.")
    ] = False,
) -> None:
    """Say who this member is: names, languages, hours and holidays. Nothing given: show what it says now."""
    from exchange.cli.registering import run

    if template:
        _print_template(call)
        return
    run(call, lambda register: _record(call, register, file, setting or []))


def _print_template(call: Call) -> None:
    from exchange.cli.directory.book import view_of
    from exchange.cli.node.home import opened
    from exchange.cli.record_form import TEMPLATE

    with opened(call) as home:
        view, me = view_of(home), home.home.identity().address
    known = _said(view.book.members[me]) if me in view.book.members else {}
    value = {level: {**fields, **known.get(level, {})} for level, fields in TEMPLATE.items()}
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode("utf-8")
    call.out.result({"record": value}, [text])


async def _record(call: Call, register: Register, file: Path | None, settings: list[str]) -> list[Submission]:
    from exchange.cli.record_form import FORMS, plain, read_json_object, set_fields, without_nothing
    from exchange.cli.registering import change_lines, changes
    from exchange.directory.record_rules import check_public, part_bytes, write
    from exchange.directory.records import MembersRecord, PublicRecord
    from exchange.zones import zones

    register.replica.directory.member(register.address)
    before = _said((await register.book()).members[register.address])
    after = {level: dict(fields) for level, fields in before.items()}
    if file is not None:
        given = read_json_object(file, "a record")
        if not given.keys() <= FORMS.keys() or not all(isinstance(one, dict) for one in given.values()):
            raise Refused("record.bad-field", f"{file}: its members are {', '.join(FORMS)}")
        after |= given
    set_fields(after, FORMS, settings)
    public = write(PublicRecord, without_nothing(after["public"]))
    shared = write(MembersRecord, without_nothing(after["members"]))
    now = {"public": plain(public), "members": plain(shared)}
    found = [one for level in FORMS for one in changes(level, before[level], now[level])]
    if not found:
        shown = file is None and not settings
        next_step = "exchange directory record --set FIELD=VALUE, or --template" if shown else ""
        said = [one for level in FORMS for one in changes(level, {}, before[level])] if shown else []
        call.out.result(
            {"outcome": "unchanged", "record": before, "changes": []},
            [line.removeprefix("+ ") for line in change_lines(said)] or ["nothing to change"],
            next_step=next_step,
        )
        return []
    check_public(public, zones)
    for line in change_lines(found):
        call.out.note(line)
    call.confirm(f"Say this of {register.address}, in its name?")
    bodies = {"public": part_bytes(public)}
    if shared != MembersRecord():
        bodies["members"] = part_bytes(shared)
    submission = await register.registration.publish_record(register.hub, bodies)
    value = {"outcome": submission.outcome, "record": now, "changes": [one.to_json() for one in found]}
    call.out.result(
        value,
        [f"record of {register.address}: {submission.outcome}"],
        next_step="exchange directory contact add HANDLE, for each function you have",
    )
    return [submission]


def _said(entry: MemberEntry) -> dict[str, dict[str, Any]]:
    """What a member's entry in the book says, by level."""
    from exchange.cli.record_form import plain

    return {"public": plain(entry.public), "members": plain(entry.shared)}


def constituency(
    call: Call,
    *,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="JSON with the lists asn, prefix, domain, sector, country; --template prints one."
        ),
    ] = None,
    template: Annotated[bool, typer.Option("--template", help="Print a constituency to fill in.")] = False,
) -> None:
    """Claim the networks, AS numbers and domains that this member answers for, as a whole. Officers approve it."""
    from exchange.cli.record_form import CLAIMS
    from exchange.cli.registering import run

    if template:
        text = orjson.dumps(CLAIMS, option=orjson.OPT_INDENT_2).decode("utf-8")
        call.out.result({"constituency": CLAIMS}, [text])
        return
    if file is None:
        raise Refused("cli.usage", "name the file with the constituency; --template prints one")
    claimed = file
    run(call, lambda register: _constituency(call, register, claimed))


async def _constituency(call: Call, register: Register, file: Path) -> list[Submission]:
    from exchange.cli.record_form import plain, read_json_object
    from exchange.cli.registering import outcome_value
    from exchange.directory.record_rules import check_claims, part_bytes, write
    from exchange.directory.records import Claims

    register.replica.directory.member(register.address)
    held = (await register.book()).members[register.address].claims or Claims()
    claims = check_claims(write(Claims, read_json_object(file, "a constituency")))
    added, gone = _differing(plain(held), plain(claims))
    if not added and not gone:
        call.out.result({"outcome": "unchanged", "added": [], "gone": []}, ["nothing to change"])
        return []
    for sign, entries in (("+", added), ("-", gone)):
        for entry in entries[:_MOST_LISTED]:
            call.out.note(f"{sign} {entry}")
        if len(entries) > _MOST_LISTED:
            call.out.note(f"{sign} ... {len(entries) - _MOST_LISTED} more")
    call.confirm(f"Claim these {claims.count} entries for {register.address}?")
    submission = await register.registration.claim_constituency(
        register.hub, claims.count, part_bytes(claims)
    )
    value, next_step = await outcome_value(register, submission)
    call.out.result(
        {**value, "added": added, "gone": gone},
        [f"constituency of {register.address}: {submission.outcome}, {claims.count} entries"],
        next_step=next_step,
    )
    return [submission]


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Entries that come and that go, as `prefix 192.0.2.0/24`."""
    old, new = (
        {f"{kind} {entry}" for kind, entries in one.items() for entry in entries} for one in (before, after)
    )
    return sorted(new - old), sorted(old - new)
