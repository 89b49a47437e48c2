"""`./run bench seal [--json]`: sealing 20 KiB to 35 recipients, as the outbox does, beside gpg doing the same job.

Ours: one encryption of the body, 35 hybrid wraps (ML-KEM-768 + X25519), two signatures (Ed25519 and ML-DSA-65). gpg:
one signature, one encrypted body, 35 encrypted session keys, no post-quantum part. Neither compresses, which is the
outbox's default. Compared is CPU time; gpg's is that of its process and its agent. `gpg_vs_ours` is with Ed25519 and
Cv25519, the keys that gpg makes by default since 2.3 (2.2 calls them `future-default`); `gpg_default_vs_ours` with the
keys that the installed version makes when nobody asks for anything: RSA-3072 in 2.2.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench._gpg import DEFAULT, MODERN, Gpg, NoGpg, find_gpg, gpg_home
from bench._machine import profile
from bench._rounds import Goal, alternate, options, tell
from exchange.canonical import sha256
from exchange.content import STIX, Meta, pack_content
from exchange.directory.vocabulary import NEIGHBOURS
from exchange.envelope import Recipient, seal
from exchange.header import DirRef
from exchange.keys import PREKEY_SECRET_BYTES, PrekeySecret, PrivateKeys
from exchange.limits import DAY_MS
from exchange.link import CHAIN_BYTES, Link

BYTES: Final = 20 * 1024
RECIPIENTS: Final = 35
OURS_A_ROUND: Final = 40
GPG_A_ROUND: Final = 3
RATIOS: Final = {"gpg_vs_ours": MODERN, "gpg_default_vs_ours": DEFAULT}
GOALS: Final = {"gpg_vs_ours": Goal(">=", 8)}


class Ours:
    """A sender with its recipients' prekeys at hand, as a running node has them."""

    def __init__(self, recipients: int, payload: bytes) -> None:
        self._keys = PrivateKeys(sha256(b"bench sender"))
        self._payload = payload
        self._to = [
            Recipient(
                f"{sorted(NEIGHBOURS)[number % len(NEIGHBOURS)].lower()}-csirt{number}",
                sha256(b"kid %d" % number),
                PrekeySecret(os.urandom(PREKEY_SECRET_BYTES)).public,
                Link(os.urandom(CHAIN_BYTES), 1, bytes(32)),
            )
            for number in range(recipients)
        ]

    def seal(self) -> int:
        """One envelope; its bytes."""
        now = time.time_ns() // 1_000_000
        meta = Meta(STIX, str(uuid.uuid4()), "routine", now, now + DAY_MS, None)
        sealed = seal(
            net=sha256(b"bench network"),
            sender="bench-csirt",
            keys=self._keys,
            content=pack_content(meta, self._payload),
            lane="routine",
            compress=False,
            recipients=self._to,
            dir_ref=DirRef(1, sha256(b"bench root"), sha256(b"bench checkpoint")),
            iat=now,
            exp=now + DAY_MS,
            random=os.urandom,
        )
        return len(sealed.upload.to_bytes())


def measure(
    homes: Mapping[str, Gpg], folder: Path, *, rounds: int, size: int, ours_a_round: int, gpg_a_round: int
) -> dict[str, Any]:
    """What `tell` wants."""
    payload = os.urandom(size // 2).hex().encode("ascii")
    plain, sealed = folder / "plain", folder / "sealed"
    plain.write_bytes(payload)
    recipients = len(next(iter(homes.values())).recipients)
    sender = Ours(recipients, payload)
    lengths = {"ours": sender.seal()}

    def ours() -> Mapping[str, float]:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(ours_a_round):
            sender.seal()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {"cpu_ms": 1000 * cpu / ours_a_round, "wall_ms": 1000 * wall / ours_a_round}

    def gpg(home: Gpg) -> Mapping[str, float]:
        runs = [home.seal(plain, sealed) for _ in range(gpg_a_round)]
        return {key: sum(run[key] for run in runs) / gpg_a_round for key in runs[0]}

    versions = {}
    for name, home in homes.items():
        home.seal(plain, sealed)
        assert home.run("--decrypt", str(sealed)) == payload
        versions[name], lengths[name] = home.version(), sealed.stat().st_size
    sides = {name: (lambda home=home: gpg(home)) for name, home in homes.items()}
    taken = alternate({"ours": ours, **sides}, rounds)
    mine = taken["ours"]["cpu_ms"]["median"]
    return {
        "ours": {
            "recipients": recipients,
            "bytes": size,
            "sealed_bytes": lengths["ours"],
            **taken["ours"],
            "profile": profile(lambda: [sender.seal() for _ in range(ours_a_round)]),
        },
        "peer": {
            name: {"version": versions[name], "sealed_bytes": lengths[name], **taken[name]} for name in homes
        },
        "ratios": {key: taken[name]["cpu_ms"]["median"] / mine for key, name in RATIOS.items()},
    }


def main(arguments: list[str]) -> int:
    """Run it. Exit codes: 0 the goal is met, 1 it isn't or gpg is missing."""
    chosen = options("seal", __doc__, arguments, rounds=5)
    try:
        find_gpg()
    except NoGpg as missing:
        print(f"bench seal: {missing}", file=sys.stderr)
        return 1
    # short paths: a socket's name has 107 characters
    with tempfile.TemporaryDirectory(prefix="seal-") as made, ExitStack() as stack:
        folder = Path(made)
        homes = {
            name: stack.enter_context(gpg_home(folder / name, name, RECIPIENTS)) for name in RATIOS.values()
        }
        result = measure(
            homes,
            folder,
            rounds=chosen.rounds,
            size=BYTES,
            ours_a_round=OURS_A_ROUND,
            gpg_a_round=GPG_A_ROUND,
        )
    return tell("seal", rounds=chosen.rounds, ceiling={}, goals=GOALS, as_json=chosen.json, **result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
