"""Owns which HTTP status each of our errors becomes, in one table, and its RFC 9457 problem document."""

from __future__ import annotations

from typing import Any, Final

import orjson
from aiohttp import web

from exchange.errors import ExchangeError, Rejected
from exchange.protocol import MEMBER_SCHEME, PROBLEM, PROBLEM_TYPE

# docs/protocol.md §11. A code that isn't here has the status of its first word, in _BY_KIND.
_BY_CODE: Final = {
    "application.bad-document": 400,
    "application.ended": 409,
    "application.not-invited": 403,
    "application.too-many": 429,
    "application.unknown": 404,
    "auth.forbidden": 403,
    "directory.bad-signature": 403,
    "directory.handle-taken": 409,
    "directory.key-reused": 409,
    "directory.lapsed": 422,
    "directory.limited": 409,
    "directory.no-need": 409,
    "directory.no-possession": 403,
    "directory.no-veto": 403,
    "directory.not-due": 409,
    "directory.not-founding": 403,
    "directory.not-next": 403,
    "directory.not-nominated": 403,
    "directory.not-own": 403,
    "directory.read-only": 503,
    "directory.repeated": 409,
    "directory.split": 409,
    "directory.stale": 409,
    "directory.too-few-members": 403,
    "directory.too-few-officers": 403,
    "directory.too-few-sponsors": 403,
    "directory.too-many": 409,
    "directory.too-often": 429,
    "directory.unknown-checkpoint": 409,
    "directory.unknown-type": 403,
    "directory.wrong-from": 409,
    "directory.wrong-reference": 409,
    "directory.wrong-status": 409,
    "envelope.blob-missing": 409,
    "envelope.expired": 422,
    "envelope.future": 422,
    "envelope.not-sender": 403,
    "envelope.outlives-prekey": 422,
    "envelope.retired-key": 422,
    "envelope.revoked-key": 422,
    "envelope.too-large": 413,
    "envelope.unknown-key": 422,
    "envelope.unknown-prekey": 422,
    "envelope.unknown-recipient": 404,
    "envelope.unknown-sender": 403,
    "pending.too-many": 429,
    "pending.unknown": 404,
    "receipt.wrong-signer": 403,
    "request.length-required": 411,
    "request.method": 405,
    "request.not-found": 404,
    "request.timeout": 408,
    "request.too-large": 413,
}
_BY_KIND: Final = {
    "auth": 401,
    "blob": 400,
    "checkpoint": 400,
    "directory": 400,
    "envelope": 400,
    "hub": 503,
    "json": 400,
    "keystore": 500,
    "policy": 403,
    "quota": 429,
    "rate": 429,
    "receipt": 400,
    "request": 400,
    "storage": 503,
}
_UNEXPECTED: Final = 500
# our code for what aiohttp itself refuses
_FOREIGN: Final = {
    404: "request.not-found",
    405: "request.method",
    413: "request.too-large",
    _UNEXPECTED: "internal.error",
}
# facts that may leave the hub: numbers and what is meant for the caller, nothing that was parsed
_FACTS: Final = ("retry_after", "now", "submission", "officers", "sponsors", "members")


def status_of(code: str) -> int:
    """The HTTP status of a code."""
    return _BY_CODE.get(code) or _BY_KIND.get(code.partition(".")[0], _UNEXPECTED)


def problem(error: ExchangeError, *, now: int = 0) -> web.Response:
    """The answer that tells a client of `error`; `now` in ms, for the codes of auth."""
    status = status_of(error.code)
    facts: dict[str, Any] = {name: error.facts[name] for name in _FACTS if name in error.facts}
    document: dict[str, Any] = {
        "type": PROBLEM_TYPE + error.code,
        "title": error.code,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        **facts,
    }
    headers = {}
    if status in (429, 503):
        document.setdefault("retry_after", 5)
        headers["Retry-After"] = str(document["retry_after"])
    if status == 401:
        headers["WWW-Authenticate"] = MEMBER_SCHEME
        document["now"] = now
    return web.Response(status=status, body=orjson.dumps(document), content_type=PROBLEM, headers=headers)


def foreign(status: int) -> ExchangeError:
    """Our error for a status that aiohttp answers by itself."""
    return Rejected(_FOREIGN.get(status, "request.bad"))


def unreadable(status: int) -> web.Response:
    """The answer to what is no HTTP."""
    return problem(foreign(status))


def is_fault(error: ExchangeError) -> bool:
    """Whether people at the hub should look: not a refusal that the caller has to act on."""
    return status_of(error.code) == _UNEXPECTED or error.code == "storage.io"
