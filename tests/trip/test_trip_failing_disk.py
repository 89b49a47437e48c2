"""A disk that fails a sync under real processes: they stop, say so, and recover at the next start. Nothing is lost."""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from exchange.cli.errors import FAILED
from tests.trip.network import Network
from tests.trip.processes import Child, until


@asynccontextmanager
async def failing_syncs(child: Child, database: Path) -> AsyncIterator[None]:
    """From now on every sync of the database's log fails in the running process (strace's fault injection)."""
    if shutil.which("strace") is None:
        pytest.skip("no strace here")
    said = database.with_name("strace.txt")
    faults = ["--trace=fdatasync", "--inject=fdatasync:error=EIO", f"--trace-path={database}-wal"]
    with said.open("wb") as errors:
        command = ["strace", "-f", *faults, "-o", "/dev/null", "-p", str(child.pid)]
        tracer = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=errors, stderr=errors)
    try:
        await until(
            lambda: b"attached" in said.read_bytes() or tracer.returncode is not None, "strace is attached"
        )
        if tracer.returncode is not None:
            pytest.skip(f"strace may not trace here: {said.read_text().strip()}")
        yield
    finally:
        if tracer.returncode is None:
            tracer.terminate()
        await tracer.wait()


async def test_hub_and_node_stop_at_a_failed_sync_and_recover(network: Network) -> None:
    pe, co, hub = network["pe-csirt"], network["co-csirt"], network.hub
    await network.up("pe-csirt", "co-csirt")
    ids = [pe.send(["co-csirt"], "Before")]
    await network.delivered("pe-csirt", ids, ["co-csirt"])
    async with failing_syncs(hub.serve, hub.path / "hub.db"):
        ids.append(pe.send(["co-csirt"], "While the hub's disk fails"))
        await until(lambda: not hub.serve.runs, "the hub stops")
    assert hub.serve.exit_code == FAILED
    assert b"the disk failed; the process stops to recover" in hub.serve.output()
    await hub.serve.up()
    pe.poke()
    await network.delivered("pe-csirt", ids, ["co-csirt"])
    async with failing_syncs(co.serve, co.path / "node.db"):
        ids.append(pe.send(["co-csirt"], "While the reader's disk fails"))
        await until(lambda: not co.serve.runs, "the node stops")
    assert co.serve.exit_code == FAILED
    assert b"the disk failed; the process stops to recover" in co.serve.output()
    assert hub.holds.waiting("co-csirt") == 1
    await co.serve.up()
    await network.delivered("pe-csirt", ids, ["co-csirt"])
    assert network.accusations() == {}
    await network.down()
