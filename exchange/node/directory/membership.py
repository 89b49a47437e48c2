"""Owns how a node becomes a member and helps others in: application, sponsoring, votes, the anchor (§9.4, §9.16).

What waits is read in directory/waiting.py, the checklist of a newcomer judged in checklist.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exchange.canonical import Json, sha256
from exchange.directory import onboarding
from exchange.directory.bodies import parse_body
from exchange.directory.bodies_base import Add, build_add
from exchange.directory.bodies_contacts import ContactPoint
from exchange.directory.bodies_members import build_recover, build_status
from exchange.directory.contacts import Contact
from exchange.directory.cosigning import check_seen
from exchange.directory.members import Member, Move, Status
from exchange.directory.network import member_of
from exchange.directory.statements import Statement, signatures_json
from exchange.directory.submission import SignedSubmission, Submission
from exchange.directory.waiting import (
    Application,
    Lack,
    Pending,
    application_hash,
    lack_of,
    read_application,
    read_pending,
    wants_member,
)
from exchange.errors import Refused, Rejected
from exchange.invitation import Invitation
from exchange.keys import PublicKey, digits, member_digits
from exchange.limits import DAY_MS
from exchange.node.directory import checklist
from exchange.node.directory.log_watch import OWN_NAME
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.store import directory as directory_rows
from exchange.node.store.drills import copies_to
from exchange.node.store.store import Store, Transaction, fact, forget_alarms, set_fact
from exchange.node.uplink.api import HubApi
from exchange.storage.local_cipher import LocalCipher

APPLICATION_LIFE_MS: Final = 60 * DAY_MS
STATEMENT_LIFE_MS: Final = 30 * DAY_MS
SALT_BYTES: Final = 16
CONFIRMED: Final = "anchor.confirmed"
APPLICATION: Final = "application"
DOCUMENT: Final = "application.document"
SALT: Final = "application.salt"
CHECKLIST: Final = "checklist"  # the ground that an `activate` names


@dataclass(frozen=True)
class Papers:
    """What an applicant brings: its document (§9.15; may be none), the SHA-256 of the accession agreement (or none).

    `founding`: it applies to be active at once, as one of those who begin the network.
    """

    document: bytes = b""
    agreement: bytes = b""
    founding: bool = False


class Membership:
    """Joining, and signing for others."""

    def __init__(self, store: Store, identity: Identity, replica: Replica, sources: Sources) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._sources = sources

    @property
    def address(self) -> str:
        """Who signs here."""
        return self._identity.address

    @property
    def agreement(self) -> bytes:
        """SHA-256 of the accession agreement that the network's policy names; empty for none."""
        return self._replica.directory.policy.agreement

    # -- a newcomer's own way -----------------------------------------------------------------------------------

    async def apply(
        self, hub: HubApi, invitation: Invitation, papers: Papers, *, revoke: PublicKey, next_: bytes
    ) -> Submission:
        """Fetch and pin the log, then hand in the application, signed with this node's keys.

        The same papers again are the same application again: officers may have signed it by now. Raises Rejected
        directory.* when the hub's log isn't the invitation's; Refused invitation.expired; what the hub refuses.
        """
        identity, now = self._identity, self._sources.clock()
        invitation.check_time(now)
        await self._replica.start(hub, least=(invitation.size, invitation.root))
        salt = self._sources.random(SALT_BYTES) if papers.document else b""
        member = Member(
            handle=identity.address,
            member_class=invitation.member_class,
            country=invitation.country,
            keys=identity.keys.public,
            revoke=revoke,
            next=next_,
            status=Status.ACTIVE if papers.founding else Status.PROVISIONAL,
            agreement=papers.agreement,
            application=application_hash(identity.net, salt, papers.document) if papers.document else b"",
        )
        body = build_add(net=identity.net, member=member, not_after=now + APPLICATION_LIFE_MS)
        ended = await self.own_application(hub)
        over = ended.statement.body if ended is not None and ended.ended else b""
        body, salt = await self._store.db.write(lambda c: self._once(c, papers, body, salt, over=over))
        statement = Statement(body).with_signature(identity.address, identity.keys)
        digest = statement.hash(identity.net)
        await self._note_own(digest, "identity")
        answer = await hub.post_application(statement.to_json(), document=papers.document, salt=salt)
        return self._verified(answer, digest)

    def _once(
        self, connection: Transaction, papers: Papers, body: bytes, salt: bytes, *, over: bytes
    ) -> tuple[bytes, bytes]:
        """Keep the application, or give the one kept before back while it is of the same papers and not over."""
        cipher, held = self._store.cipher, fact(connection, APPLICATION)
        if held and held != over and self._fits(connection, held, papers):
            return held, fact(connection, SALT) or b""
        set_fact(connection, APPLICATION, body)
        set_fact(connection, SALT, salt)
        set_fact(connection, DOCUMENT, cipher.seal("facts.value", DOCUMENT, papers.document))
        return body, salt

    def _fits(self, connection: Transaction, held: bytes, papers: Papers) -> bool:
        parsed = parse_body(held, self._identity.net)
        document = kept_document(connection, self._store.cipher)
        return (
            isinstance(parsed, Add)
            and parsed.head.not_after > self._sources.clock()
            and (document, parsed.member.agreement) == (papers.document, papers.agreement)
            and onboarding.is_founding(parsed.member) == papers.founding
        )

    async def own_application(self, hub: HubApi) -> Application | None:
        """This node's application as the hub shows it to its invitee, also when it has ended; None for none."""
        found = [one for one in await self._listed(hub) if one.member.handle == self._identity.address]
        return found[-1] if found else None

    async def withdraw(self, hub: HubApi, reason: str) -> None:
        """Take the application back. Raises Refused application.unknown; what the hub refuses."""
        await hub.end_application(self._identity.address, reason)

        def forget(connection: Transaction) -> None:
            for name in (APPLICATION, SALT, DOCUMENT):
                set_fact(connection, name, b"")

        await self._store.db.write(forget)

    async def recovery(
        self, hub: HubApi, invitation: Invitation, *, revoke: PublicKey, next_: bytes
    ) -> Statement:
        """The statement that gives this member, which has lost its keys, those of this home; officers hand it in.

        Fetches and pins the log first. What the member said under its former keys is no doing of this home, and no
        alarm. Raises as `apply`; Refused directory.unknown-member.
        """
        identity, now = self._identity, self._sources.clock()
        invitation.check_time(now)
        await self._replica.start(hub, least=(invitation.size, invitation.root))
        await self._store.db.write(lambda c: forget_alarms(c, OWN_NAME))
        self._replica.directory.member(identity.address)
        body = build_recover(
            net=identity.net,
            handle=identity.address,
            keys=identity.keys.public,
            next_keys=next_,
            revoke=revoke,
            after=self._replica.directory.last_hash(identity.address, "identity"),
            not_after=now + STATEMENT_LIFE_MS,
        )
        statement, _ = await self._signed(body, "recover")
        return statement

    # -- others who want in, or wait for signatures --------------------------------------------------------------

    async def applications(self, hub: HubApi) -> list[Application]:
        """Who wants in now, each with its document checked against its hash; what isn't an application is left out."""
        return [
            one
            for one in await self._listed(hub)
            if not one.ended and one.member.handle != self._identity.address
        ]

    async def application(self, hub: HubApi, handle: str) -> Application:
        """The one of a newcomer. Raises Refused application.unknown."""
        for one in await self.applications(hub):
            if one.member.handle == handle:
                return one
        raise Refused("application.unknown")

    async def _listed(self, hub: HubApi) -> list[Application]:
        found = []
        for value in await hub.applications():
            try:
                found.append(read_application(value, self._identity.net))
            except Rejected:
                continue  # the hub's mistake, and nothing anybody could sign
        return found

    async def pending(self, hub: HubApi) -> list[Pending]:
        """Every statement that waits for signatures, as far as it can be read."""
        found = []
        for value in await hub.pending():
            try:
                found.append(read_pending(value, self._identity.net))
            except Rejected:
                continue
        return found

    def wants_me(self, pending: Pending) -> bool:
        """Whether this member's signature is one that the statement needs."""
        return wants_member(self._replica.directory, pending, self._identity.address)

    def nominates(self, pending: Pending) -> ContactPoint | None:
        """The contact point for which this address is an authority that must sign and hasn't yet; else None."""
        directory, me, body = self._replica.directory, self._identity.address, pending.body
        if not isinstance(body, ContactPoint) or me in pending.statement.signers:
            return None
        known = member_of(pending.about) in directory.members
        return body if known and me in directory.who_nominates(body).authorities.values() else None

    def contact(self, address: str) -> Contact | None:
        """The contact point that stands at an address, None for none."""
        found = self._replica.directory.contacts.get(address)
        return None if found is None or found.ended else found

    def may_sponsor(self, application: Application) -> bool:
        """Whether this member's signature would help that newcomer in, and isn't there yet."""
        me = self._replica.directory.members.get(self._identity.address)
        return (
            me is not None
            and onboarding.may_sponsor(me)
            and me.country != application.member.country
            and me.handle not in application.statement.signers
        )

    def is_provisional(self, handle: str) -> bool:
        """Whether the log has that member, and as provisional."""
        member = self._replica.directory.members.get(handle)
        return member is not None and onboarding.is_provisional(member)

    async def look_ahead(self, hub: HubApi) -> None:
        """Judge from now on by the log as the hub shows it: in memory only, to tell people what is missing."""
        directory = self._replica.directory
        while page := await hub.leaves(directory.size):
            for leaf in page:
                directory.apply(leaf, now=None)

    def lack(self, statement: Statement) -> Lack:
        """What a statement still lacks, by this node's copy of the log."""
        return lack_of(self._replica.directory, statement, self._sources.clock())

    async def sponsor(self, hub: HubApi, application: Application) -> Submission:
        """Sign a newcomer's application as a sponsor. The person has compared its digits before.

        Raises what the hub refuses.
        """
        handle = application.member.handle
        statement, digest = await self._signed(application.statement.body, "sponsor")
        answer = await hub.sign_application(handle, digest, signatures_json(statement.signatures))
        return self._verified(answer, digest)

    async def vote(self, hub: HubApi, pending: Pending) -> Submission:
        """Sign a pending statement. For an `activate`, `ready` comes before.

        Raises as `cosigning.check_seen`; what the hub refuses.
        """
        check_seen(pending)
        statement, digest = await self._signed(pending.statement.body, "vote")
        answer = await hub.sign_pending(digest, signatures_json(statement.signatures))
        return self._verified(answer, digest)

    def checked(self, handle: str) -> tuple[checklist.Item, ...]:
        """The checklist of a provisional member as this node has seen it.

        Raises Refused directory.unknown-member, directory.wrong-status.
        """
        member = self._replica.directory.member(handle)
        if not onboarding.is_provisional(member):
            raise Refused("directory.wrong-status", f"{handle} is {member.status.value}")
        copies = self._store.db.read_sync(lambda c: copies_to(c, handle, since=member.since))
        return checklist.check(member, copies)

    def ready(self, handle: str) -> bytes:
        """The checklist's paper, all its items done. Raises Refused onboarding.checklist; as `checked`."""
        items = self.checked(handle)
        checklist.require(items)
        member = self._replica.directory.member(handle)
        return checklist.paper(member, self._identity.address, items, self._identity.net)

    async def activate(self, hub: HubApi, handle: str, paper: bytes) -> Submission:
        """Begin the statement that makes a provisional member active; `paper` is what `ready` gave.

        Raises what the hub refuses.
        """
        body = build_status(
            net=self._identity.net,
            handle=handle,
            move=Move.ACTIVATE,
            ground=CHECKLIST,
            document=sha256(paper),
            after=self._replica.directory.last_hash(handle, "status"),
            not_after=self._sources.clock() + STATEMENT_LIFE_MS,
        )
        statement, digest = await self._signed(body, "vote")
        return self._verified(await hub.post_statement(statement.to_json(), ()), digest)

    async def _signed(self, body: bytes, what: str) -> tuple[Statement, bytes]:
        """The body under this node's own signature alone, and its hash, noted as this node's doing first."""
        statement = Statement(body).with_signature(self._identity.address, self._identity.keys)
        digest = statement.hash(self._identity.net)
        await self._note_own(digest, what)
        return statement, digest

    async def _note_own(self, digest: bytes, what: str) -> None:
        now = self._sources.clock()
        await self._store.db.write(lambda c: directory_rows.add_own_statement(c, digest, what, now=now))

    def _verified(self, answer: Json, digest: bytes) -> Submission:
        key = self._replica.directory.hub.keys.signing
        return SignedSubmission.from_json(answer).verify(self._identity.net, key, statement=digest)

    def digits(self) -> str:
        """This member's digits, to be read out to a sponsor or officer."""
        return member_digits(self._identity.net, self._identity.address, self._identity.keys.public)


def kept_document(connection: Transaction, cipher: LocalCipher) -> bytes:
    """The document of this node's own application; empty for none, and once it has been published."""
    sealed = fact(connection, DOCUMENT)
    return cipher.open("facts.value", DOCUMENT, sealed) if sealed else b""


def confirm_anchor(store: Store, net: bytes, heard: str, *, now: int) -> None:
    """A person enters the network's digits as heard from a sponsor or officer. Raises Refused node.wrong-digits."""
    if "".join(heard.split()) != "".join(digits(net).split()):
        raise Refused("node.wrong-digits")
    store.db.write_sync(lambda c: set_fact(c, CONFIRMED, now))


def anchor_confirmed(store: Store) -> bool:
    """Whether somebody has compared the network's digits by voice."""
    return store.db.read_sync(lambda c: fact(c, CONFIRMED)) is not None
