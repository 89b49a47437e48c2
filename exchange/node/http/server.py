"""The node's HTTP door: which paths it has, how it listens, and where whatever goes wrong becomes an answer.

    async with listening(context, tls) as where: ...

Plain on loopback, TLS everywhere else. Its log has routes and codes, never paths or bodies: they are callers' text.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler as Handles
from prometheus_client import CONTENT_TYPE_LATEST

from exchange import logs
from exchange.access import Scope
from exchange.errors import ExchangeError, Refused, Unavailable
from exchange.http_guard import LINGER_SECONDS, Connections, Handler, place_of
from exchange.limits import BODY_RATE
from exchange.node.http import api as http_api, taxii as http_taxii
from exchange.node.http.api_call import API
from exchange.node.http.auth import RESERVED, entered
from exchange.node.http.context import CONTEXT, Context
from exchange.node.http.problems import (
    SERVER,
    TAXII_PATH,
    foreign,
    head_too_long,
    is_fault,
    refusal,
    unreadable,
)

DRAIN_SECONDS: Final = 5
BACKLOG: Final = 128
PIECE: Final = 65_536 + 1  # bytes: one more than aiohttp writes without waiting

_log = logs.logger("node.http")


def build(context: Context) -> web.Application:
    """The application that serves one node."""
    app = web.Application(middlewares=[_answers])
    app[CONTEXT] = context
    for method, path, handler in (
        ("GET", "/healthz", healthz),
        ("GET", "/metrics", metrics),
        *http_taxii.ROUTES,
    ):
        # TAXII asks for the slash at the end (§3.1); one of its own client library's calls lacks it
        for spelt in {path, path.rstrip("/")}:
            app.router.add_route(method, spelt, handler, expect_handler=_no_continue)
    app.router.add_route("GET", http_api.DOCUMENT, http_api.openapi, expect_handler=_no_continue)
    for route in http_api.ROUTES:
        app.router.add_route(route.method, API + route.path, route.serve, expect_handler=_no_continue)
    app.router.add_route("*", TAXII_PATH + "{rest:.*}", http_taxii.nothing, expect_handler=_no_continue)
    return app


async def healthz(request: web.Request) -> web.Response:
    """The process answers."""
    request.app[CONTEXT].strangers.take(place_of(request.remote))
    return web.json_response({"ok": True})


async def metrics(request: web.Request) -> web.Response:
    """The node's numbers, for those with the right to them (docs/metrics.md)."""
    access = await entered(request)
    access.check(Scope.METRICS)
    text = await request.app[CONTEXT].metrics()
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _no_continue(_request: web.Request) -> None:
    """`100 Continue` waits until the caller is known (http_auth.read_body)."""


@web.middleware
async def _answers(request: web.Request, handler: Handles) -> web.StreamResponse:
    context = request.app[CONTEXT]
    response: web.StreamResponse
    try:
        if context.stopping:
            raise Unavailable("storage.closed")
        response = await handler(request)
        if response.prepared:
            return response  # a stream has had its say
    except ExchangeError as error:
        response = _refused(request, error)
    except web.HTTPException as error:
        response = _refused(request, Refused(foreign(error.status), allow=error.headers.get("Allow")))
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place: a caller gets an answer, people a line in the log
        # never the message or the traceback: they may quote what was sent
        _log.error("unexpected", error=type(error).__name__, route=_route(request))
        response = _refused(request, Unavailable("internal.error"))
    finally:
        if RESERVED in request:
            room, account, size = request[RESERVED]
            room.give_back(account, size)
    if not request.content.is_eof():
        response.force_close()  # what is left of the body would be read as the next head
    await _deliver(context, request, response)
    if request.content.is_eof() and context.connections is not None:
        context.connections.answered(request.transport)
    return response


async def _deliver(context: Context, request: web.Request, response: web.StreamResponse) -> None:
    """Send the answer, in the time that a body has, and wait until it has gone: who reads nothing gets no more."""
    size = response.content_length or 0
    caller = place_of(request.remote)
    try:
        context.answers.take(caller, size)
    except Unavailable as error:
        response, size = refusal(error, request.path), 0
    response.headers["Server"] = SERVER
    body = b""
    if size > PIECE and request.method != "HEAD":
        response, body = _apart(response)
    try:
        async with asyncio.timeout(context.settings.body_seconds + size / BODY_RATE):
            writer = await response.prepare(request)
            # in pieces: TLS takes in at once whatever it is given, and only then says that it is full
            for start in range(0, len(body), PIECE):
                await response.write(body[start : start + PIECE])
            await response.write_eof()
            if writer is not None:
                await writer.drain()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # it went without its answer
    finally:
        if size:
            context.answers.give_back(caller, size)


def _apart(response: web.StreamResponse) -> tuple[web.StreamResponse, bytes]:
    """An answer without its body, and the body."""
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes):
        return response, b""
    bare = web.StreamResponse(status=response.status, headers=response.headers)
    if response.keep_alive is False:
        bare.force_close()
    return bare, body


def _refused(request: web.Request, error: ExchangeError) -> web.Response:
    (_log.error if is_fault(error) else _log.info)("refused", code=error.code, route=_route(request))
    return refusal(error, request.path)


def _route(request: web.Request) -> str:
    """The route's pattern: the path itself is the caller's text."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


@asynccontextmanager
async def listening(context: Context, tls: ssl.SSLContext | None) -> AsyncIterator[tuple[str, int]]:
    """Accept connections; yields host and port. On leaving, answer what runs and close them all.

    Raises Refused door.address where it can't listen there.
    """
    settings = context.settings
    runner = web.AppRunner(build(context), shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    server = runner.server
    if server is None:
        raise Unavailable("internal.error")
    protocol = partial(
        Handler,
        server,
        unreadable=unreadable,
        logger=logs.library("node.http"),
        idle_seconds=settings.idle_seconds,
    )
    context.connections = Connections(settings, protocol, too_long=head_too_long())
    try:
        listener = await asyncio.get_running_loop().create_server(
            context.connections,
            settings.host,
            settings.port,
            ssl=tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=settings.head_seconds if tls is not None else None,
            ssl_shutdown_timeout=LINGER_SECONDS if tls is not None else None,
        )
    except OSError as error:
        await runner.cleanup()
        raise Refused("door.address", f"{settings.host}, port {settings.port}: {error.strerror}") from error
    try:
        host, port, *_ = listener.sockets[0].getsockname()
        yield host, port
    finally:
        context.stopping = True
        context.api.changed.ring()  # streams see it, and end
        listener.close()
        await context.collections.close()  # whoever waits for them is told now
        await runner.cleanup()
