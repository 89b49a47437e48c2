"""`exchange node unit-init | unit-rekey | unit-publish | fetch`: units and persons at a node, with keys of their own.

Owns these verbs. Every other command works as a unit with --as; what a unit is stands in node/units.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import pairs, safe
from exchange.errors import Refused, Unavailable

if TYPE_CHECKING:
    from exchange.directory.submission import Submission

UnitHandle = Annotated[str, typer.Argument(metavar="HANDLE", help="Handle of the unit, e.g. tracing.")]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "unit-init", role="node", unlocks=True, for_units=False)(unit_init)
    command(group, "unit-rekey", role="node", unlocks=True, for_units=False)(unit_rekey)
    command(group, "unit-publish", role="node", unlocks=True, for_units=False)(unit_publish)
    command(group, "fetch", role="node", unlocks=True)(fetch)


def unit_init(
    call: Call,
    handle: Annotated[
        str | None, typer.Argument(help="Handle of the unit, e.g. tracing; a person's is made, at random.")
    ] = None,
    kind: Annotated[str, typer.Option(help="unit, or person: alone in being sent TLP:RED.")] = "unit",
) -> None:
    """Make the home and keys of a unit or person inside this home. For its reader: the key is theirs alone."""
    from dataclasses import replace

    from exchange.directory.bodies_contacts import PERSON, UNIT_KINDS
    from exchange.node import units
    from exchange.node.app import real_sources
    from exchange.node.home import Paths

    if kind not in UNIT_KINDS:
        raise Refused("cli.usage", f"--kind is one of {', '.join(UNIT_KINDS)}")
    sources = real_sources()
    if handle is None and kind == PERSON:
        handle = units.person_handle(sources)
    handle = call.ask("Handle of the unit, e.g. tracing", handle, "HANDLE")
    inside = replace(call, home=Paths(call.home).unit(handle).root, unit=handle)
    new = not Paths(inside.home).config.exists()
    draft = units.make(call.home, handle, kind, inside.unlock(new=new), sources)
    if new:
        inside.remember()
    value = {
        "address": draft.address,
        "kind": kind,
        "home": str(inside.home),
        "draft": str(inside.home / units.DRAFT),
        "digits": draft.digits,
        "created": new,
    }
    lines = pairs([("address", draft.address), ("home", str(inside.home)), ("your digits", draft.digits)])
    lines.append("Read your digits to the administrator of this node; nobody but you can open this home.")
    next_step = (
        f"the administrator: exchange node unit-publish {handle}; then you: exchange node serve --as {handle}"
    )
    call.out.result(value, lines, next_step=next_step)


def unit_rekey(call: Call, handle: UnitHandle) -> None:
    """Make new keys for a published unit whose old ones may be known to others; the officers sign. For its reader."""
    from dataclasses import replace

    from exchange.node import units
    from exchange.node.app import real_sources
    from exchange.node.home import Paths, open_home

    inside = replace(call, home=Paths(call.home).unit(handle).root, unit=handle)
    draft = asyncio.run(units.rekey(open_home(inside.home, inside.unlock()), real_sources()))
    value = {
        "address": draft.address,
        "kind": draft.kind,
        "home": str(inside.home),
        "draft": str(inside.home / units.DRAFT),
        "digits": draft.digits,
    }
    lines = pairs([("address", draft.address), ("home", str(inside.home)), ("new digits", draft.digits)])
    lines.append(
        "Read your new digits to the administrator of this node. Until the log has them the old keys count."
    )
    next_step = (
        f"the administrator: exchange node unit-publish {handle}; officers: exchange officer sign ID; then you: "
        f"exchange node serve --as {handle}"
    )
    call.out.result(value, lines, next_step=next_step)


def unit_publish(
    call: Call,
    handle: UnitHandle,
    draft: Annotated[
        Path | None, typer.Option(help="The unit's unit.json, if its home lies elsewhere.")
    ] = None,
    digits: Annotated[
        str | None, typer.Option(help="The unit's digits as its reader read them to you.")
    ] = None,
) -> None:
    """Sign for a unit of this member, so that others can seal to it. For the administrator, who reads none of it."""
    from exchange.cli.call import now_ms
    from exchange.cli.node.home import connected, wake
    from exchange.cli.waiting import check_digits, same_digits, statement_id
    from exchange.directory.submission import PENDING
    from exchange.node import units
    from exchange.node.home import Paths, open_home

    home = open_home(call.home, call.unlock())
    identity = home.identity()
    path = draft or Paths(call.home).unit(handle).root / units.DRAFT
    found = units.read_draft(path, identity.net, identity.address)
    if found.address != f"{identity.address}/{handle}":
        raise Refused("cli.bad-file", f"{path} is the draft of {found.address}")
    for line in pairs([("address", found.address), ("kind", found.kind), ("digits", found.digits)]):
        call.out.note(line)
    check_digits(digits, found.digits)
    if not same_digits(digits, found.digits):
        call.confirm(f"Did the reader of {safe(found.address)} read you these very digits?")

    async def hand_in() -> Submission:
        async with connected(home) as to:
            return await units.publish(identity, to.store, to.replica, to.hub, found, now=now_ms())

    submission = asyncio.run(hand_in())
    outcome = submission.outcome
    wake(call, home)
    value = {"address": found.address, "kind": found.kind, "digits": found.digits, "outcome": outcome}
    next_step = f"the unit's reader: exchange node serve --as {handle}, or exchange node fetch --as {handle}"
    if outcome == PENDING:
        number = statement_id(submission.statement)
        next_step = (
            f"new keys for a published unit: officers: exchange officer sign {number}; then {next_step}"
        )
    call.out.result(value, [f"published {found.address}: {outcome}"], next_step=next_step)


def fetch(call: Call) -> None:
    """Connect once: take the mail that waits, give receipts, send what is queued. For those who run no server."""
    from exchange.cli.node.home import opened
    from exchange.node.app import real_sources, running
    from exchange.node.control import channel as control

    async def once() -> None:
        async with running(home.home, real_sources()) as node:
            await node.sync.once()

    with opened(call) as home:
        before = home.desk.unopened()
        try:
            control.ask(home.home.paths.socket, "poke")
            serving = True
        except Unavailable:
            asyncio.run(once())
            serving = False
        unopened = home.desk.unopened()
        new = max(0, unopened - before)
        waiting = home.desk.count_under_way()
    value = {"serving": serving, "new": new, "unopened": unopened, "undelivered": waiting}
    did = "the server here looks now" if serving else f"{new} new"
    lines = [f"{did}; {unopened} unopened, {waiting} sent and not delivered yet"]
    call.out.result(value, lines, next_step="exchange node inbox --unopened" if unopened else "")
