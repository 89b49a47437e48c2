"""`exchange officer init | applications | verify | approve`: an officer, with own keys and home, on any machine.

Owns these verbs. The home's files are `officer_home`'s, the checked view of the log `officer_view`'s.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.command import Call, command
from exchange.cli.output import pairs, safe, table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.officer_home import OfficerHome
    from exchange.cli.officer_view import Waiting

Member = Annotated[str, typer.Argument(help="Handle of the member.")]
Heard = Annotated[str | None, typer.Option(help="The digits as you heard them; refused if they differ.")]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "init", role="officer", unlocks=True)(init)
    command(group, "applications", role="officer", unlocks=True)(applications)
    command(group, "verify", role="officer", unlocks=True)(verify)
    command(group, "approve", role="officer", unlocks=True)(approve)


def init(call: Call, name: Annotated[str | None, typer.Option(help="Name of the officer.")] = None) -> None:
    """Make this officer's home, keys and public card."""
    import os

    from exchange.cli.officer_home import KEYSTORE, OfficerHome

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
    """List who wants in, and which signatures are still missing."""
    from exchange.cli.officer_view import viewing

    async def fetch(home: OfficerHome) -> list[Waiting]:
        async with viewing(home) as view:
            return await view.applications()

    found = asyncio.run(fetch(_home(call)))
    rows = [_value(one) for one in found]
    cells = [
        (
            row["member"],
            row["country"] or "-",
            row["class"],
            utc(row["since"]),
            row["lacks"],
            ", ".join(row["signed_by"]),
        )
        for row in rows
    ]
    head = ("member", "country", "class", "since", "lacks", "signed by")
    lines = table(head, cells) if rows else ["nobody is waiting"]
    call.out.result({"applications": rows}, lines, next_step="exchange officer verify MEMBER" if rows else "")


def verify(call: Call, member: Member, digits: Heard = None) -> None:
    """Show an application and its digits, to compare by voice with the member."""
    from exchange.cli.applications import check_digits
    from exchange.cli.officer_view import viewing

    async def fetch(home: OfficerHome) -> Waiting:
        async with viewing(home) as view:
            return await view.application(member)

    one = asyncio.run(fetch(_home(call)))
    check_digits(digits, one.digits)
    next_step = (
        f"call {member} on a number you knew, compare the digits, then: exchange officer approve {member}"
    )
    call.out.result(_value(one), _lines(one), next_step=next_step)


def approve(
    call: Call,
    member: Annotated[str | None, typer.Argument(help="Handle of the member.")] = None,
    digits: Heard = None,
    genesis: Annotated[
        Path | None, typer.Option(help="Sign this genesis file instead: the beginning of the network.")
    ] = None,
) -> None:
    """Sign a member's application, or with --genesis the beginning of the network."""
    if (member is None) == (genesis is None):
        raise Refused("cli.usage", "name a member, or give --genesis FILE")
    home = _home(call)
    if genesis is not None:
        _approve_genesis(call, home, genesis, digits)
    elif member is not None:
        _approve_member(call, home, member, digits)


def _approve_member(call: Call, home: OfficerHome, member: str, digits: str | None) -> None:
    from exchange.cli.applications import check_digits, same_digits
    from exchange.cli.officer_view import viewing

    async def sign() -> tuple[str, Waiting]:
        async with viewing(home) as view:
            one = await view.application(member)
            for line in _lines(one):
                call.out.note(line)
            check_digits(digits, one.digits)
            if not same_digits(digits, one.digits):
                call.confirm(f"Did {safe(member)} read you these very digits?")
            return (await view.approve(one)).outcome, one

    outcome, one = asyncio.run(sign())
    value = {"member": member, "application": outcome, "digits": one.digits}
    next_step = "" if outcome == "logged" else f"the other officers: exchange officer approve {member}"
    call.out.result(value, [f"approved {member}: {outcome}"], next_step=next_step)


def _approve_genesis(call: Call, home: OfficerHome, path: Path, digits: str | None) -> None:
    from exchange.cli.applications import check_digits, same_digits
    from exchange.cli.officer_home import genesis_of, read_genesis, write_public
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
    if not same_digits(digits, spoken):
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


def _home(call: Call) -> OfficerHome:
    from exchange.cli.officer_home import OfficerHome

    return OfficerHome.open(call.home, call.unlock())


def _value(one: Waiting) -> dict[str, Any]:
    return {
        "member": one.member.handle,
        "country": one.member.country,
        "class": one.member.member_class,
        "since": one.since,
        "digits": one.digits,
        "signed_by": list(one.statement.signers),
        "officers": list(one.officers),
        "sponsors": list(one.sponsors),
        "lacks": _lacks(one),
    }


def _lacks(one: Waiting) -> str:
    counts = ((one.officers, "officer"), (one.sponsors, "sponsor"))
    lacking = [
        f"{needed - signed} {word}{'s' if needed - signed > 1 else ''}"
        for (signed, needed), word in counts
        if signed < needed
    ]
    return ", ".join(lacking) or one.fault or "nothing"


def _lines(one: Waiting) -> list[str]:
    row = _value(one)
    return pairs(
        [
            ("member", row["member"]),
            ("country", row["country"]),
            ("class", row["class"]),
            ("applied", utc(row["since"])),
            ("signed by", ", ".join(row["signed_by"])),
            ("lacks", row["lacks"]),
            ("digits", row["digits"]),
        ]
    )
