"""`./run bench attachments [--json]`: 100 MB from node to node over a link that is cut every five seconds.

Two nodes and a hub are the real programs, TLS between them, both nodes behind one link (bench/_thin_link.py), which
counts TCP payload each way. A file goes up beside its message; when that is delivered the other node is asked to fetch
it. Every five seconds every connection is cut, wherever its bytes are. What crossed beyond the sealed blob counts as
resent: also handshakes, headings, TLS and the message. Memory is what each server needs beyond what it had at rest.
Goals: <= 5 % resent each way, < 64 MiB at every end; it arrives once, and is the file.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from bench._rounds import LEAST_ROUNDS, Goal, alternate, tell
from bench._thin_link import Shape, ThinLink
from bench._thin_network import FAR, NEAR, behind, founded, waited
from exchange.blob import sealed_size
from exchange.limits import MAX_ATTACHMENT
from exchange.node.doors.doors import own_reader
from tests.trip.attaching import send_with, sitting, states, want
from tests.trip.founding import Homes
from tests.trip.network import Network

RATE: Final = 2_500_000  # bytes a second
DELAY: Final = 0.02  # seconds one way
CUT_SECONDS: Final = 5.0
MOST_TIMES: Final = 4  # the ideal time, until a round has failed
GOALS: Final = {
    "resent_up": Goal("<=", 0.05),
    "resent_down": Goal("<=", 0.05),
    "node_mib": Goal("<", 64),
    "hub_mib": Goal("<", 64),
}


def measure(folder: Path, *, rounds: int, size: int, rate: float, cut_seconds: float) -> dict[str, Any]:
    """What `tell` wants."""
    homes = asyncio.run(founded(folder / "founded"))
    file = folder / "image.bin"
    file.write_bytes(os.urandom(size))
    shape = Shape(rate, DELAY)
    ideal = sealed_size(size)
    most = MOST_TIMES * ideal / rate + 60

    def ours() -> Mapping[str, float]:
        return asyncio.run(_round(homes, folder / "round", file, shape, cut_seconds=cut_seconds, most=most))

    found = alternate({"ours": ours}, rounds)["ours"]
    return {
        "rounds": rounds,
        "ours": {"bytes": size, "sealed": ideal, "rate": rate, "cut_seconds": cut_seconds, **found},
        "peer": {},
        "ceiling": {"seconds": ideal / rate},
        "ratios": {
            "resent_up": found["up_bytes"]["median"] / ideal - 1,
            "resent_down": found["down_bytes"]["median"] / ideal - 1,
            "node_mib": max(found["sender_mib"]["most"], found["recipient_mib"]["most"]),
            "hub_mib": found["hub_mib"]["most"],
            "up_vs_ideal_s": found["up_seconds"]["median"] / (ideal / rate),
            "down_vs_ideal_s": found["down_seconds"]["median"] / (ideal / rate),
        },
    }


async def _round(
    homes: Homes, folder: Path, file: Path, shape: Shape, *, cut_seconds: float, most: float
) -> Mapping[str, float]:
    """From the queueing of the message until its file is there, in two ways: up, then down, `most` seconds each."""
    async with behind(homes, folder, shape) as (network, link):
        near, far = network[NEAR], network[FAR]
        await network.up(NEAR, FAR)
        ends = {"sender_mib": near.serve, "recipient_mib": far.serve, "hub_mib": network.hub.serve}
        at_rest = {name: end.resting_kib() for name, end in ends.items()}
        message = send_with(near, [FAR], [file])
        up = await _way(
            link, lambda: link.up.crossed, cut_seconds, lambda: _is_stored(network, message), most
        )
        want(far, message)
        down = await _way(
            link, lambda: link.down.crossed, cut_seconds, lambda: states(far, message) == ["here"], most
        )
        link.set_shape(Shape())
        found = {name: (end.peak_kib() - at_rest[name]) / 1024 for name, end in ends.items()}
        peaks = {name.replace("mib", "peak_mib"): end.peak_kib() / 1024 for name, end in ends.items()}
        _check(network, message, file, folder / "copy")
    return {
        **found,
        **peaks,
        "up_bytes": up[0],
        "down_bytes": down[0],
        "up_seconds": up[1],
        "down_seconds": down[1],
        "cuts": up[2] + down[2],
    }


async def _way(
    link: ThinLink, crossed: Callable[[], int], cut_seconds: float, is_done: Callable[[], bool], most: float
) -> tuple[int, float, int]:
    """Bytes that crossed one way until all is through, how long it took, and how often the link was cut."""
    before, began = crossed(), time.monotonic()
    async with _cutting(link, cut_seconds) as cuts:
        await waited(is_done, most, "the attachment")
    return crossed() - before, time.monotonic() - began, len(cuts)


@asynccontextmanager
async def _cutting(link: ThinLink, seconds: float) -> AsyncIterator[list[float]]:
    cuts: list[float] = []

    async def cut() -> None:
        while True:
            await asyncio.sleep(seconds)
            link.cut()
            cuts.append(seconds)

    task = asyncio.create_task(cut())
    try:
        yield cuts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _is_stored(network: Network, message: str) -> bool:
    return any(copy.id == message and copy.stored_at for copy in network[NEAR].holds.copies())


def _check(network: Network, message: str, file: Path, copy: Path) -> None:
    """It came once, and is the file. Raises AssertionError."""
    far = network[FAR]
    assert far.holds.ids(NEAR) == [message]
    assert len(list((far.path / "attachments").glob("*.sealed"))) == 1
    with sitting(far) as (_, attachments):
        attachments.save(message, None, lambda _: copy, own_reader(FAR), infected_zip=False)
    with file.open("rb") as sent, copy.open("rb") as came:
        digests = [sha256(one.read()).digest() for one in (sent, came)]
    assert digests[0] == digests[1]
    assert network.accusations() == {}


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goals are met, 1 they aren't."""
    parser = argparse.ArgumentParser(prog="./run bench attachments", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object, last on stdout")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help=f"rounds, {LEAST_ROUNDS} or more")
    parser.add_argument("--bytes", type=int, default=MAX_ATTACHMENT, help="size of the file")
    parser.add_argument("--rate", type=float, default=RATE, help="bytes a second of the link, each way")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="exchange-attachments-") as folder:
        result = measure(
            Path(folder),
            rounds=max(LEAST_ROUNDS, chosen.rounds),
            size=chosen.bytes,
            rate=chosen.rate,
            cut_seconds=CUT_SECONDS,
        )
    return tell("attachments", goals=GOALS, as_json=chosen.json, **result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
