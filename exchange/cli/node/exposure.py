"""`exchange node exposure [MEMBER]`: what this node had sent to a key that was then revoked."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import safe, table, utc

MOST = 1_000  # messages shown of one key


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "exposure", role="node", unlocks=True)(exposure)


def exposure(
    call: Call,
    member: Annotated[str | None, typer.Argument(metavar="[MEMBER]", help="One member's keys only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="Messages shown of each key.")] = 200,
) -> None:
    """List what went to a member between the theft of its key and its revocation: whoever has the key may read it."""
    from exchange.cli.node.home import opened
    from exchange.node.directory.exposure import report

    with opened(call) as home:
        found = [one for one in report(home.store, limit=limit) if member in (None, one.address)]
    value: list[dict[str, Any]] = [
        {
            "member": one.address,
            "since": one.since,
            "learnt_at": one.at,
            "messages": one.messages,
            "shown": [
                {
                    "id": each.id,
                    "sealed_at": each.sealed_at,
                    "subject": each.subject,
                    "tlp": each.tlp,
                    "recipients": list(each.recipients),
                }
                for each in one.shown
            ],
        }
        for one in found
    ]
    lines: list[str] = []
    for one in found:
        lines.append(
            f"{safe(one.address)}: {one.messages} messages sealed to it since {utc(one.since)}; "
            f"learnt {utc(one.at)}"
        )
        rows = [
            (each.id[:8], utc(each.sealed_at), each.tlp, safe(each.subject), ", ".join(each.recipients))
            for each in one.shown
        ]
        lines += table(("id", "sealed", "tlp", "subject", "recipients"), rows) if rows else []
    call.out.result({"exposures": value}, lines or ["no key that this node wrote to was revoked"])
