"""Mail at the hub, without HTTP: accepted once with a durable receipt, handed out in order, released, expired."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.errors import ExchangeError, Rejected, Unavailable
from exchange.header import DirRef
from exchange.hub.mailboxes import Answer
from exchange.hub.store_accept import NewEnvelope
from exchange.hub.store_tables import RETENTION_MS
from exchange.limits import DAY_MS, HOUR_MS
from exchange.protocol import ITEM_CHECKPOINT, ITEM_DELIVERY, ITEM_EXPIRED, ITEM_RECEIPTS
from exchange.receipt import verify_proof
from exchange.settings import HubLimits
from exchange.wire import Delivery
from tests.hub_services import Services, receipts, sealed, services
from tests.worlds import World, make_world

MANY = 4 * 1024 * 1024


@pytest.fixture
def world() -> World:
    return make_world()


def copies(made, *members: str) -> list[tuple[bytes, bytes]]:
    """(env, lc) of these members' copies."""
    return [(made.env, made.upload.slots[made.header.position(member)][-32:]) for member in members]


async def put(hub: Services, made, issuer: str = "pe-csirt") -> Answer:
    return await hub.mailboxes.accept(issuer, [made.upload.to_bytes()], env=made.env)


async def mail(hub: Services, member: str, after: str = "") -> list:
    page = await hub.mailboxes.page(member, after, wait_seconds=0, most=MANY)
    return [item for item in page.items if item.type != ITEM_CHECKPOINT]


def codes(answer: Answer) -> list[str]:
    return [one.error.code if one.error else "" for one in answer.results]


def verified(world: World, proof: bytes):
    key = {"hub": world.hub_keys, **world.member_keys}
    return verify_proof(world.net, json.loads(proof), lambda signer, skid: key[signer].public.signing)


