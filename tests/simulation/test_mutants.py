"""The simulator can fail: each broken piece put in the place of a good one is found within a few seeds.

The same seed passes with the good piece: what is found is the mutant, and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import pytest
from sqlalchemy import text

from exchange import envelope
from exchange.content import Void
from exchange.hub.blobs import Blobs
from exchange.hub.store import blobs as blob_rows, page as store_page, pieces as store_pieces
from exchange.hub.store.accept import accept_group
from exchange.hub.store.cursor import ORDER
from exchange.hub.store.store import HubStore
from exchange.keys import PublicKey
from exchange.link import Placement
from exchange.node.attachments import attaching
from exchange.node.keys.peer_prekeys import PeerPrekeys
from exchange.node.mail.inbox import CURSOR, Inbox
from exchange.node.mail.large import LargeDeliveries
from exchange.node.mail.outbox import Outbox
from exchange.node.mail.receipts import Receipts
from exchange.node.store import inbox as store_inbox, links as store_links, sealings as store_sealings
from exchange.node.store.store import set_fact
from tests.simulation import network
from tests.simulation.driver import (
    ARRIVALS,
    CRASHES,
    FILES,
    LIES,
    LOSSES,
    PIECES,
    RESTORES,
    SLOW_CLOCKS,
    Moves,
    Result,
    run,
)
from tests.simulation.steps import SteppedDatabase, play

MOST_SEEDS: Final = 40
STEPS: Final = 30
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _folder() -> Iterator[None]:
    with network.working_folder() as made:
        network.work_in(made)
        yield


def hub_receipts_before_the_commit(patch: Patch) -> None:
    """`accepted` goes out, and the envelope is written with what comes next."""
    late: dict[int, list[dict[str, Any]]] = defaultdict(list)
    accept, release = HubStore.accept, HubStore.release

    async def write_late(store: HubStore) -> None:
        while waiting := late[id(store)]:
            await accept(store, **waiting.pop(0))

    async def accept_early(self: HubStore, group: Sequence[Any], **how: Any) -> Any:
        await write_late(self)
        assert isinstance(self._db, SteppedDatabase)
        connection = self._db._open()
        with connection.begin() as transaction:
            kept = accept_group(connection, group, **how)
            transaction.rollback()
        late[id(self)].append({"group": group, **how})
        return kept

    async def release_late(self: HubStore, verified: Any) -> Any:
        await write_late(self)
        return await release(self, verified)

    patch.setattr(HubStore, "accept", accept_early)
    patch.setattr(HubStore, "release", release_late)


def node_receipts_before_the_commit(patch: Patch) -> None:
    """`stored` is signed and uploaded, and the mail is written after that."""
    late: dict[int, list[Callable[[Any], None]]] = defaultdict(list)
    add, upload = store_inbox.add, Receipts.upload

    def add_late(_connection: Any, cipher: Any, messages: Any) -> None:
        mail = list(messages)
        late[id(cipher)].append(lambda connection: add(connection, cipher, mail))

    async def upload_first(self: Receipts, hub: Any) -> int:
        count = await upload(self, hub)
        while waiting := late[id(self._store.cipher)]:
            await self._store.db.write(waiting.pop(0))
        return count

    patch.setattr(store_inbox, "add", add_late)
    patch.setattr(Receipts, "upload", upload_first)


def cursor_before_the_storage(patch: Patch) -> None:
    """The feed's cursor is kept first, what it stands for afterwards."""
    take = Inbox.take

    async def cursor_first(self: Inbox, items: Any, *, cursor: str | None) -> Any:
        if cursor is not None:
            await self._store.db.write(lambda c: set_fact(c, CURSOR, cursor))
        return await take(self, items, cursor=None)

    patch.setattr(Inbox, "take", cursor_first)


def no_chain_check(patch: Patch) -> None:
    """Whatever comes is the next one."""
    patch.setattr(store_links, "place", lambda *_: Placement("", becomes_head=True))


