"""The REST API's endpoints for mail: list, read, search, send, answer. Each is one call of a service and its answer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final, cast

from aiohttp import web

from exchange.access import Scope
from exchange.attachment import file_name
from exchange.errors import Refused
from exchange.message import Message
from exchange.node.http import api_asked, api_models as models
from exchange.node.http.api_call import Answer, Call, Route, answer, parsed
from exchange.node.http.api_models import time_of
from exchange.node.http.api_order import MOST, order_of
from exchange.node.http.api_replacing import replacing
from exchange.node.mail.desk import Missing
from exchange.node.mail.facts import Box, Item
from exchange.node.mail.search import Sought
from exchange.node.mail.sending import Queued
from exchange.node.mail.view import Beside, Wanted
from exchange.node.replacing import keeping
from exchange.node.store.outbox import HUMAN, Addressee
from exchange.tlp import parse as label_of

STIX: Final = "application/stix+json;version=2.1"
_RELEASE: Final = ("message.*", "release.*", "tlp.*")
# Which member of a body a rule is about that knows nothing of bodies.
_AT_FAULT: Final = {
    "contact.ambiguous": "to",
    "contact.unknown": "to",
    "directory.unknown-member": "to",
    "incident.unknown-word": "incident",
    "message.bad-outcome": "outcome",
    "message.missing-incident": "incident",
    "message.missing-outcome": "outcome",
    "message.missing-question": "question",
    "message.missing-reason": "reason",
    "message.missing-reply-by": "reply_by",
    "message.missing-reply-to": "in_reply_to",
    "message.missing-subject": "subject",
    "message.ambiguous": "in_reply_to",
    "message.unknown": "in_reply_to",
    "message.other-exercise": "exercise",
    "policy.self-only": "to",
    "tlp.red-needs-persons": "tlp",
    "unit.unknown": "to",
}
_SENDING: Final = (
    "api.*",
    "contact.*",
    "content.too-large",
    "directory.unknown-member",
    "incident.*",
    "message.*",
    "node.not-joined",
    "policy.*",
    "release.*",
    "stix.*",
    "tlp.*",
    "unit.unknown",
)


async def listed(call: Call) -> web.StreamResponse:
    """Messages, newest first."""
    query = cast("api_asked.MailQuery", call.query)
    wanted = Wanted(
        box=Box(query.box),
        kind=query.kind,
        tlp=label_of(query.tlp).label if query.tlp else None,
        sender=query.sender,
        unopened=query.unopened,
    )
    page = await call.context.api.view.page(call.access, wanted, before=query.before, limit=query.limit)
    rows = [models.MailRow(**row(item)) for item in page.items]
    return answer(models.MailPage(messages=rows, next=page.before))


async def one(call: Call) -> web.StreamResponse:
    """What a message says, but for its objects."""
    item, message, beside = await _whole(call)
    by = await call.context.api.view.replaced_by(item)
    attached = [*map(_attached, beside)]
    return answer(models.Mail(**row(item), **_said(message), replaced_by=by, attachments=attached))


async def content(call: Call) -> web.StreamResponse:
    """Its exact bytes."""
    _, message, _ = await _whole(call)
    tag = f'"{hashlib.sha256(message.bundle).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-store"}
    if tag in call.request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=message.bundle, headers={"Content-Type": STIX, **headers})


async def _whole(call: Call) -> tuple[Item, Message, tuple[Beside, ...]]:
    query = cast("api_asked.OneQuery", call.query)
    return await call.context.api.view.whole(call.access, call.request.match_info["id"], query.sender)


async def status(call: Call) -> web.StreamResponse:
    """How far the copies of a message that was sent have come."""
    found = await call.context.api.view.rungs(call.access, call.request.match_info["id"])
    return answer(models.Rungs(id=found.id, copies=[_copy(copy, lacks) for copy, lacks in found.copies]))


async def answered(call: Call) -> web.StreamResponse:
    """Say to its sender what a person did with a message."""
    body = cast("api_asked.Answering", parsed(api_asked.Answering, call.body))
    id_ = call.request.match_info["id"]
    told = await call.context.api.view.answer(
        call.access, id_, body.level, person=body.person, note=body.note, sender=body.sender
    )
    call.context.api.poke()
    return answer(models.Answered(id=id_, level=body.level, told=told))


async def searched(call: Call) -> web.StreamResponse:
    """Received messages that have a value or words."""
    query = cast("api_asked.SearchQuery", call.query)
    sought = Sought.of(query.value, query.text)
    found = await call.context.api.search.search(call.access, sought, before=query.before)
    hits = [models.SearchHit(**row(hit.item), found_in=list(hit.objects)) for hit in found.hits]
    page = models.SearchPage(hits=hits, looked=found.looked, withheld=found.withheld, next=found.before)
    return answer(page)


async def sent(call: Call) -> web.StreamResponse:
    """Send a message, once."""
    order = await asyncio.to_thread(order_of, call.body)  # 10 MB of objects take a second or two
    book = await call.context.api.book.book()
    try:
        order, before = await replacing(call, order)
        queued = await call.context.api.sending.send(call.access, order, book)
    except Refused as refusal:
        named = {"field": _AT_FAULT[refusal.code]} if refusal.code in _AT_FAULT else {}
        raise Refused(refusal.code, refusal.detail, **{**named, **refusal.facts}) from None
    return answer(_queued(queued, keeping(before, queued.to)), status=201 if queued.new else 200)


def row(item: Item) -> dict[str, Any]:
    """A message in a list, as models.MailRow."""
    facts, decision = item.facts, item.decision
    said = facts if decision.allowed else None
    return {
        "id": item.id,
        "box": item.box.value,
        "sender": item.sender,
        "to": list(item.to),
        "urgency": item.lane,
        "tlp": facts.content.tlp.label if facts.content else None,
        "created": time_of(item.created),
        "at": time_of(item.at),
        "state": item.state or None,
        "marks": list(item.marks),
        "kind": said.kind if said else None,
        "case": said.case if said else None,
        "subject": said.subject if said else None,
        "objects": said.objects if said else None,
        "withheld": None if decision.allowed else withheld(item),
    }


def withheld(item: Item) -> models.Withheld:
    """Why it may not leave."""
    return models.Withheld(code=item.decision.code, reason=item.decision.reason, ask=item.decision.ask)


def _said(message: Message) -> dict[str, Any]:
    return {
        "text": message.text,
        "lang": message.lang,
        "author": message.author,
        "in_reply_to": message.in_reply_to,
        "supersedes": message.supersedes,
        "expires": time_of(message.expires),
        "ack_by": time_of(message.ack_by),
        "reply_by": time_of(message.reply_by),
        "question": message.question,
        "outcome": message.outcome,
        "reason": message.reason,
        "function": message.audience_function,
        "exercise": message.exercise_id,
    }


def _attached(beside: Beside) -> models.Attached:
    one = beside.attachment
    return models.Attached(
        n=beside.n,
        name=file_name(one.name),
        size=one.size,
        sha256=one.digest.hex(),
        media_type=one.media_type,
        malware=one.malware,
        state=beside.state,
    )


def _copy(copy: Addressee, lacks: Missing | None) -> models.Copy:
    people = next((level for level in reversed(HUMAN) if getattr(copy, f"{level}_at")), "")
    return models.Copy(
        address=copy.recipient,
        level=people or copy.state,
        code=copy.code,
        missing=lacks.rung if lacks else None,
        overdue=lacks.overdue if lacks else False,
        queued=time_of(copy.queued_at) or "",
        accepted=time_of(copy.accepted_at),
        stored=time_of(copy.stored_at),
        opened=time_of(copy.opened_at),
        acknowledged=time_of(copy.acknowledged_at),
        working=time_of(copy.working_at),
        declined=time_of(copy.declined_at),
        person=copy.person,
        note=copy.note,
    )


def _queued(queued: Queued, keeping: Sequence[str]) -> models.Sent:
    return models.Sent(
        id=queued.id,
        new=queued.new,
        kind=queued.kind,
        case=queued.case,
        tlp=queued.tlp.label,
        urgency=queued.lane,
        to=list(queued.to),
        waiting=list(queued.waiting),
        keeping=list(keeping),
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/messages",
        name="listMessages",
        summary="Messages received or sent, newest first",
        scope=Scope.API_READ,
        handler=listed,
        query=api_asked.MailQuery,
        answers={200: Answer("A page.", models.MailPage)},
    ),
    Route(
        method="POST",
        path="/messages",
        name="sendMessage",
        summary="Send a message; done once it lies safely in the outbox",
        scope=Scope.API_SEND,
        handler=sent,
        body=api_asked.Sending,
        most=MOST,
        answers={
            201: Answer("It is in the outbox.", models.Sent),
            200: Answer("The same was asked for before; nothing changed.", models.Sent),
        },
        codes=_SENDING,
    ),
    Route(
        method="GET",
        path="/messages/{id}",
        name="readMessage",
        summary="What a message says, but for its objects; its sender isn't told that it was opened",
        scope=Scope.API_READ,
        handler=one,
        query=api_asked.OneQuery,
        answers={200: Answer("The message.", models.Mail)},
        codes=_RELEASE,
    ),
    Route(
        method="GET",
        path="/messages/{id}/content",
        name="readContent",
        summary="The message's STIX bundle, byte for byte as its sender signed it",
        scope=Scope.API_READ,
        handler=content,
        query=api_asked.OneQuery,
        headers={"If-None-Match": "An ETag that was given."},
        answers={
            200: Answer("The bundle.", media=STIX, headers={"ETag": "Of these bytes."}),
            304: Answer("The same bytes still.", media="", headers={"ETag": "Of these bytes."}),
        },
        codes=_RELEASE,
    ),
    Route(
        method="GET",
        path="/messages/{id}/status",
        name="readStatus",
        summary="How far each addressee's copy of a message that was sent has come",
        scope=Scope.API_READ,
        handler=status,
        answers={200: Answer("The copies.", models.Rungs)},
        codes=("message.unknown",),
    ),
    Route(
        method="POST",
        path="/messages/{id}/ack",
        name="answerMessage",
        summary="Say to a message's sender, in a person's name, what that person did with it",
        scope=Scope.API_ACK,
        handler=answered,
        body=api_asked.Answering,
        answers={200: Answer("The senders will be told.", models.Answered)},
        codes=("message.unknown", "message.ambiguous", "message.bad-status", "message.text-too-long"),
    ),
    Route(
        method="GET",
        path="/search",
        name="search",
        summary="Received messages that have a value or words, newest first, a share of work at a time",
        scope=Scope.API_READ,
        handler=searched,
        query=api_asked.SearchQuery,
        answers={200: Answer("Hits.", models.SearchPage)},
    ),
)
