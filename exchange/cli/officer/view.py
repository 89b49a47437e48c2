"""The network as an officer sees it: the hub's log, replayed, against what it signed and saw before.

Owns these checks and the officer's way to the hub. What is then signed is `officer`'s business.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from exchange.canonical import Json
from exchange.cli.officer.home import OfficerHome
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.cosigning import check_seen
from exchange.directory.state import Directory
from exchange.directory.statements import Statement, signatures_json
from exchange.directory.submission import SignedSubmission, Submission
from exchange.directory.waiting import (
    MENDABLE,
    Application,
    Lack,
    Pending,
    lack_of,
    read_application,
    read_pending,
)
from exchange.errors import Rejected
from exchange.node.app import real_sources
from exchange.node.identity import Identity
from exchange.node.uplink.client import HubClient, Route, tls_context


@dataclass(frozen=True)
class View:
    """An officer before the hub: its home, the replayed log and the connection."""

    home: OfficerHome
    directory: Directory
    hub: HubClient

    async def applications(self) -> list[Application]:
        """Everybody who wants in, by handle; what is no application is left out."""
        found = []
        for value in await self.hub.applications():
            try:
                found.append(read_application(value, self.directory.net))
            except Rejected:
                continue  # the hub's mistake, and nothing anybody could sign
        return sorted((one for one in found if not one.ended), key=lambda one: one.member.handle)

    async def application(self, handle: str) -> Application | None:
        """The application of one member, None where it has none."""
        return next((one for one in await self.applications() if one.member.handle == handle), None)

    async def pending(self) -> list[Pending]:
        """Every other statement that more signatures would bring into the log, the oldest first."""
        found = []
        for value in await self.hub.pending():
            try:
                found.append(read_pending(value, self.directory.net))
            except Rejected:
                continue
        mendable = (one for one in found if self.lack(one.statement).code in MENDABLE)
        return sorted(mendable, key=lambda one: one.since)

    def lack(self, statement: Statement) -> Lack:
        """What a statement lacks, were it logged now."""
        return lack_of(self.directory, statement, real_sources().clock())

    def signed(self, body: bytes) -> Statement:
        """The body under this officer's own signature alone."""
        return Statement(body).with_signature(self.home.officer.address, self.home.keys)

    async def approve(self, application: Application) -> Submission:
        """Sign an application; the hub's verified answer. Raises what the hub refuses, Rejected submission.*"""
        statement = self.signed(application.statement.body)
        digest = statement.hash(self.directory.net)
        answer = await self.hub.sign_application(
            application.member.handle, digest, signatures_json(statement.signatures)
        )
        return self._verified(answer, digest)

    async def sign(self, pending: Pending) -> Submission:
        """Sign a pending statement; the hub's verified answer. Raises as `approve` and `cosigning.check_seen`."""
        check_seen(pending)
        statement = self.signed(pending.statement.body)
        digest = statement.hash(self.directory.net)
        return self._verified(
            await self.hub.sign_pending(digest, signatures_json(statement.signatures)), digest
        )

    async def submit(self, statement: Statement) -> Submission:
        """Hand a new statement in; the hub's verified answer. Raises as `approve`."""
        answer = await self.hub.post_statement(statement.to_json(), ())
        return self._verified(answer, statement.hash(self.directory.net))

    async def reject(self, handle: str, reason: str) -> None:
        """End an application. Raises what the hub refuses."""
        await self.hub.end_application(handle, reason)

    def _verified(self, answer: Json, digest: bytes) -> Submission:
        signed = SignedSubmission.from_json(answer)
        return signed.verify(self.directory.net, self.directory.hub.keys.signing, statement=digest)


@asynccontextmanager
async def viewing(home: OfficerHome) -> AsyncIterator[View]:
    """The network now, for an officer who has signed its genesis.

    Raises Refused home.missing; Unavailable hub.*; Rejected directory.* when the log isn't the one it should be.
    """
    pinned = home.network()
    hub = pinned.hub
    identity = Identity(pinned.net, home.officer.address, home.keys)
    pem = ssl.DER_cert_to_PEM_cert(hub.ca) if hub.ca else None
    route = Route(origin=hub.address, tls=tls_context(ca=pem, extra_ca=None))
    async with HubClient(route, identity, real_sources()) as client:
        yield View(home, await _replayed(home, client), client)


async def _replayed(home: OfficerHome, client: HubClient) -> Directory:
    """The log up to the hub's newest checkpoint. Raises Rejected directory.rollback, directory.split, checkpoint.*"""
    pinned = home.network()
    signed = SignedCheckpoint.from_json(await client.checkpoint())
    checkpoint = signed.claim(pinned.net)
    leaves: list[bytes] = []
    while len(leaves) < checkpoint.size:
        page = await client.leaves(len(leaves))
        if not page:
            raise Rejected("directory.bad-leaf", "the hub's pages end before its checkpoint")
        leaves += page
    directory = Directory.replay(leaves[: checkpoint.size], now=real_sources().clock())
    if directory.net != pinned.net:
        raise Rejected("directory.bad-genesis", "the hub's log begins another network")
    if directory.root() != checkpoint.root:
        raise Rejected("directory.split", "the hub's leaves don't lead to its checkpoint")
    signed.verify(pinned.net, directory)  # by the key of its term's hub, which only the log knows
    if checkpoint.size < pinned.size:
        raise Rejected("directory.rollback")
    if pinned.change is not None and not directory.took_effect(pinned.change.hash(pinned.net)):
        raise Rejected("directory.split", "the hub's log lacks the change of hub that this officer signed")
    if pinned.size and directory.root(pinned.size) != pinned.root:
        raise Rejected("directory.split", "the hub's log isn't the one this officer saw before")
    home.saw(checkpoint.size, checkpoint.root)
    return directory
