"""`exchange node`: a node's life: init, confirm-anchor, serve, status, quarantine.

Owns these verbs. Joining and signing for others is in `node/onboarding`, mail in `node/send` and `node/mail`; how a
command shares the home with a server in `node/home`.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from exchange.cli import alarm
from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import table, utc
from exchange.errors import Refused

_NOT_KNOWN = "auth.unknown-issuer"  # what the hub says to a node whose key doesn't count


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "init", role="node", unlocks=True, for_units=False)(init)
    command(group, "confirm-anchor", role="node", unlocks=True)(confirm_anchor)
    command(group, "serve", role="node", unlocks=True)(serve)
    command(group, "status", role="node", unlocks=True)(status)
    command(group, "quarantine", role="node", unlocks=True)(quarantine)
    alarm.add_to(group, "node")


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


def confirm_anchor(
    call: Call,
    digits: Annotated[
        list[str], typer.Argument(help="The network's digits as an officer or sponsor read them.")
    ],
) -> None:
    """Say that the network's digits were compared by voice. Until then nothing above TLP:GREEN goes out."""
    from exchange.cli.call import now_ms
    from exchange.cli.node.home import opened
    from exchange.node.directory import membership

    with opened(call) as home:
        membership.confirm_anchor(home.store, home.home.identity().net, " ".join(digits), now=now_ms())
    call.out.result({"anchor_confirmed": True}, ["the anchor is confirmed"])


def serve(call: Call) -> None:
    """Own this home and keep it in step with the hub, until SIGTERM or Ctrl-C. Prints `ready` once all is up."""
    from exchange import logs
    from exchange.cli.serving import run_loop
    from exchange.node import app
    from exchange.node.home import open_home
    from exchange.node.node import Node

    logs.configure()
    home = open_home(call.home, call.unlock())

    urls: list[str] = []

    def ready(node: Node) -> None:
        address = node.identity.address
        where = f", door at {urls[0]}" if urls else ""
        call.out.ready({"member": address, "http": "".join(urls)}, f"ready: node of {address}{where}")

    run_loop(lambda: app.serve(home, app.real_sources(), ready=ready, listening=urls.append))


def status(call: Call) -> None:
    """How this node stands: with the hub, in the directory, with its mail, and what is wrong."""
    from exchange.cli.node.home import opened, server_status
    from exchange.cli.node.progress import next_of, progress, progress_lines
    from exchange.cli.node.status import condition, condition_lines

    with opened(call) as home:
        server = server_status(home.home)
        value = condition(home, server)
        value["onboarding"] = progress(home, server)
    then = next_of(value["onboarding"], value["member"])
    if not value["member_since"]:
        next_step = then or "wait for sponsors and officers; the server notices by itself"
    elif value["problem"] == _NOT_KNOWN:
        next_step = (
            "the hub takes this node's key no longer; ask an officer. If it was revoked: make a new home, then "
            "exchange node join --recover FILE, with an invitation from the hub's administrator"
        )
    elif not value["anchor_confirmed"]:
        next_step = (
            "hear the network's digits from an officer or sponsor, then: exchange node confirm-anchor DIGITS"
        )
    elif not value["serving"]:
        next_step = "exchange node serve"
    else:
        next_step = then
    lines = [*condition_lines(value), *progress_lines(value["onboarding"])]
    call.out.result(value, lines, next_step=next_step)


def quarantine(
    call: Call,
    item: Annotated[str | None, typer.Argument(metavar="[ID]", help="Beginning of one item's id.")] = None,
) -> None:
    """List what came with a fault under its sender's signature, came damaged, or waits for the directory."""
    from exchange.cli.node.home import opened

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
