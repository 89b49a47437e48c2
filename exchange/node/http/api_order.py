"""Reads the order to send a message out of a request's body, whose objects go on byte for byte."""

from __future__ import annotations

from typing import Final, cast

import orjson

from exchange.errors import Refused
from exchange.formats.objects import RawObject
from exchange.formats.source import Source
from exchange.formats.stix import read as stix
from exchange.formats.stix.incident import IncidentFacts
from exchange.formats.stix.spans import Document, Limits, scan
from exchange.limits import MAX_STIX
from exchange.message import Urgency
from exchange.node.http import api_asked
from exchange.node.http.api_call import parsed
from exchange.node.http.api_models import moment
from exchange.node.mail.sending import Order
from exchange.tlp import parse as label_of

MOST: Final = MAX_STIX + 65_536  # bytes of a message that is sent: its objects, and what stands around them


def order_of(data: bytes) -> Order:
    """The order that a body is. Raises Refused api.bad-body, api.bad-objects, json.*, stix.*"""
    document = scan(data, Limits(max_bytes=MOST))
    if not document.is_object or document.repeated is not None:
        raise Refused("api.bad-body", "one JSON object, with each member once")
    body = cast("api_asked.Sending", parsed(api_asked.Sending, _without_objects(document)))
    return _order(body, _objects(document), data)


def _without_objects(document: Document) -> bytes:
    """The body with its objects left out: these are read by their bytes, which go on as they are."""
    around = {name: document.bytes_of(span) for name, span in document.members.items()}
    if "objects" in around and around["objects"].startswith(b"["):
        around["objects"] = b"[]"
    if "bundle" in around and around["bundle"].startswith(b"{"):
        around["bundle"] = b"{}"
    return b"{%b}" % b",".join(b"%b:%b" % (orjson.dumps(name), data) for name, data in around.items())


def _objects(document: Document) -> tuple[RawObject, ...]:
    """The objects of a body, all of them or none. Raises Refused api.bad-objects, json.*, stix.*"""
    members, found = document.members, b"[]"
    if "bundle" in members:
        found = document.bytes_of(members["bundle"])
        if "objects" in members and document.items:
            raise Refused("api.bad-body", "objects, or a bundle of them: not both", field="bundle")
    elif "objects" in members:
        found = document.bytes_of(members["objects"])
    if found.strip() in (b"[]", b"", b"null"):
        return ()
    loaded = stix.read(Source("body", found), Limits())
    if loaded.set_aside:
        errors = [
            {"object": each.object, "code": each.code, "reason": each.reason}
            for each in loaded.set_aside[:100]
        ]
        raise Refused("api.bad-objects", field="bundle" if "bundle" in members else "objects", errors=errors)
    return loaded.accepted


def _order(body: api_asked.Sending, objects: tuple[RawObject, ...], asked: bytes) -> Order:
    fields = {
        "expires": _ms(body.expires),
        "ack_by": _ms(body.ack_by),
        "reply_by": _ms(body.reply_by),
        "question": body.question,
        "outcome": body.outcome,
        "reason": body.reason,
        "exercise_id": body.exercise,
        "supersedes": body.supersedes,
    }
    return Order(
        to=body.to,
        kind=body.kind,
        subject=body.subject,
        id=body.id,
        tlp=label_of(body.tlp) if body.tlp else None,
        urgency=Urgency(body.urgency) if body.urgency else None,
        case=body.case,
        in_reply_to=body.in_reply_to,
        in_reply_to_sender=body.in_reply_to_sender,
        text=body.text,
        lang=body.lang,
        incident=_incident(body.incident) if body.incident else None,
        objects=objects,
        separate=body.separate,
        cross_community=body.cross_community,
        fields=fields,
        asked=asked,
    )


def _incident(said: api_asked.Incident) -> IncidentFacts:
    return IncidentFacts(
        name=said.name,
        determination=said.determination,
        incident_types=tuple(said.types),
        criticality=said.criticality,
        detection_methods=tuple(said.detection),
        description=said.description,
        first_seen=_ms(said.first_seen),
    )


def _ms(text: str | None) -> int | None:
    return moment(text) if text else None
