"""`exchange node extract`: what of a message concerns one constituent's assets, for that constituent.

Owns the verb: whose assets they are, and what is printed. Which objects go is `formats/extract`'s, whether they may
`exchange.release`'s business.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Final

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.losses import as_json, tell
from exchange.cli.node.doors import (
    ForExercise,
    FormatName,
    OutputFile,
    check_output,
    hand_over,
    warn_of_doubts,
)
from exchange.cli.node.mail import From, MessageId
from exchange.cli.node.send import words
from exchange.cli.output import safe
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.node.home import Opened
    from exchange.directory.book import Book
    from exchange.formats.extract import Extract
    from exchange.formats.objects import Loss
    from exchange.message import Message

MOST_NAMED: Final = 20  # claims of others within the assets
Names = Annotated[
    list[str] | None,
    typer.Option("--assets", help="Its prefixes, AS numbers and domain names; commas between."),
]


def register(group: typer.Typer) -> None:
    """Add the verb to the group."""
    command(group, "extract", role="node", unlocks=True)(extract)


def extract(
    call: Call,
    message: MessageId,
    *,
    owner: Annotated[
        str,
        typer.Option(
            "--for", help="Who gets it: a constituent that is kept here, a member, else a name of yours."
        ),
    ] = "",
    assets: Names = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also", help="What may be mentioned besides: an attacker's addresses, the AS of a prefix."
        ),
    ] = None,
    format_: FormatName = "stix",
    output: OutputFile = None,
    exercise: ForExercise = False,
    sender: From = "",
) -> None:
    """Write out what concerns one constituent's assets, and nothing of others. Read its texts before you hand it on."""
    from exchange.cli.addressees import book_of
    from exchange.cli.left_behind import losses_of
    from exchange.cli.node.home import opened, wake
    from exchange.formats.extract import extract as extracted
    from exchange.formats.mentions import Assets
    from exchange.formats.registry import dump
    from exchange.node.doors.constituents import assets_of, name_of
    from exchange.node.doors.doors import Passed, parts_of_others, readers_of_assets
    from exchange.release import Door

    check_output(call, output)
    besides = Assets.read(words(also)) if also else None
    with opened(call) as home:
        book, name = book_of(home), name_of(owner or "constituent")
        kept = home.constituents.find(name)
        own = Assets.read(assets_of(kept, words(assets)) if kept else words(assets) or _claims(book, name))
        me = home.home.settings.member
        readers = readers_of_assets(book, me, name, own.texts, exercise=exercise)
        for asset, match in parts_of_others(book, me, own.texts)[:MOST_NAMED]:
            call.out.note(f"{asset} holds {match.claim}, which is {match.member}'s: theirs to hand on")

        def make(passed: Passed) -> tuple[Message, Extract, bytes, tuple[Loss, ...]]:
            warn_of_doubts(call, passed)
            found = extracted(passed.message, own, besides=besides)
            if not found.objects:
                raise Refused("release.nothing-theirs", withheld=found.withheld)
            made = _composed(home, passed.message, found, name)
            written = dump(made, format_)
            return made, found, written.data, (*written.losses, *losses_of(passed))

        whole = home.whole_id(message)
        try:
            made, found, data, losses = home.doors.let_out(Door.EXTRACT, whole, readers, make, sender=sender)
        except Refused as refusal:
            _say_withheld(call, refusal.facts.get("withheld", ()))
            raise
        wake(call, home.home)
    _say_withheld(call, found.withheld)
    tell(call, losses)
    call.out.warn(
        f"{made.tlp.label}: read the texts in it before you hand it on; no program knows whom they name"
    )
    value = {
        "id": whole,
        "for": name,
        "format": format_,
        "tlp": made.tlp.label,
        "objects": made.object_count,
        "bytes": len(data),
        "withheld": [{"object": one, "why": why} for one, why in found.withheld],
        "losses": as_json(losses),
    }
    hand_over(call, data, output, value)


def _say_withheld(call: Call, withheld: tuple[tuple[str, str], ...]) -> None:
    for one, why in withheld:
        call.out.note(f"stays here: {safe(one)}: {why}")


def _claims(book: Book, name: str) -> list[str]:
    """The assets of a member's approved constituency. Raises Refused release.no-assets."""
    entry = book.members.get(name)
    if entry is None or entry.claims is None:
        raise Refused(
            "release.no-assets", f"none are kept of {name}, and the directory has no such member: --assets"
        )
    claims = entry.claims
    return [*claims.prefix, *(f"AS{number}" for number in claims.asn), *claims.domain]


def _composed(home: Opened, original: Message, found: Extract, name: str) -> Message:
    """The extract as a message of this member's own, with a case of its own: nothing of the original's words."""
    from exchange.cli.compose import new_case
    from exchange.directory.network import member_of
    from exchange.formats.stix.cover import compose
    from exchange.message import Author, Draft, Kind, Urgency, member_identity_id

    identity, now, message_id = home.home.identity(), now_ms(), uuid.uuid4()
    handle = member_of(identity.address)
    draft = Draft(
        id=str(message_id),
        kind=Kind.ALERT,
        case_id=new_case(handle, now, message_id),
        urgency=Urgency.ROUTINE,
        tlp=original.tlp,
        subject=f"For {name}",
        created=now,
        lang="en",
        exercise_id=original.exercise_id,
        pap=original.pap,
    )
    author = Author(
        id=member_identity_id(uuid.UUID(bytes=identity.net[:16]), handle),
        name=handle,
        created=home.directory.member(handle).since,
    )
    return compose(draft, author, found.objects)
