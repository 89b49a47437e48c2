"""Owns how a program of this member sends a message: addressees resolved, objects joined, policy asked, queued once.

What a message must have is `exchange.message`'s rule, who may be sent what `policy`'s. The same order under the same id
is sent once, however often it is asked for.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from exchange import tlp as labels
from exchange.access import Access
from exchange.directory import addressing
from exchange.directory.addressing import Target
from exchange.directory.book import Book
from exchange.directory.find import resolve
from exchange.directory.network import member_of
from exchange.errors import Refused
from exchange.formats.objects import RawObject
from exchange.formats.stix.cover import exercise_within, read_message
from exchange.formats.stix.incident import IncidentFacts, build_incident
from exchange.message import Urgency
from exchange.node.directory.membership import CONFIRMED
from exchange.node.directory.replica import Replica
from exchange.node.doors.doors import reader_at
from exchange.node.feeds.outside import check_sent
from exchange.node.identity import Identity, Sources
from exchange.node.mail.view import MailView, who_of
from exchange.node.mail.writing import Writer
from exchange.node.store import access as store_access, api as store_api, outbox as store_outbox
from exchange.node.store.api import Ordered
from exchange.node.store.store import Store, Transaction, fact
from exchange.phrases.letters import Letter
from exchange.tlp import Tlp

ACTION: Final = "api send"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a program wants sent. `id`: its own choice; `fields`: of a Draft, as they are (`question`, `ack_by` ...).

    `in_reply_to_sender`: whose message is answered, where several have used its id.
    `cross_community`: yes, also to police or another community. `asked`: the whole request, to know it again by.
    """

    to: Sequence[str]
    kind: str
    subject: str
    id: str | None = None
    tlp: Tlp | None = None
    urgency: Urgency | None = None
    case: str | None = None
    in_reply_to: str | None = None
    in_reply_to_sender: str = ""
    text: str = ""
    lang: str = "en"
    incident: IncidentFacts | None = None
    objects: Sequence[RawObject] = ()
    separate: bool = False
    cross_community: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)
    asked: bytes = b""


@dataclass(frozen=True, slots=True)
class Queued:
    """What lies in the outbox now. `new`: by this very call. `waiting`: addressees nothing can be sealed to yet."""

    id: str
    new: bool
    kind: str
    case: str
    tlp: Tlp
    lane: str
    to: tuple[str, ...]
    waiting: tuple[str, ...]


