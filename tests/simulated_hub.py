"""HubApi for one member by the hub's real services, over a wire that tests can cut, hang or corrupt.

Owns what crosses the wire and what doesn't (a peer's error class). The simulation around it is simulator.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from exchange.canonical import Json, b64, framed, text_b64, unb64
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.contacts import Part
from exchange.directory.statements import Statement
from exchange.directory.waiting import REJECTED, WITHDRAWN
from exchange.errors import ExchangeError, Refused, Unavailable
from exchange.hub.mailboxes import Answer
from exchange.limits import LARGE_BYTES, PIECE_BYTES
from exchange.node.uplink.answers import odd
from exchange.node.uplink.api import Feed, HubState, Page, Posted, Result
from exchange.node.uplink.feed import PollFeed
from exchange.node.uplink.pieces import Pieces
from exchange.protocol import Item
from tests.hub_services import Services

Fault = Callable[[str, Any], None]


@dataclass
class Wire:
    """What stands between one node and the hub.

    `before` and `after` a call may raise; `touch` may change a page, `piece` a part of a blob.
    """

    up: bool = True
    before: Fault = lambda _name, _value: None
    after: Fault = lambda _name, _value: None
    touch: Callable[[Item], Item] = lambda item: item
    piece: Callable[[bytes], bytes] = lambda data: data
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def carry(self, name: str, value: Any, call: Callable[[], Awaitable[Any]]) -> Any:
        """One call on its way there and back."""
        self.calls.append(name)
        if not self.up:
            raise Unavailable("hub.unreachable")
        self.before(name, value)
        if name in self.gates:
            await self.gates[name].wait()
        try:
            answer = await call()
        except ExchangeError as error:
            # as over HTTP: the peer's class doesn't cross the wire, its code does
            kind = Unavailable if isinstance(error, Unavailable) else Refused
            raise kind(error.code, error.detail, **error.facts) from None
        self.after(name, answer)
        return answer


class Place(Protocol):
    """Where the hub runs, or doesn't; and the invitation tokens of those who aren't members yet."""

    hub: Services | None
    tokens: dict[str, bytes]


class SimulatedHub:
    """HubApi for one member, by the hub's own services. What is over `large` bytes goes in pieces of `most`."""

    def __init__(
        self, simulation: Place, member: str, *, large: int = LARGE_BYTES, most: int = PIECE_BYTES
    ) -> None:
        self._simulation = simulation
        self._member = member
        self.wire = Wire()
        self.clock_offset = 0
        self.transport = "poll"
        self._large = large
        self._most = most
        self.begin()

    def begin(self) -> None:
        """A process of the node begins: nothing is known of what the one before had brought."""
        self._pieces = Pieces(lambda: 0.0, most=self._most)

    @property
    def _hub(self) -> Services:
        hub = self._simulation.hub
        if hub is None:
            raise Unavailable("hub.unreachable")
        return hub

    async def _carry(self, name: str, value: Any, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._simulation.hub is None:
            raise Unavailable("hub.unreachable")
        return await self.wire.carry(name, value, call)

    async def checkpoint(self) -> Json:
        async def call() -> Json:
            return self._hub.registrar.checkpoint.to_json()

        return await self._carry("checkpoint", None, call)

    async def leaves(self, start: int) -> list[bytes]:
        return await self._carry("leaves", start, lambda: self._hub.registrar.leaves(start))

    async def post_checkpoint(self, checkpoint: Json) -> tuple[int, int] | None:
        signed = SignedCheckpoint.from_json(checkpoint)

        async def call() -> tuple[int, int] | None:
            registrar = self._hub.registrar
            need = await registrar.take_checkpoint(signed)
            registrar.heard(self._member)
            return need

        return await self._carry("post_checkpoint", checkpoint, call)

    async def post_leaves(self, leaves: Sequence[bytes]) -> None:
        await self._carry("post_leaves", leaves, lambda: self._hub.registrar.take_leaves(framed(leaves)))

    async def prekey_records(self, kids: Sequence[bytes]) -> list[bytes]:
        return await self._carry("prekey_records", kids, lambda: self._hub.registrar.records(kids))

    async def post_statement(
        self, statement: Json, records: Sequence[bytes] = (), parts: Sequence[Part] = ()
    ) -> Json:
        async def call() -> Json:
            signed = await self._hub.pending.submit(
                Statement.from_json(statement), records, parts, by=self._member
            )
            return signed.to_json()

        return await self._carry("post_statement", statement, call)

    async def post_notice(self, statement: Json) -> Json:
        async def call() -> Json:
            return (await self._hub.pending.submit(Statement.from_json(statement), (), (), by="")).to_json()

        return await self._carry("post_notice", statement, call)

    async def parts(self, start: int) -> list[bytes]:
        async def call() -> list[bytes]:
            return [
                orjson.dumps(
                    {
                        "n": one.n,
                        "address": one.part.address,
                        "level": one.part.level,
                        "salt": b64(one.part.salt),
                        "bytes": b64(one.part.body),
                    }
                )
                for one in await self._hub.registrar.parts(start)
            ]

        return await self._carry("parts", start, call)

    async def state(self, holds: str | None = None) -> HubState:
        async def call() -> HubState:
            hub = self._hub
            batch = await hub.mailboxes.highest_batch(self._member)
            prekeys = hub.registrar.directory.last_hash(self._member, "prekeys")
            return HubState(hub.mailboxes.epoch_of(self._member, holds), batch, prekeys)

        return await self._carry("state", None, call)

    async def put_envelope(self, env: bytes, upload: bytes) -> Posted:
        if len(upload) <= self._large:
            return await self._carry("put_envelope", [upload], lambda: self._accept([upload], env))

        async def put(start: int, piece: bytes) -> int | Posted:
            return await self._carry(
                "put_piece", (env, start), lambda: self._take_piece(env, start, len(upload), piece)
            )

        try:
            return await self._pieces.bring(env, upload, put)
        except ExchangeError as refusal:
            if refusal.code == "hub.unreachable":
                raise
            return Posted(
                (Result(env, refusal.code, refusal.detail, refusal.facts.get("retry_after", 0)),), ()
            )

    async def _take_piece(self, env: bytes, start: int, size: int, data: bytes) -> int | Posted:
        pieces = self._hub.pieces
        taken = await pieces.take(self._member, env, start=start, size=size, data=data)
        if taken == size:
            taken = await pieces.join(self._member, env, size=size)
        return taken if isinstance(taken, int) else _posted(taken, alone=True)

    async def post_envelopes(self, uploads: Sequence[bytes]) -> Posted:
        return await self._carry("post_envelopes", uploads, lambda: self._accept(uploads, None))

    async def _accept(self, uploads: Sequence[bytes], env: bytes | None) -> Posted:
        answer = await self._hub.mailboxes.accept(self._member, uploads, env=env)
        return _posted(answer, alone=env is not None)

    async def mailbox(self, after: str, wait: int, most: int) -> Page:
        async def call() -> Page:
            page = await self._hub.mailboxes.page(
                self._member, after, wait_seconds=wait, most=most, large=self._large
            )
            return Page(tuple(self.wire.touch(item) for item in page.items), page.more)

        return await self._carry("mailbox", after, call)

    async def piece(self, env: bytes, start: int) -> bytes:
        async def call() -> bytes:
            return await self._hub.mailboxes.piece(self._member, env, start=start, most=self._most)

        return await self._carry("piece", (env, start), call)

    async def blob_has(self, blob: bytes, size: int) -> int:
        return await self._take(blob, size, 0, None)

    async def put_blob(self, blob: bytes, size: int, start: int, read: Callable[[int], bytes]) -> int:
        async def parts() -> AsyncIterator[bytes]:
            yield read(self._blob_piece)

        have = await self._take(blob, size, start, parts)
        if have <= start:
            raise odd("the hub doesn't take the pieces")
        return have

    @property
    def _blob_piece(self) -> int:
        return min(LARGE_BYTES, self._most)

    async def _take(
        self, blob: bytes, size: int, start: int, parts: Callable[[], AsyncIterator[bytes]] | None
    ) -> int:
        async def call() -> int:
            member = self._member.partition("/")[0]
            taken = await self._hub.blobs.take(
                member, blob, start=start, size=size, parts=parts and parts(), end=lambda: None
            )
            return taken.have

        return await self._carry("put_blob", (blob, start), call)

    async def blob(self, blob: bytes, start: int, came: Callable[[bytes], object]) -> None:
        async def call() -> None:
            reading = await self._hub.blobs.open(
                self._member, blob, start=start, most=self._blob_piece, end=lambda: None
            )
            try:
                came(self.wire.piece(b"".join([part async for part in reading.parts])))
            finally:
                reading.close()

        await self._carry("blob", (blob, start), call)

    @asynccontextmanager
    async def feed(self, after: str) -> AsyncIterator[Feed]:
        yield _Feed(self.mailbox, after, seconds=lambda: 0.0)

    async def post_receipts(self, batch: Json) -> None:
        await self._carry("post_receipts", batch, lambda: self._hub.mailboxes.receipts(self._member, batch))

    async def post_application(self, statement: Json, *, document: bytes, salt: bytes) -> Json:
        async def call() -> Json:
            hub = self._hub
            invited = await hub.applications.invited(self._simulation.tokens[self._member])
            signed = await hub.applications.apply(invited, Statement.from_json(statement), document, salt)
            return signed.to_json()

        return await self._carry("post_application", statement, call)

    async def applications(self) -> list[Json]:
        invitee = self._member in self._simulation.tokens

        async def call() -> list[Json]:
            return [
                {
                    **one.statement.to_json(),
                    "member": one.member,
                    "since": one.since,
                    "document": b64(one.document),
                    "salt": b64(one.salt),
                    "ended": one.ended,
                    "reason": text_b64(one.reason),
                }
                for one in await self._hub.applications.all()
                if (one.member == self._member if invitee else not one.ended)
            ]

        return await self._carry("applications", None, call)

    async def end_application(self, member: str, reason: str) -> None:
        ended = WITHDRAWN if member == self._member else REJECTED
        await self._carry(
            "end_application", reason, lambda: self._hub.applications.end(member, ended, reason)
        )

    async def sign_application(self, member: str, statement: bytes, signatures: Json) -> Json:
        pairs = [(signer, unb64(signature)) for signer, signature in signatures]

        async def call() -> Json:
            return (await self._hub.applications.sign(member, statement, pairs)).to_json()

        return await self._carry("sign_application", member, call)

    async def pending(self) -> list[Json]:
        async def call() -> list[Json]:
            return [one.to_json() for one in await self._hub.pending.waiting()]

        return await self._carry("pending", None, call)

    async def sign_pending(self, statement: bytes, signatures: Json) -> Json:
        pairs = [(signer, unb64(signature)) for signer, signature in signatures]

        async def call() -> Json:
            return (await self._hub.pending.sign(statement, pairs, by=self._member)).to_json()

        return await self._carry("sign_pending", statement, call)


def _posted(answer: Answer, *, alone: bool) -> Posted:
    """As over HTTP: to one that came alone the hub says when to try again."""
    results = tuple(
        Result(one.env, one.error.code, "", one.error.facts.get("retry_after", 0) if alone else 0)
        if one.error
        else Result(one.env, "", "")
        for one in answer.results
    )
    return Posted(results, tuple(orjson.loads(proof) for proof in answer.proofs))


class _Feed(PollFeed):
    """Pages of one size, whatever the link: time doesn't pass while one is fetched."""

    async def next(self, wait: float) -> Page:
        return await self._mailbox(self._after, int(wait), 1_000_000)
