"""Owns the parts of records beside the log: sealed at rest, and to whom this node has sent those of its own.

Which are kept, and who is entitled to which, is parts.py's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exchange.directory.contacts import SALT_BYTES, Part
from exchange.node.store import Transaction, sql
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


def count_unnamed(connection: Transaction) -> int:
    """How many parts of others wait for the log to name them."""
    row = sql(connection, "SELECT count(*) AS total FROM parts WHERE own = 0 AND named = 0").one()
    return int(row.total)


def set_named(connection: Transaction, hashes: Iterable[bytes]) -> None:
    """The log names these."""
    for digest in hashes:
        sql(connection, "UPDATE parts SET named = 1 WHERE hash = :hash AND named = 0", hash=digest)


def unname(connection: Transaction, *, now: int) -> None:
    """The log was cut: what it named waits to be named again, as if it had come now."""
    sql(connection, "UPDATE parts SET named = 0, at = :now WHERE named = 1", now=now)


def remove(connection: Transaction, cipher: LocalCipher, hashes: Iterable[bytes], *, now: int) -> None:
    """Forget parts, salt and all, also in the messages that carried them: the rows are overwritten (secure_delete).

    A copy on its way is given up: there is nothing left to seal again.
    """
    for digest in hashes:
        carried = sql(
            connection, "SELECT DISTINCT message_id FROM parts_sent WHERE hash = :hash", hash=digest
        )
        for message_id in [row.message_id for row in carried]:
            _blank(connection, cipher, message_id, now=now)
        sql(connection, "DELETE FROM parts WHERE hash = :hash", hash=digest)
        sql(connection, "DELETE FROM parts_sent WHERE hash = :hash", hash=digest)


def _blank(connection: Transaction, cipher: LocalCipher, message_id: str, *, now: int) -> None:
    sql(
        connection,
        "UPDATE addressees SET state = 'lost', code = 'directory.bad-part', ended_at = :now"
        " WHERE state NOT IN ('stored', 'lost') AND message_n = (SELECT n FROM messages WHERE id = :id)",
        id=message_id,
        now=now,
    )
    sql(
        connection,
        "UPDATE messages SET payload = :nothing WHERE id = :id",
        nothing=cipher.seal("messages.payload", message_id, b""),
        id=message_id,
    )


def sent(connection: Transaction) -> set[tuple[bytes, str]]:
    """Which part of this node's own went to whom, and was not lost or refused on the way."""
    rows = sql(
        connection,
        "SELECT s.hash, s.recipient FROM parts_sent s JOIN messages m ON m.id = s.message_id"
        " JOIN addressees a ON a.message_n = m.n AND a.recipient = s.recipient"
        " WHERE a.state NOT IN ('lost', 'rejected')",
    )
    return {(bytes(row.hash), row.recipient) for row in rows}


def set_sent(connection: Transaction, digest: bytes, recipient: str, message_id: str) -> None:
    """The part is queued for that recipient, in that message."""
    sql(
        connection,
        "INSERT INTO parts_sent VALUES (:hash, :recipient, :message_id)"
        " ON CONFLICT (hash, recipient) DO UPDATE SET message_id = excluded.message_id",
        hash=digest,
        recipient=recipient,
        message_id=message_id,
    )


def unset_sent(connection: Transaction, digest: bytes, recipient: str) -> None:
    """The recipient may hold the part no longer and forgets it: entitled anew, it is sent it anew."""
    sql(
        connection,
        "DELETE FROM parts_sent WHERE hash = :hash AND recipient = :recipient",
        hash=digest,
        recipient=recipient,
    )


def unset_all_sent(connection: Transaction, recipient: str) -> None:
    """The recipient was restored from an old copy, and may lack what it was sent (docs/protocol.md §6.4)."""
    sql(connection, "DELETE FROM parts_sent WHERE recipient = :recipient", recipient=recipient)


def _part(digest: bytes, address: str, level: str, sealed: bytes, cipher: LocalCipher) -> Part:
    plain = cipher.open(_KIND, bytes(digest).hex(), bytes(sealed))
    return Part(address, level, plain[:SALT_BYTES], plain[SALT_BYTES:])
