"""A node whose disk is full, as a real process: clear words, no receipt for what isn't kept, and on with space."""

from __future__ import annotations

import base64
import json
import os
import uuid
from pathlib import Path

from exchange.cli.errors import UNREACHABLE
from tests.trip.network import Network
from tests.trip.processes import until
from tests.trip.small_disk import filled, small_disk


async def test_a_full_node_refuses_to_queue_keeps_mail_at_the_hub_and_goes_on(
    network: Network, tmp_path: Path
) -> None:
    pe, co, hub = network["pe-csirt"], network["co-csirt"], network.hub
    artifact = {
        "type": "artifact",
        "spec_version": "2.1",
        "id": f"artifact--{uuid.uuid4()}",
        "payload_bin": base64.b64encode(
            os.urandom(1_000_000)
        ).decode(),  # more than what SQLite's log has room for
    }
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": [artifact]}))
    words = ("send", str(report), "--to", "co-csirt", "--kind", "alert", "--subject", "Full")
    with small_disk(pe.path, 16):
        try:
            await network.up("pe-csirt", "co-csirt")
            early = [pe.send(["co-csirt"], "Before")]
            await network.delivered("pe-csirt", early, ["co-csirt"])
            with filled(pe.path):
                ids = [co.send(["pe-csirt"], f"Number {n}", size=100_000) for n in range(3)]
                await until(lambda: b"storage.full" in pe.serve.output(), "the node says that it is full")
                await until(lambda: hub.holds.waiting("pe-csirt") >= len(ids), "mail waits at the hub")
                code, answer = await pe.command(*words)
                assert (code, answer["error"]["code"]) == (UNREACHABLE, "storage.full")
                assert "free some space" in answer["error"]["hint"]
                assert pe.holds.ids("co-csirt") == []
                assert [copy.id for copy in pe.holds.copies()] == early
                assert pe.serve.runs
            pe.poke()
            await network.delivered("co-csirt", ids, ["pe-csirt"])
            code, answer = await pe.command(*words)
            assert code == 0, answer
            await network.delivered("pe-csirt", [answer["id"]], ["co-csirt"])
        finally:
            for child in network.children:
                child.kill()
    assert network.accusations() == {}
