"""`exchange node`: a node's life: init, join, confirm-anchor, serve, status, quarantine, sponsor.

Owns these verbs. Mail is in `node_send` and `node_mail`; how a command shares the home with a server in `node_home`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.command import Call, command
from exchange.cli.output import pairs, safe, table, utc
from exchange.errors import Refused

Member = Annotated[str, typer.Argument(help="Handle of the member.")]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "init", role="node", unlocks=True)(init)
    command(group, "join", role="node", unlocks=True)(join)
    command(group, "confirm-anchor", role="node", unlocks=True)(confirm_anchor)
    command(group, "serve", role="node", unlocks=True)(serve)
    command(group, "status", role="node", unlocks=True)(status)
    command(group, "quarantine", role="node", unlocks=True)(quarantine)
    command(group, "sponsor", role="node", unlocks=True)(sponsor)


def init(
    call: Call, member: Annotated[str | None, typer.Option(help="Handle this node will have.")] = None
) -> None:
    """Make this node's home and keys. Prints two secrets, once."""
    from exchange.cli.seeds import on_paper
    from exchange.node.app import real_sources
    from exchange.node.home import Paths, create, read_settings

    next_step = "exchange node join FILE, with the invitation from the hub's administrator"
    if Paths(call.home).config.exists():
        held = read_settings(call.home).member
        if member not in (None, held):
            raise Refused("cli.other-home", f"{call.home} is the home of {held}")
        lines = [f"{held} has its home at {call.home}; nothing was changed"]
        call.out.result(
            {"member": held, "home": str(call.home), "created": False}, lines, next_step=next_step
        )
        return
    handle = call.ask("Handle of this member, e.g. pe-csirt", member, "--member")
    seeds = create(call.home, handle, call.unlock(new=True), real_sources())
    call.remember()
    value = {
        "member": handle,
        "home": str(call.home),
        "created": True,
        "revoke_seed": on_paper(seeds.revoke),
        "next_seed": on_paper(seeds.next),
    }
    lines = [
        f"made the home of {handle} at {call.home}",
        "",
        "Write both on paper now and lock them away apart from each other; they are shown once and kept nowhere:",
        f"  to declare this node's keys stolen:  {value['revoke_seed']}",
        f"  the keys after these:                {value['next_seed']}",
        "",
    ]
    call.out.result(value, lines, next_step=next_step)


def join(
    call: Call,
    invitation: Annotated[str, typer.Argument(help="File with the invitation, or - for standard input.")],
) -> None:
    """Tie this node to the invitation's network and apply for membership."""
    from exchange.cli.command import now_ms
    from exchange.invitation import Invitation
    from exchange.keys import digits
    from exchange.node.app import real_sources, running
    from exchange.node.home import Home, open_home

    invited = Invitation.from_line(_invitation(call, invitation))
    invited.check_time(now_ms())
    home = open_home(call.home, call.unlock()).tie(invited)
    call.out.note(f"applying at {invited.hub}")

    async def apply(tied: Home) -> tuple[str, str]:
        async with running(tied, real_sources(), as_invitee=True) as node:
            revoke, next_ = tied.revoke_public(), tied.next_commitment()
            submission = await node.membership.apply(node.hub, invited, revoke=revoke, next_=next_)
            return submission.outcome, node.membership.digits()

    outcome, own = asyncio.run(apply(home))
    value = {
        "member": invited.member,
        "hub": invited.hub,
        "application": outcome,
        "digits": own,
        "network_digits": digits(invited.net),
        "anchor_confirmed": False,
    }
    lines = pairs(
        [
            ("applied as", invited.member),
            ("application", outcome),
            ("your digits", own),
        ]
    )
    lines.append("Read your digits to an officer and to your sponsors over a telephone number they know.")
    next_step = "exchange node serve, and once you have heard the network's digits: exchange node confirm-anchor DIGITS"
    call.out.result(value, lines, next_step=next_step)


def confirm_anchor(
    call: Call,
    digits: Annotated[
        list[str], typer.Argument(help="The network's digits as an officer or sponsor read them.")
    ],
) -> None:
    """Say that the network's digits were compared by voice. Until then nothing above TLP:GREEN goes out."""
    from exchange.cli.command import now_ms
    from exchange.cli.node_home import opened
    from exchange.node import membership

    with opened(call) as home:
        membership.confirm_anchor(home.store, home.home.identity().net, " ".join(digits), now=now_ms())
    call.out.result({"anchor_confirmed": True}, ["the anchor is confirmed"])


