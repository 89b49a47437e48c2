"""`exchange officer init | applications | verify | approve | reject | sign`: an officer, with own keys and home.

Owns these verbs. What an officer begins about a member stands in `officer/moves`, what changes the network itself in
`officer/network`. The home's files are `officer/home`'s, the checked view of the log `officer/view`'s.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.officer.signing import Document, Heard, Member, opened, sign_pending
from exchange.cli.output import one_line, pairs, safe, table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.officer.home import OfficerHome
    from exchange.cli.officer.view import View
    from exchange.directory.state import Directory
    from exchange.directory.waiting import Application


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "init", role="officer", unlocks=True)(init)
    command(group, "applications", role="officer", unlocks=True)(applications)
    command(group, "verify", role="officer", unlocks=True)(verify)
    command(group, "approve", role="officer", unlocks=True)(approve)
    command(group, "reject", role="officer", unlocks=True)(reject)
    command(group, "sign", role="officer", unlocks=True)(sign)


def init(call: Call, name: Annotated[str | None, typer.Option(help="Name of the officer.")] = None) -> None:
    """Make this officer's home, keys and public card."""
    import os

    from exchange.cli.officer.home import KEYSTORE, OfficerHome

    if (call.home / KEYSTORE).exists():
        home = OfficerHome.open(call.home, call.unlock())
        if name not in (None, home.name):
            raise Refused("cli.other-home", f"{call.home} is the home of the officer {home.name}")
        said = f"officer {home.name} has its home at {call.home}; nothing was changed"
    else:
        chosen = call.ask("Name of this officer, e.g. ana", name, "--name")
        home = OfficerHome.create(call.home, chosen, call.unlock(new=True), os.urandom)
        call.remember()
        said = f"made the home of officer {home.name} at {call.home}"
    value = {
        "officer": home.name,
        "address": home.officer.address,
        "home": str(call.home),
        "card": str(home.card),
    }
    next_step = f"hand {home.card} to the hub's administrator (it holds nothing secret)"
    call.out.result(value, [said, f"card: {home.card}"], next_step=next_step)


def applications(call: Call) -> None:
    """List everything that waits for signatures: who wants in, and statements about members and the network."""
    from exchange.cli.officer.view import viewing
    from exchange.cli.waiting import age, application_value, pending_value, reminder

    home, now = opened(call), now_ms()

    async def fetch() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        async with viewing(home) as view:
            named = view.directory.policy.agreement
            return (
                [
                    application_value(one, view.lack(one.statement), named)
                    for one in await view.applications()
                ],
                [
                    pending_value(one, view.lack(one.statement), view.directory.net)
                    for one in await view.pending()
                ],
                _unconfirmed(view.directory),
            )

    wanting, pending, unconfirmed = asyncio.run(fetch())
    rows = [("add", row["member"], row, f"verify {row['member']}") for row in wanting]
    rows += [(row["what"], row["about"], row, f"sign {row['id']}") for row in pending]
    rows[:0] = [("confirm", row["member"], row, f"confirm {row['member']}") for row in unconfirmed]
    mine = [then for _, _, row, then in rows if home.officer.address not in row["signed_by"]]
    cells = [
        (
            what,
            about,
            age(row["since"], now),
            row["lacks"],
            ", ".join(row["signed_by"]),
            f"officer {then}" if then in mine else "-",
        )
        for what, about, row, then in rows
    ]
    head = ("what", "about", "waits", "lacks", "signed by", "your next")
    lines = table(head, cells) if rows else ["nothing is waiting"]
    late = [
        f"the suspension of {row['member']} is void at {utc(row['confirm_by'])} unless another officer confirms it"
        for row in unconfirmed
    ]
    late += [
        f"{what} of {safe(about)} {text}"
        for what, about, row, _ in rows
        if (text := reminder(row["since"], now))
    ]
    next_step = f"exchange officer {mine[0]}" if mine else ""
    call.out.result(
        {"applications": wanting, "pending": pending, "unconfirmed": unconfirmed, "late": late},
        [*lines, *late],
        next_step=next_step,
    )


def _unconfirmed(directory: Directory) -> list[dict[str, Any]]:
    """The emergency suspensions that are void unless another officer confirms them."""
    return [
        {
            "member": one.handle,
            "since": one.suspension.since,
            "confirm_by": one.suspension.confirm_by,
            "signed_by": list(one.suspension.officers),
            "lacks": "1 officer",
        }
        for _, one in sorted(directory.members.items())
        if one.suspension is not None and one.suspension.confirm_by
    ]


def verify(call: Call, member: Member, digits: Heard = None) -> None:
    """Show an application and its digits; with the digits as heard by voice, note that they were compared."""
    from exchange.cli.officer.view import viewing
    from exchange.cli.waiting import application_lines, application_value, check_digits

    home = opened(call)

    async def fetch() -> tuple[Application, dict[str, Any]]:
        async with viewing(home) as view:
            one = await _application(view, member)
            return one, application_value(one, view.lack(one.statement), view.directory.policy.agreement)

    one, value = asyncio.run(fetch())
    check_digits(digits, one.digits)
    if digits is not None:
        home.note_compared(member, one.digits)
    compared = home.compared().get(member) == one.digits
    next_step = f"exchange officer approve {member}"
    if not compared:
        next_step = (
            f"call {member} on a number you knew, let it read its digits to you, then: "
            f"exchange officer verify {member} --digits DIGITS"
        )
    lines = application_lines(one, value, now_ms())
    if compared:
        lines.append("compared: these digits were heard by voice")
    call.out.result({**value, "compared": compared}, lines, next_step=next_step)


