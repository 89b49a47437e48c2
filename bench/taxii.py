"""`./run bench taxii [--json]`: pages and posts of a node's TAXII 2.1 server beside OpenTAXII's.

Both over loopback HTTP, each its own processes: ours a whole node (`exchange node serve`, with its hub), the peer
OpenTAXII by gunicorn with its SQLite, as its documentation starts it. The same indicators, page size, client and login
(Bearer). Each side has a collection of 1,000 objects and one of 50,000, filled before the clock starts.
"""

from __future__ import annotations

import http.client
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from bench._rounds import Goal, alternate, options, percentile, process_cpu_seconds, process_mib, tell
from bench._taxii_servers import Server, install, networked, opentaxii, our_node, shared_once_mib
from exchange.demo.network import CO, PE

ROUNDS: Final = 3
SMALL, LARGE = 1_000, 50_000
PAGE: Final = 100
PAGES: Final = 200  # a round, of each collection
POSTS: Final = 20  # a round
POST_OBJECTS: Final = 100
FILL_OBJECTS: Final = 1_000  # a post
TAXII: Final = "application/taxii+json;version=2.1"
LAST: Final = "X-TAXII-Date-Added-Last"
GOALS: Final = {
    "page_p50_vs_opentaxii": Goal("<=", 0.5),
    "post_vs_opentaxii": Goal(">=", 3.0),
    "rss_vs_opentaxii": Goal("<=", 0.5),
    "page_p50_50k_vs_1k": Goal("<=", 1.3),
}


