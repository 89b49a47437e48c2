"""`./run bench publish [--json]`: messages of 20 KiB to 35 recipients through the hub alone, beside two peers.

Sealed before the clock starts; the real hub process, over TLS, checks and signs as always. 35 light clients hold
WebSockets, open and store nothing, and return signed batches of receipts; the sender gets its proofs. The peers carry
the same 20 KiB, also over TLS, synced to the same disk: NATS JetStream with `sync_interval: always` and 35 durable
consumers, and a bare hub that checks and signs nothing. A round ends when the last copy is receipted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import uvloop

from bench import _publish_nats as nats, _publish_ours as ours, _publish_reference as reference
from bench._rounds import Goal, Side, alternate, options, tell

ROUNDS: Final = 5
MESSAGES: Final = 1_000
RECIPIENTS: Final = 35
PAYLOAD: Final = 20 * 1024  # bytes
BATCH: Final = 8  # envelopes in a request
WINDOW: Final = 64  # messages in flight
GOALS: Final = {"deliveries_vs_nats": Goal(">=", 1.0), "cpu_vs_reference": Goal("<=", 2.2)}

Round = Callable[[Path], Coroutine[Any, Any, Mapping[str, float]]]


def measure(folder: Path, *, rounds: int, recipients: int, messages: int) -> dict[str, Any]:
    """Every side's figures, and the ratios: what `tell` wants."""
    prepared = ours.prepare(folder / "prepared", recipients=recipients, messages=messages, payload=PAYLOAD)
    # as many bytes to a recipient for the peers as for us, who deflate, pad, wrap and sign
    size = {"recipients": recipients, "messages": messages, "payload": prepared.delivery}
    numbers = count()

    def side(name: str, work: Round) -> Side:
        def run() -> Mapping[str, float]:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
                return loop.run(work(folder / f"{name}{next(numbers)}"))

        return run

    async def hub(where: Path) -> Mapping[str, float]:
        return await ours.run(prepared, where, batch=BATCH, window=WINDOW)

    measured = alternate(
        {
            "ours": side("ours", hub),
            "nats": side("nats", partial(nats.run, window=WINDOW, **size)),
            "reference": side("reference", partial(reference.run, batch=BATCH, window=WINDOW, **size)),
        },
        rounds,
    )
    mine, theirs, bare = measured["ours"], measured["nats"], measured["reference"]
    return {
        "ours": {
            **mine,
            "content_bytes": PAYLOAD,
            "upload_bytes": len(prepared.envelopes[0][1]),
            "delivery_bytes": prepared.delivery,
            "messages": messages,
            "recipients": recipients,
        },
        "peer": {"name": "NATS JetStream, sync_interval always, TLS", "version": nats.version(), **theirs},
        "ceiling": {"name": "bare reference hub: aiohttp, SQLite FULL, TLS, nothing checked", **bare},
        "ratios": {
            "deliveries_vs_nats": mine["deliveries_per_s"]["median"] / theirs["deliveries_per_s"]["median"],
            "cpu_vs_reference": mine["cpu_ms_per_message"]["median"] / bare["cpu_ms_per_message"]["median"],
            "deliveries_vs_reference": mine["deliveries_per_s"]["median"]
            / bare["deliveries_per_s"]["median"],
            "cpu_vs_nats": mine["cpu_ms_per_message"]["median"] / theirs["cpu_ms_per_message"]["median"],
        },
    }


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goals are met, 1 they aren't."""
    chosen: argparse.Namespace = options("publish", __doc__, arguments, rounds=ROUNDS)
    with tempfile.TemporaryDirectory(prefix="publish-") as folder:
        result = measure(Path(folder), rounds=chosen.rounds, recipients=RECIPIENTS, messages=MESSAGES)
    return tell("publish", rounds=chosen.rounds, **result, goals=GOALS, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
