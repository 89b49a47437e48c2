"""Numbers that go missing, sealings that lapse, homes and hubs restored from old copies (docs/protocol.md §6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exchange.content import REPLACED, Missing, Status, Void
from exchange.errors import Unavailable
from exchange.limits import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.link import Link
from exchange.message import Urgency
from exchange.node.store import links as store_links, sealings as store_sealings
from exchange.node.store.figures import figures
from exchange.node.store.outbox import Outgoing
from tests.simulator import Simulation, Site


async def lose_at_hub(sim: Simulation, env: bytes) -> None:
    """The hub forgets a mailbox row, as no honest hub would."""
    database = sim.running_hub.store._db
    await database.write(
        lambda c: c.exec_driver_sql(
            "DELETE FROM mailbox WHERE envelope = (SELECT n FROM envelopes WHERE env = ?)", (env,)
        )
    )


# Everything an honest hub restored from an older copy would not have.
FORGET = (
    "DELETE FROM bodies WHERE envelope = (SELECT n FROM envelopes WHERE env = ?)",
    "DELETE FROM envelopes WHERE env = ?",
)


async def gaps(site: Site) -> list[store_links.OpenGap]:
    return await site.up.store.db.read(store_links.open_gaps)


async def test_lost_message_is_asked_for_and_sealed_again(sim: Simulation, pe: Site, co: Site) -> None:
    await co.stop()
    lost, after = pe.send("co-csirt"), pe.send("co-csirt")
    await sim.rounds()
    await lose_at_hub(sim, pe.copy(lost, "co-csirt").env or b"")
    await co.start()
    await sim.rounds()
    assert co.received() == [after]
    (gap,) = await gaps(co)
    assert (gap.gap.first, gap.gap.last) == (1, 1)
    sim.world.now += 6 * MINUTE_MS
    await sim.rounds(4)  # asked; the same bytes don't help: the hub thinks it has them
    assert (co.received(), pe.state(lost, "co-csirt")) == ([after], "accepted")
    await sim.wait(DAY_MS + HOUR_MS)
    await sim.rounds(4)  # asked again: sealed again
    assert (co.received(), pe.state(lost, "co-csirt")) == ([after, lost], "stored")
    assert await gaps(co) == []
    assert pe.alarm_codes() == co.alarm_codes() == []


async def test_missing_number_is_answered_with_the_same_bytes(sim: Simulation, pe: Site, co: Site) -> None:
    """The hub was restored and lost one envelope; the next one came before the sender noticed."""
    await co.stop()
    lost, after = pe.send("co-csirt"), pe.send("co-csirt")
    await sim.rounds()
    env = pe.copy(lost, "co-csirt").env or b""
    await lose_at_hub(sim, env)
    database = sim.running_hub.store._db
    await database.write(lambda c: [c.exec_driver_sql(one, (env,)) for one in FORGET])
    await co.start()
    await sim.rounds()
    sim.world.now += 6 * MINUTE_MS
    await sim.rounds(4)
    assert co.received() == [after, lost]
    assert pe.copy(lost, "co-csirt").env == env
    assert co.inbox()[1].marks == frozenset({"late"})
    assert await gaps(co) == []


async def test_gap_is_not_asked_for_before_five_minutes(sim: Simulation, pe: Site, co: Site) -> None:
    await co.stop()
    lost = pe.send("co-csirt")
    pe.send("co-csirt")
    await sim.rounds()
    await lose_at_hub(sim, pe.copy(lost, "co-csirt").env or b"")
    await co.start()
    sim.world.now += 4 * MINUTE_MS
    await sim.rounds(4)
    assert [gap.asked_at for gap in await gaps(co)] == [None]


async def test_number_a_restored_sender_no_longer_knows_is_voided(
    sim: Simulation, pe: Site, co: Site
) -> None:
    question = Missing("routine", ((bytes(16), 3, 4),))
    await co.up.store.db.write(
        lambda c: co.up.outbox.send(c, question.to_payload(), Missing.type, "routine", ["pe-csirt"])
    )
    await sim.rounds()
    voids = await co.up.store.db.read(
        lambda c: c.exec_driver_sql("SELECT sender, why FROM voids_in").fetchall()
    )
    assert [tuple(row) for row in voids] == [("pe-csirt", "sender.restored")]


async def test_prekey_lapsed_before_acceptance_is_sealed_again(sim: Simulation, pe: Site, co: Site) -> None:
    def refuse(name: str, _value: Any) -> None:
        if name in ("put_envelope", "post_envelopes"):
            raise Unavailable("hub.unreachable")

    pe.hub.wire.before = refuse
    sent = pe.send("co-csirt")
    await sim.rounds(1)
    first = pe.copy(sent, "co-csirt").env or b""
    assert await co.up.prekeys.publish(
        co.hub, afresh=True
    )  # its newest statement no longer names that prekey
    pe.hub.wire.before = lambda _name, _value: None
    other = pe.send("co-csirt")
    await sim.rounds(5)
    assert pe.copy(sent, "co-csirt").env != first
    sealing = await pe.up.store.db.read(lambda c: store_sealings.get(c, first))
    assert sealing is not None
    assert sealing.state == "voided"
    assert sorted(co.received()) == sorted([sent, other])
    assert await gaps(co) == []  # the re-seal has closed the voided number
    assert pe.alarm_codes() == co.alarm_codes() == []


@pytest.mark.parametrize(("why", "marks"), [("test", {"voided"}), (REPLACED, set())])
async def test_voided_envelope_that_arrives_late_shows_as_voided_unless_it_is_replaced(
    sim: Simulation, pe: Site, co: Site, why: str, marks: set[str]
) -> None:
    await co.stop()
    sent = pe.send("co-csirt")
    await sim.rounds()
    copy = pe.copy(sent, "co-csirt")
    env = copy.env or b""
    (link,) = await pe.up.store.db.read(lambda c: store_sealings.links(c, env))
    # announced in a more urgent lane, so that it comes first
    void = Void("routine", link.numbered, why)
    await pe.up.store.db.write(
        lambda c: pe.up.outbox.send(c, void.to_payload(), Void.type, "immediate", ["co-csirt"])
    )
    await sim.rounds()
    await co.start()
    await sim.rounds()
    assert co.inbox()[0].marks == marks


async def test_undelivered_at_exp_is_sealed_again_until_the_content_ends(
    sim: Simulation, pe: Site, co: Site
) -> None:
    await co.stop()
    sent = pe.send("co-csirt", life_ms=60 * DAY_MS)
    await sim.rounds()
    first = pe.copy(sent, "co-csirt").env
    await sim.wait(21 * DAY_MS)
    await sim.running_hub.mailboxes.expire_due()
    await sim.rounds()
    again = pe.copy(sent, "co-csirt")
    assert (again.state, again.env == first) == ("accepted", False)
    await co.start()
    await sim.rounds(4)
    assert (co.received(), pe.state(sent, "co-csirt")) == ([sent], "stored")
    assert await gaps(co) == []
    assert pe.alarm_codes() == []


async def test_undelivered_until_its_content_ends_is_reported(sim: Simulation, pe: Site, co: Site) -> None:
    await co.stop()
    sent = pe.send("co-csirt", life_ms=10 * DAY_MS)
    await sim.rounds()
    await sim.wait(11 * DAY_MS)
    await sim.running_hub.mailboxes.expire_due()
    await sim.rounds()
    assert (pe.state(sent, "co-csirt"), pe.alarm_codes()) == ("lost", ["outbox.lost"])
    await co.start()
    await sim.rounds(4)
    assert (co.received(), await gaps(co)) == ([], [])
    assert [(one.code, one.subject) for one in co.desk.alarms()] == [("inbox.lost", "pe-csirt")]


async def test_loss_of_which_its_sender_is_silent_stays_missing(sim: Simulation, pe: Site, co: Site) -> None:
    await co.stop()
    pe.send("co-csirt", life_ms=DAY_MS)
    await sim.rounds()
    await sim.wait(2 * DAY_MS)
    await sim.running_hub.mailboxes.expire_due()
    await pe.stop()  # before it has said what becomes of it
    await co.start()
    await sim.rounds(1)
    await sim.wait(26 * HOUR_MS)
    await sim.rounds(1)
    assert [gap.asked_at is not None for gap in await gaps(co)] == [True]
    assert co.alarm_codes() == []
    assert co.up.store.db.read_sync(lambda c: figures(c, now=sim.world.now)).missing == {"pe-csirt": 1}
    await pe.start()
    await sim.rounds(4)
    assert (await gaps(co), pe.alarm_codes(), co.alarm_codes()) == ([], ["outbox.lost"], ["inbox.lost"])


async def test_loss_of_what_was_not_for_people_is_no_alarm(sim: Simulation, pe: Site, co: Site) -> None:
    await co.stop()
    note = Missing("routine", ((bytes(16), 3, 4),))
    await pe.up.store.db.write(
        lambda c: pe.up.outbox.send(c, note.to_payload(), Missing.type, "routine", ["co-csirt"])
    )
    await sim.rounds()
    await sim.wait(15 * DAY_MS)
    await sim.running_hub.mailboxes.expire_due()
    await sim.rounds()
    await co.start()
    await sim.rounds(4)
    assert (await gaps(co), pe.alarm_codes(), co.alarm_codes()) == ([], [], [])


async def test_restored_node_gets_back_what_it_lost(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    before = pe.send("co-csirt")
    await sim.rounds()
    await co.copy_home(tmp_path / "copy")
    lost, urgent = pe.send("co-csirt"), pe.send("co-csirt", urgency=Urgency.FLASH)
    own = co.send("pe-csirt")
    await sim.rounds()
    assert co.received()[1:] == [urgent, lost]
    await co.stop()
    waiting = pe.send("co-csirt")
    await sim.rounds()
    await co.restore(tmp_path / "copy")
    assert co.received() == [before]
    await sim.rounds(6)
    assert co.received()[0] == before
    assert sorted(co.received()[1:]) == sorted([lost, urgent, waiting])
    assert all(pe.state(one, "co-csirt") == "stored" for one in (before, lost, urgent, waiting))
    later = co.send("pe-csirt")
    await sim.rounds()
    assert pe.received() == [own, later]
    assert co.state(later, "pe-csirt") == "stored"
    assert pe.alarm_codes() == []  # an accident never looks like an attack
    assert co.alarm_codes() == ["node.restored"]
    assert await gaps(co) == await gaps(pe) == []


async def test_restored_sender_is_marked_not_accused(
    sim: Simulation, pe: Site, co: Site, tmp_path: Path
) -> None:
    await pe.copy_home(tmp_path / "copy")
    first = [pe.send("co-csirt"), pe.send("co-csirt")]
    await sim.rounds()
    await pe.restore(tmp_path / "copy")
    again = pe.send("co-csirt")
    await sim.rounds(4)
    assert co.received() == [*first, again]
    assert "restarted" in co.inbox()[2].marks
    assert co.alarm_codes() == []
    assert pe.state(again, "co-csirt") == "stored"


async def test_restored_hub_loses_nothing(
    sim: Simulation, pe: Site, co: Site, bb: Site, tmp_path: Path
) -> None:
    await sim.copy_hub(tmp_path / "hub-copy")
    await bb.stop()
    sent = pe.send("co-csirt", "bb-csirt")
    await sim.rounds()
    assert await pe.up.prekeys.publish(pe.hub, afresh=True)  # a leaf the old copy lacks
    newer = pe.send("bb-csirt")
    await sim.rounds()
    await sim.restore_hub(tmp_path / "hub-copy")
    await bb.start()
    await sim.rounds(6)
    assert bb.received() == [sent, newer]
    assert pe.state(sent, "bb-csirt") == pe.state(newer, "bb-csirt") == "stored"
    assert co.received() == [sent]
    assert pe.alarm_codes() == co.alarm_codes() == bb.alarm_codes() == []
    size = sim.running_hub.registrar.directory.size
    assert size == pe.up.replica.directory.size


async def test_twenty_outages_with_a_killed_hub(sim: Simulation, pe: Site, co: Site, bb: Site) -> None:
    """A node is down, the hub is restarted in between: each message exactly once, in order."""
    sent = []
    for number in range(20):
        down = co if number % 2 else bb
        await down.stop()
        sent.append(pe.send("co-csirt", "bb-csirt", subject=f"number {number}"))
        await sim.rounds(1)
        await sim.restart_hub()
        await down.start()
        await sim.rounds(1)
    await sim.rounds(2)
    assert co.received() == bb.received() == sent
    assert all(pe.state(one, name) == "stored" for one in sent for name in ("co-csirt", "bb-csirt"))
    assert {mark for site in (co, bb) for one in site.inbox() for mark in one.marks} == set()
    assert pe.alarm_codes() == co.alarm_codes() == bb.alarm_codes() == []


async def test_status_of_a_message_that_never_was_changes_nothing(
    sim: Simulation, pe: Site, co: Site
) -> None:
    status = Status(pe.up.sources.new_id(), "acknowledged", "", "", "", 0)
    message = Outgoing(
        co.up.sources.new_id(), "status", "flash", 0, sim.world.now + DAY_MS, status.to_payload()
    )
    co.desk.submit(message, ["pe-csirt"])
    await sim.rounds()
    assert co.state(message.id, "pe-csirt") == "stored"


@pytest.mark.parametrize("seq", [1, 2**53 - 1])
async def test_question_about_unheard_of_numbers_is_bounded(
    sim: Simulation, pe: Site, co: Site, seq: int
) -> None:
    question = Missing("flash", ((bytes(16), 1, seq),))
    await co.up.store.db.write(
        lambda c: co.up.outbox.send(c, question.to_payload(), Missing.type, "flash", ["pe-csirt"])
    )
    await sim.rounds(2)
    queued = await pe.up.store.db.read(
        lambda c: c.exec_driver_sql("SELECT count(*) FROM messages WHERE type = 'void'").scalar_one()
    )
    assert 0 < queued <= 32


async def test_gaps_that_reach_as_far_as_numbers_go_are_counted(co: Site) -> None:
    """A member may number its envelopes as it likes: what it leaves out must be no more than a figure."""
    far = 2**53 - 2

    def write(connection: Any) -> None:
        connection.exec_driver_sql(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100)"
            " INSERT INTO gaps_in SELECT 'pe-csirt', 3, i, ?, zeroblob(16), 0, NULL FROM n",
            (far,),
        )

    await co.up.store.db.write(write)
    counted = await co.up.store.db.read(lambda c: store_links.missing(c, seen_before=1))
    assert counted["pe-csirt"] > 1000 * far


async def test_number_that_is_missing_already_takes_nothing_from_what_is_missing_with_it(co: Site) -> None:
    def write(connection: Any) -> None:
        connection.exec_driver_sql("INSERT INTO gaps_in VALUES ('pe-csirt', 3, 6, 15, zeroblob(16), 0, NULL)")
        store_links.open_number(connection, "pe-csirt", "routine", Link(b"2" * 16, 6), now=1)

    await co.up.store.db.write(write)
    assert [(one.gap.first, one.gap.last) for one in await gaps(co)] == [(6, 15)]