def serve(call: Call) -> None:
    """Own this home and keep it in step with the hub, until SIGTERM or Ctrl-C. Prints `ready` once all is up."""
    from exchange import logs
    from exchange.cli.serving import run_loop
    from exchange.node import app
    from exchange.node.home import open_home

    logs.configure()
    home = open_home(call.home, call.unlock())

    def ready(node: app.Node) -> None:
        call.out.ready({"member": node.identity.address}, f"ready: node of {node.identity.address}")

    run_loop(lambda: app.serve(home, app.real_sources(), ready=ready))


def status(call: Call) -> None:
    """How this node stands: with the hub, in the directory, with its mail, and what is wrong."""
    from exchange.cli.node_home import opened, server_status
    from exchange.cli.node_status import condition, condition_lines

    with opened(call) as home:
        value = condition(home, server_status(home.home))
    next_step = ""
    if not value["member_since"]:
        next_step = "wait for sponsors and officers; the server notices by itself"
    elif not value["anchor_confirmed"]:
        next_step = (
            "hear the network's digits from an officer or sponsor, then: exchange node confirm-anchor DIGITS"
        )
    elif not value["serving"]:
        next_step = "exchange node serve"
    call.out.result(value, condition_lines(value), next_step=next_step)


def quarantine(
    call: Call,
    item: Annotated[str | None, typer.Argument(metavar="[ID]", help="Beginning of one item's id.")] = None,
) -> None:
    """List what came with a fault under its sender's signature, came damaged, or waits for the directory."""
    from exchange.cli.node_home import opened

    with opened(call) as home:
        rows: list[dict[str, Any]] = [
            {"id": one.id.hex(), "what": one.what, "from": one.sender, "code": one.code, "at": one.at}
            for one in home.set_aside()
        ]
    if item is not None:
        rows = [row for row in rows if row["id"].startswith(item.lower())]
        if not rows:
            raise Refused("cli.unknown-id", "nothing set aside has an id that begins so")
    shown = [(row["id"][:16], row["what"], row["from"] or "-", row["code"], utc(row["at"])) for row in rows]
    lines = table(("id", "what", "from", "code", "since"), shown) if rows else ["nothing is set aside"]
    call.out.result({"items": rows}, lines)


def sponsor(
    call: Call,
    member: Member,
    digits: Annotated[str | None, typer.Option(help="The newcomer's digits as it read them to you.")] = None,
) -> None:
    """Vouch for a newcomer whose digits you have compared by voice."""
    from exchange.cli.applications import check_digits, same_digits
    from exchange.cli.node_home import membership
    from exchange.node.home import open_home

    home = open_home(call.home, call.unlock())

    async def vouch() -> tuple[str, str]:
        async with membership(home) as (service, hub):
            waiting = {one.member.handle: one for one in await service.applications(hub)}
            if member not in waiting:
                raise Refused("application.unknown")
            one = waiting[member]
            lines = [("member", member), ("country", one.member.country), ("class", one.member.member_class)]
            for line in pairs(
                [*lines, ("digits", one.digits), ("signed by", ", ".join(one.statement.signers))]
            ):
                call.out.note(line)
            check_digits(digits, one.digits)
            if not same_digits(digits, one.digits):
                call.confirm(f"Did {safe(member)} read you these very digits?")
            submission = await service.sponsor(hub, member)
            return submission.outcome, one.digits

    outcome, spoken = asyncio.run(vouch())
    value = {"member": member, "application": outcome, "digits": spoken}
    next_step = f"exchange officer approve {member}, by the officers" if outcome == "pending" else ""
    call.out.result(value, [f"sponsored {member}: {outcome}"], next_step=next_step)


def _invitation(call: Call, given: str) -> str:
    """The invitation's line: of a file, of standard input, or as it was typed."""
    if given == "-":
        return sys.stdin.readline(_MOST)
    if given.startswith("exchange-invitation-"):
        call.out.warn("an invitation is a secret, and others here can read command lines: better give a file")
        return given
    try:
        with Path(given).open(encoding="utf-8") as file:
            return file.read(_MOST)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("cli.bad-file", f"can't read the invitation {given}") from error


_MOST = 65_536  # characters