class Client:
    """One caller of one server. The connection is kept where the server keeps it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        self._headers = {"Accept": TAXII, "Authorization": f"Bearer {server.token}"}

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def page(self, after: str, limit: int) -> tuple[int, str]:
        """How many objects a page has, and the moment of the last. Raises RuntimeError."""
        query = f"?limit={limit}" + (f"&added_after={after}" if after else "")
        answer, body = self._ask("GET", self._server.objects + query, 200)
        return len(orjson.loads(body).get("objects", [])), answer.headers.get(LAST, "")

    def timed_page(self, after: str) -> float:
        """Seconds until a full page is here, unread."""
        began = time.perf_counter()
        _, body = self._ask("GET", f"{self._server.objects}?limit={PAGE}&added_after={after}", 200)
        taken = time.perf_counter() - began
        if len(orjson.loads(body)["objects"]) != PAGE:
            raise RuntimeError("a page is not full")
        return taken

    def post(self, data: bytes) -> None:
        """An envelope, all of whose objects must succeed."""
        _, body = self._ask("POST", self._server.objects, 202, data)
        status = orjson.loads(body)
        if (status["status"], status["failure_count"]) != ("complete", 0):
            raise RuntimeError("a post failed")

    def _ask(
        self, method: str, path: str, expected: int, data: bytes | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        headers = self._headers if data is None else {**self._headers, "Content-Type": TAXII}
        self._connection.request(method, path, body=data, headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != expected:
            raise RuntimeError(f"{method} {path.partition('?')[0]}: {answer.status}, {body[:200]!r}")
        return answer, body


def envelopes(chance: random.Random, count: int, objects: int) -> Iterator[bytes]:
    """Envelopes of new indicators as feeds have them, 500 to 600 bytes each."""
    for _ in range(count):
        yield orjson.dumps({"objects": [_indicator(chance) for _ in range(objects)]})


def _indicator(chance: random.Random) -> dict[str, Any]:
    address = ".".join(str(chance.randrange(256)) for _ in range(4))
    moment = (
        f"2026-09-{chance.randrange(1, 31):02}T{chance.randrange(24):02}:{chance.randrange(60):02}:07.000Z"
    )
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.UUID(bytes=chance.randbytes(16), version=4)}",
        "created": moment,
        "modified": moment,
        "name": f"Seen scanning for open management ports from {address}",
        "indicator_types": ["malicious-activity"],
        "pattern": f"[ipv4-addr:value = '{address}']",
        "pattern_type": "stix",
        "valid_from": moment,
        "confidence": chance.randrange(100),
        "labels": ["scanner", "automated"],
    }


class Side:
    """One program, with a server of few objects and a server of many."""

    def __init__(self, small: Server, large: Server, chance: random.Random) -> None:
        self._servers = {"1k": small, "50k": large}
        self._clients = {name: Client(server) for name, server in self._servers.items()}
        self._chance = chance
        self._moments: dict[str, list[str]] = {}

    def close(self) -> None:
        """Hang up."""
        for client in self._clients.values():
            client.close()

    def fill(self, counts: Mapping[str, int]) -> None:
        """So many objects in each; then where pages can begin, which is every moment but the last ones'."""
        for name, client in self._clients.items():
            size = min(FILL_OBJECTS, counts[name])
            for data in envelopes(self._chance, counts[name] // size, size):
                client.post(data)
            self._moments[name] = list(_moments(client))

    def run(self, *, pages: int, posts: int) -> Mapping[str, float]:
        """One round: pages from anywhere in both collections in turn, then posts to the large one."""
        self.close()  # what was idle since the last round may have been closed at the other end
        taken: dict[str, list[float]] = {name: [] for name in self._clients}
        before = {name: self._cpu(name) for name in self._servers}
        for number in range(pages):
            for name, client in sorted(self._clients.items(), reverse=bool(number % 2)):
                taken[name].append(client.timed_page(self._chance.choice(self._moments[name])))
        between = {name: self._cpu(name) for name in self._servers}
        data = list(envelopes(self._chance, posts, POST_OBJECTS))
        began = time.perf_counter()
        for one in data:
            self._clients["50k"].post(one)
        seconds = time.perf_counter() - began
        posted = self._cpu("50k")
        single = next(envelopes(self._chance, 1, 1))
        began = time.perf_counter()
        self._clients["50k"].post(single)
        return {
            "page_p50_ms": percentile(taken["50k"], 0.5) * 1_000,
            "page_p99_ms": percentile(taken["50k"], 0.99) * 1_000,
            "page_p50_1k_ms": percentile(taken["1k"], 0.5) * 1_000,
            "page_cpu_ms": (between["50k"] - before["50k"]) * 1_000 / pages,
            "page_cpu_1k_ms": (between["1k"] - before["1k"]) * 1_000 / pages,
            "post_objects_per_s": posts * POST_OBJECTS / seconds,
            "post_object_cpu_ms": (posted - between["50k"]) * 1_000 / (posts * POST_OBJECTS),
            "post_of_one_ms": (time.perf_counter() - began) * 1_000,
            "rss_mib": sum(process_mib(pid) for pid in self._servers["50k"].processes),
            "pss_mib": shared_once_mib(self._servers["50k"].processes),
        }

    def _cpu(self, name: str) -> float:
        return sum(process_cpu_seconds(pid) for pid in self._servers[name].processes)


def _moments(client: Client) -> Iterator[str]:
    """The moments after which a full page follows."""
    after, waiting = "", list[str]()
    while True:
        found, last = client.page(after, PAGE)
        if found < PAGE:
            return
        yield from waiting
        waiting, after = [last], last


def measure(
    sides: Mapping[str, Side], *, counts: Mapping[str, int], rounds: int, pages: int, posts: int
) -> dict[str, Any]:
    """Every number of the sides `ours` and `opentaxii`, for `tell`."""
    for name, side in sides.items():
        print(f"filling {name}", file=sys.stderr, flush=True)
        side.fill(counts)
    runs = {name: partial(side.run, pages=pages, posts=posts) for name, side in sides.items()}
    found = alternate(runs, rounds)
    for side in sides.values():
        side.close()
    ours, peer = found["ours"], found["opentaxii"]

    def ratio(key: str) -> float:
        return ours[key]["median"] / peer[key]["median"]

    return {
        "ours": {**ours, "objects": counts["50k"]},
        "peer": peer,
        "ceiling": {},
        "ratios": {
            "page_p50_vs_opentaxii": ratio("page_p50_ms"),
            "post_vs_opentaxii": ratio("post_objects_per_s"),
            "rss_vs_opentaxii": ratio("rss_mib"),
            "pss_vs_opentaxii": ratio("pss_mib"),  # pages that a server's processes share counted once
            "page_p50_50k_vs_1k": ours["page_p50_ms"]["median"] / ours["page_p50_1k_ms"]["median"],
        },
    }


def main(arguments: Sequence[str]) -> int:
    """Run it. Exit codes: 0 the goals are met, 1 they aren't."""
    chosen = options("taxii", __doc__, arguments, rounds=ROUNDS)
    version = install()
    with tempfile.TemporaryDirectory(prefix="exchange-taxii-") as name, ExitStack() as stack:
        folder = Path(name)
        network = stack.enter_context(networked(folder))
        ours = [stack.enter_context(our_node(network.nodes[one], folder)) for one in (PE, CO)]
        peers = [stack.enter_context(opentaxii(folder / one)) for one in ("small", "large")]
        sides = {
            side: Side(*servers, random.Random(1))  # noqa: S311 - protects nothing: what a benchmark carries
            for side, servers in (("ours", ours), ("opentaxii", peers))
        }
        counts = {"1k": SMALL, "50k": LARGE}
        result = measure(sides, counts=counts, rounds=chosen.rounds, pages=PAGES, posts=POSTS)
    result["peer"] = {"version": version, **result["peer"]}
    return tell("taxii", rounds=chosen.rounds, **result, goals=GOALS, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
