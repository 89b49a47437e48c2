"""What a member's standing does to its mail at the hub, units' mailboxes, and that time passes without a statement."""

from __future__ import annotations

import asyncio
from pathlib import Path

from exchange.canonical import ZERO32, framed
from exchange.directory.bodies_members import build_revoke
from exchange.directory.members import Move
from exchange.directory.statements import Statement
from exchange.directory.submission import LOGGED
from exchange.header import parse_header
from exchange.limits import DAY_MS, HOUR_MS
from exchange.protocol import ITEM_CHECKPOINT, ITEM_DELIVERY
from exchange.wire import SLOT_BYTES, Delivery
from tests.hub.mail import MANY, codes, copies, mail, put
from tests.hub.statements import ALBA, BRUNO, code_of, follow, send, status, suspension, unit
from tests.hub_services import Services, receipts, sealed, services
from tests.worlds import World, keys, signed

TRACING = "co-csirt/tracing"


async def deliver(hub: Services, **how) -> bytes:
    """Send something to co-csirt; its envelope id."""
    made = sealed(hub.world, hub.registrar.dir_ref, **how)
    assert codes(await put(hub, made, made.header.sender)) == [""]
    return made.env


async def envs(hub: Services, address: str, after: str = "") -> list[bytes]:
    """The envelopes that wait for it."""
    found = await mail(hub, address, after)
    return [parse_header(Delivery.from_bytes(item.payload).header).env for item in found]


