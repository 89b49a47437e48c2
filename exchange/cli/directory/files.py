"""`exchange directory snapshot | verify | import`: the directory as files that need neither hub nor trust to be read.

Owns these verbs. What a snapshot is stands in directory/snapshot, what a notice does in node/directory/notices.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.output import pairs, safe, utc
from exchange.errors import Refused, Rejected
from exchange.limits import DAY_MS

if TYPE_CHECKING:
    from exchange.cli.node.home import Opened
    from exchange.directory.bodies import Body
    from exchange.directory.snapshot import Snapshot
    from exchange.directory.statements import Statement


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "snapshot", role="node", unlocks=True)(snapshot)
    command(group, "verify", role="node")(verify)
    command(group, "import", role="node", unlocks=True)(import_file)


def snapshot(
    call: Call,
    *,
    file: Annotated[Path, typer.Argument(help="File to write.")],
    level: Annotated[
        str, typer.Option(help="public: for anybody; members: with what members tell each other.")
    ] = "public",
) -> None:
    """Write the log with its newest checkpoint, as this node holds it, into a file that verifies anywhere."""
    from exchange.cli.node.home import opened
    from exchange.cli.snapshots import snapshot_facts
    from exchange.directory.snapshot import MAX_SNAPSHOT, MEMBERS, SNAPSHOT_LEVELS
    from exchange.storage.files import write_private

    if level not in SNAPSHOT_LEVELS:
        raise Refused("cli.usage", f"--level is one of {', '.join(SNAPSHOT_LEVELS)}")
    with opened(call) as home:
        made = _made(home, level)
    directory, checkpoint = made.verify(None)  # nothing leaves here that wouldn't verify elsewhere
    write_private(file, made.to_bytes(), most=MAX_SNAPSHOT)
    value, facts = snapshot_facts(made, directory, checkpoint)
    warned = " (not for others than members)" if level == MEMBERS else ""
    call.out.result(
        {"file": str(file), **value},
        [f"wrote {file}{warned}", *pairs(facts)],
        next_step=f"anybody checks it offline: exchange directory verify {file.name} --digits '{value['digits']}'",
    )


def _made(home: Opened, level: str) -> Snapshot:
    from exchange.directory.snapshot import Snapshot
    from exchange.node.store import directory as store_directory, parts as store_parts

    replica = asyncio.run(home.replica())
    rows = home.store.db.read_sync(store_directory.judged_leaves)
    parts = home.store.db.read_sync(lambda c: store_parts.all_parts(c, home.store.cipher))
    size = replica.checkpoint.size
    named, net = replica.directory.named_parts(), replica.directory.net
    held = [part for part in parts if part.hash(net) in named]
    return Snapshot.of(replica.newest, [leaf for leaf, _ in rows[:size]], held, level=level)


def verify(
    call: Call,
    *,
    file: Annotated[Path, typer.Argument(help="A snapshot.")],
    digits: Annotated[
        str | None, typer.Option(help="The network's digits as you know them; refused if they differ.")
    ] = None,
) -> None:
    """Check a snapshot from its bytes alone: every signature and root, offline, without a home."""
    from exchange.cli.snapshots import read_snapshot, snapshot_facts
    from exchange.cli.waiting import same_digits

    found = read_snapshot(file)
    directory, checkpoint = found.verify(None)
    value, facts = snapshot_facts(found, directory, checkpoint)
    if digits is not None and not same_digits(digits, value["digits"]):
        raise Rejected("snapshot.bad-format", f"a snapshot of the network {value['digits']}, not of yours")
    if now_ms() - checkpoint.at > DAY_MS:
        call.out.warn(f"as of {utc(checkpoint.at)}: what came later isn't in it")
    compare = (
        "" if digits else "compare the digits with those you know: anybody can make a network of its own"
    )
    call.out.result({**value, "digits_compared": digits is not None}, pairs(facts), next_step=compare)


def import_file(
    call: Call,
    *,
    file: Annotated[
        Path, typer.Argument(help="A notice or a change of hub (JSON), or a list of contact points (CSV).")
    ],
    apply: Annotated[
        bool, typer.Option("--apply", help="Of a list: state what differs; else it is only shown.")
    ] = False,
    end_dropped: Annotated[
        bool, typer.Option("--end-dropped", help="Of a list: end contact points that it leaves out.")
    ] = False,
    note: Annotated[
        Path | None, typer.Option(help="Of a list: the note verbale that names them, where nobody nominates.")
    ] = None,
    text_language: Annotated[str, typer.Option(help="Of a list: the language of its texts.")] = "es",
) -> None:
    """Take in a file: what revokes, suspends, vetoes or changes the hub acts at once; a list is compared first."""
    from exchange.cli.directory.table import Wish, import_table

    data = _read_file(file)
    if data.lstrip()[:1] == b"{":
        _import_notice(call, file)
    else:
        import_table(call, file, data, Wish(apply, end_dropped, note, text_language))


def _read_file(file: Path) -> bytes:
    from exchange.formats.contacts.table import MAX_BYTES

    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused("cli.bad-file", f"can't read {file}") from error


def _import_notice(call: Call, file: Path) -> None:
    from exchange.cli.node.home import opened, wake
    from exchange.cli.officer.network import read_statement_file

    statement = read_statement_file(file)
    with opened(call) as home:
        try:
            body, news = asyncio.run(_accepted(home, statement)), True
        except Rejected as fault:
            if fault.code != "directory.repeated":
                raise
            body, news = None, False
        if news:
            wake(call, home.home)
    if body is None:
        call.out.result({"file": str(file), "news": False}, ["the log has it already; nothing was changed"])
        return
    value = {"file": str(file), "news": True, "type": body.head.type, "about": body.head.subject[0]}
    call.out.result(value, [f"took in {body.head.type} of {safe(body.head.subject[0])}: it acts from now on"])


async def _accepted(home: Opened, statement: Statement) -> Body:
    from exchange.node.app import real_sources
    from exchange.node.directory.notices import Notices

    replica = await home.replica()
    return await Notices(home.store, home.home.identity(), replica, real_sources()).accept(statement)
