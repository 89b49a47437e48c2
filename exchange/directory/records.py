"""What members and contact points say of themselves: the JSON of every part beside the log (docs/directory.md).

Owns these forms, as lenient readers take them: a member that is unknown or missing breaks nothing. What a writer must
say is in `record_rules`, who may read which level `book`'s business, when an office is open `hours`'.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from exchange.canonical import ADDRESS, HANDLE, Json
from exchange.directory.contacts import MAX_PART
from exchange.tlp import Tlp

MAX_DEPTH: Final = 8
MAX_DOCUMENT: Final = 65_536  # bytes of an application document
MAX_CLAIMS: Final = 10_000  # entries of a constituency

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DATE = r"([0-9]{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"


def _plain(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("no control characters but line feed and tab")
    return unicodedata.normalize("NFC", text)


def _phone(value: object) -> object:
    # people write numbers with spaces, hyphens, dots and brackets; E.164 has none
    return re.sub(r"[\s().\u2010-\u2015-]", "", value) if isinstance(value, str) else value


def _e164(text: str) -> str:
    if not _PHONE.match(text):
        raise ValueError("a phone number is + and 7 to 15 digits, the country's code first (E.164)")
    return text


def _email(text: str) -> str:
    if len(text) > 254 or ".." in text or not _EMAIL.match(text):
        raise ValueError("not an e-mail address")
    return text


def _handle(text: str) -> str:
    if not HANDLE.match(text):
        raise ValueError("a handle is 2 to 32 of a-z, 0-9 and -")
    return text


def _address(text: str) -> str:
    if not ADDRESS.match(text):
        raise ValueError("an address is MEMBER or MEMBER/NAME")
    return text


def _tlp(text: str) -> str:
    if text not in {label.word for label in Tlp}:
        raise ValueError("clear, green, amber, amber+strict or red")
    return text


Short: TypeAlias = Annotated[str, StringConstraints(max_length=256), AfterValidator(_plain)]
Long: TypeAlias = Annotated[str, StringConstraints(max_length=4_096), AfterValidator(_plain)]
Word: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Language: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$")
]  # BCP 47
Texts: TypeAlias = Annotated[dict[Language, Long], Field(max_length=16)]  # by language
Phone: TypeAlias = Annotated[str, BeforeValidator(_phone), AfterValidator(_e164)]
Email: TypeAlias = Annotated[str, AfterValidator(_email)]
Handle: TypeAlias = Annotated[str, AfterValidator(_handle)]
Address: TypeAlias = Annotated[str, AfterValidator(_address)]
Zone: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}$")
]
Clock: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
Country: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
TlpWord: TypeAlias = Annotated[str, AfterValidator(_tlp)]
Url: TypeAlias = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{3,500}$")]
Hash: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]  # b64 of SHA-256
Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Form(BaseModel):
    """Base of all: read once, never changed; members that a later version brought are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Spoken(Form):
    """A language and whether people work in it or only read it."""

    lang: Language
    level: Literal["works", "reads"] = "works"


Languages: TypeAlias = Annotated[tuple[Spoken, ...], Field(max_length=16)]


class Shift(Form):
    """Open on these days from `start` to `end`, local time; one that ends before it starts ends on the next day."""

    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)]
    start: Annotated[Clock, Field(alias="from")]
    end: Annotated[Clock, Field(alias="to")]


class Hours(Form):
    """When somebody answers: round the clock, or the shifts of a week in an IANA zone."""

    zone: Zone
    always: bool = False
    weekly: Annotated[tuple[Shift, ...], Field(max_length=28)] = ()


class Holiday(Form):
    """A day on which nobody is in: once (`2026-12-25`) or every year (`12-25`)."""

    date: Annotated[str, StringConstraints(pattern=f"^{_DATE}$")]
    name: Short = ""


Holidays: TypeAlias = Annotated[tuple[Holiday, ...], Field(max_length=256)]


class Affiliation(Form):
    """A network the member belongs to, and where that can be seen."""

    name: Word
    proof: Url | None = None


class Basis(Form):
    """What the member exists by: in words, and the SHA-256 of the decree or statute."""

    text: Long
    document: Hash | None = None


class PublicRecord(Form):
    """A member, level `public`."""

    name_official: Texts = {}
    name_short: Short = ""
    constituency_text: Texts = {}
    languages: Languages = ()
    timezone: Zone | None = None
    office_hours: Hours | None = None
    holidays: Holidays = ()
    is_24x7: bool = False
    affiliations: Annotated[tuple[Affiliation, ...], Field(max_length=32)] = ()
    rfc2350_url: Url | None = None


class MembersRecord(Form):
    """A member, level `members`. `email_domains`: those its people write from."""

    legal_basis: Basis | None = None
    nominating_authority: Short = ""
    parent_org: Short = ""
    authority: Literal["full", "shared", "none"] | None = None
    email_domains: Annotated[tuple[Short, ...], Field(max_length=64)] = ()
    max_tlp_automated: TlpWord | None = None
    tlp_policy: Long = ""
    classification_max: Short = ""
    pap_default: Word | None = None


