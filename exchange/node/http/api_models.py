"""What the REST API gives, as pydantic models: the OpenAPI document is made from these very classes.

Flat, and always all members; times in UTC as `2026-12-01T12:00:00.000Z`. docs/api.md explains each for people.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from exchange.errors import Refused
from exchange.formats.stix.time import to_stix
from exchange.message import (
    MAX_TIME_MS,
)

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)


class Model(BaseModel):
    """Strict: nothing is converted, nothing unknown is passed over."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def moment(text: str) -> int:
    """UTC ms of an RFC 3339 time with its zone. Raises ValueError."""
    match = _TIME.match(text)
    if match is None:
        raise ValueError("such as 2026-12-01T12:00:00Z")
    at = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    ms = int(at.astimezone(UTC).timestamp()) * 1_000 + int((match[2] or "").ljust(3, "0")[:3])
    if not 0 <= ms <= MAX_TIME_MS:
        raise ValueError("between 1970 and 9999")
    return ms


def _checked(text: str) -> str:
    try:
        moment(text)
    except OverflowError as error:
        raise ValueError("out of range") from error
    return text


def time_of(ms: int | None) -> str | None:
    """A time in ms as answers have it."""
    return None if ms is None else to_stix(ms)


_JSON_TIME: Final = {"type": "string", "format": "date-time"}
Asked: TypeAlias = Annotated[str, AfterValidator(_checked), WithJsonSchema(_JSON_TIME)]
Time: TypeAlias = Annotated[str, WithJsonSchema(_JSON_TIME)]


class Withheld(Model):
    """Why a message may not leave by the API to this right of entry, and whom to ask."""

    code: str
    reason: str
    ask: str


class MailRow(Model):
    """A message in a list. Where it is withheld, what it says of itself is null, but for its label."""

    id: str
    box: Literal["in", "out"]
    sender: str
    to: Annotated[list[str], Field(description="Addressees of one that was sent.")]
    urgency: str
    tlp: Annotated[str | None, Field(description="TLP:AMBER and so on; null where it can't be read.")]
    created: Time
    at: Annotated[Time, Field(description="When it came, or was handed in.")]
    state: Annotated[
        str | None, Field(description="Of one that came: new, opened, acknowledged, working, declined.")
    ]
    marks: Annotated[list[str], Field(description="What is unusual about how it came (docs/protocol.md §6).")]
    kind: str | None
    case: str | None
    subject: str | None
    objects: int | None
    withheld: Withheld | None


class MailPage(Model):
    """Messages, newest first. `next` is what `before` goes on with; null at the end. A page may be short."""

    messages: list[MailRow]
    next: int | None


class Attached(Model):
    """An attachment: what its sender says it is. Its bytes are fetched and saved by `exchange node attachment`."""

    n: int
    name: str
    size: Annotated[int, Field(description="Bytes.")]
    sha256: str
    media_type: str
    malware: bool
    state: Annotated[
        str, Field(description="offered, wanted, kept, gone, bad; of one sent waiting, there, dropped.")
    ]


class Mail(MailRow):
    """A message with what it says, but for its objects; and what is attached to it."""

    text: str
    lang: str
    author: str
    in_reply_to: str | None
    supersedes: str | None
    replaced_by: Annotated[
        str | None,
        Field(description="The newest message of its sender that supersedes it: don't go by this one."),
    ]
    expires: Time | None
    ack_by: Time | None
    reply_by: Time | None
    question: str
    outcome: str | None
    reason: str
    function: str | None
    exercise: str | None
    attachments: list[Attached]


class SearchHit(MailRow):
    """A message that has what is looked for; ids of up to 20 of its objects that do."""

    found_in: list[str]


class SearchPage(Model):
    """Hits, newest first. A search stops after its share of work: go on with `before` until `next` is null."""

    hits: list[SearchHit]
    looked: Annotated[int, Field(description="Messages this answer took in.")]
    withheld: Annotated[int, Field(description="Those of them that may not be looked into.")]
    next: int | None


