"""The process of `./run soak memory` that works on a filled store and says what it has resident after each step.

Apart from what fills and serves, so that it has loaded nothing that a hub or a node hasn't.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench._hub_fill import LIFE_MS, MEMBERS, NO_QUOTA, Envelopes, dummy_batch
from bench._rounds import process_mib
from exchange.hub.store.cursor import Cursor
from exchange.hub.store.page import Announcement
from exchange.hub.store.store import HubStore
from exchange.limits import DAY_MS, PAGE_BYTES
from exchange.node.home import open_home
from exchange.node.store import inbox as store_inbox
from exchange.node.store.figures import figures
from exchange.node.store.store import Store
from exchange.storage.unlock import Unlock

ROUNDS: Final = 3
EXPIRE: Final = 2_000  # envelopes that fall due in a round, whatever the size
LIST: Final = 50

Step = Callable[[str], None]


async def work_on_hub(home: Path, size: int, now: int, step: Step) -> None:
    """What a hub's store of `size` envelopes goes through; `step` is called with the name of what was done."""
    store = HubStore.open(home)
    # not those of the filling: envelopes never come twice
    envelopes = Envelopes(now, random.Random(size))  # noqa: S311 - protects nothing
    step("open")
    try:
        for turn in range(ROUNDS):
            await store.accept(envelopes.group(64, 35), at=now, quota=NO_QUOTA, sign=dummy_batch)
            step(f"accept {turn}")
            for address in MEMBERS:
                await _page_through(store, address)
            step(f"page {turn}")
            # the ends of what was filled in are spread over a day
            at = now + LIFE_MS - DAY_MS + (turn + 1) * DAY_MS * EXPIRE // size
            while (await store.expire(now=at, sign=_expired)).more:
                pass
            step(f"expire {turn}")
            while await store.prune(now=at, published=()):
                pass
            await store.totals()
            step(f"prune {turn}")
    finally:
        await store.close()


async def _page_through(store: HubStore, address: str) -> None:
    cursor, more = Cursor("memory"), True
    while more:
        page = await store.page(address, cursor, most=PAGE_BYTES, announced=Announcement(0, b""))
        cursor, more = page.cursor, page.more


def _expired(number: int, copies: Any) -> Any:
    return dummy_batch(number, [env + lc for _, env, lc in copies])


def work_on_node(opened: Callable[[], Store], step: Step) -> None:
    """The same for a node's store."""
    store = opened()
    step("open")
    read, now = store.db.read_sync, time.time_ns() // 1_000_000
    for turn in range(ROUNDS):
        read(lambda c: store_inbox.listed(c, store.cipher, before=None, limit=LIST))
        read(lambda c: store_inbox.listed(c, store.cipher, before=None, limit=LIST, unopened=True))
        step(f"list {turn}")
        read(partial(figures, now=now))
        step(f"counts {turn}")
        _read_through(store)
        step(f"read through {turn}")
    store.db.close_sync()


def _read_through(store: Store) -> None:
    after = 0
    while True:
        came = store.db.read_sync(
            partial(store_inbox.arrived, cipher=store.cipher, after=after, limit=10 * LIST)
        )
        if not came:
            return
        after = came[-1].n


def _in_child(side: str, path: Path, *rest: str) -> None:
    curve: dict[str, float] = {}

    def step(name: str) -> None:
        curve[name] = round(process_mib(os.getpid()), 1)

    if side == "hub":
        size, now = map(int, rest)
        asyncio.run(work_on_hub(path, size, now, step))
    else:
        home = open_home(path, Unlock.key_file(Path(*rest)))
        work_on_node(partial(home.open_store, owner=True), step)
    print(json.dumps(curve))


if __name__ == "__main__":
    _in_child(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
