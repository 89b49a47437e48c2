"""`exchange officer hub-change | policy | team`: what officers decide about the network itself (§9.10, §9.11).

Owns these verbs. Which signatures each takes is the log's business; what waits at the hub is signed by `officer sign`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.officer.signing import Heard, opened
from exchange.cli.output import pairs, safe, utc
from exchange.errors import Refused, Rejected
from exchange.limits import DAY_MS

if TYPE_CHECKING:
    from exchange.cli.officer.home import OfficerHome
    from exchange.cli.officer.view import View
    from exchange.directory.bodies_network import Officers
    from exchange.directory.members import Officer
    from exchange.directory.state import Directory
    from exchange.directory.statements import Statement

_LIFE_MS = 30 * DAY_MS  # how long the others have to sign
TEAM_FILE = "team.json"


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "hub-change", role="officer", unlocks=True)(hub_change)
    command(group, "policy", role="officer", unlocks=True)(policy)
    command(group, "team", role="officer", unlocks=True)(team)


def read_statement_file(path: Path) -> Statement:
    """The file of a statement that goes round; nothing is verified. Raises Refused cli.bad-file."""
    from exchange.cli.officer.home import read_json
    from exchange.directory.statements import Statement

    try:
        return Statement.from_json(read_json(path))
    except Rejected as fault:
        raise Refused("cli.bad-file", f"{path} is no statement: {fault.detail}") from None


# -- hub-change -----------------------------------------------------------------------------------------------------


def hub_change(
    call: Call,
    *,
    file: Annotated[Path, typer.Argument(help="hub-change.json of the hub that takes over.")],
    snapshot: Annotated[Path, typer.Option(help="The snapshot it goes on from.")],
    digits: Heard = None,
) -> None:
    """Sign that another hub takes the place of the one that is lost; offline. This home goes by it from then on."""
    from exchange.cli.officer.home import write_public
    from exchange.cli.snapshots import read_snapshot
    from exchange.cli.waiting import confirm_digits
    from exchange.directory.statements import HUB
    from exchange.directory.succession import read_change
    from exchange.keys import member_digits

    home = opened(call)
    pinned, statement, found = home.network(), read_statement_file(file), read_snapshot(snapshot)
    directory, checkpoint = found.verify(pinned.net)
    if directory.size < pinned.size:
        detail = f"this officer has seen {pinned.size} statements: find a member with a newer snapshot"
        raise Rejected("directory.rollback", detail)
    if pinned.size and directory.root(pinned.size) != pinned.root:
        raise Rejected("directory.split", "the snapshot's log isn't the one this officer saw before")
    body = read_change(statement, pinned.net)
    signed = statement.with_signature(home.officer.address, home.keys)
    lacking = _judged(directory, signed)
    spoken = member_digits(pinned.net, HUB, body.hub.keys)
    facts = [
        ("network", directory.name),
        ("hub until now", directory.hub.address),
        ("hub from now on", body.hub.address),
        ("its digits", spoken),
        ("goes on after", f"{directory.size} statements, the last known at {utc(checkpoint.at)}"),
        ("signed by", ", ".join(statement.signers)),
    ]
    for line in pairs(facts):
        call.out.note(line)
    confirm_digits(call, "the new hub's administrator", digits, spoken)
    call.confirm("Is the old hub lost, and does this one take its place?")
    write_public(file, signed)
    home.go_by(signed)
    value = {"file": str(file), "hub": body.hub.address, "digits": spoken, "lacks": lacking}
    next_step = (
        f"hand {file} on: {lacking}" if lacking else f"hand {file} back: exchange hub init --change FILE"
    )
    call.out.result(
        value, [f"signed the change of hub to {body.hub.address} as {home.name}"], next_step=next_step
    )


def _judged(directory: Directory, signed: Statement) -> str:
    """What it still lacks, "" for nothing. Raises Rejected with the rule that it breaks."""
    try:
        directory.judge(signed, max(directory.at, now_ms()))
    except Rejected as fault:
        if fault.code != "directory.too-few-officers":
            raise
        return fault.detail
    return ""


# -- policy ---------------------------------------------------------------------------------------------------------


def policy(
    call: Call,
    *,
    officers: Annotated[int | None, typer.Option(help="Officers that must sign.", min=1)] = None,
    sponsors: Annotated[int | None, typer.Option(help="Sponsors that a newcomer needs.", min=1)] = None,
    secretariat: Annotated[
        str | None, typer.Option(help='Member that serves the others; "" for none.')
    ] = None,
    agreement: Annotated[
        Path | None, typer.Option(help="The accession agreement; its SHA-256 is published.")
    ] = None,
) -> None:
    """Change what the network agrees on; without options, show it. The other officers and most members sign too."""
    from exchange.cli.waiting import paper_hash
    from exchange.directory.bodies_network import build_policy
    from exchange.directory.statements import NETWORK

    given = (officers, sponsors, secretariat, agreement)

    async def propose(view: View) -> None:
        now = view.directory.policy
        changed: dict[str, Any] = {
            "officers": now.officers if officers is None else officers,
            "sponsors": now.sponsors if sponsors is None else sponsors,
            "secretariat": now.secretariat if secretariat is None else secretariat,
            "agreement": now.agreement if agreement is None else paper_hash(agreement),
        }
        facts = [
            ("officers needed", str(changed["officers"])),
            ("sponsors needed", str(changed["sponsors"])),
            ("secretariat", str(changed["secretariat"]) or "-"),
            ("agreement", f"SHA-256 {changed['agreement'].hex()}" if changed["agreement"] else "-"),
        ]
        if given == (None, None, None, None):
            call.out.result({**changed, "agreement": now.agreement.hex()}, pairs(facts))
            return
        body = build_policy(
            net=view.directory.net,
            after=view.directory.last_hash(NETWORK, "policy"),
            not_after=now_ms() + _LIFE_MS,
            **changed,
        )
        for line in pairs(facts):
            call.out.note(line)
        call.confirm("Propose this policy?")
        await _submit(call, view, "policy", view.signed(body))

    _run(call, propose)


# -- team -----------------------------------------------------------------------------------------------------------


def team(
    call: Call,
    *,
    file: Annotated[
        Path | None, typer.Argument(help="A team that another officer proposed, to sign or hand in.")
    ] = None,
    add: Annotated[list[Path] | None, typer.Option(help="Card of a new officer, or with new keys.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="Name of an officer who goes.")] = None,
    threshold: Annotated[
        int | None, typer.Option(help="Officers that must sign from then on; as now unless given.", min=1)
    ] = None,
    genesis: Annotated[
        Path | None,
        typer.Option(help="For a new officer: the genesis file of the network it is to sign for."),
    ] = None,
) -> None:
    """Propose other officers, or sign who was proposed: new ones first, then officers, then most of the members."""
    from exchange.cli.officer.home import NETWORK, read_card

    if file is None:
        if not (add or remove or threshold):
            raise Refused("cli.usage", "give FILE, or --add CARD, --remove NAME, --threshold N")
        cards = [read_card(path) for path in add or []]
        _run(call, lambda view: _propose_team(call, view, cards, remove or [], threshold))
        return
    statement = read_statement_file(file)
    home = opened(call)
    if not (home.path / NETWORK).exists():
        _sign_as_newcomer(call, home, file, statement, genesis)
        return
    _run(call, lambda view: _sign_team(call, view, file, statement))


async def _propose_team(
    call: Call, view: View, cards: list[Officer], leaving: list[str], threshold: int | None
) -> None:
    from exchange.directory.bodies_network import build_officers
    from exchange.directory.statements import NETWORK

    now = dict(view.directory.officers)
    unknown = [name for name in leaving if name not in now]
    if unknown:
        raise Refused("cli.usage", f"--remove {unknown[0]}: there is no such officer")
    others = {name: one for name, one in now.items() if name not in leaving}
    body = build_officers(
        net=view.directory.net,
        officers=list({**others, **{one.name: one for one in cards}}.values()),
        threshold=threshold or view.directory.officers_threshold,
        after=view.directory.last_hash(NETWORK, "officers"),
        not_after=now_ms() + _LIFE_MS,
    )
    await _sign_team(call, view, call.home / TEAM_FILE, view.signed(body))


async def _sign_team(call: Call, view: View, file: Path, statement: Statement) -> None:
    """Sign as an officer; to the hub once every new officer has proved its keys, else on to them."""
    from exchange.cli.officer.home import write_public

    body, directory = _team_of(statement, view.directory.net), view.directory
    new = [one for one in body.officers if directory.officers.get(one.name) != one]
    _show_team(call, body)
    call.confirm("Sign this team?")
    signed = statement
    if directory.officers.get(view.home.name) == view.home.officer:
        signed = statement.merged(view.signed(statement.body).signatures)
    missing = [one.name for one in new if one.address not in signed.signers]
    if not missing:
        await _submit(call, view, "officers", signed)
        return
    write_public(file, signed)
    value = {"what": "officers", "outcome": "goes round", "file": str(file), "missing": missing}
    next_step = f"hand {file} to {', '.join(missing)}: exchange officer team FILE --genesis GENESIS"
    call.out.result(
        value, [f"officers: {', '.join(missing)} must sign first, in {file}"], next_step=next_step
    )


def _sign_as_newcomer(
    call: Call, home: OfficerHome, file: Path, statement: Statement, genesis: Path | None
) -> None:
    """A new officer proves its keys, and pins the network whose genesis it was given."""
    from exchange.cli.officer.home import read_genesis, write_public
    from exchange.directory.statements import network_id
    from exchange.keys import digits

    if genesis is None:
        raise Refused("cli.usage", "--genesis FILE is missing: the network this officer is to sign for")
    beginning = read_genesis(genesis)
    body = _team_of(statement, network_id(beginning.body))
    if home.officer not in body.officers:
        raise Refused("cli.other-home", f"{file} doesn't name officer {home.name} with this home's keys")
    _show_team(call, body)
    call.out.note(f"network digits: {digits(network_id(beginning.body))}")
    call.confirm("Do the other officers see these very digits, and do you sign for this network?")
    home.pin(beginning)
    write_public(file, statement.with_signature(home.officer.address, home.keys))
    value = {"what": "officers", "outcome": "signed", "file": str(file)}
    next_step = f"hand {file} back to an officer: exchange officer team FILE"
    call.out.result(value, [f"{home.name} has proved its keys in {file}"], next_step=next_step)


def _team_of(statement: Statement, net: bytes) -> Officers:
    from exchange.directory.bodies import parse_body
    from exchange.directory.bodies_network import Officers

    body = parse_body(statement.body, net)
    if not isinstance(body, Officers):
        raise Refused("cli.bad-file", "that is no team of officers")
    return body


def _show_team(call: Call, body: Officers) -> None:
    names = ", ".join(one.name for one in body.officers)
    for line in pairs([("officers", safe(names)), ("of them must sign", str(body.threshold))]):
        call.out.note(line)


# -- what they share ------------------------------------------------------------------------------------------------


def _run(call: Call, work: Callable[[View], Awaitable[None]]) -> None:
    from exchange.cli.officer.view import viewing

    home = opened(call)

    async def run() -> None:
        async with viewing(home) as view:
            await work(view)

    asyncio.run(run())


async def _submit(call: Call, view: View, what: str, signed: Statement) -> None:
    from exchange.cli.waiting import lacks, statement_id

    outcome = (await view.submit(signed)).outcome
    number = statement_id(signed.hash(view.directory.net))
    value = {"what": what, "outcome": outcome, "id": number}
    next_step = ""
    if outcome == "pending":
        others = f"officers: exchange officer sign {number}; members: exchange node vote {number}"
        next_step = f"still missing: {lacks(view.lack(signed))}; {others}"
    call.out.result(value, [f"{what}: {outcome}"], next_step=next_step)
