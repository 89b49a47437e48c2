"""`exchange directory members | show`: who is in the network, from this node's own copy of the log; works offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.command import Call, command
from exchange.cli.output import pairs, table, utc

if TYPE_CHECKING:
    from exchange.directory.members import Member
    from exchange.directory.state import Directory


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "members", role="node", unlocks=True)(members)
    command(group, "show", role="node", unlocks=True)(show)


def members(call: Call) -> None:
    """List the members."""
    from exchange.cli.node_home import opened

    with opened(call) as home:
        directory = home.directory
    rows = [_row(directory, one) for _, one in sorted(directory.members.items())]
    cells = [
        (row["member"], row["country"] or "-", row["class"], row["status"], utc(row["since"])) for row in rows
    ]
    lines = table(("member", "country", "class", "status", "since"), cells) if rows else ["no members yet"]
    call.out.result({"members": rows, "size": directory.size}, lines)


def show(call: Call, member: Annotated[str, typer.Argument(help="Handle of the member.")]) -> None:
    """Show one member, with the digits of its keys to compare by voice."""
    from exchange.cli.node_home import opened

    with opened(call) as home:
        directory = home.directory
    row = _row(directory, directory.member(member))
    facts = [
        ("member", row["member"]),
        ("country", row["country"]),
        ("class", row["class"]),
        ("status", row["status"]),
        ("since", utc(row["since"])),
        ("digits", row["digits"]),
        ("can be sealed to until", utc(row["prekeys_until"])),
    ]
    call.out.result(row, pairs(facts))


def _row(directory: Directory, member: Member) -> dict[str, Any]:
    from exchange.keys import member_digits

    refs = directory.prekeys(member.handle)
    return {
        "member": member.handle,
        "country": member.country,
        "class": member.member_class,
        "status": member.status.value,
        "since": member.since,
        "digits": member_digits(directory.net, member.handle, member.keys),
        "prekeys_until": max((ref.until for ref in refs), default=None),
    }
