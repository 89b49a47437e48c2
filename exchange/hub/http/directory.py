"""The calls about the directory log and what lies beside it: genesis, checkpoints, leaves, prekeys, parts (§11.1-5)."""

from __future__ import annotations

import re
from typing import Final

import orjson
from aiohttp import web

from exchange.canonical import Json, b64, framed, unb64
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.contacts import Part
from exchange.errors import Rejected
from exchange.hub.http.auth import Who, authenticate, no_body, page, read_body, read_json, stranger
from exchange.hub.http.context import CONTEXT
from exchange.hub.http.mail import answer_json
from exchange.limits import MAX_BATCH_BYTES, PAGE_BYTES, WINDOW_BYTES

MAX_KIDS: Final = 256
EVERYBODY: Final = Who.MEMBER | Who.OFFICER | Who.INVITED
_INDEX = re.compile(r"[0-9]{1,16}\Z")


async def get_genesis(request: web.Request) -> web.Response:
    """GET /v1/genesis: open to all; whoever asks compares its hash with what a person told it."""
    stranger(request)
    registrar = request.app[CONTEXT].registrar
    return answer_json((await registrar.genesis()).to_json())


async def get_checkpoint(request: web.Request) -> web.Response:
    """GET /v1/directory/checkpoint"""
    await no_body(request, await authenticate(request, EVERYBODY, reading=True))
    return answer_json(request.app[CONTEXT].registrar.checkpoint.to_json())


async def get_leaves(request: web.Request) -> web.StreamResponse:
    """GET /v1/directory/leaves?from=N&max=BYTES"""
    caller = await authenticate(request, EVERYBODY, reading=True)
    await no_body(request, caller)
    start, most = _from(request)
    leaves = await request.app[CONTEXT].registrar.leaves(start, most=most)
    return page(request, caller, framed(leaves))


def _from(request: web.Request) -> tuple[int, int]:
    """Where to begin, and about how many bytes to send at most."""
    start, most = request.query.get("from", ""), request.query.get("max", str(PAGE_BYTES))
    if sorted(request.query) not in (["from"], ["from", "max"]) or not _INDEX.match(start):
        raise Rejected("request.bad", "the query is from=N and may have max=BYTES")
    if not _INDEX.match(most) or not WINDOW_BYTES <= int(most) <= PAGE_BYTES:
        raise Rejected("request.bad", f"max: {WINDOW_BYTES} to {PAGE_BYTES}")
    return int(start), int(most)


async def post_checkpoint(request: web.Request) -> web.Response:
    """POST /v1/directory/checkpoints: one this hub signed and may have lost."""
    caller = await authenticate(request, Who.MEMBER, reading=True)
    value = await read_json(request, caller, ("body", "signature"))
    registrar = request.app[CONTEXT].registrar
    need = await registrar.take_checkpoint(SignedCheckpoint.from_json(value))
    registrar.heard(caller.address)
    return answer_json({"known": True, "need": list(need) if need else []})


async def post_leaves(request: web.Request) -> web.Response:
    """POST /v1/directory/leaves: what the hub lost and asked for."""
    caller = await authenticate(request, Who.MEMBER)
    data = await read_body(request, caller, most=MAX_BATCH_BYTES)
    return answer_json({"size": await request.app[CONTEXT].registrar.take_leaves(data)})


async def query_prekeys(request: web.Request) -> web.StreamResponse:
    """POST /v1/prekeys/query"""
    caller = await authenticate(request, Who.MEMBER, reading=True)
    kids = (await read_json(request, caller, ("kids",)))["kids"]
    if type(kids) is not list or len(kids) > MAX_KIDS:
        raise Rejected("json.bad-schema", f"kids: a list of at most {MAX_KIDS}")
    wanted = [unb64(kid, size=32, field="kids") for kid in kids]
    return page(request, caller, framed(await request.app[CONTEXT].registrar.records(wanted)))


async def get_parts(request: web.Request) -> web.StreamResponse:
    """GET /v1/parts?from=N&max=BYTES"""
    caller = await authenticate(request, Who.MEMBER, reading=True)
    await no_body(request, caller)
    start, most = _from(request)
    found = await request.app[CONTEXT].registrar.parts(start, most=most)
    return page(
        request, caller, framed([orjson.dumps({"n": one.n, **_part_json(one.part)}) for one in found])
    )


def _part_json(part: Part) -> dict[str, Json]:
    return {"address": part.address, "level": part.level, "salt": b64(part.salt), "bytes": b64(part.body)}
