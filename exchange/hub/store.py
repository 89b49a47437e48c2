"""The hub's store: every read and write its services do, each one transaction. The tables' files hold the SQL.

Owns how a service call becomes a transaction. Judges nothing; rows leave as dataclasses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

from exchange.errors import ExchangeError
from exchange.header import DirRef
from exchange.hub import store_directory as d
from exchange.hub.store_accept import Kept, NewEnvelope, Quota, Sign, accept_group, is_known, repeat
from exchange.hub.store_cursor import Cursor
from exchange.hub.store_page import Announcement, Page, RecentEnvelopes, Shared, read_page
from exchange.hub.store_receipts import drop_fed, highest_batch
from exchange.hub.store_release import (
    ExpiredRound,
    Released,
    SignExpired,
    Totals,
    apply_receipts,
    expire,
    prune,
    totals,
)
from exchange.receipt import VerifiedBatch
from exchange.storage.database import Database

FILE: Final = "hub.db"
MIGRATIONS: Final = Path(__file__).parent / "migrations"


class HubStore:
    """hub.db, open. `owner`: this process holds the home's lock (storage/database)."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._recent = RecentEnvelopes()

    @classmethod
    def open(
        cls, home: Path, *, owner: bool = True, on_broken: Callable[[ExchangeError], None] | None = None
    ) -> Self:
        """Open or create the home's database. Raises as Database.open."""
        return cls(
            Database.open(home / FILE, migrations=MIGRATIONS, app="hub", owner=owner, on_broken=on_broken)
        )

    async def close(self) -> None:
        """Finish what waits."""
        await self._db.close()

    def close_sync(self) -> None:
        """`close` for commands."""
        self._db.close_sync()

    # mail

    async def accept(self, group: Sequence[NewEnvelope], *, at: int, quota: Quota, sign: Sign) -> list[Kept]:
        """Store a group of checked envelopes with their receipts (store_accept.accept_group)."""
        size = sum(new.size for new in group)
        kept = await self._db.write(
            partial(accept_group, group=group, at=at, quota=quota, sign=sign), size=size
        )
        for new, one in zip(group, kept, strict=True):
            if one.new:
                self._recent.put(one.n, Shared(new.header, new.signatures, new.body))
        return kept

    async def is_known(self, env: bytes) -> bool:
        """Whether this envelope was accepted before."""
        return await self._db.read(partial(is_known, env=env))

    async def repeat(self, env: bytes, sender: str) -> Kept | None:
        """The receipts of an envelope that was accepted before (store_accept.repeat)."""
        return await self._db.write(partial(repeat, env=env, sender=sender))

    async def page(self, address: str, after: Cursor, *, most: int, announced: Announcement) -> Page:
        """The next items of a mailbox (store_page.read_page)."""
        recent = self._recent
        return await self._db.read(
            partial(read_page, address=address, after=after, most=most, announced=announced, recent=recent)
        )

    async def drop_fed(self, sender: str, up_to: int) -> None:
        """The sender has stored its proofs up to feed number `up_to`."""
        await self._db.write(partial(drop_fed, sender=sender, up_to=up_to))

    async def release(self, verified: VerifiedBatch) -> Released:
        """Apply a verified batch of receipts (store_release.apply_receipts)."""
        return await self._db.write(partial(apply_receipts, verified=verified))

    async def expire(self, *, now: int, sign: SignExpired) -> ExpiredRound:
        """One round of expiry (store_release.expire)."""
        return await self._db.write(partial(expire, now=now, sign=sign))

    async def prune(self, *, now: int, published: Collection[bytes]) -> bool:
        """One round of forgetting (store_release.prune), also of what lies beside the log."""
        await self._db.write(partial(d.drop_old_records, now=now, published=published))
        return await self._db.write(partial(prune, now=now))

    async def highest_batch(self, signer: str) -> int:
        """The highest receipt batch number seen of `signer`."""
        return await self._db.read(partial(highest_batch, signer=signer))

    async def totals(self) -> Totals:
        """What waits at the hub."""
        return await self._db.read(totals)

    # the directory log

    async def load_log(self) -> tuple[list[bytes], list[DirRef]]:
        """All leaves, and all checkpoints this hub signed."""
        return await self._db.read(lambda c: (d.all_leaves(c), d.all_checkpoints(c)))

    def load_leaves_sync(self) -> list[bytes]:
        """All leaves, for commands."""
        return self._db.read_sync(d.all_leaves)

    async def append(
        self,
        first: int,
        rows: Sequence[tuple[bytes, bytes]],
        *,
        records: Sequence[d.StoredRecord] = (),
        admitted: str | None = None,
    ) -> None:
        """Write leaves with what they publish; `admitted`: the new member whose application is thereby over."""

        await self._db.write(
            partial(d.append_leaves, first=first, rows=rows, records=records, admitted=admitted)
        )

    def append_sync(self, first: int, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write leaves, for the command that begins the log."""
        self._db.write_sync(lambda c: d.append_leaves(c, first, rows, (), None))

    async def leaves_from(self, start: int, *, end: int, most: int) -> list[bytes]:
        """A page of the log."""
        return await self._db.read(lambda c: d.leaves_from(c, start, end=end, most=most))

    async def index_of(self, statement: bytes) -> int | None:
        """Where a statement with this hash was logged."""
        return await self._db.read(lambda c: d.index_of(c, statement))

    async def add_checkpoint(self, ref: DirRef, at: int) -> None:
        """Remember a checkpoint this hub signed."""
        await self._db.write(lambda c: d.add_checkpoint(c, ref, at))

    async def records(self, kids: Sequence[bytes]) -> list[bytes]:
        """Those of the prekey records that are here."""
        return await self._db.read(lambda c: d.records(c, kids))

    async def put_application(self, application: d.Application) -> None:
        """Keep or replace an application."""
        await self._db.write(lambda c: d.put_application(c, application))

    async def applications(self) -> list[d.Application]:
        """Every application that waits."""
        return await self._db.read(d.all_applications)

    def applications_sync(self) -> list[d.Application]:
        """`applications` for commands."""
        return self._db.read_sync(d.all_applications)

    def put_invitation_sync(self, invited: d.Invited) -> None:
        """Keep an invitation (the command writes beside a serving hub)."""
        self._db.write_sync(lambda c: d.put_invitation(c, invited))

    async def invitation(self, token_hash: bytes) -> d.Invited | None:
        """The invitation whose token has this SHA-256."""
        return await self._db.read(lambda c: d.invitation(c, token_hash))

    async def check_writable(self) -> None:
        """The writer works and gets its lock; an empty transaction touches no disk. Raises as Database.write."""
        await self._db.write(lambda _: None)
