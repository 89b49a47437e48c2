"""Owns what a peer's control messages change here (docs/protocol.md §5): statuses, voids; others are handed on.

Questions go to answers.py, parts to parts.py, notices to notices.py, inquiries to disclosures.py. A peer has a say over
its own copies of our mail and over the numbers of its own chains, and over nothing else.
"""

from __future__ import annotations

from typing import Final

from exchange.canonical import unb64
from exchange.content import Control, Missing, Notice, PartNote, Restored, Status, Void
from exchange.disclosure import DisclosureInquiry, DisclosureRecord
from exchange.envelope import Opened
from exchange.errors import Rejected
from exchange.limits import DAY_MS
from exchange.node.directory.notices import Notices, Step
from exchange.node.directory.parts import Parts
from exchange.node.doors.disclosures import Disclosures
from exchange.node.identity import Sources
from exchange.node.mail.answers import Answers
from exchange.node.store import links, outbox as store_outbox, restored as store_restored, sealings
from exchange.node.store.store import Store, Transaction, raise_alarm

# What counts whoever sends it: a part by the log's hash, a notice by its own signatures (a checkpoint is sync.py's).
PROVES_ITSELF: Final = (PartNote, Notice)
LOST: Final = "inbox.lost"


class ControlMessages:
    """Takes control messages, inside the transaction that takes the envelope."""

    def __init__(
        self,
        store: Store,
        *,
        answers: Answers,
        parts: Parts,
        notices: Notices,
        disclosures: Disclosures,
        sources: Sources,
    ) -> None:
        self._store = store
        self._answers = answers
        self._parts = parts
        self._notices = notices
        self._disclosures = disclosures
        self._sources = sources

    def prepare(self, opened: Opened, control: Control) -> Step:
        """What the sender of that envelope says or asks, to be done in the transaction that takes it.

        Only under a key that is the sender's, unless it is of PROVES_ITSELF.
        """
        if isinstance(control, PartNote):
            return self._parts.prepare(opened.header.sender, control)
        if isinstance(control, Notice):
            return self._notices.prepare(opened.header.sender, control)
        return lambda connection: self._take(connection, opened, control)

    async def resume(self) -> int:
        """Do for restored peers what had to wait for another day; for how many."""
        if not await self._store.db.read(store_restored.owed):
            return 0

        def write(connection: Transaction) -> int:
            peers = self._answers.resume(connection)
            for peer in peers:
                self._parts.restored(connection, peer)
            return len(peers)

        return await self._store.db.write(write)

    def _take(self, connection: Transaction, opened: Opened, control: Control) -> None:
        """As far as it concerns the sender's own mail, or ours to it."""
        sender, message_id = opened.header.sender, opened.meta.id
        if isinstance(control, Status):
            self._status(connection, sender, control)
        elif isinstance(control, Missing):
            self._answers.missing(connection, sender, control)
        elif isinstance(control, Restored):
            if self._answers.restored(connection, sender, message_id, control):
                self._parts.restored(connection, sender)
        elif isinstance(control, Void):
            self._void(connection, sender, control)
        elif isinstance(control, DisclosureInquiry):
            self._disclosures.answer(connection, sender, message_id, control)
        elif isinstance(control, DisclosureRecord):
            self._disclosures.take(connection, opened, control)

    def _void(self, connection: Transaction, sender: str, void: Void) -> None:
        """A message that its sender gives up is news for its readers too, once a day for a sender."""
        env, now = void.sealing.env, self._sources.clock()
        was_missing = links.close_number(connection, sender, void.lane, void.sealing.seq)
        is_new = links.add_void(connection, sender, env, void.why)
        if void.is_loss and (was_missing or (is_new and not links.is_known(connection, env))):
            key = f"{LOST}/{sender}/{now // DAY_MS}"
            raise_alarm(connection, key=key, at=now, code=LOST, subject=sender)

    def _status(self, connection: Transaction, sender: str, status: Status) -> None:
        if status.level == "rejected":
            self._reason(connection, sender, status)
            return
        found = store_outbox.find(connection, self._store.cipher, status.of)
        if found is None or found[1].type != "stix":
            return  # of no message of ours, or of one that earns no status
        store_outbox.set_human(
            connection,
            self._store.cipher,
            found[0],
            sender,
            status.level,
            person=status.person,
            note=status.note,
            at=min(status.at, self._sources.clock()),  # a peer may write what it likes
        )

    def _reason(self, connection: Transaction, sender: str, status: Status) -> None:
        """A rejection names the envelope, since its reader may not have come as far as the message's id (§5)."""
        try:
            env = unb64(status.note, size=32, field="note")
        except Rejected:
            return
        sealing = sealings.get(connection, env)
        if sealing is not None and sealings.link_of(connection, env, sender) is not None:
            store_outbox.set_reason(connection, sealing.message_n, sender, status.code)
