"""The hub's services on a world's log, in one process and without HTTP: for tests of the hub and of nodes.

Owns how a test starts, stops and restarts them on a folder. The clock is the world's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from exchange.attachment import Blob
from exchange.canonical import b64, sha256
from exchange.content import Meta, pack_content
from exchange.directory.checkpoint import SignedCheckpoint
from exchange.directory.log import Leaf
from exchange.envelope import Recipient, Sealed, seal
from exchange.header import DirRef
from exchange.hub.applications import Applications
from exchange.hub.blobs import Blobs
from exchange.hub.mailboxes import Mailboxes
from exchange.hub.pending import Pending
from exchange.hub.pieces import Pieces
from exchange.hub.registrar import Registrar
from exchange.hub.store.blob_files import BlobFiles
from exchange.hub.store.store import HubStore
from exchange.limits import DAY_MS
from exchange.link import Link
from exchange.receipt import Leaf as ReceiptLeaf, make_batch
from exchange.settings import HubLimits
from tests.worlds import World

_numbers = count(1)


def chance(size: int) -> bytes:
    """Bytes nobody used before in this run; the same ones in every run."""
    return sha256(b"chance %d" % next(_numbers)).ljust(size, b"\1")[:size]


@dataclass
class Services:
    """A hub's services, open."""

    world: World
    store: HubStore
    registrar: Registrar
    applications: Applications
    pending: Pending
    mailboxes: Mailboxes
    pieces: Pieces
    blobs: Blobs


@asynccontextmanager
async def services(
    world: World,
    home: Path,
    *,
    limits: HubLimits | None = None,
    free_bytes: int = 2**40,
    epoch: str = "first",
) -> AsyncIterator[Services]:
    """The hub of `world` on the folder `home`; a folder without a log starts with the world's."""
    limits = limits or HubLimits(settle_seconds=0)
    store = HubStore.open(home)
    try:
        if not store.load_leaves_sync():
            write_log(store, world)
        registrar = await Registrar.open(
            store, keys=world.hub_keys, clock=lambda: world.now, settle_seconds=limits.settle_seconds
        )
        mailboxes = Mailboxes(
            store,
            registrar,
            keys=world.hub_keys,
            clock=lambda: world.now,
            random=chance,
            free_bytes=lambda: free_bytes,
            limits=limits,
            epoch=epoch,
        )
        applications = Applications(store, registrar, clock=lambda: world.now)
        pending = Pending(store, registrar, clock=lambda: world.now)
        pieces = Pieces(store, mailboxes, lambda: world.now, lambda: free_bytes, limits.free_bytes)
        blobs = Blobs(
            store,
            registrar,
            BlobFiles.open(home),
            clock=lambda: world.now,
            free_bytes=lambda: free_bytes,
            limits=limits,
        )
        await blobs.tidy()
        yield Services(world, store, registrar, applications, pending, mailboxes, pieces, blobs)
    finally:
        await store.close()


def write_log(store: HubStore, world: World, size: int | None = None) -> None:
    """Put the first `size` leaves of the world's log into an empty store (all by default)."""
    leaves = world.leaves if size is None else world.leaves[:size]
    hashes = [Leaf.from_bytes(leaf, world.net).statement.hash(world.net) for leaf in leaves]
    store.append_sync(0, list(zip(leaves, hashes, strict=True)))


def sealed(
    world: World,
    dir_ref: DirRef,
    *,
    sender: str = "pe-csirt",
    to: Sequence[str] = ("co-csirt",),
    lane: str = "routine",
    payload: bytes = b'{"a":1}',
    iat: int | None = None,
    exp: int | None = None,
    kids: dict[str, bytes] | None = None,
    net: bytes | None = None,
    signer: str | None = None,
    type_: str = "status",
    blobs: tuple[Blob, ...] = (),
) -> Sealed:
    """An envelope from `sender`, valid unless an argument makes it otherwise."""
    now = world.now
    content = pack_content(
        Meta(type=type_, id=_uuid(), lane=lane, created=now, expires=now + DAY_MS, reseal_of=None), payload
    )
    recipients = []
    for address in sorted(to):
        kid = (kids or {}).get(address) or world.directory.prekey_for(address, now).kid
        secret, _ = world.prekeys[address][kid]
        recipients.append(Recipient(address, kid, secret.public, Link(chance(16), 1, bytes(32))))
    return seal(
        net=net or world.net,
        sender=sender,
        keys=world.member_keys[signer or sender],
        content=content,
        lane=lane,
        compress=False,
        recipients=recipients,
        dir_ref=dir_ref,
        iat=now if iat is None else iat,
        exp=now + DAY_MS if exp is None else exp,
        random=chance,
        blobs=blobs,
    )


def _uuid() -> str:
    text = chance(16).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"


def receipts(
    world: World,
    dir_ref: DirRef,
    member: str,
    copies: Sequence[tuple[bytes, bytes]],
    *,
    number: int = 1,
    status: str = "stored",
    code: str = "",
    signer: str | None = None,
    to: str | None = None,
) -> object:
    """The upload of a batch by `member` for these (env, lc)."""
    leaves = [ReceiptLeaf(to or member, env, lc, status, code, chance(16)) for env, lc in copies]
    batch = make_batch(
        net=world.net,
        signer=member,
        keys=world.member_keys[signer or member],
        number=number,
        dir_ref=dir_ref,
        at=world.now,
        leaves=leaves,
    )
    return batch.upload()


def checkpoint_json(checkpoint: SignedCheckpoint) -> object:
    """The wire form."""
    return {"body": b64(checkpoint.body), "signature": b64(checkpoint.signature)}
