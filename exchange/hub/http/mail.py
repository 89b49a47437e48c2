"""The calls about mail: envelopes in, mailbox pages out, receipts, what a node asks at its start (§11.7, 9-11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson
from aiohttp import web

from exchange.canonical import Json, b64, unb64, unframed
from exchange.hub.http.auth import Who, authenticate, no_body, page, read_body, read_json
from exchange.hub.http.context import CONTEXT, Context
from exchange.hub.http.query import number_in, query_of
from exchange.hub.mailboxes import Answer
from exchange.limits import (
    LARGE_BYTES,
    MAX_BATCH_BYTES,
    MAX_BATCH_ITEMS,
    MAX_BODY,
    MAX_PAGE_BYTES,
    MAX_UPLOAD,
    PAGE_BYTES,
    PIECE_BYTES,
    POLL_SECONDS,
)
from exchange.protocol import JSON

MIN_PAGE_BYTES: Final = 65_536


async def put_envelope(request: web.Request) -> web.Response:
    """PUT /v1/envelopes/ENV"""
    caller = await authenticate(request, Who.MEMBER)
    env = unb64(request.match_info["env"], size=32, field="env")
    data = await read_body(request, caller, most=MAX_UPLOAD)
    context = request.app[CONTEXT]
    answer = await context.mailboxes.accept(caller.address, [data], env=env)
    return _answer(context, answer)


def _answer(context: Context, answer: Answer) -> web.Response:
    """To the upload of one envelope."""
    (result,) = answer.results
    if result.error is not None:
        raise result.error
    _count(context, answer)
    return web.Response(
        status=201 if result.new else 200, body=b'{"receipts":%b}' % _list(answer), content_type=JSON
    )


async def put_piece(request: web.Request) -> web.Response:
    """PUT /v1/envelopes/ENV/pieces: the next piece of a long upload; with nothing in it, how far it has come."""
    caller = await authenticate(request, Who.MEMBER)
    env = unb64(request.match_info["env"], size=32, field="env")
    query = query_of(request, ("from", "size"))
    start = number_in(query, "from", least=0, most=MAX_UPLOAD, default=0)
    size = number_in(query, "size", least=1, most=MAX_UPLOAD, default=0)
    data = await read_body(request, caller, most=PIECE_BYTES)
    context = request.app[CONTEXT]
    taken = await context.pieces.take(caller.address, env, start=start, size=size, data=data)
    if taken == size:  # now it is in memory as a whole
        context.bodies.take(caller.payer, size)
        try:
            taken = await context.pieces.join(caller.address, env, size=size)
        finally:
            context.bodies.give_back(caller.payer, size)
    if isinstance(taken, int):
        return web.Response(status=202, body=orjson.dumps({"have": taken}), content_type=JSON)
    return _answer(context, taken)


async def post_envelopes(request: web.Request) -> web.Response:
    """POST /v1/envelopes: a batch; each envelope has a result of its own."""
    caller = await authenticate(request, Who.MEMBER)
    data = await read_body(request, caller, most=MAX_BATCH_BYTES)
    uploads = list(unframed(data, most_items=MAX_BATCH_ITEMS, most_bytes=MAX_UPLOAD))
    context = request.app[CONTEXT]
    answer = await context.mailboxes.accept(caller.address, uploads)
    _count(context, answer)
    results = [
        {
            "env": b64(result.env),
            "code": result.error.code if result.error else "",
            "detail": result.error.detail if result.error else "",
        }
        for result in answer.results
    ]
    body = b'{"results":%b,"receipts":%b}' % (orjson.dumps(results), _list(answer))
    return web.Response(body=body, content_type=JSON)


def _list(answer: Answer) -> bytes:
    """The proofs as a JSON list; each is JSON already."""
    return b"[" + b",".join(answer.proofs) + b"]"


def _count(context: Context, answer: Answer) -> None:
    for result in answer.results:
        if result.error is not None:
            context.metrics.refused.labels(result.error.code).inc()
        elif not result.new:
            context.metrics.repeated.inc()


async def get_mailbox(request: web.Request) -> web.StreamResponse:
    """GET /v1/mailbox: one page after a cursor, by long poll."""
    caller = await authenticate(request, Who.MEMBER, reading=True)
    await no_body(request, caller)
    query = query_of(request, ("after", "wait", "max", "large"))
    wait = number_in(query, "wait", least=0, most=POLL_SECONDS, default=0)
    most = number_in(query, "max", least=MIN_PAGE_BYTES, most=MAX_PAGE_BYTES, default=PAGE_BYTES)
    large = large_of(query)
    context = request.app[CONTEXT]
    found = await context.mailboxes.page(
        caller.address, query.get("after", ""), wait_seconds=wait, most=most, large=large
    )
    if not found.items:
        return web.Response(status=204)
    body = b"".join(item.to_bytes() for item in found.items)
    return page(request, caller, body, more=found.more)


async def get_piece(request: web.Request) -> web.StreamResponse:
    """GET /v1/mailbox/ENV: a piece of a delivery that the feed has only named."""
    caller = await authenticate(request, Who.MEMBER, reading=True)
    await no_body(request, caller)
    env = unb64(request.match_info["env"], size=32, field="env")
    query = query_of(request, ("from", "max"))
    start = number_in(query, "from", least=0, most=MAX_UPLOAD, default=0)
    most = number_in(query, "max", least=1, most=PIECE_BYTES, default=PIECE_BYTES)
    context = request.app[CONTEXT]
    return page(request, caller, await context.mailboxes.piece(caller.address, env, start=start, most=most))


async def post_receipts(request: web.Request) -> web.Response:
    """POST /v1/receipts: a node's signed batch."""
    caller = await authenticate(request, Who.MEMBER, reading=True)
    value = await read_json(request, caller, ("body", "signatures", "leaves"))
    context = request.app[CONTEXT]
    released = await context.mailboxes.receipts(caller.address, value)
    context.metrics.receipted.inc(released.matched)
    context.metrics.unmatched.inc(released.no_match)
    return answer_json({"matched": released.matched, "no_match": released.no_match})


