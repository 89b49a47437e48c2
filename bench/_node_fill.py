"""Mail in a node's inbox, put there through its store: for long runs that want a node with many messages.

Each message is an alert of its own with one indicator, as the sender's node writes it; nothing was sealed or sent.
"""

from __future__ import annotations

import uuid
from functools import partial
from pathlib import Path
from typing import Final

from exchange.canonical import sha256
from exchange.demo.network import CO
from exchange.formats.stix.cover import compose
from exchange.formats.stix.read import object_of
from exchange.limits import DAY_MS
from exchange.message import Author, Draft, Kind, Urgency, member_identity_id
from exchange.node.store import inbox as store_inbox
from exchange.node.store.store import Store, Transaction, open_store
from exchange.tlp import Tlp

LIFE_MS: Final = 365 * DAY_MS
BATCH: Final = 1_000  # messages in a transaction
_MESSAGE: Final = uuid.UUID("00000000-0000-4000-8000-000000000001")
_INDICATOR: Final = uuid.UUID("00000000-0000-4000-8000-000000000002")
_SINCE: Final = "2026-11-03T06:40:00.000Z"


def fill(path: Path, key: bytes, first: int, end: int, now: int) -> None:
    """Messages numbered from `first` to before `end`, into the database of a node that is down; `now` in UTC ms."""
    store, bundle = open_store(path, key, owner=True), _bundle(now)
    for start in range(first, end, BATCH):
        store.db.write_sync(
            partial(_add, store=store, bundle=bundle, numbers=range(start, min(start + BATCH, end)), now=now)
        )
    store.db.close_sync()


def _bundle(now: int) -> bytes:
    indicator = object_of(
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--{_INDICATOR}",
            "created": _SINCE,
            "modified": _SINCE,
            "pattern": "[domain-name:value = 'c2.example.com']",
            "pattern_type": "stix",
            "valid_from": _SINCE,
        }
    )
    draft = Draft(
        id=str(_MESSAGE),
        kind=Kind.ALERT,
        case_id="co-1",
        urgency=Urgency.ROUTINE,
        tlp=Tlp.GREEN,
        subject="A small message",
        created=now,
    )
    author = Author(id=member_identity_id(uuid.UUID(int=0), CO), name=CO, created=now)
    return compose(draft, author, [indicator]).bundle


def _add(connection: Transaction, store: Store, bundle: bytes, numbers: range, now: int) -> None:
    messages = []
    for number in numbers:
        env = sha256(b"message %d" % number)
        # random-looking, as ids are: what is looked up by them lies anywhere in an index
        id_ = str(uuid.UUID(bytes=env[:16], version=4))
        other = str(uuid.UUID(bytes=env[16:], version=4))
        payload = bundle.replace(str(_MESSAGE).encode(), id_.encode())
        message = store_inbox.Received(
            n=0,
            sender=CO,
            message_id=id_,
            type="stix",
            lane="routine",
            created=now,
            expires=now + LIFE_MS,
            received_at=now,
            marks=frozenset(),
            conflict=False,
            env=env,
            payload=payload.replace(str(_INDICATOR).encode(), other.encode()),
            summary={"subject": f"Message {number}", "kind": "alert", "tlp": "green", "supersedes": None},
        )
        messages.append((message, env))
    store_inbox.add(connection, store.cipher, messages)
