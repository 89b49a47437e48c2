"""The TAXII benchmark, tiny and with our own server in the peer's place: every key is there; no time asserted."""

from __future__ import annotations

import os
import random
from pathlib import Path

from bench._taxii_servers import LOCK, Server
from bench.taxii import GOALS, PAGE, Side, measure
from tests.doors import Place, place


def server(door: Place, name: str) -> Server:
    port = int(door.url.rstrip("/").rpartition(":")[2])
    return Server(port, "/taxii2/node/", "drafts", door.token(name), (os.getpid(),))


def test_every_number_of_the_contract_is_there(tmp_path: Path) -> None:
    with place(tmp_path) as door:
        servers = server(door, "one"), server(door, "two")
        sides = {name: Side(*servers, random.Random(name)) for name in ("ours", "opentaxii")}
        counts = {"1k": 3 * PAGE, "50k": 3 * PAGE}
        result = measure(sides, counts=counts, rounds=3, pages=2, posts=1)
    assert set(result["ratios"]) == {*GOALS, "pss_vs_opentaxii"}
    assert all(value > 0 for value in result["ratios"].values())
    assert result["ours"]["post_objects_per_s"]["rounds"] == 3
    assert result["peer"]["rss_mib"]["median"] > 0


def test_the_peers_lock_pins_and_hashes_it() -> None:
    text = LOCK.read_text()
    assert "\nopentaxii==0.10.0b1 " in text
    assert "://" not in text
    assert text.count("==") <= text.count("--hash=sha256:")
