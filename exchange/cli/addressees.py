"""Whom `--to` means: how a function or a name was resolved on the local replica is shown, crossing over is asked for.

Owns what is printed and asked. The spellings are `directory.addressing`'s, the choice of a contact `directory.find`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from exchange.cli.output import safe, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.call import Call
    from exchange.cli.node.home import Opened
    from exchange.directory.addressing import Target
    from exchange.directory.book import Book
    from exchange.directory.find import Resolution

# What a fall-back means, by its rung of the ladder (directory/find). Nothing is said where the function itself was met.
_FALLBACKS: Final = {
    "round-the-clock": "nobody there has that function; its 24x7 contact takes it",
    "spoc": "nobody there has that function; its single point of contact takes it",
    "npc": "nobody there has that function; its national point of contact takes it",
}


def resolved(call: Call, home: Opened, typed: Sequence[str], *, cross_community: bool) -> list[Target]:
    """The addressees that were typed, each with its address; a member that there isn't is left for policy to refuse.

    Raises Refused contact.unknown, contact.ambiguous, contact.other-community, unit.unknown, directory.unknown-member.
    """
    from exchange.directory import addressing
    from exchange.directory.addressing import Target

    targets: list[Target] = []
    book: Book | None = None
    for one in typed:
        if addressing.asks_for_function(one):
            book = book or book_of(home)
            targets.append(_by_function(call, home, book, one, cross_community=cross_community))
        elif addressing.names_person(one):
            book = book or book_of(home)
            target = addressing.person_target(home.directory, one, book.persons())
            call.out.note(f"{safe(one)} is {target.address}")
            targets.append(target)
        elif addressing.is_contact_of_node(home.directory, one):
            target = addressing.contact_target(home.directory, one, one)
            call.out.note(f"{one} has no keys of its own; sealed to the node of {target.address}")
            targets.append(target)
        else:
            addressing.check_unit(home.directory, one)
            _note_ended(call, home, one)
            targets.append(Target(one, one))
    return targets


def _note_ended(call: Call, home: Opened, address: str) -> None:
    """That the contact point of a unit has ended: its keys still stand, and somebody may read there or not."""
    contact = home.directory.contacts.get(address)
    if contact is not None and contact.ended:
        call.out.note(
            f"{address} ended as a contact point on {utc(contact.ended)}; sealed to its keys all the same"
        )


def note_unsealed(call: Call, home: Opened, addresses: Sequence[str]) -> None:
    """Whom nothing can be sealed to now, for want of a key that counts: the message waits here."""
    from exchange.cli.call import now_ms

    for address in addresses:
        try:
            home.directory.prekey_for(address, now_ms())
        except Refused:
            call.out.warn(
                f"{address} has no key that can be sealed to now; its copy waits here until it has one"
            )


def audience_of(targets: Sequence[Target]) -> str | None:
    """The function to name in the message, for members whose node answers for it.

    Raises Refused cli.usage for more than one: each reader would be told of the other's.
    """
    functions = {target.function for target in targets if target.function}
    if len(functions) > 1:
        raise Refused("cli.usage", f"one message for {', '.join(sorted(functions))}: send one for each")
    return functions.pop() if functions else None


def _by_function(call: Call, home: Opened, book: Book, typed: str, *, cross_community: bool) -> Target:
    from exchange.directory import addressing
    from exchange.directory.find import resolve

    found = resolve(book, typed, lambda _zone: None)  # nobody's hours matter to where mail goes
    target = addressing.contact_target(home.directory, typed, found.address)
    call.out.note(_how(book, typed, found, target))
    if found.crossing and not cross_community:
        call.insist(
            f"{found.address} is a contact of another community, {safe(found.crossing)}. Send it there?",
            code="contact.other-community",
            option="--cross-community",
        )
    return target


def _how(book: Book, typed: str, found: Resolution, target: Target) -> str:
    """One line: what it is, by which fall-back, and where the mail goes."""
    entry = book.contacts[found.address]
    parts = [f"{typed} is {found.address} ({entry.contact.function})"]
    parts += [_FALLBACKS[reason.code] for reason in found.reasons if reason.code in _FALLBACKS]
    if entry.standing in ("overdue", "lapsed"):
        parts.append(f"{entry.standing}: nobody has confirmed it in time")
    if entry.contact.suspect:
        parts.append("suspect: it didn't answer its last two tests")
    where = "sealed to keys of its own" if not target.function else f"sealed to the node of {target.address}"
    return "; ".join([*parts, where])


def book_of(home: Opened) -> Book:
    """The address book as this home has it now."""
    from exchange.cli.call import now_ms
    from exchange.directory.book import Book
    from exchange.node.store.parts import all_parts

    store = home.store
    parts = store.db.read_sync(lambda c: all_parts(c, store.cipher))
    return Book.build(home.directory, parts, now_ms())
