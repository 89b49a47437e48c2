"""`exchange officer restrict | suspend | confirm | reinstate | offboard | remove | revoke | recover`.

Owns what an officer begins about a member. Who may move whom from where to where is directory/onboarding's table; what
others began is signed by `officer approve` and `officer sign`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.officer.signing import Document, Heard, Member, opened, sign_pending
from exchange.cli.output import safe, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.officer.view import View
    from exchange.directory.members import Move
    from exchange.directory.statements import Statement

Ground = Annotated[str, typer.Option(help="Why, in one word of a-z, 0-9 and -, e.g. key-compromise.")]
Until = Annotated[str, typer.Option(help="2026-12-01T12:00Z, or 30d from now.")]
_LIFE_DAYS = 30


@dataclass(frozen=True)
class Why:
    """The ground in a word, the document that says it, and until when, as they were typed."""

    ground: str
    document: Path | None = None
    until: str = ""


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    for verb in (restrict, suspend, confirm, reinstate, offboard, remove, revoke, recover):
        command(group, verb.__name__, role="officer", unlocks=True)(verb)


def restrict(call: Call, *, member: Member, ground: Ground, document: Document = None) -> None:
    """Let a member send nothing but flash and immediate messages."""
    from exchange.directory.members import Move

    _run(call, lambda view: _move(call, view, member, Move.RESTRICT, Why(ground, document)))


def suspend(
    call: Call,
    *,
    member: Member,
    ground: Ground,
    document: Document = None,
    until: Until = "30d",
    emergency: Annotated[
        bool, typer.Option("--emergency", help="At once, on your word alone; void unless confirmed in 24 h.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="File that goes round; else suspend-MEMBER.json in your home.")
    ] = None,
) -> None:
    """Suspend a member: with the other officers by a file that goes round, or at once with --emergency."""
    why = Why(ground, document, until)
    _run(call, lambda view: _suspend(call, view, member, why, emergency=emergency, output=output))


def confirm(call: Call, *, member: Member, ground: Ground = "confirmed") -> None:
    """Confirm the emergency suspension that another officer made."""
    from exchange.directory.members import Move

    _run(call, lambda view: _move(call, view, member, Move.CONFIRM, Why(ground)))


def reinstate(call: Call, *, member: Member, ground: Ground = "resolved", document: Document = None) -> None:
    """Lift a member's suspension or restriction."""
    from exchange.directory.members import Move

    _run(call, lambda view: _move(call, view, member, Move.REINSTATE, Why(ground, document)))


def offboard(
    call: Call, *, member: Member, ground: Ground, document: Document = None, until: Until = "30d"
) -> None:
    """Give a member notice: removed at its end, until then it sends flash and immediate messages."""
    from exchange.directory.members import Move

    _run(call, lambda view: _move(call, view, member, Move.OFFBOARD, Why(ground, document, until)))


def remove(call: Call, *, member: Member, ground: Ground, document: Document = None) -> None:
    """Remove a member for good. Its handle is never used again."""
    from exchange.directory.members import Move

    _run(call, lambda view: _move(call, view, member, Move.REMOVE, Why(ground, document)))


def revoke(
    call: Call,
    *,
    member: Member,
    ground: Ground,
    since: Annotated[str, typer.Option(help="Compromised since, e.g. 2026-11-20T08:00Z; else now.")] = "",
) -> None:
    """Revoke a member's signing key for it; sponsors sign besides (`exchange node vote`)."""
    _run(call, lambda view: _revoke(call, view, member, ground, since))


def recover(call: Call, *, member: Member, file: Path, digits: Heard = None) -> None:
    """Give a member that lost its keys new ones, from the file its new home made; they count 72 h later."""
    _run(call, lambda view: _recover(call, view, member, file, digits))


