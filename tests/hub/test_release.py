"""How mail leaves the hub: released by its recipient's receipt, or expired; what the sender learns of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection

from exchange.errors import Rejected
from exchange.hub.store.forget import Keeping
from exchange.hub.store.receipts import add_proof
from exchange.limits import DAY_MS
from exchange.protocol import ITEM_EXPIRED, ITEM_RECEIPTS
from exchange.settings import HubLimits
from exchange.wire import Delivery
from tests.hub.mail import MANY, copies, mail, put, verified
from tests.hub_services import Services, receipts, sealed, services
from tests.worlds import World


async def test_stored_receipt_deletes_the_row_and_reaches_the_sender(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref, to=("bb-csirt", "co-csirt"))
        await put(hub, made)
        upload = receipts(world, dir_ref, "co-csirt", copies(made, "co-csirt"), number=7)
        released = await hub.mailboxes.receipts("co-csirt", upload)
        assert (released.matched, released.no_match) == (1, 0)
        assert await mail(hub, "co-csirt") == []
        assert len(await mail(hub, "bb-csirt")) == 1
        (item,) = await mail(hub, "pe-csirt")
        assert item.type == ITEM_RECEIPTS
        assert [(leaf.to, leaf.status) for leaf in verified(world, item.payload).leaves] == [
            ("co-csirt", "stored")
        ]
        assert await hub.mailboxes.highest_batch("co-csirt") == 7
        again = await hub.mailboxes.receipts("co-csirt", upload)
        assert (again.matched, again.no_match) == (0, 1)
        assert await mail(hub, "pe-csirt", item.cursor) == []
        assert await mail(hub, "pe-csirt") == []  # it has said that it stored the proof
        known = await put(hub, made)
        assert {leaf.status for proof in known.proofs for leaf in verified(world, proof).leaves} == {
            "accepted",
            "stored",
        }


async def test_proof_holds_only_its_senders_leaves(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        mine = sealed(world, dir_ref, to=("bb-csirt",))
        other = sealed(world, dir_ref, sender="co-csirt", to=("bb-csirt",))
        await put(hub, mine)
        await put(hub, other, issuer="co-csirt")
        both = copies(mine, "bb-csirt") + copies(other, "bb-csirt")
        await hub.mailboxes.receipts("bb-csirt", receipts(world, dir_ref, "bb-csirt", both))
        for member, made in (("pe-csirt", mine), ("co-csirt", other)):
            (item,) = await mail(hub, member)
            assert [leaf.env for leaf in verified(world, item.payload).leaves] == [made.env]


async def test_receipts_that_dont_fit_delete_nothing(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref, to=("bb-csirt", "co-csirt"))
        await put(hub, made)
        ((env, lc),) = copies(made, "co-csirt")

        async def refused(issuer: str, upload: object) -> str:
            with pytest.raises(Rejected) as caught:
                await hub.mailboxes.receipts(issuer, upload)
            return caught.value.code

        # another member's copy, under its own name: nothing fits
        released = await hub.mailboxes.receipts("bb-csirt", receipts(world, dir_ref, "bb-csirt", [(env, lc)]))
        assert (released.matched, released.no_match) == (0, 1)
        wrong_lc = await hub.mailboxes.receipts(
            "co-csirt", receipts(world, dir_ref, "co-csirt", [(env, bytes(32))])
        )
        assert wrong_lc.matched == 0
        # another member's batch, and a leaf for somebody else's copy
        theirs = receipts(world, dir_ref, "co-csirt", [(env, lc)])
        assert await refused("bb-csirt", theirs) == "receipt.wrong-signer"
        assert await refused(
            "bb-csirt", receipts(world, dir_ref, "bb-csirt", [(env, lc)], to="co-csirt")
        ) == ("receipt.wrong-signer")
        forged = receipts(world, dir_ref, "co-csirt", [(env, lc)], signer="bb-csirt")
        assert await refused("co-csirt", forged) == "receipt.unknown-signer"
        theirs["leaves"] = theirs["leaves"] * 2
        assert await refused("co-csirt", theirs) == "receipt.bad-root"
        assert len(await mail(hub, "co-csirt")) == 1


async def test_held_receipt_keeps_the_row(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref)
        await put(hub, made)
        held = receipts(world, dir_ref, "co-csirt", copies(made, "co-csirt"), status="held")
        assert (await hub.mailboxes.receipts("co-csirt", held)).matched == 1
        assert len(await mail(hub, "co-csirt")) == 1
        assert len(await mail(hub, "pe-csirt")) == 1


async def test_body_goes_with_the_last_receipt_and_the_rest_once_the_sender_has_its_receipts(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref, to=("bb-csirt", "co-csirt"))
        await put(hub, made)
        body_at_rest, header_at_rest = made.upload.body[:64], made.upload.signatures[:64]
        for member in ("co-csirt", "bb-csirt"):
            before = await hub.store.totals()
            assert before.envelopes == 1
            await hub.mailboxes.receipts(member, receipts(world, dir_ref, member, copies(made, member)))
        after = await hub.store.totals()
        assert (after.envelopes, after.bytes, after.rows) == (0, 0, 0)
        await hub.mailboxes.expire_due()  # notes that nobody waits for it
        world.advance(7 * DAY_MS - 1)
        await hub.mailboxes.expire_due()
        assert await hub.store.is_known(made.env)
        world.advance(1)
        await hub.mailboxes.expire_due()
        assert await hub.store.is_known(made.env)  # its sender has not stored the receipts
        items = await mail(hub, "pe-csirt")
        assert await mail(hub, "pe-csirt", items[-1].cursor) == []
        world.advance(7 * DAY_MS)
        await hub.mailboxes.expire_due()
        assert not await hub.store.is_known(made.env)
        assert await count(hub, "proofs") == 0
    kept = (tmp_path / "hub.db").read_bytes()
    assert body_at_rest not in kept
    assert header_at_rest not in kept


async def test_receipts_of_several_envelopes_stay_for_those_that_stay(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        gone, open_ = sealed(world, dir_ref), sealed(world, dir_ref, to=("bb-csirt", "co-csirt"))
        answer = await hub.mailboxes.accept("pe-csirt", [one.upload.to_bytes() for one in (gone, open_)])
        assert not [result.error for result in answer.results if result.error]
        both = copies(gone, "co-csirt") + copies(open_, "co-csirt")
        await hub.mailboxes.receipts("co-csirt", receipts(world, dir_ref, "co-csirt", both))
        (item,) = await mail(hub, "pe-csirt")
        assert await mail(hub, "pe-csirt", item.cursor) == []
        await hub.mailboxes.expire_due()
        await hub.store.prune(now=world.now + 7 * DAY_MS, published=(), keeping=Keeping(7, 30))
        assert not await hub.store.is_known(gone.env)
        again = await put(hub, open_)
        assert len(again.proofs) == 2


async def test_repeat_of_what_was_forgotten_is_new_and_its_recipient_receipts_it_again(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref)
        await put(hub, made)
        upload = receipts(world, dir_ref, "co-csirt", copies(made, "co-csirt"))
        await hub.mailboxes.receipts("co-csirt", upload)
        (item,) = await mail(hub, "pe-csirt")
        await mail(hub, "pe-csirt", item.cursor)
        await hub.mailboxes.expire_due()
        await hub.store.prune(now=world.now + DAY_MS, published=(), keeping=Keeping(1, 30))
        assert (await put(hub, made)).results[0].new
        assert (await hub.mailboxes.receipts("co-csirt", upload)).matched == 1


async def test_expired_copy_that_nobody_receipts_goes_by_the_policy_after_exp(
    world: World, tmp_path: Path
) -> None:
    limits = HubLimits(settle_seconds=0, released_days=1, expired_days=3)
    async with services(world, tmp_path, limits=limits) as hub:
        made = sealed(world, hub.registrar.dir_ref)
        await put(hub, made)
        world.advance(DAY_MS)
        assert await hub.mailboxes.expire_due() == 1
        world.advance(2 * DAY_MS)
        await hub.mailboxes.expire_due()
        assert [item.type for item in await mail(hub, "co-csirt")] == [ITEM_EXPIRED]
        world.advance(DAY_MS)
        await hub.mailboxes.expire_due()
        assert await mail(hub, "co-csirt") == []
        assert [await count(hub, table) for table in ("envelopes", "proofs", "proof_feed")] == [0, 0, 0]
        assert (await hub.store.totals()).rows == 0


async def count(hub: Services, table: str) -> int:
    """How many rows a table of the hub has."""
    statement = f"SELECT count(*) FROM {table}"  # noqa: S608 - the test's own words
    return int(await hub.store._db.read(lambda c: c.exec_driver_sql(statement).scalar_one()))


async def test_expiry_tells_sender_and_recipient_and_drops_the_body(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref, to=("bb-csirt", "co-csirt"))
        await put(hub, made)
        await hub.mailboxes.receipts(
            "bb-csirt", receipts(world, dir_ref, "bb-csirt", copies(made, "bb-csirt"))
        )
        (delivered,) = await mail(hub, "co-csirt")
        world.advance(DAY_MS)
        assert await hub.mailboxes.expire_due() == 1
        assert await hub.mailboxes.expire_due() == 0
        items = await mail(hub, "pe-csirt")
        leaves = [leaf for item in items for leaf in verified(world, item.payload).leaves]
        assert [(leaf.status, leaf.to) for leaf in leaves] == [
            ("stored", "bb-csirt"),
            ("expired", "co-csirt"),
        ]
        # also for a node that had passed the row before it expired
        (item,) = await mail(hub, "co-csirt", delivered.cursor)
        assert item.type == ITEM_EXPIRED
        notice = Delivery.from_bytes(item.payload)
        assert notice.expired
        assert notice.slot == made.upload.slots[1]
        assert await mail(hub, "bb-csirt") == []
        assert (await hub.store.totals()).envelopes == 0
        expired = receipts(
            world, dir_ref, "co-csirt", copies(made, "co-csirt"), number=2, status="rejected", code="expired"
        )
        assert (await hub.mailboxes.receipts("co-csirt", expired)).matched == 1
        assert await mail(hub, "co-csirt") == []
        assert (await hub.store.totals()).rows == 0


async def test_too_long_a_list_of_proofs_goes_through_the_feed(world: World, tmp_path: Path) -> None:
    """A broadcast's receipts come one batch a recipient: the answer to a repeat is bounded all the same."""
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref)
        await put(hub, made)
        number = 250
        envelope, until = 1, world.now + DAY_MS

        def keep_many(connection: Connection) -> None:
            for _ in range(number):
                add_proof(connection, bytes(6_000), [envelope], keep_until=until)

        await hub.store._db.write(keep_many)
        page = await hub.mailboxes.page("pe-csirt", "", wait_seconds=0, most=64 * MANY)
        while page.more:
            page = await hub.mailboxes.page("pe-csirt", str(page.cursor), wait_seconds=0, most=64 * MANY)
        assert await mail(hub, "pe-csirt", str(page.cursor)) == []
        answer = await put(hub, made)
        rest = await mail(hub, "pe-csirt", str(page.cursor))
        assert sum(map(len, answer.proofs)) <= 1_048_576
        assert len(answer.proofs) + len(rest) == 1 + number
