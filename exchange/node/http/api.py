"""The REST API of a node for its own team's programs: all its endpoints under /api/v1, and their document."""

from __future__ import annotations

from functools import cache
from typing import Final

import orjson
from aiohttp import web

from exchange.http_guard import place_of
from exchange.node.http import (
    api_directory as http_api_directory,
    api_events as http_api_events,
    api_mail as http_api_mail,
)
from exchange.node.http.api_call import API, JSON, Route
from exchange.node.http.api_openapi import document
from exchange.node.http.context import CONTEXT

DOCUMENT: Final = f"{API}/openapi.json"
TITLE: Final = "A node's REST API for its own team"
ROUTES: Final[tuple[Route, ...]] = (
    *http_api_mail.ROUTES,
    *http_api_directory.ROUTES,
    *http_api_events.ROUTES,
)


@cache
def described() -> bytes:
    """The OpenAPI document; the same at every node of this version."""
    return orjson.dumps(document(ROUTES, title=TITLE))


async def openapi(request: web.Request) -> web.Response:
    """The document is for everybody: it tells nothing of this node."""
    request.app[CONTEXT].strangers.take(place_of(request.remote))
    return web.Response(body=described(), headers={"Content-Type": JSON})
