"""`exchange node drafts list | export | drop`: what tools posted to the writable collection, and waits for a person.

Owns these verbs. A draft becomes a message when a person sends the file that `export` writes.
"""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.call import Call
from exchange.cli.command import command
from exchange.cli.output import table, utc

if TYPE_CHECKING:
    from exchange.node.taxii.drafts import Draft

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the post, or its beginning.")]


def register(group: typer.Typer) -> None:
    """Add the verbs to the group, under `drafts`."""
    verbs = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="What tools posted, for a person to send."
    )
    command(verbs, "list", role="node", unlocks=True)(list_)
    command(verbs, "export", role="node", unlocks=True)(export)
    command(verbs, "drop", role="node", unlocks=True)(drop)
    group.add_typer(verbs, name="drafts")


def list_(
    call: Call,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1, max=1_000)] = 100,
) -> None:
    """Posts that hold objects nobody has sent or dropped, newest first."""
    from exchange.cli.node.home import opened
    from exchange.node.taxii import drafts

    with opened(call) as home:
        found, count = drafts.listed(home.store, limit=limit), drafts.count(home.store)
    value = [
        {
            "id": one.id,
            "by": one.by,
            "at": one.at,
            "objects": one.objects,
            "exercise": one.exercise,
            "due": one.due,
        }
        for one in found
    ]
    rows = [[one.id[:8], utc(one.at), one.by, str(one.objects), _note(one)] for one in found]
    lines = table(["id", "at", "by", "objects", "note"], rows)
    if count > len(found):
        lines.append(f"and {count - len(found)} older ones")
    next_step = (
        "exchange node drafts export ID FILE, then exchange node send FILE --to ADDRESS --kind KIND"
        if found
        else ""
    )
    call.out.result({"drafts": value, "count": count}, lines, next_step=next_step)


def _note(draft: Draft) -> str:
    notes = (("of an exercise", draft.exercise), ("the rule sends it", draft.due))
    return ", ".join(note for note, holds in notes if holds)


def export(
    call: Call,
    id_: Id,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to.")],
    exercise: Annotated[
        bool, typer.Option("--exercise", help="Yes, it is a draft of an exercise: nothing real goes with it.")
    ] = False,
) -> None:
    """Write a draft as a STIX bundle, each object byte for byte as it was posted; `send` takes it from there."""
    from exchange.cli.node.home import opened
    from exchange.node.app import real_sources
    from exchange.node.taxii import drafts
    from exchange.storage.files import write_private

    with opened(call) as home:
        found = drafts.taken_out(home.store, real_sources(), id_, who=getpass.getuser(), exercise=exercise)
    write_private(file, found.bundle)
    value = {"id": found.id, "objects": found.objects, "exercise": exercise, "file": str(file)}
    of = " --exercise EXERCISE" if exercise else ""
    next_step = f"exchange node send {file} --to ADDRESS --kind KIND{of}; then exchange node drafts drop {found.id[:8]}"
    call.out.result(value, [f"wrote {found.objects} objects to {file}"], next_step=next_step)


def drop(call: Call, id_: Id) -> None:
    """Delete a draft: its objects leave the collection."""
    from exchange.cli.node.home import opened
    from exchange.node.app import real_sources
    from exchange.node.taxii import drafts

    call.confirm("Delete this draft?")
    with opened(call) as home:
        gone = drafts.dropped(home.store, real_sources(), id_, who=getpass.getuser())
    call.out.result({"id": gone, "dropped": True}, [f"dropped {gone}"])
