"""A node's home whose directory is filled without a hub, for commands that only look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exchange.canonical import b64, sha256
from exchange.directory.bodies_members import build_suspend
from exchange.limits import DAY_MS
from exchange.node.app import real_sources
from exchange.node.home import create, open_home
from exchange.node.store import directory as store_directory, parts as store_parts
from exchange.storage.unlock import Unlock, create_key_file
from tests.address_book import Shelf, logged
from tests.worlds import signed

CLOSED = "https://127.0.0.1:9"  # nobody listens there


def furnished(folder: Path, made: Shelf, *, age: int = 0, suspended: Sequence[str] = ()) -> Path:
    """co's home with the log and parts of `made`, last heard of from the hub `age` ms ago."""
    create_key_file(folder / "key")
    unlock = Unlock.key_file(folder / "key")
    create(folder / "co", "co-csirt", unlock, real_sources())
    world = logged(made, now=time.time_ns() // 1_000_000 - age)
    for handle in suspended:
        until = world.now + 10 * DAY_MS
        body = build_suspend(
            net=world.net,
            handle=handle,
            ground="compromised",
            document=sha256(b"report"),
            until=until,
            not_after=world.now + DAY_MS,
        )
        outcome = world.append(signed(body, "officer/alba", "officer/bruno"))
        assert outcome.effective, outcome.code
    lines = {"member": "co-csirt", "hub": CLOSED, "net": b64(world.net)}
    config = "".join(f'{name} = "{text}"\n' for name, text in lines.items())
    (folder / "co" / "config.toml").write_text(config)
    store = open_home(folder / "co", unlock).open_store(owner=True)
    checkpoint = world.checkpoint

    def write(connection: Any) -> None:
        for index, leaf in enumerate(world.leaves):
            store_directory.add_leaf(connection, index, leaf, "")
        digest = checkpoint.hash(world.net)
        store_directory.add_checkpoint(connection, digest, checkpoint, checkpoint.claim(world.net))
        for part in made.parts:
            digest = part.hash(world.net)
            store_parts.add(connection, store.cipher, digest, part, own=False, now=world.now)

    asyncio.run(store.db.write(write))
    store.db.close_sync()
    return folder
