"""One small message that would make a node do without end: what a member with valid keys can ask for has its bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exchange.content import Control, Missing, Restored, Status, Void
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.message import Urgency
from exchange.node.store import links as store_links, sealings as store_sealings
from exchange.node.uplink.api import Posted, Result
from tests.node.test_chains import FORGET, lose_at_hub
from tests.node.test_hostile import content, forge
from tests.simulator import Simulation, Site, uuid_of


async def tell(site: Site, to: str, control: Control, lane: str = "routine") -> None:
    """Send a control of any content, as a member with its own program would."""
    send = site.up.outbox.send
    await site.up.store.db.write(lambda c: send(c, control.to_payload(), control.type, lane, [to]))


async def count(site: Site, sql: str) -> int:
    value: int = await site.up.store.db.read(lambda c: c.exec_driver_sql(sql).scalar_one())
    return value


async def forget_at_hub(sim: Simulation, env: bytes) -> None:
    """The hub has never heard of the envelope."""
    database = sim.running_hub.store._db
    await lose_at_hub(sim, env)
    await database.write(lambda c: [c.exec_driver_sql(one, (env,)) for one in FORGET])


async def last_link(site: Site, message_id: str, to: str) -> store_sealings.SealedLink:
    env = site.copy(message_id, to).env or b""
    link = await site.up.store.db.read(lambda c: store_sealings.link_of(c, env, to))
    assert link is not None
    return link


VOIDS = "SELECT count(*) FROM messages WHERE type = 'void'"
SEALED = "SELECT count(*) FROM sealings"


async def test_questions_about_unheard_of_numbers_share_one_bound(
    sim: Simulation, pe: Site, co: Site
) -> None:
    gaps = tuple((bytes(16), 1 + 40 * at, 40 + 40 * at) for at in range(500))
    for _ in range(3):
        await tell(co, "pe-csirt", Missing("flash", gaps))
    await sim.rounds(2)
    assert 0 < await count(pe, VOIDS) <= 128


async def test_numbers_with_a_receipt_are_not_voided_over_and_over(
    sim: Simulation, pe: Site, co: Site
) -> None:
    sent = [pe.send("co-csirt") for _ in range(8)]
    await sim.rounds()
    link = await last_link(pe, sent[-1], "co-csirt")
    for _ in range(40):
        await tell(co, "pe-csirt", Missing("routine", ((link.link.chain, 1, 7),)))
    await sim.rounds(2)
    assert await count(pe, VOIDS) <= 128


async def test_answers_to_questions_do_not_stand_in_the_flash_lane(
    sim: Simulation, pe: Site, co: Site
) -> None:
    await tell(co, "pe-csirt", Missing("flash", ((bytes(16), 1, 20),)), "flash")
    await sim.rounds(2)
    assert await count(pe, VOIDS) > 0
    assert await count(pe, "SELECT count(*) FROM messages WHERE type = 'void' AND lane = 0") == 0


async def test_number_asked_for_again_at_once_is_not_sealed_again(
    sim: Simulation, pe: Site, co: Site, bb: Site
) -> None:
    """co takes mail and gives no receipts, but asks for every number all the time."""
    await co.stop()
    first, second = pe.send("co-csirt"), pe.send("co-csirt")
    await sim.rounds()
    link = await last_link(pe, second, "co-csirt")
    question = Missing("routine", ((link.link.chain, 1, 1),))
    for _ in range(6):
        await pe.up.store.db.write(lambda c: pe.up.inbox._controls._answers.missing(c, "co-csirt", question))
        await sim.rounds(1)
    assert (await last_link(pe, first, "co-csirt")).link.seq == 1


async def test_numbers_below_one_that_was_closed_are_found_though_sealed_by_an_earlier_run(
    sim: Simulation, pe: Site, co: Site
) -> None:
    """1..6 in chain A, 7 in chain B; co saw 7 only, then 5 was closed: 1..4 must come, not be voided."""
    await co.stop()
    lost = [pe.send("co-csirt") for _ in range(6)]
    await sim.rounds()
    await pe.restart()
    after = pe.send("co-csirt")
    await sim.rounds()
    fifth = await last_link(pe, lost[4], "co-csirt")
    for one in lost:
        await forget_at_hub(sim, pe.copy(one, "co-csirt").env or b"")
    await co.start()
    await sim.rounds()
    assert co.received() == [after]
    await tell(pe, "co-csirt", Void("routine", fifth.numbered, "test"))
    await sim.rounds()
    sim.world.now += 6 * MINUTE_MS
    await sim.rounds(4)
    assert set(lost[:4]) <= set(co.received())
    assert await co.up.store.db.read(store_links.open_gaps) == []


async def test_same_bytes_go_out_highest_number_first(sim: Simulation, pe: Site, co: Site) -> None:
    """2 and 3 in chain A, 4 in chain B, 1 closed by a void: 2 alone fits nothing, 3 fits 4 and then 2 fits 3."""
    await co.stop()
    first, second, third = (pe.send("co-csirt") for _ in range(3))
    await sim.rounds()
    await pe.restart()
    fourth = pe.send("co-csirt")
    await sim.rounds()
    one = await last_link(pe, first, "co-csirt")
    for message in (first, second, third):
        await forget_at_hub(sim, pe.copy(message, "co-csirt").env or b"")
    await co.start()
    await sim.rounds()
    await tell(pe, "co-csirt", Void("routine", one.numbered, "test"))
    await sim.rounds()
    sim.world.now += 6 * MINUTE_MS
    await sim.rounds(4)
    assert co.received() == [fourth, third, second]
    assert [sorted(got.marks) for got in co.inbox()] == [[], ["late"], ["late"]]
    assert await co.up.store.db.read(store_links.open_gaps) == []


async def test_restored_over_and_over_is_answered_a_few_times_a_day(
    sim: Simulation, pe: Site, co: Site
) -> None:
    for _ in range(5):
        pe.send("co-csirt")
    await sim.rounds()
    before = await count(pe, SEALED)
    for _ in range(10):
        await tell(co, "pe-csirt", Restored(()))
        await sim.rounds(2)
    assert 5 <= await count(pe, SEALED) - before <= 4 * 5
    before = await count(pe, SEALED)
    await sim.wait(DAY_MS)  # what was too much for a day is done on the next, once
    await sim.rounds(2)
    assert 5 <= await count(pe, SEALED) - before <= 2 * 5
    before = await count(pe, SEALED)
    await sim.wait(DAY_MS)
    await sim.rounds(2)
    assert await count(pe, SEALED) == before


async def test_peer_that_gives_no_receipts_does_not_use_up_the_quota(
    sim: Simulation, pe: Site, co: Site, bb: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.node.mail.outbox.PEER_WINDOW", 5)
    await co.stop()
    for _ in range(9):
        pe.send("co-csirt")
    await sim.rounds(1)  # the bound is looked at between two dispatches
    both = pe.send("co-csirt", "bb-csirt")
    urgent = pe.send("co-csirt", urgency=Urgency.FLASH)
    await sim.rounds(4)
    assert bb.received() == [both]
    assert pe.state(urgent, "co-csirt") == "accepted"  # flash goes out all the same
    assert (pe.state(both, "co-csirt"), pe.copy(both, "co-csirt").code) == ("queued", "quota.exceeded")
    await co.start()
    await sim.rounds(6)
    assert len(co.received()) == 11


async def test_rejections_of_all_kinds_do_not_hide_one_that_can_be_made_good(
    sim: Simulation, pe: Site, co: Site
) -> None:
    for _ in range(3):
        pe.send("co-csirt")
    await sim.rounds()
    await pe.up.store.db.write(
        lambda c: c.exec_driver_sql(
            "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 300)"
            " INSERT INTO addressees (message_n, recipient, lane, state, code, queued_at)"
            " SELECT 1, 'm' || i, 3, 'rejected', 'invalid', 0 FROM k"
        )
    )
    await pe.up.store.db.write(
        lambda c: c.exec_driver_sql(
            "UPDATE addressees SET state = 'rejected', code = 'unreadable' WHERE env IS NOT NULL"
        )
    )
    assert await co.up.prekeys.publish(co.hub, afresh=True)
    await pe.up.replica.refresh(pe.hub)
    assert await pe.up.outbox.sweep() == 3


async def test_copy_sealed_often_is_not_given_up_at_its_first_refusal(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    for _ in range(3):
        await tell(co, "pe-csirt", Restored(()))
        await sim.rounds(2)
    await tell(co, "pe-csirt", Restored(()))
    refused: list[bytes] = []
    await co.once()
    real = pe.hub.put_envelope

    async def put(env: bytes, upload: bytes) -> Any:
        if not refused:
            refused.append(env)
            return Posted((Result(env, "envelope.unknown-prekey", ""),), ())
        return await real(env, upload)

    pe.hub.put_envelope = put  # type: ignore[method-assign]  # refuses once
    await sim.rounds(3)
    assert refused
    assert pe.alarm_codes() == []
    assert pe.state(sent, "co-csirt") == "stored"


async def test_forks_without_end_are_one_alarm_a_day(sim: Simulation, pe: Site, co: Site) -> None:
    for number in range(8):
        await forge(pe, content("poll", b"x", message_id=uuid_of(bytes([number]) * 16)))
        await forge(pe, content("poll", bytes([number]), message_id=uuid_of(b"c" * 16)), seq=number + 2)
    await sim.rounds()
    codes = co.alarm_codes()
    assert codes.count("chain.fork") <= 4
    assert codes.count("message.conflict") <= 4


async def test_time_no_calendar_has_is_cut_to_this_nodes_clock(sim: Simulation, pe: Site, co: Site) -> None:
    sent = pe.send("co-csirt")
    await sim.rounds()
    await tell(co, "pe-csirt", Status(sent, "acknowledged", "Ana", "", "", 2**53 - 1), "routine")
    await sim.rounds()
    assert pe.copy(sent, "co-csirt").acknowledged_at == sim.world.now


async def test_flash_overdue_is_listed_however_much_was_sent_since(
    sim: Simulation, pe: Site, co: Site
) -> None:
    await co.stop()
    flash = pe.send("co-csirt", urgency=Urgency.FLASH)
    for _ in range(6):
        pe.send("bb-csirt")
    await sim.rounds()
    sim.world.now += HOUR_MS
    (overdue,) = pe.desk.outbox(overdue=True, limit=3)
    assert (overdue.message.id, pe.desk.count_overdue()) == (flash, (1, overdue.message.created))
    assert (len(pe.desk.outbox(limit=3)), pe.desk.count_under_way()) == (3, 1)
    assert {one.message.payload for one in (overdue, *pe.desk.outbox())} == {b""}  # each may be 10 MB
    assert pe.desk.sent(flash).message.payload
