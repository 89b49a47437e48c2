"""`./run bench growth [--json]`: what an accept and a mailbox page cost with 10 k, 100 k and 1 M envelopes stored.

Three stores are filled through themselves (bench/_hub_fill.py): 2 KiB bodies, one recipient each. Measured in turn are
groups of 64 and single envelopes to 35 recipients, durable on return, and pages of 256 KiB from random places of all
mailboxes. The ratios compare CPU time of the process, system time included; the time on the clock stands beside it.
Signatures are dummies: a real one costs the same whatever is stored, and would hide what grows.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench._hub_fill import BODY_BYTES, MEMBERS, NO_QUOTA, Envelopes, NoRoom, dummy_batch, fill, need_room
from bench._rounds import Goal, alternate, options, tell
from exchange.hub.store.cursor import ORDER, Cursor
from exchange.hub.store.page import Announcement
from exchange.hub.store.store import FILE, HubStore

SIZES: Final = (10_000, 100_000, 1_000_000)
GOALS: Final = {"accept_1m_vs_10k": Goal("<=", 1.5), "page_1m_vs_10k": Goal("<=", 1.5)}
RECIPIENTS: Final = 35
GROUP: Final = 64
PAGE_BYTES: Final = 262_144
NOTHING_NEW: Final = Announcement(0, b"")


@dataclass(frozen=True)
class Work:
    """What a round does: groups of `GROUP`, single envelopes, pages."""

    groups: int = (
        25  # enough that each size has its share of checkpoints: one comes every 1,000 pages written
    )
    singles: int = 32
    pages: int = 200


def measure(folder: Path, *, rounds: int, sizes: Sequence[int], work: Work) -> dict[str, Any]:
    """What `tell` wants; `sizes` from the smallest to the largest."""
    stores: dict[int, dict[str, Any]] = {}
    sides: dict[str, Callable[[], Mapping[str, float]]] = {}
    for size in sizes:
        home, began = folder / str(size), time.monotonic()
        home.mkdir(mode=0o700)
        HubStore.open(home).close_sync()
        envelopes = Envelopes(time.time_ns() // 1_000_000)
        fill(home, envelopes, size)
        sides[f"{size} stored"] = partial(_once, home, envelopes, size, work)
        stores[size] = {
            "fill_seconds": round(time.monotonic() - began, 1),
            "file_mib": round((home / FILE).stat().st_size / 2**20, 1),
        }
    measured = alternate(sides, rounds)
    taken: dict[int, Any] = {size: {**stores[size], **measured[f"{size} stored"]} for size in sizes}
    least, most = taken[sizes[0]], taken[sizes[-1]]

    def grown(*keys: str) -> float:
        return max(float(most[key]["median"] / least[key]["median"]) for key in keys)

    return {
        "ours": {
            "recipients": RECIPIENTS,
            "body_bytes": BODY_BYTES,
            **{str(size): taken[size] for size in sizes},
        },
        "ratios": {
            "accept_1m_vs_10k": grown("accept_us", "single_us"),
            "page_1m_vs_10k": grown("page_us"),
        },
    }


def _once(folder: Path, envelopes: Envelopes, size: int, work: Work) -> Mapping[str, float]:
    return asyncio.run(_round(folder, envelopes, size, work))


async def _round(folder: Path, envelopes: Envelopes, size: int, work: Work) -> Mapping[str, float]:
    """Costs in µs of CPU: of an envelope accepted in a group and alone, and of a page; `_wall` is the clock's."""
    many = [envelopes.group(GROUP, RECIPIENTS) for _ in range(work.groups)]
    single = [envelopes.group(1, RECIPIENTS) for _ in range(work.singles)]
    store = HubStore.open(folder)
    try:
        # bodies of these sizes are rarely the last ones accepted: the cache of those must not answer
        places = [_place(envelopes, size) for _ in range(work.pages)]
        page = await _timed("page", [lambda one=one: _page(store, *one) for one in places], work.pages)
        accept = await _timed(
            "accept",
            [lambda one=one: _accept(store, one, envelopes.now) for one in many],
            work.groups * GROUP,
        )
        alone = await _timed(
            "single", [lambda one=one: _accept(store, one, envelopes.now) for one in single], work.singles
        )
    finally:
        await store.close()
    return {**accept, **alone, **page}


async def _timed(
    name: str, calls: Sequence[Callable[[], Awaitable[None]]], count: int
) -> Mapping[str, float]:
    await calls[0]()  # statements are compiled, connections open
    cpu, wall = time.process_time(), time.perf_counter()
    for one in calls[1:]:
        await one()
    share = 1e6 / (count * (len(calls) - 1) / len(calls))
    return {
        f"{name}_us": (time.process_time() - cpu) * share,
        f"{name}_wall_us": (time.perf_counter() - wall) * share,
    }


async def _accept(store: HubStore, group: Sequence[Any], now: int) -> None:
    kept = await store.accept(group, at=now, quota=NO_QUOTA, sign=dummy_batch)
    assert all(one.new for one in kept)


def _place(envelopes: Envelopes, size: int) -> tuple[str, int]:
    """A mailbox, and a number that is in its first half: what was filled in has one copy each."""
    return envelopes.chance.choice(MEMBERS), envelopes.chance.randrange(size // 2)


async def _page(store: HubStore, address: str, number: int) -> None:
    after = Cursor("bench", (number,) * len(ORDER))
    page = await store.page(address, after, most=PAGE_BYTES, announced=NOTHING_NEW)
    assert sum(len(item.payload) for item in page.items) > PAGE_BYTES // 2


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goals are met, 1 they aren't or the disk is too small."""
    chosen = options("growth", __doc__, arguments, rounds=3)
    with tempfile.TemporaryDirectory(prefix="exchange-growth-") as made:
        try:
            need_room(Path(made), sum(SIZES))
        except NoRoom as short:
            print(f"bench growth: {short}", file=sys.stderr)
            return 1
        result = measure(Path(made), rounds=chosen.rounds, sizes=SIZES, work=Work())
    return tell(
        "growth", rounds=chosen.rounds, peer={}, ceiling={}, goals=GOALS, as_json=chosen.json, **result
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
