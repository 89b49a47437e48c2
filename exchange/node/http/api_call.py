"""What an endpoint of the REST API is: one declaration, from which both the router and the OpenAPI document come.

Owns the way of a request through it: who calls, what for, the parameters, the body; then the answer. What the endpoints
do stands in http_api_*.py, what they take and give in api_models.py.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from aiohttp import web
from pydantic import BaseModel, ValidationError

from exchange.access import Access, Scope
from exchange.errors import Refused
from exchange.limits import MAX_JSON_REQUEST
from exchange.node.http.api_asked import Nothing
from exchange.node.http.api_models import refused
from exchange.node.http.auth import entered, read_body
from exchange.node.http.context import CONTEXT, Context

API: Final = "/api/v1"
JSON: Final = "application/json"
MAX_PROBLEM_FIELD: Final = 100  # characters
_NUMBER = re.compile(r"[0-9]{1,16}\Z")
_WORDS: Final = {"true": True, "false": False}

# What any endpoint may answer, by code.
ALWAYS: Final = ("internal.error", "rate.too-many", "request.bad", "storage.*")
ENTERED: Final = ("access.missing", "access.other-site", "access.scope", "access.unknown")
PARAMETERS: Final = ("api.bad-parameter",)
BODY: Final = (
    "api.bad-body",
    "api.media-type",
    "request.too-large",
    "request.timeout",
    "json.*",
    "taxii.encoding",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, let in and read. `query`, `body` are of the route's models; `raw` the body as it came."""

    request: web.Request
    context: Context
    access: Access
    query: BaseModel
    body: bytes = b""


Handler: TypeAlias = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: what it says, in which media type; without a model its body is described by that alone."""

    description: str
    model: type[BaseModel] | None = None
    media: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)  # name: what it says


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One endpoint. `codes`: those of its refusals beyond what every endpoint has; `family.*` for all of one."""

    method: str
    path: str
    name: str
    summary: str
    scope: Scope
    handler: Handler
    answers: Mapping[int, Answer]
    query: type[BaseModel] = Nothing
    body: type[BaseModel] | None = None
    most: int = MAX_JSON_REQUEST  # bytes of a body
    headers: Mapping[str, str] = field(default_factory=dict)  # of the request: name, and what it says
    codes: tuple[str, ...] = ()

    @property
    def all_codes(self) -> tuple[str, ...]:
        """Every code, or family of codes, of its refusals."""
        body = BODY if self.body is not None else ()
        return (*ALWAYS, *ENTERED, *PARAMETERS, *body, *self.codes)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The way of a request. The body is read once its caller is known and has the right."""
        access = await entered(request)
        access.check(self.scope)
        context = request.app[CONTEXT]
        query = _parameters(self.query, request)
        data = b""
        if self.body is not None:
            if request.content_type != JSON:
                raise Refused("api.media-type")
            data = await read_body(request, access, most=self.most)
        response = await self.handler(Call(request, context, access, query, data))
        if not response.prepared:
            response.headers.update(rate_of(context, access))
        return response


def rate_of(context: Context, access: Access) -> dict[str, str]:
    """What is left of a right's requests, as headers (draft-ietf-httpapi-ratelimit-headers)."""
    left, again = context.callers.left(access.name)
    most, window = context.callers.policy
    return {
        "RateLimit-Policy": f'"right";q={most};w={window}',
        "RateLimit": f'"right";r={left};t={again}',
    }


def _parameters(model: type[BaseModel], request: web.Request) -> BaseModel:
    """The query as its model. Raises Refused api.bad-parameter: also for one that isn't known, or stands twice."""
    values: dict[str, Any] = {}
    for name, text in request.query.items():
        if name in values or name not in model.model_fields:
            why = "only once" if name in values else "no such parameter"
            raise Refused(
                "api.bad-parameter", f"{name[:MAX_PROBLEM_FIELD]}: {why}", field=name[:MAX_PROBLEM_FIELD]
            )
        values[name] = _typed(model, name, text)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise refused(cast("dict[str, Any]", error.errors()[0]), "api.bad-parameter") from None


def _typed(model: type[BaseModel], name: str, text: str) -> object:
    """A parameter's text as what its model wants there, where it can be that."""
    default, annotation = model.model_fields[name].default, str(model.model_fields[name].annotation)
    if isinstance(default, bool):
        return _WORDS.get(text, text)
    return int(text) if "int" in annotation and _NUMBER.match(text) else text


def parsed(model: type[BaseModel], data: bytes) -> BaseModel:
    """A body as its model. Raises Refused api.bad-body, which names the member at fault."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise refused(cast("dict[str, Any]", error.errors(include_url=False)[0]), "api.bad-body") from None


def answer(model: BaseModel, *, status: int = 200) -> web.Response:
    """A model as the answer."""
    return web.Response(
        status=status,
        body=model.model_dump_json().encode(),
        headers={"Content-Type": JSON, "Cache-Control": "no-store"},
    )
