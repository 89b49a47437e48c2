"""Which sealed attachments the hub keeps, whose they are, and who may have them (docs/protocol.md §11.14).

Owns these tables; the bytes lie in files (store/blob_files.py), one a row, named by its number. Rows go first, then
files: what a crash leaves between the two is a file that no row names.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, text

from exchange.attachment import Blob
from exchange.errors import Refused, Rejected
from exchange.limits import BLOB_KEPT_MS

FORGET_BLOBS = 64  # in one transaction: others must get their turn


@dataclass(frozen=True)
class Stored:
    """A blob at the hub: its file's number, and how many of its `size` bytes are durable there.

    `whole`: all of them, and they are what the blob's hash says.
    """

    n: int
    size: int
    have: int
    whole: bool


@dataclass(frozen=True)
class BlobQuota:
    """What one member may have at the hub."""

    blobs: int
    bytes: int


@dataclass(frozen=True)
class BlobTotals:
    """What all members have at the hub; `bytes` as they were announced."""

    blobs: int
    bytes: int


# Built once: putting a statement together costs more than running it.
_FIND = text(
    "SELECT n, size, have, whole, EXISTS (SELECT 1 FROM blob_uses WHERE blob = n) AS used FROM blobs"
    " WHERE member = :member AND hash = :hash"
)
_TOUCH = text("UPDATE blobs SET at = :now WHERE n = :n")
_USED = text("SELECT count(*), coalesce(sum(size), 0) FROM blobs WHERE member = :member")
_ADD = text(
    "INSERT INTO blobs (member, hash, size, have, whole, at) VALUES (:member, :hash, :size, 0, 0, :now) RETURNING n"
)
_DROP = text("DELETE FROM blobs WHERE n = :n")
_DROP_UNUSED = text("DELETE FROM blobs WHERE n = :n AND NOT EXISTS (SELECT 1 FROM blob_uses WHERE blob = n)")
_HAVE = text("UPDATE blobs SET have = :have, at = :now WHERE n = :n")
_WHOLE = text("UPDATE blobs SET whole = 1, at = :now WHERE n = :n")
_LOST = text("UPDATE blobs SET have = 0, whole = 0 WHERE n = :n")
_FOR_ENVELOPE = text(
    "SELECT n FROM blobs WHERE member = :member AND hash = :hash AND size = :size AND whole = 1"
)
_ADD_AUDIENCE = text(
    "INSERT INTO audiences (exp, at, recipients) VALUES (:exp, :at, :recipients) RETURNING n"
)
_ADD_USE = text("INSERT INTO blob_uses (blob, audience) VALUES (:blob, :audience)")
_READABLE = text(
    "SELECT b.n, b.size, b.have, b.whole FROM blobs AS b JOIN blob_uses AS u ON u.blob = b.n"
    " JOIN audiences AS a ON a.n = u.audience WHERE b.hash = :hash AND b.whole = 1 AND a.exp > :now AND a.at >= :since"
    " AND EXISTS (SELECT 1 FROM json_each(a.recipients) WHERE value = :address) LIMIT 1"
)
_OVER = text("SELECT n, exp FROM audiences WHERE exp <= :now LIMIT :most")
_USED_UNTIL = text(
    "UPDATE blobs SET at = max(at, :exp) WHERE n IN (SELECT blob FROM blob_uses WHERE audience = :audience)"
)
_DROP_AUDIENCE = text("DELETE FROM audiences WHERE n = :audience")
_FORGET = text(
    "DELETE FROM blobs WHERE n IN (SELECT n FROM blobs WHERE at <= :before"
    " AND NOT EXISTS (SELECT 1 FROM blob_uses WHERE blob = n) LIMIT :most) RETURNING n"
)
_ALL = text("SELECT n, size, have, whole FROM blobs")
_TOTALS = text("SELECT count(*), coalesce(sum(size), 0) FROM blobs")


def begin(
    connection: Connection, member: str, digest: bytes, *, size: int, quota: BlobQuota, now: int
) -> tuple[Stored, list[int]]:
    """The member's blob of that hash, begun where it isn't there yet; and numbers whose files are to go.

    `now` in ms. Raises Refused quota.exceeded; Rejected request.bad for another size than one has that was whole.
    """
    dropped = []
    row = connection.execute(_FIND, {"member": member, "hash": digest}).one_or_none()
    if row is not None and row.size != size:
        if row.whole or row.used:
            raise Rejected("request.bad", f"that blob has {row.size} bytes")
        connection.execute(_DROP, {"n": row.n})
        dropped, row = [int(row.n)], None
    if row is not None:
        connection.execute(_TOUCH, {"n": row.n, "now": now})
        return Stored(row.n, row.size, row.have, bool(row.whole)), []
    count, used = connection.execute(_USED, {"member": member}).one()
    if count + 1 > quota.blobs or used + size > quota.bytes:
        raise Refused("quota.exceeded", "attachments: those sent before must end first")
    n = connection.execute(_ADD, {"member": member, "hash": digest, "size": size, "now": now}).scalar_one()
    return Stored(n, size, 0, whole=False), dropped


def note(connection: Connection, n: int, *, have: int, now: int) -> None:
    """So many bytes of it are durable."""
    connection.execute(_HAVE, {"n": n, "have": have, "now": now})


def finish(connection: Connection, n: int, *, now: int) -> None:
    """All of it is durable, and is what its hash says."""
    connection.execute(_WHOLE, {"n": n, "now": now})


def drop(connection: Connection, n: int) -> None:
    """It isn't what its hash says. Its file is to go next.

    One that was lost and is brought again stays for those whom envelopes name it to.
    """
    connection.execute(_DROP_UNUSED, {"n": n})
    connection.execute(_LOST, {"n": n})


def lose(connection: Connection, numbers: Collection[int]) -> None:
    """Their files aren't there, or shorter: whoever brought them must bring them again."""
    for n in numbers:
        connection.execute(_LOST, {"n": n})


