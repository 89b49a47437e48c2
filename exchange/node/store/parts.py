"""Owns the parts of records beside the log: sealed at rest, and to whom this node has sent those of its own.

Which are kept, and who is entitled to which, is parts.py's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exchange.directory.contacts import SALT_BYTES, Part
from exchange.node.store.store import Transaction, sql
from exchange.storage.local_cipher import LocalCipher

_KIND = "parts.content"


@dataclass(frozen=True)
class Kept:
    """A part's row without its content. `own`: made here; `named`: the log has named it; `at`: when it came (ms)."""

    hash: bytes
    address: str
    level: str
    own: bool
    named: bool
    at: int


def add(
    connection: Transaction, cipher: LocalCipher, digest: bytes, part: Part, *, own: bool, now: int
) -> None:
    """Keep a part whose hash is `digest`; once."""
    sql(
        connection,
        "INSERT INTO parts (hash, address, level, content, own, at)"
        " VALUES (:hash, :address, :level, :content, :own, :now) ON CONFLICT (hash) DO NOTHING",
        hash=digest,
        address=part.address,
        level=part.level,
        content=cipher.seal(_KIND, digest.hex(), part.salt + part.body),
        own=int(own),
        now=now,
    )


def kept(connection: Transaction) -> list[Kept]:
    """Every part that is held, in order of its hash."""
    rows = sql(connection, "SELECT hash, address, level, own, named, at FROM parts ORDER BY hash")
    return [
        Kept(bytes(row.hash), row.address, row.level, bool(row.own), bool(row.named), row.at) for row in rows
    ]


def all_parts(connection: Transaction, cipher: LocalCipher) -> list[Part]:
    """Every part that is held, in order of address and level; which of them the log names is for the reader to see."""
    rows = sql(connection, "SELECT hash, address, level, content FROM parts ORDER BY address, level, hash")
    return [_part(row.hash, row.address, row.level, row.content, cipher) for row in rows]


def content(connection: Transaction, cipher: LocalCipher, digest: bytes) -> Part | None:
    """The part with that hash, None if it isn't held."""
    row = sql(connection, "SELECT address, level, content FROM parts WHERE hash = :hash", hash=digest).first()
    return None if row is None else _part(digest, row.address, row.level, row.content, cipher)


def set_named(connection: Transaction, hashes: Iterable[bytes]) -> None:
    """The log names these."""
    for digest in hashes:
        sql(connection, "UPDATE parts SET named = 1 WHERE hash = :hash AND named = 0", hash=digest)


def unname(connection: Transaction, *, now: int) -> None:
    """The log was cut: what it named waits to be named again, as if it had come now."""
    sql(connection, "UPDATE parts SET named = 0, at = :now WHERE named = 1", now=now)


def remove(connection: Transaction, digest: bytes) -> None:
    """Forget a part, salt and all: the rows are overwritten (secure_delete)."""
    sql(connection, "DELETE FROM parts WHERE hash = :hash", hash=digest)
    sql(connection, "DELETE FROM parts_sent WHERE hash = :hash", hash=digest)


def carried(connection: Transaction, digest: bytes) -> list[str]:
    """The ids of all messages of this node that have carried the part."""
    rows = sql(connection, "SELECT DISTINCT message_id FROM parts_sent WHERE hash = :hash", hash=digest)
    return [row.message_id for row in rows]


def sent(connection: Transaction, *, again_before: int) -> dict[tuple[bytes, str], str]:
    """Which part of this node's own went to whom, by which message.

    Without those that were refused or lost and went out before `again_before` (ms).
    """
    rows = sql(
        connection,
        "SELECT s.hash, s.recipient, s.message_id FROM parts_sent s JOIN messages m ON m.id = s.message_id"
        " JOIN addressees a ON a.message_n = m.n AND a.recipient = s.recipient"
        " WHERE s.current = 1 AND (a.state NOT IN ('lost', 'rejected') OR s.at > :before)",
        before=again_before,
    )
    return {(bytes(row.hash), row.recipient): row.message_id for row in rows}


def set_sent(connection: Transaction, digest: bytes, recipient: str, message_id: str, *, now: int) -> None:
    """The part is queued for that recipient, in that message."""
    unset_sent(connection, digest, recipient)
    sql(
        connection,
        "INSERT INTO parts_sent (hash, recipient, message_id, at) VALUES (:hash, :recipient, :message_id, :now)",
        hash=digest,
        recipient=recipient,
        message_id=message_id,
        now=now,
    )


def unset_sent(connection: Transaction, digest: bytes, recipient: str) -> None:
    """The recipient may hold the part no longer and forgets it: entitled anew, it is sent it anew."""
    sql(
        connection,
        "UPDATE parts_sent SET current = 0 WHERE hash = :hash AND recipient = :recipient",
        hash=digest,
        recipient=recipient,
    )


def unset_sent_to_all(connection: Transaction, digest: bytes) -> None:
    """The log names the part no longer, for now: whoever has it may drop it before it is named again."""
    sql(connection, "UPDATE parts_sent SET current = 0 WHERE hash = :hash", hash=digest)


def unset_all_sent(connection: Transaction, recipient: str) -> None:
    """The recipient was restored from an old copy, and may lack what it was sent (docs/protocol.md §6.4)."""
    sql(connection, "UPDATE parts_sent SET current = 0 WHERE recipient = :recipient", recipient=recipient)


def _part(digest: bytes, address: str, level: str, sealed: bytes, cipher: LocalCipher) -> Part:
    plain = cipher.open(_KIND, bytes(digest).hex(), bytes(sealed))
    return Part(address, level, plain[:SALT_BYTES], plain[SALT_BYTES:])
