"""Owns how this node writes a message by itself, without a person at the keyboard: the secretariat's mail.

What it says and to whom is its caller's business, who may be sent what `policy`'s.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

from exchange import policy
from exchange.directory.network import member_of
from exchange.directory.state import Directory
from exchange.errors import Refused
from exchange.formats.objects import RawObject
from exchange.formats.stix.cover import compose
from exchange.limits import DAY_MS
from exchange.message import Author, Draft, Urgency, member_identity_id
from exchange.node.identity import Identity, Sources
from exchange.node.store.outbox import Outgoing
from exchange.phrases.letters import Letter
from exchange.tlp import Tlp

LIFE_MS: Final = 30 * DAY_MS  # of a message: so long it is sealed again if need be


class Writer:
    """Writes as this node's member, on the directory as it is now."""

    def __init__(self, directory: Directory, identity: Identity, sources: Sources) -> None:
        self.directory = directory
        self._identity = identity
        self._sources = sources

    @property
    def now(self) -> int:
        """This node's clock, UTC ms."""
        return self._sources.clock()

    def new_id(self) -> str:
        """For a message."""
        return self._sources.new_id()

    def identity_of(self, name: str) -> str:
        """The id of a STIX identity of that name in the network's namespace."""
        return member_identity_id(uuid.UUID(bytes=self._identity.net[:16]), name)

    def message(
        self,
        kind: str,
        letter: Letter,
        *,
        urgency: Urgency = Urgency.ROUTINE,
        tlp: Tlp = Tlp.GREEN,
        objects: Sequence[RawObject] = (),
        message_id: str | None = None,
        case: str | None = None,
        separate: bool = False,
        **fields: Any,  # of a Draft
    ) -> Outgoing:
        """A message ready for the outbox; without `case` it begins one. Raises Refused as `compose`."""
        own, now = message_id or self.new_id(), self.now
        handle = member_of(self._identity.address)
        draft = Draft(
            id=own,
            kind=kind,
            case_id=case or self.first_case(own),
            urgency=urgency,
            tlp=tlp,
            subject=letter.subject,
            text=letter.text,
            lang=letter.language,
            created=now,
            **fields,
        )
        since = self.directory.member(handle).since
        author = Author(id=self.identity_of(handle), name=handle, created=since)
        bundle = compose(draft, author, objects).bundle
        expires = draft.expires or now + LIFE_MS
        return Outgoing(own, "stix", urgency.value, now, expires, bundle, separate=separate)

    def first_case(self, message_id: str) -> str:
        """The case that a message begins which names none."""
        return f"{member_of(self._identity.address)}-{message_id[:8]}"

    def check_send(self, recipients: Sequence[str], *, tlp: Tlp, lane: str, anchor_confirmed: bool) -> None:
        """May these be sent that? Raises Refused as policy.check_send."""
        policy.check_send(
            tlp=tlp,
            lane=lane,
            sender=self._identity.address,
            recipients=recipients,
            anchor_confirmed=anchor_confirmed,
            directory=self.directory,
        )

    def reachable(self, recipients: Iterable[str], *, tlp: Tlp, lane: str) -> list[str]:
        """Those of `recipients`, each once, who may be sent that now; never this node itself."""
        found = []
        for one in sorted(set(recipients) - {self._identity.address}):
            try:
                self.check_send([one], tlp=tlp, lane=lane, anchor_confirmed=False)
            except Refused:
                continue
            found.append(one)
        return found