def named(connection: Connection, member: str, blobs: Sequence[Blob]) -> list[int] | None:
    """The numbers of a member's whole blobs with these hashes and lengths; None where one isn't here."""
    found = []
    for digest, size in blobs:
        n = connection.execute(
            _FOR_ENVELOPE, {"member": member, "hash": digest, "size": size}
        ).scalar_one_or_none()
        if n is None:
            return None
        found.append(int(n))
    return found


def add_audience(
    connection: Connection, numbers: Sequence[int], recipients: Sequence[str], *, at: int, exp: int
) -> None:
    """These blobs are for the recipients of an envelope that is accepted `at`, until its `exp` (ms)."""
    listed = orjson.dumps(recipients).decode("ascii")
    audience = connection.execute(_ADD_AUDIENCE, {"exp": exp, "at": at, "recipients": listed}).scalar_one()
    connection.execute(_ADD_USE, [{"blob": n, "audience": audience} for n in numbers])


def readable(connection: Connection, digest: bytes, address: str, *, since: int, now: int) -> Stored | None:
    """A blob of that hash that `address` may have now, by an envelope accepted at `since` (ms) or later."""
    row = connection.execute(
        _READABLE, {"hash": digest, "address": address, "since": since, "now": now}
    ).one_or_none()
    return None if row is None else Stored(row.n, row.size, row.have, whole=True)


def forget(connection: Connection, *, now: int) -> tuple[list[int], bool]:
    """Forget envelopes that are over, and blobs that nothing named for BLOB_KEPT_MS: numbers whose files are to go.

    And whether there is more to do at once.
    """
    over = connection.execute(_OVER, {"now": now, "most": FORGET_BLOBS}).all()
    for audience in over:
        connection.execute(_USED_UNTIL, {"exp": audience.exp, "audience": audience.n})
        connection.execute(_DROP_AUDIENCE, {"audience": audience.n})
    gone = connection.execute(_FORGET, {"before": now - BLOB_KEPT_MS, "most": FORGET_BLOBS}).scalars().all()
    return [int(n) for n in gone], len(over) == FORGET_BLOBS or len(gone) == FORGET_BLOBS


def all_blobs(connection: Connection) -> list[Stored]:
    """Everything that is here, or on its way."""
    return [Stored(row.n, row.size, row.have, bool(row.whole)) for row in connection.execute(_ALL)]


def totals(connection: Connection) -> BlobTotals:
    """What all members have here."""
    count, size = connection.execute(_TOTALS).one()
    return BlobTotals(int(count), int(size))
