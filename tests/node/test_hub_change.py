"""A hub is lost and another takes its place: nodes pass over by any path, and nothing acknowledged is lost."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import pytest

from exchange.content import Notice
from exchange.directory.bodies_network import build_hub_change
from exchange.directory.checkpoint import Checkpoint, SignedCheckpoint
from exchange.directory.log import Leaf
from exchange.directory.members import HubIdentity
from exchange.directory.snapshot import MEMBERS as FOR_MEMBERS, Snapshot
from exchange.directory.state import Directory
from exchange.directory.statements import Statement
from exchange.errors import Rejected
from exchange.hub.store.directory import Beside
from exchange.hub.store.store import HubStore
from exchange.limits import DAY_MS
from exchange.node.store import directory as store_directory
from tests.node.test_notices import a_revoke, log
from tests.simulator import Simulation, Site
from tests.worlds import keys

BOTH = ("officer/alba", "officer/bruno")


async def snapshot_of(site: Site) -> Snapshot:
    """What any node can make of what it holds."""
    rows = await site.up.store.db.read(store_directory.judged_leaves)
    size = site.up.replica.checkpoint.size
    return Snapshot.of(site.up.replica.newest, [leaf for leaf, _ in rows[:size]], (), level=FOR_MEMBERS)


def change(snapshot: Snapshot, signers: Sequence[str], now: int, hub: str = "hub2") -> Statement:
    """A change to the hub with these keys, where the snapshot ends."""
    directory, _ = snapshot.verify(None)
    body = build_hub_change(
        net=directory.net,
        size=directory.size,
        root=directory.root(),
        hub=HubIdentity(f"https://{hub}.example", b"", keys(hub).public),
        term=directory.term + 1,
        after=directory.last_hash("network", "hub"),
        not_after=now + DAY_MS,
    )
    statement = Statement(body).with_signature("hub", keys(hub))
    for signer in signers:
        statement = statement.with_signature(signer, keys(signer))
    return statement


async def replace_hub(sim: Simulation, snapshot: Snapshot, statement: Statement, hub: str = "hub2") -> None:
    """Destroy the hub with all it has; start another where the statement says."""
    await sim.stop_hub()
    shutil.rmtree(sim.folder / "hub")
    (sim.folder / "hub").mkdir()
    directory, said = snapshot.verify(None)
    last = Leaf(directory.size, max(sim.world.now, directory.at), statement)
    leaves = [Leaf.from_bytes(leaf, directory.net) for leaf in snapshot.leaves]
    rows = [(leaf.to_bytes(directory.net), leaf.statement.hash(directory.net)) for leaf in [*leaves, last]]
    store = HubStore.open(sim.folder / "hub")
    store.take_over_sync(rows, Beside(), snapshot.checkpoint.ref(directory.net), said)
    store.close_sync()
    sim.world.hub_keys = keys(hub)
    await sim.start_hub()


async def test_nodes_that_are_handed_the_change_go_on_and_nothing_is_lost(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    """pe's message is accepted by the hub that is lost before co fetches it; bb's has not left yet."""
    await co.stop()
    accepted = pe.send("co-csirt")
    await pe.once()
    assert pe.state(accepted, "co-csirt") == "accepted"
    await co.start()
    snapshot = await snapshot_of(pe)
    statement = change(snapshot, BOTH, sim.world.now)
    await sim.stop_hub()
    queued = bb.send("co-csirt")
    await replace_hub(sim, snapshot, statement)
    for site in (pe, co, bb):
        await site.up.notices.accept(statement)
    await sim.rounds(4)
    assert sorted(co.received()) == sorted([accepted, queued])
    assert (pe.state(accepted, "co-csirt"), bb.state(queued, "co-csirt")) == ("stored", "stored")
    for site in (pe, co, bb):
        assert (site.up.replica.directory.term, site.up.replica.checkpoint.term) == (1, 1)
        assert site.alarm_codes() == []
    answer = co.send("pe-csirt", "bb-csirt")
    await sim.rounds(3)
    assert (co.state(answer, "pe-csirt"), co.state(answer, "bb-csirt")) == ("stored", "stored")


async def test_node_that_nobody_told_follows_the_log_at_the_old_address(sim: Simulation, pe: Site) -> None:
    snapshot = await snapshot_of(pe)
    await replace_hub(sim, snapshot, change(snapshot, ("recovery",), sim.world.now))
    await sim.rounds(2)
    assert (pe.up.replica.directory.term, pe.alarm_codes()) == (1, [])
    await pe.restart()
    assert pe.up.replica.directory.hub.address == "https://hub2.example"
    await sim.rounds(1)
    assert pe.alarm_codes() == []


async def test_what_the_lost_hub_logged_last_is_said_again(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    """bb was away when pe and co published; the snapshot is bb's, so their statements are cut off."""
    await sim.rounds(2)
    snapshot = await snapshot_of(bb)
    await bb.stop()
    assert await pe.up.prekeys.publish(pe.hub, afresh=True)
    await pe.once()
    await co.once()
    held = pe.up.replica.directory.size
    assert held == len(snapshot.leaves) + 1
    waiting = co.send("pe-csirt")  # sealed under a checkpoint of the lost hub that no log goes on from
    await pe.stop()
    await co.once()
    assert co.state(waiting, "pe-csirt") == "accepted"
    await pe.start()
    statement = change(snapshot, BOTH, sim.world.now)
    await replace_hub(sim, snapshot, statement)
    await bb.start()
    for site in (pe, co, bb):
        await site.up.notices.accept(statement)
    await pe.up.succession.adopt()
    assert pe.up.replica.directory.size == len(snapshot.leaves)
    await sim.rounds(4)
    assert pe.received() == [waiting]
    assert co.state(waiting, "pe-csirt") == "stored"
    for site in (pe, co, bb):
        assert site.up.replica.directory.term == 1
        assert site.alarm_codes() == []