def no_signature_check(patch: Patch) -> None:
    """An envelope's signatures hold, whatever they are; all others are checked."""
    verify = PublicKey.verify

    def trusting(self: PublicKey, kind: str, body: bytes, signature: bytes, *, code: str) -> None:
        if kind != envelope.k.ENVELOPE:
            verify(self, kind, body, signature, code=code)

    patch.setattr(PublicKey, "verify", trusting)


def seal_outside_the_transaction(patch: Patch) -> None:
    """Several are sealed at once, each on the chain as it was when it was its turn to read."""
    seal, next_link = Outbox._seal, store_sealings.next_link
    seen: dict[tuple[int, str, str], Any] = {}

    async def read_first(self: Outbox, message_n: int, ready: Any) -> None:
        def read(connection: Any) -> None:
            for address in ready:
                for lane in ("flash", "immediate", "priority", "routine"):
                    key = (id(self), lane, address)
                    seen.setdefault(key, next_link(connection, lane, address, self._chain))

        await self._store.db.read(read)
        await seal(self, message_n, ready)

    async def dispatch_at_once(self: Outbox, hub: Any, lanes: Any) -> int:
        count = await dispatch(self, hub, lanes)
        seen.clear()
        return count

    def from_before(_connection: Any, lane: str, recipient: str, _chain: bytes) -> Any:
        return next(link for (_, at, to), link in seen.items() if (at, to) == (lane, recipient))

    dispatch = Outbox.dispatch
    patch.setattr(Outbox, "_seal", read_first)
    patch.setattr(Outbox, "dispatch", dispatch_at_once)
    patch.setattr(store_sealings, "next_link", from_before)


def no_recognition_of_repeats(patch: Patch) -> None:
    """A message that was sealed again is another message."""
    patch.setattr(store_inbox, "known_hashes", lambda *_: defaultdict(set))


def kept_without_its_end(patch: Patch) -> None:
    """What is kept of a message is one byte short."""
    add = store_inbox.add

    def add_short(connection: Any, cipher: Any, messages: Any) -> None:
        add(
            connection, cipher, [(replace(one, payload=one.payload[:-1]), digest) for one, digest in messages]
        )

    patch.setattr(store_inbox, "add", add_short)


def loss_is_told_to_the_sender_alone(patch: Patch) -> None:
    """Whoever lacks a message that is given up takes it for nothing."""
    patch.setattr(Void, "is_loss", property(lambda _: False))


def receipt_for_all_copies(patch: Patch) -> None:
    """What one recipient has stored, all have."""
    release = HubStore.release

    async def release_all(self: HubStore, verified: Any) -> Any:
        released = await release(self, verified)

        def drop(connection: Any) -> None:
            for leaf in verified.leaves:
                connection.execute(
                    text("DELETE FROM mailbox WHERE envelope IN (SELECT n FROM envelopes WHERE env = :env)"),
                    {"env": leaf.env},
                )

        await self._db.write(drop)
        return released

    patch.setattr(HubStore, "release", release_all)


def no_wait_for_newer_prekeys(patch: Patch) -> None:
    """What the hub refuses for its prekey is sealed to the same one again, at once."""
    patch.setattr(PeerPrekeys, "refuse", lambda *_: None)


def piece_put_wherever_the_upload_ends(patch: Patch) -> None:
    """A piece that comes twice is there twice: nobody looks where it belongs."""
    add = store_pieces.add_piece

    def append(
        connection: Any, sender: str, env: bytes, *, size: int, start: int, data: bytes, now: int
    ) -> int:
        here = add(connection, sender, env, size=size, start=0, data=b"", now=now)
        data = data[: size - here]
        return add(connection, sender, env, size=size, start=here, data=data, now=now)

    patch.setattr(store_pieces, "add_piece", append)


