"""How the reader and the writer of MISP events are driven; as core_drives.py."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from exchange.formats.misp import read as misp, write as misp_write
from exchange.formats.objects import RawObject
from exchange.formats.source import Source
from exchange.formats.stix.cover import compose, read_message
from exchange.formats.stix.markings import effective_tlp
from exchange.formats.stix.spans import Limits
from exchange.message import Author, Draft, Kind, Message, Urgency, member_identity_id
from tests.misp_samples import attribute, event, full_event
from tests.vector_directory import network


def events(data: bytes) -> None:
    """Read a file, and write what came of it: every attribute that was taken is there again."""
    source = Source("event.json", data)
    if not misp.recognise(source):
        source.scanned()
        return
    loaded = misp.read(source, Limits())
    if loaded.accepted:
        written = misp_write.write(_message(loaded.accepted))
        orjson.loads(written.data)


def carried(data: bytes) -> None:
    """Write a message of a stranger, who may have carried anything."""
    orjson.loads(misp_write.write(read_message(data)).data)


def files() -> list[bytes]:
    """Events, one of them with everything in it."""
    rule = attribute("yara", "rule x { condition: true }", to_ids=True)
    several: Any = {"response": [full_event(), event(rule, attribute("AS", "AS64496", to_ids=True))]}
    return [orjson.dumps(full_event()), orjson.dumps(several)]


def messages() -> list[bytes]:
    """A message that carries an event."""
    loaded = misp.read(Source("event.json", orjson.dumps(full_event())), Limits())
    return [_message(loaded.accepted).bundle]


def _message(objects: tuple[RawObject, ...]) -> Message:
    at = int(network()["now"])
    draft = Draft(
        id="0d6fb5a5-5f1d-4c4e-9c5b-5e2a3e0f4f12",
        kind=Kind.ALERT,
        case_id="pe-2",
        urgency=Urgency.ROUTINE,
        tlp=effective_tlp(objects, None),
        subject="An event",
        created=at,
    )
    author = Author(id=member_identity_id(uuid.UUID(bytes=bytes(range(16))), "pe"), name="pe", created=at)
    return compose(draft, author, objects)
