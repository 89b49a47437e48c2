"""The directory log at rest in the hub, with its checkpoints, prekey records, applications and invitations.

Owns these tables' queries. Judges nothing: registrar.py and applications.py do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import orjson
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from exchange.canonical import b64, unb64
from exchange.directory.contacts import Part
from exchange.directory.statements import Statement
from exchange.header import DirRef
from exchange.hub.store.parts import drop_parts, put_parts
from exchange.hub.store.pending import drop_pending
from exchange.hub.store.tables import applications, checkpoints, invitations, leaves, prekey_records
from exchange.limits import DAY_MS

# so that a late newcomer is told that the invitation is over, not that there was none; and how its application ended
REMEMBERED_MS: Final = 30 * DAY_MS

_OLD_RECORDS = select(prekey_records.c.kid).where(prekey_records.c.destroy <= bindparam("now"))
_DROP_RECORD = delete(prekey_records).where(prekey_records.c.kid == bindparam("which"))


@dataclass(frozen=True)
class StoredRecord:
    """A prekey record as published; `destroy` in ms."""

    kid: bytes
    record: bytes
    destroy: int


@dataclass(frozen=True)
class Beside:
    """What leaves publish beside the log: prekey records, parts by hash. And what they end: parts that nothing names
    any more, by hash, and the application of the member they admit. `judged`: this hub found that they take effect."""

    records: Sequence[StoredRecord] = ()
    parts: Mapping[bytes, Part] = field(default_factory=dict)
    unnamed: Collection[bytes] = ()
    admitted: str = ""
    judged: bool = False


NOTHING: Final = Beside()


@dataclass(frozen=True)
class Application:
    """A member-to-be's add statement while it collects signatures. Times in ms.

    `document` is what the applicant says of itself, with its `salt`; `invitation` the SHA-256 of the token it came
    under. One that `ended` (rejected or withdrawn, for a `reason`) has no document any more.
    """

    member: str
    statement: Statement
    since: int
    until: int
    document: bytes = b""
    salt: bytes = b""
    invitation: bytes = b""
    ended: str = ""
    reason: str = ""

    def over(self, ended: str, reason: str, *, now: int) -> Application:
        """This application, ended; kept for its applicant to see."""
        until = now + REMEMBERED_MS
        return replace(self, document=b"", salt=b"", until=until, ended=ended, reason=reason)


@dataclass(frozen=True)
class Invited:
    """Who was invited as what, until when (ms). The token itself is nowhere at the hub."""

    token_hash: bytes
    member: str
    member_class: str
    country: str
    expires: int


def all_leaves(connection: Connection) -> list[bytes]:
    """Every leaf of the log in order."""
    return list(connection.execute(select(leaves.c.leaf).order_by(leaves.c.position)).scalars())


def judged_leaves(connection: Connection) -> list[tuple[bytes, bool]]:
    """Every leaf of the log in order, each with whether this hub judged that it took effect."""
    found = connection.execute(select(leaves.c.leaf, leaves.c.judged).order_by(leaves.c.position))
    return [(row.leaf, bool(row.judged)) for row in found]


def whole_log(connection: Connection) -> tuple[list[tuple[bytes, bool]], list[tuple[int, DirRef]]]:
    """`judged_leaves` and `all_checkpoints`, for the start: what SQLite kept of their pages is given back."""
    log = judged_leaves(connection), all_checkpoints(connection)
    connection.exec_driver_sql("PRAGMA shrink_memory")
    return log


def mark_judged(connection: Connection, up_to: int) -> None:
    """The first `up_to` leaves took effect."""
    connection.execute(update(leaves).where(leaves.c.position < up_to, leaves.c.judged == 0).values(judged=1))


def leaves_from(connection: Connection, start: int, *, end: int, most: int) -> list[bytes]:
    """Leaves `start`..`end` - 1, at least one if there is any, else as many as fit in `most` bytes."""
    found = connection.execute(
        select(leaves.c.position, func.length(leaves.c.leaf).label("size"))
        .where(leaves.c.position >= start, leaves.c.position < end)
        .order_by(leaves.c.position)
        .limit(most // 256)
    ).all()
    last, room = start, most
    for row in found:
        room -= row.size + 4
        if room < 0 and row.position > start:
            break
        last = row.position + 1
    rows = connection.execute(
        select(leaves.c.leaf)
        .where(leaves.c.position >= start, leaves.c.position < last)
        .order_by(leaves.c.position)
    )
    return list(rows.scalars())


def append_leaves(
    connection: Connection,
    first: int,
    rows: Sequence[tuple[bytes, bytes]],
    beside: Beside = NOTHING,
) -> None:
    """Write (leaf, statement hash) pairs from index `first` on, with what lies beside them; they wait no more.

    The invitation of a member that is admitted stays until it expires, so that it can read in the log that it was; it
    opens nothing else, for the handle is taken.
    """
    values = [
        {"position": first + i, "leaf": leaf, "statement": statement, "judged": int(beside.judged)}
        for i, (leaf, statement) in enumerate(rows)
    ]
    connection.execute(insert(leaves), values)
    for record in beside.records:
        row = {"kid": record.kid, "record": record.record, "destroy": record.destroy}
        connection.execute(upsert(prekey_records).on_conflict_do_nothing(), row)
    put_parts(connection, beside.parts)
    drop_parts(connection, beside.unnamed)
    drop_pending(connection, [statement for _, statement in rows])
    if beside.admitted:
        connection.execute(delete(applications).where(applications.c.member == beside.admitted))


def index_of(connection: Connection, statement: bytes) -> int | None:
    """Where a statement with this hash was first logged."""
    found = connection.execute(
        select(func.min(leaves.c.position)).where(leaves.c.statement == statement)
    ).scalar_one()
    return None if found is None else int(found)


def add_checkpoint(connection: Connection, ref: DirRef, *, term: int, at: int) -> None:
    """Remember a checkpoint that the hub of `term` signed at `at` (ms)."""
    row = {"ref": ref.checkpoint, "term": term, "size": ref.size, "root": ref.root, "at": at}
    connection.execute(upsert(checkpoints).on_conflict_do_nothing(), row)


def all_checkpoints(connection: Connection) -> list[tuple[int, DirRef]]:
    """Every checkpoint that is known here to be signed by the hub of a term, with that term."""
    found = connection.execute(select(checkpoints))
    return [(row.term, DirRef(row.size, row.root, row.ref)) for row in found]


def newest_checkpoint(connection: Connection) -> tuple[int, int] | None:
    """Size and time (ms) of the checkpoint that was signed last."""
    row = connection.execute(
        select(checkpoints.c.size, checkpoints.c.at).order_by(checkpoints.c.at.desc()).limit(1)
    ).first()
    return None if row is None else (row.size, row.at)


def records(connection: Connection, kids: Sequence[bytes]) -> list[bytes]:
    """Those of the prekey records that are here, in no order."""
    found = connection.execute(select(prekey_records.c.record).where(prekey_records.c.kid.in_(kids)))
    return list(found.scalars())


def drop_old_records(connection: Connection, now: int, published: Collection[bytes]) -> None:
    """Forget records whose private half is destroyed, applications and invitations that are over.

    Not the `published` kids, those of newest statements: their owners never send them again, so this clock, once far
    ahead, would leave the network without keys to seal to.
    """
    old = set(connection.execute(_OLD_RECORDS, {"now": now}).scalars()).difference(published)
    if old:
        connection.execute(_DROP_RECORD, [{"which": kid} for kid in old])
    connection.execute(delete(applications).where(applications.c.until <= now))
    connection.execute(delete(invitations).where(invitations.c.expires <= now - REMEMBERED_MS))


def put_application(connection: Connection, application: Application) -> None:
    """Keep or replace the application of a member-to-be."""
    row = {
        "member": application.member,
        "body": application.statement.body,
        "signatures": orjson.dumps([[signer, b64(sig)] for signer, sig in application.statement.signatures]),
        "since": application.since,
        "until": application.until,
        "document": application.document,
        "salt": application.salt,
        "invitation": application.invitation,
        "ended": application.ended,
        "reason": application.reason,
    }
    statement = upsert(applications)
    changes: Mapping[str, object] = {name: statement.excluded[name] for name in row if name != "member"}
    connection.execute(statement.on_conflict_do_update(index_elements=["member"], set_=changes), row)


def drop_admitted(connection: Connection, members: Collection[str]) -> None:
    """Forget the applications of those who are members: a copy from before they were admitted has them still."""
    there = set(connection.execute(select(applications.c.member)).scalars())
    for member in there.intersection(members):
        connection.execute(delete(applications).where(applications.c.member == member))


def all_applications(connection: Connection) -> list[Application]:
    """Every application, by handle, those that ended lately among them."""
    return [
        Application(
            row.member,
            Statement(row.body, tuple((s, unb64(sig)) for s, sig in orjson.loads(row.signatures))),
            row.since,
            row.until,
            document=row.document,
            salt=row.salt,
            invitation=row.invitation,
            ended=row.ended,
            reason=row.reason,
        )
        for row in connection.execute(select(applications).order_by(applications.c.member))
    ]


def put_invitation(connection: Connection, invited: Invited) -> None:
    """Keep an invitation."""
    row = {
        "token_hash": invited.token_hash,
        "member": invited.member,
        "class": invited.member_class,
        "country": invited.country,
        "expires": invited.expires,
    }
    connection.execute(insert(invitations), row)


def invitation(connection: Connection, token_hash: bytes) -> Invited | None:
    """The invitation whose token has this SHA-256."""
    row = connection.execute(select(invitations).where(invitations.c.token_hash == token_hash)).one_or_none()
    if row is None:
        return None
    return Invited(row.token_hash, row.member, row._mapping["class"], row.country, row.expires)  # noqa: SLF001 - SQLAlchemy's public name for a column that is a Python keyword
