"""The network as an officer sees it: the hub's log, replayed, against what it signed and saw before.

Owns these checks and the officer's way to the hub. What is then signed is `officer`'s business.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from exchange.canonical import Fields, Json
from exchange.cli.officer_home import OfficerHome
from exchange.directory.bodies import parse_body
from exchange.directory.bodies_base import Add
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.members import Member
from exchange.directory.state import Directory
from exchange.directory.statements import Statement, read_signatures, signatures_json
from exchange.directory.submission import SignedSubmission, Submission
from exchange.errors import Refused, Rejected
from exchange.keys import member_digits
from exchange.node.app import real_sources
from exchange.node.hub_client import HubClient, Route, tls_context
from exchange.node.identity import Identity


@dataclass(frozen=True)
class Waiting:
    """An application and what it lacks: (signed, needed) of officers and of sponsors; `fault` is a code or empty."""

    member: Member
    statement: Statement
    since: int
    digits: str
    officers: tuple[int, int]
    sponsors: tuple[int, int]
    fault: str


@dataclass(frozen=True)
class View:
    """An officer before the hub: its home, the replayed log and the connection."""

    home: OfficerHome
    directory: Directory
    hub: HubClient

    async def applications(self) -> list[Waiting]:
        """Everything that waits for signatures, by handle; what is no application is left out."""
        found = []
        for value in await self.hub.applications():
            try:
                found.append(self._waiting(value))
            except Rejected:
                continue  # the hub's mistake, and nothing anybody could sign
        return sorted(found, key=lambda one: one.member.handle)

    async def application(self, handle: str) -> Waiting:
        """The application of one member. Raises Refused application.unknown."""
        for one in await self.applications():
            if one.member.handle == handle:
                return one
        raise Refused("application.unknown")

    async def approve(self, waiting: Waiting) -> Submission:
        """Sign an application; the hub's verified answer. Raises what the hub refuses, Rejected submission.*"""
        officer = self.home.officer
        statement = Statement(waiting.statement.body).with_signature(officer.address, self.home.keys)
        digest = statement.hash(self.directory.net)
        answer = await self.hub.sign_application(
            waiting.member.handle, digest, signatures_json(statement.signatures)
        )
        signed = SignedSubmission.from_json(answer)
        return signed.verify(self.directory.net, self.directory.hub.keys.signing, statement=digest)

    def _waiting(self, value: Json) -> Waiting:
        fields = Fields(value, ("body", "member", "signatures", "since"), what="application")
        body = fields.binary("body")
        parsed = parse_body(body, self.directory.net)
        if not isinstance(parsed, Add) or parsed.member.handle != fields.text("member"):
            raise Rejected("directory.bad-statement", "not an application of that member")
        statement = Statement(body, read_signatures(fields))
        fault, officers, sponsors = "", (0, 0), (0, 0)
        try:
            self.directory.judge(statement, max(self.directory.at, real_sources().clock()))
        except Rejected as lack:
            fault = lack.code
            officers = lack.facts.get("officers", officers)
            sponsors = lack.facts.get("sponsors", sponsors)
        digits = member_digits(self.directory.net, parsed.member.handle, parsed.member.keys)
        return Waiting(parsed.member, statement, fields.integer("since"), digits, officers, sponsors, fault)


@asynccontextmanager
async def viewing(home: OfficerHome) -> AsyncIterator[View]:
    """The network now, for an officer who has signed its genesis.

    Raises Refused home.missing; Unavailable hub.*; Rejected directory.* when the log isn't the one it should be.
    """
    pinned = home.network()
    hub = pinned.value.hub
    identity = Identity(pinned.net, home.officer.address, home.keys)
    pem = ssl.DER_cert_to_PEM_cert(hub.ca) if hub.ca else None
    route = Route(origin=hub.address, tls=tls_context(ca=pem, extra_ca=None))
    async with HubClient(route, identity, real_sources()) as client:
        yield View(home, await _replayed(home, client), client)


async def _replayed(home: OfficerHome, client: HubClient) -> Directory:
    """The log up to the hub's newest checkpoint. Raises Rejected directory.rollback, directory.split, checkpoint.*"""
    pinned = home.network()
    signed = SignedCheckpoint.from_json(await client.checkpoint())
    checkpoint = signed.verify(pinned.net, pinned.value.hub.keys.signing)
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
    if checkpoint.size < pinned.size:
        raise Rejected("directory.rollback")
    if pinned.size and directory.root(pinned.size) != pinned.root:
        raise Rejected("directory.split", "the hub's log isn't the one this officer saw before")
    home.saw(checkpoint.size, checkpoint.root)
    return directory
