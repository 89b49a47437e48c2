"""Owns giving a hub that was restored from an old copy the leaves it lost, under its own signatures (§11.4)."""

from __future__ import annotations

from functools import partial
from itertools import accumulate

from exchange.directory.checkpoint import SignedCheckpoint
from exchange.limits import MAX_BATCH_BYTES
from exchange.node.store import directory as rows
from exchange.node.store.store import Store
from exchange.node.uplink.api import HubApi


async def show_checkpoint(store: Store, net: bytes, hub: HubApi, checkpoint: SignedCheckpoint) -> bool:
    """Show the hub a checkpoint and give it the leaves it lacks up to that; whether it lacked any.

    Each time as many as one of its checkpoints covers and one upload holds.
    """
    need = await hub.post_checkpoint(checkpoint.to_json())
    if need is None:
        return False
    term = checkpoint.claim(net).term
    start, stop = need
    while start < stop:
        leaves = await store.db.read(partial(rows.leaves_from, start=start, stop=stop))
        if sum(map(len, leaves)) > MAX_BATCH_BYTES:
            fitting = start + sum(1 for total in accumulate(map(len, leaves)) if total <= MAX_BATCH_BYTES)
            older = await store.db.read(
                partial(rows.checkpoint_within, term=term, least=start + 1, most=fitting)
            )
            if older is None:
                break
            signed = SignedCheckpoint(*older)
            await hub.post_checkpoint(signed.to_json())
            leaves = leaves[: signed.claim(net).size - start]
        if not leaves:
            break
        await hub.post_leaves(leaves)
        start += len(leaves)
    return True