def approve(
    call: Call,
    *,
    member: Annotated[str | None, typer.Argument(help="Handle of the member.")] = None,
    digits: Heard = None,
    document: Document = None,
    genesis: Annotated[
        Path | None, typer.Option(help="Sign this genesis file instead: the beginning of the network.")
    ] = None,
) -> None:
    """Sign a member's application, or the step it waits for; with --genesis the beginning of the network.

    A provisional member for which nothing waits is proposed to become active, on --document FILE.
    """
    if (member is None) == (genesis is None):
        raise Refused("cli.usage", "name a member, or give --genesis FILE")
    home = opened(call)
    if genesis is not None:
        _approve_genesis(call, home, genesis, digits)
    elif member is not None:
        asyncio.run(_approve_member(call, home, member, digits, document))


async def _approve_member(
    call: Call, home: OfficerHome, member: str, digits: str | None, document: Path | None
) -> None:
    from exchange.cli.officer.moves import propose_activation
    from exchange.cli.officer.view import viewing

    async with viewing(home) as view:
        application = await view.application(member)
        if application is not None:
            await _approve_application(call, view, application, digits)
            return
        waiting = [
            one
            for one in await view.pending()
            if one.about.partition("/")[0] == member and home.officer.address not in one.statement.signers
        ]
        if len(waiting) > 1:
            raise Refused("cli.ambiguous-id", f"several statements on {member} wait: `officer applications`")
        if waiting:
            await sign_pending(call, view, waiting[0], document)
        else:
            await propose_activation(call, view, member, document)


async def _approve_application(call: Call, view: View, one: Application, digits: str | None) -> None:
    from exchange.cli.waiting import (
        admitted_next,
        application_lines,
        application_value,
        check_digits,
        confirm_digits,
        who_next,
    )

    handle = one.member.handle
    value = application_value(one, view.lack(one.statement), view.directory.policy.agreement)
    compared = view.home.compared().get(handle) == one.digits
    for line in application_lines(one, value, now_ms(), document=not compared):
        call.out.note(line)
    check_digits(digits, one.digits)
    if not compared:
        confirm_digits(call, handle, digits, one.digits)
        view.home.note_compared(handle, one.digits)
    outcome = (await view.approve(one)).outcome
    still = await view.application(handle)
    next_step = who_next(view.lack(still.statement), handle) if still else admitted_next(one)
    result = {"member": handle, "application": outcome, "digits": one.digits}
    call.out.result(result, [f"approved {handle}: {outcome}"], next_step=next_step)


def reject(
    call: Call,
    member: Member,
    reason: Annotated[str, typer.Option(help="Why; the applicant is shown it.")],
) -> None:
    """Turn an application down. The applicant sees the reason; a new invitation begins anew."""
    from exchange.cli.officer.view import viewing

    home = opened(call)

    async def end() -> None:
        async with viewing(home) as view:
            await _application(view, member)
            call.confirm(f"Turn {safe(member)} down, for everybody?")
            await view.reject(member, reason)

    asyncio.run(end())
    next_step = f"tell {member}; its `exchange node status` shows the reason"
    call.out.result(
        {"member": member, "reason": reason}, [f"rejected {member}: {one_line(reason)}"], next_step=next_step
    )


def sign(
    call: Call,
    statement: Annotated[
        str, typer.Argument(metavar="ID|FILE", help="Beginning of its id, or a file that goes round.")
    ],
    document: Annotated[
        Path | None, typer.Option(help="The document it names, as you have it; refused if it is another.")
    ] = None,
) -> None:
    """Sign a statement that waits: at the hub (its id is in `applications`), or in a file that another officer made."""
    from exchange.cli.officer.moves import sign_file
    from exchange.cli.officer.view import viewing
    from exchange.cli.waiting import find

    home, file = opened(call), Path(statement)
    in_file = file.is_file()

    async def run() -> None:
        async with viewing(home) as view:
            if in_file:
                await sign_file(call, view, file)
            else:
                one = find(await view.pending(), statement, view.directory.net)
                await sign_pending(call, view, one, document)

    asyncio.run(run())


def _approve_genesis(call: Call, home: OfficerHome, path: Path, digits: str | None) -> None:
    from exchange.cli.officer.home import genesis_of, read_genesis, write_public
    from exchange.cli.waiting import check_digits
    from exchange.directory.statements import network_id
    from exchange.keys import digits as digits_of

    statement = read_genesis(path)
    value, spoken = genesis_of(statement), digits_of(network_id(statement.body))
    if home.officer not in value.officers:
        raise Refused("directory.bad-genesis", f"it does not name officer {home.name} with this home's keys")
    facts = [
        ("network", value.name),
        ("hub", value.hub.address),
        ("officers", ", ".join(officer.name for officer in value.officers)),
        ("needed to admit", f"{value.officers_threshold} officers, {value.sponsors_threshold} sponsors"),
        ("digits", spoken),
    ]
    for line in pairs(facts):
        call.out.note(line)
    check_digits(digits, spoken)
    if digits is None:
        call.confirm(
            "Do the other officers see these very digits, and is this the network you mean to begin?"
        )
    signed = statement.with_signature(home.officer.address, home.keys)
    home.pin(signed)
    write_public(path, signed)
    named = {"hub", "recovery", *(officer.address for officer in value.officers)}
    missing = sorted(named - set(signed.signers))
    next_step = (
        f"hand {path} on to be signed by {', '.join(missing)}"
        if missing
        else (f"hand {path} back to the hub's administrator: exchange hub init --genesis {path.name}")
    )
    result = {"network": value.name, "digits": spoken, "genesis": str(path), "missing": missing}
    call.out.result(result, [f"signed the genesis of {safe(value.name)} as {home.name}"], next_step=next_step)


async def _application(view: View, member: str) -> Application:
    """Raises Refused application.unknown."""
    one = await view.application(member)
    if one is None:
        raise Refused("application.unknown")
    return one
