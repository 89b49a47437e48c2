"""Owns statements that lack signatures: kept, and logged when there are enough (docs/protocol.md §11.6).

Whether signatures suffice is the directory's judgement, logging registrar.py's. Newcomers' applications, which begin
with an invitation, are applications.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from exchange.directory.bodies import parse_body
from exchange.directory.contacts import Part
from exchange.directory.network import member_of
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED, SignedSubmission
from exchange.errors import Refused, Rejected, Unavailable
from exchange.hub.beside import check_signers
from exchange.hub.registrar import Registrar
from exchange.hub.store.pending import Waiting
from exchange.hub.store.store import HubStore
from exchange.limits import DAY_MS

MAX_WAITING: Final = 256
MAX_BYTES: Final = 8 * 1024 * 1024  # one answer lists them all
MAX_OF_MEMBERS: Final = 192  # the rest is for officers
MAX_BYTES_OF_MEMBERS: Final = 6 * 1024 * 1024
MAX_OF_ONE: Final = 16  # of one member with its units, or one officer
MAX_BYTES_OF_ONE: Final = 1024 * 1024
LIFE_MS: Final = 30 * DAY_MS

# what more signatures can mend
LACKING: Final = frozenset(
    {
        "directory.no-possession",
        "directory.not-nominated",
        "directory.too-few-members",
        "directory.too-few-officers",
        "directory.too-few-sponsors",
    }
)
# what takes trust from somebody: whoever brings it is heard, and it is never put off
NOTICES: Final = frozenset({"suspend", "revoke", "veto"})


class Pending:
    """The statements of one hub that collect signatures; an officer's or member's way into the log."""

    def __init__(self, store: HubStore, registrar: Registrar, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._registrar = registrar
        self._clock = clock
        self._lock = asyncio.Lock()
        self._looked_at = 0  # size of the log when the statements were last judged anew

    async def submit(
        self, statement: Statement, records: Sequence[bytes], parts: Sequence[Part], *, by: str
    ) -> SignedSubmission:
        """Log a statement, or keep it where only signatures are missing. `by`: the address that brings it, "" for a
        stranger, whose statements never wait.

        Raises Rejected directory.*; Refused pending.too-many; Unavailable directory.read-only.
        """
        async with self._lock:
            held = await self._held(statement.hash(self._registrar.net))
            if held is not None:
                return await self._advance(self._joined(held, statement.signatures), by=by, known=True)
            now = self._clock()
            until = min(self._registrar.directory.read_head(statement).not_after, now + LIFE_MS)
            one = Waiting(statement, tuple(parts), by, now, until)
            return await self._advance(one, records=records, by=by)

    async def sign(
        self, digest: bytes, signatures: Sequence[tuple[str, bytes]], *, by: str
    ) -> SignedSubmission:
        """Add signatures to the statement with this hash; log it when there are enough.

        Raises Rejected pending.unknown, directory.*; Unavailable directory.read-only.
        """
        async with self._lock:
            held = await self._held(digest)
            if held is None:
                index = await self._store.index_of(digest)
                if index is None:
                    raise Rejected("pending.unknown")
                # the signature that it still needed came first
                return self._registrar.answer(digest, LOGGED, index=index)
            return await self._advance(self._joined(held, signatures), by=by, known=True)

    async def waiting(self) -> list[Waiting]:
        """Every statement that lacks signatures, the oldest first."""
        now = self._clock()
        return [one for one in await self._store.pending() if one.until > now]

    async def look_again(self) -> None:
        """After the log has grown: drop what can't be logged any more, log what has enough signatures now.

        Raises Unavailable storage.*
        """
        registrar = self._registrar
        async with self._lock:
            if registrar.read_only or registrar.directory.size == self._looked_at:
                return
            for one in await self.waiting():
                await self._settle(one)
                await asyncio.sleep(0)  # each costs a few milliseconds of signatures
            self._looked_at = registrar.directory.size

    async def _settle(self, one: Waiting) -> None:
        registrar = self._registrar
        held = self._holding(one)
        code = self._code(held.statement)
        try:
            if not code:
                await registrar.submit(held.statement, (), held.parts)
                return
        except (Rejected, Refused) as fault:
            code = fault.code  # another one came first meanwhile, say
        if code not in LACKING or not held.statement.signatures:
            await self._store.drop_pending([one.statement.hash(registrar.net)])
        elif held != one:
            await self._store.put_pending(registrar.net, held)

    async def _advance(
        self, one: Waiting, *, by: str, records: Sequence[bytes] = (), known: bool = False
    ) -> SignedSubmission:
        """Log it if it has all it needs, else keep it."""
        registrar, statement = self._registrar, one.statement
        try:
            return await registrar.submit(statement, records, one.parts)
        except Rejected as fault:
            if fault.code not in LACKING or not by or not statement.signatures:
                raise
            check_signers(registrar.directory, parse_body(statement.body, registrar.net), statement.signers)
        except Unavailable as fault:
            if fault.code != "directory.read-only" or not self._must_not_be_lost(one, by=by, known=known):
                raise
        if not known:
            parts = await registrar.parts_of(statement, one.parts)
            one = replace(one, parts=parts, submitter=account(by or statement.signers[0]))
            await self._check_room(one)
        await self._store.put_pending(registrar.net, one)
        return registrar.pending(statement.hash(registrar.net), one.until)

    def _must_not_be_lost(self, one: Waiting, *, by: str, known: bool) -> bool:
        """While the hub is read-only: bad news, and what has waited here, are good by the log as far as it is here."""
        code = self._code(one.statement)
        if known:
            return not code or (code in LACKING and bool(by))
        return not code and self._registrar.directory.read_head(one.statement).type in NOTICES

    async def _check_room(self, one: Waiting) -> None:
        waiting = await self.waiting()
        mine = [other for other in waiting if other.submitter == one.submitter]
        limits = [(mine, MAX_OF_ONE, MAX_BYTES_OF_ONE), (waiting, MAX_WAITING, MAX_BYTES)]
        if not _is_officer(one.submitter):
            of_members = [other for other in waiting if not _is_officer(other.submitter)]
            limits.append((of_members, MAX_OF_MEMBERS, MAX_BYTES_OF_MEMBERS))
        for many, most, most_bytes in limits:
            if len(many) >= most or sum(other.size for other in many) + one.size > most_bytes:
                raise Refused("pending.too-many")

    async def _held(self, digest: bytes) -> Waiting | None:
        held = await self._store.pending_of(digest)
        return held if held is not None and held.until > self._clock() else None

    def _joined(self, held: Waiting, signatures: Iterable[tuple[str, bytes]]) -> Waiting:
        """What is held with these signatures, each verified by the key that the statement's rule names.

        Raises Rejected directory.bad-signature, directory.bad-statement, directory.not-own.
        """
        fresh = tuple(pair for pair in signatures if pair not in held.statement.signatures)
        directory, body = self._registrar.directory, parse_body(held.statement.body, self._registrar.net)
        check_signers(directory, body, (signer for signer, _ in fresh))
        for pair in fresh:
            if self._code(Statement(held.statement.body, (pair,))) == "directory.bad-signature":
                raise Rejected("directory.bad-signature", f"{pair[0][:65]} is unknown, or didn't sign this")
        merged = self._holding(held).statement.merged(fresh)
        merged.check_form()
        return replace(held, statement=merged)

    def _holding(self, one: Waiting) -> Waiting:
        """It with those signatures that hold today: a signer may have new keys by now."""
        body = one.statement.body
        good = tuple(
            pair
            for pair in one.statement.signatures
            if self._code(Statement(body, (pair,))) != "directory.bad-signature"
        )
        return replace(one, statement=Statement(body, good))

    def _code(self, statement: Statement) -> str:
        """The first rule against it as the next leaf; "" for none."""
        try:
            self._registrar.judge(statement)
        except Rejected as fault:
            return fault.code
        return ""


def account(address: str) -> str:
    """Under which name what an address brings is counted: a unit's as its member's, an officer's as its own."""
    return address if _is_officer(address) else member_of(address)


def _is_officer(address: str) -> bool:
    return address.startswith("officer/")
