"""`exchange node rotate | revoke | veto | leave`: a member's keys, and giving membership up.

Owns these verbs. They are done by whoever owns the home: the server where one runs, else this process for a moment.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.canonical import Json, b64
from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.output import safe, utc
from exchange.cli.seeds import read_seed
from exchange.errors import Refused, Unavailable
from exchange.limits import DAY_MS

PATIENCE = 120.0  # seconds: a hub over a bad line
SeedFile = Annotated[
    str | None,
    typer.Option(help="File with the printed seed, or - for standard input; else it is asked for."),
]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    for verb in (rotate, revoke, veto, leave):
        command(group, verb.__name__, role="node", unlocks=True, for_units=False)(verb)


def rotate(call: Call, next_seed: SeedFile = None) -> None:
    """Change this node's keys for the printed next ones. Prints the seed of those after them, once."""
    import secrets

    from exchange.cli.seeds import from_paper, on_paper
    from exchange.keys import SEED_BYTES, PrivateKeys

    seed = from_paper(_typed(call, next_seed, "The seed printed for the keys after these"))
    after = secrets.token_bytes(SEED_BYTES)
    # Shown before anything is done: once the log has it there is no other way to these keys.
    call.out.warn("Write this on paper now and lock it away; it is shown once and kept nowhere:")
    call.out.warn(f"  the keys after the ones you rotate to:  {on_paper(after)}")
    call.confirm("Is it on paper?")
    public = PrivateKeys(after).public.to_json()
    answer = _act(call, "rotate", seed=b64(seed), next=public)
    value = {"outcome": answer["outcome"], "next_seed": on_paper(after)}
    lines = [
        "this node signs with its new keys; make a backup, then destroy the paper with the seed that is now in use"
    ]
    call.out.result(value, lines, next_step="compare the new digits by voice: exchange node status")


def revoke(
    call: Call,
    *,
    since: Annotated[
        str | None, typer.Option(help="Compromised since, e.g. 2026-12-01T12:00Z; 30 days back at most.")
    ] = None,
    printed_seed: SeedFile = None,
    member: Annotated[
        str | None,
        typer.Option(help="Another member, whose printed revoke seed you were given: its home is gone."),
    ] = None,
    ground: Annotated[str, typer.Option(help="Why, as one word.")] = "key-compromised",
    output: Annotated[
        Path | None, typer.Option(help="Write the revocation here too, to be handed on by any path.")
    ] = None,
) -> None:
    """Say that this member's signing key is somebody else's too. It verifies nothing any more, for anybody."""
    import orjson

    from exchange.cli.node.home import opened
    from exchange.cli.seeds import from_paper
    from exchange.cli.when import parse_when
    from exchange.storage.files import write_private

    now = now_ms()
    at = min(parse_when(since, now=now), now) if since else now
    printed = b"" if printed_seed is None else from_paper(_typed(call, printed_seed, "The revoke seed"))
    with opened(call) as home:
        whose = member or home.home.identity().address
    call.confirm(
        f"Revoke the key of {safe(whose)}, compromised since {utc(at)}? It can't be taken back, and new keys "
        "need the officers and sponsors"
    )
    answer = _act(call, "revoke", member=whose, ground=ground, since=at, printed=b64(printed))
    if output is not None:
        write_private(output, orjson.dumps(answer["statement"]))
    value = {"member": whose, "since": at, "outcome": answer["outcome"], "statement": answer["statement"]}
    told = "the hub has it" if answer["outcome"] else "the hub could not be reached: it is offered again"
    lines = [f"revoked the key of {safe(whose)}; {told}"]
    lines += [f"wrote it to {output}, for members the hub doesn't reach"] if output else []
    next_step = "telephone an officer; new keys: exchange node join --recover, in a new home"
    call.out.result(value, lines, next_step=next_step)


def veto(call: Call, next_seed: SeedFile = None) -> None:
    """Stop a recovery that would give this member's name to keys you don't know, within 72 h of it."""
    from exchange.cli.seeds import from_paper

    seed = b"" if next_seed is None else from_paper(_typed(call, next_seed, "The seed of the next keys"))
    answer = _act(call, "veto", seed=b64(seed))
    lines = ["the recovery is void; the key of this node stands"]
    next_step = "telephone the officers: somebody asked them for new keys in your name"
    call.out.result({"outcome": answer["outcome"]}, lines, next_step=next_step)


def leave(
    call: Call, notice: Annotated[int, typer.Option(min=8, max=366, help="Days until you are gone.")] = 30
) -> None:
    """Give notice: after it this member is removed, and its handle is never used again."""
    until = now_ms() + notice * DAY_MS
    call.confirm(f"Leave the network on {utc(until)}? Until then only flash and immediate messages go out")
    answer = _act(call, "leave", until=until)
    lines = [f"leaving on {utc(until)}; what this node has stays readable here"]
    call.out.result({"outcome": answer["outcome"], "until": until}, lines)


def _act(call: Call, verb: str, **value: Json) -> dict[str, Any]:
    """By the server that owns the home, or here. Raises what the action raises."""
    from exchange.node.app import real_sources, running
    from exchange.node.control import channel as control, keys as control_keys
    from exchange.node.home import open_home

    home = open_home(call.home, call.unlock())
    try:
        return _object(control.ask(home.paths.socket, verb, patience=PATIENCE, **value))
    except Unavailable as absent:
        if absent.code != "node.not-running":
            raise

    async def here() -> Json:
        async with running(home, real_sources()) as node:
            return await control_keys.act(node, verb, value)

    return _object(asyncio.run(here()))


def _object(answer: Json) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise Refused("internal.error", "the server's answer isn't an object")
    return answer


def _typed(call: Call, source: str | None, name: str) -> str:
    """A seed from a file, standard input or the terminal: never from an argument, which others could read."""
    if source is None:
        return call.ask(name, None, "the option that names the file with the seed")
    return read_seed(source)
