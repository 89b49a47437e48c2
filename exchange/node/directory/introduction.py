"""Owns a newcomer's first word about itself: once admitted, its node publishes a record from its application (§9.15).

The application lies at the hub no longer by then. What is said later, and by whom, is registration.py's.
"""

from __future__ import annotations

from collections.abc import Mapping

from exchange.directory.contacts import PUBLIC
from exchange.directory.records import MAX_DOCUMENT, Application, MembersRecord, PublicRecord, read, to_bytes
from exchange.directory.submission import Submission
from exchange.node.directory.membership import DOCUMENT, kept_document
from exchange.node.directory.registration import Registration
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity
from exchange.node.store.store import Store, set_fact
from exchange.node.uplink.api import HubApi


class Introduction:
    """Publishes the first record; the application's document is forgotten then."""

    def __init__(
        self, store: Store, identity: Identity, replica: Replica, registration: Registration
    ) -> None:
        self._store = store
        self._me = identity.address
        self._replica = replica
        self._registration = registration

    async def publish(self, hub: HubApi) -> Submission | None:
        """Do it if it is due; the hub's answer. Raises what the hub answers: tried again with the next pass."""
        if not self._replica.is_member() or self._me not in self._replica.directory.members:
            return None
        document = await self._store.db.read(lambda c: kept_document(c, self._store.cipher))
        if not document:
            return None
        submission = None
        if self._me not in self._replica.directory.records and (bodies := first_record(document)):
            submission = await self._registration.publish_record(hub, bodies)
        await self._store.db.write(lambda c: set_fact(c, DOCUMENT, b""))
        return submission


def first_record(document: bytes) -> Mapping[str, bytes]:
    """What an application says that a record says too, by level; empty for a document that names nobody."""
    said = read(Application, document, most=MAX_DOCUMENT)
    if said is None or not said.name_official:
        return {}
    public = PublicRecord(
        name_official=said.name_official,
        name_short=said.name_short,
        constituency_text=said.constituency_text,
        languages=said.languages,
        timezone=said.timezone,
    )
    members = MembersRecord(legal_basis=said.legal_basis, nominating_authority=said.nominating_authority)
    return {PUBLIC: to_bytes(public), "members": to_bytes(members)}
