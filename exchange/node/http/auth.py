"""Owns who calls at a node's door, verified before a body is read; then the body, within its limits.

Basic, Bearer (or Token, as one client library writes it) and clients' certificates; a header wins over a certificate.
What a right is for, and that it still stands, is the doorkeeper's.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from exchange.access import MAX_PASSWORD, Access
from exchange.errors import Refused, Rejected
from exchange.http_guard import place_of
from exchange.http_rate import Room
from exchange.limits import BODY_RATE
from exchange.node.http.context import CONTEXT

RESERVED: Final = web.RequestKey(
    "reserved", tuple[Room, str, int]
)  # room taken for the body: whose, how much
_OWN_SITE: Final = ("none", "same-origin")  # none: a person typed the address
MAX_CREDENTIALS: Final = 2 * MAX_PASSWORD  # characters of the header


async def entered(request: web.Request) -> Access:
    """Whose request it is. The body is not read yet. What the right is for is asked by the handler.

    Raises Rejected access.missing, access.unknown; Refused access.other-site, rate.too-many.
    """
    # a browser that was once given a password or a certificate shows it for whatever page asks
    if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITE:
        raise Refused("access.other-site")
    context = request.app[CONTEXT]
    header, certificate = request.headers.get("Authorization", ""), _certificate(request)
    if not header and certificate is None:
        context.strangers.take(place_of(request.remote))
        raise Rejected("access.missing")
    try:
        access = (
            await _by_header(request, header)
            if header
            else await _by_certificate(request, certificate or b"")
        )
    except Rejected:
        context.strangers.take(place_of(request.remote))
        raise
    context.callers.take(access.name)
    return access


async def _by_header(request: web.Request, header: str) -> Access:
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    if len(secret) > MAX_CREDENTIALS:
        raise Rejected("access.unknown")
    doorkeeper = request.app[CONTEXT].doorkeeper
    if scheme.lower() in ("bearer", "token"):
        return await doorkeeper.by_token(secret)
    if scheme.lower() != "basic":
        raise Rejected("access.missing", "Basic or Bearer")
    try:
        name, colon, password = b64decode(secret, validate=True).decode("utf-8").partition(":")
    except ValueError:  # no base64, or no UTF-8
        raise Rejected("access.unknown") from None
    if not colon:
        raise Rejected("access.unknown")
    return await _by_password(request, name, password)


async def _by_password(request: web.Request, name: str, password: str) -> Access:
    """Whoever guesses is slowed down before it costs anything: by name and address, so nobody keeps another one out."""
    context, address = request.app[CONTEXT], place_of(request.remote)
    account = f"{address} {hashlib.sha256(name.encode()).hexdigest()}"

    @contextmanager
    def slow() -> Iterator[None]:
        context.strangers.check(address)
        with context.guesses.one(address):
            context.wrong.take(account)
            yield
            context.wrong.give_back(account)  # it was right

    return await context.doorkeeper.by_password(name, password, slow=slow)


async def _by_certificate(request: web.Request, der: bytes) -> Access:
    return await request.app[CONTEXT].doorkeeper.by_certificate(der)


def _certificate(request: web.Request) -> bytes | None:
    """The client's certificate, which TLS has verified."""
    transport = request.transport
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    der: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None
    return der


async def read_body(request: web.Request, access: Access, *, most: int) -> bytes:
    """The body, at most `most` bytes. Read at most once.

    Raises Rejected request.too-large, request.timeout, request.bad, taxii.encoding; Unavailable storage.busy.
    """
    context, length = request.app[CONTEXT], request.content_length
    if length is not None and length > most:
        raise Rejected("request.too-large", f"{length} bytes, at most {most}")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused("taxii.encoding")
    reserved = most if length is None else length
    context.bodies.take(access.name, reserved)
    request[RESERVED] = (context.bodies, access.name, reserved)
    parts, size = [], 0
    try:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        async with asyncio.timeout(context.settings.body_seconds + reserved / BODY_RATE):
            async for part in request.content.iter_any():
                size += len(part)
                if size > most:
                    raise Rejected("request.too-large", f"at most {most} bytes")
                parts.append(part)
    except TimeoutError:
        raise Rejected("request.timeout") from None
    except ConnectionError:  # a link that broke is no fault of this program
        raise Rejected("request.bad", "the body ends early") from None
    return b"".join(parts)