async def test_statement_that_was_cut_off_comes_back(sim: Simulation, pe: Site, bb: Site) -> None:
    await sim.rounds(2)
    snapshot = await snapshot_of(bb)
    await bb.stop()
    submission = await pe.up.registration.publish_record(pe.hub, {"public": b'{"name":"Peru"}'})
    assert submission.outcome == "logged"
    statement = change(snapshot, BOTH, sim.world.now)
    await replace_hub(sim, snapshot, statement)
    await bb.start()
    for site in (pe, bb):
        await site.up.notices.accept(statement)
    await sim.rounds(4)
    for site in (pe, bb):
        directory = site.up.replica.directory
        assert (directory.term, list(directory.records)) == (1, ["pe-csirt"])
        assert [part.body for part in await site.up.parts.all()] == [b'{"name":"Peru"}']
        assert site.alarm_codes() == []


async def test_revocation_that_was_cut_off_holds_although_it_has_lapsed(sim: Simulation, pe: Site) -> None:
    """Else whoever leads the log back makes a stolen key good again."""
    snapshot = await snapshot_of(pe)
    await log(sim, a_revoke(sim, "co-csirt", since=sim.world.now))
    await pe.once()
    sim.world.now += 2 * DAY_MS
    await pe.up.notices.accept(change(snapshot, BOTH, sim.world.now))
    await pe.up.succession.adopt()
    assert pe.up.replica.directory.size == len(snapshot.leaves)
    assert pe.up.replica.distrusts("co-csirt")
    await pe.restart()
    assert pe.up.replica.distrusts("co-csirt")


async def test_change_travels_sealed_while_the_seized_hub_still_runs(
    sim: Simulation, pe: Site, co: Site
) -> None:
    """co is told by pe, through the very hub that is done away with; and then follows it no longer."""
    statement = change(await snapshot_of(pe), BOTH, sim.world.now)
    note = Notice(statement.body, statement.signatures)
    await pe.up.store.db.write(
        lambda c: pe.up.outbox.send(c, note.to_payload(), note.type, "flash", ["co-csirt"])
    )
    await pe.once()
    await co.once()
    assert await co.up.succession.adopt()
    assert await pe.up.prekeys.publish(pe.hub, afresh=True)  # pe itself hasn't been told
    with pytest.raises(Rejected, match=r"directory\.rollback"):
        await co.up.replica.refresh(co.hub)


