"""Servers of feeds as tests need them: a TAXII collection and a MISP in a thread of its own, honest or not, over HTTP.

What each answers is a function of the request, so that a test can say it in a line; every request is kept.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

TAXII = "application/taxii+json;version=2.1"
COLLECTION = "00000000-0000-4000-8000-00000000c011"
TLP_GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
TLP_CLEAR = "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"
TLP_AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
TLP_RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def indicator(name: str = "An address", *markings: str, **more: Any) -> dict[str, Any]:
    """An indicator, of a new id unless `more` has it."""
    value = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-09-01T00:00:00.000Z",
        "modified": "2026-09-01T00:00:00.000Z",
        "name": name,
        "pattern": "[ipv4-addr:value = '203.0.113.57']",
        "pattern_type": "stix",
        "valid_from": "2026-09-01T00:00:00.000Z",
    }
    return value | ({"object_marking_refs": list(markings)} if markings else {}) | more


def page(
    objects: list[dict[str, Any]] | None = None,
    *,
    more: bool = False,
    next_: Any = None,
    last: str = "",
    raw: bytes | None = None,
    headers: dict[str, str] | None = None,
    status: int = 200,
) -> web.Response:
    """A page of a collection."""
    value: dict[str, Any] = {"objects": objects} if objects else {}
    value |= {"more": True} if more else {}
    value |= {} if next_ is None else {"next": next_}
    told = {"Content-Type": TAXII} | ({"X-TAXII-Date-Added-Last": last} if last else {}) | (headers or {})
    return web.Response(body=orjson.dumps(value) if raw is None else raw, headers=told, status=status)


@dataclass
class Server:
    """A server that listens. `answer`: what a page or path gives; `about`: the collection itself. Both may change."""

    url: str = ""
    answer: Callable[[web.Request], Any] | None = None
    about: Callable[[web.Request], Any] | None = None
    requests: list[web.Request] = field(default_factory=list)

    def asked(self, name: str) -> list[str]:
        """What the parameter was in each request for objects."""
        return [one.query.get(name, "") for one in self.requests if one.path.endswith("/objects/")]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.path.endswith(f"/{COLLECTION}/"):
            if self.about is not None:
                return await _awaited(self.about(request))
            facts = {"id": COLLECTION, "title": "All", "can_read": True, "can_write": False}
            return page(raw=orjson.dumps(facts))
        assert self.answer is not None
        return await _awaited(self.answer(request))


async def _awaited(answer: Any) -> web.StreamResponse:
    return await answer if asyncio.iscoroutine(answer) else answer


@contextmanager
def serving(
    answer: Callable[[web.Request], Any] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """One on a free port of loopback."""
    server, loop = Server(answer=answer), asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        host, port = site._server.sockets[0].getsockname()[:2]
        server.url = f"http{'s' if tls else ''}://{host}:{port}/"
        ready.set()
        await stop.wait()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
