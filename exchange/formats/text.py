"""Writes a message as plain text for a terminal or a printer: what it says and what kinds of objects it carries.

Indicators themselves are left out: they stand in the STIX form, and text is copied about without thought.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import orjson

from exchange.formats.objects import Loss
from exchange.formats.source import Written
from exchange.formats.stix.cover import carried_objects
from exchange.formats.stix.permissions import pap_of_message
from exchange.formats.stix.time import to_stix
from exchange.message import Message

_TYPE: Final = re.compile(r"[a-z0-9-]{1,250}")  # STIX 2.1 §3.2


def banner(message: Message) -> str:
    """What must stand on every copy: TLP, what PAP says of any part of it, and that it is an exercise."""
    pap = pap_of_message(message)
    exercise = f"EXERCISE {message.exercise_id}" if message.exercise_id else ""
    return "  ".join(filter(None, (message.tlp.label, pap.label if pap else "", exercise)))


def write(message: Message) -> Written:
    """The message as UTF-8 text, the label first and last. Times are UTC. The objects are lost but for their types."""
    rows = (
        ("subject", message.subject),
        ("kind", message.kind),
        ("urgency", message.urgency.value),
        ("case", message.case_id),
        ("message", message.id),
        ("author", message.author),
        ("in reply to", message.in_reply_to),
        ("created", to_stix(message.created)),
        ("acknowledge by", _time(message.ack_by)),
        ("reply by", _time(message.reply_by)),
        ("expires", _time(message.expires)),
        ("outcome", message.outcome),
        ("reason", message.reason),
        ("question", message.question),
        ("exercise", message.exercise_id),
        ("for", message.audience_function),
        ("legal status", message.legal_status),
    )
    types = Counter(_type_of(data) for data in carried_objects(message))
    label = banner(message)
    lines = [label, *(f"{name + ':':<16}{value}" for name, value in rows if value)]
    lines += ["", message.text] if message.text else []
    lines += (
        ["", "carries:", *(f"  {count:>6}  {name}" for name, count in sorted(types.items()))] if types else []
    )
    losses = tuple(
        Loss(f"objects of type {name}", f"{count} objects", "text only counts them")
        for name, count in sorted(types.items())
    )
    return Written("\n".join([*lines, "", label, ""]).encode(), losses)


def _type_of(data: bytes) -> str:
    """The type of a carried object. A sender may have carried anything, and text is read on terminals."""
    named = str(orjson.loads(data).get("type"))
    return named if _TYPE.fullmatch(named) else "unknown to STIX"


def _time(ms: int | None) -> str | None:
    return None if ms is None else to_stix(ms)