class Sent(Model):
    """A message that lies safely in the outbox. `new` is false where the same was asked for before."""

    id: str
    new: bool
    kind: str
    case: str
    tlp: str
    urgency: str
    to: list[str]
    waiting: Annotated[
        list[str], Field(description="Addressees without a key to seal to now: it waits here.")
    ]
    keeping: Annotated[
        list[str],
        Field(description="Addressees of the message it supersedes who don't get this one, and keep that."),
    ]


class Arrived(Model):
    """Event `message`: one came. Its subject and the rest stand in the list and in the message itself."""

    id: str
    sender: str
    urgency: str
    tlp: str | None
    kind: str | None
    at: Time
    marks: list[str]
    withheld: Withheld | None


class Moved(Model):
    """Event `status`: the copy of a sent message for `address` is accepted, stored, opened, acknowledged ..."""

    id: str
    address: str
    level: str
    at: Time


class Alarm(Model):
    """Event `alarm`: something that people here should look at; `subject` is whom or what it is about."""

    code: str
    subject: str
    at: Time


class Reset(Model):
    """Event `reset`: something was missed that can't be told any more; list the messages again."""


class Copy(Model):
    """How far one addressee's copy has come. `missing` is the next rung, null when people have answered."""

    address: str
    level: str
    code: Annotated[str, Field(description="Why it was rejected, lost or waits; empty otherwise.")]
    missing: str | None
    overdue: bool
    queued: Time
    accepted: Time | None
    stored: Time | None
    opened: Time | None
    acknowledged: Time | None
    working: Time | None
    declined: Time | None
    person: Annotated[str, Field(description="Who there answered last; empty where nobody has.")]
    note: Annotated[str, Field(description="The newest word that came with an answer, as it was written.")]


class Rungs(Model):
    """How far the copies of a message that was sent have come."""

    id: str
    copies: list[Copy]


class Answered(Model):
    """How many senders are told."""

    id: str
    level: str
    told: int


class Member(Model):
    """A member of the network."""

    member: str
    country: str
    member_class: str
    status: str
    since: Time
    digits: Annotated[str, Field(description="Of its keys, to compare by voice.")]


class Members(Model):
    """Everybody, and how old this node's copy of the directory is."""

    members: list[Member]
    size: Annotated[int, Field(description="Leaves of the directory's log.")]
    checkpoint_at: Time


class Phone(Model):
    """A number, and which it is."""

    kind: str
    number: str


class Counterpart(Model):
    """A contact point that may help. `rung`: how well it fits, from `exact` to `neighbour`."""

    address: str
    member: str
    country: str
    function: str
    community: str
    rung: str
    standing: str
    suspect: bool
    answering: Annotated[bool | None, Field(description="Null where hours weren't asked for.")]
    topics: list[str]
    languages: list[str]
    phones: list[Phone]
    email: str | None
    reasons: Annotated[list[str], Field(description="Codes of docs/directory.md.")]


class Counterparts(Model):
    """Whom to turn to, the best first."""

    hits: list[Counterpart]


class Claim(Model):
    """A member's approved claim that covers the asset."""

    member: str
    by: str
    claim: str


class Owner(Model):
    """Every claim, the most specific first; the members that hold it, more than one in a conflict."""

    asset: str
    kind: str
    members: list[str]
    claims: list[Claim]
    conflict: bool


class ObjectFault(Model):
    """An object that can't be taken: its id, or `#` and its place from 0."""

    object: str
    code: str
    reason: str


class Problem(Model):
    """A problem document (RFC 9457). `field` is the member or parameter at fault, `ask` who could allow it."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    ask: str | None = None
    errors: list[ObjectFault] | None = None


def refused(fault: dict[str, Any], code: str) -> Refused:
    """The refusal of what pydantic found first: where it stands, and why, without what was sent."""
    where = ".".join(str(step) for step in fault["loc"]) or "body"
    return Refused(code, f"{where}: {fault['msg']}", field=where)
