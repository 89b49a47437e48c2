"""What the REST API takes, as pydantic models: parameters and bodies. The OpenAPI document is made from them.

What a message must have is `exchange.message`'s rule: these models only bound what is read.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, StringConstraints

from exchange.limits import MAX_OBJECTS, MAX_RECIPIENTS
from exchange.message import (
    MAX_QUESTION_CHARS,
    MAX_REASON_CHARS,
    MAX_SUBJECT_CHARS,
    MAX_TEXT_CHARS,
)
from exchange.node.http.api_models import Asked, Model

MAX_ADDRESSEE: Final = 200  # characters: a member's handle and a person's name
MAX_WORDS: Final = 32  # of an incident's types, of its detection methods
MAX_SOUGHT: Final = 1_000  # characters
MAX_NOTE: Final = 1_000  # characters
MAX_STREAM_SECONDS: Final = 3_600
MAX_NUMBER: Final = 2**53  # what every reader of JSON takes for an integer

MessageId: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"),
]
Word: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Lane: TypeAlias = Literal["flash", "immediate", "priority", "routine"]
Label: TypeAlias = Literal["clear", "green", "amber", "amber+strict", "red"]
SentKind: TypeAlias = Literal[
    "alert", "incident-report", "incident-update", "request-information", "response"
]
Number: TypeAlias = Annotated[int, Field(ge=1, le=MAX_NUMBER)]


class MailQuery(Model):
    """Which messages a list has."""

    box: Annotated[Literal["in", "out"], Field(description="Received, or sent by this node.")] = "in"
    before: Annotated[Number | None, Field(description="`next` of the page before.")] = None
    limit: Annotated[int, Field(ge=1, le=200, description="Messages of a page, at most.")] = 50
    kind: Annotated[Word | None, Field(description="Only of this kind, such as alert.")] = None
    tlp: Annotated[Label | None, Field(description="Only with this label.")] = None
    sender: Annotated[
        str | None, Field(min_length=1, max_length=MAX_ADDRESSEE, description="Only of this sender.")
    ] = None
    unopened: Annotated[bool, Field(description="Only what nobody has opened.")] = False


class OneQuery(Model):
    """Which of several messages under one id."""

    sender: Annotated[
        str,
        Field(max_length=MAX_ADDRESSEE, description="Whose, where more than one member has used that id."),
    ] = ""


class SearchQuery(Model):
    """What is looked for in received messages: one of the first two, or both."""

    value: Annotated[
        str, Field(max_length=MAX_SOUGHT, description="An address, name, hash: where it stands by itself.")
    ] = ""
    text: Annotated[
        str, Field(max_length=MAX_SOUGHT, description="Words as they stand; case and accents don't matter.")
    ] = ""
    before: Annotated[Number | None, Field(description="`next` of the answer before.")] = None


class CounterpartQuery(Model):
    """Whom to turn to; each may be left out."""

    country: Annotated[
        str, StringConstraints(pattern=r"^([A-Za-z]{2})?$"), Field(description="Such as PE.")
    ] = ""
    topic: Annotated[str, Field(max_length=64, description="Such as ransomware.")] = ""
    function: Annotated[str, Field(max_length=64, description="Such as technical_24x7.")] = ""
    language: Annotated[str, Field(max_length=35, description="Such as es.")] = ""
    community: Annotated[str, Field(max_length=64, description="csirt, police, ...")] = ""
    now: Annotated[bool, Field(description="Who answers at this moment comes first.")] = False
    urgent: Annotated[bool, Field(description="As `now`, night phones first.")] = False


class OwnerQuery(Model):
    """Whose address, prefix, AS number or domain name it is."""

    asset: Annotated[str, Field(min_length=1, max_length=253, description="192.0.2.7, AS64496, example.org")]


class EventQuery(Model):
    """From where to follow."""

    after: Annotated[
        str,
        StringConstraints(pattern=r"^([0-9]{1,15}-[0-9]{1,15}-[0-9]{1,15})?$"),
        Field(description="As Last-Event-ID, which counts before it; 0-0-0 for everything that is kept."),
    ] = ""
    seconds: Annotated[
        int,
        Field(ge=0, le=MAX_STREAM_SECONDS, description="The stream ends after so long; 0: what is there."),
    ] = MAX_STREAM_SECONDS


class Nothing(Model):
    """No parameters."""


class Incident(Model):
    """The incident of a report, in the words of docs/messages.md."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_SUBJECT_CHARS)]
    determination: Word
    types: Annotated[list[Word], Field(min_length=1, max_length=MAX_WORDS)]
    criticality: Annotated[int, Field(ge=0, le=100)] | None = None
    detection: Annotated[list[Word], Field(max_length=MAX_WORDS, default_factory=list)]
    description: Annotated[str, Field(max_length=MAX_TEXT_CHARS)] = ""
    first_seen: Asked | None = None


class Sending(Model):
    """A message to be sent. Objects go on byte for byte; they come in `objects` or in a STIX bundle, not in both."""

    to: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_ADDRESSEE)]],
        Field(
            min_length=1,
            max_length=MAX_RECIPIENTS,
            description="MEMBER, MEMBER/UNIT, 'MEMBER/Name of a person', CC:FUNCTION",
        ),
    ]
    kind: SentKind
    subject: Annotated[str, Field(min_length=1, max_length=MAX_SUBJECT_CHARS)]
    id: Annotated[
        MessageId | None, Field(description="The message's id, of your choice: repeats are sent once.")
    ] = None
    tlp: Annotated[
        Label | None, Field(description="The least strict label it may have; unsaid: amber+strict.")
    ] = None
    urgency: Annotated[
        Lane | None, Field(description="Unsaid: that of what is answered, or replaced, else routine.")
    ] = None
    case: Annotated[str | None, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = None
    in_reply_to: MessageId | None = None
    in_reply_to_sender: Annotated[
        str,
        Field(max_length=MAX_ADDRESSEE, description="Whose, where more than one member has used that id."),
    ] = ""
    supersedes: Annotated[
        MessageId | None,
        Field(description="A message that this node sent, whose place this one takes at its addressees."),
    ] = None
    text: Annotated[str, Field(max_length=MAX_TEXT_CHARS)] = ""
    lang: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$")] = "en"
    expires: Asked | None = None
    ack_by: Asked | None = None
    reply_by: Asked | None = None
    question: Annotated[str, Field(max_length=MAX_QUESTION_CHARS)] = ""
    outcome: Word | None = None
    reason: Annotated[str, Field(max_length=MAX_REASON_CHARS)] = ""
    exercise: Annotated[str | None, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = None
    incident: Incident | None = None
    objects: Annotated[
        list[dict[str, Any]], Field(max_length=MAX_OBJECTS, description="STIX objects.", default_factory=list)
    ]
    bundle: Annotated[dict[str, Any] | None, Field(description="A STIX bundle of them.")] = None
    separate: Annotated[bool, Field(description="One envelope for each addressee.")] = False
    cross_community: Annotated[
        bool, Field(description="Yes, also to police, prosecution or another community.")
    ] = False


class Answering(Model):
    """What a person did with a message that came: said to its sender, in that person's name."""

    level: Literal["opened", "acknowledged", "working", "declined"]
    person: Annotated[str, Field(min_length=1, max_length=MAX_ADDRESSEE)]
    note: Annotated[str, Field(max_length=MAX_NOTE, description="A word to the sender.")] = ""
    sender: Annotated[
        str,
        Field(max_length=MAX_ADDRESSEE, description="Whose, where more than one member has used that id."),
    ] = ""
