"""`./run soak memory [--small N --large N] [--side hub|node]`: hub and node with 1 M small messages against 100 k.

Each store is filled through itself, then worked on by a fresh process of its own, whose resident memory is read after
every step: for the hub accept, every mailbox paged to its end, expiry, forgetting, totals; for the node the lists, the
counts, the whole inbox read through. Besides, the real programs are started on the filled stores: the hub at rest; the
node, its hub up, at rest, its mail listed by the REST API, all of it put into the TAXII collections, and pages of these
read. What holds: the most memory at the large size is at most 1.1 times that at the small one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from bench._founded_hub import found, serving, settled_mib
from bench._hub_fill import MEMBERS, Envelopes, NoRoom, fill, need_room
from bench._node_fill import fill as fill_node
from bench._rounds import process_mib
from bench._taxii_servers import Server, networked, our_node
from exchange.demo.network import PE, DemoNode
from exchange.node.home import LOCAL_KEY

NAME: Final = "memory"
SMALL: Final = 100_000
LARGE: Final = 1_000_000
MOST_RATIO: Final = 1.1
PAGES: Final = 50  # of mail and of collections that are read through the doors
MAIL_PAGE: Final = 200
OBJECTS_PAGE: Final = 1_000
ANSWER_SECONDS: Final = 120
FILL_SECONDS: Final = 7_200  # until all mail is in the collections

Curves: TypeAlias = dict[str, dict[str, dict[str, float]]]


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 it holds, 1 it doesn't or the disk is too small."""
    parser = argparse.ArgumentParser(prog="./run soak memory", description=__doc__)
    parser.add_argument("--small", type=int, default=SMALL)
    parser.add_argument("--large", type=int, default=LARGE)
    parser.add_argument("--side", choices=sorted(SIDES), help="only this one's; both without it")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="exchange-memory-") as made:
        try:
            need_room(Path(made), 2 * chosen.large)  # the node's take as much as the hub's
        except NoRoom as short:
            print(f"soak memory: {short}", file=sys.stderr)
            return 1
        sides = [chosen.side] if chosen.side else sorted(SIDES)
        curves: Curves = {}
        for side in sides:
            curves |= SIDES[side](Path(made), (chosen.small, chosen.large))
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


def hub_curves(folder: Path, sizes: Sequence[int]) -> Curves:
    """MiB after each step, by process, size and step. `sizes` rise; the store grows from one to the next."""
    hub, now = found(folder / "net", len(MEMBERS)), time.time_ns() // 1_000_000
    envelopes, done = Envelopes(now), 0
    curves: Curves = {"hub's store": {}, "hub": {}}
    for size in sizes:
        fill(hub.home, envelopes, size - done)
        done = size
        with serving(hub) as pid:
            curves["hub"][str(size)] = {"at rest": settled_mib(pid)}
        curves["hub's store"][str(size)] = _child("hub", hub.home, size, now)
    return curves


def node_curves(folder: Path, sizes: Sequence[int]) -> Curves:
    """The same of a node, whose hub is up and has no mail for it."""
    now, done = time.time_ns() // 1_000_000, 0
    curves: Curves = {"node's store": {}, "node": {}}
    with networked(folder) as network:
        node = network.nodes[PE]
        for size in sizes:
            fill_node(node.path / "node.db", node.home().keystore.get(LOCAL_KEY), done, size, now)
            done = size
            curves["node's store"][str(size)] = _child("node", node.path, node.key)
            curves["node"][str(size)] = _serve(node, folder)
    return curves


SIDES: Final[Mapping[str, Callable[[Path, Sequence[int]], Curves]]] = {"hub": hub_curves, "node": node_curves}


def _serve(node: DemoNode, folder: Path) -> dict[str, float]:
    """The real node on its store, asked through its doors."""
    curve: dict[str, float] = {}
    with our_node(node, folder, collection="received") as server:
        (pid,) = server.processes
        curve["at rest"] = settled_mib(pid)
        _read_pages(server, f"/api/v1/messages?limit={MAIL_PAGE}", "before")
        curve["mail listed"] = round(process_mib(pid), 1)
        _ask(server, f"{server.objects}?limit=1")
        curve["collections filled"] = round(process_mib(pid), 1)
        _read_pages(server, f"{server.objects}?limit={OBJECTS_PAGE}", "next")
        curve["collections read"] = round(process_mib(pid), 1)
        curve["at rest again"] = settled_mib(pid)
    return curve


def _read_pages(server: Server, path: str, onward: str) -> None:
    """Up to `PAGES` of them; the parameter `onward` leads from each to the next."""
    following = ""
    for _ in range(PAGES):
        page = _ask(server, path + following)
        if page.get("next") is None:
            return
        following = f"&{onward}={page['next']}"


def _ask(server: Server, path: str) -> Any:
    """What a door answers, as JSON, once it has it.

    Raises RuntimeError for anything but 200, and but "come back" for FILL_SECONDS.
    """
    until = time.monotonic() + FILL_SECONDS
    accept = "application/taxii+json;version=2.1" if path.startswith("/taxii2/") else "application/json"
    while True:
        asking = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_SECONDS)
        asking.request("GET", path, headers={"Accept": accept, "Authorization": f"Bearer {server.token}"})
        answer = asking.getresponse()
        body = answer.read()
        asking.close()
        if answer.status == 200:
            return json.loads(body)
        if answer.status != 503 or b"taxii.filling" not in body or time.monotonic() > until:
            raise RuntimeError(f"{path.partition('?')[0]}: {answer.status}, {body[:200]!r}")
        print(json.loads(body)["description"], file=sys.stderr)
        time.sleep(
            float(answer.headers["Retry-After"])
        )  # as a client does: HTTP tells nobody when it is ready


def _child(side: str, *arguments: object) -> dict[str, float]:
    command = [sys.executable, "-m", "bench._memory_child", side, *map(str, arguments)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - this file
    curve: dict[str, float] = json.loads(ran.stdout)
    return curve
