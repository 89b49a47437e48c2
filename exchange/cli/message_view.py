"""How a received or sent message looks on a terminal and as JSON: state words, ticks, marks, defanged text.

Owns the look only: what is shown may be shown is decided, and logged, before (`node/mail`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final
from unicodedata import normalize

import orjson

from exchange.cli.output import one_line, pairs, safe, utc
from exchange.formats.indicators.defang import defang
from exchange.formats.stix.cover import carried_objects
from exchange.formats.stix.handing_on import original_of
from exchange.formats.stix.permissions import pap_of_message
from exchange.formats.text import banner
from exchange.message import Message

MAX_OBJECTS_SHOWN: Final = 200
MAX_VALUE_SHOWN: Final = 2_000  # characters of one property of an object
MAX_NAME_SHOWN: Final = 100  # of an object's type, and of its id
MAX_DRILL_SHOWN: Final = 24  # characters of an exercise's id in lists
SHORT_ID: Final = 8  # characters of an id in lists; any unique beginning will do

# What each mark on a message means (docs/protocol.md §4.5, §6).
MARKS: Final[Mapping[str, str]] = {
    "late": "late: it came after its time, or after newer mail of its sender",
    "clock": "clock: sealed more than 10 minutes ahead of this node's clock",
    "fork": "FORK: the sender's chain has two envelopes in this place; ask them, by telephone",
    "restarted": "restarted: the sender's node was restored or copied before it sent this",
    "unverified": "UNVERIFIED: it came when anybody may have held its sender's key; ask them, by telephone",
    "voided": "voided: the sender had declared this envelope void",
    "newer": "newer: made by a newer version than this node",
    "directory": "directory: the sender saw another directory log than this node",
    "conflict": "CONFLICT: the sender used this message's id for other content too; both are kept",
    "anchor-unconfirmed": "anchor unconfirmed: nobody has compared the network's digits yet",
}

_DRILL: Final = "EXERCISE"  # before the subject of what is of one
# what looks like a letter of that word, and is another of ASCII
_STROKES: Final = str.maketrans("|l1", "III")

# Object properties a person reads first, in this order; the rest is in `node export`.
_SHOWN: Final = ("name", "pattern", "value", "description", "content", "abstract", "determination")


def state_of(opened_at: int | None, answered: str) -> str:
    """One word for how far we are with a received message."""
    return answered or ("opened" if opened_at else "new")


def mark_lines(marks: Sequence[str]) -> list[str]:
    """What a person must know about how the message came."""
    return [f"! {MARKS.get(mark, mark)}" for mark in sorted(marks)]


def subject_in_list(subject: str, exercise: str | None) -> str:
    """A subject as a line of a list: of a drill behind its name, so that nobody takes it for real.

    Of what is real, one that begins so itself stands in quotation marks: no sender hides a case in somebody's drill.
    """
    line = one_line(subject)
    if exercise:
        return f"{_DRILL} {one_line(exercise, MAX_DRILL_SHOWN)}: {line}"
    return f'"{line}"' if _looks_like_a_drill(line) else line


def _looks_like_a_drill(line: str) -> bool:
    """Whether it begins as one does, in letters of whatever script: there is no telling which ones look like Latin."""
    letters = re.sub(r"[\W_]", "", normalize("NFKD", line.translate(_STROKES)))[: len(_DRILL)].upper()
    return len(letters) == len(_DRILL) and all(
        letter == own or not letter.isascii() for letter, own in zip(letters, _DRILL, strict=True)
    )


def message_lines(
    message: Message,
    *,
    sender: str,
    received_at: int | None,
    marks: Sequence[str],
    replaced: Sequence[str] = (),
) -> list[str]:
    """A message as text for a terminal: the labels first and last, every address defanged, times in UTC.

    `received_at` in ms; None for one that this node sent. `replaced`: the line that says by what, if it is.
    """
    facts = pairs(
        [
            ("from", sender),
            ("subject", defang(message.subject)),
            ("kind", message.kind),
            ("urgency", message.urgency.value),
            ("case", message.case_id),
            ("message", message.id),
            ("in reply to", message.in_reply_to or ""),
            ("supersedes", message.supersedes or ""),
            ("hands on", _handed_on(message)),
            ("created", utc(message.created)),
            ("received", _time(received_at)),
            ("acknowledge by", _time(message.ack_by)),
            ("reply by", _time(message.reply_by)),
            ("expires", _time(message.expires)),
            ("outcome", message.outcome or ""),
            ("reason", defang(message.reason)),
            ("question", defang(message.question)),
            ("exercise", message.exercise_id or ""),
            ("for", message.audience_function or ""),
            ("contact points", ", ".join(message.contacts)),
            ("confirm by", _time(message.validate_by)),
            ("country", message.country or ""),
            ("topic", message.topic or ""),
            ("legal status", "" if message.legal_status == "informal" else message.legal_status),
        ]
    )
    text = ["", *safe(defang(message.text)).split("\n")] if message.text else []
    label = banner(message)
    return [label, *replaced, *mark_lines(marks), *facts, *text, *_object_lines(message), label]


def message_json(message: Message) -> dict[str, Any]:
    """The message's facts; text is defanged here too, the signed bytes are `node export`'s."""
    original, pap = original_of(message), pap_of_message(message)
    return {
        "id": message.id,
        "kind": message.kind,
        "urgency": message.urgency.value,
        "tlp": message.tlp.label,
        "pap": pap.label if pap else None,
        "case": message.case_id,
        "subject": defang(message.subject),
        "text": defang(message.text),
        "author": message.author,
        "created": message.created,
        "expires": message.expires,
        "ack_by": message.ack_by,
        "reply_by": message.reply_by,
        "in_reply_to": message.in_reply_to,
        "supersedes": message.supersedes,
        "original": asdict(original) | {"subject": defang(original.subject)} if original else None,
        "outcome": message.outcome,
        "question": defang(message.question),
        "reason": defang(message.reason),
        "legal_status": message.legal_status,
        "exercise": message.exercise_id,
        "function": message.audience_function,
        "contacts": list(message.contacts),
        "validate_by": message.validate_by,
        "country": message.country,
        "topic": message.topic,
        "objects": message.object_count,
    }


def _object_lines(message: Message) -> list[str]:
    objects = carried_objects(message)
    if not objects:
        return []
    lines = ["", f"carries {len(objects)} object{'s' if len(objects) > 1 else ''}:"]
    for data in objects[:MAX_OBJECTS_SHOWN]:
        value = orjson.loads(data)
        named = (one_line(str(value.get(name, "?")), MAX_NAME_SHOWN) for name in ("type", "id"))
        lines.append(f"  {'  '.join(named)}")
        lines += [
            f"    {name}: {safe(defang(one_line(str(value[name]), MAX_VALUE_SHOWN)))}"
            for name in _SHOWN
            if name in value
        ]
    if len(objects) > MAX_OBJECTS_SHOWN:
        lines.append(
            f"  ... and {len(objects) - MAX_OBJECTS_SHOWN} more: exchange node export {message.id[:SHORT_ID]}"
        )
    return [*lines, ""]


def _handed_on(message: Message) -> str:
    original = original_of(message)
    if original is None:
        return ""
    return f"{safe(original.kind)} {safe(original.id)} of {safe(original.name or original.author)}, as its sender says"


def _time(ms: int | None) -> str:
    return "" if ms is None else utc(ms)