async def propose_activation(call: Call, view: View, member: str, document: Path | None) -> None:
    """Begin the statement that makes a provisional member active, for its sponsors to check."""
    from exchange.directory.members import Move
    from exchange.directory.onboarding import is_provisional

    one = view.directory.member(member)
    if not is_provisional(one):
        raise Refused(
            "application.unknown", f"nothing waits for {member}, which is {one.status.value}: `applications`"
        )
    await _move(call, view, member, Move.ACTIVATE, Why("checklist", document))


async def sign_file(call: Call, view: View, path: Path) -> None:
    """Sign a suspension that goes round as a file; with enough signatures it goes to the hub."""
    from exchange.cli.officer.home import read_json
    from exchange.directory.bodies import parse_body
    from exchange.directory.bodies_members import Suspend
    from exchange.directory.statements import Statement

    statement = Statement.from_json(read_json(path))
    body = parse_body(statement.body, view.directory.net)
    if not isinstance(body, Suspend):
        raise Refused("cli.bad-file", f"{path} is no suspension that goes round")
    member = body.head.subject[0]
    call.out.note(f"suspend {safe(member)} until {utc(body.until)}, ground {body.ground}")
    call.out.note(f"document: SHA-256 {body.document.hex()}; signed by {', '.join(statement.signers)}")
    call.confirm("Sign this?")
    signed = statement.merged(view.signed(statement.body).signatures)
    await _go_round(call, view, member, signed, path)


def _run(call: Call, work: Callable[[View], Awaitable[None]]) -> None:
    from exchange.cli.officer.view import viewing

    home = opened(call)

    async def run() -> None:
        async with viewing(home) as view:
            await work(view)

    asyncio.run(run())


async def _move(call: Call, view: View, member: str, move: Move, why: Why) -> None:
    from exchange.cli.when import parse_when
    from exchange.directory import onboarding
    from exchange.directory.bodies_members import build_status
    from exchange.directory.members import Move
    from exchange.limits import DAY_MS

    if await _sign_begun(call, view, member, move.value):
        return
    one, now = view.directory.member(member), now_ms()
    onboarding.check_move(move, one)
    if one.suspension and move is Move.CONFIRM and view.home.officer.address in one.suspension.officers:
        raise Refused("directory.too-few-officers", "another officer must confirm what this one began")
    body = build_status(
        net=view.directory.net,
        handle=member,
        move=move,
        ground=why.ground,
        document=_paper(why.document, needed=onboarding.TRANSITIONS[move].document),
        names=onboarding.named_by(move, one),
        until=parse_when(why.until, now=now) if why.until else 0,
        after=view.directory.last_hash(member, "status"),
        not_after=now + _LIFE_DAYS * DAY_MS,
    )
    call.confirm(f"{move.value} {safe(member)}, which is {one.status.value}?")
    await _submit(call, view, member, move.value, view.signed(body))


async def _sign_begun(call: Call, view: View, member: str, step: str) -> bool:
    """Sign this very step where another officer has begun it; whether there was one."""
    from exchange.cli.waiting import what

    begun = [one for one in await view.pending() if (one.about, what(one)) == (member, step)]
    if begun:
        await sign_pending(call, view, begun[0])
    return bool(begun)


async def _suspend(
    call: Call, view: View, member: str, why: Why, *, emergency: bool, output: Path | None
) -> None:
    from exchange.cli.when import parse_when
    from exchange.directory import onboarding
    from exchange.directory.bodies_members import build_suspend
    from exchange.directory.members import Move
    from exchange.limits import DAY_MS

    now = now_ms()
    until = parse_when(why.until, now=now)
    onboarding.check_move(Move.SUSPEND, view.directory.member(member))
    body = build_suspend(
        net=view.directory.net,
        handle=member,
        ground=why.ground,
        document=_paper(why.document, needed=True),
        until=until,
        not_after=now + _LIFE_DAYS * DAY_MS,
    )
    call.confirm(f"suspend {safe(member)} until {utc(until)}?")
    if emergency:
        await _submit(call, view, member, "suspend", view.signed(body))
    else:
        path = output or call.home / f"suspend-{member}.json"
        await _go_round(call, view, member, view.signed(body), path)


