"""Owns who calls: the token of a member or officer, or an invitation, verified before a body is read; then the body.

docs/protocol.md §10. What a caller may do with a call is the handler's `allow` and policy.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, Final

import orjson
from aiohttp import web

from exchange import policy
from exchange.canonical import sha256, unb64
from exchange.errors import Rejected
from exchange.http_guard import place_of
from exchange.http_rate import Room
from exchange.hub.http.context import CONTEXT, Context
from exchange.hub.pending import account
from exchange.hub.store.directory import Invited
from exchange.invitation import TOKEN_BYTES
from exchange.keys import PublicKeys
from exchange.limits import BODY_RATE, MAX_JSON_REQUEST
from exchange.protocol import BINARY, INVITATION_SCHEME, MEMBER_SCHEME, MORE
from exchange.receipt import HUB
from exchange.token import EMPTY, Token, check_token

OFFICER: Final = "officer/"


@dataclass(frozen=True)
class Stream:
    """The parts of an answer's body, and what ends them, also midway."""

    parts: AsyncIterator[bytes]
    close: Callable[[], None]


# room taken for the request's body: where, whose, how much
RESERVED: Final = web.RequestKey("reserved", tuple[Room, str, int])
# a page that is the answer's body: who asked for it, its bytes
PAGE: Final = web.RequestKey("page", tuple[str, bytes])
# an answer's body that comes as it is read
STREAM: Final = web.RequestKey("stream", Stream)
_LOOSE_DEPTH: Final = 16  # levels of nesting in JSON that isn't signed


class Who(Flag):
    """Who may make a call. A STRANGER has no token, and only what it brings can speak for it."""

    MEMBER = auto()
    OFFICER = auto()
    INVITED = auto()
    STRANGER = auto()


@dataclass(frozen=True)
class Caller:
    """A verified caller. `address` is a member's or officer's, or the handle an invitation is for; "" a stranger's."""

    who: Who
    address: str
    token: Token | None
    invited: Invited | None = None

    @property
    def account(self) -> str:
        """Under which name its use of the hub is counted: an invitee's never as the member's of that handle."""
        if self.who is Who.STRANGER:
            return "strangers"
        return f"invited {self.address}" if self.who is Who.INVITED else self.address

    @property
    def payer(self) -> str:
        """Under which name the memory that its calls take is counted: a unit's as its member's."""
        return account(self.account)


async def authenticate(request: web.Request, allow: Who, *, reading: bool = False) -> Caller:
    """Who makes this request, if it is one of `allow`. The body is not read yet.

    `reading`: it is one of those that suspended members may make (docs/protocol.md §9.8). Raises Rejected auth.*,
    Refused rate.too-many.
    """
    context = request.app[CONTEXT]
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if not scheme and Who.STRANGER in allow:
        stranger(request)
        return Caller(Who.STRANGER, "", None)
    try:
        if scheme == MEMBER_SCHEME and secret:
            caller = _token_caller(request, context, secret.strip())
        elif scheme == INVITATION_SCHEME and secret:
            caller = await _invited_caller(context, secret.strip())
        else:
            raise Rejected("auth.missing")
    except Rejected:
        stranger(request)
        raise
    context.members.take(caller.account)
    if not caller.who & allow:
        raise Rejected("auth.forbidden")
    if caller.who is Who.MEMBER:
        policy.check_member_call(context.registrar.directory, caller.address, reading=reading)
    return caller


def stranger(request: web.Request) -> None:
    """Count a request that nobody vouches for. Raises Refused rate.too-many."""
    request.app[CONTEXT].strangers.take(place_of(request.remote))


def _token_caller(request: web.Request, context: Context, secret: str) -> Caller:
    directory = context.registrar.directory

    def keys_of(issuer: str) -> PublicKeys:
        if issuer == HUB:
            raise Rejected("auth.unknown-issuer")
        return directory.identity(issuer)

    token = check_token(
        secret,
        net=context.registrar.net,
        origins=context.settings.origins,
        method=request.method,
        target=request.raw_path,
        now=context.clock(),
        keys_of=keys_of,
    )
    return Caller(Who.OFFICER if token.issuer.startswith(OFFICER) else Who.MEMBER, token.issuer, token)


