"""`./run bench idle [--json]`: a hub with 1,000 members, each connected by an idle WebSocket over TLS: memory and CPU.

The hub is the real program in a process of its own, the members' nodes are in two others, with the node's own client
and its pings. Goals: <= 128 MiB resident, < 2 % of a core. Each round is a fresh hub and fresh connections.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from bench._founded_hub import Founded, found, serving, settled_mib
from bench._rounds import Goal, alternate, options, process_cpu_seconds, process_mib, tell

MEMBERS: Final = 1_000
PROCESSES: Final = 2
SECONDS: Final = 60.0
GOALS: Final = {"mib": Goal("<=", 128), "core_percent": Goal("<", 2)}


def measure(
    hub: Founded, *, rounds: int, seconds: float, processes: int = PROCESSES, pause: float = 2.0
) -> dict[str, Any]:
    """What `tell` wants: memory before and after the nodes came, CPU over `seconds` without any mail."""

    def once() -> Mapping[str, float]:
        with serving(hub) as pid:
            alone = settled_mib(pid, pause=pause)
            with _connected(hub, processes):
                mib = settled_mib(pid, pause=pause)
                began, cpu = time.monotonic(), process_cpu_seconds(pid)
                time.sleep(seconds)
                used = process_cpu_seconds(pid) - cpu
                percent = 100 * used / (time.monotonic() - began)
                mib = max(mib, process_mib(pid))
        return {
            "mib": mib,
            "mib_without_nodes": alone,
            "kib_per_node": (mib - alone) * 1024 / len(hub.members),
            "core_percent": percent,
        }

    ours = alternate({"hub": once}, rounds)["hub"]
    return {
        "ours": {"members": len(hub.members), "seconds": seconds, **ours},
        "ratios": {key: ours[key]["median"] for key in GOALS},
    }


@contextmanager
def _connected(hub: Founded, processes: int) -> Iterator[None]:
    """All members connected and idle, in that many processes."""
    with ExitStack() as stack:
        children = [stack.enter_context(_nodes(hub, hub.members[i::processes])) for i in range(processes)]
        for child in children:
            _expect(child, "connected")
        yield
        for child in children:
            assert child.stdin is not None
            child.stdin.close()
            _expect(child, "stayed")


@contextmanager
def _nodes(hub: Founded, members: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "bench._idle_nodes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    asked = {"origin": hub.origin, "net": hub.net.hex(), "ca": str(hub.ca), "members": list(members)}
    try:
        assert child.stdin is not None
        child.stdin.write(json.dumps(asked).encode() + b"\n")
        child.stdin.flush()
        yield child
        child.wait(60)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _expect(child: subprocess.Popen[bytes], word: str) -> None:
    assert child.stdout is not None
    said = child.stdout.readline().strip()
    assert said == word.encode("ascii"), f"the nodes' process said {said!r} instead of {word}"


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goals are met, 1 they aren't."""
    chosen = options("idle", __doc__, arguments, rounds=3)
    with tempfile.TemporaryDirectory(prefix="exchange-idle-") as folder:
        print(f"founding a network of {MEMBERS} members; this takes half a minute", file=sys.stderr)
        hub = found(Path(folder) / "net", MEMBERS)
        result = measure(hub, rounds=chosen.rounds, seconds=SECONDS)
    return tell("idle", rounds=chosen.rounds, peer={}, ceiling={}, goals=GOALS, as_json=chosen.json, **result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
