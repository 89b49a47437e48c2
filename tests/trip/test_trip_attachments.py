"""Attachments through a real hub: sent by the command, fetched on request, sealed at rest, over links that are cut."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pyzipper

from exchange.blob import sealed_size
from tests.trip.faulty_proxy import FaultyProxy
from tests.trip.network import Network, NodeSide
from tests.trip.processes import until

SIZE = 3_000_000  # bytes of a file
RATE = 2_000_000  # bytes a second
BETWEEN = 0.4  # seconds between two cuts
CUTS = 3


def a_file(folder: Path, name: str, size: int = 200_000) -> tuple[Path, bytes]:
    path, data = folder / name, os.urandom(size)
    path.write_bytes(data)
    return path, data


async def send(node: NodeSide, *words: str) -> str:
    code, told = await node.command(
        "send", "--to", "co-csirt", "--kind", "alert", "--tlp", "green", "--subject", "Files", *words
    )
    assert code == 0, told
    return str(told["id"])


def lies_open(home: Path, plain: bytes) -> list[str]:
    """Files of the home that hold a stretch of `plain`."""
    return [str(path) for path in home.rglob("*") if path.is_file() and plain[1000:1100] in path.read_bytes()]


async def test_a_file_goes_beside_its_message_and_comes_when_it_is_asked_for(
    network: Network, tmp_path: Path
) -> None:
    await network.up("pe-csirt", "co-csirt")
    pe, co = network["pe-csirt"], network["co-csirt"]
    (path, data), (sample, virus) = a_file(tmp_path, "list of hosts.csv"), a_file(tmp_path, "run me.exe")
    plain = await send(pe, "--attach", str(path), "--wait", "30")
    harmful = await send(pe, "--attach", str(sample), "--malware", "--wait", "30")
    _, listed = await co.command("attachment", "list", plain)
    (one,) = listed["attachments"]
    assert (one["name"], one["bytes"], one["state"], one["done"]) == (
        "list of hosts.csv",
        len(data),
        "offered",
        0,
    )
    assert one["sha256"] == sha256(data).hexdigest()
    code, told = await co.command("attachment", "save", plain, "--output", str(tmp_path / "early"))
    assert (code, told["error"]["code"]) == (3, "attachment.not-here")
    for message in (plain, harmful):
        code, told = await co.command("attachment", "fetch", message)
        assert (code, told["attachments"][0]["state"]) == (0, "here")
    assert lies_open(co.path, data) == lies_open(pe.path, data) == lies_open(network.hub.path, data) == []

    out = tmp_path / "out.csv"
    code, told = await co.command("attachment", "save", plain, "list of hosts.csv", "--output", str(out))
    assert (code, out.read_bytes(), out.stat().st_mode & 0o777) == (0, data, 0o600)
    code, told = await co.command("attachment", "save", harmful, "--output", str(tmp_path / "run"))
    assert (code, told["error"]["code"], (tmp_path / "run").exists()) == (3, "attachment.malware", False)
    box = tmp_path / "box.zip"
    code, _ = await co.command("attachment", "save", harmful, "1", "--infected-zip", "--output", str(box))
    assert code == 0
    with pyzipper.AESZipFile(box) as archive:
        archive.setpassword(b"infected")
        assert archive.read("run me.exe") == virus

    _, told = await co.command("retention", "erase", plain, "--yes")
    await until(
        lambda: len(list((co.path / "attachments").glob("*.sealed"))) == 1, "the erased one's file goes"
    )
    await network.down()


@asynccontextmanager
async def cutting(link: FaultyProxy, times: int) -> AsyncIterator[None]:
    """The link is cut that often, each time when enough has passed since the last."""

    async def cut() -> None:
        for _ in range(times):
            due = link.up.passed + link.down.passed + RATE * BETWEEN
            await until(lambda due=due: link.up.passed + link.down.passed >= due, "enough for another cut")
            link.cut()

    task = asyncio.create_task(cut())
    try:
        yield
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_comes_once_and_whole_over_a_link_that_is_cut(network: Network, tmp_path: Path) -> None:
    async with FaultyProxy(network.move_hub(), port=network.homes.port) as link:
        await network.up("pe-csirt", "co-csirt")
        pe, co = network["pe-csirt"], network["co-csirt"]
        path, data = a_file(tmp_path, "image.bin", SIZE)
        link.up.rate = link.down.rate = RATE
        before = link.up.passed
        async with cutting(link, CUTS):
            message = await send(pe, "--attach", str(path))
            small = pe.send(["co-csirt"], "Meanwhile")
            await network.delivered("pe-csirt", [small, message], ["co-csirt"])
        went, before = link.up.passed - before, link.down.passed
        async with cutting(link, CUTS):
            code, _ = await co.command("attachment", "fetch", message)
            assert code == 0
        came, whole = link.down.passed - before, sealed_size(SIZE)
        code, _ = await co.command("attachment", "save", message, "--output", str(tmp_path / "copy"))
        assert (code, (tmp_path / "copy").read_bytes()) == (0, data)
        # of what was cut off only the last piece went again
        assert whole <= went < whole * 3 // 2
        assert whole <= came < whole * 3 // 2
        assert network.accusations() == {}
        await network.down()
