"""Mail of a furnished home (furnished.py): put into its inbox as if it had come, or into its outbox past the policy."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from exchange.canonical import sha256, unb64
from exchange.cli.call import now_ms
from exchange.formats.stix.cover import compose
from exchange.limits import DAY_MS
from exchange.message import Author, Draft, Message, Urgency, member_identity_id
from exchange.node.home import open_home
from exchange.node.store import inbox as store_inbox, outbox as store_outbox
from exchange.node.store.inbox import Received
from exchange.node.store.outbox import Outgoing
from exchange.node.store.store import Store
from exchange.storage.unlock import Unlock
from exchange.tlp import Tlp

CO = "co-csirt"  # whose home it is
_numbers = itertools.count(1)


class Mailbox:
    """The mail of co's home in `folder`."""

    def __init__(self, folder: Path) -> None:
        home = open_home(folder / "co", Unlock.key_file(folder / "key"))
        self.store: Store = home.open_store(owner=False)
        self._network = uuid.UUID(bytes=unb64(home.settings.net, size=32, field="net")[:16])

    def written(self, sender: str, **fields: Any) -> Message:
        """A message of a member's, an alert unless `fields` of its draft say otherwise."""
        draft = Draft(
            id=str(uuid.uuid4()),
            kind="alert",
            case_id="case-1",
            urgency=Urgency.ROUTINE,
            tlp=Tlp.GREEN,
            subject="Scanners",
            created=now_ms(),
        )
        since = now_ms() - DAY_MS
        author = Author(id=member_identity_id(self._network, sender), name=sender, created=since)
        return compose(replace(draft, **fields), author, [])

    def came(self, sender: str, *, marks: Sequence[str] = (), payload: bytes = b"", **fields: Any) -> str:
        """One has come; its id. `payload`: its bytes, where they are to be other ones than we write."""
        message = self.written(sender, **fields)
        data, env = payload or message.bundle, sha256(f"envelope {next(_numbers)}".encode())
        summary = {"kind": message.kind, "tlp": message.tlp.label, "case": message.case_id}
        summary |= {"subject": message.subject, "exercise": message.exercise_id}
        received = Received(
            n=0,
            sender=sender,
            message_id=message.id,
            type="stix",
            lane=message.urgency.value,
            created=message.created,
            expires=message.created + DAY_MS,
            received_at=message.created,
            marks=frozenset(marks),
            conflict=False,
            env=env,
            payload=data,
            summary=summary,
        )
        self.store.db.write_sync(lambda c: store_inbox.add(c, self.store.cipher, [(received, sha256(data))]))
        return message.id

    def went(self, *to: str, separate: bool = False, **fields: Any) -> str:
        """One that this home sent; its id."""
        message = self.written(CO, **fields)
        outgoing = Outgoing(
            id=message.id,
            type="stix",
            lane=message.urgency.value,
            created=message.created,
            expires=message.created + DAY_MS,
            payload=message.bundle,
            separate=separate,
        )
        self.store.db.write_sync(
            lambda c: store_outbox.add(c, self.store.cipher, outgoing, to, now=message.created)
        )
        return message.id

    def outgoing(self, message_id: str) -> Outgoing:
        """What lies in the outbox under that id."""
        found = self.store.db.read_sync(lambda c: store_outbox.find(c, self.store.cipher, message_id))
        assert found is not None
        return found[1]

    def answered(self, message_id: str, recipient: str, level: str, *, person: str, note: str) -> None:
        """That somebody at an addressee has answered what was sent."""

        def write(connection: Any) -> None:
            found = store_outbox.find(connection, self.store.cipher, message_id)
            assert found is not None
            store_outbox.set_human(
                connection,
                self.store.cipher,
                found[0],
                recipient,
                level,
                person=person,
                note=note,
                at=now_ms(),
            )

        self.store.db.write_sync(write)

    def ended(self, message_id: str, recipient: str, state: str) -> None:
        """That a copy of what was sent has ended so."""

        def write(connection: Any) -> None:
            found = store_outbox.find(connection, self.store.cipher, message_id)
            assert found is not None
            store_outbox.set_ended(connection, found[0], recipient, state, "", at=now_ms())

        self.store.db.write_sync(write)
