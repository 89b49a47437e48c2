"""`exchange node join | withdraw | sponsor | vote`: becoming a member, and signing for others as one.

Owns these verbs. What stands in an application is `application_form`'s, how what waits is shown `waiting`'s, what
`node status` says of it `node/progress`'s business.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.output import pairs, safe, table
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.directory.waiting import Application, Pending
    from exchange.node.directory.membership import Membership, Papers
    from exchange.node.uplink.api import HubApi

Member = Annotated[str, typer.Argument(help="Handle of the member.")]
_MOST = 65_536  # characters


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    for verb in (join, withdraw, sponsor, vote):
        command(group, verb.__name__, role="node", unlocks=True, for_units=False)(verb)


def join(
    call: Call,
    *,
    invitation: Annotated[
        str | None, typer.Argument(help="File with the invitation, or - for standard input.")
    ] = None,
    application: Annotated[
        Path | None, typer.Option(help="File that says who you are; --template prints one.")
    ] = None,
    agreement: Annotated[
        Path | None, typer.Option(help="The accession agreement you signed; only its SHA-256 is published.")
    ] = None,
    founding: Annotated[
        bool, typer.Option("--founding", help="Active at once: in a network's first 90 days.")
    ] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="This member lost its keys: ask for those of this new home.")
    ] = False,
    template: Annotated[bool, typer.Option("--template", help="Print an application to fill in.")] = False,
    name: Annotated[str | None, typer.Option(help="Official name.")] = None,
    short_name: Annotated[str | None, typer.Option(help="Short name.")] = None,
    legal_basis: Annotated[str | None, typer.Option(help="Decree or statute you exist by.")] = None,
    legal_document: Annotated[
        Path | None, typer.Option(help="Its text; only its SHA-256 is published.")
    ] = None,
    authority: Annotated[str | None, typer.Option(help="Who nominates you.")] = None,
    constituency: Annotated[str | None, typer.Option(help="For whom you work, in words.")] = None,
    asn: Annotated[list[int] | None, typer.Option(help="An AS number of theirs; may be repeated.")] = None,
    prefix: Annotated[list[str] | None, typer.Option(help="A network; may be repeated.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="A domain; may be repeated.")] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="A language you work in, that of the texts first.")
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Time zone, e.g. America/Lima.")] = None,
) -> None:
    """Tie this node to the invitation's network and apply for membership."""
    from exchange.cli import application_form as form
    from exchange.cli.waiting import paper_hash
    from exchange.node.directory.membership import Papers

    if template:
        call.out.result({"application": form.TEMPLATE}, [form.template()])
        return
    if invitation is None:
        raise Refused("cli.usage", "name the file with the invitation")
    if recover:
        _recover(call, _invitation(call, invitation))
        return
    if agreement is None and not founding:
        raise Refused("cli.usage", "--agreement FILE is missing: the accession agreement that you signed")
    answers = form.Answers(
        name=name,
        short_name=short_name,
        legal_basis=legal_basis,
        legal_document=legal_document,
        authority=authority,
        constituency=constituency,
        timezone=timezone,
        languages=language or [],
        asn=asn or [],
        prefix=prefix or [],
        domain=domain or [],
    )
    papers = Papers(
        document=form.read_document(call, application, answers, optional=founding),
        agreement=paper_hash(agreement) if agreement else b"",
        founding=founding,
    )
    _apply(call, _invitation(call, invitation), papers)


