"""The REST API's stream of what happens (Server-Sent Events): mail that came, copies that came further, alarms.

A stream goes on where `Last-Event-ID` says: who comes back misses nothing. It ends with its right of entry.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, cast

from aiohttp import web
from pydantic import BaseModel

from exchange.access import Scope
from exchange.errors import ExchangeError, Refused
from exchange.node.http import api_asked, api_models as models
from exchange.node.http.api_call import Answer, Call, Route, rate_of
from exchange.node.http.api_mail import row
from exchange.node.http.api_models import time_of
from exchange.node.http.context import Context
from exchange.node.mail.events import Event, position_of, written
from exchange.node.mail.facts import Item
from exchange.node.store.api import Change, Position

STREAM: Final = "text/event-stream"
STREAMS: Final = 4  # of one right of entry at once
STREAMS_OF_ALL: Final = 64
LOOK_SECONDS: Final = 5  # what other processes write is seen so late
KEEP_ALIVE_SECONDS: Final = 15
RETRY_MS: Final = 3_000


async def events(call: Call) -> web.StreamResponse:
    """The stream."""
    query, context = cast("api_asked.EventQuery", call.query), call.context
    last = call.request.headers.get("Last-Event-ID", "") or query.after
    position = position_of(last) if last else await context.api.events.newest()
    streams, name = context.api.streams, call.access.name
    if streams[name] >= STREAMS or streams.total() >= STREAMS_OF_ALL:
        raise Refused("api.streams", retry_after=KEEP_ALIVE_SECONDS)
    streams[name] += 1
    headers = {"Content-Type": STREAM, "Cache-Control": "no-store", **rate_of(context, call.access)}
    response = web.StreamResponse(headers=headers)
    response.force_close()
    try:
        await response.prepare(call.request)
        await _tell(call, response, position, seconds=query.seconds)
    except (ExchangeError, ConnectionError):
        pass  # its right has ended, the node stops, or it went: the stream ends
    except TimeoutError:  # it reads nothing
        if call.request.transport is not None:
            call.request.transport.abort()
    finally:
        streams[name] -= 1
    return response


async def _tell(call: Call, response: web.StreamResponse, position: Position, *, seconds: int) -> None:
    context, loop = call.context, asyncio.get_running_loop()
    end, alive = loop.time() + seconds, loop.time()
    await _write(context, response, b"retry: %d\n\n" % RETRY_MS)
    while not context.stopping:
        ring = context.api.changed.next_ring()
        access = await context.doorkeeper.still(call.access)
        happened, after = await context.api.events.after(access, position)
        if happened:
            await _write(context, response, b"".join(map(_event, happened)))
            alive = loop.time()
        elif loop.time() - alive >= KEEP_ALIVE_SECONDS:
            await _write(context, response, b":\n\n")
            alive = loop.time()
        if after == position:
            left = end - loop.time()
            if left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_SECONDS, left)):
                    await ring.wait()
        position = after
    await response.write_eof()


async def _write(context: Context, response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(context.settings.body_seconds):
        await response.write(data)


def _event(happened: Event) -> bytes:
    name, data = _named(happened)
    return f"id: {written(happened.position)}\nevent: {name}\ndata: {data.model_dump_json()}\n\n".encode()


def _named(happened: Event) -> tuple[str, BaseModel]:
    what = happened.what
    if what is None:
        return "reset", models.Reset()
    if isinstance(what, Item):
        said = row(what)
        return "message", models.Arrived(**{name: said[name] for name in models.Arrived.model_fields})
    if isinstance(what, Change):
        at = time_of(what.at) or ""
        return "status", models.Moved(id=what.message_id, address=what.recipient, level=what.level, at=at)
    return "alarm", models.Alarm(code=what.code, subject=what.subject, at=time_of(what.at) or "")


ROUTES: Final = (
    Route(
        method="GET",
        path="/events",
        name="followEvents",
        summary="What happens, as it happens: message, status, alarm, reset (Server-Sent Events)",
        scope=Scope.API_READ,
        handler=events,
        query=api_asked.EventQuery,
        headers={"Last-Event-ID": "The id of the last event that was seen."},
        answers={200: Answer("Events, each with an id to go on from.", media=STREAM)},
        codes=("api.streams",),
    ),
)
