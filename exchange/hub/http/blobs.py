"""The calls about sealed attachments: brought in any pieces, fetched from any byte on (docs/protocol.md §11.14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from aiohttp import web

from exchange.canonical import unb64
from exchange.directory.network import member_of
from exchange.errors import Rejected
from exchange.hub.http.auth import STREAM, Stream, Who, authenticate, go_on, no_body
from exchange.hub.http.context import CONTEXT
from exchange.hub.http.query import number_in, query_of
from exchange.limits import BODY_RATE, MAX_BLOB
from exchange.protocol import BINARY, JSON
from exchange.token import EMPTY


async def put_blob(request: web.Request) -> web.Response:
    """PUT /v1/blobs/HASH: the next bytes of a blob; with nothing in it, how far it has come."""
    caller = await authenticate(request, Who.MEMBER)
    digest = unb64(request.match_info["hash"], size=32, field="hash")
    query = query_of(request, ("from", "size"))
    start = number_in(query, "from", least=0, most=MAX_BLOB, default=0)
    size = number_in(query, "size", least=1, most=MAX_BLOB, default=0)
    length = request.content_length
    if length is None:
        raise Rejected("request.length-required")
    if start + length > size or "Content-Encoding" in request.headers:
        raise Rejected("request.bad", "more bytes than the blob has, or not as they are")
    if caller.token is not None:
        caller.token.check_body(EMPTY)  # what comes is judged by the blob's own hash
    context = request.app[CONTEXT]
    member = member_of(caller.address)
    context.blob_uploads.take(member, 1)
    try:
        async with aclosing(_parts(request, length)) as parts:
            taken = await context.blobs.take(
                member,
                digest,
                start=start,
                size=size,
                parts=parts if length else None,
                end=lambda: _cut(request),
            )
    finally:
        context.blob_uploads.give_back(member, 1)
    status = 202 if not taken.whole else 201 if taken.new else 200
    return web.Response(status=status, body=orjson.dumps({"have": taken.have}), content_type=JSON)


async def _parts(request: web.Request, length: int) -> AsyncGenerator[bytes, None]:
    """The body as it comes, each part in the time that a body may take to begin. Raises Rejected request.*"""
    await go_on(request)
    stall = request.app[CONTEXT].settings.limits.body_seconds
    loop = asyncio.get_running_loop()
    end = loop.time() + stall + length / BODY_RATE
    while length:
        try:
            async with asyncio.timeout_at(min(end, loop.time() + stall)):
                part = await request.content.readany()
        except TimeoutError:
            raise Rejected("request.timeout") from None
        except OSError:  # a link that broke is no fault of this program
            part = b""
        if not part:
            raise Rejected("request.bad", "the body ends early")
        length -= len(part)
        yield part


def _cut(request: web.Request) -> None:
    """End a call whose caller has begun another for the same blob: its link may have been dead for long."""
    if request.transport is not None:
        request.transport.abort()


async def get_blob(request: web.Request) -> web.StreamResponse:
    """GET /v1/blobs/HASH: a blob from a byte on, to an addressee of a message that names it."""
    caller = await authenticate(request, Who.MEMBER, reading=True)
    await no_body(request, caller)
    digest = unb64(request.match_info["hash"], size=32, field="hash")
    query = query_of(request, ("from", "max"))
    start = number_in(query, "from", least=0, most=MAX_BLOB, default=0)
    most = number_in(query, "max", least=1, most=MAX_BLOB, default=MAX_BLOB)
    context = request.app[CONTEXT]
    member = member_of(caller.address)
    context.blob_downloads.take(member, 1)
    try:
        reading = await context.blobs.open(
            caller.address, digest, start=start, most=most, end=lambda: _cut(request)
        )
    except BaseException:
        context.blob_downloads.give_back(member, 1)
        raise

    def close() -> None:
        reading.close()
        context.blob_downloads.give_back(member, 1)

    request[STREAM] = Stream(reading.parts, close)
    response = web.StreamResponse()
    response.content_type = BINARY
    response.content_length = reading.count
    return response
