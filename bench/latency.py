"""`./run bench latency [--json]`: 20 alerts a second from node to node, from `send` to durable at the receiver.

Ours: a hub and two full nodes as real processes over TLS; a message counts from the moment its intent is durable, as
when `exchange node send` ends, until the receiver's transaction is on its disk. Beside it, in alternation: the same
commands and the same durable writes with stand-ins for signatures, key wrapping and the body's cipher
(bench/_node_child.py).
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench import _node_child
from bench._node_child import PLAIN, REAL, read_marks
from bench._node_network import LIFE_MS, Alerts
from bench._rounds import Goal, alternate, options, percentile, process_cpu_seconds, process_mib, tell
from exchange.content import STIX
from exchange.demo.network import BB, PE, DemoNetwork, DemoNode
from exchange.demo.processes import Server, Servers, until
from exchange.message import Message
from exchange.node.control import channel as control
from exchange.node.store.outbox import Outgoing

ROUNDS: Final = 3
PER_SECOND: Final = 20
SECONDS: Final = 20
WARM_UP: Final = 20  # messages before those that count: connections, caches, first pages
PATIENCE: Final = 120.0
GOALS: Final = {"p50_vs_plain": Goal("<=", 2.0), "p99_vs_plain": Goal("<=", 3.0)}


class MarkedServers(Servers):
    """Servers of one of the two sides, which mark when what came to them was durable."""

    side = REAL

    def marks(self, name: str) -> Path:
        """The file of a server's marks."""
        return self._logs / f"{name}.marks"

    def child(self, name: str) -> Callable[..., None]:
        return partial(_node_child.serve, self.side, self.marks(name))


class Line:
    """A network in which PE writes to BB."""

    def __init__(self, folder: Path, servers: MarkedServers, *, seconds: float) -> None:
        self._servers = servers
        self._seconds = seconds
        self._folder = folder
        self._network = DemoNetwork(folder, servers)
        self._kept = folder / "kept"

    def prepare(self) -> None:
        """Found the network once; every round starts from the same homes."""
        self._network.set_up()
        for node in self._network.nodes.values():
            self._network.stop(node)
        self._network.stop_hub()
        self._kept.mkdir()
        for home in self._homes():
            shutil.copytree(home, self._kept / home.name)

    def _homes(self) -> list[Path]:
        return [self._network.hub_path, *(self._network.nodes[member].path for member in (PE, BB))]

    def run(self, side: str) -> Mapping[str, float]:
        """One round of one side."""
        for home in self._homes():
            shutil.rmtree(home)
            shutil.copytree(self._kept / home.name, home)
        self._servers.side = side
        sender, receiver = self._network.nodes[PE], self._network.nodes[BB]
        self._servers.marks(BB).unlink(missing_ok=True)
        self._network.start_hub()
        for node in (sender, receiver):
            self._network.start(node)
            self._network.wait_up(node)
        servers = [self._network.hub, sender.server, receiver.server]
        self._send(sender, WARM_UP)
        before = [_cpu(server) for server in servers]
        sent = self._send(sender, round(self._seconds * PER_SECOND))
        after = [_cpu(server) for server in servers]
        memory = [process_mib(_pid(server)) for server in servers]
        for node in (sender, receiver):
            self._network.stop(node)
        self._network.stop_hub()
        marks = read_marks(self._servers.marks(BB))
        taken = [(marks[name] - at) / 1e6 for name, at in sent.items()]
        spent = [(late - early) * 1_000 / len(sent) for early, late in zip(before, after, strict=True)]
        return {
            "p50_ms": percentile(taken, 0.5),
            "p99_ms": percentile(taken, 0.99),
            "most_ms": max(taken),
            **dict(zip(("hub_cpu_ms", "sender_cpu_ms", "receiver_cpu_ms"), spent, strict=True)),
            **dict(zip(("hub_mib", "sender_mib", "receiver_mib"), memory, strict=True)),
        }

    def _send(self, node: DemoNode, count: int) -> dict[str, int]:
        """Queue that many, evenly spread, and wait until they came: when each was queued, ns since 1970."""
        with node.opened() as home:
            network = uuid.UUID(bytes=home.home.identity().net[:16])
            # not a secret: what it chooses is what a benchmark measures
            alerts = Alerts(network, PE, random.Random())  # noqa: S311 - other ids than the round before
            messages = [alerts.next() for _ in range(count)]
            sent: dict[str, int] = {}
            began = time.monotonic()
            for number, message in enumerate(messages):
                time.sleep(
                    max(0.0, began + number / PER_SECOND - time.monotonic())
                )  # the load that is measured
                home.desk.submit(_outgoing(message), [BB])
                sent[message.id] = time.time_ns()
                control.ask(node.path / "control.sock", "poke")
        came = partial(self._all_came, sent)
        until("all messages came", came, seconds=PATIENCE)
        return sent

    def _all_came(self, sent: Mapping[str, int]) -> bool:
        return sent.keys() <= read_marks(self._servers.marks(BB)).keys()


def _outgoing(message: Message) -> Outgoing:
    return Outgoing(
        message.id,
        STIX,
        message.urgency.value,
        message.created,
        message.created + LIFE_MS,
        message.bundle,
        compress=True,
    )


def _cpu(server: Server | None) -> float:
    return process_cpu_seconds(_pid(server))


def _pid(server: Server | None) -> int:
    assert server is not None
    return server.process.pid or 0


def measure(folder: Path, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Every number, for `tell`."""
    with MarkedServers(folder) as servers:
        line = Line(folder, servers, seconds=seconds)
        print("making a network", file=sys.stderr, flush=True)
        line.prepare()
        sides = alternate({side: partial(line.run, side) for side in (REAL, PLAIN)}, rounds)
    ours, plain = sides[REAL], sides[PLAIN]
    return {
        "ours": {**ours, "messages_a_round": round(seconds * PER_SECOND)},
        "peer": {"name": "the same path without cryptography", "version": "same commit", **plain},
        "ceiling": {},
        "ratios": {
            f"{name}_vs_plain": ours[f"{name}_ms"]["median"] / plain[f"{name}_ms"]["median"]
            for name in ("p50", "p99")
        },
    }


def main(arguments: Sequence[str]) -> int:
    """Run it. Exit codes: 0 the goals are met, 1 they aren't."""
    chosen = options("latency", __doc__, arguments, rounds=ROUNDS)
    with tempfile.TemporaryDirectory(prefix="exchange-latency-") as folder:
        result = measure(Path(folder), rounds=chosen.rounds, seconds=SECONDS)
    return tell("latency", rounds=chosen.rounds, **result, goals=GOALS, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
