"""What one member tells another: the content of a message, apart from how it is sealed or written as STIX.

This file owns the kinds, urgencies and outcomes, the fields of a message and the rules between them
(docs/messages.md). `formats/stix/cover` turns it into a bundle and back; who may send it is `policy`'s business.
Times are UTC milliseconds since 1970, and the clock is the caller's.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from exchange.canonical import ADDRESS, COUNTRY
from exchange.errors import Refused
from exchange.pap import Pap
from exchange.tlp import Tlp

MAX_SUBJECT_CHARS = 250
MAX_TEXT_CHARS = 20_000
MAX_QUESTION_CHARS = 5_000
MAX_REASON_CHARS = 2_000
MAX_CONTACTS = 256
MAX_TIME_MS = 253_402_300_799_999  # the last millisecond of the year 9999, the end of STIX timestamps

LEGAL_STATUSES = ("informal", "formal-copy")


class Kind(StrEnum):
    """The kinds of message this version writes. A newer peer may send others: they are shown, not refused."""

    ALERT = "alert"
    INCIDENT_REPORT = "incident-report"
    INCIDENT_UPDATE = "incident-update"
    REQUEST_INFORMATION = "request-information"
    RESPONSE = "response"
    CONTACT_VERIFICATION = "contact-verification"
    COUNTERPART_REQUEST = "counterpart-request"
    INTRODUCTION = "introduction"
    FORWARD = "forward"


class Urgency(StrEnum):
    """How soon it must be read; equal to the lane of the envelope (docs/protocol.md, envelope)."""

    FLASH = "flash"
    IMMEDIATE = "immediate"
    PRIORITY = "priority"
    ROUTINE = "routine"

    @property
    def rank(self) -> int:
        """Order of service: 0 is served first."""
        return _RANKS[self]


_RANKS = {urgency: rank for rank, urgency in enumerate(Urgency)}


class Outcome(StrEnum):
    """How a request was answered. As with kinds, a newer peer may use further words."""

    FULL = "full"
    PARTIAL = "partial"
    NEGATIVE = "negative"
    DECLINED = "declined"
    INTERIM = "interim"
    FORWARDED = "forwarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """The sending member as a STIX identity: its id, its name for people, and since when it exists (ms)."""

    id: str
    name: str
    created: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a person decides about a message before its objects are joined to it.

    `kind` and `outcome` are plain words because a received one may be newer than this node.
    """

    id: str
    kind: str
    case_id: str
    urgency: Urgency
    tlp: Tlp
    subject: str
    created: int
    lang: str = "en"
    text: str = ""
    in_reply_to: str | None = None
    supersedes: str | None = None
    expires: int | None = None
    ack_by: int | None = None
    reply_by: int | None = None
    outcome: str | None = None
    question: str = ""
    reason: str = ""
    legal_status: str = "informal"
    exercise_id: str | None = None
    audience_function: str | None = None  # of the contact it is meant for, where its member's node answers
    contacts: tuple[str, ...] = ()  # addresses of the contact points it is about
    validate_by: int | None = None  # until when the first of them must be confirmed
    country: str | None = None  # where a counterpart is looked for, ISO 3166-1 alpha-2
    topic: str | None = None  # what for, a word of docs/directory.md
    pap: Pap | None = None  # for all of it; what it carries may say a stricter one of itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Draft):
    """A draft with its author's STIX identity id, its exact bundle, and how many objects it carries."""

    author: str
    bundle: bytes
    object_count: int


@lru_cache(maxsize=1024)
def member_identity_id(network: uuid.UUID, handle: str) -> str:
    """The STIX identity id of a member: UUIDv5 of its handle in the network's namespace (docs/messages.md)."""
    return f"identity--{uuid.uuid5(network, handle)}"


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WORD = re.compile(r"[a-z0-9_-]{2,32}")
_LANG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
# Control characters could move a terminal's cursor; a subject also stays on one line.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_BREAK = re.compile(r"[\t\n\r\u2028\u2029]")


def check_message(draft: Draft, *, carries_incident: bool, carries_cover: bool = False) -> None:
    """Check what a sender wrote, field by field and then between fields (docs/messages.md §4).

    `carries_incident` says whether one of its objects is an incident with the incident core extension,
    `carries_cover` whether one is the cover of another message.

    Raises: Refused with a `message.*` code that names the first rule broken.
    """
    _check_names(draft)
    _check_words(draft)
    _check_texts(draft)
    _check_times(draft)
    _check_kind(draft, carries_incident, carries_cover)


