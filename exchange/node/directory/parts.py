"""Owns the parts of records at this node (docs/protocol.md §9.13): its own, the network's, and the restricted ones.

What the log names is kept, sealed under the local key; what no effective statement names any more is deleted in the
transaction that takes the leaf, so that people are forgotten. Restricted parts travel from owner to reader in ordinary
sealed messages and never touch the hub. Who may hold what is directory/entitlement's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import orjson

from exchange.canonical import Fields
from exchange.content import SEALED_LEVELS, PartNote
from exchange.directory.contacts import LEVELS, MAX_PART, REPLICATED, SALT_BYTES, Part
from exchange.directory.entitlement import Entitlements
from exchange.directory.network import member_of
from exchange.directory.state import Directory, Outcome
from exchange.errors import Refused, Rejected
from exchange.limits import DAY_MS
from exchange.node.budget import spend
from exchange.node.directory.replica import Replica
from exchange.node.identity import Identity, Sources
from exchange.node.mail.outbox import Outbox
from exchange.node.store import outbox as store_outbox, parts as rows
from exchange.node.store.parts import Kept
from exchange.node.store.store import Store, Transaction, number, set_fact
from exchange.node.uplink.api import HubApi

CURSOR: Final = "parts.cursor"
UNNAMED_MS: Final = DAY_MS  # how long a part waits to be named again after a change of hub took leaves back
DRAFT_MS: Final = 60 * DAY_MS  # ... one of this node's own: its statement may lack signatures for long
# Parts taken from one peer: a member's thousand contact points and its record may each have two, and a day of its
# clock may lie across two of this one's.
NOTES_A_DAY: Final = 2 * (2 * 1_000 + 2)
AGAIN_MS: Final = DAY_MS  # until a part that its reader refused, or that was lost, goes out to it once more
LANE: Final = "routine"

Step = Callable[[Transaction], None]
_NO_PARTS: Final = frozenset({"prekeys", "tick", "test"})  # types that name nothing and entitle nobody
_NAMES: Final = ("address", "bytes", "level", "n", "salt")


class Parts:
    """The parts this node holds. Listens to the log (`Replica.listen`), so that what it unnames goes at once."""

    def __init__(
        self, store: Store, identity: Identity, replica: Replica, outbox: Outbox, sources: Sources
    ) -> None:
        self._store = store
        self._identity = identity
        self._replica = replica
        self._outbox = outbox
        self._sources = sources
        self._healed_at = 0  # when all parts were last asked for from the beginning
        self._healed_in = ""  # and in which of the hub's epochs
        self._whole: tuple[Directory, int] | None = None  # of which log every replicated part is here
        self._erased = True  # the database's log may hold what was deleted, also by a run before this one

    # -- this node's own ----------------------------------------------------------------------------------------

    async def put(self, address: str, bodies: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
        """Keep what `address` says, by level, before the statement that names it; (level, hash) in order of level.

        What says the same as before keeps its salt and hash: saying it again changes nothing.
        Raises Refused directory.bad-part: no such level, or too long.
        """
        for level, body in bodies.items():
            if level not in LEVELS or len(body) > MAX_PART:
                raise Refused("directory.bad-part", f"{level}: a level, and at most {MAX_PART} bytes")
        net, now = self._identity.net, self._sources.clock()

        def write(connection: Transaction) -> list[tuple[str, bytes]]:
            held = {
                (part.level, part.body): part
                for part in rows.all_parts(connection, self._store.cipher)
                if part.address == address
            }
            made = []
            for level, body in sorted(bodies.items()):
                fresh = Part(address, level, self._sources.random(SALT_BYTES), body)
                part = held.get((level, body), fresh)
                rows.add(connection, self._store.cipher, part.hash(net), part, own=True, now=now)
                made.append((level, part.hash(net)))
            return made

        return await self._store.db.write(write)

    async def for_hub(self, hashes: Mapping[str, bytes]) -> list[Part]:
        """Of the parts of a statement, by level, those that the hub hands out."""

        def read(connection: Transaction) -> list[Part]:
            wanted = [digest for level, digest in hashes.items() if level in REPLICATED]
            found = [rows.content(connection, self._store.cipher, digest) for digest in wanted]
            return [part for part in found if part is not None]

        return await self._store.db.read(read)

    async def all(self) -> list[Part]:
        """Every part that is held and that the log names, in order of address and level."""
        named, net = self._replica.directory.named_parts(), self._identity.net
        held = await self._store.db.read(lambda c: rows.all_parts(c, self._store.cipher))
        return [part for part in held if part.hash(net) in named]

    # -- the network's, from the hub ----------------------------------------------------------------------------

    async def fetch(self, hub: HubApi, epoch: str) -> int:
        """Get what the log names and this node lacks; how many parts came. `epoch` is the hub's run.

        A hub that was replaced counts from the beginning: once an epoch and once a day so does this node, when
        something is still missing at the end. Raises what the hub answers; Rejected request.bad, json.bad-schema.
        """
        if not await self._missing():
            return 0
        came = await self._fetch_on(hub)
        now = self._sources.clock()
        again = epoch != self._healed_in or now - self._healed_at > DAY_MS
        if again and await self._missing():
            self._healed_in, self._healed_at = epoch, now
            await self._store.db.write(lambda c: set_fact(c, CURSOR, 0))
            came += await self._fetch_on(hub)
        return came

    async def _fetch_on(self, hub: HubApi) -> int:
        came = 0
        start = await self._store.db.read(lambda c: number(c, CURSOR))
        while page := await hub.parts(start):
            parts = [_numbered(frame) for frame in page]
            if parts[0][0] <= start or any(one[0] >= two[0] for one, two in pairwise(parts)):
                raise Rejected("request.bad", "the hub's parts are not in order")
            start = parts[-1][0]
            came += await self._take_page([part for _, part in parts], start)
        return came

    async def _take_page(self, page: list[Part], cursor: int) -> int:
        named, net, now = self._replica.directory.named_parts(), self._identity.net, self._sources.clock()
        good = [(part.hash(net), part) for part in page if part.level in REPLICATED]

        def write(connection: Transaction) -> int:
            # The hub hands out what its log names. What this log doesn't name yet is asked for again (`_missing`).
            kept = [(digest, part) for digest, part in good if digest in named]
            for digest, part in kept:
                rows.add(connection, self._store.cipher, digest, part, own=False, now=now)
            rows.set_named(connection, [digest for digest, _ in kept])
            set_fact(connection, CURSOR, cursor)
            return len(kept)

        return await self._store.db.write(write, size=sum(len(part.body) for part in page))

    async def _missing(self) -> bool:
        directory = self._replica.directory
        if self._whole == (directory, directory.size):
            return False  # what the log names is never dropped, so that nothing can have gone since
        size = directory.size
        held = {one.hash for one in await self._store.db.read(rows.kept)}
        named = {one.part for one in directory.constituencies.values()}
        for parts in (
            *(one.parts for one in directory.records.values()),
            *(one.parts for one in directory.contacts.values() if not one.ended),
        ):
            named |= {digest for level, digest in parts.items() if level in REPLICATED}
        missing = not named & directory.named_parts() <= held
        if not missing and directory.size == size:
            self._whole = (directory, size)
        return missing

    # -- restricted ones ----------------------------------------------------------------------------------------

    def prepare(self, sender: str, note: PartNote) -> Step:
        """A restricted part by a peer, to be kept in the transaction that takes its envelope.

        Only its owner may send it, and a reader that isn't entitled keeps nothing. Nor is what the log doesn't name
        kept: mail that knows a longer log waits for it, so that it is forged, or erased meanwhile. It is judged here,
        not there: the log must not grow meanwhile.
        """
        part = Part(note.address, note.level, note.salt, note.body)
        directory, now, digest = self._replica.directory, self._sources.clock(), part.hash(self._identity.net)
        good = (
            member_of(sender) == member_of(part.address)
            and len(part.body) <= MAX_PART
            and digest in directory.named_parts()
            and Entitlements(directory).may_hold(self._identity.address, part.address, part.level)
        )

        def step(connection: Transaction) -> None:
            if good and spend(connection, "parts", sender, now=now, most=NOTES_A_DAY):
                rows.add(connection, self._store.cipher, digest, part, own=False, now=now)
                rows.set_named(connection, [digest])

        return step

    def restored(self, connection: Transaction, peer: str) -> None:
        """The peer's home is an old copy: what it is entitled to goes out to it once more."""
        rows.unset_all_sent(connection, peer)

    async def send_due(self) -> int:
        """Send this node's restricted parts to whoever is entitled and hasn't been sent them; how many were queued."""
        if not self._replica.is_member():
            return 0
        due = self._due(await self._store.db.read(rows.kept))
        before = self._sources.clock() - AGAIN_MS
        sent = await self._store.db.read(lambda c: rows.sent(c, again_before=before))
        if {(digest, to) for digest, entitled in due.items() for to in entitled} <= sent.keys():
            return 0
        return await self._store.db.write(lambda c: self._send(c, due))

    def _due(self, kept: Sequence[Kept]) -> dict[bytes, frozenset[str]]:
        """Who is to have each of this node's own restricted parts that the log names."""
        named, entitled = self._replica.directory.named_parts(), Entitlements(self._replica.directory)
        return {
            one.hash: entitled.readers(one.address, one.level)
            for one in kept
            if one.own and one.level in SEALED_LEVELS and one.hash in named
        }

    def _send(self, connection: Transaction, due: Mapping[bytes, frozenset[str]]) -> int:
        now, queued = self._sources.clock(), 0
        sent = rows.sent(connection, again_before=now - AGAIN_MS)
        for digest, entitled in due.items():
            fresh = sorted(one for one in entitled if (digest, one) not in sent)
            part = rows.content(connection, self._store.cipher, digest) if fresh else None
            if part is None:
                continue
            note = PartNote(part.address, part.level, part.salt, part.body)
            message_id = self._outbox.send(connection, note.to_payload(), note.type, LANE, fresh)
            for recipient in fresh:
                rows.set_sent(connection, digest, recipient, message_id, now=now)
            queued += len(fresh)
        return queued

    def _withdraw(self, connection: Transaction, due: Mapping[bytes, frozenset[str]]) -> None:
        """Whoever is entitled no more is sent nothing that is still queued or under way."""
        for (digest, recipient), message_id in rows.sent(connection, again_before=0).items():
            if digest in due and recipient not in due[digest]:
                self._outbox.withdraw(connection, message_id, [recipient])
                rows.unset_sent(connection, digest, recipient)

    # -- forgetting ---------------------------------------------------------------------------------------------

    async def forget(self) -> None:
        """What has waited for too long for the log to name it goes; what went is then in no file any more."""
        fresh, gone = self._sorted(await self._store.db.read(rows.kept))
        if fresh or gone:
            await self._store.db.write(lambda c: self._settle(c, fresh, gone))
        if self._erased:
            self._erased = not await self._store.db.fold()

    def _settle(self, connection: Transaction, fresh: Sequence[bytes], gone: Sequence[bytes]) -> None:
        rows.set_named(connection, fresh)
        for digest in gone:
            for message_id in rows.carried(connection, digest):
                self._outbox.withdraw(connection, message_id)
                store_outbox.blank(connection, self._store.cipher, message_id)
            rows.remove(connection, digest)
        self._erased = self._erased or bool(gone)

    def _sorted(self, kept: Sequence[Kept]) -> tuple[list[bytes], list[bytes]]:
        """What the log has come to name; and what it doesn't name (any more), or this node may not hold (any more)."""
        now, me = self._sources.clock(), self._identity.address
        named, entitled = self._replica.directory.named_parts(), Entitlements(self._replica.directory)
        fresh, gone = [], []
        for one in kept:
            if one.hash in named:
                keep = entitled.may_hold(me, one.address, one.level)
                fresh += [one.hash] if keep and not one.named else []
            else:
                keep = not one.named and now - one.at < (DRAFT_MS if one.own else UNNAMED_MS)
            if not keep:
                gone.append(one.hash)
        return fresh, gone

    def leaves_came(self, connection: Transaction, came: Sequence[tuple[bytes, Outcome]], /) -> None:
        """The log has grown: what it unnames goes in the same transaction (`Listener` of directory_sync)."""
        if any(one.effective and one.type not in _NO_PARTS for _, one in came):
            kept = rows.kept(connection)
            self._settle(connection, *self._sorted(kept))
            self._withdraw(connection, self._due(kept))

    def log_was_cut(self, connection: Transaction, _leaves: Sequence[bytes], /) -> None:
        """A change of hub took leaves back: what they named waits for them to be logged again."""
        rows.unname(connection, now=self._sources.clock())
        named = self._replica.directory.named_parts()
        for one in rows.kept(connection):
            if one.own and one.hash not in named:
                rows.unset_sent_to_all(connection, one.hash)


def _numbered(frame: bytes) -> tuple[int, Part]:
    """A part as the hub hands it out, with its number. Raises Rejected request.bad, json.bad-schema."""
    try:
        fields = Fields(orjson.loads(frame), _NAMES, what="part")
    except orjson.JSONDecodeError:
        raise Rejected("request.bad", "a part isn't JSON") from None
    part = Part(
        fields.address("address"),
        fields.one_of("level", LEVELS),
        fields.binary("salt", SALT_BYTES),
        fields.binary("bytes"),
    )
    return fields.integer("n", least=1), part
