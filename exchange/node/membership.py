"""Owns how a node becomes a member and helps others in: application, sponsoring, the anchor's digits (§9.4, §10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchange.canonical import Fields, Json
from exchange.directory.bodies import parse_body
from exchange.directory.bodies_base import Add, build_add
from exchange.directory.members import Member
from exchange.directory.statements import Statement, read_signatures, signatures_json
from exchange.directory.submission import SignedSubmission, Submission
from exchange.errors import Refused, Rejected
from exchange.invitation import Invitation
from exchange.keys import PublicKey, digits, member_digits
from exchange.limits import DAY_MS
from exchange.node import store_directory as directory_rows
from exchange.node.directory_sync import Replica
from exchange.node.hub_api import HubApi
from exchange.node.identity import Identity, Sources
from exchange.node.store import Store, Transaction, fact, set_fact

APPLICATION_LIFE_MS: Final = 60 * DAY_MS
CONFIRMED: Final = "anchor.confirmed"


@dataclass(frozen=True)
class Application:
    """Somebody who wants in: the statement so far, who has signed it, and the digits to compare by voice."""

    member: Member
    statement: Statement
    digits: str
    since: int


class Membership:
    """Joining, and sponsoring others."""

    def __init__(self, store: Store, identity: Identity, replica: Replica, sources: Sources) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._sources = sources

    async def apply(
        self, hub: HubApi, invitation: Invitation, *, revoke: PublicKey, next_: bytes
    ) -> Submission:
        """Fetch and pin the log, then hand in the application, signed with this node's keys.

        Raises Rejected directory.* when the hub's log isn't the invitation's; Refused invitation.expired; what the
        hub refuses.
        """
        identity, now = self._identity, self._sources.clock()
        if invitation.expires <= now:
            raise Refused("invitation.expired")
        await self._replica.start(hub, least=(invitation.size, invitation.root))
        body = build_add(
            net=identity.net,
            member=Member(
                handle=identity.address,
                member_class=invitation.member_class,
                country=invitation.country,
                keys=identity.keys.public,
                revoke=revoke,
                next=next_,
            ),
            not_after=now + APPLICATION_LIFE_MS,
        )
        # An application handed in before is handed in again, the very same: officers may have signed it by now.
        body = await self._store.db.write(lambda c: _once(c, "application", body))
        statement = Statement(body).with_signature(identity.address, identity.keys)
        digest = statement.hash(identity.net)
        await self._store.db.write(lambda c: directory_rows.add_own_statement(c, digest, "identity", now=now))
        answer = SignedSubmission.from_json(await hub.post_application(statement.to_json()))
        return answer.verify(identity.net, self._replica.directory.hub.keys.signing, statement=digest)

    async def applications(self, hub: HubApi) -> list[Application]:
        """Who wants in now, each checked for form; what isn't an application is left out."""
        found = []
        for value in await hub.applications():
            try:
                found.append(self._application(value))
            except Rejected:
                continue  # the hub's mistake, and nothing anybody could sign
        return found

    def _application(self, value: Json) -> Application:
        fields = Fields(value, ("body", "member", "signatures", "since"), what="application")
        body = fields.binary("body")
        parsed = parse_body(body, self._identity.net)
        if not isinstance(parsed, Add) or parsed.member.handle != fields.text("member"):
            raise Rejected("directory.bad-statement", "not an application of that member")
        statement = Statement(body, read_signatures(fields))
        spoken = member_digits(self._identity.net, parsed.member.handle, parsed.member.keys)
        return Application(parsed.member, statement, spoken, fields.integer("since"))

    async def sponsor(self, hub: HubApi, handle: str) -> Submission:
        """Sign a newcomer's application as a sponsor. The person has compared its digits before.

        Raises Refused application.unknown; what the hub refuses.
        """
        application = next((one for one in await self.applications(hub) if one.member.handle == handle), None)
        if application is None:
            raise Refused("application.unknown")
        identity = self._identity
        statement = Statement(application.statement.body).with_signature(identity.address, identity.keys)
        digest = statement.hash(identity.net)
        now = self._sources.clock()
        await self._store.db.write(lambda c: directory_rows.add_own_statement(c, digest, "sponsor", now=now))
        answer = await hub.sign_application(handle, digest, signatures_json(statement.signatures))
        signed = SignedSubmission.from_json(answer)
        return signed.verify(identity.net, self._replica.directory.hub.keys.signing, statement=digest)

    def digits(self) -> str:
        """This member's digits, to be read out to a sponsor or officer."""
        return member_digits(self._identity.net, self._identity.address, self._identity.keys.public)


def confirm_anchor(store: Store, net: bytes, heard: str, *, now: int) -> None:
    """A person enters the network's digits as heard from a sponsor or officer. Raises Refused node.wrong-digits."""
    if "".join(heard.split()) != "".join(digits(net).split()):
        raise Refused("node.wrong-digits")
    store.db.write_sync(lambda c: set_fact(c, CONFIRMED, now))


def anchor_confirmed(store: Store) -> bool:
    """Whether somebody has compared the network's digits by voice."""
    return store.db.read_sync(lambda c: fact(c, CONFIRMED)) is not None


def _once(connection: Transaction, name: str, value: bytes) -> bytes:
    stored = fact(connection, name)
    if stored is None:
        set_fact(connection, name, value)
    return value if stored is None else stored
