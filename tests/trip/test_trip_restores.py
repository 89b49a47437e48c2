"""A home brought back from an old copy, a node's or the hub's: no false alarm, and nothing acknowledged is lost."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from exchange.node import app as node_app
from tests.trip.holdings import is_once_each
from tests.trip.insider import Insider
from tests.trip.network import Network
from tests.trip.processes import until

ALL = ("pe-csirt", "co-csirt", "bb-csirt")
URGENCIES = ("flash", "immediate", "priority", "routine")


async def everybody_writes(network: Network, what: str, handles: Sequence[str] = ALL) -> dict[str, list[str]]:
    """One message a lane from each to all others, with every receipt; ids by sender."""
    sent = {
        sender: [
            network[sender].send([to for to in handles if to != sender], f"{what} {urgency}", urgency=urgency)
            for urgency in URGENCIES
        ]
        for sender in handles
    }
    for sender, ids in sent.items():
        await network.delivered(sender, ids, [to for to in handles if to != sender])
    return sent


def keep(home: Path) -> Path:
    """A copy of a home at rest."""
    return Path(shutil.copytree(home, home.with_name(home.name + ".copy"), symlinks=True))


def bring_back(home: Path, copy: Path) -> None:
    """Put the copy in the home's place, as an administrator does after a disk was lost."""
    shutil.rmtree(home)
    copy.rename(home)


async def test_node_restored_from_an_old_copy_regains_what_it_acknowledged(network: Network) -> None:
    co = network["co-csirt"]
    await network.up()
    early = await everybody_writes(network, "Early")
    assert await co.serve.stop() == 0
    copy = keep(co.path)
    await co.serve.up()
    late = await everybody_writes(network, "Late")
    lost = [*late["pe-csirt"], *late["bb-csirt"]]
    assert await co.serve.stop() == 0
    bring_back(co.path, copy)
    assert set(co.holds.ids()) == {*early["pe-csirt"], *early["bb-csirt"]}

    await co.serve.up()
    await until(lambda: set(lost) <= set(co.holds.ids()), "co has again what it had acknowledged")
    for sender in ("pe-csirt", "bb-csirt"):
        is_once_each([*early[sender], *late[sender]], co.holds.ids(sender))
    afterwards = await everybody_writes(network, "Afterwards")
    for receiver in ALL:
        everything = [
            id_
            for sent in (early, late, afterwards)
            for sender, ids in sent.items()
            for id_ in ids
            if sender != receiver
        ]
        is_once_each(everything, network[receiver].holds.ids())
        assert not any(mail.conflict for mail in network[receiver].holds.inbox())
    assert network.accusations() == {}
    assert ("directory.own-name", "prekeys") not in co.holds.alarms()
    await until(lambda: network.hub.holds.waiting() == 0, "nothing waits at the hub")
    await network.down()


async def test_hub_restored_from_an_old_copy_is_given_back_mail_and_log(network: Network) -> None:
    pe, bb = network["pe-csirt"], network["bb-csirt"]
    network.hub.reconfigure(settle_seconds=0)  # the hub takes statements though not everybody is there
    await network.up()
    early = await everybody_writes(network, "Early")
    await network.down()
    copy = keep(network.hub.path)

    # what the old copy knows nothing of: a longer log, mail delivered, mail accepted for one who is away
    await network.up("co-csirt")
    async with node_app.running(pe.home, node_app.real_sources()) as node:
        await node.sync.once()
        await node.prekeys.publish(node.hub, afresh=True)
        await node.sync.once()
    await network["co-csirt"].serve.stop()
    await network.up("pe-csirt", "co-csirt")
    late = await everybody_writes(network, "Late", ("pe-csirt", "co-csirt"))
    waiting = [pe.send(["bb-csirt", "co-csirt"], "Waits", urgency=urgency) for urgency in URGENCIES]
    await until(
        lambda: all(network.copy("pe-csirt", id_, "bb-csirt").accepted_at for id_ in waiting),
        "accepted for one who is away",
    )
    await network.delivered("pe-csirt", waiting, ["co-csirt"])
    size = pe.holds.leaves()
    network.hub.serve.kill()
    bring_back(network.hub.path, copy)

    await network.hub.serve.up()
    for handle in ("pe-csirt", "co-csirt"):
        network[handle].poke()
    await bb.serve.up()
    await network.delivered("pe-csirt", waiting, ["bb-csirt", "co-csirt"])
    await until(lambda: bb.holds.leaves() >= size, "the log is as long as it was, also for one who was away")
    async with network.calling("bb-csirt") as caller:
        assert (await Insider(caller).learn()).directory.size >= size
    afterwards = await everybody_writes(network, "Afterwards")
    wanted = [early["pe-csirt"], late["pe-csirt"], waiting, afterwards["pe-csirt"]]
    is_once_each([id_ for ids in wanted for id_ in ids], network["co-csirt"].holds.ids("pe-csirt"))
    is_once_each(
        [id_ for ids in (early["pe-csirt"], waiting, afterwards["pe-csirt"]) for id_ in ids],
        bb.holds.ids("pe-csirt"),
    )
    assert network.accusations() == {}
    await until(lambda: network.hub.holds.waiting() == 0, "nothing waits at the hub")
    await network.down()