async def _go_round(call: Call, view: View, member: str, signed: Statement, path: Path) -> None:
    """Signed by fewer than the threshold it would be an emergency: it goes to the hub when all have signed."""
    from exchange.cli.officer.home import write_public

    have = sum(officer.address in signed.signers for officer in view.directory.officers.values())
    if have >= view.directory.officers_threshold:
        await _submit(call, view, member, "suspend", signed)
        return
    write_public(path, signed)
    value = {"member": member, "what": "suspend", "outcome": "goes round", "file": str(path)}
    next_step = f"hand {path} to another officer: exchange officer sign FILE"
    call.out.result(value, [f"suspend of {member}: {have} signed, in {path}"], next_step=next_step)


async def _revoke(call: Call, view: View, member: str, ground: str, since: str) -> None:
    from exchange.cli.when import parse_when
    from exchange.directory.bodies_members import BY_NETWORK, build_revoke
    from exchange.limits import DAY_MS

    if await _sign_begun(call, view, member, "revoke"):
        return
    one, now = view.directory.member(member), now_ms()
    from_when = parse_when(since, now=now) if since else now
    body = build_revoke(
        net=view.directory.net,
        address=member,
        by=BY_NETWORK,
        ground=ground,
        skid=one.keys.signing.skid(view.directory.net),
        since=from_when,
        not_after=now + _LIFE_DAYS * DAY_MS,
    )
    call.confirm(f"revoke the signing key of {safe(member)}, compromised since {utc(from_when)}?")
    await _submit(call, view, member, "revoke", view.signed(body))


async def _recover(call: Call, view: View, member: str, file: Path, digits: str | None) -> None:
    from exchange.cli.officer.home import read_json
    from exchange.cli.waiting import confirm_digits
    from exchange.directory.bodies import parse_body
    from exchange.directory.bodies_members import Recover
    from exchange.directory.statements import Statement
    from exchange.keys import member_digits

    statement = Statement.from_json(read_json(file))
    body = parse_body(statement.body, view.directory.net)
    if not isinstance(body, Recover) or body.head.subject[0] != member:
        raise Refused("cli.bad-file", f"{file} isn't a recovery of {member}")
    spoken = member_digits(view.directory.net, member, body.keys)
    call.out.note(f"new keys of {safe(member)}, digits: {spoken}")
    confirm_digits(call, member, digits, spoken)
    await _submit(call, view, member, "recover", statement.merged(view.signed(statement.body).signatures))


async def _submit(call: Call, view: View, member: str, what: str, signed: Statement) -> None:
    from exchange.cli.waiting import lacks, statement_id

    outcome = (await view.submit(signed)).outcome
    number = statement_id(signed.hash(view.directory.net))
    lack = view.lack(signed)
    value = {"member": member, "what": what, "outcome": outcome, "id": number}
    next_step = ""
    if outcome == "pending":
        next_step = f"still missing: {lacks(lack)}; officers: exchange officer sign {number}"
        if "sponsors" in lack.counts:
            then = "sponsor " + member if what == "activate" else "vote " + number
            next_step += f"; members: exchange node {then}"
    elif what == "suspend" and len(signed.signers) < view.directory.officers_threshold:
        next_step = f"another officer, within 24 h, or it is void: exchange officer confirm {member}"
    call.out.result(value, [f"{what} of {member}: {outcome}"], next_step=next_step)


def _paper(document: Path | None, *, needed: bool) -> bytes:
    """SHA-256 of the document that says why. Raises Refused cli.usage where one is needed, cli.bad-file."""
    from exchange.canonical import ZERO32
    from exchange.cli.waiting import paper_hash

    if document is not None:
        return paper_hash(document)
    if needed:
        raise Refused("cli.usage", "--document FILE is missing: what says why; only its SHA-256 is published")
    return ZERO32
