"""`./run soak memory [--small N --large N]`: memory of hub and node with 1 M small messages against 100 k.

Each store is filled through itself, then worked on by a fresh process of its own, whose resident memory is read after
every step: for the hub accept, every mailbox paged to its end, expiry, forgetting, totals; for the node the lists, the
counts, the whole inbox read through. Besides, the real hub program is started on the filled store. What holds: the most
memory at the large size is at most 1.1 times that at the small one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench._founded_hub import found, serving, settled_mib
from bench._hub_fill import (
    LIFE_MS,
    MEMBERS,
    NO_QUOTA,
    Envelopes,
    NoRoom,
    dummy_batch,
    fill,
    need_room,
)
from bench._rounds import process_mib
from exchange.canonical import sha256
from exchange.hub.store.cursor import Cursor
from exchange.hub.store.page import Announcement
from exchange.hub.store.store import HubStore
from exchange.limits import DAY_MS, PAGE_BYTES
from exchange.node.store import inbox as store_inbox
from exchange.node.store.figures import figures
from exchange.node.store.store import Store, Transaction, open_store

NAME: Final = "memory"
SMALL: Final = 100_000
LARGE: Final = 1_000_000
MOST_RATIO: Final = 1.1
ROUNDS: Final = 3
EXPIRE: Final = 2_000  # envelopes that fall due in a round, whatever the size
PAYLOAD_BYTES: Final = 1_024
LIST: Final = 50
LOCAL_KEY: Final = sha256(b"bench local key")
NODE_FILE: Final = "node.db"

Step = Callable[[str], None]


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 it holds, 1 it doesn't or the disk is too small."""
    parser = argparse.ArgumentParser(prog="./run soak memory", description=__doc__)
    parser.add_argument("--small", type=int, default=SMALL)
    parser.add_argument("--large", type=int, default=LARGE)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="exchange-memory-") as made:
        try:
            need_room(Path(made), chosen.large)
        except NoRoom as short:
            print(f"soak memory: {short}", file=sys.stderr)
            return 1
        curves = run(Path(made), (chosen.small, chosen.large))
    print(json.dumps(curves))
    bad = [
        name
        for name, by_size in curves.items()
        if max(by_size[str(chosen.large)].values()) > MOST_RATIO * max(by_size[str(chosen.small)].values())
    ]
    for name, by_size in curves.items():
        most = {size: max(curve.values()) for size, curve in by_size.items()}
        print(f"{name}: at most {most} MiB{'  TOO MUCH' if name in bad else ''}", file=sys.stderr)
    return 1 if bad else 0


def run(folder: Path, sizes: tuple[int, ...]) -> dict[str, dict[str, dict[str, float]]]:
    """MiB after each step, by process, size and step. `sizes` rise; the stores grow from one to the next."""
    hub, now = found(folder / "net", len(MEMBERS)), time.time_ns() // 1_000_000
    node = folder / NODE_FILE
    envelopes, done = Envelopes(now), 0
    curves: dict[str, dict[str, dict[str, float]]] = {"hub's store": {}, "hub": {}, "node's store": {}}
    for size in sizes:
        fill(hub.home, envelopes, size - done)
        fill_node(node, done, size, now)
        done = size
        with serving(hub) as pid:
            curves["hub"][str(size)] = {"at rest": settled_mib(pid)}
        curves["hub's store"][str(size)] = _child("hub", hub.home, size, now)
        curves["node's store"][str(size)] = _child("node", node, size, now)
    return curves


def _child(side: str, path: Path, size: int, now: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench._soak_memory", side, str(path), str(size), str(now)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - this file
    curve: dict[str, float] = json.loads(ran.stdout)
    return curve


# -- in the child ---------------------------------------------------------------------------------------------------


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


def work_on_node(path: Path, now: int, step: Step) -> None:
    """The same for a node's store."""
    store = open_store(path, LOCAL_KEY, owner=True)
    step("open")
    read = store.db.read_sync
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


def fill_node(path: Path, first: int, end: int, now: int) -> None:
    """Messages numbered from `first` to before `end`, a thousand in a transaction."""
    store = open_store(path, LOCAL_KEY, owner=True)
    payload = os.urandom(PAYLOAD_BYTES)

    def add(connection: Transaction, start: int) -> None:
        messages = []
        for number in range(start, min(start + 1_000, end)):
            env = sha256(b"message %d" % number)
            message = store_inbox.Received(
                n=0,
                sender=MEMBERS[number % len(MEMBERS)],
                message_id=f"m{number}",
                type="stix",
                lane="routine",
                created=now,
                expires=now + LIFE_MS,
                received_at=now,
                marks=frozenset(),
                conflict=False,
                env=env,
                payload=payload,
                summary={"subject": f"Message {number}", "kind": "alert", "tlp": "amber"},
            )
            messages.append((message, env))
        store_inbox.add(connection, store.cipher, messages)

    for start in range(first, end, 1_000):
        store.db.write_sync(partial(add, start=start))
    store.db.close_sync()


def _in_child(side: str, path: Path, size: int, now: int) -> None:
    curve: dict[str, float] = {}

    def step(name: str) -> None:
        curve[name] = round(process_mib(os.getpid()), 1)

    if side == "hub":
        asyncio.run(work_on_hub(path, size, now, step))
    else:
        work_on_node(path, now, step)
    print(json.dumps(curve))


if __name__ == "__main__":
    _in_child(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
