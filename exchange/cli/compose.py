"""From files and flags to a message: reads the files, builds the incident, chooses the label, joins it all.

Owns what the flags of `node send` mean. What a message must have is `exchange.message`'s rule, which objects are valid
`formats`', who may send it `policy`'s.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exchange import pap, tlp as labels
from exchange.cli.when import parse_when
from exchange.errors import CODES, Refused
from exchange.formats import registry
from exchange.formats.objects import Loss, RawObject
from exchange.formats.stix.cover import compose as join
from exchange.formats.stix.incident import IncidentFacts, build_incident
from exchange.formats.stix.markings import effective_tlp
from exchange.limits import MAX_STIX
from exchange.message import MAX_SUBJECT_CHARS, Author, Draft, Message, Urgency
from exchange.pap import Pap
from exchange.tlp import Tlp

MAX_FILES: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What was said on the command line; empty or None is unsaid. Times as typed (`when`)."""

    kind: str
    tlp: str | None = None
    pap: str | None = None
    urgency: str | None = None  # that of what is answered, else routine
    case: str | None = None
    reply_to: str | None = None  # a whole id
    reply_to_sender: str = ""  # whose, where several have used that id
    supersedes: str | None = None  # a whole id, of a message of this node's own
    exercise: str | None = None
    subject: str = ""
    text: str = ""
    lang: str = "en"
    expires: str | None = None
    ack_by: str | None = None
    reply_by: str | None = None
    outcome: str | None = None
    question: str = ""
    reason: str = ""
    name: str = ""
    determination: str | None = None
    types: Sequence[str] = ()
    criticality: int | None = None
    detection: Sequence[str] = ()
    description: str = ""
    first_seen: str | None = None
    audience_function: str | None = (
        None  # whom it is meant for, where the addressee's node answers for a function
    )


@dataclass(frozen=True)
class Aside:
    """Something that does not go: the file, which object of it (`*` for the whole file), why."""

    file: str
    object: str
    code: str
    reason: str


@dataclass(frozen=True)
class Composed:
    """A message ready for the outbox, and what was left out of it."""

    message: Message
    set_aside: tuple[Aside, ...]
    files: int  # how many it came from
    losses: tuple[tuple[str, tuple[Loss, ...]], ...] = ()  # by file, those that lost something
    doubts: tuple[tuple[str, tuple[Loss, ...]], ...] = ()  # by file, those of which something is in doubt


@dataclass(frozen=True)
class ReadFiles:
    """The valid objects of all files in order, what was left out, and the label of PAP that whole files have."""

    files: tuple[Path, ...] = ()
    objects: tuple[RawObject, ...] = ()
    set_aside: tuple[Aside, ...] = ()
    pap: Pap | None = None
    losses: tuple[tuple[str, tuple[Loss, ...]], ...] = ()  # by file, those that lost something
    doubts: tuple[tuple[str, tuple[Loss, ...]], ...] = ()  # by file, those of which something is in doubt
    went: tuple[Path, ...] = ()  # the files of which something goes


def read_files(
    files: Sequence[Path], *, at: int, to_persons: bool = False, columns: Mapping[str, str] | None = None
) -> ReadFiles:
    """Read every file; a file or object that can't go is set aside with its reason. Raises Refused cli.bad-file.

    `at` is now in ms, for files that tell no times; `columns` says which column of a list is what.
    `to_persons`: every addressee is a named person, who alone may be sent what is labelled TLP:RED.
    """
    if len(files) > MAX_FILES:
        raise Refused("cli.usage", f"more than {MAX_FILES} files")
    objects: list[RawObject] = []
    aside: list[Aside] = []
    paps: list[Pap] = []
    losses: list[tuple[str, tuple[Loss, ...]]] = []
    doubts: list[tuple[str, tuple[Loss, ...]]] = []
    went: list[Path] = []
    for path in files:
        try:
            loaded = registry.load(path.name, read_bounded(path), at=at, columns=columns)
        except Refused as refusal:
            if refusal.code == "cli.bad-file":
                raise
            aside.append(Aside(path.name, "*", refusal.code, refusal.detail))
            continue
        if loaded.pap is not None:
            paps.append(loaded.pap)
        if to_persons or not _is_for_persons(loaded.accepted):
            objects += loaded.accepted
            went += [path] if loaded.accepted else []
        else:
            code = "tlp.red-needs-persons"
            aside += (Aside(path.name, each.id, code, CODES[code]) for each in loaded.accepted)
        aside += (Aside(path.name, each.object, each.code, each.reason) for each in loaded.set_aside)
        if loaded.losses:
            losses.append((path.name, loaded.losses))
        if loaded.doubts:
            doubts.append((path.name, loaded.doubts))
    return ReadFiles(
        tuple(files),
        tuple(objects),
        tuple(aside),
        pap.strictest(paps),
        losses=tuple(losses),
        doubts=tuple(doubts),
        went=tuple(went),
    )


def _is_for_persons(objects: Sequence[RawObject]) -> bool:
    """Whether one of a file's objects is labelled for named persons.

    The whole file stays then: what such an object refers to is mostly unmarked, and would leave without its label.
    """
    return any(each.tlp is not None and each.tlp.names_persons for each in objects)