async def test_suspended_member_reads_what_came_since_and_the_rest_after_it_is_reinstated(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        before = await deliver(hub)
        world.advance(HOUR_MS)
        await send(hub, suspension(world, "co-csirt", ALBA, BRUNO), by=ALBA)
        world.advance(1)
        since = await deliver(hub)
        page = await hub.mailboxes.page("co-csirt", "", wait_seconds=0, most=MANY)
        assert await envs(hub, "co-csirt") == [since]
        await send(hub, status(world, "co-csirt", Move.REINSTATE, ALBA, BRUNO), by=ALBA)
        # it had passed the older one by in this epoch; both come now, and it knows one of them
        assert await envs(hub, "co-csirt", str(page.cursor)) == [before, since]
        again = await hub.mailboxes.page("co-csirt", str(page.cursor), wait_seconds=0, most=MANY)
        assert await envs(hub, "co-csirt", str(again.cursor)) == []


async def test_suspended_member_receipts_and_sends_nothing(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        await send(hub, suspension(world, "co-csirt", ALBA, BRUNO), by=ALBA)
        made = sealed(world, hub.registrar.dir_ref)
        await put(hub, made)
        upload = receipts(world, hub.registrar.dir_ref, "co-csirt", copies(made, "co-csirt"))
        assert (await hub.mailboxes.receipts("co-csirt", upload)).matched == 1
        refused = sealed(world, hub.registrar.dir_ref, sender="co-csirt", to=["pe-csirt"])
        assert codes(await put(hub, refused, "co-csirt")) == ["policy.sender-status"]


async def test_removed_member_gets_nothing_and_its_mail_expires(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        await deliver(hub)
        late = sealed(world, hub.registrar.dir_ref)
        polling = asyncio.create_task(_poll(hub, "co-csirt", await _drained(hub, "co-csirt")))
        await send(hub, status(world, "co-csirt", Move.REMOVE, ALBA, BRUNO), by=ALBA)
        assert await code_of(polling) == "auth.forbidden"
        assert await code_of(_poll(hub, "co-csirt", "")) == "auth.forbidden"
        assert codes(await put(hub, late)) == ["policy.recipient-status"]
        world.advance(2 * DAY_MS)
        assert await hub.mailboxes.expire_due() == 1
        totals = await hub.store.totals()
        left = len(late.upload.header) + len(late.upload.signatures) + SLOT_BYTES  # all but the body
        assert (totals.envelopes, totals.rows) == (0, 1)
        assert totals.bytes == left


async def _drained(hub: Services, address: str) -> str:
    page = await hub.mailboxes.page(address, "", wait_seconds=0, most=MANY)
    return str(page.cursor)


async def _poll(hub: Services, address: str, after: str):
    return await hub.mailboxes.page(address, after, wait_seconds=60, most=MANY)


async def test_poll_under_a_key_that_is_revoked_ends_without_mail(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        polling = asyncio.create_task(_poll(hub, "co-csirt", await _drained(hub, "co-csirt")))
        await asyncio.sleep(0)
        revoke = build_revoke(
            net=world.net,
            address="co-csirt",
            by="printed",
            ground="key-lost",
            skid=keys("co-csirt").public.signing.skid(world.net),
            since=world.now,
            not_after=world.now + DAY_MS,
        )
        statement = Statement(revoke).with_signature("co-csirt", keys("revoke/co-csirt"))
        assert (await send(hub, statement, by="")).outcome == LOGGED
        assert await code_of(polling) == "auth.unknown-issuer"


async def test_news_that_takes_trust_goes_before_all_mail(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        await deliver(hub, lane="flash")
        kinds = [item.type for item in (await _poll(hub, "co-csirt", "")).items]
        assert kinds == [ITEM_DELIVERY, ITEM_CHECKPOINT]
        await send(hub, suspension(world, "bb-csirt", ALBA, BRUNO), by=ALBA)
        page = await _poll(hub, "co-csirt", "")
        assert [item.type for item in page.items] == [ITEM_CHECKPOINT, ITEM_DELIVERY]
        await deliver(hub, lane="flash")
        await hub.registrar.renew()  # an hourly checkpoint is no such news
        later = await _poll(hub, "co-csirt", str(page.cursor))
        assert [item.type for item in later.items] == [ITEM_DELIVERY, ITEM_CHECKPOINT]
    async with services(
        world, tmp_path, epoch="second"
    ) as hub:  # who was away over a restart hears it first too
        page = await _poll(hub, "co-csirt", "")
        assert [item.type for item in page.items] == [ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_DELIVERY]


async def test_recovered_leaf_that_takes_trust_is_such_news_too(world: World, tmp_path: Path) -> None:
    early, late = tmp_path / "early", tmp_path / "late"
    early.mkdir()
    late.mkdir()
    async with services(world, early):
        pass  # a copy without the suspension
    async with services(world, late) as hub:
        await send(hub, suspension(world, "bb-csirt", ALBA, BRUNO), by=ALBA)
        longest, lost = hub.registrar.checkpoint, await hub.registrar.leaves(7)
    async with services(world, early, epoch="second") as hub:
        made = sealed(world, hub.registrar.dir_ref, lane="flash", to=["co-csirt"])
        assert codes(await put(hub, made)) == [""]
        await hub.registrar.take_checkpoint(longest)
        await hub.registrar.take_leaves(framed(lost))
        page = await _poll(hub, "co-csirt", "")
        assert [item.type for item in page.items] == [ITEM_CHECKPOINT, ITEM_DELIVERY]


async def test_unit_has_a_mailbox_and_receipts_of_its_own(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        await send(hub, unit(world, TRACING), by="co-csirt")
        refs = world.refs(TRACING)
        records = [world.records[ref.kid] for ref in refs]
        await hub.pending.submit(world.prekeys_statement(TRACING, refs), records, (), by=TRACING)
        await follow(hub)
        made = sealed(world, hub.registrar.dir_ref, to=[TRACING])
        assert codes(await put(hub, made)) == [""]
        assert await envs(hub, TRACING) == [made.env]
        assert await envs(hub, "co-csirt") == []
        foreign = receipts(world, hub.registrar.dir_ref, "co-csirt", copies(made, TRACING))
        assert (await hub.mailboxes.receipts("co-csirt", foreign)).matched == 0
        own = receipts(world, hub.registrar.dir_ref, TRACING, copies(made, TRACING))
        assert (await hub.mailboxes.receipts(TRACING, own)).matched == 1
        answer = sealed(world, hub.registrar.dir_ref, sender=TRACING, to=["pe-csirt"])
        assert codes(await put(hub, answer, TRACING)) == [""]
        assert await hub.mailboxes.highest_batch(TRACING) == 1
        await send(hub, suspension(world, "co-csirt", ALBA, BRUNO), by=ALBA)
        refused = sealed(world, hub.registrar.dir_ref, sender=TRACING, to=["pe-csirt"])
        assert codes(await put(hub, refused, TRACING)) == ["policy.sender-status"]


async def test_emergency_ends_by_itself_although_nobody_speaks(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        await send(hub, suspension(world, "co-csirt", ALBA), by=ALBA)
        await hub.registrar.tick()
        assert hub.registrar.directory.size == 8  # nothing was due
        world.advance(DAY_MS)
        await hub.registrar.tick()
        assert hub.registrar.directory.size == 9
        await follow(hub)
        assert hub.registrar.directory.members["co-csirt"].suspension is None
        assert world.directory.members["co-csirt"].suspension is None
        await hub.registrar.tick()
        assert hub.registrar.directory.size == 9


async def test_what_is_due_is_told_before_the_next_statement(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        await send(hub, suspension(world, "co-csirt", ALBA), by=ALBA)
        world.advance(DAY_MS)
        assert hub.registrar.directory.last_hash("network", "time") == ZERO32
        leaving = status(world, "co-csirt", Move.LEAVE, until=world.now + 7 * DAY_MS)
        await send(hub, signed(leaving.body, "co-csirt"), by="co-csirt")
        assert hub.registrar.directory.size == 10  # the tick, then the statement
