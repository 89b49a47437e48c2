"""`./run bench directory [--json]`: look-ups and replay of a directory of 40 members, 400 functions, 20,000 claims.

Goals (docs/performance.md): find by need p50 <= 5 ms, 10,000 IPs grouped by owner <= 1 s, cold replay of 5,000
statements <= 10 s, all in CPU time of this process. What a node does once per run of a command (joining log and parts,
building the owners' tables) is reported beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from datetime import tzinfo
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from bench._directory_network import LANGUAGES, SeededNetwork, Size
from bench._machine import cpu_seconds, machine, profile, spread
from bench._rounds import process_mib
from exchange.directory.book import Book
from exchange.directory.find import Need, find
from exchange.directory.log import Leaf
from exchange.directory.owners import Owners
from exchange.directory.state import Directory
from exchange.directory.vocabulary import FUNCTIONS, TOPICS
from exchange.keys import STATEMENT
from exchange.limits import DAY_MS

ROUNDS: Final = 5
FINDS: Final = 400
ADDRESSES: Final = 10_000
GOALS: Final = {"find_ms": 5.0, "owner_10k_s": 1.0, "replay_5k_s": 10.0}


@cache
def zones(name: str) -> tzinfo | None:
    """Of this machine."""
    return ZoneInfo(name)


def measure(network: SeededNetwork, *, rounds: int, finds: int, addresses: int) -> dict[str, Any]:
    """Every number of the benchmark, in the form of docs/performance.md."""
    directory, now = network.directory, network.now + DAY_MS
    book = Book.build(directory, network.parts, now)
    needs = _needs(network, now, finds)
    asked = network.addresses(addresses)
    rows = list(zip(network.leaves, network.codes, strict=True))
    find_p50, find_p99, parts = [], [], []
    taken: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        taken.setdefault(name, []).append(cpu_seconds(work))

    for _ in range(rounds):
        each = sorted(cpu_seconds(lambda need=need: find(book, need, zones)) * 1000 for need in needs)
        find_p50.append(statistics.median(each))
        find_p99.append(each[len(each) * 99 // 100])
        timed("book_build_s", lambda: parts.append(len(Book.build(directory, network.parts, now).contacts)))
        timed("owner_10k_s", lambda: Owners.build(book).group(asked))
        timed("owners_build_s", lambda: Owners.build(book))
        timed("replay_5k_s", lambda: Directory.replay(network.leaves, now=None))
        timed("resume_5k_s", lambda: Directory.resume(rows))
        timed("signatures_s", lambda: _verify_all(network))
    ours = {
        "find_ms": spread(find_p50),
        "find_p99_ms": spread(find_p99),
        **{name: spread(values) for name, values in taken.items()},
        "network": {
            "claims": sum(one.claims.count for one in book.members.values() if one.claims),
            "contacts": len(book.contacts),
            "leaves": directory.size,
            "members": len(book.members),
            "signatures": sum(
                len(Leaf.from_bytes(leaf, network.net).statement.signatures) for leaf in network.leaves
            ),
        },
        "profile": {
            "find": profile(lambda: [find(book, need, zones) for need in needs]),
            "owner_10k": profile(lambda: Owners.build(book).group(asked)),
            "replay_5k": profile(lambda: Directory.replay(network.leaves, now=None)),
        },
    }
    return {
        "bench": "directory",
        "machine": machine(),
        "bench_mib": round(process_mib(os.getpid(), peak=True), 1),
        "rounds": rounds,
        "ours": ours,
        "peer": {},
        # nobody replays the log in less than its signatures take
        "ceiling": {"replay_5k_s": ours["signatures_s"]["median"]},
        "goals": GOALS,
        "ratios": {name: ours[name]["median"] for name in GOALS},
    }


def _needs(network: SeededNetwork, now: int, count: int) -> list[Need]:
    """Questions as analysts ask them: a country always, the rest mostly, half of them for this very moment."""
    chance = network.chance
    countries = sorted({member.country for member in network.directory.members.values()})
    return [
        Need(
            country=chance.choice(countries),
            topic=chance.choice(("", *TOPICS)),
            function=chance.choice(("", *FUNCTIONS)),
            language=chance.choice(("", *LANGUAGES)),
            at=chance.choice((0, now + chance.randrange(365) * DAY_MS // 2)),
            urgent=chance.random() < 0.3,
        )
        for _ in range(count)
    ]


def _verify_all(network: SeededNetwork) -> None:
    """Nothing but the signatures of the log."""
    key_of = network.directory
    for leaf in network.leaves[1:]:
        statement = Leaf.from_bytes(leaf, network.net).statement
        for signer, signature in statement.signatures:
            key_of.identity(signer).signing.verify(
                STATEMENT, statement.body, signature, code="directory.bad-signature"
            )


def lines(result: dict[str, Any]) -> list[str]:
    """The same for people."""
    ours = result["ours"]
    shown = [f"{name}: {ours[name]['median']:.3f} (goal {goal:g})" for name, goal in GOALS.items()]
    rest = [
        f"{name}: {value['median']:.3f}"
        for name, value in ours.items()
        if "median" in value and name not in GOALS
    ]
    profiles = [f"  {row}" for rows in ours["profile"].values() for row in rows]
    return [*shown, *rest, *profiles]


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goals are met, 1 they aren't."""
    parser = argparse.ArgumentParser(prog="./run bench directory", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object, last on stdout")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds, 3 or more")
    options = parser.parse_args(arguments)
    print("making a network of a year; this takes half a minute", file=sys.stderr)
    network = SeededNetwork.make(Size())
    result = measure(network, rounds=max(3, options.rounds), finds=FINDS, addresses=ADDRESSES)
    print(json.dumps(result) if options.json else "\n".join(lines(result)))
    return 0 if all(result["ratios"][name] <= goal for name, goal in GOALS.items()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
