"""What waits at the hub for signatures: applications and other statements, and what each still lacks (§11.6, §11.12).

Owns reading both off the hub's answers, whose signature they want and how long is too long. Whether signatures suffice
is the directory's judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from exchange.canonical import Fields, Json, h
from exchange.directory import onboarding
from exchange.directory.bodies import Body, parse_body
from exchange.directory.bodies_base import Add
from exchange.directory.bodies_contacts import (
    Confirm,
    ConstituencyClaim,
    ContactEnd,
    ContactPoint,
    RecordParts,
    UnitKeys,
    named_by,
)
from exchange.directory.bodies_members import StatusMove
from exchange.directory.contacts import LEVELS, NPC, REPLICATED, Part
from exchange.directory.members import Member, Move
from exchange.directory.network import member_of
from exchange.directory.state import Directory
from exchange.directory.statements import HUB, RECOVERY, Statement, read_signatures
from exchange.errors import Rejected
from exchange.keys import member_digits
from exchange.limits import SECOND_MS

MAX_DOCUMENT: Final = 65_536  # bytes (§9.15)
MAX_REASON: Final = 1_024  # bytes of UTF-8
ANSWER_DAYS: Final = 20  # working days in which an application is answered
REJECTED: Final = "rejected"
WITHDRAWN: Final = "withdrawn"

_APPLICATION: Final = ("body", "document", "ended", "member", "reason", "salt", "signatures", "since")
_PENDING: Final = ("body", "parts", "signatures", "since", "until")
_MAJORITY: Final = frozenset({"officers", "policy"})  # more than half of the members sign
_SPONSORED: Final = frozenset({"recover", "revoke"})  # as many sponsors as for an add
_WEEKEND: Final = 5  # first day of it, Monday being 0


# the rules that further signatures can still satisfy
MENDABLE: Final = frozenset(
    {
        "directory.no-possession",
        "directory.not-nominated",
        "directory.too-few-members",
        "directory.too-few-officers",
        "directory.too-few-sponsors",
    }
)


@dataclass(frozen=True)
class Application:
    """Somebody who wants in: the statement so far, its digits to compare by voice, and its document (§9.15).

    `ended` is empty, REJECTED or WITHDRAWN; then `reason` says why and the document may be gone. `since` in UTC ms.
    """

    member: Member
    statement: Statement
    since: int
    digits: str
    document: bytes
    ended: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Pending:
    """A statement that lacks signatures; the hub keeps it from `since` `until` (UTC ms).

    `parts`: those it names for the hub that the hub shows and whose hash fits; `unseen`: the levels of the others.
    """

    statement: Statement
    body: Body
    since: int
    until: int
    parts: tuple[Part, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """The address it is about, or `network`."""
        return self.body.head.subject[0]


@dataclass(frozen=True)
class Lack:
    """The first rule against a statement ("" for none), and of each kind of signer (signed, needed) as far as told."""

    code: str = ""
    detail: str = ""
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def read_application(value: Json, net: bytes) -> Application:
    """One row of the hub's list. Raises Rejected json.bad-schema, directory.bad-statement, application.bad-document."""
    fields = Fields(value, _APPLICATION, what="application")
    body = fields.binary("body")
    parsed = parse_body(body, net)
    if not isinstance(parsed, Add) or parsed.member.handle != fields.text("member"):
        raise Rejected("directory.bad-statement", "not an application of that member")
    member = parsed.member
    ended = fields.one_of("ended", ("", REJECTED, WITHDRAWN))
    document = fields.binary("document")
    if document or not ended:
        check_document(net, member.application, document, fields.binary("salt"))
    return Application(
        member=member,
        statement=Statement(body, read_signatures(fields)),
        since=fields.integer("since"),
        digits=member_digits(net, member.handle, member.keys),
        document=document,
        ended=ended,
        reason=fields.human("reason", most=MAX_REASON),
    )


def application_hash(net: bytes, salt: bytes, document: bytes) -> bytes:
    """`application` of an add: H("application", salt16, document) (§9.4)."""
    return h(net, "application", salt, document)


def check_document(net: bytes, named: bytes, document: bytes, salt: bytes) -> None:
    """The document is the one an add names; none where it names none. Raises Rejected application.bad-document."""
    if len(document) > MAX_DOCUMENT or (bool(document) and not named):
        raise Rejected("application.bad-document")
    if named and application_hash(net, salt, document) != named:
        raise Rejected("application.bad-document")


def read_pending(value: Json, net: bytes) -> Pending:
    """One row of the hub's list of pending statements. Raises Rejected json.bad-schema, directory.bad-statement."""
    fields = Fields(value, _PENDING, what="pending")
    body = fields.binary("body")
    statement = Statement(body, read_signatures(fields))
    statement.check_form()
    parsed = parse_body(body, net)
    named = {digest: level for level, digest in named_by(parsed).items() if level in REPLICATED}
    shown = [Part.from_json(row) for row in fields.rows("parts", 4, most=len(LEVELS))]
    parts = tuple(
        part
        for part in shown
        if named.get(part.hash(net)) == part.level and part.address == parsed.head.subject[0]
    )
    unseen = tuple(sorted(set(named.values()) - {part.level for part in parts}))
    return Pending(statement, parsed, fields.integer("since"), fields.integer("until"), parts, unseen)


def lack_of(directory: Directory, statement: Statement, now: int) -> Lack:
    """What `statement` lacks if it were logged at `now` (UTC ms)."""
    try:
        directory.judge(statement, max(directory.at, now))
    except Rejected as fault:
        counts = {
            who: (signed, needed)
            for who in ("officers", "sponsors", "members")
            for signed, needed in [fault.facts.get(who, (0, 0))]
            if needed
        }
        return Lack(fault.code, fault.detail, counts)
    return Lack()


def wants_member(directory: Directory, pending: Pending, handle: str) -> bool:
    """Is the member `handle` one of those whose signature this statement needs, and hasn't signed yet?"""
    member = directory.members.get(handle)
    if member is None or handle in pending.statement.signers or handle == pending.about:
        return False
    kind = pending.body.head.type
    if kind in _MAJORITY:
        return onboarding.counts(member)
    subject = directory.members.get(member_of(pending.about))
    if kind in _SPONSORED:
        return subject is not None and onboarding.may_sponsor(member) and member.country != subject.country
    if isinstance(pending.body, StatusMove) and pending.body.move is Move.ACTIVATE:
        return subject is not None and handle in subject.sponsors
    return False


def has_say(directory: Directory, body: Body, signer: str) -> bool:
    """May the signature of `signer` ever count for this statement? All others only make it, and the log, larger."""
    subject = body.head.subject[0]
    if signer in (subject, member_of(subject), HUB, RECOVERY) or signer.startswith("officer/"):
        return True
    if isinstance(body, ContactPoint | Confirm | ContactEnd):
        contact = directory.contacts.get(signer)
        return contact is not None and contact.function == NPC and not contact.ended
    if isinstance(body, UnitKeys | RecordParts | ConstituencyClaim):
        return False
    return signer in directory.members


def working_days(since: int, now: int) -> int:
    """Whole working days (Monday to Friday, UTC) between two times in ms."""
    start, days = datetime.fromtimestamp(since / SECOND_MS, UTC), 0
    for n in range(1, max(0, (now - since) // (24 * 3_600 * SECOND_MS)) + 1):
        days += (start + timedelta(days=n)).weekday() < _WEEKEND
    return days


def is_late(since: int, now: int) -> bool:
    """Whether somebody has waited longer than the answer may take."""
    return working_days(since, now) > ANSWER_DAYS
