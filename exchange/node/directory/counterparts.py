"""Owns introductions at the secretariat: requests for a counterpart, whom it asked, and bringing both sides together.

The third side is told nothing of the requester or the case before it accepts: what it is sent is made from the country,
the topic and the deadline alone. Every step is one transaction: what was asked is queued, what was answered leads to
one introduction, whatever is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson

from exchange.directory.addressing import contact_target
from exchange.directory.book import Book, ContactEntry
from exchange.directory.entitlement import Entitlements
from exchange.directory.network import member_of
from exchange.directory.onboarding import is_provisional
from exchange.directory.state import Directory
from exchange.errors import Refused, Rejected
from exchange.formats.objects import RawObject
from exchange.formats.stix.cover import read_message
from exchange.formats.stix.read import read_object
from exchange.formats.stix.time import to_stix
from exchange.message import Kind, Message, Outcome, Urgency
from exchange.node.mail.writing import Writer
from exchange.node.store import inbox as store_inbox, outbox as store_outbox, secretariat as rows
from exchange.node.store.inbox import Received
from exchange.node.store.outbox import Outgoing
from exchange.node.store.secretariat import Ask, Request
from exchange.node.store.store import Store, Transaction
from exchange.phrases import letters
from exchange.tlp import Tlp

MAX_ARRIVED: Final = 32  # messages looked at in one transaction
UNVERIFIED: Final = "unverified"
ANSWERS: Final = frozenset({Outcome.FULL.value, Outcome.DECLINED.value})
_CARD_KIND: Final = "organization"


@dataclass(frozen=True)
class Standing:
    """A request with everybody who was asked: `open`, `asked`, `declined` (by all), `accepted` or `introduced`.

    It stays `accepted` while one of the sides can't be written to.
    """

    request: Request
    asks: tuple[Ask, ...]
    state: str
    overdue: bool


def take_in(connection: Transaction, store: Store) -> int:
    """Note the requests and answers among the messages that came since the last time; how many were looked at."""
    arrived = store_inbox.arrived(connection, store.cipher, after=rows.seen(connection), limit=MAX_ARRIVED)
    for one in arrived:
        if one.type == "stix" and UNVERIFIED not in one.marks:
            _take(connection, store, one)
    if arrived:
        rows.set_seen(connection, arrived[-1].n)
    return len(arrived)


def _take(connection: Transaction, store: Store, one: Received) -> None:
    kind = one.summary.get("kind")
    if kind == Kind.COUNTERPART_REQUEST:
        request = _request(one)
        if request:
            rows.add_request(connection, store.cipher, request)
    elif kind == Kind.RESPONSE and one.summary.get("outcome") in ANSWERS:
        for ask in rows.asks(connection, store.cipher):
            # only whom it asked can answer, and the first answer counts
            if (ask.id, ask.address, ask.answer) == (one.summary.get("in_reply_to"), one.sender, ""):
                message = read_message(one.payload)
                answered = replace(
                    ask, answer=str(message.outcome), answer_id=message.id, reason=message.reason
                )
                rows.put_ask(connection, store.cipher, answered)


def _request(one: Received) -> Request | None:
    """None for one that lacks what a request needs: a newer peer's, which people see in the inbox all the same."""
    try:
        message: Message = read_message(one.payload)
    except Rejected:
        return None
    if not (message.country and message.topic and message.reply_by):
        return None
    return Request(
        id=message.id,
        requester=one.sender,
        at=one.received_at,
        reply_by=message.reply_by,
        country=message.country,
        topic=message.topic,
        purpose=message.question,
        case=message.case_id,
    )


def standings(connection: Transaction, store: Store, *, now: int) -> list[Standing]:
    """Every request, the one with the nearest deadline first; `now` in UTC ms says which are overdue."""
    by_request: dict[str, list[Ask]] = {}
    for ask in rows.asks(connection, store.cipher):
        by_request.setdefault(ask.request_id, []).append(ask)
    return [
        _standing(request, tuple(by_request.get(request.id, ())), now)
        for request in rows.requests(connection, store.cipher)
    ]


def _standing(request: Request, asks: tuple[Ask, ...], now: int) -> Standing:
    if request.introduced_at:
        return Standing(request, asks, "introduced", overdue=False)
    answers = {ask.answer for ask in asks}
    if Outcome.FULL in answers:
        state = "accepted"
    elif "" in answers:
        state = "asked"
    else:
        state = "declined" if answers else "open"
    return Standing(request, asks, state, overdue=request.reply_by < now)


def question(writer: Writer, book: Book, request: Request, contact: str) -> tuple[Outgoing, Ask]:
    """What to send to `contact`, a member or contact point, about the request.

    Raises Refused contact.unknown, counterpart.same-side, counterpart.overdue, policy.*.
    """
    address, function = _desk(writer.directory, contact)
    if request.reply_by <= writer.now:
        raise Refused("counterpart.overdue")
    if address == request.requester:
        raise Refused("counterpart.same-side")
    message_id = writer.new_id()
    letter = letters.question(
        _language(book, contact),
        topic=request.topic,
        country=request.country,
        reply_by=request.reply_by,
        message_id=message_id,
    )
    writer.check_send([address], tlp=Tlp.GREEN, lane=Urgency.PRIORITY.value, anchor_confirmed=False)
    message = writer.message(
        Kind.COUNTERPART_REQUEST,
        replace(letter, text=""),
        urgency=Urgency.PRIORITY,
        message_id=message_id,
        country=request.country,
        topic=request.topic,
        question=letter.text,
        reply_by=request.reply_by,
        audience_function=function or None,
    )
    case = read_message(message.payload).case_id
    return message, Ask(message_id, request.id, contact, address, writer.now, case)


