"""Owns which HTTP status each of our errors becomes at a node's door, and how it is told: as TAXII's error message
(TAXII 2.1 §3.6.1) under /taxii2/, as a problem document (RFC 9457) elsewhere."""

from __future__ import annotations

from typing import Any, Final

import orjson
from aiohttp import web

from exchange.errors import ExchangeError, Refused, Rejected, Unavailable
from exchange.protocol import PROBLEM, PROBLEM_TYPE

TAXII: Final = "application/taxii+json;version=2.1"
TAXII_PATH: Final = "/taxii2/"
CHALLENGES: Final = ('Basic realm="exchange node", charset="UTF-8"', 'Bearer realm="exchange node"')
RETRY_SECONDS: Final = 5
SERVER: Final = "exchange"  # no versions for whoever isn't let in

# A code that isn't here has the status of its first word, in _BY_KIND.
_BY_CODE: Final = {
    "access.missing": 401,
    "access.other-site": 403,
    "access.scope": 403,
    "access.unknown": 401,
    "api.bad-parameter": 400,
    "api.media-type": 415,
    "api.streams": 429,
    "api.taken": 409,
    "content.too-large": 413,
    "json.bad-syntax": 422,
    "json.too-large": 413,
    "message.ambiguous": 409,
    "message.unknown": 404,
    "node.not-joined": 409,
    "request.bad": 400,
    "taxii.encoding": 415,
    "taxii.media-type": 415,
    "request.method": 405,
    "taxii.not-acceptable": 406,
    "request.not-found": 404,
    "request.timeout": 408,
    "request.too-large": 413,
    "taxii.bad-envelope": 422,
    "taxii.bad-filter": 400,
    "taxii.filling": 503,
    "taxii.no-object": 404,
    "taxii.read-only": 403,
    "taxii.unknown": 404,
    "tlp.unknown": 422,
    "tlp.weaker-than-content": 422,
}
_BY_KIND: Final = {
    "api": 422,
    "contact": 422,
    "directory": 422,
    "incident": 422,
    "json": 422,
    "message": 422,
    "policy": 403,
    "rate": 429,
    "release": 403,
    "stix": 422,
    "storage": 503,
    "tlp": 403,
    "unit": 422,
}
_MORE: Final = ("field", "ask", "errors")  # facts that a problem document tells too
_UNEXPECTED: Final = 500
_FOREIGN: Final = {404: "request.not-found", 405: "request.method", 413: "request.too-large"}


def status_of(code: str) -> int:
    """The HTTP status of a code."""
    return _BY_CODE.get(code) or _BY_KIND.get(code.partition(".")[0], _UNEXPECTED)


def foreign(status: int) -> str:
    """Our code for what aiohttp itself refuses."""
    return _FOREIGN.get(status, "request.bad" if status < _UNEXPECTED else "internal.error")


def refusal(error: ExchangeError, path: str) -> web.Response:
    """The answer that tells a client of `error`, with the headers that its status asks for."""
    status = status_of(error.code)
    if path.startswith(TAXII_PATH) or path == TAXII_PATH[:-1]:
        body, media = _taxii_error(error, status), TAXII
    else:
        body, media = _problem(error, status), PROBLEM
    response = web.Response(status=status, body=orjson.dumps(body), headers={"Content-Type": media})
    if status == 401:
        for challenge in CHALLENGES:
            response.headers.add("WWW-Authenticate", challenge)
    if status in (429, 503):
        seconds = error.facts.get("retry_after", RETRY_SECONDS)
        response.headers["Retry-After"] = str(seconds)
    if isinstance(allowed := error.facts.get("allow"), str):
        response.headers["Allow"] = allowed
    return response


def unreadable(status: int) -> web.Response:
    """The answer to what is no HTTP: nobody can say which path it was for."""
    error = Refused(foreign(status))
    response = web.Response(status=status, body=orjson.dumps(_problem(error, status)))
    response.headers.update({"Content-Type": PROBLEM, "Server": SERVER})
    return response


def head_too_long() -> bytes:
    """The whole answer to a head over the limit: mostly a TAXII client's, that asks for many ids at once."""
    error = Rejected("request.too-large", "request line and headers: ask for fewer values at once")
    body = orjson.dumps(_taxii_error(error, 431))
    head = f"Content-Type: {TAXII}\r\nContent-Length: {len(body)}\r\nServer: {SERVER}\r\nConnection: close"
    return f"HTTP/1.1 431 Request Header Fields Too Large\r\n{head}\r\n\r\n".encode("ascii") + body


def headers_said(status: int) -> dict[str, str]:
    """The headers that an answer of this status always has, each with what it says."""
    if status == 401:
        return {"WWW-Authenticate": "The ways to enter."}
    return {"Retry-After": "Seconds to wait."} if status in (429, 503) else {}


def is_fault(error: ExchangeError) -> bool:
    """Whether people here should look at it: this end couldn't do what it was rightly asked for."""
    return isinstance(error, Unavailable) and error.code not in ("storage.busy", "taxii.filling")


def _taxii_error(error: ExchangeError, status: int) -> dict[str, Any]:
    return {
        "title": error.code,
        "description": error.detail,
        "error_code": error.code,
        "http_status": str(status),
    }


def _problem(error: ExchangeError, status: int) -> dict[str, Any]:
    return {
        "type": PROBLEM_TYPE + error.code,
        "title": error.code,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        **{name: error.facts[name] for name in _MORE if name in error.facts},
    }
