"""`./run bench validate [--json]`: reading and judging STIX as a node does before it sends, beside `stix2.parse`.

All sides begin with the bytes of whole files and end with every object known to be good or bad; all are CPU time. For
all of them the garbage collector leaves alone what was loaded before, as a node lets it once it has started.

`check_object`: JSON read by orjson, each object judged by the OASIS schemas of its own version and the extensions'.
`load`: what a node does with a file that a person sends, `formats.registry.load`: besides judging it reads strictly
(UTF-8, sizes, depth, no key twice), keeps where each object's exact bytes lie, and resolves markings.
The peer: JSON read by orjson, each object parsed with `stix2.parse(allow_custom=True, interoperability=True,
version=...)`, which takes 99 % of published files; without these it refuses three quarters.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
import stix2

from bench._machine import profile
from bench._rounds import Goal, alternate, options, tell
from bench._stix_files import stix_files
from exchange.errors import Refused
from exchange.formats import registry
from exchange.formats.stix import validation

GOALS: Final = {"vs_stix2_parse": Goal(">=", 50)}
OURS_A_ROUND: Final = 5


def measure(bundles: Mapping[str, bytes], *, source: str, rounds: int) -> dict[str, Any]:
    """What `tell` wants, for bundles by name."""
    count = sum(len(orjson.loads(data)["objects"]) for data in bundles.values())
    assert count

    def load() -> int:
        return sum(len(registry.load(name, data).accepted) for name, data in bundles.items())

    def each(judge: Callable[[Mapping[str, Any]], object]) -> int:
        return sum(_is_good(judge, one) for data in bundles.values() for one in orjson.loads(data)["objects"])

    def judge() -> int:
        return each(validation.check_object)

    def parse() -> int:
        return each(_stix2)

    good = {"load": load(), "check_object": judge(), "stix2": parse()}  # the first run compiles the schemas

    def timed(work: Callable[[], int], times: int) -> Callable[[], Mapping[str, float]]:
        def side() -> Mapping[str, float]:
            began = time.process_time()
            for _ in range(times):
                work()
            return {"us_per_object": 1e6 * (time.process_time() - began) / times / count}

        return side

    gc.collect()
    gc.freeze()
    try:
        taken = alternate(
            {
                "load": timed(load, OURS_A_ROUND),
                "check_object": timed(judge, OURS_A_ROUND),
                "stix2": timed(parse, 1),
            },
            rounds,
        )
    finally:
        gc.unfreeze()
    loaded, judged, peer = (
        taken[name]["us_per_object"]["median"] for name in ("load", "check_object", "stix2")
    )
    return {
        "ours": {
            "source": source,
            "files": len(bundles),
            "bytes": sum(map(len, bundles.values())),
            "objects": count,
            **{name: {"accepted": good[name], **taken[name]} for name in ("load", "check_object")},
            "profile": profile(load),
        },
        "peer": {"version": f"stix2 {stix2.__version__}", "accepted": good["stix2"], **taken["stix2"]},
        "ratios": {"vs_stix2_parse": peer / judged, "load_vs_stix2_parse": peer / loaded},
    }


def _is_good(judge: Callable[[Mapping[str, Any]], object], value: Mapping[str, Any]) -> bool:
    try:
        judge(value)
    except Refused:
        return False
    return True


def _stix2(value: Mapping[str, Any]) -> object:
    try:
        return stix2.parse(
            value, allow_custom=True, interoperability=True, version=value.get("spec_version", "2.0")
        )
    except (stix2.exceptions.STIXError, ValueError, TypeError) as error:
        raise Refused("stix.invalid") from error


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goal is met, 1 it isn't."""
    chosen = options("validate", __doc__, arguments, rounds=3)
    source, bundles = stix_files()
    result = measure(bundles, source=source, rounds=chosen.rounds)
    return tell("validate", rounds=chosen.rounds, ceiling={}, goals=GOALS, as_json=chosen.json, **result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
