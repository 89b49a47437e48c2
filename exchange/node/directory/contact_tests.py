"""Owns tests of contact points: the ping, what came of it, and the statement that puts it into the log (§9.14).

How soon a person acknowledged is measured from the signed status of the contact's own node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchange.directory.addressing import contact_target
from exchange.directory.bodies_contacts import build_test
from exchange.directory.book import Book
from exchange.directory.statements import Statement
from exchange.directory.submission import SignedSubmission, Submission
from exchange.errors import Refused
from exchange.formats.stix.cover import read_message
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.message import Kind, Urgency
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity
from exchange.node.mail.desk import Desk, Sent
from exchange.node.mail.writing import Writer
from exchange.node.store import directory as store_directory
from exchange.node.store.outbox import Outgoing
from exchange.node.store.store import Store
from exchange.node.uplink.api import HubApi
from exchange.phrases import letters
from exchange.tlp import Tlp

PING: Final = "ping"
NO_ANSWER_MS: Final = DAY_MS
# how soon a person must have acknowledged, by lane: a ping is one of these two
IN_TIME_MS: Final = {Urgency.FLASH.value: 15 * MINUTE_MS, Urgency.IMMEDIATE.value: HOUR_MS}
_LIFE_MS: Final = DAY_MS


@dataclass(frozen=True)
class Measured:
    """What came of a ping sent at `at` (UTC ms): minutes to the answer, 0 for none, and the result's word."""

    at: int
    minutes: int
    result: str


def ping(writer: Writer, book: Book, contact: str, urgency: Urgency) -> tuple[Outgoing, str]:
    """The test message for a contact point, and where its mail is opened.

    Raises Refused contact.unknown, unit.unknown, cli.usage (neither flash nor immediate), policy.*.
    """
    if urgency.value not in IN_TIME_MS:
        raise Refused("cli.usage", "a ping is flash or immediate")
    target = contact_target(writer.directory, contact, contact)
    writer.check_send([target.address], tlp=Tlp.GREEN, lane=urgency.value, anchor_confirmed=False)
    letter = letters.ping(contact, letters.spoken(book.contacts[contact].languages))
    message = writer.message(
        Kind.CONTACT_VERIFICATION,
        letter,
        urgency=urgency,
        contacts=(contact,),
        audience_function=target.function or None,
    )
    return message, target.address


def measured(desk: Desk, contact: str, now: int) -> Measured:
    """What came of the newest ping of the contact; `now` in UTC ms.

    Raises Refused secretariat.no-ping, secretariat.ping-open.
    """
    for sent in desk.outbox():
        if sent.message.lane in IN_TIME_MS and _is_ping(desk.sent(sent.message.id), contact):
            return _measured(sent, now)
    raise Refused("secretariat.no-ping")


def _is_ping(sent: Sent, contact: str) -> bool:
    message = read_message(sent.message.payload)
    return message.kind == Kind.CONTACT_VERIFICATION and message.contacts == (contact,)


def _measured(sent: Sent, now: int) -> Measured:
    (copy,) = sent.addressees
    began = copy.accepted_at or copy.queued_at
    answers = (copy.acknowledged_at, copy.working_at, copy.declined_at)
    answered = min((at for at in answers if at), default=None)
    took = max(0, answered - began) if answered else None
    if took is not None and took <= NO_ANSWER_MS:
        in_time = took <= IN_TIME_MS[sent.message.lane]
        return Measured(copy.queued_at, -(-took // MINUTE_MS), "ok" if in_time else "late")
    if now - began <= NO_ANSWER_MS:
        raise Refused("secretariat.ping-open")
    return Measured(copy.queued_at, 0, "none")


def check_unlogged(replica: Replica, contact: str, found: Measured) -> None:
    """Two `none` for one ping would make the contact suspect. Raises Refused secretariat.ping-logged."""
    tests = replica.directory.contacts[contact].tests
    if any(test.kind == PING and test.at > found.at for test in tests):
        raise Refused("secretariat.ping-logged")


async def log_test(
    store: Store,
    identity: Identity,
    replica: Replica,
    hub: HubApi,
    *,
    contact: str,
    kind: str,
    minutes: int,
    result: str,
    now: int,
) -> Submission:
    """Hand the statement in; `now` in UTC ms.

    Raises Refused directory.bad-statement, Rejected directory.*, Unavailable: nothing was changed, try again.
    """
    body = build_test(
        net=identity.net,
        address=contact,
        kind=kind,
        minutes=minutes,
        result=result,
        after=replica.directory.last_hash(contact, "test"),
        not_after=now + _LIFE_MS,
    )
    statement = Statement(body).with_signature(identity.address, identity.keys)
    digest = statement.hash(identity.net)
    await store.db.write(lambda c: store_directory.add_own_statement(c, digest, "test", now=now))
    answer = SignedSubmission.from_json(await hub.post_statement(statement.to_json(), ()))
    return answer.verify(identity.net, replica.directory.hub.keys.signing, statement=digest)