def piece_from_the_beginning_after_a_cut(patch: Patch) -> None:
    """Where a delivery was cut off its first piece comes once more, and is put behind what has come."""
    fetch = LargeDeliveries.fetch

    class Anew:
        def __init__(self, hub: Any) -> None:
            self.piece = self._first
            self._hub = hub

        async def _first(self, env: bytes, _start: int) -> bytes:
            self.piece = self._hub.piece
            return cast("bytes", await self._hub.piece(env, 0))

    async def fetch_anew(self: LargeDeliveries, hub: Any, item: Any) -> Any:
        return await fetch(self, cast("Any", Anew(hub)), item)

    patch.setattr(LargeDeliveries, "fetch", fetch_anew)


def long_before_flash(patch: Patch) -> None:
    """The hub hands out bulk first."""
    patch.setattr(store_page, "order_of", lambda *_: tuple(reversed(ORDER)))


def file_kept_before_it_is_checked(patch: Patch) -> None:
    """All of it has come: it is shown, whatever it is."""
    patch.setattr(attaching, "is_blob", lambda *_: True)
    patch.setattr(attaching, "fault_of", lambda *_: "")


def file_handed_out_before_it_is_checked(patch: Patch) -> None:
    """The hub has as many bytes as were announced: that will be it."""

    async def finish(self: Blobs, n: int, _digest: bytes) -> None:
        await self._db.write(lambda c: blob_rows.finish(c, n, now=self._clock()))

    patch.setattr(Blobs, "_finish", finish)


@dataclass(frozen=True)
class Mutant:
    """A broken piece, what may happen in the runs that look for it, and the kinds of fault that it shows as."""

    breaks: Callable[[Patch], None]
    moves: Moves
    shows: frozenset[str]


MUTANTS: Final = (
    Mutant(hub_receipts_before_the_commit, CRASHES, frozenset({"lost"})),
    Mutant(node_receipts_before_the_commit, CRASHES, frozenset({"lost"})),
    Mutant(cursor_before_the_storage, ARRIVALS, frozenset({"stuck", "lost", "false loss"})),
    Mutant(no_chain_check, LIES, frozenset({"stuck", "lost"})),
    Mutant(no_signature_check, LIES, frozenset({"forged"})),
    Mutant(seal_outside_the_transaction, CRASHES, frozenset({"false alarm"})),
    Mutant(no_recognition_of_repeats, RESTORES, frozenset({"twice"})),
    Mutant(kept_without_its_end, CRASHES, frozenset({"changed"})),
    Mutant(loss_is_told_to_the_sender_alone, LOSSES, frozenset({"silent loss"})),
    Mutant(receipt_for_all_copies, CRASHES, frozenset({"stuck", "lost"})),
    Mutant(no_wait_for_newer_prekeys, SLOW_CLOCKS, frozenset({"raised"})),
    Mutant(piece_put_wherever_the_upload_ends, PIECES, frozenset({"spoilt"})),
    Mutant(piece_from_the_beginning_after_a_cut, PIECES, frozenset({"spoilt"})),
    Mutant(long_before_flash, PIECES, frozenset({"flash waits"})),
    Mutant(file_kept_before_it_is_checked, FILES, frozenset({"half shown"})),
    Mutant(file_handed_out_before_it_is_checked, FILES, frozenset({"half shown"})),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.breaks.__name__)
def test_mutant_is_found(mutant: Mutant) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mutant.breaks(patch)
        found = _first_found(mutant)
    assert mutant.shows & {kind for kind, _ in found.faults}, found.told()
    good = play(run(found.seed, members=3, steps=STEPS, moves=mutant.moves))
    assert good.faults == (), good.told()


def _first_found(mutant: Mutant) -> Result:
    for seed in range(MOST_SEEDS):
        result = play(run(seed, members=3, steps=STEPS, moves=mutant.moves))
        if result.faults:
            return result
    pytest.fail(f"{mutant.breaks.__name__}: not found in {MOST_SEEDS} seeds")