async def test_accepted_envelope_has_a_durable_signed_receipt(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        made = sealed(world, hub.registrar.dir_ref, to=("bb-csirt", "co-csirt"))
        answer = await put(hub, made)
        assert codes(answer) == [""]
        batch = verified(world, answer.proofs[0])
        assert [(leaf.env, leaf.status, leaf.to) for leaf in batch.leaves] == [(made.env, "accepted", "*")]
        assert batch.signer == "hub"
        (item,) = await mail(hub, "co-csirt")
        delivery = Delivery.from_bytes(item.payload)
        assert (delivery.header, delivery.body) == (made.upload.header, made.upload.body)
        assert delivery.slot == made.upload.slots[1]


async def test_repeat_gets_the_same_receipt_also_after_restart_and_expiry(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        made = sealed(world, hub.registrar.dir_ref)
        first = await put(hub, made)
        again = await put(hub, made)
        assert first.results[0].new
        assert not again.results[0].new
        assert again.proofs == first.proofs
    world.advance(2 * DAY_MS)
    async with services(world, tmp_path, epoch="second") as hub:
        late = await put(hub, made)
        assert codes(late) == [""]
        assert late.proofs == first.proofs
        assert codes(await put(hub, made, issuer="co-csirt")) == ["envelope.not-sender"]


async def test_many_at_once_share_batches_and_lose_nothing(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        made = [
            sealed(world, hub.registrar.dir_ref, sender=sender, to=("bb-csirt",))
            for sender in ("pe-csirt", "co-csirt")
            for _ in range(10)
        ]
        answers = await asyncio.gather(*(put(hub, one, issuer=one.header.sender) for one in made))
        proofs = {proof for answer in answers for proof in answer.proofs}
        assert len(proofs) < len(made)
        said = {leaf.env for proof in proofs for leaf in verified(world, proof).leaves}
        assert said == {one.env for one in made}
        for one, answer in zip(made, answers, strict=True):
            senders = {
                next(m for m in made if m.env == leaf.env).header.sender
                for proof in answer.proofs
                for leaf in verified(world, proof).leaves
            }
            assert senders == {one.header.sender}  # nobody sees another's leaves
        assert len(await mail(hub, "bb-csirt")) == 20


async def test_same_envelope_twice_in_one_group_is_stored_once(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        made = sealed(world, hub.registrar.dir_ref)
        data = made.upload.to_bytes()
        answer = await hub.mailboxes.accept("pe-csirt", [data, data])
        assert codes(answer) == ["", ""]
        assert [one.new for one in answer.results] == [True, False]
        assert len(answer.proofs) == 1
        assert len(await mail(hub, "co-csirt")) == 1


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def stranger(world: World, dir_ref: DirRef) -> bytes:
    """To an address that is no member (with a prekey of somebody else's)."""
    world.prekeys["zz-csirt"] = world.prekeys["co-csirt"]
    kid = next(iter(world.prekeys["co-csirt"]))
    return sealed(world, dir_ref, to=("zz-csirt",), kids={"zz-csirt": kid}).upload.to_bytes()


FLAWS = {
    "envelope.bad-frame": lambda w, d: sealed(w, d).upload.to_bytes()[:300],
    "envelope.wrong-id": lambda w, d: sealed(w, d).upload.to_bytes(),
    "json.not-canonical": lambda w, d: replace(
        sealed(w, d).upload, header=sealed(w, d).upload.header + b" "
    ).to_bytes(),
    "json.bad-schema": lambda w, d: replace(sealed(w, d).upload, header=b'{"suite":"EX1","v":1}').to_bytes(),
    "envelope.bad-header": lambda w, d: replace(
        (made := sealed(w, d)).upload,
        header=made.upload.header.replace(b'"iat":%d' % made.header.iat, b'"iat":%d' % made.header.exp),
    ).to_bytes(),
    "envelope.unknown-suite": lambda w, d: replace(
        (made := sealed(w, d)).upload, header=made.upload.header.replace(b'"EX1"', b'"EX2"')
    ).to_bytes(),
    "envelope.blobs-unsupported": lambda w, d: replace(
        (made := sealed(w, d)).upload,
        header=made.upload.header.replace(b'"blobs":[]', b'"blobs":[["' + b"A" * 43 + b'",1]]'),
    ).to_bytes(),
    "envelope.other-network": lambda w, d: sealed(w, d, net=bytes(32)).upload.to_bytes(),
    "envelope.not-sender": lambda w, d: sealed(w, d, sender="co-csirt", to=("bb-csirt",)).upload.to_bytes(),
    "envelope.unknown-key": lambda w, d: sealed(w, d, signer="co-csirt").upload.to_bytes(),
    "envelope.unknown-recipient": stranger,
    "envelope.unknown-prekey": lambda w, d: sealed(w, d, kids={"co-csirt": foreign_kid(w)}).upload.to_bytes(),
    "envelope.future": lambda w, d: sealed(
        w, d, iat=w.now + DAY_MS + 1, exp=w.now + 2 * DAY_MS
    ).upload.to_bytes(),
    "envelope.expired": lambda w, d: sealed(w, d, iat=w.now - 2, exp=w.now).upload.to_bytes(),
    "envelope.outlives-prekey": lambda w, d: sealed(w, d, exp=w.now + 60 * DAY_MS).upload.to_bytes(),
    "directory.unknown-checkpoint": lambda w, d: sealed(
        w, DirRef(d.size, d.root, bytes(32))
    ).upload.to_bytes(),
    "envelope.body-mismatch": lambda w, d: flipped(data := sealed(w, d).upload.to_bytes(), len(data) - 1),
    "envelope.wrap-mismatch": lambda w, d: replace(
        (made := sealed(w, d)).upload, slots=(flipped(made.upload.slots[0], 5),)
    ).to_bytes(),
    "envelope.bad-signature": lambda w, d: replace(
        (made := sealed(w, d)).upload, signatures=flipped(made.upload.signatures, 100)
    ).to_bytes(),
}


def foreign_kid(world: World) -> bytes:
    """A kid that its owner never published."""
    (ref,) = world.refs("co-csirt", start=world.now - 3 * HOUR_MS, epochs=1)
    return ref.kid


@pytest.mark.parametrize("code", FLAWS)
async def test_flawed_upload_is_refused_with_its_code_and_leaves_nothing(
    code: str, world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        data = FLAWS[code](world, hub.registrar.dir_ref)
        env = bytes(32) if code == "envelope.wrong-id" else None
        answer = await hub.mailboxes.accept("pe-csirt", [data], env=env)
        assert codes(answer) == [code]
        assert answer.proofs == ()
        assert (await hub.store.totals()).envelopes == 0


async def test_sender_that_left_the_log_is_unknown(world: World, tmp_path: Path) -> None:
    stranger_world = make_world(members=(*world.member_keys, "xx-csirt"))
    async with services(world, tmp_path) as hub:
        made = sealed(stranger_world, hub.registrar.dir_ref, sender="xx-csirt", net=world.net)
        answer = await hub.mailboxes.accept("xx-csirt", [made.upload.to_bytes()])
        assert codes(answer) == ["envelope.unknown-sender"]


async def test_quota_is_the_senders_and_comes_back_with_receipts(world: World, tmp_path: Path) -> None:
    limits = HubLimits(settle_seconds=0, quota_envelopes=2)
    async with services(world, tmp_path, limits=limits) as hub:
        dir_ref = hub.registrar.dir_ref
        made = [sealed(world, dir_ref) for _ in range(3)]
        answer = await hub.mailboxes.accept("pe-csirt", [one.upload.to_bytes() for one in made])
        assert codes(answer) == ["", "", "quota.exceeded"]
        other = sealed(world, dir_ref, sender="co-csirt", to=("bb-csirt",))
        assert codes(await put(hub, other, issuer="co-csirt")) == [""]
        await hub.mailboxes.receipts(
            "co-csirt", receipts(world, dir_ref, "co-csirt", copies(made[0], "co-csirt"))
        )
        assert codes(await put(hub, made[2])) == [""]


async def test_quota_of_bytes(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path, limits=HubLimits(settle_seconds=0, quota_bytes=10_000)) as hub:
        made = [sealed(world, hub.registrar.dir_ref) for _ in range(2)]
        answer = await hub.mailboxes.accept("pe-csirt", [one.upload.to_bytes() for one in made])
        assert codes(answer) == ["", "quota.exceeded"]


async def test_full_disk_takes_nothing_and_still_hands_out(world: World, tmp_path: Path) -> None:
    async with services(world, tmp_path) as hub:
        first = sealed(world, hub.registrar.dir_ref)
        await put(hub, first)
    async with services(world, tmp_path, free_bytes=0) as hub:
        answer = await put(hub, sealed(world, hub.registrar.dir_ref))
        assert codes(answer) == ["storage.full"]
        assert answer.results[0].error.facts["retry_after"] == 60
        assert len(await mail(hub, "co-csirt")) == 1
        assert codes(await put(hub, first)) == [""]  # a known one still has its receipt


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


async def test_body_goes_with_the_last_receipt_and_the_header_30_days_after_exp(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref, to=("bb-csirt", "co-csirt"))
        await put(hub, made)
        body_at_rest = made.upload.body[:64]
        for member in ("co-csirt", "bb-csirt"):
            before = await hub.store.totals()
            assert before.envelopes == 1
            await hub.mailboxes.receipts(member, receipts(world, dir_ref, member, copies(made, member)))
        after = await hub.store.totals()
        assert (after.envelopes, after.bytes, after.rows) == (0, 0, 0)
        assert await hub.store.is_known(made.env)
        world.advance(DAY_MS + RETENTION_MS + 1)
        await hub.mailboxes.expire_due()
        assert not await hub.store.is_known(made.env)
    assert body_at_rest not in (tmp_path / "hub.db").read_bytes()


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


async def test_too_long_a_list_of_proofs_goes_through_the_feed(world: World, tmp_path: Path) -> None:
    """A broadcast's receipts come one batch a recipient: the answer to a repeat is bounded all the same."""
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        made = sealed(world, dir_ref)
        await put(hub, made)
        number = 0
        while True:
            number += 1
            held = receipts(
                world, dir_ref, "co-csirt", copies(made, "co-csirt"), number=number, status="held"
            )
            await hub.mailboxes.receipts("co-csirt", held)
            if number == 250:
                break
        page = await hub.mailboxes.page("pe-csirt", "", wait_seconds=0, most=64 * MANY)
        while page.more:
            page = await hub.mailboxes.page("pe-csirt", str(page.cursor), wait_seconds=0, most=64 * MANY)
        assert await mail(hub, "pe-csirt", str(page.cursor)) == []
        answer = await put(hub, made)
        rest = await mail(hub, "pe-csirt", str(page.cursor))
        assert sum(map(len, answer.proofs)) <= 1_048_576
        assert len(answer.proofs) + len(rest) == 1 + number


async def test_group_that_cannot_commit_refuses_each_and_the_next_goes_on(
    world: World, tmp_path: Path
) -> None:
    async with services(world, tmp_path) as hub:
        dir_ref = hub.registrar.dir_ref
        real = hub.store.accept
        failures: list[ExchangeError] = [Unavailable("storage.full")]

        async def accept(group: list[NewEnvelope], **rest):
            if failures:
                raise failures.pop()
            return await real(group, **rest)

        hub.store.accept = accept  # the disk's fault itself is tests/storage's subject
        made = [sealed(world, dir_ref) for _ in range(2)]
        answer = await hub.mailboxes.accept("pe-csirt", [one.upload.to_bytes() for one in made])
        assert codes(answer) == ["storage.full"] * 2
        answer = await hub.mailboxes.accept("pe-csirt", [one.upload.to_bytes() for one in made])
        assert codes(answer) == [""] * 2
