"""How mail gets out of the hub: order, pages, cursors, and who waits for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from exchange.protocol import ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_RECEIPTS
from exchange.wire import Delivery
from tests.hub.mail import MANY, copies, mail, put
from tests.hub_services import receipts, sealed, services
from tests.worlds import World


async def test_lanes_come_in_their_order_and_each_in_order_of_acceptance(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        lanes = ("routine", "priority", "flash", "routine", "immediate", "flash")
        made = [sealed(world, hub.registrar.dir_ref, lane=lane) for lane in lanes]
        for one in made:
            await put(hub, one)
        page = await hub.mailboxes.page("co-csirt", "", wait_seconds=0, most=MANY)
        kinds = [
            Delivery.from_bytes(item.payload).header if item.type == ITEM_DELIVERY else item.type
            for item in page.items
        ]
        wanted = [made[i].upload.header for i in (2, 5, 4)]
        assert kinds == [*wanted, ITEM_CHECKPOINT, *(made[i].upload.header for i in (1, 0, 3))]


async def test_page_holds_at_least_one_item_and_says_that_more_wait(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        for _ in range(3):
            await put(hub, sealed(world, hub.registrar.dir_ref, payload=b"x" * 20_000, lane="flash"))
        seen, after = [], ""
        while True:
            page = await hub.mailboxes.page("co-csirt", after, wait_seconds=0, most=1)
            if not page.items:
                break
            assert len(page.items) == 1
            seen.append(page.items[0].type)
            assert page.more == (len(seen) < 4)
            after = page.items[0].cursor
        assert seen == [ITEM_DELIVERY] * 3 + [ITEM_CHECKPOINT]


async def test_cursor_of_another_epoch_begins_anew(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        await put(hub, sealed(world, hub.registrar.dir_ref))
        (item,) = await mail(hub, "co-csirt")
        assert await mail(hub, "co-csirt", item.cursor) == []
    async with services(world, tmp_path, epoch="second") as hub:
        assert len(await mail(hub, "co-csirt", item.cursor)) == 1
        for nonsense in ("second.1", "second" + ".9" * 7, "x" * 300, "second" + ".99999999999999999999" * 6):
            assert len(await mail(hub, "co-csirt", nonsense)) == 1


async def test_members_see_only_their_own_mail(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        await put(hub, sealed(world, hub.registrar.dir_ref))
        assert await mail(hub, "bb-csirt") == []
        assert await mail(hub, "pe-csirt") == []


async def test_long_poll_wakes_on_mail_on_receipts_and_on_a_grown_log(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref)

        async def next_item(member: str, after: str):
            page = await hub.mailboxes.page(member, after, wait_seconds=30, most=MANY)
            return page.items[0]

        first = {member: await next_item(member, "") for member in ("pe-csirt", "co-csirt")}
        assert {item.type for item in first.values()} == {ITEM_CHECKPOINT}
        waiting = asyncio.create_task(next_item("co-csirt", first["co-csirt"].cursor))
        await asyncio.sleep(0)
        await put(hub, made)
        delivered = await waiting
        assert delivered.type == ITEM_DELIVERY
        waiting = asyncio.create_task(next_item("pe-csirt", first["pe-csirt"].cursor))
        await asyncio.sleep(0)
        await hub.mailboxes.receipts(
            "co-csirt", receipts(world, dir_ref, "co-csirt", copies(made, "co-csirt"))
        )
        assert (await waiting).type == ITEM_RECEIPTS
        waiting = asyncio.create_task(next_item("co-csirt", delivered.cursor))
        await asyncio.sleep(0)
        await hub.registrar.renew()
        assert (await waiting).type == ITEM_CHECKPOINT
        waiting = asyncio.create_task(
            hub.mailboxes.page(
                "bb-csirt", (await next_item("bb-csirt", "")).cursor, wait_seconds=30, most=MANY
            )
        )
        await asyncio.sleep(0)
        hub.mailboxes.stop()
        assert (await waiting).items == ()


async def test_long_poll_ends_in_time(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        last = (await hub.mailboxes.page("co-csirt", "", wait_seconds=0, most=MANY)).items[-1].cursor
        page = await hub.mailboxes.page("co-csirt", last, wait_seconds=0.01, most=MANY)
        assert page.items == ()
        assert str(page.cursor) == last
