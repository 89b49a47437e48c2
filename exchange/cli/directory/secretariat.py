"""`exchange directory standing | letter | ping | test`: how members confirm their contacts, and tests of them.

Owns what is printed. When who is reminded is directory/reminders' business, what a ping's answer means contact_tests'.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.call import Call, now_ms
from exchange.cli.command import command
from exchange.cli.directory.options import LangOption, country_code
from exchange.cli.output import table, utc
from exchange.errors import Refused

if TYPE_CHECKING:
    from exchange.cli.node.home import Opened
    from exchange.directory.book import Book
    from exchange.directory.reminders import Item, Score
    from exchange.directory.state import Directory
    from exchange.node.mail.writing import Writer

ContactAddress = Annotated[
    str, typer.Argument(metavar="CONTACT", help="Address of the contact point, such as pe-csirt/tracing.")
]
_MOST_MINUTES: Final = 7 * 24 * 60


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""
    command(group, "standing", role="node", unlocks=True)(standing)
    command(group, "letter", role="node", unlocks=True)(letter)
    command(group, "ping", role="node", unlocks=True, for_units=False)(ping)
    command(group, "test", role="node", unlocks=True, for_units=False)(log_test)


def standing(call: Call, lang: LangOption = None) -> None:
    """Show how many contact points every member has confirmed in time, and which of one's own are due."""
    from exchange.cli.directory.book import Speaker
    from exchange.cli.node.home import opened
    from exchange.directory.reminders import open_items, scores

    speaker, now = Speaker(lang), now_ms()
    with opened(call) as home:
        directory, me = home.directory, home.home.identity().address
    found = scores(directory, now)
    mine = [item for item in open_items(directory, now) if _is_mine(directory, item, me)]
    cells = [
        (one.member, one.country or "-", str(one.total), f"{one.percent} %", *_counts(one)) for one in found
    ]
    head = (
        *speaker.head("member", "country", "contacts", "in-time"),
        *(speaker.standing(word) for word in ("due", "overdue", "lapsed")),
    )
    lines = table(head, cells) if cells else ["no members yet"]
    lines += [
        f"{item.contact.address}: {speaker.function(item.contact.function)}; "
        f"{speaker.standing(item.standing)}, {utc(item.contact.validate_by)}"
        for item in mine
    ]
    value = {"members": [_score_json(one) for one in found], "due": [_item_json(item) for item in mine]}
    call.out.result(value, lines, next_step="exchange directory contact confirm --all" if mine else "")


def letter(
    call: Call,
    country: Annotated[str, typer.Argument(metavar="CC", help="Two letters, such as PE.")],
    lang: LangOption = None,
) -> None:
    """Print the letter to a country's Permanent Mission about contact points that have lapsed."""
    from exchange.cli.directory.book import look
    from exchange.directory.reminders import lapsed
    from exchange.phrases.languages import language_of
    from exchange.phrases.letters import mission_letter, spoken

    code, view = country_code(country), look(call)
    items = lapsed(view.directory, view.book.now).get(code, [])
    if not items:
        call.out.result(
            {"country": code, "lapsed": [], "letter": ""}, [f"no contact point of {code} has lapsed"]
        )
        return
    own = spoken(view.book.contacts[items[0].contact.address].languages)
    text = mission_letter(code, items, language_of(lang) if lang else own, now=view.book.now)
    value = {"country": code, "lapsed": [_item_json(item) for item in items], "letter": text}
    call.out.result(value, text.splitlines())


def ping(
    call: Call,
    address: ContactAddress,
    urgency: Annotated[str, typer.Option(help="flash or immediate.")] = "immediate",
) -> None:
    """Test a contact point: send a message that a person there is to acknowledge. For the secretariat."""
    from exchange.cli.node.home import opened, wake
    from exchange.message import Urgency
    from exchange.node.directory import contact_tests

    if urgency not in set(Urgency):
        raise Refused("cli.usage", "a ping is flash or immediate")
    with opened(call) as home:
        require_secretariat(home)
        writer, book = hands(home)
        message, recipient = contact_tests.ping(writer, book, address, Urgency(urgency))
        home.desk.submit(message, [recipient])
        wake(call, home.home)
    value = {"id": message.id, "contact": address, "to": recipient, "urgency": urgency}
    call.out.result(
        value,
        [f"ping {message.id} to {address}, sealed to {recipient}: {urgency}"],
        next_step=f"when it is acknowledged, or 24 h are over: exchange directory test {address}",
    )


def log_test(
    call: Call,
    address: ContactAddress,
    result: Annotated[
        str | None, typer.Option(help="ok, late or none; unsaid: what came of the newest ping.")
    ] = None,
    minutes: Annotated[
        int, typer.Option(help="Minutes until somebody answered.", min=0, max=_MOST_MINUTES)
    ] = 0,
    kind: Annotated[str, typer.Option(help="call or ping.")] = "call",
) -> None:
    """Put the result of a test into the log: of the newest ping, or of a call you made. For the secretariat."""
    from exchange.cli.node.home import connected, opened, wake
    from exchange.node.directory import contact_tests

    with opened(call) as home:
        require_secretariat(home)
        if address not in home.directory.contacts:
            raise Refused("contact.unknown", f"{address[:65]} is no contact point")
        if result is None:
            kind = contact_tests.PING
            found = contact_tests.measured(home.desk, address, now_ms())
            contact_tests.check_unlogged(asyncio.run(home.replica()), address, found)
            result, minutes = found.result, found.minutes
        said = result

        async def hand_in() -> str:
            async with connected(home.home) as to:
                submission = await contact_tests.log_test(
                    to.store,
                    home.home.identity(),
                    to.replica,
                    to.hub,
                    contact=address,
                    kind=kind,
                    minutes=minutes,
                    result=said,
                    now=now_ms(),
                )
                return submission.outcome

        outcome = asyncio.run(hand_in())
        wake(call, home.home)
    value = {"contact": address, "kind": kind, "minutes": minutes, "result": said, "outcome": outcome}
    call.out.result(value, [f"{address}: {kind}, {said}, {minutes} min: {outcome}"])


def require_secretariat(home: Opened) -> None:
    """Raises Refused secretariat.other unless the network's policy names this node's member."""
    from exchange.node.directory.secretariat import is_secretariat

    if not is_secretariat(home.directory, home.home.identity()):
        raise Refused("secretariat.other")


def hands(home: Opened) -> tuple[Writer, Book]:
    """A writer in this member's name, and the address book as this node holds it."""
    from exchange.cli.directory.book import view_of
    from exchange.node.app import real_sources
    from exchange.node.mail.writing import Writer

    view = view_of(home)
    return Writer(view.directory, home.home.identity(), real_sources()), view.book


def _is_mine(directory: Directory, item: Item, me: str) -> bool:
    from exchange.directory.network import member_of
    from exchange.directory.reminders import group_of

    handle = member_of(me)
    return item.contact.member == handle or member_of(group_of(directory, item.contact)) == handle


def _counts(score: Score) -> list[str]:
    return [str(score.counts[word]) for word in ("due", "overdue", "lapsed")]


def _score_json(score: Score) -> dict[str, Any]:
    return {
        "member": score.member,
        "country": score.country,
        "contacts": score.total,
        "percent": score.percent,
        **score.counts,
    }


def _item_json(item: Item) -> dict[str, Any]:
    contact = item.contact
    return {
        "contact": contact.address,
        "function": contact.function,
        "standing": item.standing,
        "validated": contact.validated,
        "validate_by": contact.validate_by,
    }
