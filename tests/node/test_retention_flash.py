"""No flash message goes that nobody acknowledged, but people were told of it by its id."""

from __future__ import annotations

import pytest

from exchange.limits import DAY_MS
from exchange.message import Urgency
from exchange.node.store import retention as rows
from tests.node.test_retention import forget, records
from tests.simulator import Simulation, Site


async def test_flash_that_nobody_acknowledged_is_told_of_before_it_goes(
    sim: Simulation, pe: Site, co: Site
) -> None:
    unread, read = pe.send("co-csirt", urgency=Urgency.FLASH), pe.send("co-csirt", urgency=Urgency.FLASH)
    await sim.rounds()
    co.desk.answer(read, "acknowledged", person="Luz")
    await sim.wait(7 * DAY_MS)
    (soon,) = [one for one in await records(co).due(days=0, limit=10) if one.unanswered]
    assert soon.id == unread
    await forget(co)
    assert (co.received(), co.alarm_codes()) == ([unread], ["retention.unacknowledged"])
    await sim.wait(29 * DAY_MS)
    await sim.rounds()
    await forget(co)
    assert co.received() == [unread]
    await sim.wait(DAY_MS)
    await forget(co)
    assert co.received() == []


async def test_each_flash_that_goes_unacknowledged_is_named_a_few_of_a_sender_a_day(
    sim: Simulation, pe: Site, co: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "TOLD_A_DAY", 2)
    sent = [pe.send("co-csirt", urgency=Urgency.FLASH) for _ in range(3)]
    await sim.rounds()
    await sim.wait(7 * DAY_MS)

    def named() -> list[str]:
        told = [one for one in co.desk.alarms() if one.code == "retention.unacknowledged"]
        return sorted(one.subject for one in told)

    await forget(co)
    assert (len(named()), co.received()) == (2, sent)
    await sim.wait(DAY_MS)
    await sim.rounds()
    await forget(co)
    assert named() == sorted(f"pe-csirt {one}" for one in sent)
    await sim.wait(29 * DAY_MS)
    await sim.rounds()
    await forget(co)
    (left,) = co.received()  # it was named a day later, and stays as much longer
    await sim.wait(DAY_MS)
    await sim.rounds()
    await forget(co)
    assert (left in sent, co.received()) == (True, [])
