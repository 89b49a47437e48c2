"""Writes a message as one STIX 2.1 bundle, and reads it back: the cover object and the objects it covers.

The cover comes first; then the sender's identity and the TLP 2.0 definitions that are referred to; then the carried
objects, spliced in byte for byte. docs/messages.md has the format. Which fields a message must have is decided by
`exchange.message`, which objects are valid by `validation`; sealing is the envelope's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import orjson

from exchange.errors import Refused, Rejected
from exchange.formats.objects import RawObject
from exchange.formats.stix import markings, permissions, validation
from exchange.formats.stix.spans import Limits, load, parse, scan
from exchange.formats.stix.time import from_stix, to_stix
from exchange.message import TOKEN, Author, Draft, Kind, Message, Urgency, check_message
from exchange.pap import Pap, strictest as strictest_pap
from exchange.tlp import DEFAULT, Tlp, strictest

EXTENSION = "extension-definition--6241e8fb-dbd0-404f-9278-891fee28297f"

# A bundle has the limits of a file (docs/protocol.md, limits).
LIMITS = Limits()

# Properties of the extension that equal the draft's fields: as they are, or as STIX timestamps.
_WORDS = (
    "case_id",
    "in_reply_to",
    "supersedes",
    "outcome",
    "question",
    "reason",
    "legal_status",
    "exercise_id",
    "audience_function",
    "country",
    "topic",
)
_SUPERSEDES: Final = b"supersedes"
_ESCAPE: Final = b"\\u"  # it could spell the name
_UNNAMED = "unnamed"  # an exercise within, spelt as none may be
_COVERS = ("grouping", "report", "note")
_TIMES = ("expires", "ack_by", "reply_by", "validate_by")
_CONTEXTS = {
    Kind.ALERT: "suspicious-activity",
    Kind.INCIDENT_REPORT: "suspicious-activity",
    Kind.INCIDENT_UPDATE: "suspicious-activity",
}


def compose(draft: Draft, author: Author, objects: Sequence[RawObject], limits: Limits = LIMITS) -> Message:
    """Check a draft and join its objects to it. The same arguments give the same bytes.

    A PAP label on the cover of a message handed on is for all of this one too, whatever the draft says.
    A response whose text is empty or repeats its subject reads back with an empty text: a note needs content.

    Raises: Refused `message.*`; `tlp.weaker-than-content` if an object's marking is stricter than the draft's label;
    `json.too-large`, `json.too-many-objects`, `json.too-many-values` if the bundle would be over the limits.
    """
    check_message(
        draft,
        carries_incident=any(each.is_core_incident for each in objects),
        carries_cover=any(_may_be_cover(each) for each in objects),
    )
    labels = [each.tlp for each in objects if each.tlp is not None]
    if strictest([draft.tlp, *labels]) is not draft.tlp:
        raise Refused("tlp.weaker-than-content")
    draft = replace(draft, pap=strictest_pap(_known([draft.pap, _pap_handed_on(objects)])))
    cover, identity = _cover(draft, author, objects), _identity(author)
    for built in (cover, identity):
        validation.check_object(built)
    validation.check_against("cover", cover)
    own = [cover, identity, *_missing_definitions(draft.tlp, objects)]
    parts = [orjson.dumps(value) for value in own] + [each.data for each in objects]
    bundle = b'{"type":"bundle","id":"bundle--%b","objects":[%b]}' % (draft.id.encode(), b",".join(parts))
    scan(bundle, limits)  # what is sent can be read: the recipient has the same limits
    return Message(**asdict(draft), author=author.id, bundle=bundle, object_count=len(objects))


def read_message(bundle: bytes, limits: Limits = LIMITS) -> Message:
    """Read a message from the bundle another member sent. The carried objects are not validated again.

    Unknown kinds, outcomes and properties are let through: they may come from a newer peer. The label is the
    strictest of the cover's, the bundle's and every other object's. What carries the cover of an exercise is of that
    exercise, and has the PAP label of a cover that it carries, whatever its own cover says. Whether `author` is the
    envelope's sender is the caller's to check.

    Raises: Rejected `message.bad-bundle`, `message.no-cover`, `message.two-covers`, `message.bad-cover`.
    """
    around, values = _read_bundle(bundle, limits)
    cover = values[0]
    if EXTENSION not in validation.extensions_of(cover):
        raise Rejected("message.no-cover")
    try:
        validation.check_against("cover", cover)
        facts = _facts(cover)
    except Refused as refusal:
        raise Rejected("message.bad-cover", refusal.detail) from None
    count = cover["extensions"][EXTENSION]["carried"]
    if count >= len(values):
        raise Rejected("message.bad-cover", "it claims more carried objects than there are")
    own, carried = values[: len(values) - count], values[len(values) - count :]
    if any(EXTENSION in validation.extensions_of(value) for value in own[1:]):
        raise Rejected("message.two-covers")
    facts.setdefault("exercise_id", _exercise_within(carried))
    tlp, pap = _received_tlp(around, values), _received_pap(around, cover, carried, values)
    return Message(**facts, tlp=tlp, pap=pap, bundle=bundle, object_count=count)


def supersedes_of(bundle: bytes) -> str | None:
    """The id of the message that a message takes the place of; None, too, where this version can't read it.

    Most don't have the word at all, and aren't parsed for it: one may have 10 MB.
    """
    if _SUPERSEDES not in bundle and _ESCAPE not in bundle:
        return None
    try:
        return read_message(bundle).supersedes
    except Rejected:
        return None


def carried_objects(message: Message) -> list[bytes]:
    """The exact bytes of every object the message carries for its sender, in order, without what we put around."""
    document = scan(message.bundle, LIMITS)
    own = len(document.items) - message.object_count
    return [document.bytes_of(span) for span in document.items[own:]]


def exercise_within(objects: Sequence[RawObject]) -> str | None:
    """The exercise that a message of these objects is of, whatever its own cover says; None without one."""
    values = (parse(each.data) for each in objects if _may_be_cover(each))
    return _exercise_within([value for value in values if isinstance(value, dict)])


def _may_be_cover(carried: RawObject) -> bool:
    """Whether a carried object is the cover of another message, which is handed on so."""
    return carried.type in _COVERS and EXTENSION.encode() in carried.data


def _cover(draft: Draft, author: Author, objects: Sequence[RawObject]) -> dict[str, Any]:
    is_note = draft.kind == Kind.RESPONSE
    refs = [each.id for each in objects if each.type != "marking-definition"]
    kind = "note" if is_note else "grouping"
    cover: dict[str, Any] = {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{draft.id}",
        "created_by_ref": author.id,
        "created": to_stix(draft.created),
        "modified": to_stix(draft.created),
        "lang": draft.lang,
    }
    if is_note:
        cover |= {"abstract": draft.subject, "content": draft.text or draft.subject}
    else:
        cover |= {"name": draft.subject, "context": _CONTEXTS.get(Kind(draft.kind), "unspecified")}
        if draft.text:
            cover["description"] = draft.text
    # Both types need a reference; a message without objects refers to its author.
    cover["object_refs"] = list(dict.fromkeys(refs)) or [author.id]
    if draft.pap is not None:
        cover["labels"] = [draft.pap.label]
    cover["object_marking_refs"] = [draft.tlp.marking_id]
    cover["extensions"] = {EXTENSION: _extension(draft, len(objects))}
    return cover


def _extension(draft: Draft, carried: int) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "extension_type": "property-extension",
        "kind": draft.kind,
        "message_id": draft.id,
        "urgency": draft.urgency.value,
        "carried": carried,
    }
    properties |= {name: getattr(draft, name) for name in _WORDS if getattr(draft, name)}
    if draft.contacts:
        properties["contacts"] = list(draft.contacts)
    times = {name: getattr(draft, name) for name in _TIMES}
    return properties | {name: to_stix(ms) for name, ms in times.items() if ms is not None}


def _identity(author: Author) -> dict[str, Any]:
    """The member as an identity. It says nothing of the message, so that all its copies are one version."""
    return {
        "type": "identity",
        "spec_version": "2.1",
        "id": author.id,
        "created": to_stix(author.created),
        "modified": to_stix(author.created),
        "name": author.name,
        "identity_class": "organization",
    }


def _missing_definitions(tlp: Tlp, objects: Sequence[RawObject]) -> list[dict[str, Any]]:
    """The TLP 2.0 definitions the bundle refers to and that no carried object is."""
    there = {each.id for each in objects}
    # The id of a marking stands in the bytes as it is written; a mention elsewhere costs one object more.
    return [
        markings.tlp2_definition(label)
        for label in Tlp
        if label.marking_id not in there
        and (label is tlp or any(label.marking_id.encode() in each.data for each in objects))
    ]


def _read_bundle(bundle: bytes, limits: Limits) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    """The bundle's own members that matter, and the values of its objects.

    Raises: Rejected `message.bad-bundle`.
    """
    whole = load(bundle, limits)
    around, values = _read_by_span(bundle, limits) if whole is None else (whole, whole.get("objects"))
    if around.get("type") != "bundle":
        raise Rejected("message.bad-bundle", "not a bundle")
    values = values if isinstance(values, list) else []
    objects = [value for value in values if isinstance(value, dict)]
    if len(objects) != len(values):
        raise Rejected("message.bad-bundle", "one of its objects is none, or has a value readers disagree on")
    if not objects:
        raise Rejected("message.no-cover")
    return around, objects


def _read_by_span(bundle: bytes, limits: Limits) -> tuple[dict[str, Any], list[object]]:
    """The same from a bundle that something is the matter with, at least in one of its values."""
    try:
        document = scan(bundle, limits)
    except Refused as refusal:
        raise Rejected("message.bad-bundle", f"{refusal.code}: {refusal.detail}") from None
    names = ("type", "object_marking_refs") if document.is_object else ()
    members = document.members
    around = {name: parse(document.bytes_of(members[name])) for name in names if name in members}
    if around.get("type") == "bundle" and document.root.repeated is not None:
        raise Rejected("message.bad-bundle", "a property stands twice in one object")
    return around, [parse(document.bytes_of(span)) for span in document.items]


def _facts(cover: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the message that stand in a cover whose schema holds.

    Raises: Refused `message.bad-time`.
    """
    extension = cover["extensions"][EXTENSION]
    is_note = cover["type"] == "note"
    subject = cover["abstract" if is_note else "name"]
    text = cover["content"] if is_note else cover.get("description", "")
    facts = {name: extension[name] for name in _WORDS if name in extension}
    facts |= {name: from_stix(extension[name]) for name in _TIMES if name in extension}
    return facts | {
        "id": extension["message_id"],
        "kind": extension["kind"],
        "contacts": tuple(extension.get("contacts", ())),
        "urgency": Urgency(extension["urgency"]),
        "subject": subject,
        "text": "" if is_note and text == subject else text,
        "lang": cover["lang"],
        "created": from_stix(cover["created"]),
        "author": cover["created_by_ref"],
    }