async def get_state(request: web.Request) -> web.Response:
    """GET /v1/state: what a node compares itself with at every start (docs/protocol.md §6.4)."""
    caller = await authenticate(request, Who.MEMBER, reading=True)
    await no_body(request, caller)
    holds = query_of(request, ("after",)).get("after")
    context = request.app[CONTEXT]
    directory, limits = context.registrar.directory, context.settings.limits
    return answer_json(
        {
            "epoch": context.mailboxes.epoch_of(caller.address, holds),
            "now": context.clock(),
            "address": caller.address,
            "receipts_batch": await context.mailboxes.highest_batch(caller.address),
            "prekeys": b64(directory.last_hash(caller.address, "prekeys")),
            "size": context.registrar.dir_ref.size,
            "limits": {
                "batch_bytes": MAX_BATCH_BYTES,
                "batch_items": MAX_BATCH_ITEMS,
                "body": MAX_BODY,
                "expired_days": limits.expired_days,
                "page_bytes": MAX_PAGE_BYTES,
                "quota_bytes": limits.quota_bytes,
                "quota_envelopes": limits.quota_envelopes,
                "released_days": limits.released_days,
                "socket_bytes": limits.socket_bytes,
                "socket_items": limits.socket_items,
                "upload": MAX_UPLOAD,
            },
        }
    )


def answer_json(value: Json) -> web.Response:
    """200 with a JSON document."""
    return web.Response(body=orjson.dumps(value), content_type=JSON)


def large_of(query: Mapping[str, str]) -> int:
    """Over how many bytes the caller wants deliveries only named; 0: never. Raises Refused request.bad."""
    return number_in(query, "large", least=LARGE_BYTES, most=MAX_UPLOAD, default=0) if "large" in query else 0