def ask(connection: Transaction, store: Store, made: Iterable[tuple[Outgoing, Ask]]) -> None:
    """Queue these questions and note whom they go to."""
    for message, asked in made:
        store_outbox.add(connection, store.cipher, message, [asked.address], now=asked.at)
        rows.put_ask(connection, store.cipher, asked)


def accepted(standings_: Iterable[Standing]) -> list[tuple[Request, Ask]]:
    """Those to be introduced now: of every request not yet introduced the first who accepted."""
    found = []
    for one in standings_:
        yes = [ask for ask in one.asks if ask.answer == Outcome.FULL]
        if yes and not one.request.introduced_at:
            found.append((one.request, yes[0]))
    return found


def introduction(
    writer: Writer, book: Book, request: Request, third: Ask, *, anchor_confirmed: bool
) -> list[tuple[Outgoing, str]]:
    """The two messages that hand each side the other's card, each with its recipient. Raises Refused policy.*"""
    requester = _own_contact(book, request)
    sides = (requester, third.contact)
    letters_out = [
        (request.requester, request.id, request.case, requester, third.contact),
        (third.address, third.answer_id, third.case, third.contact, requester),
    ]
    made = []
    for recipient, reply_to, case, reader, other in letters_out:
        full = not is_provisional(writer.directory.member(member_of(recipient)))
        language = _language(book, reader)
        card = _card(writer.directory, book, recipient, other, language, full=full)
        letter = letters.introduction(
            language,
            topic=request.topic,
            country=request.country,
            address=other,
            purpose=request.purpose,
            card=card,
        )
        tlp = Tlp.AMBER if full else Tlp.GREEN
        lane = Urgency.PRIORITY
        writer.check_send([recipient], tlp=tlp, lane=lane.value, anchor_confirmed=anchor_confirmed)
        message_id = writer.new_id()
        message = writer.message(
            Kind.INTRODUCTION,
            letter,
            urgency=lane,
            tlp=tlp,
            objects=[_identity(writer, message_id, other, card)],
            message_id=message_id,
            case=case,
            in_reply_to=reply_to,
            contacts=sides,
        )
        made.append((message, recipient))
    return made


def introduce(
    connection: Transaction, store: Store, request_id: str, made: Sequence[tuple[Outgoing, str]], *, now: int
) -> bool:
    """Queue both messages, once for a request; whether this was the time."""
    if not rows.set_introduced(connection, request_id, at=now):
        return False
    for message, recipient in made:
        store_outbox.add(connection, store.cipher, message, [recipient], now=now)
    return True


def _desk(directory: Directory, contact: str) -> tuple[str, str]:
    """Where mail for a contact point or member is opened, and for which function. Raises Refused contact.unknown."""
    if contact in directory.contacts:
        target = contact_target(directory, contact, contact)
        return target.address, target.function
    if contact not in directory.members:
        raise Refused("contact.unknown", f"{contact[:65]} is neither a member nor a contact point")
    return contact, ""


def _own_contact(book: Book, request: Request) -> str:
    """Whose card stands for the requester: the contact that wrote, else its member's for the topic, else the member."""
    if request.requester in book.contacts:
        return request.requester
    handle = member_of(request.requester)
    own = (book.contacts[address] for address in book.members[handle].contacts)
    return next((one.address for one in own if request.topic in one.contact.topics), handle)


def _language(book: Book, contact: str) -> str:
    entry: ContactEntry | None = book.contacts.get(contact)
    if entry:
        return letters.spoken(entry.languages)
    public = book.members[member_of(contact)].public
    return letters.spoken(public.languages if public else ())


def _card(
    directory: Directory, book: Book, reader: str, contact: str, language: str, *, full: bool
) -> list[str]:
    entry = book.contacts.get(contact)
    if entry is None:
        return letters.member_card(book.members[member_of(contact)], language)
    holders = full and Entitlements(directory).may_hold(reader, contact, "holders")
    return letters.contact_card(entry, language, members=full, holders=holders)


def _identity(writer: Writer, message_id: str, contact: str, card: Sequence[str]) -> RawObject:
    """The card as a STIX identity of its own: what it says is only true today, so that it is no version of another."""
    now = to_stix(writer.now)
    value = {
        "type": "identity",
        "spec_version": "2.1",
        "id": writer.identity_of(f"card {message_id} {contact}"),
        "created": now,
        "modified": now,
        "name": contact,
        "identity_class": _CARD_KIND,
        "contact_information": "\n".join(card),
    }
    return read_object(orjson.dumps(value))
