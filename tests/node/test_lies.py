"""Lies of the hub that would make a node seal, ask, alarm or stop without end: each has its bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exchange.canonical import ZERO32, dumps
from exchange.errors import Refused, Rejected
from exchange.limits import HOUR_MS
from exchange.message import Urgency
from exchange.node.store import inbox as store_inbox
from exchange.node.uplink.api import HubState
from exchange.protocol import ITEM_DELIVERY, ITEM_RECEIPTS, Item
from exchange.receipt import EXPIRED, HUB, REJECTED, Leaf, make_batch
from tests.node.test_floods import SEALED, count, last_link
from tests.simulator import Simulation, Site
from tests.worlds import keys, signed


@pytest.mark.parametrize("by", ["hub", "co-csirt"])
async def test_expired_before_its_end_is_not_sealed_again(
    sim: Simulation, pe: Site, co: Site, by: str
) -> None:
    await co.stop()
    sent = pe.send("co-csirt")
    await sim.rounds()
    link = await last_link(pe, sent, "co-csirt")
    before = await count(pe, SEALED)
    status, code = (EXPIRED, "") if by == HUB else (REJECTED, "expired")
    batch = make_batch(
        net=sim.world.net,
        signer=by,
        keys=keys(by),
        number=77,
        dir_ref=pe.up.replica.dir_ref(),
        at=sim.world.now,
        leaves=[Leaf("co-csirt", link.env, link.lc, status, code, bytes(16))],
    )
    await pe.up.inbox.take([Item(ITEM_RECEIPTS, "", dumps(batch.proof([0])))], cursor=None)
    await sim.rounds(2)
    assert await count(pe, SEALED) == before
    await co.start()
    await sim.rounds()
    assert (co.received(), pe.state(sent, "co-csirt")) == ([sent], "stored")


async def test_item_that_came_hurt_and_never_again_is_asked_for_once(
    sim: Simulation, pe: Site, co: Site
) -> None:
    """Its header was hurt, so that it is known by the hash of its bytes: it comes whole under its own name."""
    await co.up.inbox.take([Item(ITEM_DELIVERY, "", b"noise")], cursor=None)
    assert len(co.desk.damaged()) == 1
    sim.world.now += HOUR_MS
    await co.up.sync.upkeep()
    assert co.desk.damaged() == []


async def test_hubs_batch_number_beyond_all_reason_is_refused(sim: Simulation, pe: Site, co: Site) -> None:
    for batch in (2**53 - 1, 2**80):
        with pytest.raises(Rejected):
            await co.up.sync._services.restore.note(HubState("epoch1", batch, ZERO32))
    sent = pe.send("co-csirt")
    await sim.rounds()
    assert pe.state(sent, "co-csirt") == "stored"


async def test_hub_that_cries_restored_makes_a_few_rounds_a_day(sim: Simulation, pe: Site, co: Site) -> None:
    restore = co.up.sync._services.restore
    for number in range(12):
        await restore.note(HubState("epoch1", 1_000 * (number + 1), bytes([number + 1]) * 32))
        try:
            await restore.make_good(co.hub)
        except (Refused, Rejected):
            continue
    told = await count(co, "SELECT count(*) FROM messages WHERE type = 'restored'")
    assert 2 <= told <= 2 * 4  # two peers


async def test_hub_cannot_excuse_a_statement_of_another_type(sim: Simulation, pe: Site) -> None:
    """A thief signs a sponsorship in pe's name, and the hub calls it pe's newest prekeys."""
    world = sim.world
    body = world.add_body("xx-csirt")
    statement = signed(body, "xx-csirt", "officer/alba", "officer/bruno", "pe-csirt", "co-csirt")
    digest = statement.hash(world.net)
    await pe.up.sync._services.restore.note(HubState("epoch1", 0, digest))
    await sim.running_hub.registrar.submit(statement, [])
    await pe.up.replica.refresh(pe.hub)
    assert "directory.own-name" in pe.alarm_codes()


async def test_prekeys_published_twice_since_the_copy_are_no_strangers(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    await co.copy_home(tmp_path / "copy")
    assert await co.up.prekeys.publish(co.hub, afresh=True)
    sim.world.now += HOUR_MS
    assert await co.up.prekeys.publish(co.hub, afresh=True)
    await sim.rounds()
    await co.restore(tmp_path / "copy")
    await sim.rounds(3)
    assert co.alarm_codes() == ["node.restored"]


async def test_peers_with_two_views_do_not_show_each_other_theirs_for_ever(
    sim: Simulation, pe: Site, co: Site
) -> None:
    pe.up.replica.contradicts = lambda _ref: True  # type: ignore[method-assign]  # as if the hub had split them
    co.up.replica.contradicts = lambda _ref: True  # type: ignore[method-assign]  # same
    pe.send("co-csirt")
    await sim.rounds(12)
    notes = "SELECT count(*) FROM messages WHERE type = 'checkpoint'"
    assert 1 <= await count(co, notes) <= 4
    assert await count(pe, notes) <= 4


async def test_refused_receipts_do_not_stop_the_mail(sim: Simulation, pe: Site, co: Site) -> None:
    def refuse(name: str, _value: Any) -> None:
        if name == "post_receipts":
            raise Refused("receipt.bad-format")

    co.hub.wire.before = refuse
    pe.send("co-csirt")
    own = co.send("pe-csirt", urgency=Urgency.FLASH)
    await sim.rounds()
    assert (len(co.received()), pe.received()) == (1, [own])
    assert "receipt.bad-format" in co.alarm_codes()
    co.hub.wire.before = lambda _name, _value: None
    await sim.rounds()
    assert await count(pe, "SELECT count(*) FROM addressees WHERE state = 'stored'") == 1


async def test_leaves_that_do_not_lead_to_the_root_alarm_and_the_mail_goes_on(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    assert await bb.up.prekeys.publish(bb.hub, afresh=True)

    async def leaves(start: int) -> list[bytes]:
        return [b"another leaf"]

    co.hub.leaves = leaves  # type: ignore[method-assign]  # the hub lies
    sent = co.send("pe-csirt")
    await sim.rounds()
    assert pe.received() == [sent]
    assert co.up.sync.condition.directory_problem == "directory.bad-leaf"
    assert "directory.bad-leaf" in co.alarm_codes()


async def test_items_that_stay_held_do_not_keep_the_next_from_being_tried(
    sim: Simulation, pe: Site, co: Site
) -> None:
    sent = pe.send("co-csirt")
    await pe.once()
    page = await co.hub.mailbox("", 0, 1_000_000)
    (delivery,) = [item for item in page.items if item.type == ITEM_DELIVERY]

    def write(connection: Any) -> None:
        header = delivery.payload.replace(b'"from":"pe-csirt"', b'"from":"zz-csirt"')
        for number in range(300):
            store_inbox.hold(
                connection,
                number.to_bytes(32, "big"),
                ITEM_DELIVERY,
                header + number.to_bytes(4, "big"),
                "hold.unknown-sender",
                now=sim.world.now,
            )
        store_inbox.hold(connection, b"\xff" * 32, ITEM_DELIVERY, delivery.payload, "x", now=sim.world.now)

    await co.up.store.db.write(write)
    await co.up.inbox.retry_held()
    assert co.received() == [sent]