async def _invited_caller(context: Context, secret: str) -> Caller:
    try:
        token = unb64(secret, size=TOKEN_BYTES, field="token")
    except Rejected:
        raise Rejected("auth.bad-invitation") from None
    invited = await context.applications.invited(token)
    return Caller(Who.INVITED, invited.member, None, invited)


async def no_body(request: web.Request, caller: Caller) -> None:
    """A call without a body must have none. Raises Rejected request.bad, auth.body-mismatch."""
    if request.can_read_body:
        raise Rejected("request.bad", "this call has no body")
    if caller.token is not None:
        caller.token.check_body(EMPTY)


async def read_body(request: web.Request, caller: Caller, *, most: int) -> bytes:
    """The body, at most `most` bytes, once it is all there and the one the token names. Read at most once.

    Raises Rejected request.length-required, request.too-large, request.timeout, request.bad, auth.body-mismatch;
    Unavailable storage.busy.
    """
    context = request.app[CONTEXT]
    length = request.content_length
    if length is None:
        raise Rejected("request.length-required")
    if length > most:
        raise Rejected("request.too-large", f"{length} bytes, at most {most}")
    if "Content-Encoding" in request.headers:
        raise Rejected("request.bad", "a body is sent as it is")
    # Whoever has no token shares no room with others: what it sends slowly must keep no bad news out.
    outside = caller.who is Who.STRANGER
    room, payer = (context.outside, place_of(request.remote)) if outside else (context.bodies, caller.payer)
    room.take(payer, length)
    # given back with the answer: until then the bytes are in memory
    request[RESERVED] = (room, payer, length)
    try:
        await go_on(request)
        async with asyncio.timeout(context.settings.limits.body_seconds + length / BODY_RATE):
            parts = [part async for part in request.content.iter_any()]
    except TimeoutError:
        raise Rejected("request.timeout") from None
    except ConnectionError:  # a link that broke is no fault of this program
        raise Rejected("request.bad", "the body ends early") from None
    data = b"".join(parts)
    if len(data) != length:
        raise Rejected("request.bad", "the body ends early")
    if caller.token is not None:
        caller.token.check_body(sha256(data))
    return data


async def go_on(request: web.Request) -> None:
    """Say so to a caller that waits for it before it sends its body: now its token is verified."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def page(
    request: web.Request, caller: Caller, body: bytes, *, more: bool = False, content_type: str = BINARY
) -> web.StreamResponse:
    """An answer that may be large; its bytes count as the caller's until it has read them (http.py sends them).

    Raises Unavailable storage.busy when it reads too many at once.
    """
    request.app[CONTEXT].answers.take(caller.payer, len(body))
    request[PAGE] = (caller.payer, body)
    response = web.StreamResponse(headers={MORE: "1"} if more else {})
    response.content_type = content_type
    response.content_length = len(body)
    return response


async def read_json(
    request: web.Request, caller: Caller, names: tuple[str, ...], *, besides: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A JSON object with exactly these members; those `besides` may be left out.

    Raises as `read_body`, and Rejected json.bad-schema.
    """
    data = await read_body(request, caller, most=MAX_JSON_REQUEST)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Rejected("request.bad", "not JSON") from None
    if type(value) is not dict or not set(names) <= value.keys() <= {*names, *besides}:
        raise Rejected("json.bad-schema", f"an object of {', '.join(names)}")
    if _deeper(value, _LOOSE_DEPTH):
        raise Rejected("json.bad-schema", f"more than {_LOOSE_DEPTH} levels")
    return value


def _deeper(value: object, levels: int) -> bool:
    if levels == 0:
        return True
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_deeper(child, levels - 1) for child in children if isinstance(child, dict | list))