def _apply(call: Call, line: str, papers: Papers) -> None:
    from exchange.invitation import Invitation
    from exchange.keys import digits
    from exchange.node.app import real_sources, running
    from exchange.node.home import open_home

    invited = Invitation.from_line(line)
    invited.check_time(now_ms())
    home = open_home(call.home, call.unlock()).tie(invited)
    call.out.note(f"applying at {invited.hub}")

    async def apply() -> tuple[str, str]:
        async with running(home, real_sources(), as_invitee=True) as node:
            revoke, next_ = home.revoke_public(), home.next_commitment()
            submission = await node.membership.apply(node.hub, invited, papers, revoke=revoke, next_=next_)
            return submission.outcome, node.membership.digits()

    outcome, own = asyncio.run(apply())
    value = {
        "member": invited.member,
        "hub": invited.hub,
        "application": outcome,
        "applies_as": "active" if papers.founding else "provisional",
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
    next_step = (
        f"your sponsors: exchange node sponsor {invited.member}; officers: exchange officer verify "
        f"{invited.member}; you: exchange node status shows who has signed"
    )
    call.out.result(value, lines, next_step=next_step)


def _recover(call: Call, line: str) -> None:
    """Make the file by which officers give the member this home's keys."""
    import orjson

    from exchange.invitation import Invitation
    from exchange.node.app import real_sources, running
    from exchange.node.home import open_home
    from exchange.storage.files import write_private

    invited = Invitation.from_line(line)
    invited.check_time(now_ms())
    home = open_home(call.home, call.unlock()).tie(invited)
    file = call.home / "recover.json"

    async def ask() -> str:
        async with running(home, real_sources(), as_invitee=True) as node:
            revoke, next_ = home.revoke_public(), home.next_commitment()
            statement = await node.membership.recovery(node.hub, invited, revoke=revoke, next_=next_)
            write_private(file, orjson.dumps(statement.to_json()) + b"\n")
            return node.membership.digits()

    own = asyncio.run(ask())
    value = {"member": invited.member, "hub": invited.hub, "digits": own, "file": str(file)}
    lines = [*pairs([("recovers", invited.member), ("your digits", own), ("file", str(file))])]
    lines.append("Hand the file to an officer, and read your digits over a telephone number it knows.")
    next_step = (
        f"officers: exchange officer recover {invited.member} FILE; members: exchange node vote; "
        "you: exchange node serve, and 72 h after it is logged these keys count"
    )
    call.out.result(value, lines, next_step=next_step)


def withdraw(
    call: Call, *, reason: Annotated[str, typer.Option(help="Why; officers are shown it.")] = ""
) -> None:
    """Take this node's application back."""
    from exchange.cli.node.home import asking
    from exchange.node.home import open_home

    home = open_home(call.home, call.unlock())
    call.confirm("Take the application back? Who has signed it must sign again.")

    async def end() -> None:
        async with asking(home, as_invitee=True) as (service, hub):
            await service.withdraw(hub, reason)

    asyncio.run(end())
    next_step = "to apply again, ask for a new invitation: exchange node join FILE"
    call.out.result({"withdrawn": True}, ["the application is withdrawn"], next_step=next_step)


def sponsor(
    call: Call,
    *,
    member: Member,
    digits: Annotated[str | None, typer.Option(help="The newcomer's digits as it read them to you.")] = None,
) -> None:
    """Vouch for a newcomer whose digits you heard; later, once it has passed the checklist, make it active."""
    from exchange.cli.node.home import membership
    from exchange.node.home import open_home

    home = open_home(call.home, call.unlock())

    async def vouch() -> None:
        async with membership(home) as (service, hub):
            waiting = {one.member.handle: one for one in await service.applications(hub)}
            if member in waiting:
                await _vouch(call, service, hub, waiting[member], digits)
            else:
                await _activate(call, service, hub, member)

    asyncio.run(vouch())


async def _vouch(call: Call, service: Membership, hub: HubApi, one: Application, heard: str | None) -> None:
    from exchange.cli.waiting import (
        admitted_next,
        application_lines,
        application_value,
        confirm_digits,
        who_next,
    )

    handle = one.member.handle
    lack = service.lack(one.statement)
    for line in application_lines(one, application_value(one, lack, service.agreement), now_ms()):
        call.out.note(line)
    confirm_digits(call, handle, heard, one.digits)
    outcome = (await service.sponsor(hub, one)).outcome
    still = [each for each in await service.applications(hub) if each.member.handle == handle]
    next_step = who_next(service.lack(still[0].statement), handle) if still else admitted_next(one)
    value = {"member": handle, "application": outcome, "digits": one.digits}
    call.out.result(value, [f"sponsored {handle}: {outcome}"], next_step=next_step)


async def _activate(call: Call, service: Membership, hub: HubApi, member: str) -> None:
    """The checklist first; then the statement that waits, or a new one on the checklist's paper."""
    from exchange.cli.node.progress import checklist_lines
    from exchange.directory.members import Move
    from exchange.storage.files import write_private

    if not service.is_provisional(member):
        raise Refused("application.unknown", f"{member} neither applies nor is provisional")
    for line in checklist_lines(service.checked(member), member):
        call.out.note(line)
    paper = service.ready(member)
    waiting = [
        one
        for one in await service.pending(hub)
        if one.about == member and getattr(one.body, "move", None) is Move.ACTIVATE
    ]
    file = call.home / f"checklist-{member}.json"
    if waiting:
        call.confirm(f"Sign that {safe(member)} becomes active?")
        outcome = (await service.vote(hub, waiting[0])).outcome
    else:
        call.confirm(f"Propose that {safe(member)} becomes active?")
        write_private(file, paper)
        call.out.note(f"the checklist is kept in {file}")
        outcome = (await service.activate(hub, member, paper)).outcome
    next_step = f"officers: exchange officer approve {member}" if outcome == "pending" else ""
    value = {"member": member, "what": "activate", "outcome": outcome}
    call.out.result(value, [f"activate {member}: {outcome}"], next_step=next_step)


def vote(
    call: Call,
    *,
    statement: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Beginning of the id of one of them.")
    ] = None,
) -> None:
    """List what waits for this member's signature: officers, policy, another's recovery; with ID, sign one."""
    from exchange.cli.node.home import membership
    from exchange.cli.waiting import age, find, pending_value
    from exchange.node.home import open_home

    home = open_home(call.home, call.unlock())
    net = home.identity().net

    async def run() -> None:
        async with membership(home) as (service, hub):
            wanted = [one for one in await service.pending(hub) if service.wants_me(one)]
            if statement is not None:
                await _vote(call, service, hub, find(wanted, statement, net), net)
                return
            rows: list[dict[str, Any]] = [
                pending_value(one, service.lack(one.statement), net) for one in wanted
            ]
            cells = [
                (row["id"], row["what"], row["about"], age(row["since"], now_ms()), row["lacks"])
                for row in rows
            ]
            lines = (
                table(("id", "what", "about", "waits", "lacks"), cells) if rows else ["nothing waits for you"]
            )
            next_step = f"exchange node vote {rows[0]['id']}" if rows else ""
            call.out.result({"pending": rows}, lines, next_step=next_step)

    asyncio.run(run())


async def _vote(call: Call, service: Membership, hub: HubApi, one: Pending, net: bytes) -> None:
    from exchange.cli.waiting import pending_lines, pending_value
    from exchange.directory.members import Move

    value = pending_value(one, service.lack(one.statement), net)
    if getattr(one.body, "move", None) is Move.ACTIVATE:
        service.ready(one.about)  # a vote is no way round the checklist
    for line in pending_lines(one, value, now_ms()):
        call.out.note(line)
    call.confirm(f"Sign this as {service.address}?")
    outcome = (await service.vote(hub, one)).outcome
    call.out.result({**value, "outcome": outcome}, [f"signed {value['what']} of {value['about']}: {outcome}"])


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