class Claims(Form):
    """A constituency, level `members`: what the member answers for. Officers approve it as a whole.

    Asset lists are plain texts here: reading 20,000 of them must be quick, and `owners` skips what isn't one.
    """

    asn: Annotated[tuple[int, ...], Field(max_length=MAX_CLAIMS)] = ()
    prefix: Annotated[tuple[str, ...], Field(max_length=MAX_CLAIMS)] = ()
    domain: Annotated[tuple[str, ...], Field(max_length=MAX_CLAIMS)] = ()
    sector: Annotated[tuple[Word, ...], Field(max_length=256)] = ()
    country: Annotated[tuple[Country, ...], Field(max_length=64)] = ()

    @property
    def count(self) -> int:
        """How many entries: the `entries` of the statement."""
        return len(self.asn) + len(self.prefix) + len(self.domain) + len(self.sector) + len(self.country)


class Accepts(Form):
    """What may be sent to the function; empty lists: anything."""

    kinds: Annotated[tuple[Word, ...], Field(max_length=64)] = ()
    formats: Annotated[tuple[Word, ...], Field(max_length=32)] = ()
    max_tlp: TlpWord | None = None
    max_classification: Short = ""


class FormalRequests(Form):
    """Whether and by which way a formal request for legal assistance is taken."""

    accepted: bool
    via: Annotated[
        tuple[Literal["diplomatic", "direct", "e-mail", "interpol"], ...], Field(max_length=4)
    ] = ()
    original_needed: bool = False
    languages: Annotated[tuple[Language, ...], Field(max_length=16)] = ()


class Person(Form):
    """Who stands behind a function. The handle is random (`p-...`): it may outlive the name."""

    handle: Handle
    name: Short
    position: Short = ""
    role: Literal["primary", "deputy", "other"] = "primary"
    languages: Languages = ()


class Step(Form):
    """Who is called next when nobody answered for so long."""

    address: Address
    minutes: Annotated[int, Field(ge=0, le=10_080)]


class ContactRecord(Form):
    """A contact point, level `members`."""

    role_name: Texts = {}
    org_unit: Texts = {}
    email_role: Email | None = None
    phone_office: Phone | None = None
    hours: Hours | None = None
    holidays: Holidays = ()
    languages: Languages = ()
    accepts: Accepts | None = None
    formal_requests: FormalRequests | None = None
    persons: Annotated[tuple[Person, ...], Field(max_length=64)] = ()
    escalation: Annotated[tuple[Step, ...], Field(max_length=16)] = ()


class Emergency(Form):
    """Another way in when the phones are dead."""

    kind: Literal["satphone", "sms", "signal", "other"]
    value: Short
    instructions: Long = ""


class Reach(Form):
    """How to reach one person."""

    phone_mobile: Phone | None = None
    email: Email | None = None


class HoldersRecord(Form):
    """A contact point, level `holders`. `persons`: by handle."""

    phone_247: Phone | None = None
    emergency_channel: Emergency | None = None
    urgent_procedure: Texts = {}
    persons: Annotated[dict[Handle, Reach], Field(max_length=64)] = {}


class Nomination(Form):
    """The note verbale that names the contact."""

    document: Short
    date: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    signed_by: Short = ""


class OwnerRecord(Form):
    """A contact point, level `owner`."""

    nomination: Nomination | None = None
    notes: Long = ""


class ProposedContact(Form):
    """A contact point as an applicant proposes it."""

    handle: Handle
    function: Word
    community: Word
    topics: Annotated[tuple[Word, ...], Field(min_length=1, max_length=32)]
    instruments: Annotated[tuple[Word, ...], Field(max_length=32)] = ()
    record: ContactRecord = ContactRecord()


class Application(Form):
    """What an applicant says of itself (docs/protocol.md §9.15)."""

    name_official: Texts = {}
    name_short: Short = ""
    legal_basis: Basis | None = None
    nominating_authority: Short = ""
    constituency_text: Texts = {}
    claims: Claims = Claims()
    languages: Languages = ()
    timezone: Zone | None = None
    contacts: Annotated[tuple[ProposedContact, ...], Field(max_length=32)] = ()


AnyForm = TypeVar("AnyForm", bound=Form)


def read(form: type[AnyForm], data: bytes, *, most: int = MAX_PART) -> AnyForm | None:
    """What a part says, or None where it can't be read: whoever looks something up goes on without it."""
    try:
        return form.model_validate(load(data, most=most))
    except ValueError:  # pydantic's and orjson's errors are ones too
        return None


def load(data: bytes, *, most: int) -> Json:
    """JSON of at most `most` bytes and `MAX_DEPTH` levels. Raises ValueError."""
    if len(data) > most:
        raise ValueError(f"more than {most} bytes")
    value = orjson.loads(data)
    _check_depth(value, MAX_DEPTH)
    return value


def _check_depth(value: Json, left: int) -> None:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inside:
        if isinstance(each, dict | list):
            if left == 1:
                raise ValueError(f"more than {MAX_DEPTH} levels")
            _check_depth(each, left - 1)


def to_bytes(form: Form) -> bytes:
    """The one spelling: UTF-8 JSON, members sorted, what has its default left out, texts in NFC."""
    return orjson.dumps(to_json(form), option=orjson.OPT_SORT_KEYS)


def to_json(form: Form) -> Json:
    """As `to_bytes`, as a JSON object."""
    return form.model_dump(mode="json", by_alias=True, exclude_defaults=True)
