"""Attachments through a real hub: fetched on request, sealed at rest, over links that are cut, after deaths."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
import pyzipper

from exchange.blob import sealed_size
from exchange.errors import Refused
from exchange.node.attachments.desk import Shown
from exchange.node.doors.doors import own_reader
from tests.trip.attaching import send_with, sitting, states, want
from tests.trip.faulty_proxy import FaultyProxy, cutting
from tests.trip.network import Network, NodeSide
from tests.trip.processes import until

SIZE = 2_000_000  # bytes of a file
RATE = 3_000_000  # bytes a second
BETWEEN = 0.25  # seconds between two cuts
CUTS = 2


def a_file(folder: Path, name: str, size: int = 200_000) -> tuple[Path, bytes]:
    path, data = folder / name, os.urandom(size)
    path.write_bytes(data)
    return path, data


def take_out(node: NodeSide, message: str, target: Path, *, infected_zip: bool = False) -> Shown:
    with sitting(node) as (_, attachments):
        reader = own_reader(node.handle)
        one, _, _ = attachments.save(message, None, lambda _: target, reader, infected_zip=infected_zip)
    return one


def lies_open(home: Path, plain: bytes) -> list[str]:
    """Files of the home that hold a stretch of `plain`."""
    return [str(path) for path in home.rglob("*") if path.is_file() and plain[1000:1100] in path.read_bytes()]


async def is_here(node: NodeSide, message: str) -> None:
    await until(lambda: states(node, message) == ["here"], f"what came with {message} is here")


async def test_a_file_goes_beside_its_message_and_comes_when_it_is_asked_for(
    network: Network, tmp_path: Path
) -> None:
    await network.up("pe-csirt", "co-csirt")
    pe, co = network["pe-csirt"], network["co-csirt"]
    (path, data), (sample, virus) = a_file(tmp_path, "list of hosts.csv"), a_file(tmp_path, "run me.exe")
    plain = send_with(pe, ["co-csirt"], [path])
    harmful = send_with(pe, ["co-csirt"], [sample], malware=True)
    await network.delivered("pe-csirt", [plain, harmful], ["co-csirt"])
    with sitting(co) as (_, attachments):
        (one,) = attachments.come(plain)
    assert (one.name, one.attachment.size, one.state, one.have) == (path.name, len(data), "offered", 0)
    assert one.attachment.digest == sha256(data).digest()
    assert list((co.path).glob("attachments/**/*.*")) == []  # nothing comes by itself
    with pytest.raises(Refused, match=r"attachment\.not-here"):
        take_out(co, plain, tmp_path / "early")

    want(co, plain)
    want(co, harmful)
    await is_here(co, plain)
    await is_here(co, harmful)
    for home in (co.path, pe.path, network.hub.path):
        assert lies_open(home, data) == []
    out = tmp_path / "out.csv"
    take_out(co, plain, out)
    assert (out.read_bytes(), out.stat().st_mode & 0o777) == (data, 0o600)
    with pytest.raises(Refused, match=r"attachment\.malware"):
        take_out(co, harmful, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    take_out(co, harmful, tmp_path / "box.zip", infected_zip=True)
    with pyzipper.AESZipFile(tmp_path / "box.zip") as archive:
        archive.setpassword(b"infected")
        assert archive.read("run me.exe") == virus
    with sitting(co) as (desk, _):
        actions = [(row.who, row.action) for row in desk.access_log()][:4]
    assert actions == [("analyst", each) for each in ("save in a zip", "export", "save", "export")]
    await network.down()


async def test_it_comes_once_and_whole_over_a_link_that_is_cut(network: Network, tmp_path: Path) -> None:
    async with FaultyProxy(network.move_hub(), port=network.homes.port) as link:
        await network.up("pe-csirt", "co-csirt")
        pe, co = network["pe-csirt"], network["co-csirt"]
        path, data = a_file(tmp_path, "image.bin", SIZE)
        link.up.rate = link.down.rate = RATE
        before, whole = link.up.passed, sealed_size(SIZE)
        async with cutting(link, CUTS, each=RATE * BETWEEN):
            message = send_with(pe, ["co-csirt"], [path])
            small = pe.send(["co-csirt"], "Meanwhile")
            await network.delivered("pe-csirt", [small, message], ["co-csirt"])
        went, before = link.up.passed - before, link.down.passed
        async with cutting(link, CUTS, each=RATE * BETWEEN):
            want(co, message)
            await is_here(co, message)
        came = link.down.passed - before
        assert co.holds.ids("pe-csirt") == [small, message]  # the small one didn't wait for the file
        take_out(co, message, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == data
        # of what was cut off only the last piece went again
        assert whole <= went < whole * 3 // 2
        assert whole <= came < whole * 3 // 2
        assert network.accusations() == {}
        await network.down()


async def test_it_goes_on_where_it_was_after_hub_and_nodes_were_killed(
    network: Network, tmp_path: Path
) -> None:
    async with FaultyProxy(network.move_hub(), port=network.homes.port) as link:
        await network.up("pe-csirt", "co-csirt")
        pe, co, hub = network["pe-csirt"], network["co-csirt"], network.hub
        path, data = a_file(tmp_path, "image.bin", SIZE)
        link.up.rate = link.down.rate = RATE
        whole, before = sealed_size(SIZE), link.up.passed
        message = send_with(pe, ["co-csirt"], [path])
        await until(lambda: link.up.passed - before > whole // 3, "a part of it is up")
        pe.serve.kill()
        await pe.serve.up()
        await until(lambda: link.up.passed - before > whole * 2 // 3, "more of it is up")
        hub.serve.kill()
        await hub.serve.up()
        await network.delivered("pe-csirt", [message], ["co-csirt"])
        assert whole <= link.up.passed - before < whole * 2
        before = link.down.passed
        want(co, message)
        await until(lambda: link.down.passed - before > whole // 3, "a part of it is down")
        co.serve.kill()
        await co.serve.up()
        await is_here(co, message)
        assert whole <= link.down.passed - before < whole * 3 // 2
        take_out(co, message, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == data
        await network.down()


async def test_what_a_restored_hub_lacks_is_brought_again_and_what_the_sender_lost_is_reported(
    network: Network, tmp_path: Path
) -> None:
    await network.up("pe-csirt")
    pe, co = network["pe-csirt"], network["co-csirt"]
    (path, data), (other, _) = a_file(tmp_path, "one.bin"), a_file(tmp_path, "other.bin")
    kept = send_with(pe, ["co-csirt"], [path])
    await until(lambda: network.copy("pe-csirt", kept, "co-csirt").accepted_at, "the hub has the message")
    await network.down()
    lost = send_with(pe, ["co-csirt"], [other])
    max((pe.path / "attachments").glob("*.sealed"), key=lambda one: one.stat().st_mtime_ns).unlink()
    for blob in (network.hub.path / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    with closing(sqlite3.connect(pe.path / "node.db")) as db, db:
        db.execute(
            "UPDATE facts SET value = x'00' WHERE name = 'feed.epoch'"
        )  # what the hub has now is newer
    await network.up("pe-csirt", "co-csirt")
    await network.delivered("pe-csirt", [kept], ["co-csirt"])
    await until(lambda: network.copy("pe-csirt", lost, "co-csirt").state == "lost", "its loss is told")
    assert network.copy("pe-csirt", lost, "co-csirt").code == "attachment.gone"
    want(co, kept)
    await is_here(co, kept)
    take_out(co, kept, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    await network.down()
