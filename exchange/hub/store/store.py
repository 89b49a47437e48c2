"""The hub's store: every read and write its services do, each one transaction. The tables' files hold the SQL.

Owns how a service call becomes a transaction. Judges nothing; rows leave as dataclasses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Connection

from exchange.directory.checkpoint import Checkpoint
from exchange.directory.contacts import Part
from exchange.errors import ExchangeError
from exchange.header import LANES, DirRef
from exchange.hub.store import (
    directory as d,
    parts as part_rows,
    pending as pending_rows,
    pieces as piece_rows,
)
from exchange.hub.store.accept import Kept, NewEnvelope, Quota, Sign, accept_group, is_known, repeat
from exchange.hub.store.cursor import Cursor
from exchange.hub.store.forget import LONGEST, Keeping, prune
from exchange.hub.store.fresh import Fresh
from exchange.hub.store.page import Announcement, Page, RecentEnvelopes, Shared, read_page, read_piece
from exchange.hub.store.receipts import drop_fed, highest_batch
from exchange.hub.store.release import (
    ExpiredRound,
    Released,
    SignExpired,
    Totals,
    apply_receipts,
    expire,
    totals,
)
from exchange.receipt import VerifiedBatch
from exchange.storage.database import Database
from exchange.wire import delivery_head

FILE: Final = "hub.db"
MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"


class HubStore:
    """hub.db, open. `owner`: this process holds the home's lock (storage/database)."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.recent: Final = RecentEnvelopes()
        self.fresh: Final = Fresh()
        self.accepted: Final = Counter[str]()  # envelopes by lane, since the start
        self.receipts: Final = Counter[str]()  # leaves by status

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

    @property
    def db(self) -> Database:
        """For nouns that bring their own steps: calls (storage/calls.py) and what people are called for."""
        return self._db

    def close_sync(self) -> None:
        """`close` for commands."""
        self._db.close_sync()

    # mail

    async def accept(self, group: Sequence[NewEnvelope], *, at: int, quota: Quota, sign: Sign) -> list[Kept]:
        """Store a group of checked envelopes with their receipts (store/accept.accept_group)."""
        size = sum(new.size for new in group)
        kept = await self._db.write(
            partial(accept_group, group=group, at=at, quota=quota, sign=sign), size=size
        )
        for new, one in zip(group, kept, strict=True):
            if one.new:
                self.accepted[LANES[new.lane]] += 1
                shared = Shared(delivery_head(new.header, new.signatures), b"".join(new.slots), new.body)
                self.recent.put(one.n, shared)
            else:
                self.fresh.missed([new.sender])  # receipts may go into its feed again
        self.fresh.add([(new, one) for new, one in zip(group, kept, strict=True) if one.new])
        return kept

    async def is_known(self, env: bytes) -> bool:
        """Whether this envelope was accepted before."""
        return await self._db.read(partial(is_known, env=env))

    async def repeat(self, env: bytes, sender: str) -> Kept | None:
        """The receipts of an envelope that was accepted before (store/accept.repeat)."""
        kept = await self._db.write(partial(repeat, env=env, sender=sender))
        self.fresh.missed([sender])
        return kept

    async def page(
        self,
        address: str,
        after: Cursor,
        *,
        most: int,
        announced: Announcement,
        since: int = 0,
        large: int = 0,
        urgent: bool = False,
    ) -> Page:
        """The next items of a mailbox (store_page.read_page)."""
        return await self._db.read(
            partial(
                read_page,
                address=address,
                after=after,
                most=most,
                announced=announced,
                recent=self.recent,
                since=since,
                large=large,
                urgent=urgent,
            )
        )

    async def piece(self, address: str, env: bytes, *, start: int, most: int, since: int) -> bytes | None:
        """A piece of a delivery that waits (store_page.read_piece)."""
        return await self._db.read(
            partial(
                read_piece,
                address=address,
                env=env,
                start=start,
                most=most,
                recent=self.recent,
                since=since,
            )
        )

    async def add_piece(
        self, sender: str, env: bytes, *, size: int, start: int, data: bytes, now: int
    ) -> int:
        """Keep a piece of an upload (store_pieces.add_piece)."""
        step = partial(
            piece_rows.add_piece, sender=sender, env=env, size=size, start=start, data=data, now=now
        )
        return await self._db.write(step, size=len(data))

    async def pieces(self, sender: str, env: bytes) -> bytes:
        """All pieces of an upload (store_pieces.whole)."""
        return await self._db.read(partial(piece_rows.whole, sender=sender, env=env))

    async def drop_pieces(self, sender: str, env: bytes) -> None:
        """The upload is over (store_pieces.drop)."""
        await self._db.write(partial(piece_rows.drop, sender=sender, env=env))

    async def is_senders(self, env: bytes, sender: str) -> bool:
        """Whether it was accepted from `sender` before (store_pieces.is_senders)."""
        return await self._db.read(partial(piece_rows.is_senders, env=env, sender=sender))

    async def drop_fed(self, sender: str, up_to: int) -> None:
        """The sender has stored its proofs up to feed number `up_to`."""
        await self._db.write(partial(drop_fed, sender=sender, up_to=up_to))

    async def release(self, verified: VerifiedBatch) -> Released:
        """Apply a verified batch of receipts (store_release.apply_receipts)."""
        released = await self._db.write(partial(apply_receipts, verified=verified))
        self.receipts.update(leaf.status for leaf in verified.leaves)
        self.fresh.missed(released.senders)
        return released

    async def expire(self, *, now: int, sign: SignExpired) -> ExpiredRound:
        """One round of expiry (store_release.expire)."""
        done = await self._db.write(partial(expire, now=now, sign=sign))
        self.fresh.missed(done.senders | done.recipients)
        return done

    async def prune(self, *, now: int, published: Collection[bytes], keeping: Keeping = LONGEST) -> bool:
        """One round of forgetting (store_forget.prune), also of what lies beside the log."""
        await self._db.write(partial(d.drop_old_records, now=now, published=published))
        await self._db.write(partial(pending_rows.drop_lapsed, now=now))
        await self._db.write(partial(piece_rows.drop_old, now=now))
        return await self._db.write(partial(prune, now=now, keeping=keeping))

    async def highest_batch(self, signer: str) -> int:
        """The highest receipt batch number seen of `signer`."""
        return await self._db.read(partial(highest_batch, signer=signer))

    async def totals(self) -> Totals:
        """What waits at the hub."""
        return await self._db.read(totals)

    def totals_sync(self) -> Totals:
        """`totals` for commands."""
        return self._db.read_sync(totals)

    # the directory log

    def newest_checkpoint_sync(self) -> tuple[int, int] | None:
        """The size and time (ms) of the checkpoint signed last, for commands; None before the first."""
        return self._db.read_sync(d.newest_checkpoint)

    async def load_log(self) -> tuple[list[tuple[bytes, bool]], list[tuple[int, DirRef]]]:
        """All leaves, each with whether this hub judged it, and all checkpoints of this and former hubs by term."""
        return await self._db.read(d.whole_log)

    def load_log_sync(self) -> list[tuple[bytes, bool]]:
        """All leaves, each with whether this hub judged it, for commands."""
        return self._db.read_sync(d.judged_leaves)

    async def mark_judged(self, up_to: int) -> None:
        """The first `up_to` leaves took effect, as this hub has judged."""
        await self._db.write(partial(d.mark_judged, up_to=up_to))

    def load_leaves_sync(self) -> list[bytes]:
        """All leaves, for commands."""
        return self._db.read_sync(d.all_leaves)

    async def append(
        self, first: int, rows: Sequence[tuple[bytes, bytes]], beside: d.Beside = d.NOTHING
    ) -> None:
        """Write leaves with what lies beside them (store_directory.append_leaves)."""
        await self._db.write(partial(d.append_leaves, first=first, rows=rows, beside=beside))

    def append_sync(self, first: int, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write leaves, for the command that begins the log."""
        self._db.write_sync(lambda c: d.append_leaves(c, first, rows))

    def take_over_sync(
        self, rows: Sequence[tuple[bytes, bytes]], beside: d.Beside, last: DirRef, said: Checkpoint
    ) -> None:
        """Write a former hub's log with the leaf that ends its term, and the last checkpoint it signed."""

        def write(connection: Connection) -> None:
            d.append_leaves(connection, 0, rows, beside)
            d.add_checkpoint(connection, last, term=said.term, at=said.at)

        self._db.write_sync(write)

    async def leaves_from(self, start: int, *, end: int, most: int) -> list[bytes]:
        """A page of the log."""
        return await self._db.read(lambda c: d.leaves_from(c, start, end=end, most=most))

    async def index_of(self, statement: bytes) -> int | None:
        """Where a statement with this hash was logged."""
        return await self._db.read(lambda c: d.index_of(c, statement))

    async def add_checkpoint(self, ref: DirRef, *, term: int, at: int) -> None:
        """Remember a checkpoint that the hub of `term` signed at `at` (ms)."""
        await self._db.write(lambda c: d.add_checkpoint(c, ref, term=term, at=at))

    async def records(self, kids: Sequence[bytes]) -> list[bytes]:
        """Those of the prekey records that are here."""
        return await self._db.read(lambda c: d.records(c, kids))

    async def put_parts(self, parts: Mapping[bytes, Part]) -> None:
        """Keep parts, by hash, that the log names and that are missing here."""
        await self._db.write(partial(part_rows.put_parts, new=parts))

    def put_parts_sync(self, parts: Mapping[bytes, Part]) -> None:
        """`put_parts` for the command that begins a hub with another's log."""
        self._db.write_sync(partial(part_rows.put_parts, new=parts))

    async def drop_parts(self, hashes: Collection[bytes]) -> None:
        """Erase parts, by hash, also from the database's log."""
        await self._db.write(partial(part_rows.drop_parts, hashes=hashes))
        await self._db.fold()

    async def part_hashes(self) -> set[bytes]:
        """Of every part that is here."""
        return await self._db.read(part_rows.part_hashes)

    async def parts_size(self, member: str, without: Collection[bytes]) -> int:
        """Bytes of a member's parts, but for some."""
        return await self._db.read(partial(part_rows.parts_size, member=member, without=without))

    async def parts_by_hash(self, hashes: Collection[bytes]) -> list[Part]:
        """Those of the parts with these hashes that are here."""
        return await self._db.read(partial(part_rows.parts_by_hash, hashes=hashes))

    async def parts_after(self, n: int, *, most: int) -> list[part_rows.Numbered]:
        """A page of parts."""
        return await self._db.read(partial(part_rows.parts_after, n=n, most=most))

    async def put_pending(self, net: bytes, waiting: pending_rows.Waiting) -> None:
        """Keep or replace a statement that lacks signatures."""
        await self._db.write(partial(pending_rows.put_pending, net=net, one=waiting))

    async def drop_pending(self, statements: list[bytes]) -> None:
        """Forget statements that can't be logged any more, by hash."""
        await self._db.write(partial(pending_rows.drop_pending, statements=statements))

    async def pending_of(self, statement: bytes) -> pending_rows.Waiting | None:
        """The statement with this hash that lacks signatures."""
        return await self._db.read(partial(pending_rows.pending_of, statement=statement))

    async def pending(self) -> list[pending_rows.Waiting]:
        """Every statement that lacks signatures."""
        return await self._db.read(pending_rows.all_pending)

    def pending_sync(self) -> list[pending_rows.Waiting]:
        """`pending` for commands."""
        return self._db.read_sync(pending_rows.all_pending)

    async def count_pending(self) -> int:
        """How many statements lack signatures."""
        return await self._db.read(pending_rows.count_pending)

    async def put_application(self, application: d.Application) -> None:
        """Keep or replace an application."""
        await self._db.write(lambda c: d.put_application(c, application))

    async def applications(self) -> list[d.Application]:
        """Every application, those that ended lately among them."""
        return await self._db.read(d.all_applications)

    async def drop_admitted(self, members: Collection[str]) -> None:
        """Forget the applications of those who are members (store_directory.drop_admitted)."""
        await self._db.write(partial(d.drop_admitted, members=members))

    def applications_sync(self) -> list[d.Application]:
        """`applications` for commands."""
        return self._db.read_sync(d.all_applications)

    def put_applications_sync(self, changed: Collection[d.Application]) -> None:
        """`put_application` for a home that is being restored."""
        for one in changed:
            self._db.write_sync(partial(d.put_application, application=one))

    def put_invitation_sync(self, invited: d.Invited) -> None:
        """Keep an invitation (the command writes beside a serving hub)."""
        self._db.write_sync(lambda c: d.put_invitation(c, invited))

    async def invitation(self, token_hash: bytes) -> d.Invited | None:
        """The invitation whose token has this SHA-256."""
        return await self._db.read(lambda c: d.invitation(c, token_hash))

    async def fold(self) -> None:
        """Leave what was erased in no file (Database.fold)."""
        await self._db.fold()

    async def check_writable(self) -> None:
        """The writer works and gets its lock; an empty transaction touches no disk. Raises as Database.write."""
        await self._db.write(lambda _: None)
