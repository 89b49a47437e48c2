"""`./run bench compression [--json]`: would zstd, or zstd with a trained dictionary, beat zlib on real content?

What counts is what goes over the wire: the padded body with all around it, one recipient's share of an envelope. Each
publisher's files are packed with a dictionary trained on all the others' only, since a dictionary is made before
the messages it serves. Needs the real files of ../shared/data; reads them, keeps nothing.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import zstandard

from bench._rounds import options, tell
from exchange.body import bucket

DATA: Final = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
DICTIONARY_BYTES: Final = 112_640
MOST_BYTES: Final = 1_048_576  # larger contents gain nothing from a dictionary
HEAD: Final = 49  # salt, how, two lengths (docs/protocol.md §4.2)
AROUND: Final = 6_000  # bytes of one recipient's share beside the body: header, two signatures, slot
PIECE: Final = (
    8_192  # dictionaries are trained on pieces of this size: long samples are used at their start only
)

Packer = Callable[[bytes], bytes]


def publishers() -> dict[str, list[bytes]]:
    """Contents by publisher."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for file in sorted(DATA.glob("*/*.json")):
        if file.stat().st_size <= MOST_BYTES:
            found[file.parent.name].append(file.read_bytes())
    return found


def packers(others: list[bytes]) -> dict[str, Packer]:
    """Each way of packing; `others` are what a dictionary may be trained on."""
    pieces = [one[at : at + PIECE] for one in others for at in range(0, len(one), PIECE)]
    trained = zstandard.train_dictionary(DICTIONARY_BYTES, pieces)
    return {
        "zlib_6": lambda content: zlib.compress(content, 6),
        "zstd_9": zstandard.ZstdCompressor(level=9).compress,
        "zstd_19": zstandard.ZstdCompressor(level=19).compress,
        "zstd_9_dictionary": zstandard.ZstdCompressor(level=9, dict_data=trained).compress,
    }


def measure() -> dict[str, dict[str, float]]:
    """For each way of packing: bytes packed, bytes on the wire, CPU seconds, over all files."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    files = publishers()
    for publisher, contents in files.items():
        others = [one for name, theirs in files.items() if name != publisher for one in theirs]
        for name, pack in packers(others).items():
            for content in contents:
                began = time.process_time()
                packed = min(pack(content), content, key=len)
                sums[name]["cpu_s"] += time.process_time() - began
                sums[name]["packed"] += len(packed)
                sums[name]["wire"] += bucket(HEAD + len(packed)) + AROUND
                sums[name]["wire_small"] += (
                    bucket(HEAD + len(packed)) + AROUND if len(content) <= 16_384 else 0
                )
                sums[name]["files"] += 1
    return {name: dict(values) for name, values in sums.items()}


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 measured, 1 the real files aren't there."""
    chosen = options("compression", __doc__, arguments, rounds=3)
    if not DATA.exists():
        print(
            "compression: ../shared/data isn't there: the real files are not part of the project",
            file=sys.stderr,
        )
        return 1
    runs = [measure() for _ in range(chosen.rounds)]
    least = {name: {**runs[0][name], "cpu_s": min(run[name]["cpu_s"] for run in runs)} for name in runs[0]}
    usual = least["zlib_6"]
    peer = {name: values for name, values in least.items() if name != "zlib_6"}
    ratios = {
        f"{name}_{what}_vs_zlib": least[name][what] / usual[what]
        for name in peer
        for what in ("packed", "wire", "wire_small", "cpu_s")
    }
    return tell(
        "compression",
        rounds=chosen.rounds,
        ours=usual,
        peer={
            "name": "zstandard",
            "version": zstandard.__version__,
            **{k: v for k, v in least.items() if k != "zlib_6"},
        },
        ceiling={},
        ratios=ratios,
        goals={},
        as_json=chosen.json,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
