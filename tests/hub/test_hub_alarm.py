"""A hub's alarm hook: whose flash is not stored is told its operator once an outage, and that it is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.alarm import AlarmSettings, Notice
from exchange.alarm_hook import Caller
from exchange.errors import Unavailable
from exchange.hub.alarm_hook import WHO, AlarmHook
from exchange.hub.store import alarm as store_alarm
from exchange.hub.store.alarm import flash_copies, oldest_flash
from exchange.limits import DAY_MS, MINUTE_MS, SECOND_MS
from exchange.storage import calls
from tests.hub.mail import copies, put
from tests.hub_services import Services, receipts, sealed, services
from tests.worlds import World

AFTER = 60 * SECOND_MS
BOTH = ("bb-csirt", "co-csirt")


class Operator:
    """A hub's hook; whom it calls is this object."""

    def __init__(self, hub: Services) -> None:
        self.hub = hub
        self.told: list[Notice] = []
        self.fault: Exception | None = None
        settings = AlarmSettings(command=("/bin/true",), flash_seconds=60)
        clock = lambda: hub.world.now  # noqa: E731 - the world's clock
        self.caller = Caller(hub.store.db, {"command": self.call}, who=WHO, clock=clock)
        self.hook = AlarmHook(hub.store, settings, self.caller, clock=clock)

    async def call(self, notice: Notice) -> None:
        """The way."""
        if self.fault is not None:
            raise self.fault
        self.told.append(notice)

    async def turn(self) -> list[tuple[str, tuple[str, ...]]]:
        """One look; whom the operator was told of by now."""
        await self.hook.look()
        await self.caller.deliver()
        return [(one.kind, one.members) for one in self.told]


@pytest.fixture
async def operator(world: World, tmp_path: Path) -> AsyncIterator[Operator]:
    async with services(world, tmp_path) as hub:
        one = Operator(hub)
        await one.caller.load()
        yield one


async def upload(operator: Operator, *to: str, lane: str = "flash"):
    """An envelope that the hub accepts."""
    hub = operator.hub
    made = sealed(hub.world, hub.registrar.dir_ref, to=to, lane=lane)
    await put(hub, made)
    return made


async def store(operator: Operator, member: str, made, number: int = 1) -> None:
    """The member's node has stored it."""
    hub = operator.hub
    batch = receipts(hub.world, hub.registrar.dir_ref, member, copies(made, member), number=number)
    await hub.mailboxes.receipts(member, batch)


async def test_told_once_an_outage_and_when_it_is_over(world: World, operator: Operator) -> None:
    made = await upload(operator, *BOTH)
    await upload(operator, *BOTH, lane="immediate")
    world.now += AFTER - 1
    assert await operator.turn() == []
    world.now += 1
    begun = [("not-stored", BOTH)]
    assert await operator.turn() == begun
    assert operator.told[0].age == AFTER
    world.now += MINUTE_MS
    await upload(operator, "co-csirt")
    world.now += MINUTE_MS
    assert await operator.turn() == begun
    await store(operator, "bb-csirt", made)
    assert await operator.turn() == [*begun, ("not-stored-over", ("bb-csirt",))]
    world.now += DAY_MS
    assert len(await operator.turn()) == 2


async def test_what_is_stored_in_time_is_not_told(world: World, operator: Operator) -> None:
    made = await upload(operator, "co-csirt")
    world.now += AFTER - 1
    await store(operator, "co-csirt", made)
    world.now += DAY_MS
    assert await operator.turn() == []


async def test_over_before_anybody_could_be_told(world: World, operator: Operator) -> None:
    made = await upload(operator, "co-csirt")
    world.now += AFTER
    operator.fault = Unavailable("alarm.command")
    await operator.turn()
    assert [one.code for one in operator.hub.store.db.read_sync(calls.trouble)] == ["alarm.command"]
    await store(operator, "co-csirt", made)
    operator.fault = None
    world.now += DAY_MS
    assert await operator.turn() == []
    assert operator.hub.store.db.read_sync(calls.trouble) == []


async def test_way_with_a_fault_of_its_own_is_tried_again(world: World, operator: Operator) -> None:
    await upload(operator, "co-csirt")
    world.now += AFTER
    operator.fault = RuntimeError("quoting a secret")
    assert await operator.turn() == []
    assert [one.code for one in operator.hub.store.db.read_sync(calls.trouble)] == ["internal.error"]
    operator.fault = None
    world.now += MINUTE_MS
    assert await operator.turn() == [("not-stored", ("co-csirt",))]
    assert operator.hub.store.db.read_sync(calls.trouble) == []


async def test_what_ran_when_the_disk_failed_is_shown(world: World, operator: Operator) -> None:
    await upload(operator, "co-csirt")
    world.now += AFTER
    await operator.caller.turn(operator.hook.look)
    await upload(operator, "bb-csirt")
    world.now += AFTER
    await operator.hook.look()
    db, now = operator.hub.store.db, world.now
    await db.write(lambda c: calls.begin(c, "command", now=now))  # how it ended could not be written

    async def full() -> None:
        raise Unavailable("storage.full")

    await operator.caller.turn(full)
    await operator.caller.turn(operator.hook.look)
    assert [(one.state, one.kind) for one in db.read_sync(calls.trouble)] == [("unsure", "not-stored")]


async def test_outage_that_comes_and_goes_is_not_told_each_time(world: World, operator: Operator) -> None:
    for number in range(1, 5):
        made = await upload(operator, "co-csirt")
        world.now += AFTER
        await operator.turn()
        await store(operator, "co-csirt", made, number)
        await operator.turn()
    assert [one.kind for one in operator.told] == ["not-stored", "not-stored-over"]
    world.now += 15 * MINUTE_MS
    await upload(operator, "co-csirt")
    world.now += AFTER
    await operator.turn()
    assert operator.told[-1].kind == "not-stored"


async def test_restart_does_not_tell_again(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        first = Operator(hub)
        await upload(first, "co-csirt")
        world.now += AFTER
        assert len(await first.turn()) == 1
    async with services(world, tmp_path) as hub:
        second = Operator(hub)
        await second.caller.load()
        assert await second.turn() == []


async def test_look_goes_by_recipient_and_not_by_copy(world: World, operator: Operator) -> None:
    first = await upload(operator, *BOTH)
    world.now += SECOND_MS
    for _ in range(3):
        await upload(operator, "co-csirt")
    await store(operator, "bb-csirt", first)
    db = operator.hub.store.db
    assert [(one.address, one.since) for one in db.read_sync(oldest_flash)] == [
        ("co-csirt", world.now - SECOND_MS)
    ]
    assert db.read_sync(flash_copies) == 4
    plan = db.read_sync(lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {store_alarm._OLDEST}").all())
    told = " ".join(str(row[-1]) for row in plan)
    assert "SCAN mailbox" not in told
    assert "SCAN m " not in f"{told} "
    assert "SCAN e " not in f"{told} "
    assert told.count("mailbox_flash") == 3
