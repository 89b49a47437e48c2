"""Owns the way of a newcomer: the invitation, the application, the signatures it collects until it may be logged, and
its end when officers reject it or the applicant withdraws.

Whether the signatures suffice is the directory's judgement, logging is registrar.py's. A token lies here only as its
SHA-256.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from exchange.canonical import COUNTRY, is_member_handle, sha256
from exchange.directory.bodies import parse_body
from exchange.directory.bodies_base import Add
from exchange.directory.members import MEMBER_CLASSES
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED, SignedSubmission
from exchange.directory.waiting import check_document
from exchange.errors import Refused, Rejected
from exchange.hub.beside import check_signers
from exchange.hub.log import read_back
from exchange.hub.registrar import Registrar
from exchange.hub.store.directory import Application, Invited
from exchange.hub.store.store import HubStore
from exchange.invitation import TOKEN_BYTES, Invitation
from exchange.keys import STATEMENT
from exchange.limits import DAY_MS

MAX_WAITING: Final = 128  # applications at once: one answer lists them all, with their documents
MAX_VALID_DAYS: Final = 90

# what an application may still lack while it waits
_MISSING = frozenset({"directory.too-few-officers", "directory.too-few-sponsors"})


def create_invitation(
    store: HubStore,
    *,
    member: str,
    member_class: str,
    country: str,
    origin: str,
    valid_days: int,
    now: int,
    random: Callable[[int], bytes],
    again: bool = False,
) -> Invitation:
    """A new one-time invitation; only the hash of its token is kept. `now` in ms. For commands, also beside a hub.

    `again`: for a member that lost its keys, to read the log by; it applies for nothing, and its class and country are
    the log's. Raises Refused invitation.bad-request, directory.handle-taken, directory.unknown-member,
    hub.genesis-incomplete; as Database.write.
    """
    if not is_member_handle(member) or member_class not in MEMBER_CLASSES or not COUNTRY.match(country):
        raise Refused("invitation.bad-request", "a handle [a-z0-9-]{2,32}, a class and a country such as PE")
    if not 1 <= valid_days <= MAX_VALID_DAYS:
        raise Refused("invitation.bad-request", f"valid for 1 to {MAX_VALID_DAYS} days")
    rows = store.load_log_sync()
    if not rows:
        raise Refused("hub.genesis-incomplete")
    directory, _ = read_back(rows)
    if again:
        known = directory.member(member)
        member_class, country = known.member_class, known.country
    elif member in directory.members:
        raise Refused("directory.handle-taken", f"{member} is a member already")
    token = random(TOKEN_BYTES)
    expires = now + valid_days * DAY_MS
    store.put_invitation_sync(Invited(sha256(token), member, member_class, country, expires))
    return Invitation(
        net=directory.net,
        hub=origin,
        ca=directory.hub.ca,
        size=directory.size,
        root=directory.root(),
        member=member,
        member_class=member_class,
        country=country,
        expires=expires,
        token=token,
    )


class Applications:
    """Newcomers on their way into the log."""

    def __init__(self, store: HubStore, registrar: Registrar, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._registrar = registrar
        self._clock = clock
        self._lock = asyncio.Lock()

    async def invited(self, token: bytes) -> Invited:
        """Whose invitation this is. Raises Rejected auth.bad-invitation, auth.invitation-expired."""
        invited = await self._store.invitation(sha256(token))
        if invited is None:
            raise Rejected("auth.bad-invitation")
        if invited.expires <= self._clock():
            raise Rejected("auth.invitation-expired")
        return invited

    async def apply(
        self, invited: Invited, statement: Statement, document: bytes = b"", salt: bytes = b""
    ) -> SignedSubmission:
        """Take an application: an add of exactly who was invited, with its own signature on it and its document.

        Raises Rejected application.not-invited, application.bad-document, application.ended (under this invitation),
        directory.*; Refused application.too-many; Unavailable directory.read-only.
        """
        body = parse_body(statement.body, self._registrar.net)
        if not isinstance(body, Add):
            raise Rejected("directory.bad-statement", "an application is an add statement")
        member = body.member
        if (member.handle, member.member_class, member.country) != (
            invited.member,
            invited.member_class,
            invited.country,
        ):
            raise Rejected("application.not-invited")
        if member.handle not in statement.signers:
            raise Rejected("directory.no-possession")
        check_document(self._registrar.net, member.application, document, salt)
        digest = statement.hash(self._registrar.net)
        if member.handle in self._registrar.directory.members and await self._store.index_of(digest) is None:
            raise Rejected("directory.handle-taken")
        async with self._lock:
            there = await self._store.applications()
            same = next((one for one in there if one.member == member.handle), None)
            if same is not None and same.ended:
                if same.invitation == invited.token_hash:
                    raise Refused("application.ended")
                same = None
            if same is not None and same.statement.body == statement.body:
                statement = same.statement.merged(statement.signatures)
            elif same is None and sum(not one.ended for one in there) >= MAX_WAITING:
                raise Refused("application.too-many")
            application = Application(
                member.handle,
                statement,
                same.since if same else self._clock(),
                body.head.not_after,
                document,
                salt,
                invited.token_hash,
            )
            return await self._advance(application, new=True)

    async def end(self, member: str, ended: str, reason: str) -> None:
        """Reject (REJECTED, an officer) or withdraw (WITHDRAWN, the applicant) an application: its document goes with
        its salt, the reason stays for the applicant to see. A second time it changes nothing.

        Raises Rejected application.unknown.
        """
        async with self._lock:
            found = [one for one in await self.all() if one.member == member]
            if not found:
                raise Rejected("application.unknown")
            if not found[0].ended:
                await self._store.put_application(found[0].over(ended, reason, now=self._clock()))

    async def all(self) -> list[Application]:
        """Every application by handle, with those that ended in the last 30 days."""
        now = self._clock()
        return [one for one in await self._store.applications() if one.until > now]

    async def waiting(self) -> list[Application]:
        """Every application that isn't over yet, by handle."""
        return [one for one in await self.all() if not one.ended]

    async def sign(
        self, member: str, statement: bytes, signatures: Sequence[tuple[str, bytes]]
    ) -> SignedSubmission:
        """Add signatures of officers and sponsors to the application whose statement has this hash; log it when enough.

        Raises Rejected application.unknown, directory.*; Refused application.ended; Unavailable directory.read-only.
        """
        registrar = self._registrar
        async with self._lock:
            found = [one for one in await self.all() if one.member == member]
            if not found or found[0].statement.hash(registrar.net) != statement:
                index = await self._store.index_of(statement)
                if index is None:
                    raise Rejected("application.unknown")
                # the signature that it still needed came first
                return registrar.answer(statement, LOGGED, index=index)
            application = found[0]
            if application.ended:
                raise Refused("application.ended")
            for signer, signature in signatures:
                try:
                    key = registrar.directory.identity(signer).signing
                except Rejected as fault:
                    raise Rejected("directory.bad-signature", f"{signer[:65]} is unknown here") from fault
                key.verify(STATEMENT, application.statement.body, signature, code="directory.bad-signature")
            body = parse_body(application.statement.body, registrar.net)
            check_signers(registrar.directory, body, (signer for signer, _ in signatures))
            merged = application.statement.merged(signatures)
            merged.check_form()
            return await self._advance(replace(application, statement=merged), new=False)

    async def _advance(self, application: Application, *, new: bool) -> SignedSubmission:
        """Log the application if it has all it needs, else keep it. `new`: it hasn't been judged before."""
        registrar = self._registrar
        try:
            registrar.judge(application.statement)
        except Rejected as fault:
            if new and fault.code == "directory.repeated":
                return await registrar.submit(application.statement, ())
            if fault.code not in _MISSING:
                raise
            await self._store.put_application(application)
            return registrar.pending(application.statement.hash(registrar.net), application.until)
        # kept first: while the log is read-only the signatures must not be lost
        await self._store.put_application(application)
        return await registrar.submit(application.statement, (), admitted=application.member)