async def test_node_that_is_behind_gets_the_rest_from_the_new_hub(
    sim: Simulation, pe: Site, bb: Site
) -> None:
    await bb.stop()
    assert await pe.up.prekeys.publish(pe.hub, afresh=True)
    await pe.once()
    snapshot = await snapshot_of(pe)
    statement = change(snapshot, BOTH, sim.world.now)
    await replace_hub(sim, snapshot, statement)
    await bb.start()
    assert bb.up.replica.directory.size < len(snapshot.leaves)
    await bb.up.notices.accept(statement)
    await sim.rounds(2)
    assert (bb.up.replica.directory.term, bb.alarm_codes()) == (1, [])


async def test_hub_that_was_replaced_moves_nobody_any_more(sim: Simulation, pe: Site, co: Site) -> None:
    """The old hub was seized and goes on: a node that knows of the change follows it no longer."""
    statement = change(await snapshot_of(pe), BOTH, sim.world.now)
    await pe.up.replica.adopt(statement)
    assert await co.up.prekeys.publish(co.hub, afresh=True)
    size = pe.up.replica.directory.size
    with pytest.raises(Rejected, match=r"directory\.rollback"):
        await pe.up.replica.refresh(pe.hub)
    assert (pe.up.replica.directory.size, pe.alarm_codes()) == (size, ["directory.rollback"])
    await pe.restart()
    with pytest.raises(Rejected, match=r"directory\.rollback"):
        await pe.up.replica.refresh(pe.hub)


async def test_another_hub_than_the_officers_chose_is_a_split(sim: Simulation, pe: Site, co: Site) -> None:
    """Whoever holds the printed recovery key sets up a hub of its own: whoever heard of the officers' refuses it."""
    snapshot = await snapshot_of(pe)
    theirs = change(snapshot, ("recovery",), sim.world.now, "hub3")
    await pe.up.notices.accept(change(snapshot, BOTH, sim.world.now))
    await replace_hub(sim, snapshot, theirs, "hub3")
    await sim.rounds(2)
    assert pe.alarm_codes() == ["directory.split"]
    assert pe.up.replica.directory.term == 0
    assert co.up.replica.directory.term == 1
    ours = change(snapshot, BOTH, sim.world.now)
    await co.up.replica.adopt(ours)
    assert co.up.replica.directory.term == 0
    with pytest.raises(Rejected, match=r"directory\.stale"):
        await co.up.replica.adopt(theirs)


async def test_log_that_leaves_the_own_one_before_the_change_is_a_split(
    sim: Simulation, pe: Site, co: Site
) -> None:
    """The new hub's log lacks a statement that pe saw before the place where the officers say it goes on."""
    full = await snapshot_of(pe)
    directory = Directory.replay(full.leaves[:-1], now=None)
    again = Leaf.from_bytes(full.leaves[1], directory.net).statement  # of no effect a second time, and a leaf
    other = (*full.leaves[:-1], Leaf(directory.size, sim.world.now, again).to_bytes(directory.net))
    directory.apply(other[-1], now=None)
    said = Checkpoint(directory.net, 0, directory.size, directory.root(), sim.world.now)
    signed = SignedCheckpoint.sign(said, sim.world.hub_keys)
    shown = Snapshot(signed, other, FOR_MEMBERS, ())
    await replace_hub(sim, shown, change(shown, BOTH, sim.world.now))
    size = pe.up.replica.directory.size
    await sim.rounds(2)
    assert (pe.up.replica.directory.size, pe.up.replica.directory.term) == (size, 0)
    assert pe.alarm_codes() == ["directory.split"]


async def test_hub_that_shows_nothing_new_for_a_day_is_an_alarm(sim: Simulation, pe: Site) -> None:
    frozen = sim.running_hub.registrar.checkpoint

    async def checkpoint() -> object:
        return frozen.to_json()

    pe.hub.checkpoint = checkpoint  # type: ignore[method-assign]  # a hub that is up and shows this one for ever
    await pe.once()
    sim.world.now += DAY_MS + 1
    await pe.once()
    await pe.once()
    assert pe.alarm_codes() == ["directory.frozen"]
    assert pe.up.replica.is_stale()
