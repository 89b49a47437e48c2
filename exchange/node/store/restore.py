"""What a node's database knows that must outlive it beside a backup, and what a restored one is told.

Owns both. Erasing itself is store/erasing.py's, holds are store/holds.py's; how they travel is backup.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import orjson
from sqlalchemy import Connection

from exchange.errors import Refused
from exchange.node.store import (
    attachments as store_attachments,
    outbox as store_outbox,
    sealings as store_sealings,
)
from exchange.node.store.erasing import id_hash, replay
from exchange.node.store.holds import Hold as LegalHold, add_hold, holds, release_hold
from exchange.node.store.store import MIGRATIONS, set_fact, sql
from exchange.storage.database import Database
from exchange.storage.local_cipher import LocalCipher

LAST: Final = "backup.last"  # UTC ms of the newest backup of this home
MOST_ERASED: Final = 65_536  # newest ones that are carried on; a backup itself has them all
MOST_HOLDS: Final = 10_000


def mark_restored(path: Path, facts: Mapping[str, bytes | int]) -> int:
    """Note facts in the database of a home that is being restored, and bring it to this program's schema.

    How many attachments lay in the home and are in no backup: they can be fetched again, as long as the hub has them.
    Needs no key. Raises as Database.open.
    """
    db = Database.open(path, migrations=MIGRATIONS, app="node")
    try:
        for name, value in facts.items():
            db.write_sync(partial(set_fact, name=name, value=value))
        return db.write_sync(store_attachments.forget_files)
    finally:
        db.close_sync()


def erasures(connection: Connection, cipher: LocalCipher) -> bytes:
    """The newest erasures and all legal holds, for a backup older than they are; holds in clear."""
    rows = sql(
        connection,
        "SELECT id_hash, payload_hash, at, rule, forget_at FROM erased ORDER BY at DESC LIMIT :limit",
        limit=MOST_ERASED,
    )
    erased = [
        [bytes(row.id_hash).hex(), bytes(row.payload_hash).hex(), row.at, row.rule, row.forget_at]
        for row in rows
    ]
    held = [
        [one.kind, one.subject, one.reason, one.at, one.who, one.released_at, one.released_by]
        for one in reversed(holds(connection, cipher, limit=MOST_HOLDS))
    ]
    return orjson.dumps({"erased": erased, "holds": held})


def replay_erasures(connection: Connection, cipher: LocalCipher, data: bytes, *, now: int) -> int:
    """Do again what `erasures` says on a copy that doesn't know it: holds first; how many messages were erased.

    What came, and was erased, only after the copy was made is known again when a peer sends it once more.
    Raises Refused backup.damaged.
    """
    try:
        value = orjson.loads(data)
        erased = [
            (bytes.fromhex(one), bytes.fromhex(payload), int(at), str(rule), int(until))
            for one, payload, at, rule, until in value["erased"]
        ]
        held = [LegalHold(0, *one) for one in value["holds"]]
    except (ValueError, KeyError, TypeError) as fault:
        raise Refused("backup.damaged", "its list of erasures can't be read") from fault
    _hold_again(connection, cipher, held)
    for id_hash_, payload_hash, at, rule, forget_at in erased:
        sql(
            connection,
            "INSERT INTO erased VALUES (:id_hash, :payload_hash, :at, :rule, :forget_at) ON CONFLICT DO NOTHING",
            id_hash=id_hash_,
            payload_hash=payload_hash,
            at=at,
            rule=rule,
            forget_at=forget_at,
        )
    wanted = frozenset((one[0], one[1]) for one in erased)
    _end(connection, cipher, frozenset(one for one, _ in wanted), now=now)
    return replay(connection, cipher, wanted, now=now)


def _hold_again(connection: Connection, cipher: LocalCipher, held: list[LegalHold]) -> None:
    """Holds, oldest first: those the copy hasn't, and the end of those that it has as standing."""
    known = {(one.kind, one.subject, one.at): one for one in holds(connection, cipher, limit=MOST_HOLDS)}
    for one in held:
        here = known.get((one.kind, one.subject, one.at))
        if here is None:
            add_hold(
                connection,
                cipher,
                kind=one.kind,
                subject=one.subject,
                reason=one.reason,
                who=one.who,
                at=one.at,
            )
        if one.released_at is not None and (here is None or here.released_at is None):
            release_hold(
                connection, kind=one.kind, subject=one.subject, who=one.released_by, at=one.released_at
            )


def _end(connection: Connection, cipher: LocalCipher, wanted: frozenset[bytes], *, now: int) -> None:
    """What is to be erased isn't under way any more, though this copy believes so."""
    for row in sql(connection, "SELECT id FROM messages WHERE type = 'stix' AND erased_at IS NULL").all():
        if (
            id_hash("", row.id) not in wanted
            or (found := store_outbox.find(connection, cipher, row.id)) is None
        ):
            continue
        for copy in store_outbox.addressees(connection, cipher, found[0]):
            if copy.state not in store_outbox.ENDED:
                store_outbox.set_ended(
                    connection, found[0], copy.recipient, store_outbox.LOST, "sender.restored", at=now
                )
                if copy.env:
                    store_sealings.set_voided(connection, copy.env)
