"""The calls that bring statements into the log: at once, with further signatures, as a newcomer's (§11.6, §11.12)."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

from exchange import policy
from exchange.canonical import Fields, Json, b64, b64_text, text_b64, unb64
from exchange.directory.contacts import LEVELS, Part
from exchange.directory.prekeys import MAX_REFS
from exchange.directory.statements import Statement, read_signatures, signatures_json
from exchange.directory.waiting import MAX_REASON, REJECTED, WITHDRAWN
from exchange.errors import Rejected
from exchange.hub.http.auth import Caller, Who, authenticate, no_body, page, read_json
from exchange.hub.http.context import CONTEXT, Context
from exchange.hub.http.mail import answer_json
from exchange.hub.pending import NOTICES, account
from exchange.limits import MAX_PREKEY_RECORD
from exchange.protocol import JSON

VOTERS: Final = Who.MEMBER | Who.OFFICER
# without a token: a member whose key is revoked has none, and nobody else has the keys that it committed to
BY_ANYBODY: Final = NOTICES | {"rotate"}


async def post_statement(request: web.Request) -> web.Response:
    """POST /v1/directory/statements"""
    context = request.app[CONTEXT]
    caller = await authenticate(request, VOTERS | Who.STRANGER, reading=True)
    value = await read_json(request, caller, ("body", "signatures"), besides=("records", "parts"))
    records, parts = _records(value.pop("records", [])), _parts(value)
    _count(context, caller)
    statement = Statement.from_json(value)
    head = context.registrar.directory.read_head(statement)
    if caller.who is Who.STRANGER and head.type not in BY_ANYBODY:
        raise Rejected("auth.missing")
    if caller.who is Who.MEMBER:
        policy.check_statement_call(context.registrar.directory, caller.address, head.subject[0])
    submission = await context.pending.submit(statement, records, parts, by=caller.address)
    return answer_json(submission.to_json())


def _count(context: Context, caller: Caller) -> None:
    """Signatures cost time, and what they complete is in the log for ever. Raises Refused rate.too-many."""
    if caller.who in VOTERS:
        context.statements.take(account(caller.address))


def _records(rows: Json) -> list[bytes]:
    if type(rows) is not list or len(rows) > MAX_REFS:
        raise Rejected("json.bad-schema", f"records: a list of at most {MAX_REFS}")
    records = [unb64(row, field="records") for row in rows]
    if any(len(record) > MAX_PREKEY_RECORD for record in records):
        raise Rejected("directory.bad-prekeys", f"a record has at most {MAX_PREKEY_RECORD} bytes")
    return records


def _parts(value: dict[str, Json]) -> list[Part]:
    """Takes the member `parts` out of a request: [address, level, b64 salt, b64 bytes] each."""
    fields = Fields({"parts": value.pop("parts", [])}, ("parts",), what="statement")
    return [Part.from_json(row) for row in fields.rows("parts", 4, most=len(LEVELS))]


async def get_pending(request: web.Request) -> web.StreamResponse:
    """GET /v1/directory/pending: what lacks signatures."""
    caller = await authenticate(request, VOTERS, reading=True)
    await no_body(request, caller)
    rows: list[Json] = [one.to_json() for one in await request.app[CONTEXT].pending.waiting()]
    return page(request, caller, orjson.dumps({"pending": rows}), content_type=JSON)


async def sign_pending(request: web.Request) -> web.Response:
    """POST /v1/directory/pending/HASH/signatures: a suspended member has its say too, where the rules give it one."""
    caller = await authenticate(request, VOTERS, reading=True)
    _count(request.app[CONTEXT], caller)
    digest = unb64(request.match_info["hash"], size=32, field="hash")
    fields = Fields(await read_json(request, caller, ("signatures",)), ("signatures",), what="signatures")
    submission = await request.app[CONTEXT].pending.sign(digest, read_signatures(fields), by=caller.address)
    return answer_json(submission.to_json())


async def post_application(request: web.Request) -> web.Response:
    """POST /v1/applications: a newcomer's add statement, with what it says of itself."""
    caller = await authenticate(request, Who.INVITED)
    value = await read_json(request, caller, ("body", "signatures"), besides=("document", "salt"))
    document = unb64(value.pop("document", ""), field="document")
    salt = unb64(value.pop("salt", ""), field="salt")
    if caller.invited is None:
        raise Rejected("auth.forbidden")
    submission = await request.app[CONTEXT].applications.apply(
        caller.invited, Statement.from_json(value), document, salt
    )
    return web.Response(status=202, body=orjson.dumps(submission.to_json()), content_type=JSON)


async def get_applications(request: web.Request) -> web.StreamResponse:
    """GET /v1/applications: all that wait; an invitee sees its own, also how it ended."""
    caller = await authenticate(request, VOTERS | Who.INVITED)
    await no_body(request, caller)
    rows: list[Json] = [
        {
            "member": one.member,
            "body": b64(one.statement.body),
            "signatures": signatures_json(one.statement.signatures),
            "since": one.since,
            "document": b64(one.document),
            "salt": b64(one.salt),
            "ended": one.ended,
            "reason": text_b64(one.reason),
        }
        for one in await request.app[CONTEXT].applications.all()
        if _may_see(caller, one.member, ended=bool(one.ended))
    ]
    return page(request, caller, orjson.dumps({"applications": rows}), content_type=JSON)


def _may_see(caller: Caller, member: str, *, ended: bool) -> bool:
    return caller.address == member if caller.who is Who.INVITED else not ended


async def delete_application(request: web.Request) -> web.Response:
    """DELETE /v1/applications/MEMBER: an officer rejects, an invitee withdraws its own."""
    caller = await authenticate(request, Who.OFFICER | Who.INVITED)
    value = await read_json(request, caller, ("reason",))
    reason = b64_text(value["reason"], most=MAX_REASON, field="reason")
    member = request.match_info["member"]
    if caller.who is Who.INVITED and caller.address != member:
        raise Rejected("auth.forbidden")
    ended = REJECTED if caller.who is Who.OFFICER else WITHDRAWN
    await request.app[CONTEXT].applications.end(member, ended, reason)
    return answer_json({})


async def sign_application(request: web.Request) -> web.Response:
    """POST /v1/applications/MEMBER/signatures: by officers and sponsors."""
    caller = await authenticate(request, VOTERS)
    _count(request.app[CONTEXT], caller)
    value = await read_json(request, caller, ("statement", "signatures"))
    fields = Fields(value, ("statement", "signatures"), what="signatures")
    submission = await request.app[CONTEXT].applications.sign(
        request.match_info["member"], fields.binary("statement", 32), read_signatures(fields)
    )
    return answer_json(submission.to_json())
