"""The machine is gone: kill -9 under load, the home deleted, made again from a backup taken while it ran."""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from pathlib import Path

import orjson

from exchange.node import app as node_app
from exchange.storage.unlock import create_key_file
from tests.trip.finder import find_in_folder
from tests.trip.founding import KEY
from tests.trip.holdings import is_once_each
from tests.trip.network import Network
from tests.trip.processes import PROGRAM, until

SECRET = "backup-key"  # noqa: S105 - a file's name
CANARY = "Quetzalcoatlus"
URGENCIES = ("flash", "routine")


async def run(network: Network, group: str, verb: str, home: Path, *words: str) -> dict[str, object]:
    """`exchange GROUP VERB` on a home, as a process of its own; its JSON object."""
    folder = network.homes.folder
    if not (folder / SECRET).exists():
        create_key_file(folder / SECRET)
    options = [
        "--home",
        str(home),
        "--key-file",
        str(folder / KEY),
        "--backup-key-file",
        str(folder / SECRET),
    ]
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, group, verb, *words, *options, "--json", stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    value: dict[str, object] = orjson.loads(out)
    return value


def lose(home: Path) -> None:
    """The disk with it, too."""
    shutil.rmtree(home)


def write_to(network: Network, sender: str, to: Sequence[str], what: str) -> list[str]:
    return [network[sender].send(to, f"{what} {urgency}", urgency=urgency) for urgency in URGENCIES]


async def publish_record(network: Network, handle: str, name: str) -> None:
    """A member says of itself who it is, to the public, while its server is down."""
    node = network[handle]
    async with node_app.running(node.home, node_app.real_sources()) as running:
        await running.sync.once()
        await running.registration.publish_record(running.hub, {"public": orjson.dumps({"name": name})})
        await running.sync.once()


async def test_node_whose_machine_is_lost_is_made_again(network: Network, tmp_path: Path) -> None:
    co = network["co-csirt"]
    await network.up()
    early = [write_to(network, one, ["co-csirt"], "Early") for one in ("pe-csirt", "bb-csirt")]
    for sender, ids in zip(("pe-csirt", "bb-csirt"), early, strict=True):
        await network.delivered(sender, ids, ["co-csirt"])
    under_load = [co.send(["pe-csirt"], f"Load {n}") for n in range(10)]
    made = await run(network, "node", "backup", co.path, str(tmp_path / "backup"))
    assert (made["of"], co.serve.runs) == ("co-csirt", True)
    await network.delivered("co-csirt", under_load, ["pe-csirt"])

    late = [write_to(network, one, ["co-csirt"], "Late") for one in ("pe-csirt", "bb-csirt")]
    for sender, ids in zip(("pe-csirt", "bb-csirt"), late, strict=True):
        await network.delivered(sender, ids, ["co-csirt"])  # acknowledged, and in no backup
    answer = write_to(network, "co-csirt", ["pe-csirt"], "Answer")
    await network.delivered("co-csirt", answer, ["pe-csirt"])
    co.serve.kill()
    away = write_to(network, "pe-csirt", ["co-csirt"], "Away")
    await until(
        lambda: all(network.copy("pe-csirt", id_, "co-csirt").accepted_at for id_ in away), "at the hub"
    )
    lose(co.path)

    restored = await run(network, "node", "restore", co.path, str(tmp_path / "backup"))
    assert restored["of"] == "co-csirt"
    await co.serve.up()
    wanted = [*early[0], *late[0], *away]
    await until(lambda: set(wanted) <= set(co.holds.ids("pe-csirt")), "pe sealed again what was lost")
    await until(lambda: {*early[1], *late[1]} <= set(co.holds.ids("bb-csirt")), "and so did bb")
    again = write_to(network, "co-csirt", ["pe-csirt"], "Again")
    await network.delivered("co-csirt", again, ["pe-csirt"])
    await network.delivered("pe-csirt", away, ["co-csirt"])
    is_once_each(wanted, co.holds.ids("pe-csirt"))
    is_once_each([*early[1], *late[1]], co.holds.ids("bb-csirt"))
    is_once_each([*under_load, *answer, *again], network["pe-csirt"].holds.ids("co-csirt"))
    assert not any(mail.conflict for mail in co.holds.inbox())
    assert network.accusations() == {}
    assert ("directory.own-name", "prekeys") not in co.holds.alarms()
    await network.down()


async def test_hub_whose_machine_is_lost_is_made_again(network: Network, tmp_path: Path) -> None:
    bb = network["bb-csirt"]
    network.hub.reconfigure(settle_seconds=0, expiry_seconds=1)
    await network.hub.serve.up()
    for handle in ("co-csirt", "bb-csirt"):  # all have been there once: nobody asks for what it missed
        async with node_app.running(network[handle].home, node_app.real_sources()) as node:
            await node.sync.once()
    await publish_record(network, "pe-csirt", CANARY)
    await network.up("pe-csirt", "co-csirt")
    early = write_to(network, "pe-csirt", ["co-csirt"], "Early")
    await network.delivered("pe-csirt", early, ["co-csirt"])
    under_load = [network["pe-csirt"].send(["co-csirt"], f"Load {n}") for n in range(10)]
    await run(network, "hub", "backup", network.hub.path, str(tmp_path / "backup"))
    assert network.hub.serve.runs
    await network.delivered("pe-csirt", under_load, ["co-csirt"])

    # what the backup doesn't know: a statement that erases, mail delivered, mail that waits
    assert await network["pe-csirt"].serve.stop() == 0
    await publish_record(network, "pe-csirt", "CSIRT of Peru")
    await network["pe-csirt"].serve.up()
    size = network["pe-csirt"].holds.leaves()
    late = write_to(network, "pe-csirt", ["co-csirt"], "Late")
    await network.delivered("pe-csirt", late, ["co-csirt"])
    waits = write_to(network, "pe-csirt", ["bb-csirt"], "Waits")
    await until(
        lambda: all(network.copy("pe-csirt", id_, "bb-csirt").accepted_at for id_ in waits), "at the hub"
    )
    network.hub.serve.kill()
    lose(network.hub.path)

    await run(network, "hub", "restore", network.hub.path, str(tmp_path / "backup"))
    assert find_in_folder(CANARY, network.hub.path)
    await network.hub.serve.up()
    marker = network.hub.path / "restored"
    assert marker.exists()
    await bb.serve.up()
    for handle in ("pe-csirt", "co-csirt"):
        network[handle].poke()
    await network.delivered("pe-csirt", waits, ["bb-csirt"])
    await until(lambda: bb.holds.leaves() >= size, "the log is as long as it was")
    await until(lambda: not marker.exists(), "everybody was heard: statements are taken again")
    again = write_to(network, "pe-csirt", ["co-csirt", "bb-csirt"], "Again")
    await network.delivered("pe-csirt", again, ["co-csirt", "bb-csirt"])
    is_once_each([*early, *under_load, *late, *again], network["co-csirt"].holds.ids("pe-csirt"))
    is_once_each([*waits, *again], bb.holds.ids("pe-csirt"))
    assert network.accusations() == {}
    await until(lambda: network.hub.holds.waiting() == 0, "nothing waits at the hub")
    await network.down()
    assert find_in_folder(CANARY, network.hub.path) == []
