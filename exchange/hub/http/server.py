"""The hub over HTTP: every route of docs/protocol.md §11, and where whatever goes wrong becomes an answer."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from exchange import logs
from exchange.errors import ExchangeError, Unavailable
from exchange.hub.http import blobs, directory, health, mail, statements
from exchange.hub.http.auth import PAGE, RESERVED, STREAM
from exchange.hub.http.context import CONTEXT, Context
from exchange.hub.http.problems import foreign, is_fault, problem
from exchange.hub.http.socket import socket
from exchange.limits import BODY_RATE, MAX_BATCH_BYTES
from exchange.protocol import (
    APPLICATIONS,
    BLOBS,
    CHECKPOINT,
    CHECKPOINTS,
    ENVELOPES,
    GENESIS,
    LEAVES,
    MAILBOX,
    PARTS,
    PENDING,
    PREKEYS,
    RECEIPTS,
    SOCKET,
    STATE,
    STATEMENTS,
)

PIECE: Final = 65_536 + 1  # bytes: one more than aiohttp writes without waiting

_log = logs.logger("hub.http")

ROUTES: Final = (
    ("GET", GENESIS, directory.get_genesis),
    ("GET", CHECKPOINT, directory.get_checkpoint),
    ("GET", LEAVES, directory.get_leaves),
    ("POST", CHECKPOINTS, directory.post_checkpoint),
    ("POST", LEAVES, directory.post_leaves),
    ("POST", PREKEYS, directory.query_prekeys),
    ("GET", PARTS, directory.get_parts),
    ("POST", STATEMENTS, statements.post_statement),
    ("GET", PENDING, statements.get_pending),
    ("POST", PENDING + "/{hash}/signatures", statements.sign_pending),
    ("GET", STATE, mail.get_state),
    ("GET", SOCKET, socket),
    ("PUT", ENVELOPES + "/{env}", mail.put_envelope),
    ("PUT", ENVELOPES + "/{env}/pieces", mail.put_piece),
    ("POST", ENVELOPES, mail.post_envelopes),
    ("GET", MAILBOX, mail.get_mailbox),
    ("GET", MAILBOX + "/{env}", mail.get_piece),
    ("PUT", BLOBS + "/{hash}", blobs.put_blob),
    ("GET", BLOBS + "/{hash}", blobs.get_blob),
    ("POST", RECEIPTS, mail.post_receipts),
    ("POST", APPLICATIONS, statements.post_application),
    ("GET", APPLICATIONS, statements.get_applications),
    ("DELETE", APPLICATIONS + "/{member}", statements.delete_application),
    ("POST", APPLICATIONS + "/{member}/signatures", statements.sign_application),
    ("GET", "/healthz", health.healthz),
    ("GET", "/readyz", health.readyz),
    ("GET", "/metrics", health.metrics),
)


def build(context: Context) -> web.Application:
    """The application that serves one hub."""
    app = web.Application(middlewares=[_answers], client_max_size=MAX_BATCH_BYTES)
    app[CONTEXT] = context
    for method, path, handler in ROUTES:
        # allow_head: HEAD would answer without the token saying so
        if method == "GET":
            app.router.add_get(path, handler, allow_head=False, expect_handler=_no_continue)
        else:
            app.router.add_route(method, path, handler, expect_handler=_no_continue)
    return app


async def _no_continue(_request: web.Request) -> None:
    """`100 Continue` waits until the token is verified (http_auth.read_body)."""


@web.middleware
async def _answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    context = request.app[CONTEXT]
    response: web.StreamResponse
    try:
        if context.stopping:
            raise Unavailable("hub.stopping", retry_after=5)
        response = await handler(request)
    except ExchangeError as error:
        response = _refusal(context, request, error)
    except web.HTTPException as error:
        response = _refusal(context, request, foreign(error.status))
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place: a caller gets an answer, people a line in the log
        # never the message or the traceback: they may quote what was sent
        _log.error("unexpected", error=type(error).__name__, route=_route(request))
        response = _refusal(context, request, Unavailable("internal.error"))
    finally:
        if RESERVED in request:
            room, account, size = request[RESERVED]
            room.give_back(account, size)
    if not request.content.is_eof():
        response.force_close()  # what is left of the body would be read as the next head
    if isinstance(response, web.WebSocketResponse):
        return response  # it has had its say
    await _deliver(context, request, response)
    if request.content.is_eof() and context.connections is not None:
        context.connections.answered(request.transport)
    return response


async def _deliver(context: Context, request: web.Request, response: web.StreamResponse) -> None:
    """Send the answer, in the time that a body has, and wait until it has gone.

    aiohttp would take the next request at once: a caller that asks on and reads nothing fills the memory.
    """
    caller, page = request.get(PAGE, ("", b""))
    stream = request.get(STREAM)
    begin = context.settings.limits.body_seconds
    seconds = begin + (0 if stream else response.content_length or 0) / BODY_RATE
    try:
        async with asyncio.timeout(seconds) as time:
            writer = await response.prepare(request)
            # in pieces: TLS takes in at once whatever it is given, and only then says that it is full
            for start in range(0, len(page), PIECE):
                await response.write(page[start : start + PIECE])
            if stream is not None:
                async for part in stream.parts:
                    time.reschedule(asyncio.get_running_loop().time() + begin + len(part) / BODY_RATE)
                    await response.write(part)
            await response.write_eof()
            if writer is not None:
                await writer.drain()
    except (TimeoutError, ExchangeError):  # too slow, or the disk failed midway
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # it went without its answer
    finally:
        if stream is not None:
            stream.close()
        if page:
            context.answers.give_back(caller, len(page))


def _refusal(context: Context, request: web.Request, error: ExchangeError) -> web.Response:
    context.metrics.refused.labels(error.code).inc()
    (_log.error if is_fault(error) else _log.info)("refused", code=error.code, route=_route(request))
    return problem(error, now=context.clock())


def _route(request: web.Request) -> str:
    """The route's pattern: the path itself is the caller's text."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""
