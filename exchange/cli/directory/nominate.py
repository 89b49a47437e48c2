"""`exchange directory nominate [ID]`: a nominating authority signs what contact points of its topics are to be.

Owns this verb. Who nominates for what is the directory's judgement; it works in the home of the authority's unit.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.output import one_line, table

if TYPE_CHECKING:
    from exchange.directory.waiting import Pending
    from exchange.node.directory.membership import Membership
    from exchange.node.uplink.api import HubApi


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "nominate", role="node", unlocks=True)(nominate)


def nominate(
    call: Call,
    *,
    statement: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Beginning of the id of one of them.")
    ] = None,
) -> None:
    """List the contact points that wait for this authority's signature; with ID, sign one. Add --as, such as npc."""
    from exchange.cli.node.home import membership
    from exchange.cli.registering import home_of
    from exchange.cli.waiting import age, find, lacks, statement_id

    home = home_of(call)
    net = home.identity().net

    async def run() -> None:
        async with membership(home) as (service, hub):
            found = [(one, service.nominates(one)) for one in await service.pending(hub)]
            wanted = [(one, body) for one, body in found if body is not None]
            if statement is not None:
                await _sign(call, service, hub, find([one for one, _ in wanted], statement, net), net)
                return
            rows: list[dict[str, Any]] = [
                {
                    "id": statement_id(one.statement.hash(net)),
                    "contact": one.about,
                    "function": body.function,
                    "topics": list(body.topics),
                    "since": one.since,
                    "signed_by": list(one.statement.signers),
                    "lacks": lacks(service.lack(one.statement)),
                }
                for one, body in wanted
            ]
            cells = [
                (
                    row["id"],
                    row["contact"],
                    row["function"],
                    ", ".join(row["topics"]),
                    age(row["since"], now_ms()),
                )
                for row in rows
            ]
            head = ("id", "contact", "function", "topics", "waits")
            lines = table(head, cells) if rows else [f"nothing waits for {service.address}"]
            next_step = f"exchange directory nominate {rows[0]['id']}{_as(call)}" if rows else ""
            call.out.result({"pending": rows}, lines, next_step=next_step)

    asyncio.run(run())


async def _sign(call: Call, service: Membership, hub: HubApi, one: Pending, net: bytes) -> None:
    from exchange.cli.waiting import lacks, pending_lines, pending_value
    from exchange.directory.cosigning import check_seen

    value = pending_value(one, service.lack(one.statement), net)
    for line in pending_lines(one, value, now_ms()):
        call.out.note(line)
    for line in _was(service, one):
        call.out.note(line)
    check_seen(one)
    call.confirm(f"Nominate {one.about} as {service.address}?")
    outcome = (await service.vote(hub, one)).outcome
    digest = one.statement.hash(net)
    still = [each for each in await service.pending(hub) if each.statement.hash(net) == digest]
    missing = lacks(service.lack(still[0].statement)) if still else ""
    next_step = f"still missing: {missing}; officers: exchange officer sign {value['id']}" if missing else ""
    call.out.result(
        {**value, "outcome": outcome, "lacks": missing or "nothing"},
        [f"nominated {one.about}: {outcome}"],
        next_step=next_step,
    )


def _was(service: Membership, one: Pending) -> list[str]:
    """What the contact point is now, where it stands: the difference is what is signed."""
    old = service.contact(one.about)
    if old is None:
        return ["it is new"]
    facts = (old.function, old.community, ", ".join(old.topics), ", ".join(old.instruments))
    return [f"now it is: {one_line('; '.join(filter(None, facts)), 200)}"]


def _as(call: Call) -> str:
    return f" --as {call.unit}" if call.unit else ""