class MailSending:
    """Sends for rights of entry. One per process that owns the home."""

    def __init__(
        self,
        store: Store,
        identity: Identity,
        replica: Replica,
        sources: Sources,
        view: MailView,
        *,
        digest: Callable[[bytes], bytes],
        poke: Callable[[], None],
    ) -> None:
        """`digest`: a hash under the home's own key. `poke`: mail waits."""
        self._store = store
        self._identity = identity
        self._replica = replica
        self._sources = sources
        self._view = view
        self._digest = digest
        self._poke = poke

    async def send(self, access: Access, order: Order, book: Book) -> Queued:
        """Queue it, durably. Repeats change nothing.

        Raises Refused api.taken (the id is another message's), message.*, policy.*, tlp.*, contact.*, unit.*,
        directory.*, incident.*, stix.*, json.*, release.exercise, release.not-an-exercise, node.not-joined.
        """
        asked = Ordered(access.n, self._digest(order.asked))
        before = await self._store.db.read(lambda c: self._queued_before(c, order, asked))
        if before is not None:
            return before
        _check_exercise(access, order)
        directory, me = self._replica.directory, self._identity.address
        if me not in directory.members and me not in directory.units:
            raise Refused("policy.sender-status", f"{me} is not admitted yet")
        targets = [self._target(one, book, cross_community=order.cross_community) for one in order.to]
        to = tuple(dict.fromkeys(target.address for target in targets))
        functions = {target.function for target in targets if target.function}
        if len(functions) > 1:
            raise Refused(
                "contact.ambiguous",
                "addressees of more than one function: send one message for each",
                field="to",
            )
        case, urgency = await self._thread(access, order)
        writer = Writer(directory, self._identity, self._sources)
        tlp = labels.strictest(
            [order.tlp or labels.DEFAULT, *(o.tlp for o in order.objects if o.tlp is not None)]
        )
        outgoing = await asyncio.to_thread(  # it may have 10 MB
            writer.message,
            order.kind,
            Letter(order.lang, order.subject, order.text),
            urgency=urgency,
            tlp=tlp,
            objects=[*self._incident(writer, order, tlp), *order.objects],
            message_id=order.id,
            case=case,
            separate=order.separate,
            in_reply_to=order.in_reply_to,
            audience_function=functions.pop() if functions else None,
            **order.fields,
        )
        confirmed = await self._store.db.read(lambda c: fact(c, CONFIRMED)) is not None
        writer.check_send(to, tlp=tlp, lane=urgency.value, anchor_confirmed=confirmed)
        queued = Queued(
            id=outgoing.id,
            new=True,
            kind=order.kind,
            case=case or writer.first_case(outgoing.id),
            tlp=tlp,
            lane=urgency.value,
            to=to,
            waiting=self._waiting(to),
        )
        who, now = who_of(access), self._sources.clock()
        readers = [reader_at(directory, me, address) for address in to]
        await check_sent(self._store, outgoing, tlp, readers, who=who, now=now)

        def write(connection: Transaction) -> Queued:
            if not store_outbox.add(connection, self._store.cipher, outgoing, to, now=now):
                before = self._queued_before(connection, order, asked)
                if before is None:
                    raise Refused("api.taken", field="id")
                return before
            store_api.add_ordered(connection, outgoing.id, asked)
            what = f"{self._identity.address} {outgoing.id}"
            store_access.append(connection, at=now, who=who, action=ACTION, what=what)
            return queued

        done = await self._store.db.write(write, size=len(outgoing.payload))
        self._poke()
        return done

    async def _thread(self, access: Access, order: Order) -> tuple[str | None, Urgency]:
        """Case and urgency of an order: those of what it answers, unless it says others.

        Raises Refused message.unknown, message.ambiguous; why what it answers is withheld, whose case stays untold.
        """
        if order.in_reply_to is None:
            return order.case, order.urgency or Urgency.ROUTINE
        item = await self._view.answerable(access, order.in_reply_to, order.in_reply_to_sender)
        if order.case is None and not item.decision.allowed:
            code, ask = item.decision.code, item.decision.ask
            detail = f"{item.decision.reason}; name the case, or ask {ask}"
            raise Refused(code, detail, field="in_reply_to", ask=ask)
        return order.case or item.facts.case or None, order.urgency or Urgency(item.lane)

    def _queued_before(self, connection: Transaction, order: Order, asked: Ordered) -> Queued | None:
        """This very order as it was queued before. Raises Refused api.taken where another one was."""
        found = store_api.ordered(connection, order.id) if order.id is not None else None
        if found is None or order.id is None:
            return None
        sent = store_outbox.find(connection, self._store.cipher, order.id)
        if found != asked or sent is None or sent[1].erased:
            raise Refused("api.taken", field="id")
        message, to = read_message(sent[1].payload), store_api.recipients(connection, sent[0])
        return Queued(
            id=message.id,
            new=False,
            kind=message.kind,
            case=message.case_id,
            tlp=message.tlp,
            lane=message.urgency.value,
            to=to,
            waiting=self._waiting(to),
        )

    def _target(self, typed: str, book: Book, *, cross_community: bool) -> Target:
        directory = self._replica.directory
        if addressing.asks_for_function(typed):
            found = resolve(book, typed, lambda _zone: None)  # nobody's hours matter to where mail goes
            if found.crossing and not cross_community:
                raise Refused(
                    "contact.other-community",
                    f"{found.address} is of {found.crossing}",
                    field="cross_community",
                )
            return addressing.contact_target(directory, typed, found.address)
        if addressing.names_person(typed):
            return addressing.person_target(directory, typed, book.persons())
        if addressing.is_contact_of_node(directory, typed):
            return addressing.contact_target(directory, typed, typed)
        addressing.check_unit(directory, typed)
        return Target(typed, typed)

    def _incident(self, writer: Writer, order: Order, tlp: Tlp) -> Sequence[RawObject]:
        if order.incident is None:
            return ()
        incident, event = (uuid.UUID(self._sources.new_id()) for _ in range(2))
        author = writer.identity_of(member_of(self._identity.address))
        return build_incident(
            order.incident, incident_id=incident, event_id=event, author=author, tlp=tlp, now=writer.now
        )

    def _waiting(self, to: Sequence[str]) -> tuple[str, ...]:
        """Those that nothing can be sealed to now."""
        return tuple(one for one in to if not self._can_seal(one))

    def _can_seal(self, address: str) -> bool:
        try:
            self._replica.directory.prekey_for(address, self._sources.clock())
        except Refused:
            return False
        return True


def _check_exercise(access: Access, order: Order) -> None:
    """What is marked for exercises sends these, and nothing else does; also what carries the cover of one is one."""
    said = order.fields.get("exercise_id")
    exercise = said or exercise_within(order.objects)
    if access.exercise and exercise is None:
        raise Refused("release.not-an-exercise", field="exercise")
    if exercise is not None and not access.exercise:
        raise Refused("release.exercise", field="exercise" if said else "objects")