def nothing_left(set_aside: tuple[Aside, ...]) -> Refused:
    """The refusal when all was set aside: a label's own code if one was the reason."""
    codes = [one.code for one in set_aside if one.code.startswith("tlp.")]
    detail = "every object of every file was set aside"
    return Refused(codes[0] if codes else "cli.nothing-to-send", detail, set_aside=set_aside)


def read_bounded(path: Path) -> bytes:
    """A file's bytes. Raises Refused cli.bad-file when it can't be read, json.too-large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_STIX + 1)
    except OSError as error:
        raise Refused("cli.bad-file", f"can't read {path}: {error.strerror}") from error
    if len(data) > MAX_STIX:
        raise Refused("json.too-large", f"more than {MAX_STIX} bytes")
    return data


def compose(
    flags: Flags,
    read: ReadFiles,
    *,
    author: Author,
    handle: str,
    now: int,
    new_uuid: Callable[[], uuid.UUID],
) -> Composed:
    """The message that flags and read files describe; `now` in ms. The same arguments and ids give the same bytes.

    Raises: Refused `message.*`, `incident.*`, `tlp.*`, `json.*`; when nothing is left to send, the code
    of `nothing_left` with the fact `set_aside`.
    """
    if read.files and not read.objects:
        raise nothing_left(read.set_aside)
    label = _label(flags, read.objects)
    message_id = new_uuid()
    draft = Draft(
        id=str(message_id),
        kind=flags.kind,
        case_id=flags.case or new_case(handle, now, message_id),
        urgency=urgency_of(flags.urgency or Urgency.ROUTINE.value),
        tlp=label,
        subject=flags.subject or flags.name or _subject(read.went or read.files),
        created=now,
        lang=flags.lang,
        text=flags.text,
        in_reply_to=flags.reply_to,
        supersedes=flags.supersedes,
        expires=_time(flags.expires, now),
        ack_by=_time(flags.ack_by, now),
        reply_by=_time(flags.reply_by, now),
        outcome=flags.outcome,
        question=flags.question,
        reason=flags.reason,
        exercise_id=flags.exercise,
        audience_function=flags.audience_function,
        pap=pap.strictest(each for each in (read.pap, _pap(flags)) if each is not None),
    )
    own = _incident(flags, author=author.id, tlp=label, now=now, new_uuid=new_uuid)
    message = join(draft, author, [*own, *read.objects])
    return Composed(message, read.set_aside, len(read.files), read.losses, read.doubts)


def _label(flags: Flags, objects: Sequence[RawObject]) -> Tlp:
    """The strictest of what is marked; the rest, and words of one's own, have the label of --tlp, else AMBER+STRICT."""
    said = labels.parse(flags.tlp) if flags.tlp else None
    own = any((flags.text, flags.question, flags.reason, flags.description, flags.name))
    return effective_tlp(objects, labels.DEFAULT if said is None and own else said)


def _pap(flags: Flags) -> Pap | None:
    """The label of --pap. Raises Refused cli.usage."""
    if flags.pap is None:
        return None
    word = flags.pap.lower().removeprefix("pap:")
    found = next((each for each in Pap if each.name.lower() == word), None)
    if found is None:
        raise Refused("cli.usage", f"--pap is one of {', '.join(each.name.lower() for each in Pap)}")
    return found


def new_case(handle: str, now: int, message_id: uuid.UUID) -> str:
    """A case id for a first message: who, which day, and enough of the message's id to be its own."""
    day = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y%m%d")
    return f"{handle}-{day}-{message_id.hex[:8]}"


def with_thread(flags: Flags, *, reply_to: str, case: str, urgency: str) -> Flags:
    """The flags of an answer: the whole id of what it answers, and its case and urgency unless others were given."""
    return replace(flags, reply_to=reply_to, case=flags.case or case, urgency=flags.urgency or urgency)


def _incident(
    flags: Flags, *, author: str, tlp: Tlp, now: int, new_uuid: Callable[[], uuid.UUID]
) -> tuple[RawObject, ...]:
    """The incident of --name, --determination and the rest; nothing when neither of them is given."""
    given = (flags.determination, flags.types, flags.criticality, flags.detection, flags.first_seen)
    if not flags.name and not any(given):
        return ()
    if not flags.name or not flags.determination or not flags.types:
        raise Refused("message.missing-incident", "an incident needs --name, --determination and --type")
    facts = IncidentFacts(
        name=flags.name,
        determination=flags.determination,
        incident_types=tuple(flags.types),
        criticality=flags.criticality,
        detection_methods=tuple(flags.detection),
        description=flags.description,
        first_seen=_time(flags.first_seen, now),
    )
    return build_incident(facts, incident_id=new_uuid(), event_id=new_uuid(), author=author, tlp=tlp, now=now)


def urgency_of(word: str) -> Urgency:
    """The urgency of a typed word. Raises Refused cli.usage."""
    try:
        return Urgency(word)
    except ValueError:
        raise Refused("cli.usage", f"--urgency is one of {', '.join(Urgency)}") from None


def _subject(files: Sequence[Path]) -> str:
    # it travels sealed like everything else, and is better than nothing to find the message by
    return files[0].stem[:MAX_SUBJECT_CHARS] if files else ""


def _time(text: str | None, now: int) -> int | None:
    return parse_when(text, now=now) if text else None
