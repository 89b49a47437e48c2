"""The hub is destroyed under load and replaced elsewhere, by commands: nodes go on, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trip.founding import KEY, OFFICERS, quiet_port
from tests.trip.network import COMMAND_SECONDS, Network
from tests.trip.processes import PROGRAM, Child, until

ALL = ("pe-csirt", "co-csirt", "bb-csirt")


@pytest.fixture
def other_hub(network: Network) -> Iterator[Child]:
    """The process of the hub that takes over; ended by its id."""
    home, key = network.homes.folder / "hub2", network.homes.folder / KEY
    child = Child(
        "hub2",
        ["hub", "serve", "--home", str(home), "--key-file", str(key)],
        network.homes.folder / "hub2.log",
    )
    yield child
    child.kill()


async def run(network: Network, *words: str, home: Path, unlocks: bool = True) -> dict[str, Any]:
    """`exchange ...` as a process of its own; its JSON object."""
    key = ["--key-file", str(network.homes.folder / KEY)] if unlocks else []
    options = ["--home", str(home), *key, "--json", "--yes"]
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *words, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    assert process.returncode == 0, errors.decode(errors="replace")
    value: dict[str, Any] = json.loads(out)
    return value


async def write(network: Network, what: str, count: int) -> dict[str, list[str]]:
    """Messages of each to the others, in two lanes; ids by sender."""
    sent: dict[str, list[str]] = {handle: [] for handle in ALL}
    for number in range(count):
        for sender in ALL:
            to = [handle for handle in ALL if handle != sender]
            urgency = "flash" if number % 2 else "routine"
            sent[sender].append(network[sender].send(to, f"{what} {number}", urgency=urgency))
            await asyncio.sleep(0)
    return sent


async def test_hub_destroyed_under_load_is_replaced_on_another_address(
    network: Network, other_hub: Child
) -> None:
    folder, homes = network.homes.folder, network.homes
    snapshot, change, home = folder / "snapshot", folder / "hub2" / "hub-change.json", folder / "hub2"
    await network.up()
    early = await write(network, "Early", 4)
    await network.delivered("pe-csirt", early["pe-csirt"], ALL[1:])
    assert (
        await network["bb-csirt"].serve.stop() == 0
    )  # so that the hub surely holds mail when it is destroyed
    writing = asyncio.create_task(write(network, "Under way", 6))
    await until(lambda: network.hub.holds.waiting() > 0, "the hub holds mail that nobody has yet")
    network.hub.serve.kill()
    shutil.rmtree(network.hub.path)
    await network["bb-csirt"].serve.up()
    under_way = await writing
    offline = await write(network, "Without a hub", 2)

    for handle in ALL:  # whoever knows the longest log makes the snapshot
        await run(
            network,
            "directory",
            "snapshot",
            f"{snapshot}-{handle}",
            "--level",
            "members",
            home=homes.node(handle),
        )
    sizes = {handle: network[handle].holds.leaves() for handle in ALL}
    best = Path(f"{snapshot}-{max(sizes, key=lambda handle: sizes[handle])}")
    checked = await run(network, "directory", "verify", str(best), home=folder, unlocks=False)
    assert checked["size"] == max(sizes.values())
    port = str(quiet_port())
    drafted = await run(network, "hub", "init", "--replace", str(best), "--port", port, home=home)
    for name in OFFICERS:
        await run(
            network,
            *(
                "officer",
                "hub-change",
                str(change),
                "--snapshot",
                str(best),
                "--digits",
                drafted["hub_digits"],
            ),
            home=homes.officer(name),
        )
    done = await run(network, "hub", "init", "--change", str(change), home=home)
    assert (done["begun"], done["officers"]) == (True, [2, 2])
    await other_hub.up()
    for handle in ALL:
        taken = await run(network, "directory", "import", str(change), home=homes.node(handle))
        assert taken["news"]

    for sent in (early, under_way, offline):
        for sender, ids in sent.items():
            await network.delivered(sender, ids, [to for to in ALL if to != sender])
    afterwards = await write(network, "Afterwards", 2)
    for sender, ids in afterwards.items():
        await network.delivered(sender, ids, [to for to in ALL if to != sender])
    for receiver in ALL:
        everything = [
            id_
            for sent in (early, under_way, offline, afterwards)
            for sender, ids in sent.items()
            for id_ in ids
            if sender != receiver
        ]
        assert sorted(network[receiver].holds.ids()) == sorted(everything)
    assert network.accusations() == {}
    waiting = await run(network, "officer", "applications", home=homes.officer(OFFICERS[0]))
    assert waiting["applications"] == []
    again = await run(network, "directory", "import", str(change), home=homes.node(ALL[0]))
    assert not again["news"]
    for handle in ALL:  # the new address stands in the settings: a node that starts again goes there
        assert f"127.0.0.1:{port}" in (homes.node(handle) / "config.toml").read_text()
    await network.down()
    assert await other_hub.stop() == 0
