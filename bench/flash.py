"""`./run bench flash [--json]`: flash beside bulk that fills a link of 1 Mbit/s in both directions.

A node behind such a link (bench/_thin_link.py: 25 ms each way, one queue of 64 KiB a direction) always has messages of
`BULK_BYTES` waiting to go out, and as many waiting at the hub to come in; its peer's link is free. Meanwhile both send
small flash alerts. Measured from just before the alert is queued (what `send` does) to when its recipient has stored
it. Goal: p99 < 2 s, both directions together. `./run soak flash` is the same with its own numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench._node_network import LIFE_MS, Alerts, now_ms
from bench._rounds import LEAST_ROUNDS, Goal, alternate, percentile, tell
from bench._thin_link import Shape, ThinLink
from bench._thin_network import FAR, NEAR, founded, own_way, waited
from exchange.message import Urgency
from exchange.node import app as node_app
from exchange.node.mail.desk import Desk
from exchange.node.store.outbox import Outgoing
from tests.trip.founding import Homes
from tests.trip.network import Network, NodeSide

LINK: Final = Shape(rate=125_000, delay=0.025)
BULK_BYTES: Final = 2_000_000
BULK_AHEAD: Final = 3  # bulk messages in each direction that haven't arrived, always
SAMPLES: Final = 84  # a round, half in each direction
PAUSE_SECONDS: Final = 0.7
PATIENCE_SECONDS: Final = 120.0
GOALS: Final = {"flash_p99_s": Goal("<", 2.0)}


class Sender:
    """Queues messages at one node, and knows which of them its peer has."""

    def __init__(self, node: NodeSide, peer: NodeSide) -> None:
        self.node, self.peer = node, peer
        self.bulk: list[str] = []
        self.flash: dict[str, int] = {}  # id -> queued at, ms
        home = node.home
        self._identity = home.identity()
        self._alerts = Alerts(uuid.UUID(bytes=self._identity.net[:16]), node.handle)
        self._store = home.open_store(owner=False)
        self._desk = Desk(self._store, node_app.real_sources(), who="analyst")

    def close(self) -> None:
        self._store.db.close_sync()

    def send_flash(self) -> None:
        message = self._alerts.next(Urgency.FLASH)
        self.flash[message.id] = now_ms()
        until = message.created + LIFE_MS
        outgoing = Outgoing(message.id, "stix", "flash", message.created, until, message.bundle)
        assert self._desk.submit(outgoing, [self.peer.handle])
        self.node.poke()

    def keep_busy(self, size: int) -> None:
        """Queue more bulk where less than `BULK_AHEAD` hasn't arrived."""
        come = set(self.peer.holds.ids(self.node.handle))
        for _ in range(BULK_AHEAD - sum(id_ not in come for id_ in self.bulk)):
            self.bulk.append(self.node.send([self.peer.handle], "Bulk", size=size))

    def bulk_done(self) -> int:
        """How many bulk messages the peer has."""
        come = set(self.peer.holds.ids(self.node.handle))
        return sum(id_ in come for id_ in self.bulk)

    def seconds(self) -> list[float]:
        """Of each flash that its recipient has."""
        mail = {mail.id: mail for mail in self.peer.holds.inbox() if mail.id in self.flash}
        return [(mail[id_].received_at - at) / 1_000 for id_, at in self.flash.items() if id_ in mail]


def measure(
    folder: Path, *, rounds: int, samples: int, bulk_bytes: int, link: Shape = LINK
) -> dict[str, Any]:
    """What `tell` wants."""
    homes = asyncio.run(founded(folder / "founded"))
    pooled: dict[str, list[float]] = {"in": [], "out": []}
    sides = {
        "flash": lambda: asyncio.run(
            _round(homes, folder / "round", samples, bulk_bytes, shape=link, pooled=pooled)
        ),
    }
    found = alternate(sides, rounds)["flash"]
    both = [*pooled["in"], *pooled["out"]]
    return {
        "rounds": rounds,
        "ours": {
            "samples": len(both),
            "bulk_bytes": bulk_bytes,
            "p50_s": percentile(both, 0.5),
            "most_s": max(both),
            **{f"{side}_p99_s": percentile(values, 0.99) for side, values in pooled.items()},
            **found,
        },
        "peer": {},
        "ceiling": {"bytes_a_second": link.rate},
        "ratios": {"flash_p99_s": percentile(both, 0.99)},
    }


async def _round(
    homes: Homes,
    folder: Path,
    samples: int,
    bulk_bytes: int,
    *,
    shape: Shape,
    pooled: Mapping[str, list[float]],
) -> Mapping[str, float]:
    async with own_way(homes, folder, shape) as (network, link):
        await network.up(NEAR, FAR)
        with _senders(network) as senders:
            await _saturate(senders, link, bulk_bytes)
            before, began = (link.up.crossed, link.down.crossed), time.monotonic()
            for number in range(samples):
                sender = senders[number % 2]
                await asyncio.to_thread(sender.send_flash)
                await asyncio.to_thread(sender.keep_busy, bulk_bytes)
                await asyncio.sleep(PAUSE_SECONDS)
            took = time.monotonic() - began
            ways = zip((link.up, link.down), before, strict=True)
            used = [(way.crossed - was) / took / shape.rate for way, was in ways]
            await waited(
                lambda: all(len(one.seconds()) == len(one.flash) for one in senders),
                PATIENCE_SECONDS,
                "the last flash",
            )
            near, far = (one.seconds() for one in senders)
            bulk = [one.bulk_done() for one in senders]
            link.set_shape(Shape())
    pooled["out"].extend(near)
    pooled["in"].extend(far)
    return {
        "p99_s": percentile([*near, *far], 0.99),
        "link_used_up": used[0],
        "link_used_down": used[1],
        "bulk_out": bulk[0],
        "bulk_in": bulk[1],
    }


async def _saturate(senders: Sequence[Sender], link: ThinLink, bulk_bytes: int) -> None:
    """Until bulk runs in both directions."""
    before = (link.up.crossed, link.down.crossed)
    for sender in senders:
        await asyncio.to_thread(sender.keep_busy, bulk_bytes)
    least = min(bulk_bytes // 4, 250_000)
    await waited(
        lambda: link.up.crossed - before[0] > least and link.down.crossed - before[1] > least,
        PATIENCE_SECONDS,
        "bulk in both directions",
    )


@contextmanager
def _senders(network: Network) -> Iterator[tuple[Sender, Sender]]:
    near, far = Sender(network[NEAR], network[FAR]), Sender(network[FAR], network[NEAR])
    try:
        yield near, far
    finally:
        near.close()
        far.close()


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goal is met, 1 it isn't."""
    parser = argparse.ArgumentParser(prog="./run bench flash", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object, last on stdout")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help=f"rounds, {LEAST_ROUNDS} or more")
    parser.add_argument("--samples", type=int, default=LEAST_ROUNDS * SAMPLES, help="flash messages in all")
    parser.add_argument("--bulk-bytes", type=int, default=BULK_BYTES, help="of one bulk message")
    chosen = parser.parse_args(arguments)
    rounds = max(LEAST_ROUNDS, chosen.rounds)
    with tempfile.TemporaryDirectory(prefix="exchange-flash-") as folder:
        result = measure(
            Path(folder),
            rounds=rounds,
            samples=math.ceil(chosen.samples / rounds),
            bulk_bytes=chosen.bulk_bytes,
        )
    return tell("flash", goals=GOALS, as_json=chosen.json, **result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