def _check_names(draft: Draft) -> None:
    for value in (draft.id, draft.in_reply_to, draft.supersedes):
        if value is not None and not _UUID.fullmatch(value):
            raise Refused("message.bad-id")
    for token in (draft.case_id, draft.exercise_id):
        if token is not None and not TOKEN.fullmatch(token):
            raise Refused("message.bad-case")
    if not _LANG.fullmatch(draft.lang):
        raise Refused("message.bad-lang")
    if draft.legal_status not in LEGAL_STATUSES:
        raise Refused("message.bad-legal-status")


def _check_words(draft: Draft) -> None:
    """Words and addresses of the directory."""
    for word in (draft.audience_function, draft.topic):
        if word is not None and not _WORD.fullmatch(word):
            raise Refused("message.bad-text", "not a word of the directory, such as operational_tracing")
    if draft.country is not None and not (draft.country and COUNTRY.match(draft.country)):
        raise Refused("message.bad-text", "a country is two capitals, such as PE")
    if len(draft.contacts) > MAX_CONTACTS or not all(ADDRESS.match(one) for one in draft.contacts):
        raise Refused("message.bad-text", f"contacts: at most {MAX_CONTACTS} addresses")


def _check_texts(draft: Draft) -> None:
    if not draft.subject.strip():
        raise Refused("message.missing-subject")
    limits = (
        ("subject", draft.subject, MAX_SUBJECT_CHARS),
        ("text", draft.text, MAX_TEXT_CHARS),
        ("question", draft.question, MAX_QUESTION_CHARS),
        ("reason", draft.reason, MAX_REASON_CHARS),
    )
    for name, value, limit in limits:
        if len(value) > limit:
            raise Refused("message.text-too-long", f"{name} is longer than {limit} characters")
        if _CONTROL.search(value):
            raise Refused("message.bad-text", f"{name} has a control character")
    if _LINE_BREAK.search(draft.subject):
        raise Refused("message.bad-text", "subject has more than one line")


def _check_times(draft: Draft) -> None:
    if not 0 <= draft.created <= MAX_TIME_MS:
        raise Refused("message.bad-time", "created is out of range")
    if draft.validate_by is not None and not 0 <= draft.validate_by <= MAX_TIME_MS:
        raise Refused("message.bad-time", "validate_by is out of range")
    for name in ("expires", "ack_by", "reply_by"):
        value = getattr(draft, name)
        if value is not None and not draft.created < value <= MAX_TIME_MS:
            raise Refused("message.bad-time", f"{name} is not after created")


def _check_kind(draft: Draft, carries_incident: bool, carries_cover: bool) -> None:
    missing = {
        Kind.ALERT: (),
        Kind.INCIDENT_REPORT: (("message.missing-incident", carries_incident),),
        Kind.INCIDENT_UPDATE: (("message.missing-reply-to", draft.in_reply_to or draft.supersedes),),
        Kind.REQUEST_INFORMATION: (
            ("message.missing-question", draft.question.strip()),
            ("message.missing-reply-by", draft.reply_by is not None),
        ),
        Kind.RESPONSE: (
            ("message.missing-reply-to", draft.in_reply_to),
            ("message.missing-outcome", draft.outcome),
            ("message.missing-reason", draft.outcome != Outcome.DECLINED or draft.reason.strip()),
        ),
        Kind.CONTACT_VERIFICATION: (("message.missing-contacts", draft.contacts),),
        Kind.COUNTERPART_REQUEST: (
            ("message.missing-need", draft.country and draft.topic),
            ("message.missing-question", draft.question.strip()),
            ("message.missing-reply-by", draft.reply_by is not None),
        ),
        Kind.INTRODUCTION: (("message.missing-contacts", draft.contacts),),
        Kind.FORWARD: (("message.missing-original", carries_cover),),
    }
    if draft.kind not in missing:
        raise Refused("message.unknown-kind")
    for code, present in missing[Kind(draft.kind)]:
        if not present:
            raise Refused(code)
    if draft.outcome is not None and (draft.kind != Kind.RESPONSE or draft.outcome not in set(Outcome)):
        raise Refused("message.bad-outcome")