def _received_tlp(around: Mapping[str, Any], values: Sequence[Mapping[str, Any]]) -> Tlp:
    definitions: dict[str, Tlp] = {}
    for value in values:
        markings.collect_definition(value, definitions)
    found = markings.resolve(markings.marking_refs(values[0]), definitions) or [DEFAULT]
    refs = markings.marking_refs(around)
    for value in values:
        refs += markings.marking_refs(value) + markings.granular_refs(value)
        found += markings.tags(value)
    return strictest(found + markings.resolve(refs, definitions))


def _received_pap(
    around: Mapping[str, Any],
    cover: Mapping[str, Any],
    carried: Sequence[Mapping[str, Any]],
    values: Iterable[Mapping[str, Any]],
) -> Pap | None:
    """What stands on the cover or the bundle, for all of the message, and on the cover of one that it hands on."""
    definitions: dict[str, Pap] = {}
    for value in values:
        if value.get("type") == "marking-definition":
            permissions.collect_definition(value, definitions)
    within = (value for value in carried if EXTENSION in validation.extensions_of(value))
    return strictest_pap(_known(permissions.pap_of(value, definitions) for value in (around, cover, *within)))


def _pap_handed_on(objects: Sequence[RawObject]) -> Pap | None:
    """What stands on the covers among objects that are to be carried."""
    if not any(_may_be_cover(each) for each in objects):
        return None
    parts = [each for each in objects if each.type == "marking-definition" or _may_be_cover(each)]
    values = [value for value in (parse(each.data) for each in parts) if isinstance(value, dict)]
    return _received_pap({}, {}, values, values)


def _known(labels: Iterable[Pap | None]) -> list[Pap]:
    return [label for label in labels if label is not None]


def _exercise_within(carried: Sequence[Mapping[str, Any]]) -> str | None:
    """The exercise of a message handed on, which doesn't end because somebody leaves it out of another cover."""
    for value in carried:
        extension = validation.extensions_of(value).get(EXTENSION)
        named = extension.get("exercise_id") if isinstance(extension, dict) else None
        if named:
            return named if isinstance(named, str) and TOKEN.fullmatch(named) else _UNNAMED
    return None
