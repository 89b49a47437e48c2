"""Owns what a member says of itself in the log: record, constituency, contact points (docs/protocol.md §9.13, §9.14).

Each call keeps the parts, makes the statement, signs it with this identity, notes it as its own and hands it in; the
answer is the hub's: logged, or pending until others have signed too. Which signatures it needs is the log's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from exchange.directory.bodies import parse_body
from exchange.directory.bodies_contacts import (
    build_confirm,
    build_constituency,
    build_contact,
    build_contact_end,
    build_record,
    named_by,
)
from exchange.directory.contacts import MEMBERS
from exchange.directory.log import Leaf
from exchange.directory.network import member_of
from exchange.directory.statements import Statement, parse_head
from exchange.directory.submission import LOGGED, SignedSubmission, Submission
from exchange.limits import DAY_MS
from exchange.node.directory.parts import Parts
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.store import directory as rows, parts as store_parts
from exchange.node.store.store import Store
from exchange.node.uplink.api import HubApi

LIFE_MS: Final = 30 * DAY_MS  # how long others have to add their signatures
_NAMING: Final = frozenset({"record", "constituency", "contact"})


@dataclass(frozen=True)
class Function:
    """What a contact point is for, as the log states it (docs/directory.md has the words).

    `unit`: the signing key that its mail is sealed under, empty where the member's node answers. `nomination`: SHA-256
    of the note verbale where officers stand in for a nominating authority, else empty.
    """

    function: str
    community: str
    topics: tuple[str, ...]
    instruments: tuple[str, ...] = ()
    unit: bytes = b""
    nomination: bytes = b""


class Registration:
    """Makes the statements of one member or unit about itself.

    Every call raises what the hub answers: Unavailable (nothing was changed: try again), Rejected directory.*, Refused.
    """

    def __init__(
        self,
        store: Store,
        identity: Identity,
        replica: Replica,
        parts: Parts,
        sources: Sources,
        *,
        follows: bool = True,
    ) -> None:
        """`follows`: fetch the log when it has grown; not beside a server, which does."""
        self._follows = follows
        self._store = store
        self._identity = identity
        self._replica = replica
        self._parts = parts
        self._sources = sources
        self._offered_in = ""  # the hub's epoch in which it was given this node's parts again

    async def publish_record(self, hub: HubApi, bodies: Mapping[str, bytes]) -> Submission:
        """Say by level who this member is. Raises Refused directory.bad-part."""
        handle = member_of(self._identity.address)
        parts = dict(await self._parts.put(handle, bodies))
        body = build_record(
            net=self._identity.net,
            handle=handle,
            parts=parts,
            after=self._after(handle, "record"),
            not_after=self._not_after(),
        )
        return await self._hand_in(hub, body, parts)

    async def claim_constituency(self, hub: HubApi, entries: int, body: bytes) -> Submission:
        """Claim networks, AS numbers and domains: `entries` of them, in the part `body`. Officers approve it."""
        handle = member_of(self._identity.address)
        parts = dict(await self._parts.put(handle, {MEMBERS: body}))
        claim = build_constituency(
            net=self._identity.net,
            handle=handle,
            entries=entries,
            part=parts[MEMBERS],
            after=self._after(handle, "constituency"),
            not_after=self._not_after(),
        )
        return await self._hand_in(hub, claim, parts)

    async def publish_contact(
        self, hub: HubApi, address: str, function: Function, bodies: Mapping[str, bytes]
    ) -> Submission:
        """Make or change the contact point at `address`; `bodies` by level replace what it said before."""
        parts = dict(await self._parts.put(address, bodies))
        body = build_contact(
            net=self._identity.net,
            address=address,
            function=function.function,
            community=function.community,
            topics=function.topics,
            instruments=function.instruments,
            unit=function.unit,
            nomination=function.nomination,
            parts=parts,
            after=self._after(address, "contact"),
            not_after=self._not_after(),
        )
        return await self._hand_in(hub, body, parts)

    async def confirm(self, hub: HubApi, address: str) -> Submission:
        """What the contact point at `address` says is still true."""
        body = build_confirm(
            net=self._identity.net,
            address=address,
            after=self._after(address, "contact"),
            not_after=self._not_after(),
        )
        return await self._hand_in(hub, body, {})

    async def end_contact(self, hub: HubApi, address: str) -> Submission:
        """The function at `address` is vacant; what was said of its persons is deleted everywhere."""
        body = build_contact_end(
            net=self._identity.net,
            address=address,
            after=self._after(address, "contact"),
            not_after=self._not_after(),
        )
        return await self._hand_in(hub, body, {})

    def _after(self, address: str, word: str) -> bytes:
        return self._replica.directory.last_hash(address, word)

    def _not_after(self) -> int:
        return self._sources.clock() + LIFE_MS

    async def _hand_in(self, hub: HubApi, body: bytes, parts: Mapping[str, bytes]) -> Submission:
        identity = self._identity
        statement = Statement(body).with_signature(identity.address, identity.keys)
        head, _ = parse_head(body, identity.net)
        return await self.submit(hub, statement, head.type, parts)

    async def submit(
        self, hub: HubApi, statement: Statement, word: str, parts: Mapping[str, bytes]
    ) -> Submission:
        """Hand in a statement of this node's own, noted as such first; `word` names it in this node's books."""
        identity, now = self._identity, self._sources.clock()
        digest = statement.hash(identity.net)
        await self._store.db.write(lambda c: rows.add_own_statement(c, digest, word, now=now))
        brought = await self._parts.for_hub(parts)
        answer = SignedSubmission.from_json(await hub.post_statement(statement.to_json(), (), brought))
        submission = answer.verify(identity.net, self._replica.directory.hub.keys.signing, statement=digest)
        if submission.outcome == LOGGED and self._follows:
            await self._replica.refresh(hub)
        return submission

    async def offer_again(self, hub: HubApi, epoch: str) -> int:
        """Once in each of the hub's epochs: bring the parts of what this node says of itself, should it lack them.

        A hub restored from an old copy gets its log back from members; the parts lie beside it (§11.4, §11.5), and
        their owner has them. How many statements were brought.
        """
        if epoch == self._offered_in or not self._replica.is_member():
            return 0
        own = {one.hash for one in await self._store.db.read(store_parts.kept) if one.own and one.named}
        judged = await self._store.db.read(rows.judged_leaves) if own else []
        offered = 0
        for statement, parts in await asyncio.to_thread(_naming, judged, own, self._identity.net):
            await hub.post_statement(statement.to_json(), (), await self._parts.for_hub(parts))
            offered += 1
        self._offered_in = epoch
        return offered


def _naming(
    judged: Sequence[tuple[bytes, str]], own: Set[bytes], net: bytes
) -> list[tuple[Statement, Mapping[str, bytes]]]:
    """The statements that took effect and name any of these parts, each with its parts by level."""
    found = []
    for leaf, code in judged[1:]:  # the genesis names none
        statement = Leaf.from_bytes(leaf, net).statement
        if code or parse_head(statement.body, net)[0].type not in _NAMING:
            continue
        named = named_by(parse_body(statement.body, net))
        if not own.isdisjoint(named.values()):
            found.append((statement, named))
    return found
