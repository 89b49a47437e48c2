"""The calls about the directory log: genesis, checkpoints, leaves, prekeys, statements, applications (§11.1-6, 12)."""

from __future__ import annotations

import re
from typing import Final

import orjson
from aiohttp import web

from exchange.canonical import Fields, Json, b64, framed, unb64
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.prekeys import MAX_REFS
from exchange.directory.statements import Statement, read_signatures, signatures_json
from exchange.errors import Rejected
from exchange.hub.http_auth import Caller, Who, authenticate, no_body, page, read_body, read_json, stranger
from exchange.hub.http_context import CONTEXT
from exchange.hub.http_mail import answer_json
from exchange.limits import MAX_BATCH_BYTES, MAX_PREKEY_RECORD
from exchange.protocol import JSON

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
    await no_body(request, await authenticate(request, EVERYBODY))
    return answer_json(request.app[CONTEXT].registrar.checkpoint.to_json())


async def get_leaves(request: web.Request) -> web.StreamResponse:
    """GET /v1/directory/leaves?from=N"""
    caller = await authenticate(request, EVERYBODY)
    await no_body(request, caller)
    start = request.query.get("from", "")
    if list(request.query) != ["from"] or not _INDEX.match(start):
        raise Rejected("request.bad", "the query is from=N")
    leaves = await request.app[CONTEXT].registrar.leaves(int(start))
    return page(request, caller, framed(leaves))


async def post_checkpoint(request: web.Request) -> web.Response:
    """POST /v1/directory/checkpoints: one this hub signed and may have lost."""
    caller = await authenticate(request, Who.MEMBER)
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
    caller = await authenticate(request, Who.MEMBER)
    kids = (await read_json(request, caller, ("kids",)))["kids"]
    if type(kids) is not list or len(kids) > MAX_KIDS:
        raise Rejected("json.bad-schema", f"kids: a list of at most {MAX_KIDS}")
    wanted = [unb64(kid, size=32, field="kids") for kid in kids]
    return page(request, caller, framed(await request.app[CONTEXT].registrar.records(wanted)))


async def post_statement(request: web.Request) -> web.Response:
    """POST /v1/directory/statements"""
    caller = await authenticate(request, Who.MEMBER | Who.OFFICER)
    value = await read_json(request, caller, ("body", "signatures", "records"))
    rows = value.pop("records")
    if type(rows) is not list or len(rows) > MAX_REFS:
        raise Rejected("json.bad-schema", f"records: a list of at most {MAX_REFS}")
    records = [unb64(row, field="records") for row in rows]
    if any(len(record) > MAX_PREKEY_RECORD for record in records):
        raise Rejected("directory.bad-prekeys", f"a record has at most {MAX_PREKEY_RECORD} bytes")
    submission = await request.app[CONTEXT].registrar.submit(Statement.from_json(value), records)
    return answer_json(submission.to_json())


async def post_application(request: web.Request) -> web.Response:
    """POST /v1/applications: a newcomer's add statement."""
    caller = await authenticate(request, Who.INVITED)
    value = await read_json(request, caller, ("body", "signatures"))
    if caller.invited is None:
        raise Rejected("auth.forbidden")
    submission = await request.app[CONTEXT].applications.apply(caller.invited, Statement.from_json(value))
    return web.Response(status=202, body=orjson.dumps(submission.to_json()), content_type=JSON)


async def get_applications(request: web.Request) -> web.Response:
    """GET /v1/applications: all that wait; an invitee sees its own."""
    caller = await authenticate(request, EVERYBODY)
    await no_body(request, caller)
    waiting = await request.app[CONTEXT].applications.waiting()
    rows: list[Json] = [
        {
            "member": one.member,
            "body": b64(one.statement.body),
            "signatures": signatures_json(one.statement.signatures),
            "since": one.since,
        }
        for one in waiting
        if _may_see(caller, one.member)
    ]
    return answer_json({"applications": rows})


def _may_see(caller: Caller, member: str) -> bool:
    return caller.who is not Who.INVITED or caller.address == member


async def post_signatures(request: web.Request) -> web.Response:
    """POST /v1/applications/MEMBER/signatures: by officers and sponsors."""
    caller = await authenticate(request, Who.MEMBER | Who.OFFICER)
    value = await read_json(request, caller, ("statement", "signatures"))
    fields = Fields(value, ("statement", "signatures"), what="signatures")
    submission = await request.app[CONTEXT].applications.sign(
        request.match_info["member"], fields.binary("statement", 32), read_signatures(fields)
    )
    return answer_json(submission.to_json())
