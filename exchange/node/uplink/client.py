"""HubApi over HTTPS: one token a request, bounded answers, refusals turned back into our errors (§10, §11).

Outbound connections only, also through an authenticating HTTP proxy; the feed's transports are uplink/feed.py's. What
is signed in an answer is verified by whoever asked for it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import quote

import aiohttp
import orjson

from exchange import protocol
from exchange.canonical import Fields, Json, b64, framed, sha256, text_b64, unb64, unframed
from exchange.directory.contacts import MAX_PART, Part
from exchange.errors import ExchangeError, Refused, Rejected, Unavailable
from exchange.limits import (
    DAY_MS,
    LARGE_BYTES,
    MAX_JSON_REQUEST,
    MAX_LEAF,
    MAX_PREKEY_RECORD,
    SECOND_MS,
)
from exchange.node.identity import Identity, Sources
from exchange.node.uplink.answers import MAX_DETAIL, Answer, bounded, json_of, problem, receipts_of
from exchange.node.uplink.api import Feed, HubState, Page, Posted, Result
from exchange.node.uplink.blobs import HubBlobs, body_of, vouched
from exchange.node.uplink.carrier import Carrier
from exchange.node.uplink.feed import PollFeed, carried, open_socket
from exchange.node.uplink.pieces import Pieces, is_flash
from exchange.token import make_token

CONNECT_SECONDS: Final = 15
ANSWER_SECONDS: Final = 60  # between two reads, beyond what a long poll asked for
CONNECTIONS: Final = 8
KEPT_SECONDS: Final = 60  # a connection that idles: to open another is three round trips and 3 kB
_MAX_LEAVES: Final = 65_536
_MAX_PARTS: Final = 65_536
_MAX_PART: Final = 2 * MAX_PART  # bytes of its JSON
_NOTHING_CAME: Final = 204
_MORE_COMES: Final = 202
_NO_NUMBER: Final = -1  # instead of how many bytes the hub has: it doesn't say
_GOOD: Final = frozenset({200, 201, 202, _NOTHING_CAME})


@dataclass(frozen=True)
class Route:
    """How to reach the hub: origin, whom to trust for TLS, a proxy and its login ("" for none)."""

    origin: str
    tls: ssl.SSLContext
    proxy: str = ""
    login: tuple[str, str] | None = None
    websocket: bool = True


class HubClient(HubBlobs):
    """The hub over HTTPS. An async context manager; give `invitation` (its token) while not yet a member."""

    def __init__(
        self, route: Route, identity: Identity, sources: Sources, *, invitation: bytes | None = None
    ) -> None:
        self._route = route
        self._identity = identity
        self._sources = sources
        self._invitation = invitation
        self._session: aiohttp.ClientSession | None = None
        self._offset = 0
        self._carrier = Carrier(wanted=route.websocket, seconds=self._seconds)
        self._pieces = Pieces(self._seconds)

    def _seconds(self) -> float:
        return self._sources.monotonic() / SECOND_MS

    async def __aenter__(self) -> HubClient:
        self._session = _session(self._route)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def reroute(self, route: Route) -> None:
        """From now on the hub is elsewhere; calls under way to the one before fail."""
        before, self._session = self._session, _session(route)
        self._route, self._offset = route, 0
        self._carrier = Carrier(wanted=route.websocket, seconds=self._seconds)
        if before is not None:
            await before.close()

    @property
    def clock_offset(self) -> int:
        """What is added to this node's clock for tokens, ms."""
        return self._offset

    @property
    def transport(self) -> str:
        return self._carrier.carries

    # -- the directory ------------------------------------------------------------------------------------------

    async def checkpoint(self) -> Json:
        return json_of(await self._get(protocol.CHECKPOINT))

    async def leaves(self, start: int) -> list[bytes]:
        answer = await self._get_in_turn(f"{protocol.LEAVES}?from={start}")
        return list(unframed(answer.body, most_items=_MAX_LEAVES, most_bytes=MAX_LEAF))

    async def post_checkpoint(self, checkpoint: Json) -> tuple[int, int] | None:
        if not (need := json_of(await self._post(protocol.CHECKPOINTS, checkpoint)).get("need")):
            return None
        if type(need) is not list or len(need) != 2 or any(type(one) is not int for one in need):
            raise Rejected("request.bad", "the hub's answer: need isn't [from, size]")
        return need[0], need[1]

    async def post_leaves(self, leaves: Sequence[bytes]) -> None:
        await self._call("POST", protocol.LEAVES, framed(leaves), media=protocol.BINARY)

    async def prekey_records(self, kids: Sequence[bytes]) -> list[bytes]:
        answer = await self._post(protocol.PREKEYS, {"kids": [b64(kid) for kid in kids]})
        return list(unframed(answer.body, most_items=len(kids), most_bytes=MAX_PREKEY_RECORD))

    async def post_statement(
        self, statement: Json, records: Sequence[bytes] = (), parts: Sequence[Part] = ()
    ) -> Json:
        rows = [part.to_json() for part in parts]
        body = {**statement, "records": [b64(record) for record in records], "parts": rows}
        return json_of(await self._post(protocol.STATEMENTS, body))

    async def post_notice(self, statement: Json) -> Json:
        body = orjson.dumps(statement)
        answer = await self._call("POST", protocol.STATEMENTS, body, media=protocol.JSON, anonymous=True)
        return json_of(answer)

    async def parts(self, start: int) -> list[bytes]:
        answer = await self._get_in_turn(f"{protocol.PARTS}?from={start}")
        return list(unframed(answer.body, most_items=_MAX_PARTS, most_bytes=_MAX_PART))

    async def post_application(self, statement: Json, *, document: bytes, salt: bytes) -> Json:
        body = {**statement, "document": b64(document), "salt": b64(salt)}
        return json_of(await self._post(protocol.APPLICATIONS, body))

    async def applications(self) -> list[Json]:
        return await self._list(protocol.APPLICATIONS, "applications")

    async def end_application(self, member: str, reason: str) -> None:
        target = f"{protocol.APPLICATIONS}/{quote(member, safe='')}"
        body = orjson.dumps({"reason": text_b64(reason)})
        await self._call("DELETE", target, body, media=protocol.JSON)

    async def sign_application(self, member: str, statement: bytes, signatures: Json) -> Json:
        target = f"{protocol.APPLICATIONS}/{quote(member, safe='')}/signatures"
        return json_of(await self._post(target, {"statement": b64(statement), "signatures": signatures}))

    async def pending(self) -> list[Json]:
        return await self._list(protocol.PENDING, "pending")

    async def sign_pending(self, statement: bytes, signatures: Json) -> Json:
        target = f"{protocol.PENDING}/{b64(statement)}/signatures"
        return json_of(await self._post(target, {"signatures": signatures}))

    async def _list(self, target: str, name: str) -> list[Json]:
        found = json_of(await self._get(target)).get(name)
        return found if isinstance(found, list) else []

    # -- mail ---------------------------------------------------------------------------------------------------

    async def state(self, holds: str | None = None) -> HubState:
        after = "" if holds is None else f"?after={quote(holds, safe='')}"
        value = json_of(await self._get(f"{protocol.STATE}{after}"))
        epoch, batch, size = value.get("epoch"), value.get("receipts_batch"), value.get("size")
        if type(epoch) is not str or not epoch.isascii() or len(epoch) > 64:
            raise Rejected("request.bad", "the hub's state is malformed")
        if type(batch) is not int or type(size) is not int or size < 0:
            raise Rejected("request.bad", "the hub's state is malformed")
        return HubState(epoch, batch, unb64(value.get("prekeys"), size=32, field="prekeys"), size)

    async def put_envelope(self, env: bytes, upload: bytes) -> Posted:
        target = f"{protocol.ENVELOPES}/{b64(env)}"
        try:
            with self._pieces.going_before(is_flash(upload)):
                if len(upload) > LARGE_BYTES:
                    answer = await self._put_in_pieces(env, target, upload)
                else:
                    answer = await self._call("PUT", target, upload, media=protocol.BINARY)
        except ExchangeError as refusal:
            if refusal.code in ("hub.unreachable", "hub.certificate"):
                raise
            wait = refusal.facts.get("retry_after", 0)
            return Posted((Result(env, refusal.code, refusal.detail, wait),), ())
        return Posted((Result(env, "", ""),), receipts_of(json_of(answer)))

    async def _put_in_pieces(self, env: bytes, target: str, upload: bytes) -> Answer:
        async def put(start: int, piece: bytes) -> int | Answer:
            where = f"{target}/pieces?from={start}&size={len(upload)}"
            answer = await self._call("PUT", where, piece, media=protocol.BINARY)
            if answer.status != _MORE_COMES:
                return answer
            have = json_of(answer).get("have")
            return have if type(have) is int else _NO_NUMBER

        return await self._pieces.bring(env, upload, put)

    async def post_envelopes(self, uploads: Sequence[bytes]) -> Posted:
        value = json_of(await self._call("POST", protocol.ENVELOPES, framed(uploads), media=protocol.BINARY))
        rows, results = value.get("results"), []
        for row in rows if isinstance(rows, list) else []:
            fields = Fields(row, ("env", "code", "detail"), what="result")
            code = fields.text("code", most=64)
            results.append(Result(fields.binary("env", 32), code, str(fields.raw("detail"))[:MAX_DETAIL]))
        return Posted(tuple(results), receipts_of(value))

    async def mailbox(self, after: str, wait: int, most: int) -> Page:
        after = quote(after, safe="")
        target = f"{protocol.MAILBOX}?after={after}&wait={wait}&max={most}&large={LARGE_BYTES}"
        answer = await self._call("GET", target, patience=wait)
        if answer.status == _NOTHING_CAME:
            return Page((), more=False)
        return Page(tuple(protocol.items(answer.body)), answer.more)

    async def piece(self, env: bytes, start: int) -> bytes:
        return (await self._get_in_turn(f"{protocol.MAILBOX}/{b64(env)}?from={start}")).body

    async def post_receipts(self, batch: Json) -> None:
        await self._post(protocol.RECEIPTS, batch)

    @asynccontextmanager
    async def feed(self, after: str) -> AsyncIterator[Feed]:
        """By WebSocket; for a while by long poll where something on the way kills those."""
        socket = open_socket(
            self._open_session(),
            self._route.origin,
            self._identity,
            after=after,
            proxy=self._route.proxy or None,
            proxy_headers=self._login(),
        )
        poll = PollFeed(self.mailbox, after, seconds=self._seconds, carrier=self._carrier)
        async with carried(self._carrier, socket, poll) as feed:
            yield feed

    # -- one call -----------------------------------------------------------------------------------------------

    async def _get(self, target: str) -> Answer:
        return await self._call("GET", target)

    async def _get_in_turn(self, target: str) -> Answer:
        """A page that may be long: as much of it as the link bears, and not while flash is going."""
        window = self._pieces.down
        most, began = window.size, await self._pieces.turn()
        answer = await self._get(f"{target}&max={most}")
        if len(answer.body) * 2 >= most:
            window.passed(len(answer.body), self._seconds() - began)
        return answer

    async def _post(self, target: str, value: Json) -> Answer:
        body = orjson.dumps(value)
        if len(body) > MAX_JSON_REQUEST:
            raise Refused("request.too-large")
        return await self._call("POST", target, body, media=protocol.JSON)

    async def _call(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        media: str = "",
        patience: int = 0,
        anonymous: bool = False,
        came: Callable[[bytes], object] | None = None,
    ) -> Answer:
        """One request. A clock that is off is corrected for tokens by what the hub says, once (§10).

        `came` is given the parts of a good answer as they come, and the answer is empty.
        """
        rest = partial(self._request, method, target, body, media=media, patience=patience, came=came)
        if anonymous:
            return await rest({})
        try:
            return await rest({"Authorization": self._authorization(method, target, body)})
        except ExchangeError as refusal:
            now = refusal.facts.get("now")
            if refusal.code != "auth.clock-skew" or type(now) is not int:
                raise
            self._offset = max(-36_500 * DAY_MS, min(now - self._sources.clock(), 36_500 * DAY_MS))
        return await rest({"Authorization": self._authorization(method, target, body)})

    async def _request(
        self,
        method: str,
        target: str,
        body: bytes,
        token: dict[str, str],
        *,
        media: str,
        patience: int,
        came: Callable[[bytes], object] | None,
    ) -> Answer:
        headers = dict(token)
        if media:
            headers["Content-Type"] = media
        if body:
            headers["Content-Length"] = str(len(body))
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS + patience
        )
        try:
            async with self._open_session().request(
                method,
                self._route.origin + target,
                data=body_of(target, body),
                headers=headers,
                timeout=timeout,
                proxy=self._route.proxy or None,
                proxy_headers=self._login(),
                allow_redirects=False,
            ) as response:
                if response.status not in _GOOD:
                    raise problem(response.status, await bounded(response))
                answer = await bounded(response, came)
                return Answer(answer, response.status, response.headers.get(protocol.MORE) == "1")
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise Unavailable("hub.certificate") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable("hub.unreachable", f"{type(error).__name__}") from error

    def _authorization(self, method: str, target: str, body: bytes) -> str:
        if self._invitation is not None:
            return f"{protocol.INVITATION_SCHEME} {b64(self._invitation)}"
        token = make_token(
            keys=self._identity.keys,
            net=self._identity.net,
            issuer=self._identity.address,
            origin=self._route.origin,
            method=method,
            target=target,
            body_hash=sha256(vouched(target, body)),
            now=self._sources.clock() + self._offset,
            jti=self._sources.random(16),
        )
        return f"{protocol.MEMBER_SCHEME} {token}"

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise Unavailable("hub.unreachable", "the client isn't open")
        return self._session

    def _login(self) -> dict[str, str] | None:
        if self._route.login is None:
            return None
        return {"Proxy-Authorization": aiohttp.encode_basic_auth(*self._route.login)}


def _session(route: Route) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=route.tls, limit=CONNECTIONS, keepalive_timeout=KEPT_SECONDS)
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(connector=connector, auto_decompress=False, trace_configs=[trace])


async def _refuse_redirect(*_: object) -> None:
    """The hub is where the settings say. aiohttp would follow a WebSocket's redirect to anywhere, without TLS too."""
    raise aiohttp.ClientConnectionError("redirected")


def tls_context(*, ca: str | None, extra_ca: str | None) -> ssl.SSLContext:
    """Whom to trust: the network's own CA (PEM text) or the machine's, and a TLS-inspecting proxy's besides."""
    context = ssl.create_default_context(cadata=ca)
    if extra_ca:
        context.load_verify_locations(cadata=extra_ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
