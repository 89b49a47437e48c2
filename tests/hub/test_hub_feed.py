"""What a connection gets from memory beside what the store would say at that moment, whatever else happens."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from exchange import policy, protocol
from exchange.header import LANES
from exchange.hub.feed import Feed
from exchange.hub.store.cursor import Cursor
from exchange.limits import MINUTE_MS
from exchange.protocol import ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_LARGE, Item, Large
from exchange.wire import Delivery
from tests.hub.mail import MANY, copies, put
from tests.hub_services import Services, receipts, sealed, services
from tests.worlds import World

READER, OTHER, STEPS = "co-csirt", "bb-csirt", 120
LARGE = 3_000


class Listener:
    """A connection of READER that compares each answer with the store's own."""

    def __init__(self, hub: Services, large: int) -> None:
        self._hub = hub
        self._large = large
        self.feed: Feed = hub.mailboxes.feed(READER, "")
        self.cursor: Cursor = hub.mailboxes.cursor(READER, "")
        self.seen: list[Item] = []

    async def look(self, items: int, most: int, *, urgent: bool) -> None:
        there = await self._hub.store.page(
            READER,
            self.cursor,
            most=MANY,
            announced=self._hub.registrar.announcement,
            since=policy.mail_since(self._hub.registrar.directory, READER),
            large=self._large,
            urgent=urgent,
        )
        sent = await self.feed.next(items=items, most=most, large=self._large, urgent=urgent)
        come = [item for one in sent for item in protocol.items(b"".join(one.parts))]
        assert [(one.cursor, one.size) for one in sent] == [(i.cursor, len(i.to_bytes())) for i in come]
        assert len(come) <= items
        # What was receipted since stands in memory and may come once more; all else is the store's, in its order.
        waits = {(item.type, item.payload): item for item in there.items}
        asked = [item for item in come if (item.type, item.payload) in waits]
        assert [item.payload for item in asked] == [item.payload for item in there.items[: len(asked)]]
        assert come or not there.items
        for item in come:
            assert all(item.payload != before.payload for before in self.seen if before.type == item.type)
        self.seen += come
        if come:
            self.cursor = self._hub.mailboxes.cursor(READER, come[-1].cursor)


@pytest.mark.parametrize("seed", range(3))
async def test_memory_says_what_the_store_would_say(seed: int, world: World, tmp_path: Path) -> None:
    chance = random.Random(seed)
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        listeners = [Listener(hub, 0), Listener(hub, LARGE)]
        sent = []
        for number in range(1, STEPS):
            what = chance.random()
            if what < 0.4:
                to = (READER,) if chance.random() < 0.7 else (OTHER, READER)
                life = chance.choice((5, 60)) * MINUTE_MS
                sent.append(
                    sealed(
                        world,
                        dir_ref,
                        to=to,
                        lane=chance.choice(LANES),
                        payload=b'{"a":"%b"}' % (b"x" * chance.choice((5, 4 * LARGE))),
                        exp=world.now + life,
                    )
                )
                await put(hub, sent[-1])
            elif what < 0.5 and sent:
                done = copies(chance.choice(sent), READER)
                await hub.mailboxes.receipts(READER, receipts(world, dir_ref, READER, done, number=number))
            elif what < 0.55 and sent:
                await put(hub, chance.choice(sent))  # the same again: known, or forgotten and new
            elif what < 0.6:
                world.now += MINUTE_MS
                await hub.mailboxes.expire_due()
            else:
                listener = chance.choice(listeners)
                few, most = chance.choice((1, 3, 64)), chance.choice((1, 20_000, MANY))
                await listener.look(few, most, urgent=chance.random() < 0.3)
        for listener in listeners:
            await listener.look(512, MANY, urgent=False)
            listener.feed.close()
        whole = [item for item in listeners[0].seen if item.type == ITEM_DELIVERY]
        assert whole
        assert all(Delivery.from_bytes(item.payload).header for item in whole)
        assert {ITEM_CHECKPOINT, ITEM_LARGE} <= {item.type for item in listeners[1].seen}


async def test_a_short_page_of_names_keeps_the_order_and_says_that_more_waits(
    world: World, tmp_path: Path
) -> None:
    """A name is 0.2% of what it names: there is room for many where only few whole ones were looked up."""
    async with services(world, tmp_path) as hub:
        dir_ref, long = hub.registrar.dir_ref, b'{"a":"%b"}' % (b"x" * LARGE)
        flash = [sealed(world, dir_ref, to=(READER,), lane="flash", payload=long) for _ in range(12)]
        for made in (sealed(world, dir_ref, to=(READER,)), *flash):
            await put(hub, made)
        page = await hub.mailboxes.page(READER, "", wait_seconds=0, most=12_000, large=LARGE)
        named = [Large.from_bytes(item.payload).env for item in page.items[: len(flash)]]
        assert named == [made.env for made in flash]
        assert page.more or len(page.items) == len(flash) + 2, "the checkpoint and the routine one are left"
