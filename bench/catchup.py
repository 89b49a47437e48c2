"""`./run bench catchup [--json]`: a node that was away gets a backlog of 10,000 small alerts.

Ours: a hub and a node as real processes over TLS; counted is the node's CPU time from the moment before it reaches the
hub until everything is verified, opened, stored, receipted, and the hub has the receipts. Two senders sealed the
backlog beforehand, in three lanes; every round starts from the same homes. Ceiling: nothing but `envelope.open_` on
the same envelopes.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench._machine import cpu_seconds, profile
from bench._node_network import Alerts, LightSender
from bench._rounds import Goal, alternate, options, process_cpu_seconds, process_mib, tell
from exchange.demo.network import BB, CO, PE, DemoNetwork
from exchange.demo.processes import Servers, until
from exchange.envelope import HeldPrekey, open_
from exchange.limits import MAX_BATCH_ITEMS
from exchange.node.app import real_sources, running
from exchange.node.control import channel as control
from exchange.node.node import Node
from exchange.node.store import receipts as store_receipts
from exchange.node.store.inbox import count_unopened
from exchange.node.store.store import Transaction

ROUNDS: Final = 3
MESSAGES: Final = 10_000
PATIENCE: Final = 600.0  # seconds a round may take on a busy machine
PROFILED: Final = 500
GOALS: Final = {"per_core_second": Goal(">=", 1_000), "vs_open_ceiling": Goal(">=", 0.7)}


class Backlog:
    """A network whose BB was away while PE and CO wrote to it."""

    def __init__(self, folder: Path, servers: Servers, messages: int) -> None:
        self._messages = messages
        self._kept = folder / "kept"
        self._network = DemoNetwork(folder, servers)
        self.deliveries: list[bytes] = []

    def prepare(self) -> None:
        """Found the network, seal and upload the backlog, keep the homes as they are then."""
        self._network.set_up()
        for node in self._network.nodes.values():
            self._network.stop(node)
        for sender in (PE, CO):
            asyncio.run(self._write(sender, self._messages // 2))
        self._network.stop_hub()
        self._kept.mkdir()
        for home in (self._network.hub_path, self._network.nodes[BB].path):
            shutil.copytree(home, self._kept / home.name)

    async def _write(self, sender: str, count: int) -> None:
        async with running(self._network.nodes[sender].home(), real_sources()) as node:
            await node.sync.once()
            alerts = Alerts(uuid.UUID(bytes=node.identity.net[:16]), sender)
            made = await LightSender(node, alerts, BB).seal(count)
            for start in range(0, count, MAX_BATCH_ITEMS):
                uploads = [one.upload.to_bytes() for one in made[start : start + MAX_BATCH_ITEMS]]
                posted = await node.hub.post_envelopes(uploads)
                refused = [one.code for one in posted.results if one.code]
                if refused:
                    raise RuntimeError(f"the hub didn't take the backlog: {refused[0]}")
            self.deliveries += [one.upload.delivery(0).to_bytes() for one in made]

    def catch_up(self) -> Mapping[str, float]:
        """One round of ours."""
        network, node = self._network, self._network.nodes[BB]
        for home in (network.hub_path, node.path):
            shutil.rmtree(home)
            shutil.copytree(self._kept / home.name, home)
        network.start(node)
        network.wait_up(node)
        assert node.server is not None
        pid = node.server.process.pid or 0
        before = process_cpu_seconds(pid)
        network.start_hub()
        control.ask(node.path / "control.sock", "poke")
        with node.opened() as home:
            until(
                "all is stored and receipted",
                lambda: home.store.db.read_sync(self._is_done),
                seconds=PATIENCE,
            )
        cpu, peak = process_cpu_seconds(pid) - before, process_mib(pid, peak=True)
        network.stop(node)
        network.stop_hub()
        return {
            "per_core_second": self._messages / cpu,
            "ms_per_message": cpu * 1_000 / self._messages,
            "mib": peak,
        }

    def _is_done(self, connection: Transaction) -> bool:
        open_receipts = store_receipts.open_receipts(connection, limit=1)
        unsent = store_receipts.unsent(connection, after=0, limit=1)
        return not open_receipts and not unsent and count_unopened(connection) == self._messages

    def open_all(self) -> Mapping[str, float]:
        """One round of the ceiling."""

        async def measure() -> float:
            async with running(self._network.nodes[BB].home(), real_sources()) as node:
                opener = Opener(node)
                opener.open(self.deliveries[:PROFILED])  # prekeys are read from the keystore once
                return cpu_seconds(lambda: opener.open(self.deliveries))

        taken = asyncio.run(measure())
        count = len(self.deliveries)
        return {"per_core_second": count / taken, "ms_per_message": taken * 1_000 / count}

    def profile(self) -> dict[str, list[str]]:
        """Where the time goes in the node's event loop; its writer thread isn't in it."""

        async def measure() -> list[str]:
            async with running(self._network.nodes[BB].home(), real_sources()) as node:
                return profile(lambda: Opener(node).open(self.deliveries[:PROFILED]))

        return {"open": asyncio.run(measure())}


class Opener:
    """Bare opening, with the node's keys and directory."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def open(self, deliveries: list[bytes]) -> None:
        """Open them all, one after the other."""
        node, now = self._node, self._node.sources.clock()
        for each in deliveries:
            open_(
                each,
                net=node.identity.net,
                me=node.identity.address,
                directory=node.replica.directory,
                prekeys=self._prekey,
                now=now,
            )

    def _prekey(self, kid: bytes) -> HeldPrekey | None:
        return self._node.prekeys.find(kid)


def measure(folder: Path, *, rounds: int, messages: int) -> dict[str, Any]:
    """Every number, for `tell`."""
    with Servers(folder) as servers:
        backlog = Backlog(folder, servers, messages)
        print(f"making a network and sealing {messages} messages", file=sys.stderr, flush=True)
        backlog.prepare()
        sides = alternate({"ours": backlog.catch_up, "ceiling": backlog.open_all}, rounds)
        found = backlog.profile()
    ours, ceiling = sides["ours"], sides["ceiling"]
    rate = ours["per_core_second"]["median"]
    sealed = sum(len(each) for each in backlog.deliveries) / len(backlog.deliveries)
    return {
        "ours": {**ours, "messages": messages, "sealed_bytes": round(sealed), "profile": found},
        "peer": {},
        "ceiling": dict(ceiling),
        "ratios": {
            "per_core_second": rate,
            "vs_open_ceiling": rate / ceiling["per_core_second"]["median"],
        },
    }


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goals are met, 1 they aren't."""
    chosen = options("catchup", __doc__, arguments, rounds=ROUNDS)
    with tempfile.TemporaryDirectory(prefix="exchange-catchup-") as folder:
        result = measure(Path(folder), rounds=chosen.rounds, messages=MESSAGES)
    return tell("catchup", rounds=chosen.rounds, **result, goals=GOALS, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
